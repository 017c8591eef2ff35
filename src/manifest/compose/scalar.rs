//! Values as Compose reads them: it takes a number where a text is due, and a text where a number is
//! due, because interpolation only makes texts.

use std::time::Duration;

use crate::manifest::cursor::{Cursor, Fields};
use crate::manifest::node::{Located, Value};
use crate::time::parse_duration;

/// Returns the text that a scalar is written as.
pub fn text(cursor: &Cursor<'_>) -> Option<Located<String>> {
    let value = match &cursor.node().value {
        Value::Bool(flag) => flag.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Decimal(number) => number.clone(),
        _ => return cursor.text(),
    };
    Some(Located { value, span: cursor.node().span })
}

/// Returns the text of an optional field, unless it is empty.
pub fn text_of(fields: &mut Fields<'_>, name: &'static str) -> Option<String> {
    Some(text(&fields.get(name)?)?.value).filter(|text| !text.is_empty())
}

/// Returns the boolean that a scalar is.
pub fn flag(cursor: &Cursor<'_>) -> Option<bool> {
    match cursor.node().as_text() {
        Some("true") => Some(true),
        Some("false") => Some(false),
        _ => cursor.flag(),
    }
}

/// Returns a boolean field; absent means false.
pub fn flag_of(fields: &mut Fields<'_>, name: &'static str) -> bool {
    fields.get(name).and_then(|field| flag(&field)).unwrap_or(false)
}

/// Returns the whole number that a scalar is, if it is in a range.
pub fn integer(cursor: &Cursor<'_>, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
    match cursor.node().as_text().and_then(|text| text.parse::<i64>().ok()) {
        Some(number) if range.contains(&number) => Some(number),
        Some(number) => {
            cursor.error("out-of-range", format!("is {number}, but must be from {} to {}", range.start(), range.end()));
            None
        }
        None => cursor.integer(range),
    }
}

/// Returns a duration: `1m30s`, `500ms`.
pub fn duration(cursor: &Cursor<'_>) -> Option<Duration> {
    let text = text(cursor)?;
    let duration = parse_duration(&text.value);
    if duration.is_none() {
        cursor.error_with(
            "bad-duration",
            format!("is not a duration: `{}`", text.value.escape_debug()),
            "write it as `10s`, `1m30s` or `500ms`",
        );
    }
    duration
}

/// Returns a number of bytes: `64m`, `1gb`, `2048`.
pub fn bytes(cursor: &Cursor<'_>) -> Option<u64> {
    let text = text(cursor)?.value;
    let lower = text.trim().to_ascii_lowercase();
    let split = lower.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(lower.len());
    let (number, unit) = lower.split_at(split);
    let factor = match unit.trim() {
        "" | "b" => Some(1_u64),
        "k" | "kb" | "kib" => Some(1 << 10),
        "m" | "mb" | "mib" => Some(1 << 20),
        "g" | "gb" | "gib" => Some(1 << 30),
        "t" | "tb" | "tib" => Some(1 << 40),
        _ => None,
    };
    let bytes = factor.zip(number.parse::<f64>().ok()).map(|(factor, number)| (number * factor as f64) as u64);
    if bytes.is_none() {
        cursor.error_with("bad-size", format!("is not a size: `{}`", text.escape_debug()), "write it as `64m`, `1.5g` or `4096`");
    }
    bytes
}

/// Returns billionths of a core: `0.5`.
pub fn cores(cursor: &Cursor<'_>) -> Option<u64> {
    let text = text(cursor)?.value;
    let cores = text.parse::<f64>().ok().filter(|cores| *cores >= 0.0 && *cores < 1e6);
    if cores.is_none() {
        cursor.error_with("bad-number", format!("is not a number of cores: `{}`", text.escape_debug()), "write it as `0.5` or `2`");
    }
    cores.map(|cores| (cores * 1e9).round() as u64)
}

/// Returns the texts of a list, or of one text.
pub fn texts(cursor: &Cursor<'_>) -> Vec<Located<String>> {
    match &cursor.node().value {
        Value::List(_) => cursor.items().iter().filter_map(text).collect(),
        _ => text(cursor).into_iter().collect(),
    }
}

/// Returns the texts of a field, without their places.
pub fn texts_of(fields: &mut Fields<'_>, name: &'static str) -> Vec<String> {
    fields.get(name).map(|field| texts(&field)).unwrap_or_default().into_iter().map(|text| text.value).collect()
}

/// Returns names and values of a map, or of a list of `NAME=VALUE`; a name alone has no value.
pub fn pairs(cursor: &Cursor<'_>) -> Vec<(Located<String>, Option<String>)> {
    if let Value::List(_) = cursor.node().value {
        let items = cursor.items();
        let pair = |text: Located<String>| match text.value.split_once('=') {
            Some((name, value)) => (Located { value: name.to_owned(), span: text.span }, Some(value.to_owned())),
            None => (text, None),
        };
        return items.iter().filter_map(text).map(pair).collect();
    }
    let value = |(key, value): (&Located<String>, Cursor<'_>)| match value.node().is_null() {
        true => Some((key.clone(), None)),
        false => Some((key.clone(), Some(text(&value)?.value))),
    };
    cursor.entries().into_iter().filter_map(value).collect()
}

/// Returns the names and values of a field.
pub fn pairs_of(fields: &mut Fields<'_>, name: &'static str) -> Vec<(Located<String>, Option<String>)> {
    fields.get(name).map(|field| pairs(&field)).unwrap_or_default()
}

/// Splits a text into words as a shell does, with quotes and backslashes but nothing else.
pub fn words(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err("a quote `'` is not closed"),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some('\\') => match chars.next() {
                            Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                            Some(c) => word.extend(['\\', c]),
                            None => return Err("a quote `\"` is not closed"),
                        },
                        Some(c) => word.push(c),
                        None => return Err("a quote `\"` is not closed"),
                    }
                }
            }
            '\\' => match chars.next() {
                Some(c) => word.get_or_insert_default().push(c),
                None => return Err("it ends with a backslash"),
            },
            c if c.is_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Returns the words of a command: a list is taken as it is, a text is split as a shell does. An empty
/// list or text replaces the image's by nothing.
pub fn command(cursor: &Cursor<'_>) -> Option<Vec<String>> {
    match &cursor.node().value {
        Value::List(_) => Some(texts(cursor).into_iter().map(|word| word.value).collect()),
        _ => match words(&text(cursor)?.value) {
            Ok(words) => Some(words),
            Err(problem) => {
                cursor.error_with("bad-command", format!("cannot be split into words: {problem}"), "write it as a list of words");
                None
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_a_shell() {
        let split = |text: &str| words(text).map(|words| words.join("|"));
        assert_eq!(split(r#"sh -c 'echo "$A"  b' c\ d """#), Ok(r#"sh|-c|echo "$A"  b|c d|"#.to_owned()));
        assert_eq!(split(r#"a "b\"c" "\n""#), Ok(r#"a|b"c|\n"#.to_owned()));
        assert!(split("a 'b").is_err());
    }
}
