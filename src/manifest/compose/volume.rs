//! What is mounted, as written: volumes, folders of the repository and of the host, memory, and
//! references to configs and secrets.

use std::collections::BTreeMap;

use crate::manifest::cursor::{Cursor, Fields};
use crate::manifest::node::{Located, Span, Value};

use super::{LONGEST_PATH, scalar};

/// Something that is mounted, as written.
pub struct Volume {
    /// Where it is written.
    pub span: Span,
    /// What it is.
    pub source: Source,
    /// The absolute path in the container.
    pub target: String,
    /// It cannot be written.
    pub read_only: bool,
}

/// What is mounted.
pub enum Source {
    /// A volume of the file's `volumes`.
    Named {
        /// Its name.
        name: Located<String>,
        /// The image's files are not copied into it.
        no_copy: bool,
        /// The folder of it that is mounted.
        sub_path: Option<String>,
    },
    /// A path of the host or of the repository.
    Bind {
        /// As it is written.
        path: String,
        /// It is made if it is not there.
        create: bool,
    },
    /// Memory, with the engine's options.
    Memory(String),
}

/// A reference to a config or secret.
pub struct Reference {
    /// Its name.
    pub name: Located<String>,
    /// The path in the container, if the author chose it.
    pub target: Option<String>,
    /// Permission bits.
    pub mode: Option<u32>,
}

/// Decodes an item of `volumes`.
pub fn decode(cursor: &Cursor<'_>) -> Option<Volume> {
    let volume = match &cursor.node().value {
        Value::Map(_) => long(cursor)?,
        _ => short(cursor)?,
    };
    let long = match &volume.source {
        Source::Bind { path, .. } if path.len() > LONGEST_PATH => Some(path.len()),
        _ => Some(volume.target.len()).filter(|length| *length > LONGEST_PATH),
    };
    if let Some(length) = long {
        cursor.error("bad-path", format!("has a path of {length} characters, more than the {LONGEST_PATH} that the host can have"));
        return None;
    }
    check_target(cursor, &volume.target).then_some(volume)
}

fn check_target(cursor: &Cursor<'_>, target: &str) -> bool {
    let valid = target.starts_with('/') && target.len() > 1 && !target.split('/').any(|part| part == "..");
    if !valid {
        cursor.error("bad-path", format!("must be mounted at an absolute path other than `/`, but has `{}`", target.escape_debug()));
    }
    valid
}

fn is_path(source: &str) -> bool {
    source.starts_with(['.', '/', '~'])
}

fn without_slash(target: &str) -> String {
    match target.trim_end_matches('/') {
        "" => "/".to_owned(),
        target => target.to_owned(),
    }
}

/// `SOURCE:TARGET[:OPTIONS]`.
fn short(cursor: &Cursor<'_>) -> Option<Volume> {
    let text = scalar::text(cursor)?;
    let parts: Vec<&str> = text.value.split(':').collect();
    let (source, target, options) = match parts.as_slice() {
        [source, target] => (*source, *target, ""),
        [source, target, options] => (*source, *target, *options),
        [_] => {
            let hint = "name a volume, as in `data:/var/lib/data`: what has no name is lost with its container";
            cursor.error_with("unsupported-value", "is a volume without a name, which is not supported", hint);
            return None;
        }
        _ => {
            cursor.error("bad-volume", "must be `SOURCE:TARGET[:OPTIONS]`");
            return None;
        }
    };
    let (mut read_only, mut no_copy) = (false, false);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => read_only = true,
            "rw" | "z" | "Z" | "cached" | "delegated" | "consistent" => {}
            "nocopy" => no_copy = true,
            other => cursor.error(
                "unsupported-value",
                format!("has the option `{}`; supported: `ro`, `rw`, `nocopy`, `z`, `Z`", other.escape_debug()),
            ),
        }
    }
    let source = match is_path(source) {
        true => Source::Bind { path: source.to_owned(), create: true },
        false => Source::Named { name: Located { value: source.to_owned(), span: text.span }, no_copy, sub_path: None },
    };
    Some(Volume { span: text.span, source, target: without_slash(target), read_only })
}

fn long(cursor: &Cursor<'_>) -> Option<Volume> {
    cursor.fields(|fields| {
        #[derive(Clone)]
        enum Type {
            Volume,
            Bind,
            Memory,
        }
        let words = [("volume", Type::Volume), ("bind", Type::Bind), ("tmpfs", Type::Memory)];
        let kind = fields.choice("type", &words);
        let source = fields.get("source").and_then(|field| scalar::text(&field));
        let target = fields.require("target").and_then(|field| scalar::text(&field));
        let read_only = scalar::flag_of(fields, "read_only");
        fields.ignore(&["consistency"]);
        let (mut no_copy, mut sub_path, mut create, mut memory) = (false, None, true, String::new());
        if let Some(field) = fields.get("volume") {
            field.fields(|fields| {
                no_copy = scalar::flag_of(fields, "nocopy");
                sub_path = scalar::text_of(fields, "subpath");
                fields.refuse(&[("labels", "a volume's labels are in `volumes` at the top")]);
            });
        }
        if let Some(field) = fields.get("bind") {
            field.fields(|fields| {
                create = fields.get("create_host_path").and_then(|field| scalar::flag(&field)).unwrap_or(true);
                fields.ignore(&["selinux"]);
                fields.refuse(&[("propagation", "the engine's own setting counts"), ("recursive", "the engine's own setting counts")]);
            });
        }
        if let Some(field) = fields.get("tmpfs") {
            field.fields(|fields| {
                let size = fields.get("size").and_then(|field| scalar::bytes(&field)).map(|bytes| format!("size={bytes}"));
                let mode = fields.get("mode").and_then(|field| mode(&field)).map(|mode| format!("mode={mode:o}"));
                memory = [size, mode].into_iter().flatten().collect::<Vec<_>>().join(",");
            });
        }
        let source = match (kind, source) {
            (Type::Memory, _) => Source::Memory(memory),
            (Type::Volume, Some(name)) => Source::Named { name, no_copy, sub_path },
            (Type::Bind, Some(path)) => Source::Bind { path: path.value, create },
            (_, None) => {
                cursor.error_with("missing-field", "has no `source`", "name a volume: what has no name is lost with its container");
                return None;
            }
        };
        Some(Volume { span: cursor.node().span, source, target: without_slash(&target?.value), read_only })
    })?
}

/// Returns permission bits. YAML 1.2 writes them as `0o444` and reads `0444` as the number 444; every
/// example means the same by both. Worked example: 444 is `0444`, and 292 is `0o444`; 256 is `0o400`
/// and not `0256`, because nobody lets a group do what the owner may not.
fn mode(cursor: &Cursor<'_>) -> Option<u32> {
    let sensible = |bits: &u32| {
        let (owner, group, other) = (bits >> 6 & 7, bits >> 3 & 7, bits & 7);
        *bits <= 0o7777 && group & !owner == 0 && other & !group == 0
    };
    let bits = match &cursor.node().value {
        Value::Text(text) => u32::from_str_radix(text.trim_start_matches("0o"), 8).ok(),
        Value::Integer(number) => {
            let digits = u32::from_str_radix(&number.to_string(), 8).ok().filter(sensible);
            digits.or_else(|| u32::try_from(*number).ok())
        }
        _ => None,
    };
    let bits = bits.filter(|bits| *bits <= 0o7777);
    if bits.is_none() {
        cursor.error_with("bad-mode", "is no set of permission bits", "write it as `\"0440\"`");
    }
    bits
}

/// Decodes `tmpfs`: paths in memory, with options behind a colon.
pub fn tmpfs(fields: &mut Fields<'_>) -> BTreeMap<String, String> {
    let Some(field) = fields.get("tmpfs") else { return BTreeMap::new() };
    let entry = |text: Located<String>| {
        let (path, options) = text.value.split_once(':').unwrap_or((&text.value, ""));
        check_target(&field, path).then(|| (without_slash(path), options.to_owned()))
    };
    scalar::texts(&field).into_iter().filter_map(entry).collect()
}

/// Decodes an item of `configs` or `secrets`.
pub fn reference(cursor: &Cursor<'_>) -> Option<Reference> {
    let Value::Map(_) = cursor.node().value else {
        return scalar::text(cursor).map(|name| Reference { name, target: None, mode: None });
    };
    cursor.fields(|fields| {
        let name = fields.require("source").and_then(|field| scalar::text(&field));
        let target = scalar::text_of(fields, "target");
        let mode = fields.get("mode").and_then(|field| mode(&field));
        for owner in ["uid", "gid"] {
            if let Some(field) = fields.get(owner)
                && scalar::text(&field).is_some_and(|text| text.value != "0")
            {
                field.error_with(
                    "unsupported-field",
                    "is not supported with a value other than `0`",
                    "delivered files belong to root; give them a `mode`",
                );
            }
        }
        name.map(|name| Reference { name, target, mode })
    })?
}
