//! The text of rules, looked at where the interpreter falls short.
//!
//! It does not find functions through an `import`, and `with` does not reach rules through one: imported names
//! are written out before. And it does not look for functions that call themselves, which Rego forbids and
//! which would take the whole process down: their calls are read here.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::rules::Definition;

/// Writes imported names out: with `import data.lib as l`, `l.f` becomes `data.lib.f`. Lines stay where they are.
pub(super) fn written_out(text: &str) -> String {
    let imports: BTreeMap<&str, &str> = text.lines().filter_map(import).collect();
    if imports.is_empty() {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for range in words(text) {
        let word = &text[range.clone()];
        let first = word.split('.').next().unwrap_or(word);
        let line = text[..range.start].rfind('\n').map_or(0, |at| at + 1);
        let declares = text[line..].trim_start().starts_with("import ");
        if let Some(path) = imports.get(first).filter(|_| !declares) {
            out.push_str(&text[done..range.start]);
            out.push_str(path);
            done = range.start + first.len();
        }
    }
    out.push_str(&text[done..]);
    out
}

/// Reads a line that imports data or a part of the input: the name it is given, and its path.
fn import(line: &str) -> Option<(&str, &str)> {
    let mut parts = line.split('#').next()?.split_whitespace();
    let path = Some(parts.next()?).filter(|word| *word == "import").and_then(|_| parts.next())?;
    if !path.starts_with("data.") && !path.starts_with("data[") && !path.starts_with("input.") {
        return None;
    }
    let last = path.rsplit(['.', '[']).next()?.trim_matches([']', '"']);
    Some((if parts.next() == Some("as") { parts.next()? } else { last }, path))
}

/// Returns the first function that can come to call itself, by position.
pub(super) fn recursion(definitions: &[Definition]) -> Option<usize> {
    let mut calls: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for one in definitions.iter().filter(|one| one.function) {
        let called = called(&one.text).into_iter().map(|call| match call.starts_with("data.") {
            true => call,
            false => format!("{}.{call}", one.package),
        });
        calls.entry(one.path()).or_default().extend(called);
    }
    definitions.iter().position(|one| {
        let start = one.path();
        let mut open: Vec<&String> = calls.get(&start).filter(|_| one.function).into_iter().flatten().collect();
        let mut seen = BTreeSet::new();
        while let Some(next) = open.pop() {
            if *next == start {
                return true;
            }
            if seen.insert(next) {
                open.extend(calls.get(next).into_iter().flatten());
            }
        }
        false
    })
}

/// Returns the names that are called in a function, whose own head is no call.
fn called(text: &str) -> BTreeSet<String> {
    let calls = words(text).into_iter().skip(1).filter(|range| text[range.end..].starts_with('('));
    calls.map(|range| text[range].to_owned()).collect()
}

/// Returns the names in a text, with the dots in them, without those in strings and comments.
fn words(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut word: Option<usize> = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if c.is_alphanumeric() || matches!(c, '_' | '.') {
            word.get_or_insert(at);
            continue;
        }
        found.extend(word.take().map(|start| start..at));
        match c {
            '"' => {
                while let Some((_, inside)) = chars.next().filter(|(_, inside)| *inside != '"') {
                    if inside == '\\' {
                        chars.next();
                    }
                }
            }
            '`' => drop(chars.find(|(_, inside)| *inside == '`')),
            '#' => drop(chars.find(|(_, inside)| *inside == '\n')),
            _ => {}
        }
    }
    found.extend(word.map(|start| start..text.len()));
    // What begins with a dot is a field of what stands before it.
    found.retain(|range| !text[range.clone()].starts_with('.'));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_without_strings_comments_and_fields() {
        let text = "f(x) := y if { # g(x)\n a := h(x); b := \"i(\\\" j(\"; c := `k(`; data.lib.l(c); x[0].m(1); not n(a) }";
        assert_eq!(called(text).into_iter().collect::<Vec<_>>(), ["data.lib.l", "h", "n"]);
    }

    #[test]
    fn imported_names_are_written_out() {
        let text = "package main\nimport rego.v1\nimport data.lib\nimport data[\"a-b\"].c as d # e\nimport input.spec\n\
                    deny contains lib.f(d.g, \"lib.f\") if x.lib.y == lib # lib.f\nspec.a";
        let expected = "package main\nimport rego.v1\nimport data.lib\nimport data[\"a-b\"].c as d # e\nimport input.spec\n\
                        deny contains data.lib.f(data[\"a-b\"].c.g, \"lib.f\") if x.lib.y == data.lib # lib.f\ninput.spec.a";
        assert_eq!(written_out(text), expected);
    }
}
