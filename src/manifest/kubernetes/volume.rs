//! Volumes of a replica, and where a container mounts them.

use crate::desired::EmptyDir;
use crate::manifest::cursor::{Cursor, Fields};
use crate::manifest::node::{Located, Span, Value};
use crate::name::{self, Kind, Name};

use super::meta::checked;
use super::quantity;

/// A volume of a replica.
#[derive(Debug, Clone)]
pub struct Volume {
    /// Its name within the replica.
    pub name: Name,
    /// Where it is written.
    pub span: Span,
    /// What is in it.
    pub source: Source,
}

/// What is in a volume.
#[derive(Debug, Clone)]
pub enum Source {
    /// The values of a ConfigMap or Secret, as files.
    Data(Data),
    /// A folder of the replica's own.
    EmptyDir(EmptyDir),
    /// A data volume.
    Claim {
        /// The claim's name.
        name: Located<String>,
        /// It cannot be written.
        read_only: bool,
    },
    /// A path of the host.
    Host {
        /// The absolute path.
        path: String,
        /// The folder is made if it does not exist.
        create: bool,
    },
}

/// The values of a ConfigMap or Secret, as files.
#[derive(Debug, Clone)]
pub struct Data {
    /// ConfigMap or Secret.
    pub kind: Kind,
    /// Its name.
    pub name: Located<String>,
    /// Which keys become which files; `None` means each key a file of its name.
    pub items: Option<Vec<Item>>,
    /// Permission bits of the files.
    pub mode: u32,
    /// Neither the object nor a key need exist.
    pub optional: bool,
}

/// One key that becomes a file.
#[derive(Debug, Clone)]
pub struct Item {
    /// The key.
    pub key: Located<String>,
    /// The file's relative path.
    pub path: String,
    /// Permission bits, if not the volume's.
    pub mode: Option<u32>,
}

/// Where a container mounts a volume.
#[derive(Debug, Clone)]
pub struct VolumeMount {
    /// The volume's name.
    pub name: Located<String>,
    /// The absolute path in the container.
    pub target: Located<String>,
    /// What of the volume is mounted instead of the whole.
    pub sub_path: Option<String>,
    /// It cannot be written.
    pub read_only: bool,
}

const UNSUPPORTED: &str = "supported: configMap, secret, emptyDir, persistentVolumeClaim, hostPath";
/// Volume sources that Kubernetes has and that are not supported.
const OTHERS: &[&str] = &[
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "csi",
    "downwardAPI",
    "ephemeral",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "gitRepo",
    "glusterfs",
    "image",
    "iscsi",
    "nfs",
    "photonPersistentDisk",
    "portworxVolume",
    "projected",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
];

/// Decodes a volume. Without a source it is an emptyDir, as in Kubernetes.
pub fn volume(field: &Cursor<'_>) -> Option<Volume> {
    field.fields(|fields| {
        let name = fields.require("name").and_then(|name| checked(&name, name::dns_label));
        let mut sources = Vec::new();
        if let Some(field) = fields.get("configMap") {
            sources.push(field.fields(|fields| data(fields, Kind::ConfigMap)).flatten());
        }
        if let Some(field) = fields.get("secret") {
            sources.push(field.fields(|fields| data(fields, Kind::Secret)).flatten());
        }
        if let Some(field) = fields.get("emptyDir") {
            sources.push(field.fields(empty_dir).flatten());
        }
        if let Some(field) = fields.get("persistentVolumeClaim") {
            sources.push(field.fields(claim).flatten());
        }
        if let Some(field) = fields.get("hostPath") {
            sources.push(field.fields(host_path).flatten());
        }
        let others: Vec<(&'static str, &str)> = OTHERS.iter().map(|name| (*name, UNSUPPORTED)).collect();
        fields.refuse(&others);
        if sources.len() > 1 {
            field.error("one-of", "must have exactly one source");
        }
        // It also stands in for a source that was refused, so that its mounts are not reported as well.
        let empty = Source::EmptyDir(EmptyDir { memory: false, size_limit: None });
        let source = sources.into_iter().next().flatten().unwrap_or(empty);
        Some(Volume { name: name?, span: field.span(), source })
    })?
}

fn data(fields: &mut Fields<'_>, kind: Kind) -> Option<Source> {
    let name = fields.require(if kind == Kind::Secret { "secretName" } else { "name" }).and_then(|name| name.filled());
    let mode = fields.get("defaultMode").and_then(|field| mode(&field)).unwrap_or(0o644);
    let optional = fields.flag("optional");
    let items = fields.get("items").map(|items| items.items().iter().filter_map(item).collect::<Vec<_>>());
    // An empty list of items means all keys, as in Kubernetes.
    let items = items.filter(|items| !items.is_empty());
    Some(Source::Data(Data { kind, name: name?, items, mode, optional }))
}

fn item(field: &Cursor<'_>) -> Option<Item> {
    field.fields(|fields| {
        let key = fields.require("key").and_then(|key| key.filled());
        let path = fields.require("path").and_then(|path| {
            let text = path.filled()?;
            relative(&path, &text.value)
        });
        let mode = fields.get("mode").and_then(|field| mode(&field));
        Some(Item { key: key?, path: path?, mode })
    })?
}

/// Permission bits. In YAML `0644` is octal, in JSON it can only be written as 420.
fn mode(field: &Cursor<'_>) -> Option<u32> {
    if let Value::Integer(number) = field.node().value
        && !(0..=0o777).contains(&number)
    {
        field.error_with("out-of-range", "must be from 0 to 0777", "write it in octal, with a leading zero: 0644");
        return None;
    }
    field.integer(0..=0o777).and_then(|mode| u32::try_from(mode).ok())
}

/// Checks a path that may not leave what it is relative to; returns it without `.` and empty parts.
fn relative(field: &Cursor<'_>, path: &str) -> Option<String> {
    if path.starts_with('/') {
        field.error("bad-path", format!("must be a relative path, but is `{}`", path.escape_debug()));
        return None;
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if path.contains(char::is_control) {
        field.error("bad-path", "has a control character");
        return None;
    }
    if parts.contains(&"..") {
        field.error("bad-path", format!("must not leave the volume, but is `{}`", path.escape_debug()));
        return None;
    }
    Some(parts.join("/"))
}

/// Checks an absolute path without `..`; returns it without `.`, empty parts and a `/` at the end.
fn absolute(field: &Cursor<'_>) -> Option<Located<String>> {
    let text = field.filled()?;
    let parts: Vec<&str> = text.value.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if !text.value.starts_with('/') || parts.contains(&"..") || text.value.contains(|c: char| c == ':' || c.is_control()) {
        field.error("bad-path", format!("must be an absolute path without `..` and `:`, but is `{}`", text.value.escape_debug()));
        return None;
    }
    Some(Located { value: format!("/{}", parts.join("/")), span: text.span })
}

fn empty_dir(fields: &mut Fields<'_>) -> Option<Source> {
    let memory = fields.choice("medium", &[("", false), ("Memory", true)]);
    let limit = fields.get("sizeLimit");
    let size_limit = limit.as_ref().and_then(quantity::of).map(quantity::whole);
    if let Some(field) = limit.filter(|_| !memory) {
        field.sink.note("not-enforced", field.span(), "the size of an emptyDir on disk is not enforced");
    }
    Some(Source::EmptyDir(EmptyDir { memory, size_limit }))
}

fn claim(fields: &mut Fields<'_>) -> Option<Source> {
    let name = fields.require("claimName").and_then(|name| name.filled());
    let read_only = fields.flag("readOnly");
    Some(Source::Claim { name: name?, read_only })
}

fn host_path(fields: &mut Fields<'_>) -> Option<Source> {
    let path = fields.require("path").and_then(|path| absolute(&path));
    // An empty type asks for no check, and container runtimes make a missing folder.
    let words = [
        ("", true),
        ("DirectoryOrCreate", true),
        ("Directory", false),
        ("File", false),
        ("Socket", false),
        ("CharDevice", false),
        ("BlockDevice", false),
    ];
    let create = fields.choice("type", &words);
    Some(Source::Host { path: path?.value, create })
}

/// Decodes where a container mounts a volume.
pub fn mount(field: &Cursor<'_>) -> Option<VolumeMount> {
    field.fields(|fields| {
        let name = fields.require("name").and_then(|name| name.filled());
        let target = fields.require("mountPath").and_then(|path| absolute(&path));
        let sub_path = fields.get("subPath").and_then(|path| {
            let text = path.text()?;
            relative(&path, &text.value)
        });
        let read_only = fields.flag("readOnly");
        fields.only("mountPropagation", &Value::Text("None".to_owned()), "mounts do not propagate");
        fields.only("recursiveReadOnly", &Value::Text("Disabled".to_owned()), "mounts within a mount stay as they are");
        fields.refuse(&[("subPathExpr", "write a fixed `subPath`")]);
        Some(VolumeMount { name: name?, target: target?, sub_path: sub_path.filter(|path| !path.is_empty()), read_only })
    })?
}
