//! Archives made in memory, the same bytes every time: no time stamps, everything owned by root.

use std::collections::BTreeSet;

/// An archive that is being written.
pub(super) struct Archive {
    tar: tar::Builder<Vec<u8>>,
    folders: BTreeSet<String>,
}

impl Default for Archive {
    fn default() -> Self {
        Archive { tar: tar::Builder::new(Vec::new()), folders: BTreeSet::new() }
    }
}

impl Archive {
    /// Adds a file, and the folders above it.
    pub(super) fn file(&mut self, path: &str, bytes: &[u8], mode: u32) {
        let above = path.match_indices('/').map(|(index, _)| path[..index].to_owned());
        for folder in above.collect::<Vec<_>>() {
            self.folder(&folder, 0o755);
        }
        self.append(path, bytes, mode, tar::EntryType::Regular);
    }

    /// Adds a folder, once.
    pub(super) fn folder(&mut self, path: &str, mode: u32) {
        if self.folders.insert(path.to_owned()) {
            self.append(&format!("{path}/"), &[], mode, tar::EntryType::Directory);
        }
    }

    /// Returns the archive's bytes.
    pub(super) fn finish(self) -> Vec<u8> {
        self.tar.into_inner().expect("writing into memory cannot fail")
    }

    fn append(&mut self, path: &str, bytes: &[u8], mode: u32, kind: tar::EntryType) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(bytes.len() as u64);
        header.set_mode(mode);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        // Only a path that is absolute, climbs or holds a zero byte is refused; the loader lets none pass.
        let written = self.tar.append_data(&mut header, path, bytes);
        written.expect("paths of delivered files are relative and clean");
    }
}
