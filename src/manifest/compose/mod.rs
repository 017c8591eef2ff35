//! Compose files: one project, with all that it is made of, to the desired state.
//!
//! The rules are those of the Compose specification; what it has and driftless does not is refused by
//! name in `attribute`. Nothing is read but the application's folder and the variables that were
//! granted: never the environment of this process.

mod assemble;
mod attribute;
mod check;
mod env;
mod interpolate;
mod label;
mod lower;
mod merge;
mod mount;
mod network;
mod option;
mod place;
mod port;
mod rebase;
mod scalar;
mod service;
mod update;
mod volume;

use std::collections::BTreeMap;

use crate::desired::{Desired, NetworkOptions, VolumeOptions};
use crate::name::Name;

use super::cursor::{Cursor, Fields, nearest};
use super::judge::{Document, Judge};
use super::node::{Located, Node, Span, Value};
use super::sink::Sink;
use super::{Context, Tree};

use interpolate::Variables;
use service::{Service, close};

/// A project, as written.
pub struct Project {
    /// Its name.
    name: Name,
    services: Vec<(Located<String>, Service)>,
    networks: BTreeMap<String, Declared<NetworkOptions>>,
    volumes: BTreeMap<String, Declared<VolumeOptions>>,
    configs: BTreeMap<String, FileSource>,
    secrets: BTreeMap<String, FileSource>,
}

/// A network or volume, as written.
struct Declared<T> {
    span: Span,
    /// Its name on the host, if its author chose it.
    name: Option<String>,
    /// It is not the project's, and must be there.
    external: bool,
    options: T,
}

/// Where the bytes of a config or secret come from.
enum FileSource {
    /// A file of the host, by its name in the application's folder of secrets.
    External(Located<String>),
    /// A file of the repository.
    Path(Located<String>),
    /// They are written down.
    Inline(String),
}

/// So many bytes of files and variables may all services have together: what is asked for is held in memory.
const MOST_BYTES: usize = 64 << 20;
/// A path of the kernel has at most so many bytes.
const LONGEST_PATH: usize = 4095;

/// Reports a name that is not known, with the one that may be meant. In a file that is wrong everywhere
/// nobody looks for that any more.
fn unknown_name<'w>(rule: &str, name: &Located<String>, message: String, known: impl Iterator<Item = &'w str>, sink: &Sink) {
    let meant = if sink.errors() < 100 { nearest(&name.value, known) } else { None };
    match meant {
        Some(known) => sink.error_with(rule, name.span, message, format!("did you mean `{known}`?")),
        None => sink.error_with(rule, name.span, message, "add it, or correct the name"),
    }
}

/// Builds the desired state of a project. It is meant to be used only if the sink has no errors.
/// `files` are the numbers of its files in the tree, the base first.
pub fn build(tree: &Tree, files: &[u32], context: &Context, judge: &dyn Judge, sink: &Sink) -> Option<Desired> {
    // What is wrong is found where variables are put in.
    let quiet = Sink::new(tree.files.keys().cloned().collect());
    let written = assemble::Files::new(tree, &quiet).project(files, None);
    let known = written.as_ref().and_then(|written| name(written, context, &quiet));
    let values = variables(tree, known.as_ref().unwrap_or(&context.namespace), context, sink);
    let root = assemble::Files::new(tree, sink).project(files, Some(&values))?;
    let written = written?;
    let name = name(&written, context, sink)?;
    let project = Cursor::new(&root, sink).fields(|fields| decode(fields, name));
    let desired = project.map(|project| lower::lower(&project, &values, tree, context, sink));
    place::name_fields(&root, sink);
    judge.judge(&[Document { node: &root, written: Some(&written) }], sink);
    desired
}

/// Returns the project's name: what the file says, or the namespace.
fn name(root: &Node, context: &Context, sink: &Sink) -> Option<Name> {
    let Some(node) = root.get("name").filter(|node| !node.is_null()) else { return Some(context.namespace.clone()) };
    // The name may be made of variables, but not of the one that holds it.
    let mut node = node.clone();
    Variables::new(&context.settings.compose.variables).replace(&mut node, sink);
    let text = node.as_text().unwrap_or_default();
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let begins = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    match begins && text.chars().all(valid) {
        true => Name::try_from(text).ok(),
        false => {
            let message = format!("`name` is no project name: `{}`", text.escape_debug());
            sink.error_with(
                "bad-name",
                node.span,
                message,
                "use lower-case letters, digits, `-` and `_`, and begin with a letter or digit",
            );
            None
        }
    }
}

/// Returns what interpolation may see: the repository's `.env`, what was granted, and the project's name.
fn variables(tree: &Tree, name: &Name, context: &Context, sink: &Sink) -> BTreeMap<String, String> {
    let granted = &context.settings.compose.variables;
    let mut values = BTreeMap::from([("COMPOSE_PROJECT_NAME".to_owned(), name.to_string())]);
    if let Some(number) = env::number(tree, ".env") {
        let span = Span { file: number, ..Span::default() };
        if let Some(text) = env::file(tree, ".env", span, sink) {
            values.extend(env::read(text, number, granted, sink));
        }
    }
    for ignored in ["COMPOSE_FILE", "COMPOSE_PROFILES"].into_iter().filter(|name| values.contains_key(*name)) {
        let span = Span { file: env::number(tree, ".env").unwrap_or_default(), ..Span::default() };
        sink.warning("ignored", span, format!("`{ignored}` means nothing here"), "use the application's `path` and `profiles`");
    }
    values.extend(granted.clone());
    values
}

fn decode(fields: &mut Fields<'_>, name: Name) -> Project {
    fields.ignore(&["name"]);
    let services = fields.require("services").map(|field| {
        let entries = field.entries();
        if matches!(&field.node().value, Value::Map(entries) if entries.is_empty()) {
            field.error_with("empty", "is empty", "write a service, or take the application out");
        }
        entries
    });
    let services = services.unwrap_or_default();
    let services = services.into_iter().filter_map(|(name, service)| Some((checked(name, &service)?, service::decode(&service)?)));
    let project = Project {
        name,
        services: services.collect(),
        networks: declared(fields, "networks", network_options),
        volumes: declared(fields, "volumes", volume_options),
        configs: sources(fields, "configs"),
        secrets: sources(fields, "secrets"),
    };
    close(fields, attribute::TOP);
    project
}

/// Service names are names of Docker's resolver and of objects.
fn checked(name: &Located<String>, service: &Cursor<'_>) -> Option<Located<String>> {
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let begins = name.value.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins && name.value.len() <= 63 && name.value.chars().all(valid) {
        return Some(name.clone());
    }
    let message = format!("`{}` is no name of a service", name.value.escape_debug());
    service.sink.error_with(
        "bad-name",
        name.span,
        message,
        "use up to 63 letters, digits, `-`, `_` and `.`, and begin with a letter or digit",
    );
    None
}

fn declared<T: Default>(
    fields: &mut Fields<'_>,
    name: &'static str,
    decode: impl Fn(&mut Fields<'_>) -> T,
) -> BTreeMap<String, Declared<T>> {
    let Some(field) = fields.get(name) else { return BTreeMap::new() };
    let read = |(name, entry): (&Located<String>, Cursor<'_>)| {
        let mut declared = Declared { span: name.span, name: None, external: false, options: T::default() };
        if !entry.node().is_null() {
            entry.fields(|fields| {
                declared.name = scalar::text_of(fields, "name");
                declared.external = external(fields, &mut declared.name);
                declared.options = decode(fields);
            });
        }
        (name.value.clone(), declared)
    };
    field.entries().into_iter().map(read).collect()
}

/// `external: true`, or the older map with a name.
fn external(fields: &mut Fields<'_>, name: &mut Option<String>) -> bool {
    let Some(field) = fields.get("external") else { return false };
    match field.node().value {
        Value::Map(_) => {
            field.fields(|fields| *name = scalar::text_of(fields, "name").or(name.take()));
            true
        }
        _ => scalar::flag(&field).unwrap_or(false),
    }
}

fn map(fields: &mut Fields<'_>, name: &'static str) -> BTreeMap<String, String> {
    scalar::pairs_of(fields, name).into_iter().map(|(name, value)| (name.value, value.unwrap_or_default())).collect()
}

fn network_options(fields: &mut Fields<'_>) -> NetworkOptions {
    let options = NetworkOptions {
        driver: scalar::text_of(fields, "driver"),
        driver_opts: map(fields, "driver_opts"),
        internal: scalar::flag_of(fields, "internal"),
        attachable: scalar::flag_of(fields, "attachable"),
        ipam: fields.get("ipam").and_then(|field| field.fields(network::ipam)).unwrap_or_default(),
        labels: map(fields, "labels"),
    };
    close(fields, attribute::NETWORK);
    options
}

fn volume_options(fields: &mut Fields<'_>) -> VolumeOptions {
    let options =
        VolumeOptions { driver: scalar::text_of(fields, "driver"), driver_opts: map(fields, "driver_opts"), labels: map(fields, "labels") };
    close(fields, attribute::VOLUME);
    options
}

fn sources(fields: &mut Fields<'_>, name: &'static str) -> BTreeMap<String, FileSource> {
    let Some(field) = fields.get(name) else { return BTreeMap::new() };
    let read = |(name, entry): (&Located<String>, Cursor<'_>)| {
        let source = entry.fields(|fields| {
            let path = fields.get("file").and_then(|field| scalar::text(&field)).map(FileSource::Path);
            let inline = fields.get("content").and_then(|field| scalar::text(&field)).map(|text| FileSource::Inline(text.value));
            // Files that are not external are named by their content.
            let mut host_name = scalar::text_of(fields, "name");
            let is_external = external(fields, &mut host_name);
            let external = is_external
                .then(|| FileSource::External(Located { value: host_name.unwrap_or_else(|| name.value.clone()), span: name.span }));
            let refused = fields.get("environment").is_some();
            close(fields, attribute::FILE);
            let sources: Vec<FileSource> = [path, inline, external].into_iter().flatten().collect();
            match sources.len() {
                0 if !refused => {
                    let message = format!("`{}` has neither `file` nor `content`", entry.path());
                    entry.sink.error_with("missing-field", entry.span(), message, "write one of them, or `external: true`");
                }
                0 | 1 => {}
                _ => {
                    let message = format!("`{}` has more than one of `file`, `content` and `external`", entry.path());
                    entry.sink.error_with("contradiction", entry.span(), message, "leave one of them");
                }
            }
            sources.into_iter().next()
        });
        Some((name.value.clone(), source.flatten()?))
    };
    field.entries().into_iter().filter_map(read).collect()
}
