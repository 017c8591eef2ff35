//! A file and its `.override`: two trees to one, by the rules of the Compose specification, "Merge".
//!
//! Maps are merged key by key, single values are replaced, lists are appended. Every value keeps the
//! place where it is written.

use std::collections::BTreeMap;

use crate::manifest::node::{Located, Node, Value};

/// Merges what `over` says into `base`.
pub fn merge(base: Node, over: Node) -> Node {
    at(base, over, &mut Vec::new())
}

/// Merges what a service says into the one that it extends.
pub fn service(base: Node, own: Node, name: &str) -> Node {
    at(base, own, &mut vec!["services".to_owned(), name.to_owned()])
}

/// Merges labels into others.
pub fn labels(base: Node, own: Node) -> Node {
    at(base, own, &mut vec!["services".to_owned(), String::new(), "labels".to_owned()])
}

fn at(base: Node, over: Node, path: &mut Vec<String>) -> Node {
    if over.is_null() {
        return base;
    }
    let key = path.last().map(String::as_str).unwrap_or_default();
    let in_service = path.len() == 3 && path[0] == "services";
    // A command is one value, and so is a health check's.
    if in_service && matches!(key, "command" | "entrypoint") || path.len() == 4 && key == "test" {
        return over;
    }
    let named = in_service && matches!(key, "environment" | "labels" | "extra_hosts" | "sysctls" | "depends_on" | "networks");
    let (base, over) = if named { (as_map(base, key), as_map(over, key)) } else { (base, over) };
    match (base.value, over.value) {
        (Value::Map(base_entries), Value::Map(over_entries)) => {
            Node { value: Value::Map(maps(base_entries, over_entries, path)), span: base.span }
        }
        (Value::List(items), Value::List(more)) => Node { value: Value::List(lists(items, more, key)), span: base.span },
        (_, value) => Node { value, span: over.span },
    }
}

fn maps(
    mut base: Vec<(Located<String>, Node)>,
    over: Vec<(Located<String>, Node)>,
    path: &mut Vec<String>,
) -> Vec<(Located<String>, Node)> {
    let mut known: BTreeMap<String, usize> = base.iter().enumerate().map(|(index, (key, _))| (key.value.clone(), index)).collect();
    for (key, value) in over {
        path.push(key.value.clone());
        match known.get(&key.value).and_then(|index| base.get_mut(*index)) {
            Some((_, old)) => {
                let taken = std::mem::replace(old, Node { value: Value::Null, span: key.span });
                *old = at(taken, value, path);
            }
            None => {
                known.insert(key.value.clone(), base.len());
                base.push((key, value));
            }
        }
        path.pop();
    }
    base
}

/// Appends a list; what mounts at the same place, or says the same, is replaced.
fn lists(mut base: Vec<Node>, over: Vec<Node>, key: &str) -> Vec<Node> {
    let same = |item: &Node| match key {
        "volumes" | "devices" | "configs" | "secrets" => target(item),
        _ => Some(plain(item)),
    };
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for (index, item) in base.iter().enumerate() {
        known.extend(same(item).map(|name| (name, index)).filter(|(name, _)| !known.contains_key(name)));
    }
    for item in over {
        let name = same(&item);
        match name.as_ref().and_then(|name| known.get(name)).and_then(|index| base.get_mut(*index)) {
            Some(old) => *old = item,
            None => {
                known.extend(name.map(|name| (name, base.len())));
                base.push(item);
            }
        }
    }
    base
}

/// Returns where an item of a list of mounts ends up.
fn target(item: &Node) -> Option<String> {
    let text = |node: &Node| node.as_text().map(str::to_owned);
    match &item.value {
        Value::Map(_) => item.get("target").and_then(text).or_else(|| item.get("source").and_then(text)),
        Value::Text(written) => Some(written.split(':').nth(1).unwrap_or(written).to_owned()),
        _ => None,
    }
}

/// Returns what an item says, without its place.
pub fn plain(node: &Node) -> String {
    match &node.value {
        Value::List(items) => items.iter().map(plain).collect::<Vec<_>>().join("\n"),
        Value::Map(entries) => entries.iter().map(|(key, node)| format!("{}={}", key.value, plain(node))).collect::<Vec<_>>().join("\n"),
        value => format!("{value:?}"),
    }
}

/// Returns a list of names, or of `NAME=VALUE`, as the map that it stands for.
fn as_map(node: Node, key: &str) -> Node {
    let Value::List(items) = node.value else { return node };
    let entry = |item: Node| {
        let text = item.as_text()?.to_owned();
        let split = match key {
            "depends_on" | "networks" => None,
            "extra_hosts" => text.split_once(['=', ':']),
            _ => text.split_once('='),
        };
        let (name, value) = match split {
            Some((name, value)) => (name.to_owned(), Value::Text(value.to_owned())),
            None => (text, Value::Null),
        };
        Some((Located { value: name, span: item.span }, Node { value, span: item.span }))
    };
    Node { value: Value::Map(items.into_iter().filter_map(entry).collect()), span: node.span }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{load::load, scalar::Schema, sink::Sink};

    fn read(text: &str) -> Node {
        let sink = Sink::new(vec!["a".to_owned()]);
        let node = load(text.as_bytes(), 0, Schema::Yaml12, &sink).remove(0);
        assert_eq!(sink.errors(), 0);
        node
    }

    #[test]
    fn lists_are_appended_and_single_values_replaced() {
        let base = "services: { web: { image: a, command: [x, y], ports: ['1:1'], environment: [A=1, B=2], volumes: ['d:/d', 'e:/e'] } }";
        let over = "services: { web: { image: b, command: [z], ports: ['2:2', '1:1'], environment: { B: '3' }, volumes: ['f:/d:ro'] } }";
        let expected = "services: { web: { image: b, command: [z], ports: ['1:1', '2:2'], environment: { A: '1', B: '3' }, \
                        volumes: ['f:/d:ro', 'e:/e'] } }";
        assert_eq!(plain(&merge(read(base), read(over))), plain(&read(expected)));
    }
}
