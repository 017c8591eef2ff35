//! What a service mounts, looked up: volumes of the file, folders of the repository, configs, secrets.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use crate::desired::{Content, ContentFile, ContentId, External, Mount, MountSource, Secret, field};
use crate::hash::Key;
use crate::manifest::kubernetes::content;
use crate::manifest::node::{Located, Span};
use crate::manifest::sink::Sink;
use crate::manifest::{Entry, Tree};
use crate::name::{Kind, Name, ObjectId};

use super::service::Service;
use super::volume::{Reference, Source, Volume};
use super::{Declared, FileSource, MOST_BYTES, Project, env, unknown_name};

/// One content has at most so many bytes: it is sent to the engine in one piece.
const MOST: usize = 16 << 20;
/// What to do about more.
const LARGE: &str = "put large files into an image, or into a folder of the host, which is mounted by its absolute path";

/// What mounts are looked up in.
pub struct Mounts<'a> {
    pub project: &'a Project,
    pub tree: &'a Tree,
    pub sink: &'a Sink,
    pub key: &'a Key,
    /// Where relative bind mounts are that the repository does not have.
    pub data_root: &'a str,
    /// Where configs and secrets are that the repository does not have.
    pub external: &'a External,
    /// What was delivered before, by what it was made of: the same files are often mounted by several.
    pub delivered: RefCell<BTreeMap<String, Option<Delivered>>>,
    /// Bytes that may still be delivered.
    pub left: Cell<usize>,
}

/// Content, and the file of it that is meant, if it is one.
pub type Delivered = (ContentId, Option<String>);

/// What the mounts of a service come to.
#[derive(Default)]
pub struct Found {
    pub mounts: Vec<Mount>,
    pub contents: BTreeMap<ContentId, Content>,
    pub memory: BTreeMap<String, String>,
    pub no_copy: BTreeSet<String>,
    /// Data volumes that it writes.
    pub writes: BTreeSet<ObjectId>,
    /// What its author calls mounts that are not among `volumes`, by canonical path.
    pub written: BTreeMap<String, String>,
}

impl Mounts<'_> {
    /// Looks up all mounts of a service.
    pub fn of(&self, service: &Service) -> Found {
        let mut found = Found::default();
        for volume in &service.volumes {
            self.volume(volume, &mut found);
        }
        for reference in &service.configs {
            self.file("config", &self.project.configs, reference, "", &mut found);
        }
        for reference in &service.secrets {
            self.file("secret", &self.project.secrets, reference, "/run/secrets", &mut found);
        }
        found.mounts.sort_by(|a, b| a.target.cmp(&b.target));
        for pair in found.mounts.windows(2).filter(|pair| pair[0].target == pair[1].target) {
            let message = format!("two things are mounted at `{}`", pair[0].target);
            self.sink.error_with("duplicate-mount", service.span, message, "leave one of them out, or mount it elsewhere");
        }
        found
    }

    fn volume(&self, volume: &Volume, found: &mut Found) {
        let Volume { span, source, target, read_only } = volume;
        let mut put = |source, sub_path, read_only| found.mounts.push(Mount { target: target.clone(), source, sub_path, read_only });
        match source {
            Source::Memory(options) => drop(found.memory.insert(target.clone(), options.clone())),
            Source::Named { name, no_copy, sub_path } => {
                let Some(declared) = self.declared(name) else { return };
                if declared.external {
                    put(MountSource::External(declared.name.clone().unwrap_or_else(|| name.value.clone())), sub_path.clone(), *read_only);
                } else if let Some(id) = self.id(&name.value) {
                    put(MountSource::Volume(id.clone()), sub_path.clone(), *read_only);
                    if !read_only {
                        found.writes.insert(id);
                    }
                }
                if *no_copy {
                    found.no_copy.insert(target.clone());
                }
            }
            Source::Bind { path, create } if path.starts_with('/') => {
                put(MountSource::Host { path: path.clone(), create: *create }, None, *read_only);
            }
            Source::Bind { path, .. } if path.starts_with('~') => {
                let message = format!("`{}` is a home folder, and nobody's is meant here", path.escape_debug());
                self.sink.error_with("unsupported-value", *span, message, "write an absolute path of the host");
            }
            Source::Bind { path, create } => {
                let Some(relative) = within(path) else {
                    let message = format!("`{}` is outside of the application's folder", path.escape_debug());
                    return self.sink.error_with(
                        "bad-path",
                        *span,
                        message,
                        "put it into the folder, or write an absolute path of the host",
                    );
                };
                let Some((content, sub_path)) = self.delivered(&relative, *span, &mut found.contents) else {
                    let path = format!("{}/{relative}", self.data_root);
                    return put(MountSource::Host { path: path.trim_end_matches('/').to_owned(), create: *create }, None, *read_only);
                };
                found.mounts.push(Mount { target: target.clone(), source: MountSource::Content(content), sub_path, read_only: true });
                if !read_only {
                    let message = format!("`{}` is in the repository and is delivered read-only", path.escape_debug());
                    self.sink.warning("delivered-read-only", *span, message, "write `:ro`, or use a volume");
                }
            }
        }
    }

    fn declared(&self, name: &Located<String>) -> Option<&Declared<crate::desired::VolumeOptions>> {
        let volumes = &self.project.volumes;
        if !volumes.contains_key(&name.value) {
            let message = format!("there is no volume `{}` in `volumes` at the top", name.value.escape_debug());
            unknown_name("missing-volume", name, message, volumes.keys().map(String::as_str), self.sink);
        }
        volumes.get(&name.value)
    }

    fn id(&self, name: &str) -> Option<ObjectId> {
        Some(ObjectId::new(self.project.name.clone(), Kind::ComposeVolume, Name::try_from(name).ok()?))
    }

    /// Returns what the repository has at a path: a file, or all that is in a folder.
    fn delivered(&self, path: &str, span: Span, contents: &mut BTreeMap<ContentId, Content>) -> Option<Delivered> {
        if let Some(known) = self.delivered.borrow().get(path) {
            return known.clone();
        }
        let delivered = self.in_repository(path, span).map(|(content, file)| (self.keep(content, span, contents), file));
        self.delivered.borrow_mut().insert(path.to_owned(), delivered.clone());
        delivered
    }

    fn in_repository(&self, path: &str, span: Span) -> Option<(Content, Option<String>)> {
        let origin = format!("./{}", path.trim_start_matches("./"));
        if let Some(entry) = self.tree.files.get(path) {
            let name = path.rsplit('/').next().unwrap_or(path).to_owned();
            let file = self.read(path, entry, span)?;
            return Some((Content { origin, files: [(name.clone(), file)].into() }, Some(name)));
        }
        let folder = if path.is_empty() { String::new() } else { format!("{path}/") };
        let inside = || self.tree.files.range(folder.clone()..).take_while(|(known, _)| known.starts_with(&folder));
        let size = |entry: &Entry| if let Entry::File { bytes, .. } = entry { bytes.len() } else { 0 };
        if !self.fits(inside().map(|(_, entry)| size(entry)).sum(), span) {
            return Some((Content { origin, files: BTreeMap::new() }, None));
        }
        let files: BTreeMap<String, ContentFile> =
            inside().filter_map(|(known, entry)| Some((known[folder.len()..].to_owned(), self.read(known, entry, span)?))).collect();
        (!files.is_empty()).then_some((Content { origin, files }, None))
    }

    /// Tells whether so many bytes can be delivered in one piece, before they are copied.
    fn fits(&self, bytes: usize, span: Span) -> bool {
        if bytes > MOST {
            self.sink.error_with("too-large", span, "these files have more than 16 MiB together", LARGE);
        }
        bytes <= MOST
    }

    fn read(&self, path: &str, entry: &Entry, span: Span) -> Option<ContentFile> {
        match entry {
            Entry::File { bytes, executable } => {
                Some(ContentFile { bytes: Secret::new(bytes.clone()), mode: if *executable { 0o755 } else { 0o644 } })
            }
            other => {
                env::unreadable(Some(other), path, span, self.sink);
                None
            }
        }
    }

    fn keep(&self, content: Content, span: Span, contents: &mut BTreeMap<ContentId, Content>) -> ContentId {
        let bytes: usize = content.files.values().map(|file| file.bytes.expose().len()).sum();
        self.fits(bytes, span);
        match self.left.get().checked_sub(bytes) {
            Some(left) => self.left.set(left),
            None => {
                let message = format!("all delivered files have more than {} MiB together", MOST_BYTES >> 20);
                self.sink.error_with("too-large", span, message, LARGE);
            }
        }
        let id = content::id(&content, self.key);
        contents.entry(id.clone()).or_insert(content);
        id
    }

    /// Returns what the host has for an external config or secret; otherwise says why there is nothing.
    fn external(&self, kind: &str, name: &Located<String>) -> Option<Secret> {
        let (sink, shown) = (self.sink, name.value.escape_debug());
        const HINT: &str = "there, each config and secret that is not in the repository is one file";
        match self.external {
            External::Unknown => {
                let message = format!("{kind} `{shown}` is external: whether the host has it is not known here");
                sink.note("external-file", name.span, message);
                Some(Secret::default())
            }
            External::Nowhere => {
                let message = format!("{kind} `{shown}` is external, and the Application names no folder for it");
                sink.error_with("missing-file", name.span, message, "write `secretsFolder: FOLDER` in the Application");
                None
            }
            External::Folder { path, files } => match files.get(&name.value) {
                Some(Ok(secret)) => Some(secret.clone()),
                Some(Err(reason)) => {
                    let message = format!("{kind} `{shown}` is external, and `{path}/{shown}` cannot be read: {reason}");
                    sink.error_with("unreadable-file", name.span, message, "let the user who runs driftless read it");
                    None
                }
                None => {
                    let message = format!("{kind} `{shown}` is external, and there is no file `{path}/{shown}`");
                    sink.error_with("missing-file", name.span, message, HINT);
                    None
                }
            },
        }
    }

    fn file(&self, kind: &str, known: &BTreeMap<String, FileSource>, reference: &Reference, folder: &str, found: &mut Found) {
        let Reference { name, target, mode } = reference;
        let Some(source) = known.get(&name.value) else {
            let message = format!("there is no {kind} `{}` in `{kind}s` at the top", name.value.escape_debug());
            return unknown_name("missing-file", name, message, known.keys().map(String::as_str), self.sink);
        };
        let target = match target {
            Some(target) if target.starts_with('/') => target.clone(),
            Some(target) => format!("{folder}/{target}"),
            None => format!("{folder}/{}", name.value),
        };
        let mode = mode.unwrap_or(0o444);
        let key = format!("{kind} {} {mode:o}", name.value);
        let known = self.delivered.borrow().get(&key).cloned();
        let delivered = known.unwrap_or_else(|| {
            let file = ContentFile { bytes: Secret::new(self.bytes(kind, source)?), mode };
            let content = Content { origin: format!("{kind} {}", name.value), files: [("file".to_owned(), file)].into() };
            Some((self.keep(content, name.span, &mut found.contents), Some("file".to_owned())))
        });
        self.delivered.borrow_mut().insert(key, delivered.clone());
        let Some((id, sub_path)) = delivered else { return };
        found.written.insert(field::mount(&target), format!("{kind}s[{}]", name.value));
        found.mounts.push(Mount { target, source: MountSource::Content(id), sub_path, read_only: true });
    }

    /// Returns the bytes of a config or secret; otherwise says why there are none.
    fn bytes(&self, kind: &str, source: &FileSource) -> Option<Vec<u8>> {
        match source {
            FileSource::External(name) => Some(self.external(kind, name)?.expose().to_vec()),
            FileSource::Inline(text) => Some(text.clone().into_bytes()),
            FileSource::Path(path) => match within(&path.value).map(|relative| (self.tree.files.get(&relative), relative)) {
                Some((Some(Entry::File { bytes, .. }), _)) => Some(bytes.clone()),
                Some((None, relative)) => {
                    let message = format!("there is no file `{}` in the application's folder", relative.escape_debug());
                    let hint = "commit it, or keep it on the host: `external: true`, and `secretsFolder` in the Application";
                    self.sink.error_with("missing-file", path.span, message, hint);
                    None
                }
                Some((entry, relative)) => {
                    env::unreadable(entry, &relative, path.span, self.sink);
                    None
                }
                None => {
                    let message = format!("`{}` is outside of the application's folder", path.value.escape_debug());
                    self.sink.error_with("bad-path", path.span, message, "put the file into the folder");
                    None
                }
            },
        }
    }
}

/// Returns a path from the application's folder without `.` and `..`, if it stays within.
pub fn within(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" if parts.is_empty() && path.starts_with('/') => return None,
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}
