//! Manifests of a folder as its files are now, read without engine, network or state folder.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::config::{Application, Flags};
use crate::desired::{Desired, Installation};
use crate::finding::Finding;
use crate::git::Source;
use crate::hash::Key;
use crate::manifest::{Context, Entry, Format, Tree, build};
use crate::name::Name;

use super::error::Error;

/// What a folder says.
#[derive(Debug)]
pub(super) struct Read {
    /// What it asks for, or everything that is wrong.
    pub desired: Result<Desired, Vec<Finding>>,
    /// Its files.
    pub tree: Tree,
}

/// Reads the folder that an application is.
///
/// # Errors
///
/// If its files cannot be read. What is wrong in them is no error but findings.
pub(super) async fn read(flags: &Flags, application: &Application) -> Result<Read, Error> {
    let mirror = Temporary::make()?;
    let source = Source::new(&mirror.0, application.location.clone());
    let revision = source.fetch(&application.reference).await?;
    let tree = source.tree(&revision.id, &application.path).await?;
    let nobody = flags.owner.clone().unwrap_or_else(|| Name::try_from("nobody").expect("letters only"));
    let context = Context {
        application: application.name.clone(),
        revision: revision.id,
        // Nothing that depends on the key is shown or kept.
        installation: Installation { owner: nobody, domain: flags.zone.clone(), layout: flags.layout(), key: Key::new([0; 32]) },
        settings: application.settings.clone(),
        namespace: application.namespace.clone(),
        format: Format::Auto,
    };
    Ok(Read { desired: build(&tree, &context), tree })
}

impl Read {
    /// Returns all findings.
    pub(super) fn findings(&self) -> &[Finding] {
        match &self.desired {
            Ok(desired) => &desired.findings,
            Err(findings) => findings,
        }
    }

    /// Returns the text of a file, to show its lines.
    pub(super) fn text(&self, file: &str) -> Option<String> {
        match self.tree.files.get(file) {
            Some(Entry::File { bytes, .. }) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        }
    }
}

/// A folder that only this user may read and that goes when it is dropped: manifests may hold secrets.
struct Temporary(PathBuf);

impl Temporary {
    fn make() -> Result<Self, Error> {
        let base = std::env::temp_dir();
        let mut number = 0;
        loop {
            let path = base.join(format!("driftless-{}-{number}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Temporary(path)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && number < 1000 => number += 1,
                Err(source) => return Err(Error::Folder { path, source }),
            }
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be removed now is removed with the rest of the temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Returns how a file of a folder is named for whoever named the folder.
pub(super) fn shown(folder: &Path, file: &str) -> String {
    if file.is_empty() || folder.is_file() {
        return folder.display().to_string();
    }
    let folder = folder.strip_prefix("./").unwrap_or(folder);
    if folder.as_os_str() == "." { file.to_owned() } else { folder.join(file).display().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_as_one_would_open_them() {
        for (folder, file, expected) in [
            (".", "a/b.yaml", "a/b.yaml"),
            ("./deploy", "b.yaml", "deploy/b.yaml"),
            ("deploy/", "b.yaml", "deploy/b.yaml"),
            ("/srv/shop", "b.yaml", "/srv/shop/b.yaml"),
            ("deploy", "", "deploy"),
        ] {
            assert_eq!(shown(Path::new(folder), file), expected);
        }
    }
}
