//! Relative paths of a Compose file that stands in a folder of the application's: they begin where the file is, and
//! are made to begin at the application's folder.

use crate::manifest::node::{Node, Value};

/// Puts a folder before all relative paths of a file.
pub fn rebase(root: &mut Node, folder: &str) {
    if folder.is_empty() {
        return;
    }
    each(root, "services", |service| {
        one(service, "env_file", |node| paths(node, folder));
        one(service, "label_file", |node| paths(node, folder));
        one(service, "extends", |node| one(node, "file", |file| path(file, folder)));
        one(service, "volumes", |node| {
            let Value::List(items) = &mut node.value else { return };
            for item in items {
                match &mut item.value {
                    Value::Text(text) => source(text, folder),
                    _ => one(item, "source", |node| {
                        if let Value::Text(text) = &mut node.value {
                            source(text, folder);
                        }
                    }),
                }
            }
        });
    });
    for section in ["configs", "secrets"] {
        each(root, section, |entry| one(entry, "file", |file| path(file, folder)));
    }
    one(root, "include", |node| {
        let Value::List(items) = &mut node.value else { return };
        for item in items {
            match &item.value {
                Value::Text(_) => path(item, folder),
                _ => ["path", "project_directory", "env_file"].into_iter().for_each(|key| one(item, key, |node| paths(node, folder))),
            }
        }
    });
}

/// A mount's source is a path if it says so.
fn source(text: &mut String, folder: &str) {
    if text.starts_with('.') {
        *text = format!("./{folder}/{text}");
    }
}

/// A path, a list of them, or of maps with `path`.
fn paths(node: &mut Node, folder: &str) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| paths(item, folder)),
        Value::Map(_) => one(node, "path", |node| path(node, folder)),
        _ => path(node, folder),
    }
}

fn path(node: &mut Node, folder: &str) {
    if let Value::Text(text) = &mut node.value
        && !text.starts_with('/')
    {
        *text = format!("{folder}/{text}");
    }
}

fn one(node: &mut Node, key: &str, change: impl FnOnce(&mut Node)) {
    if let Value::Map(entries) = &mut node.value
        && let Some((_, value)) = entries.iter_mut().find(|(known, _)| known.value == key)
    {
        change(value);
    }
}

fn each(root: &mut Node, section: &str, change: impl Fn(&mut Node)) {
    one(root, section, |node| {
        if let Value::Map(entries) = &mut node.value {
            entries.iter_mut().for_each(|(_, value)| change(value));
        }
    });
}
