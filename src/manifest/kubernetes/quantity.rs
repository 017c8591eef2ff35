//! Exact quantities: `500m`, `1.5`, `128Mi`, `1e3` (Kubernetes `resource.Quantity`).
//!
//! Everything is kept in billionths, rounded up as Kubernetes does, so `1000m` and `1` are one value.

use crate::manifest::cursor::Cursor;
use crate::manifest::node::Value;

/// Returns the quantity that a field holds, in billionths.
pub fn of(field: &Cursor<'_>) -> Option<i128> {
    let text = match &field.node().value {
        Value::Integer(number) => number.to_string(),
        Value::Decimal(text) => text.clone(),
        _ => field.text()?.value,
    };
    let quantity = parse(&text);
    if quantity.is_none() {
        let message = format!("is not a quantity: `{}`", text.escape_debug());
        field.error_with("bad-quantity", message, "write a number with a suffix such as `500m`, `1.5`, `128Mi` or `2Gi`");
    }
    quantity
}

/// Parses a quantity into billionths, at most 2^63-1 whole units. `None` if it is none.
pub fn parse(text: &str) -> Option<i128> {
    const CAP: i128 = i64::MAX as i128 * NANO;
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let scale = scale(suffix)?;
    let value = match whole.trim_start_matches('0') {
        "" => Some(0),
        digits if digits.len() > 24 => None,
        digits => digits.parse::<i128>().ok().and_then(|whole| scale.apply(whole, 0)),
    };
    let (first, further) = fraction.split_at(fraction.len().min(9));
    let digits = first.len() as u32;
    let mut part = if first.is_empty() { 0 } else { first.parse::<i128>().ok()? };
    part += i128::from(further.bytes().any(|b| b != b'0'));
    let value = value.and_then(|value| value.checked_add(scale.apply(part, digits)?)).unwrap_or(CAP).min(CAP);
    Some(if negative { -value } else { value })
}

const NANO: i128 = 1_000_000_000;

/// What a suffix multiplies with, in billionths: `up / down`.
struct Scale {
    up: i128,
    down: i128,
}

impl Scale {
    /// Returns `number / 10^digits` units in billionths, rounded up; `None` if that is too much to hold.
    fn apply(&self, number: i128, digits: u32) -> Option<i128> {
        let down = self.down * 10_i128.pow(digits);
        let product = number.checked_mul(self.up)?;
        Some(product / down + i128::from(product % down != 0))
    }
}

fn scale(suffix: &str) -> Option<Scale> {
    let decimal = |exponent: i32| match exponent {
        0.. => Some(Scale { up: 10_i128.checked_pow(exponent as u32)?.checked_mul(NANO)?, down: 1 }),
        _ => Some(Scale { up: NANO, down: 10_i128.checked_pow(exponent.unsigned_abs())? }),
    };
    let binary = |power: u32| Some(Scale { up: NANO << (10 * power), down: 1 });
    match suffix {
        "" => decimal(0),
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            decimal(exponent.parse::<i32>().ok().filter(|exponent| (-18..=18).contains(exponent))?)
        }
    }
}

/// Returns whole units, rounded up.
pub fn whole(nano: i128) -> u64 {
    u64::try_from(nano / NANO + i128::from(nano % NANO > 0)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_exact() {
        for (text, nano) in [
            ("1", NANO),
            ("1000m", NANO),
            ("0.5", NANO / 2),
            (".5", NANO / 2),
            ("5.", 5 * NANO),
            ("500m", NANO / 2),
            ("1e3", 1000 * NANO),
            ("1E3", 1000 * NANO),
            ("1E", 1_000_000_000_000_000_000 * NANO),
            ("12e-3", 12 * NANO / 1000),
            ("1024Ki", (1 << 20) * NANO),
            ("1Mi", (1 << 20) * NANO),
            ("0.5Gi", (1 << 29) * NANO),
            ("1k", 1000 * NANO),
            ("-1", -NANO),
            ("+1", NANO),
            ("1n", 1),
            ("0.1n", 1),
            ("0.0000000001", 1),
            ("99999999999999999999999999999", i64::MAX as i128 * NANO),
            ("9Ei", i64::MAX as i128 * NANO),
        ] {
            assert_eq!(parse(text), Some(nano), "{text}");
        }
        for text in ["", " 1", "1 ", "0.1mi", ".5i", "-3.01e-", "1.2.3", ".", "1K", "1ki", "1mb", "--1", "e3", "1e99999999999"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn bytes_round_up() {
        assert_eq!(parse("128974848000m").map(whole), Some(128_974_848));
        assert_eq!(parse("1.5").map(whole), Some(2));
    }
}
