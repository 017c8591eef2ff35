//! What a service mounts, looked up: volumes of the file, folders of the repository, configs, secrets.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::{Content, ContentFile, ContentId, Mount, MountSource, Secret, field};
use crate::hash::Key;
use crate::manifest::cursor::nearest;
use crate::manifest::kubernetes::content;
use crate::manifest::node::{Located, Span};
use crate::manifest::sink::Sink;
use crate::manifest::{Entry, Tree};
use crate::name::{Kind, Name, ObjectId};

use super::service::Service;
use super::volume::{Reference, Source, Volume};
use super::{Declared, FileSource, Project, env};

/// One content has at most so many bytes: it is sent to the engine in one piece.
const MOST: usize = 16 << 20;

/// What mounts are looked up in.
pub struct Mounts<'a> {
    pub project: &'a Project,
    pub tree: &'a Tree,
    pub sink: &'a Sink,
    pub key: &'a Key,
    /// Where relative bind mounts are that the repository does not have.
    pub data_root: &'a str,
}

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
            self.sink.error("duplicate-mount", service.span, format!("two things are mounted at `{}`", pair[0].target));
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
                self.sink.error(
                    "unsupported-value",
                    *span,
                    format!("`{}` is a home folder, and nobody's is meant here", path.escape_debug()),
                );
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
                let Some((content, sub_path)) = self.delivered(&relative, *span) else {
                    let path = format!("{}/{relative}", self.data_root);
                    return put(MountSource::Host { path: path.trim_end_matches('/').to_owned(), create: *create }, None, *read_only);
                };
                put(MountSource::Content(self.keep(content, *span, &mut found.contents)), sub_path, true);
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
            match nearest(&name.value, volumes.keys().map(String::as_str)) {
                Some(known) => self.sink.error_with("missing-volume", name.span, message, format!("did you mean `{known}`?")),
                None => self.sink.error("missing-volume", name.span, message),
            }
        }
        volumes.get(&name.value)
    }

    fn id(&self, name: &str) -> Option<ObjectId> {
        Some(ObjectId::new(self.project.name.clone(), Kind::ComposeVolume, Name::try_from(name).ok()?))
    }

    /// Returns what the repository has at a path: a file, or all that is in a folder.
    fn delivered(&self, path: &str, span: Span) -> Option<(Content, Option<String>)> {
        let origin = format!("./{path}");
        if let Some(entry) = self.tree.files.get(path) {
            let name = path.rsplit('/').next().unwrap_or(path).to_owned();
            let file = self.read(path, entry, span)?;
            return Some((Content { origin, files: [(name.clone(), file)].into() }, Some(name)));
        }
        let folder = if path.is_empty() { String::new() } else { format!("{path}/") };
        let inside = self.tree.files.range(folder.clone()..).take_while(|(known, _)| known.starts_with(&folder));
        let files: BTreeMap<String, ContentFile> =
            inside.filter_map(|(known, entry)| Some((known[folder.len()..].to_owned(), self.read(known, entry, span)?))).collect();
        (!files.is_empty()).then_some((Content { origin, files }, None))
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
        if content.files.values().map(|file| file.bytes.expose().len()).sum::<usize>() > MOST {
            self.sink.error("too-large", span, "these files have more than 16 MiB together");
        }
        let id = content::id(&content, self.key);
        contents.entry(id.clone()).or_insert(content);
        id
    }

    fn file(&self, kind: &str, known: &BTreeMap<String, FileSource>, reference: &Reference, folder: &str, found: &mut Found) {
        let Reference { name, target, mode } = reference;
        let Some(source) = known.get(&name.value) else {
            let message = format!("there is no {kind} `{}` in `{kind}s` at the top", name.value.escape_debug());
            return match nearest(&name.value, known.keys().map(String::as_str)) {
                Some(known) => self.sink.error_with("missing-file", name.span, message, format!("did you mean `{known}`?")),
                None => self.sink.error("missing-file", name.span, message),
            };
        };
        let bytes = match source {
            FileSource::Inline(text) => text.clone().into_bytes(),
            FileSource::Path(path) => match within(&path.value).map(|relative| (self.tree.files.get(&relative), relative)) {
                Some((Some(Entry::File { bytes, .. }), _)) => bytes.clone(),
                Some((entry, relative)) => return env::unreadable(entry, &relative, path.span, self.sink),
                None => {
                    let message = format!("`{}` is outside of the application's folder", path.value.escape_debug());
                    return self.sink.error_with("bad-path", path.span, message, "put the file into the folder");
                }
            },
        };
        let target = match target {
            Some(target) if target.starts_with('/') => target.clone(),
            Some(target) => format!("{folder}/{target}"),
            None => format!("{folder}/{}", name.value),
        };
        found.written.insert(field::mount(&target), format!("{kind}s[{}]", name.value));
        let file = ContentFile { bytes: Secret::new(bytes), mode: mode.unwrap_or(0o444) };
        let content = Content { origin: format!("{kind} {}", name.value), files: [("file".to_owned(), file)].into() };
        let source = MountSource::Content(self.keep(content, name.span, &mut found.contents));
        found.mounts.push(Mount { target, source, sub_path: Some("file".to_owned()), read_only: true });
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
