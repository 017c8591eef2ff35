//! Which field stands at a place of a Compose file: what is found after decoding knows only where it is
//! written, and is given the field's path here.

use std::collections::{BTreeMap, BTreeSet};

use crate::manifest::node::{Node, Span, Value};
use crate::manifest::sink::Sink;

use super::interpolate;

/// Puts the path of its field before each finding about a place in a tree that names none yet, and drops what was
/// found in a value whose variables could not be put in.
pub fn name_fields(root: &Node, sink: &Sink) {
    let places = sink.spans();
    let mut found = Found { wanted: places.iter().map(|(span, _)| ((span.line, span.column), Vec::new())).collect() };
    if !found.wanted.is_empty() {
        found.look(root, &mut String::new());
    }
    let unread: BTreeSet<Span> = places.into_iter().filter(|(_, rule)| rule == interpolate::RULE).map(|(span, _)| span).collect();
    sink.revise(|span, finding| {
        let here = found.wanted.get(&(span.line, span.column)).into_iter().flatten();
        let paths: Vec<&String> = here.filter(|(file, _)| *file == span.file).map(|(_, path)| path).collect();
        let is_named = span == root.span || paths.iter().any(|path| finding.message.contains(&format!("`{path}")));
        // A map begins where its first key does: the last is the key.
        if let Some(path) = paths.last().filter(|_| !is_named) {
            finding.message = format!("`{path}`: {}", finding.message);
        }
        finding.rule == interpolate::RULE || !unread.contains(&span)
    });
}

/// The paths of what stands at each line and column that is wanted, with the number of its file.
struct Found {
    wanted: BTreeMap<(u32, u32), Vec<(u32, String)>>,
}

impl Found {
    fn look(&mut self, node: &Node, path: &mut String) {
        self.note(node.span, path);
        let length = path.len();
        match &node.value {
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    path.push_str(&format!("[{index}]"));
                    self.look(item, path);
                    path.truncate(length);
                }
            }
            // What is shared by means of an anchor is called as those call it who use it.
            Value::Map(entries) => {
                for (key, value) in entries.iter().filter(|(key, _)| length > 0 || !key.value.starts_with("x-")) {
                    if length > 0 {
                        path.push('.');
                    }
                    path.extend(key.value.chars().flat_map(char::escape_debug));
                    self.note(key.span, path);
                    self.look(value, path);
                    path.truncate(length);
                }
            }
            _ => {}
        }
    }

    fn note(&mut self, span: Span, path: &str) {
        if let Some(paths) = self.wanted.get_mut(&(span.line, span.column)).filter(|_| span.line > 0 && !path.is_empty()) {
            paths.push((span.file, path.to_owned()));
        }
    }
}
