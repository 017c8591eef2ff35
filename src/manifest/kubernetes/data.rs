//! ConfigMap and Secret: named bytes.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::manifest::cursor::{Cursor, Fields};
use crate::manifest::node::{Span, Value};

/// The values of a ConfigMap or Secret.
#[derive(Clone)]
pub struct Data {
    /// Its values by key.
    pub entries: BTreeMap<String, Entry>,
}

/// One value.
#[derive(Clone)]
pub struct Entry {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// It comes from `binaryData`, which is for files only.
    pub binary: bool,
}

/// Kubernetes takes at most so many bytes of values in one object.
const MAX_BYTES: usize = 1 << 20;

const IMMUTABLE: &str = "nothing but a commit changes an object, and a changed one rolls its users";

/// Decodes a ConfigMap. `span`: where its name is written.
pub fn config_map(fields: &mut Fields<'_>, span: Span) -> Data {
    let mut entries = BTreeMap::new();
    if let Some(field) = fields.get("data") {
        read(&field, &mut entries, |value| Some(Entry { bytes: value.text()?.value.into_bytes(), binary: false }));
    }
    if let Some(field) = fields.get("binaryData") {
        read(&field, &mut entries, |value| Some(Entry { bytes: base64(&value)?, binary: true }));
    }
    refuse_immutable(fields);
    checked(fields, entries, span)
}

/// Decodes a Secret. `stringData` wins over `data`, as in Kubernetes.
pub fn secret(fields: &mut Fields<'_>, span: Span) -> Data {
    let (mut entries, mut texts) = (BTreeMap::new(), BTreeMap::new());
    if let Some(field) = fields.get("data") {
        read(&field, &mut entries, |value| Some(Entry { bytes: base64(&value)?, binary: false }));
    }
    if let Some(field) = fields.get("stringData") {
        read(&field, &mut texts, |value| Some(Entry { bytes: value.text()?.value.into_bytes(), binary: false }));
    }
    entries.extend(texts);
    // The type tells a cluster which keys to expect; nothing here depends on it.
    fields.text("type");
    refuse_immutable(fields);
    checked(fields, entries, span)
}

fn refuse_immutable(fields: &mut Fields<'_>) {
    fields.only("immutable", &Value::Bool(false), IMMUTABLE);
}

fn checked(fields: &Fields<'_>, entries: BTreeMap<String, Entry>, span: Span) -> Data {
    let size: usize = entries.values().map(|entry| entry.bytes.len()).sum();
    if size > MAX_BYTES {
        let message = format!("the values have {size} bytes together, more than the {MAX_BYTES} that Kubernetes allows");
        fields.cursor().sink.error("too-large", span, message);
    }
    Data { entries }
}

fn read<'a>(field: &Cursor<'a>, entries: &mut BTreeMap<String, Entry>, decode: impl Fn(Cursor<'a>) -> Option<Entry>) {
    for (key, value) in field.entries() {
        let path = value.path();
        let (sink, span) = (value.sink, key.span);
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if key.value.is_empty() || key.value.len() > 253 || !key.value.chars().all(allowed) || matches!(key.value.as_str(), "." | "..") {
            let message = format!("`{path}` is not a good key: up to 253 letters, digits, `-`, `_` and `.` are allowed");
            sink.error("bad-key", span, message);
        }
        // A null value is an empty text, as in Kubernetes.
        let entry = if value.node().is_null() { Some(Entry { bytes: Vec::new(), binary: false }) } else { decode(value) };
        if entry.is_some_and(|entry| entries.insert(key.value.clone(), entry).is_some()) {
            sink.error("duplicate-key", span, format!("`{path}` is already in `data`"));
        }
    }
}

fn base64(value: &Cursor<'_>) -> Option<Vec<u8>> {
    let text: String = value.text()?.value.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    match STANDARD.decode(&text) {
        Ok(bytes) => Some(bytes),
        Err(_) => {
            let hint = match value.path().starts_with("data.") {
                true => "plain text goes into `stringData`, or encode it: `printf %s VALUE | base64 -w0`",
                false => "encode the file: `base64 -w0 FILE`",
            };
            value.error_with("bad-base64", "is not base64", hint);
            None
        }
    }
}
