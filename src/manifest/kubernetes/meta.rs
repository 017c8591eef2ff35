//! `metadata`: names, labels, annotations.

use std::collections::BTreeMap;

use crate::manifest::cursor::{Cursor, Fields};
use crate::manifest::node::{Located, Span};
use crate::name::{self, Kind, Name, NameError, ObjectId};

/// What every object says of itself.
#[derive(Debug, Clone)]
pub struct Meta {
    /// Its id, unless its name is missing or wrong.
    pub id: Option<ObjectId>,
    /// Where its name is written.
    pub span: Span,
    /// Its annotations.
    pub annotations: Vec<(Located<String>, Located<String>)>,
}

/// What a cluster writes into objects.
const FROM_A_CLUSTER: &str = "a cluster writes it; leave it out of the manifest";

/// Decodes an object's `metadata`.
pub fn decode(object: &mut Fields<'_>, kind: Kind, namespace: &Name) -> Meta {
    let nameless = Meta { id: None, span: object.cursor().span(), annotations: Vec::new() };
    let Some(field) = object.require("metadata") else { return nameless };
    let meta = field.fields(|fields| {
        let name = match fields.get("generateName") {
            Some(generated) => {
                let hint = "give the object a `name`, so that every commit means the same one";
                generated.error_with("unsupported-field", "is not supported", hint);
                fields.get("name")
            }
            None => fields.require("name"),
        };
        let span = name.as_ref().map_or(field.span(), |name| name.node().span);
        let name = name.and_then(|name| object_name(&name, kind));
        let namespace = match fields.get("namespace") {
            Some(field) if kind == Kind::Namespace => {
                field.error("unsupported-field", "has no meaning: a Namespace is in no namespace");
                None
            }
            Some(field) => checked(&field, name::dns_label),
            None => Some(namespace.clone()),
        };
        labels(fields);
        let annotations = annotations(fields);
        fields.refuse(&[
            ("finalizers", "what is removed from Git is removed without further conditions"),
            ("ownerReferences", "an object belongs to the application whose folder it is in"),
            ("creationTimestamp", FROM_A_CLUSTER),
            ("deletionTimestamp", FROM_A_CLUSTER),
            ("deletionGracePeriodSeconds", FROM_A_CLUSTER),
            ("uid", FROM_A_CLUSTER),
            ("resourceVersion", FROM_A_CLUSTER),
            ("generation", FROM_A_CLUSTER),
            ("managedFields", FROM_A_CLUSTER),
            ("selfLink", FROM_A_CLUSTER),
            ("clusterName", FROM_A_CLUSTER),
        ]);
        let namespace = if kind == Kind::Namespace { name.clone() } else { namespace };
        let id = namespace.zip(name).map(|(namespace, name)| ObjectId::new(namespace, kind, name));
        Meta { id, span, annotations }
    });
    meta.unwrap_or(nameless)
}

fn object_name(field: &Cursor<'_>, kind: Kind) -> Option<Name> {
    match kind {
        Kind::Namespace => checked(field, name::dns_label),
        Kind::Service => {
            let name = checked(field, name::dns_label)?;
            if name.as_str().starts_with(|c: char| c.is_ascii_digit()) {
                field.error("bad-name", "must begin with a letter (RFC 1035)");
            }
            Some(name)
        }
        Kind::Deployment => {
            let name = checked(field, name::dns_subdomain)?;
            let length = name.as_str().len();
            if length > MOST_OF_A_REPLICA {
                let message = format!("has {length} characters, but replicas are called `{name}-<suffix>`, and a host name has at most 63");
                field.error_with("bad-name", message, format!("use at most {MOST_OF_A_REPLICA} characters"));
            }
            Some(name)
        }
        _ => checked(field, name::dns_subdomain),
    }
}

/// A host name has at most 63 characters (RFC 1123), of which `-` and a suffix take six.
const MOST_OF_A_REPLICA: usize = 57;

/// Returns the name that a field holds, if a rule accepts it.
pub fn checked(field: &Cursor<'_>, check: impl Fn(&str) -> Result<(), NameError>) -> Option<Name> {
    let text = field.text()?.value;
    match check(&text).and_then(|()| Name::try_from(text)) {
        Ok(name) => Some(name),
        Err(error) => {
            field.error("bad-name", error);
            None
        }
    }
}

/// Decodes `labels`.
pub fn labels(fields: &mut Fields<'_>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let Some(field) = fields.get("labels") else { return labels };
    for (key, value) in field.entries() {
        if key.value.starts_with("dev.driftless.") {
            value.sink.error("reserved-label", key.span, format!("the label `{}` is reserved: driftless writes it", key.value));
        } else if let Err(problem) = label_key(&key.value) {
            value.sink.error("bad-label", key.span, format!("the label key `{}` {problem}", key.value.escape_debug()));
        }
        let Some(text) = value.text() else { continue };
        if !label_value(&text.value) {
            value.error("bad-label", LABEL_VALUE);
        }
        labels.insert(key.value.clone(), text.value);
    }
    labels
}

/// What a label's value may be (Kubernetes, "Labels and Selectors").
pub const LABEL_VALUE: &str = "must be empty or up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends";

/// Decodes `annotations`.
pub fn annotations(fields: &mut Fields<'_>) -> Vec<(Located<String>, Located<String>)> {
    let Some(field) = fields.get("annotations") else { return Vec::new() };
    field.entries().into_iter().filter_map(|(key, value)| Some((key.clone(), value.text()?))).collect()
}

/// Checks a label's key: `[PREFIX/]NAME`.
pub fn label_key(key: &str) -> Result<(), String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if let Some(Err(problem)) = prefix.map(name::dns_subdomain) {
        return Err(format!("has a bad prefix: it {problem}"));
    }
    match name.is_empty() || !label_value(name) {
        true => Err("must be up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends".to_owned()),
        false => Ok(()),
    }
}

/// Tells whether a text may be a label's value.
pub fn label_value(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    text.is_empty()
        || (text.len() <= 63
            && text.starts_with(ends)
            && text.ends_with(ends)
            && text.chars().all(|c| ends(c) || matches!(c, '-' | '_' | '.')))
}
