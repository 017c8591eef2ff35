//! Interpolation: `$NAME` and `${NAME…}` in values, as the Compose specification has it.
//!
//! It sees what it is handed and nothing else: never the environment of this process.

use std::collections::{BTreeMap, BTreeSet};

use crate::manifest::node::{Node, Span, Value};
use crate::manifest::sink::Sink;

/// So deep may braces be nested.
const DEEPEST: usize = 20;

/// So many bytes may all variables come to that are put into one file: a few of them, each made of others
/// before it, would otherwise fill any memory.
pub const MOST: usize = 16 << 20;

/// The rule of what cannot be put in.
pub const RULE: &str = "interpolation";
/// What is said of a variable that must be set.
const REQUIRED: &str = "is required";
/// Where a variable comes from.
const SET: &str = "set it in the repository's `.env` or in the Application's `variables`";

/// What interpolation may see.
pub struct Variables<'a> {
    values: &'a BTreeMap<String, String>,
    /// Bytes that may still be put in.
    pub left: usize,
    /// Names that were asked for and are not there; each is reported once.
    missing: BTreeSet<String>,
}

impl<'a> Variables<'a> {
    /// Returns the variables with these values.
    pub fn new(values: &'a BTreeMap<String, String>) -> Self {
        Variables { values, left: MOST, missing: BTreeSet::new() }
    }

    /// Replaces variables in all texts of a tree.
    pub fn replace(&mut self, node: &mut Node, sink: &Sink) {
        match &mut node.value {
            Value::Text(text) if text.contains('$') => match self.text(text, 0) {
                Ok(replaced) => {
                    self.report(node.span, sink);
                    *text = replaced;
                }
                Err(problem) if self.left == 0 => sink.error_with("too-large", node.span, problem, "mount large texts as files"),
                Err(problem) => {
                    let hint = if problem.contains(REQUIRED) { SET } else { "write `$$` for a dollar sign" };
                    sink.error_with(RULE, node.span, problem, hint);
                }
            },
            Value::List(items) => items.iter_mut().for_each(|item| self.replace(item, sink)),
            Value::Map(entries) => entries.iter_mut().for_each(|(_, value)| self.replace(value, sink)),
            _ => {}
        }
    }

    fn report(&mut self, span: Span, sink: &Sink) {
        for name in std::mem::take(&mut self.missing) {
            let message = format!("the variable `{name}` is not set; it is replaced by nothing");
            sink.warning("undefined-variable", span, message, format!("{SET}, or give a default: `${{NAME:-default}}`"));
        }
    }

    /// Returns a text with its variables replaced.
    pub fn text(&mut self, text: &str, depth: usize) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                out.push('$');
                rest = after;
            } else if let Some(after) = rest.strip_prefix('{') {
                let end = closing(after).ok_or_else(|| "a `${` is not closed".to_owned())?;
                out.push_str(&self.braces(&after[..end], depth)?);
                rest = &after[end + 1..];
            } else {
                let end = name_end(rest);
                if end == 0 {
                    return Err("a `$` is followed by no name".to_owned());
                }
                out.push_str(&self.value(&rest[..end])?);
                rest = &rest[end..];
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    fn value(&mut self, name: &str) -> Result<String, String> {
        let Some(value) = self.values.get(name) else {
            self.missing.insert(name.to_owned());
            return Ok(String::new());
        };
        self.spend(value.len())?;
        Ok(value.clone())
    }

    fn spend(&mut self, bytes: usize) -> Result<(), String> {
        let left = self.left.checked_sub(bytes);
        self.left = left.unwrap_or(0);
        left.map(|_| ()).ok_or_else(|| format!("with its variables put in, the file has more than {} MiB", MOST >> 20))
    }

    fn braces(&mut self, inner: &str, depth: usize) -> Result<String, String> {
        if depth > DEEPEST {
            return Err(format!("variables are nested more than {DEEPEST} deep"));
        }
        let end = name_end(inner);
        let (name, operation) = inner.split_at(end);
        if name.is_empty() {
            return Err(format!("`${{{}}}` names no variable", inner.escape_debug()));
        }
        if operation.is_empty() {
            return self.value(name);
        }
        let value = self.values.get(name).cloned();
        self.spend(value.as_ref().map_or(0, String::len))?;
        let filled = value.clone().filter(|value| !value.is_empty());
        let (operator, word) = match operation.strip_prefix(':') {
            Some(rest) => (rest.chars().next(), rest.get(1..).unwrap_or_default()),
            None => (operation.chars().next(), operation.get(1..).unwrap_or_default()),
        };
        let value = if operation.starts_with(':') { filled } else { value };
        match operator {
            Some('-') => value.map_or_else(|| self.text(word, depth + 1), Ok),
            Some('+') => value.map_or(Ok(String::new()), |_| self.text(word, depth + 1)),
            Some('?') => match value {
                Some(value) => Ok(value),
                None => {
                    let word = self.text(word, depth + 1)?;
                    let word = if word.is_empty() { "it is not set".to_owned() } else { word };
                    Err(format!("the variable `{name}` {REQUIRED}: {word}"))
                }
            },
            _ => Err(format!("`${{{}}}` is not understood", inner.escape_debug())),
        }
    }
}

fn name_end(text: &str) -> usize {
    let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !first {
        return 0;
    }
    text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len())
}

/// Returns where the brace closes that opened before a text.
fn closing(text: &str) -> Option<usize> {
    let mut open = 0;
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'$' if bytes.get(at + 1) == Some(&b'{') => {
                open += 1;
                at += 1;
            }
            b'}' if open == 0 => return Some(at),
            b'}' => open -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The Compose specification, "Interpolation", with `SET=set` and `EMPTY=`.
    #[test]
    fn every_form_means_what_the_specification_says() {
        let values = BTreeMap::from([("SET".to_owned(), "set".to_owned()), ("EMPTY".to_owned(), String::new())]);
        for (text, expected) in [
            ("$SET-x", Ok("set-x")),
            ("${SET}x", Ok("setx")),
            ("${NONE}", Ok("")),
            ("${SET:-d}|${EMPTY:-d}|${NONE:-d}", Ok("set|d|d")),
            ("${SET-d}|${EMPTY-d}|${NONE-d}", Ok("set||d")),
            ("${SET:+r}|${EMPTY:+r}|${NONE:+r}", Ok("r||")),
            ("${SET+r}|${EMPTY+r}|${NONE+r}", Ok("r|r|")),
            ("${EMPTY?e}", Ok("")),
            ("${NONE?oh}", Err("the variable `NONE` is required: oh")),
            ("${EMPTY:?}", Err("the variable `EMPTY` is required: it is not set")),
            ("${NONE:-${SET:-x}}y", Ok("sety")),
            ("${NONE:-a${NONE-b}c}", Ok("abc")),
            ("$$SET $${SET}", Ok("$SET ${SET}")),
            ("${SET", Err("a `${` is not closed")),
            ("a$", Err("a `$` is followed by no name")),
            ("${1}", Err("`${1}` names no variable")),
            ("${SET!x}", Err("`${SET!x}` is not understood")),
        ] {
            let replaced = Variables::new(&values).text(text, 0);
            assert_eq!(replaced.as_deref().map_err(String::as_str), expected, "{text}");
        }
    }

    #[test]
    fn nesting_has_an_end() {
        let text = format!("{}x{}", "${NONE:-".repeat(1000), "}".repeat(1000));
        assert!(Variables::new(&BTreeMap::new()).text(&text, 0).is_err());
    }
}
