//! The mirror: a bare repository in the state folder that holds every revision that was looked at.
//!
//! Objects are written children first, so whatever is in it is whole. Revisions that must not be
//! lost are kept by refs `refs/driftless/<application>/<revision>`. It is a cache all the same: a
//! damaged one is made anew from what can still be read and from the source.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use git2::{ObjectType, Odb, OdbLookupFlags, Oid, Repository};

use crate::name::Name;

/// As deep as folders may lie in each other; what a person writes has fewer, and recursion needs an
/// end.
const DEEPEST: usize = 200;

/// A revision's ref that was not saved from a damaged mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lost {
    pub reference: String,
    pub object: Oid,
}

/// Opens the mirror in a folder, making it if there is none.
pub(super) fn open(path: &Path) -> Result<Repository, git2::Error> {
    match path.exists() {
        true => Repository::open_bare(path),
        false => Repository::init_bare(path),
    }
}

/// Returns a repository that is nowhere but in memory.
pub(super) fn in_memory() -> Result<Repository, git2::Error> {
    let odb = Odb::new()?;
    odb.add_new_mempack_backend(0)?;
    Repository::from_odb(odb)
}

/// Replaces a damaged mirror by a new one with all kept revisions that can still be read; returns
/// the others.
pub(super) fn recreate(path: &Path) -> io::Result<Vec<Lost>> {
    let beside = PathBuf::from(format!("{}.new", path.display()));
    remove(&beside)?;
    let fresh = Repository::init_bare(&beside).map_err(io::Error::other)?;
    let mut lost = Vec::new();
    if let Ok(old) = Repository::open_bare(path) {
        for (reference, object) in kept_refs(&old, "refs/driftless/") {
            let saved = copy(&old, &fresh, object).is_ok() && fresh.reference(&reference, object, true, "saved").is_ok();
            if !saved {
                lost.push(Lost { reference, object });
            }
        }
    }
    drop(fresh);
    remove(path)?;
    fs::rename(&beside, path)?;
    Ok(lost)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Which side a copy failed on.
#[derive(Debug)]
pub(super) enum CopyError {
    /// An object cannot be read.
    From(git2::Error),
    /// An object cannot be written.
    To(git2::Error),
}

/// Copies a commit without its parents, or a tree, with everything below it.
pub(super) fn copy(from: &Repository, to: &Repository, object: Oid) -> Result<(), CopyError> {
    let source = from.odb().map_err(CopyError::From)?;
    let target = to.odb().map_err(CopyError::To)?;
    copy_below(from, (&source, &target), object, 0)
}

fn copy_below(from: &Repository, (source, target): (&Odb, &Odb), object: Oid, depth: usize) -> Result<(), CopyError> {
    if target.exists_ext(object, OdbLookupFlags::NO_REFRESH) {
        return Ok(());
    }
    if depth > DEEPEST {
        return Err(CopyError::From(git2::Error::from_str("folders lie too deep in each other")));
    }
    let data = source.read(object).map_err(CopyError::From)?;
    match data.kind() {
        ObjectType::Commit => {
            let tree = from.find_commit(object).map_err(CopyError::From)?.tree_id();
            copy_below(from, (source, target), tree, depth + 1)?;
        }
        ObjectType::Tree => {
            let tree = from.find_tree(object).map_err(CopyError::From)?;
            // Submodules are commits of another repository.
            for entry in tree.iter().filter(|entry| entry.kind() != Some(ObjectType::Commit)) {
                copy_below(from, (source, target), entry.id(), depth + 1)?;
            }
        }
        _ => {}
    }
    target.write(data.kind(), data.data()).map_err(CopyError::To)?;
    Ok(())
}

/// Returns the commit or, of a plain folder, the tree of a revision.
pub(super) fn find(mirror: &Repository, revision: &str) -> Result<Oid, git2::Error> {
    match revision.strip_prefix(super::folder::PREFIX) {
        Some(short) => Ok(mirror.find_object_by_prefix(short, Some(ObjectType::Tree))?.id()),
        None => Ok(mirror.find_commit(Oid::from_str(revision)?)?.id()),
    }
}

/// Keeps a revision for an application.
pub(super) fn keep(mirror: &Repository, application: &Name, revision: &str) -> Result<(), git2::Error> {
    let object = find(mirror, revision)?;
    mirror.reference(&format!("{}{revision}", folder(application)), object, true, "keep").map(|_| ())
}

/// Returns the revisions that are kept for an application.
pub(super) fn kept(mirror: &Repository, application: &Name) -> BTreeSet<String> {
    let folder = folder(application);
    kept_refs(mirror, &folder).into_iter().filter_map(|(name, _)| Some(name.strip_prefix(&folder)?.to_owned())).collect()
}

/// Lets go of all revisions of an application but some.
pub(super) fn retain(mirror: &Repository, application: &Name, wanted: &BTreeSet<String>) -> Result<(), git2::Error> {
    for revision in kept(mirror, application).difference(wanted) {
        mirror.find_reference(&format!("{}{revision}", folder(application)))?.delete()?;
    }
    Ok(())
}

fn kept_refs(mirror: &Repository, folder: &str) -> Vec<(String, Oid)> {
    let Ok(references) = mirror.references_glob(&format!("{folder}*")) else { return Vec::new() };
    references.flatten().filter_map(|reference| Some((reference.name().ok()?.to_owned(), reference.target()?))).collect()
}

/// Returns the refs' folder of an application. Dots may stand in names but not everywhere in refs
/// (git-check-ref-format), so they are written as `%2E`.
fn folder(application: &Name) -> String {
    format!("refs/driftless/{}/", application.as_str().replace('.', "%2E"))
}
