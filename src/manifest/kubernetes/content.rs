//! Files that replicas are delivered: the values of ConfigMaps and Secrets.

use std::collections::BTreeMap;

use crate::desired::{Content, ContentFile, ContentId, Secret};
use crate::hash::Key;
use crate::manifest::node::Span;

use super::data::Entry;
use super::env::Scope;
use super::volume::Data;

/// One content has at most so many bytes: it is sent to the engine in one piece.
const MOST: usize = 16 << 20;

impl Scope<'_> {
    /// Returns the files that a volume consists of.
    pub fn content(&self, volume: &Data, span: Span) -> Content {
        let Data { kind, name, items, mode, optional } = volume;
        let origin = format!("{kind}/{}", name.value);
        let Some(data) = self.data(*kind, name, *optional) else { return Content { origin, files: BTreeMap::new() } };
        let file = |entry: &Entry, mode: u32| ContentFile { bytes: Secret::new(entry.bytes.clone()), mode };
        let mut files = BTreeMap::new();
        match items {
            None => files.extend(data.entries.iter().map(|(key, entry)| (key.clone(), file(entry, *mode)))),
            Some(items) => {
                for item in items {
                    match data.entries.get(&item.key.value) {
                        Some(entry) => {
                            files.insert(item.path.clone(), file(entry, item.mode.unwrap_or(*mode)));
                        }
                        None if *optional => {}
                        None => self.missing_key(*kind, name, &item.key, data),
                    }
                }
            }
        }
        self.check_paths(&files, span);
        if files.values().map(|file| file.bytes.expose().len()).sum::<usize>() > MOST {
            self.sink.error("too-large", span, "the files of this volume have more than 16 MiB together");
        }
        Content { origin, files }
    }

    /// A path cannot be a file and a folder at once.
    fn check_paths(&self, files: &BTreeMap<String, ContentFile>, span: Span) {
        for path in files.keys() {
            let folders = path.match_indices('/').map(|(at, _)| &path[..at]);
            for folder in folders.filter(|folder| files.contains_key(*folder)) {
                self.sink.error("bad-path", span, format!("`{folder}` is a file of this volume, and a folder for `{path}`"));
            }
        }
    }
}

/// Returns the id of content: the keyed digest of its paths, permissions and bytes, wherever they
/// come from.
pub fn id(content: &Content, key: &Key) -> ContentId {
    let mut canonical = Vec::new();
    for (path, file) in &content.files {
        let bytes = file.bytes.expose();
        // Lengths instead of separators: no file can imitate the next one.
        canonical.extend_from_slice(format!("{}:{path}{:o}:{}:", path.len(), file.mode, bytes.len()).as_bytes());
        canonical.extend_from_slice(bytes);
    }
    ContentId(key.digest(&canonical))
}
