//! The variables of a container, with all references resolved.

use std::collections::BTreeMap;

use crate::desired::{Part, Text};
use crate::manifest::cursor::nearest;
use crate::manifest::node::{Located, Span};
use crate::manifest::sink::Sink;
use crate::name::{Kind, Name, ObjectId};

use super::Objects;
use super::container::{Container, EnvFrom, Variable, VariableSource};
use super::data::{Data, Entry};
use super::deployment::Template;
use super::expand;

/// Where a container's references are looked up.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// All objects.
    pub objects: &'a Objects,
    /// The namespace that references are in.
    pub namespace: &'a Name,
    /// Where findings go.
    pub sink: &'a Sink,
}

impl<'a> Scope<'a> {
    /// Returns a ConfigMap or Secret that is referred to; reports a missing one unless it is optional.
    pub fn data(&self, kind: Kind, name: &Located<String>, optional: bool) -> Option<&'a Data> {
        let id = self.id(kind, name)?;
        let data = self.objects.data.get(&id);
        if data.is_none() && !optional {
            self.missing(&id, name.span);
        }
        data
    }

    /// Returns the id of what is referred to; reports a name that cannot be one.
    pub fn id(&self, kind: Kind, name: &Located<String>) -> Option<ObjectId> {
        match Name::try_from(name.value.as_str()) {
            Ok(name) => Some(ObjectId::new(self.namespace.clone(), kind, name)),
            Err(problem) => {
                self.sink.error("bad-name", name.span, format!("the name `{}` {problem}", name.value.escape_debug()));
                None
            }
        }
    }

    /// Reports an object that does not exist, unless it does and was refused.
    pub fn missing(&self, id: &ObjectId, span: Span) {
        if self.objects.declared.contains_key(id) {
            return;
        }
        let message = format!("{} `{}` does not exist in namespace `{}`", id.kind, id.name, id.namespace);
        let others = self.objects.declared.keys().filter(|other| other.kind == id.kind);
        let elsewhere = others.clone().find(|other| other.name == id.name);
        let near = others.filter(|other| other.namespace == id.namespace).map(|other| other.name.as_str());
        let hint = match (elsewhere, nearest(id.name.as_str(), near)) {
            (Some(other), _) => format!("there is one in namespace `{}`", other.namespace),
            (None, Some(name)) => format!("did you mean `{name}`?"),
            (None, None) if self.objects.incomplete => "it may be in a document that could not be read".to_owned(),
            (None, None) => "add it to the application's folder".to_owned(),
        };
        self.sink.error_with("missing-object", span, message, hint);
    }

    /// Returns the variables of a container.
    pub fn variables(&self, container: &Container, template: &Template) -> BTreeMap<String, Text> {
        let mut variables = BTreeMap::new();
        for from in &container.env_from {
            self.all_keys(from, &mut variables);
        }
        let mut written = BTreeMap::new();
        for variable in &container.env {
            if let Some(first) = written.insert(&variable.name, variable.span) {
                let message = format!("the variable `{}` is written twice; this value counts", variable.name);
                self.sink.warning("duplicate-name", variable.span, message, format!("it is already at line {}", first.line));
            }
            let value = self.value(variable, template, &variables);
            if let Some(value) = value {
                self.check_value(&value, &variable.name, variable.span);
                variables.insert(variable.name.clone(), value);
            }
        }
        variables
    }

    fn all_keys(&self, from: &EnvFrom, variables: &mut BTreeMap<String, Text>) {
        let Some(data) = self.data(from.kind, &from.name, from.optional) else { return };
        for (key, entry) in data.entries.iter().filter(|(_, entry)| !entry.binary) {
            let value = text(entry, from.kind);
            self.check_value(&value, key, from.name.span);
            variables.insert(format!("{}{key}", from.prefix), value);
        }
    }

    /// Returns the value of a variable; `None` means that it is not set.
    fn value(&self, variable: &Variable, template: &Template, before: &BTreeMap<String, Text>) -> Option<Text> {
        let of = |map: &BTreeMap<String, String>, key: &str| Text::literal(map.get(key).cloned().unwrap_or_default());
        match &variable.source {
            VariableSource::Value(value) => self.expand(value, before, variable.span),
            VariableSource::Field(field) => Some(Text(vec![Part::Field(*field)])),
            VariableSource::Label(key) => Some(of(&template.labels, key)),
            VariableSource::Annotation(key) => Some(of(&template.annotations, key)),
            VariableSource::Key { kind, name, key, optional } => {
                let data = self.data(*kind, name, *optional)?;
                let entry = data.entries.get(&key.value).filter(|entry| !entry.binary);
                if entry.is_none() && !optional {
                    self.missing_key(*kind, name, key, data);
                }
                Some(text(entry?, *kind))
            }
        }
    }

    /// Reports a key that a ConfigMap or Secret does not have.
    pub fn missing_key(&self, kind: Kind, name: &Located<String>, key: &Located<String>, data: &Data) {
        let message = format!("{kind} `{}` has no key `{}`", name.value, key.value.escape_debug());
        let keys = data.entries.keys().map(String::as_str);
        match nearest(&key.value, keys) {
            Some(near) => self.sink.error_with("missing-key", key.span, message, format!("did you mean `{near}`?")),
            None => self.sink.error("missing-key", key.span, message),
        }
    }

    /// Returns an argument with its variables put in.
    pub fn argument(&self, written: &Located<String>, variables: &BTreeMap<String, Text>) -> Option<Text> {
        let text = self.expand(&written.value, variables, written.span)?;
        self.check_value(&text, "command", written.span);
        Some(text)
    }

    /// Replaces references to variables in a text.
    fn expand(&self, text: &str, variables: &BTreeMap<String, Text>, span: Span) -> Option<Text> {
        let expanded = expand::expand(text, |name| variables.get(name));
        if expanded.is_none() {
            let message = format!("the text has more than {} bytes once its variables are put in", expand::MOST);
            self.sink.error("too-large", span, message);
        }
        expanded
    }

    /// Checks that a value can be handed to a process: UTF-8 without NUL.
    fn check_value(&self, value: &Text, name: &str, span: Span) {
        let problem = match value.resolve(|_| String::new()) {
            Err(_) => "is not UTF-8 text",
            Ok(text) if text.contains('\0') => "has a NUL character",
            Ok(_) if expand::length(value) > expand::MOST => "has more than 128 KiB",
            Ok(_) => return,
        };
        self.sink.error("bad-text", span, format!("the text for `{name}` {problem}, so no process can be given it"));
    }
}

fn text(entry: &Entry, kind: Kind) -> Text {
    match kind {
        Kind::Secret => Text::secret(entry.bytes.clone()),
        _ => Text::literal(String::from_utf8_lossy(&entry.bytes)),
    }
}
