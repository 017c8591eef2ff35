//! What rules are given, and what they answer: a document as a value of Rego, and a field's path back to
//! its place in the file.

use std::collections::BTreeMap;

use regorus::Value;

use crate::manifest::node::{self, Node, Span};

/// What stands for the values of a Secret: no rule can give away what it does not have.
const HIDDEN: &str = "<secret>";

/// Returns a document as rules see it; what a Secret holds is replaced, its keys are kept.
pub(super) fn value(node: &Node) -> Value {
    let secret = node.get("kind").and_then(Node::as_text) == Some("Secret");
    match &node.value {
        node::Value::Map(entries) if secret => object(entries.iter().map(|(key, node)| {
            let value = if matches!(key.value.as_str(), "data" | "stringData") { hidden(node) } else { plain(node) };
            (key.value.as_str(), value)
        })),
        _ => plain(node),
    }
}

fn plain(node: &Node) -> Value {
    match &node.value {
        node::Value::Null => Value::Null,
        node::Value::Bool(flag) => Value::from(*flag),
        node::Value::Integer(number) => Value::from(*number),
        // `.inf` and its like are no numbers of JSON.
        node::Value::Decimal(number) => Value::from_numeric_string(number).unwrap_or_else(|_| Value::from(number.as_str())),
        node::Value::Text(text) => Value::from(text.as_str()),
        node::Value::List(items) => Value::from(items.iter().map(plain).collect::<Vec<_>>()),
        node::Value::Map(entries) => object(entries.iter().map(|(key, node)| (key.value.as_str(), plain(node)))),
    }
}

fn hidden(node: &Node) -> Value {
    match &node.value {
        node::Value::Map(entries) => object(entries.iter().map(|(key, _)| (key.value.as_str(), Value::from(HIDDEN)))),
        _ => Value::from(HIDDEN),
    }
}

/// Returns an object of some entries.
pub(super) fn object<'a>(entries: impl Iterator<Item = (&'a str, Value)>) -> Value {
    Value::from(entries.map(|(key, value)| (Value::from(key), value)).collect::<BTreeMap<_, _>>())
}

/// One part of a path.
#[derive(Debug, PartialEq)]
enum Part {
    Key(String),
    Index(usize),
}

/// Returns where a field stands, or what is nearest to it: where it would have to be written.
pub(super) fn span(document: &Node, path: &Value) -> Span {
    let mut span = start(document);
    let mut node = document;
    for part in parts(path) {
        let found = match (&node.value, &part) {
            (node::Value::Map(entries), Part::Key(key)) => {
                entries.iter().find(|(name, _)| name.value == *key).map(|(name, node)| (name.span, node))
            }
            (node::Value::List(items), Part::Index(index)) => items.get(*index).map(|item| (item.span, item)),
            _ => None,
        };
        let Some((key, below)) = found else { break };
        let scalar = !matches!(below.value, node::Value::Map(_) | node::Value::List(_));
        (span, node) = (if scalar { below.span } else { key }, below);
    }
    span
}

/// Returns where a finding about a document as a whole points: at its name, if it has one.
fn start(document: &Node) -> Span {
    let name = document.get("metadata").and_then(|metadata| metadata.get("name"));
    name.map_or(document.span, |name| name.span)
}

/// Reads a path: a list of keys and positions, or a text as in `spec.containers[0].image`.
fn parts(path: &Value) -> Vec<Part> {
    if let Ok(items) = path.as_array() {
        let part = |item: &Value| match item.as_string() {
            Ok(key) => Some(Part::Key(key.to_string())),
            Err(_) => usize::try_from(item.as_u64().ok()?).ok().map(Part::Index),
        };
        return items.iter().map_while(part).collect();
    }
    let text = path.as_string().map(ToString::to_string).unwrap_or_default();
    let mut parts = Vec::new();
    for segment in text.split('.') {
        let (key, indexes) = segment.split_once('[').unwrap_or((segment, ""));
        if !key.is_empty() {
            parts.push(Part::Key(key.to_owned()));
        }
        for index in indexes.split('[').filter(|index| !index.is_empty()) {
            let index = index.trim_end_matches(']').trim_matches('"');
            parts.push(index.parse().map_or_else(|_| Part::Key(index.to_owned()), Part::Index));
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{load::load, scalar::Schema, sink::Sink};

    fn read(text: &str) -> Node {
        let sink = Sink::new(vec!["a.yaml".to_owned()]);
        load(text.as_bytes(), 0, Schema::Yaml11, &sink).remove(0)
    }

    #[test]
    fn a_path_leads_to_its_field_or_to_what_is_nearest() {
        let document = read("kind: Pod\nmetadata:\n  name: web\nspec:\n  containers:\n    - name: a\n      image: b\n");
        for (path, line, column) in [
            (r#"["spec", "containers", 0, "image"]"#, 7, 14),
            (r#""spec.containers[0].image""#, 7, 14),
            (r#""spec.containers[0].resources.limits""#, 6, 7),
            (r#""spec.containers[7]""#, 5, 3),
            (r#""spec""#, 4, 1),
            (r#""status""#, 3, 9),
            (r#""""#, 3, 9),
            ("null", 3, 9),
        ] {
            let span = span(&document, &Value::from_json_str(path).expect("JSON"));
            assert_eq!((span.line, span.column), (line, column), "{path}");
        }
    }

    #[test]
    fn a_secret_is_given_without_its_values() {
        let secret = read("kind: Secret\nmetadata: { name: a }\nstringData: { password: canary }\ndata: { key: Y2FuYXJ5 }\n");
        let json = value(&secret).to_json_str().expect("JSON");
        assert!(!json.contains("canary") && !json.contains("Y2FuYXJ5"), "{json}");
        assert!(json.contains("password") && json.contains("key"), "{json}");
        assert_eq!(
            value(&read("a: [1, 1.5, yes, ~, .inf]")).to_json_str().unwrap().replace([' ', '\n'], ""),
            r#"{"a":[1,1.5,true,null,".inf"]}"#
        );
    }
}
