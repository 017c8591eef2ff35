//! Kubernetes manifests: documents to objects as written, and those to the desired state.
//!
//! Field names, defaults and limits are those of the Kubernetes API reference, version 1.34. What it
//! has and driftless does not is refused by name in `unsupported`.

mod annotation;
mod check;
mod claim;
mod container;
pub(super) mod content;
mod data;
mod deployment;
mod env;
mod expand;

mod index;
mod lower;
mod meta;
mod probe;
mod quantity;
mod resource;
mod security;
mod selector;
mod service;
mod unsupported;
mod volume;

use std::collections::BTreeMap;

use crate::desired::Desired;
use crate::name::{Kind, ObjectId};

use super::Context;
use super::cursor::{Cursor, Fields};
use super::judge::{Document, Judge};
use super::node::{Located, Node, Span, Value};
use super::sink::Sink;

use annotation::Wishes;
use claim::Claim;
use data::Data;
use deployment::Deployment;
use meta::Meta;
use service::Service;

/// All objects of an application, as written.
#[derive(Default)]
struct Objects {
    /// Some document or object could not be read, so that what seems to be missing may be in it.
    incomplete: bool,
    /// Where each object's name is written, also of objects that could not be decoded.
    declared: BTreeMap<ObjectId, Span>,
    data: BTreeMap<ObjectId, Data>,
    claims: BTreeMap<ObjectId, Object<Claim>>,
    services: BTreeMap<ObjectId, Object<Service>>,
    deployments: BTreeMap<ObjectId, Object<Deployment>>,
}

/// An object as written.
struct Object<T> {
    span: Span,
    wishes: Wishes,
    value: T,
}

/// Builds the desired state of all documents. It is meant to be used only if the sink has no errors.
pub fn build(mut documents: Vec<Node>, context: &Context, judge: &dyn Judge, sink: &Sink) -> Desired {
    let mut objects = Objects { incomplete: sink.errors() > 0, ..Objects::default() };
    for document in &mut documents {
        hide_secrets(document);
        objects.read(&Cursor::new(document, sink), context);
    }
    let desired = lower::lower(&objects, context, sink);
    let items: Vec<Document<'_>> = documents.iter().flat_map(items).map(|node| Document { node, written: None }).collect();
    judge.judge(&items, sink);
    desired
}

/// Returns the objects of a document: itself, or what a List holds, also in Lists within.
fn items(document: &Node) -> Vec<&Node> {
    match (document.get("kind").and_then(Node::as_text), document.get("items").map(|items| &items.value)) {
        (Some("List"), Some(Value::List(listed))) => listed.iter().flat_map(items).collect(),
        _ => vec![document],
    }
}

/// Marks what belongs to Secrets, so that no finding shows a line of it.
fn hide_secrets(node: &mut Node) {
    if node.get("kind").and_then(Node::as_text) == Some("Secret") {
        node.hide();
    } else if let Value::Map(entries) = &mut node.value {
        for (_, value) in entries.iter_mut().filter(|(key, _)| key.value == "items") {
            if let Value::List(items) = &mut value.value {
                items.iter_mut().for_each(hide_secrets);
            }
        }
    }
}

const KINDS: &[(&str, &str, Kind)] = &[
    ("Namespace", "v1", Kind::Namespace),
    ("ConfigMap", "v1", Kind::ConfigMap),
    ("Secret", "v1", Kind::Secret),
    ("PersistentVolumeClaim", "v1", Kind::PersistentVolumeClaim),
    ("Service", "v1", Kind::Service),
    ("Deployment", "apps/v1", Kind::Deployment),
];

impl Objects {
    /// Takes in a document, or an item of a List.
    fn read(&mut self, document: &Cursor<'_>, context: &Context) {
        let node = document.node();
        if let Value::Map(_) = node.value {
            let missing: Vec<&str> = ["apiVersion", "kind"].into_iter().filter(|key| node.get(key).is_none_or(Node::is_null)).collect();
            if !missing.is_empty() {
                let missing = missing.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(" and ");
                let verb = if missing.contains("and") { "are" } else { "is" };
                let hint = "every YAML document in the folder must be a Kubernetes object; keep other files elsewhere, or begin their names with a dot";
                document.sink.error_with(
                    "no-object",
                    document.span(),
                    format!("this document is no Kubernetes object: {missing} {verb} missing"),
                    hint,
                );
                self.incomplete = true;
                return;
            }
        }
        document.fields(|fields| self.read_object(fields, context));
    }

    fn read_object(&mut self, fields: &mut Fields<'_>, context: &Context) {
        let kind = fields.get("kind").and_then(|kind| kind.text());
        let version = fields.get("apiVersion").and_then(|version| version.text());
        let (Some(kind), Some(version)) = (kind, version) else {
            self.incomplete = true;
            return fields.ignore_rest();
        };
        if kind.value == "List" {
            check_version(&version, "List", "v1", fields);
            fields.ignore(&["metadata"]);
            for item in fields.items("items") {
                self.read(&item, context);
            }
            return;
        }
        let Some((name, expected, kind)) = KINDS.iter().find(|(name, ..)| *name == kind.value) else {
            unsupported::kind(&kind, fields.cursor().sink);
            self.incomplete = true;
            return fields.ignore_rest();
        };
        check_version(&version, name, expected, fields);
        fields.ignore(&["status"]);
        let meta = meta::decode(fields, *kind, &context.namespace);
        self.read_known(fields, *kind, &meta);
    }

    fn read_known(&mut self, fields: &mut Fields<'_>, kind: Kind, meta: &Meta) {
        let wishes = annotation::read(&meta.annotations, kind, fields.cursor().sink);
        self.incomplete |= meta.id.is_none();
        // Of several objects of one name the first is kept; a nameless one is only looked through.
        let id = meta.id.clone().filter(|id| self.declare(id, meta.span, fields.cursor().sink));
        let span = meta.span;
        match kind {
            Kind::ConfigMap => put(&mut self.data, id, Some(data::config_map(fields, span))),
            Kind::Secret => put(&mut self.data, id, Some(data::secret(fields, span))),
            Kind::PersistentVolumeClaim => {
                put(&mut self.claims, id, Some(Object { span, wishes, value: claim::decode(fields) }));
            }
            Kind::Service => {
                let service = service::decode(fields, span).map(|value| Object { span, wishes, value });
                put(&mut self.services, id, service);
            }
            Kind::Deployment => {
                let deployment = deployment::decode(fields, span).map(|value| Object { span, wishes, value });
                self.incomplete |= deployment.is_none();
                put(&mut self.deployments, id, deployment);
            }
            _ => fields.refuse(&[("spec", "a Namespace has nothing to specify")]),
        }
    }

    /// Notes where an object is written; false if there is one of that name already.
    fn declare(&mut self, id: &ObjectId, span: Span, sink: &Sink) -> bool {
        let Some(first) = self.declared.get(id) else {
            self.declared.insert(id.clone(), span);
            return true;
        };
        let first = sink.place(*first);
        let message = format!("{} `{}` is declared twice in namespace `{}`", id.kind, id.name, id.namespace);
        sink.error_with("duplicate-object", span, message, format!("it is already at {}:{}:{}", first.file, first.line, first.column));
        false
    }
}

fn put<T>(map: &mut BTreeMap<ObjectId, T>, id: Option<ObjectId>, value: Option<T>) {
    if let Some((id, value)) = id.zip(value) {
        map.insert(id, value);
    }
}

fn check_version(version: &Located<String>, kind: &str, expected: &str, fields: &Fields<'_>) {
    if version.value != expected {
        let message = format!("{kind} has the apiVersion `{expected}`, not `{}`", version.value.escape_debug());
        fields.cursor().sink.error("wrong-version", version.span, message);
    }
}
