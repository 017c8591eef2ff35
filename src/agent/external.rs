//! Configs and secrets that are not in the repository: the files of a folder of this host.
//!
//! They are read anew with every look at the source. Nobody but the manifests decides which of them are
//! used; what is in them goes nowhere but into keyed digests and to replicas.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use crate::desired::{External, Secret};
use crate::hash::sha256;

/// More than can be delivered in one piece is not read.
const LARGEST: u64 = 16 << 20;

/// Reads the files of an application that names a folder for them. What was unknown is then known.
pub fn read(external: &External) -> External {
    match external {
        External::Unknown | External::Nowhere => External::Nowhere,
        External::Folder { path, .. } => External::Folder { path: path.clone(), files: files(Path::new(path)) },
    }
}

/// Returns a digest by which a change of any file is noticed. It is never shown or kept.
pub(super) fn digest(external: &External) -> String {
    let External::Folder { files, .. } = external else { return String::new() };
    let mut text = String::new();
    for (name, file) in files {
        let state = match file {
            Ok(secret) => sha256(secret.expose()),
            Err(reason) => reason.clone(),
        };
        text.push_str(&format!("{}:{name}{state}\n", name.len()));
    }
    sha256(text.as_bytes())
}

/// A folder that is not there has no files: whoever needs one is told which.
fn files(folder: &Path) -> BTreeMap<String, Result<Secret, String>> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let visible = entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| !name.starts_with('.'));
    visible.filter_map(|name| Some((name.clone(), file(&folder.join(name)).transpose()?))).collect()
}

/// Returns what is in a file, symbolic links followed; nothing if it is not one.
fn file(path: &Path) -> Result<Option<Secret>, String> {
    let is_file = std::fs::metadata(path).map_err(|error| error.to_string())?.is_file();
    if !is_file {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(path).map_err(|error| error.to_string())?;
    opened.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    match bytes.len() as u64 > LARGEST {
        true => Err("it has more than 16 MiB".to_owned()),
        false => Ok(Some(Secret::new(bytes))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_visible_file_is_read_and_a_change_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let asked = External::Folder { path: folder.path().display().to_string(), files: BTreeMap::new() };
        std::fs::write(folder.path().join("db"), "hunter2").unwrap();
        std::fs::write(folder.path().join(".hidden"), "x").unwrap();
        std::fs::create_dir(folder.path().join("folder")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("gone")).unwrap();
        let first = read(&asked);
        let External::Folder { files, .. } = &first else { panic!("a folder") };
        assert_eq!(files.keys().map(String::as_str).collect::<Vec<_>>(), ["db", "gone"]);
        assert_eq!(files["db"], Ok(Secret::new("hunter2")));
        assert!(files["gone"].is_err());
        assert!(!format!("{first:?}").contains("hunter2"));
        assert_eq!(digest(&first), digest(&read(&asked)));
        std::fs::write(folder.path().join("db"), "hunter3").unwrap();
        assert_ne!(digest(&first), digest(&read(&asked)));
        assert_eq!(read(&External::Unknown), External::Nowhere);
    }
}
