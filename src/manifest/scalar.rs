//! What a plain scalar means: a boolean, a number, nothing, or just a text.
//!
//! Two schemas, because the two formats disagree. Quoted scalars are always text and never come here.

use super::node::Value;

/// Which rules decide what a plain scalar means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// YAML 1.1 as `kubectl` reads it: `yes`, `on` and `y` are booleans, `0644` is octal, `1_000` a number.
    Yaml11,
    /// The core schema of YAML 1.2.2, section 10.3, as Compose reads it.
    Yaml12,
}

impl Schema {
    /// Returns what a plain scalar means.
    pub fn resolve(self, text: &str) -> Value {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
            "true" | "True" | "TRUE" => return Value::Bool(true),
            "false" | "False" | "FALSE" => return Value::Bool(false),
            _ => {}
        }
        // Numbers begin with a digit, a sign or a point; most scalars do not and are done here.
        let numeric = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'));
        match self {
            Schema::Yaml11 => match text {
                "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Value::Bool(true),
                "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Value::Bool(false),
                _ if numeric => number(&text.replace('_', ""), true).unwrap_or_else(|| Value::Text(text.to_owned())),
                _ => Value::Text(text.to_owned()),
            },
            Schema::Yaml12 if numeric => number(text, false).unwrap_or_else(|| Value::Text(text.to_owned())),
            Schema::Yaml12 => Value::Text(text.to_owned()),
        }
    }
}

/// Reads a number: decimal, `0x`, `0o`, and with `old` also `0b` and a leading zero for octal.
fn number(text: &str, old: bool) -> Option<Value> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, body) = match digits.as_bytes() {
        [b'0', b'x', ..] => (16, &digits[2..]),
        [b'0', b'o', ..] => (8, &digits[2..]),
        [b'0', b'b', ..] if old => (2, &digits[2..]),
        [b'0', rest @ ..] if old && !rest.is_empty() && rest.iter().all(|b| (b'0'..=b'7').contains(b)) => (8, &digits[1..]),
        _ => (10, digits),
    };
    let whole = !body.is_empty() && body.bytes().all(|b| (b as char).is_digit(radix));
    if whole && let Ok(number) = i64::from_str_radix(&format!("{sign}{body}"), radix) {
        return Some(Value::Integer(number));
    }
    (radix == 10 && is_decimal(digits)).then(|| Value::Decimal(text.to_owned()))
}

/// Tells whether a text is `1`, `1.5`, `.5` or `1.` with an exponent or without.
fn is_decimal(text: &str) -> bool {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.map(|exponent| exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
    digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && exponent.is_none_or(|e| !e.is_empty() && digits(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_schema_reads_as_kubectl_does() {
        let text = |text: &str| Value::Text(text.to_owned());
        let decimal = |text: &str| Value::Decimal(text.to_owned());
        for (plain, value) in [
            ("", Value::Null),
            ("~", Value::Null),
            ("yes", Value::Bool(true)),
            ("y", Value::Bool(true)),
            ("Off", Value::Bool(false)),
            ("yEs", text("yEs")),
            ("0644", Value::Integer(420)),
            ("0o644", Value::Integer(420)),
            ("0x1F", Value::Integer(31)),
            ("0b11", Value::Integer(3)),
            ("1_000", Value::Integer(1000)),
            ("-7", Value::Integer(-7)),
            ("+7", Value::Integer(7)),
            ("089", Value::Integer(89)),
            ("0.5", decimal("0.5")),
            (".5", decimal(".5")),
            ("1e3", decimal("1e3")),
            ("99999999999999999999", decimal("99999999999999999999")),
            ("100m", text("100m")),
            ("1:30", text("1:30")),
            ("-", text("-")),
            ("--1", text("--1")),
            ("1.2.3", text("1.2.3")),
            ("2024-01-02", text("2024-01-02")),
        ] {
            assert_eq!(Schema::Yaml11.resolve(plain), value, "{plain}");
        }
    }

    #[test]
    fn the_new_schema_knows_fewer_words() {
        for (plain, value) in [
            ("yes", Value::Text("yes".into())),
            ("on", Value::Text("on".into())),
            ("true", Value::Bool(true)),
            ("0644", Value::Integer(644)),
            ("0o644", Value::Integer(420)),
            ("0b11", Value::Text("0b11".into())),
            ("1_000", Value::Text("1_000".into())),
        ] {
            assert_eq!(Schema::Yaml12.resolve(plain), value, "{plain}");
        }
    }
}
