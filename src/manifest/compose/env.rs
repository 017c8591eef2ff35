//! `.env` and `env_file`: lines of `NAME=VALUE`.
//!
//! Double quotes and no quotes interpolate, single quotes do not (Compose specification, "Env_file
//! format"). Values are bounded, because one may be made of others.

use std::collections::BTreeMap;

use crate::manifest::node::Span;
use crate::manifest::sink::Sink;
use crate::manifest::{Entry, Tree};

use super::interpolate::{self, Variables};

/// What to do about a file that cannot be reached.
const INSIDE: &str = "commit the file itself";
/// The longest value; the kernel takes no longer one.
const LONGEST: usize = 128 << 10;

/// Returns the number of a file of the tree.
pub fn number(tree: &Tree, path: &str) -> Option<u32> {
    tree.files.keys().position(|known| known == path).and_then(|at| u32::try_from(at).ok())
}

/// Returns the text of a file of the repository; otherwise says at `span` why there is none.
pub fn file<'a>(tree: &'a Tree, path: &str, span: Span, sink: &Sink) -> Option<&'a str> {
    match tree.files.get(path) {
        Some(Entry::File { bytes, .. }) => match std::str::from_utf8(bytes) {
            Ok(text) => return Some(text.strip_prefix('\u{feff}').unwrap_or(text)),
            Err(_) => sink.error_with("not-text", span, format!("`{path}` is not UTF-8 text"), "save it as UTF-8"),
        },
        other => unreadable(other, path, span, sink),
    }
    None
}

/// Says why there is no file at a path.
pub fn unreadable(entry: Option<&Entry>, path: &str, span: Span, sink: &Sink) {
    let shown = path.escape_debug();
    match entry {
        Some(Entry::TooLarge { size }) => {
            let message = format!("`{shown}` has {size} bytes, more than are read");
            sink.error_with("file-too-large", span, message, "put large files into an image, or into a folder of the host");
        }
        Some(Entry::Lfs) => {
            sink.error_with(
                "git-lfs",
                span,
                format!("`{shown}` is the placeholder of a file that is kept in Git LFS"),
                "fetch it with `git lfs pull`, or commit the file itself",
            );
        }
        Some(Entry::Submodule) => {
            sink.error_with("submodule", span, format!("`{shown}` is in a submodule, which is not read"), INSIDE);
        }
        Some(Entry::Outside { target }) => {
            let message = format!("`{shown}` is a symbolic link to `{target}`, which is outside of the repository");
            sink.error_with("outside-link", span, message, INSIDE);
        }
        Some(Entry::Dangling { target }) => {
            let message = format!("`{shown}` is a symbolic link to `{target}`, which does not exist");
            sink.error_with("dangling-link", span, message, INSIDE);
        }
        _ => sink.error_with(
            "missing-file",
            span,
            format!("there is no file `{shown}` in the application's folder"),
            "commit it, or correct the path: only files of the repository are read",
        ),
    }
}

/// Reads lines of `NAME=VALUE`. `known` is what values may refer to, besides what comes before them; a
/// name without `=` takes its value from there.
pub fn read(text: &str, file: u32, known: &BTreeMap<String, String>, sink: &Sink) -> BTreeMap<String, String> {
    let mut scope = known.clone();
    let mut read = BTreeMap::new();
    let mut left = interpolate::MOST;
    let mut put_in = |text: &str, scope: &BTreeMap<String, String>| {
        let mut variables = Variables::new(scope);
        variables.left = left;
        let value = variables.text(text, 0);
        left = variables.left;
        value
    };
    let mut lines = (1_u32..).zip(text.lines());
    while let Some((line, written)) = lines.next() {
        // Values may be secret, so the line is not shown.
        let span = Span { file, line, column: 1, length: 0 };
        let trimmed = written.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let trimmed = trimmed.strip_prefix("export ").unwrap_or(trimmed);
        let Some((name, value)) = trimmed.split_once(['=', ':']) else {
            if let Some(value) = known.get(trimmed) {
                read.insert(trimmed.to_owned(), value.clone());
            }
            continue;
        };
        let name = name.trim_end();
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
            sink.error_with("bad-variable", span, "this line is not `NAME=VALUE`", "begin remarks with `#`");
            continue;
        }
        let mut value = value.trim_start().to_owned();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        let mut end = None;
        if let Some(quote) = quote {
            // A quoted value may have several lines.
            let mut escaped = false;
            end = end_of_quote(&value, 1, quote, &mut escaped);
            while end.is_none() {
                let Some((_, next)) = lines.next() else { break };
                let from = value.len();
                value.push('\n');
                value.push_str(next);
                end = end_of_quote(&value, from, quote, &mut escaped);
            }
        }
        let value = match (quote, end) {
            (Some('\''), Some(end)) => Ok(value[1..end].replace("\\'", "'")),
            (Some(_), Some(end)) => put_in(&unescape(&value[1..end]), &scope),
            (Some(_), None) => Err("a quote is not closed".to_owned()),
            (None, _) => put_in(without_comment(&value), &scope),
        };
        match value {
            Ok(value) if value.len() > LONGEST => sink.error("too-large", span, format!("the value of `{name}` has more than 128 KiB")),
            Ok(value) => {
                // What was granted wins over what a file says.
                scope.entry(name.to_owned()).or_insert_with(|| value.clone());
                read.insert(name.to_owned(), value);
            }
            Err(problem) => {
                let message = format!("the value of `{name}` cannot be read: {problem}");
                sink.error_with("bad-variable", span, message, "put a value that is to be taken as it is in single quotes");
            }
        }
    }
    read
}

/// Returns where a quote ends, looking from a place on: what comes before was looked at, and tells only
/// whether the next character is `escaped`.
fn end_of_quote(value: &str, from: usize, quote: char, escaped: &mut bool) -> Option<usize> {
    value.get(from..)?.char_indices().find_map(|(at, c)| {
        let ends = c == quote && !*escaped;
        *escaped = c == '\\' && !*escaped;
        ends.then_some(from + at)
    })
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some('t') => out.push('\t'),
                Some('$') => out.push_str("$$"),
                Some(c @ ('"' | '\\')) => out.push(c),
                Some(c) => out.extend(['\\', c]),
                None => out.push('\\'),
            },
            (c, false) => out.push(c),
        }
    }
    out
}

/// A `#` after white space begins a comment.
fn without_comment(value: &str) -> &str {
    let end = value.match_indices('#').find(|(at, _)| value[..*at].ends_with(char::is_whitespace)).map_or(value.len(), |(at, _)| at);
    value[..end].trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_compose_does() {
        let text = "# comment\nA=1\nexport B = two words # comment\nC='$A' \nD=\"x\\n${A}\"\nE=${A}${B}\nF=\nG\nH=a#b\nI: colon\n";
        let known = BTreeMap::from([("G".to_owned(), "granted".to_owned())]);
        let sink = Sink::new(vec![".env".to_owned()]);
        let read = read(text, 0, &known, &sink);
        let pairs: Vec<String> = read.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let expected = ["A=1", "B=two words", "C=$A", "D=x\n1", "E=1two words", "F=", "G=granted", "H=a#b", "I=colon"];
        assert_eq!(pairs, expected);
        assert_eq!(sink.errors(), 0);
    }

    #[test]
    fn values_that_grow_without_end_are_refused() {
        let mut text = "A0=xxxxxxxxxxxxxxxx\n".to_owned();
        for index in 1..40 {
            text.push_str(&format!("A{index}=$A{0}$A{0}\n", index - 1));
        }
        let sink = Sink::new(vec![".env".to_owned()]);
        let _ = read(&text, 0, &BTreeMap::new(), &sink);
        assert!(sink.errors() > 0);
    }
}
