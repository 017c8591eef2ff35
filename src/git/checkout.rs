//! A clone in a folder of this host: two commits of it, the files at each, and where it was cloned from.
//!
//! Nothing is fetched and nothing is written; what the clone does not have is not there.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use git2::{ErrorCode, ObjectType, Oid, Repository};

use crate::manifest::Tree;

use super::{Error, Location, closest, fetch, read, read_error};

/// A document is no longer than this; what is longer holds something else.
const LONGEST_DOCUMENT: usize = 256 << 10;
/// More entries than this are not looked through for documents.
const MOST_ENTRIES: usize = 200_000;
/// Once documents have more bytes than this together, no more are taken.
const MOST_BYTES: usize = 16 << 20;

/// A clone of a repository in a folder of this host.
pub struct Checkout {
    folder: PathBuf,
    repository: Mutex<Repository>,
}

/// Two commits, and where the second left the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The last commit that both have.
    pub base: String,
    /// The second commit.
    pub head: String,
}

impl Checkout {
    /// Opens the clone that a folder is in.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn open(folder: &Path) -> Result<Checkout, Error> {
        let absent = |source| Error::NoClone { path: folder.to_owned(), source };
        let git_dir = Repository::discover_path(folder, std::iter::empty::<&Path>()).map_err(absent)?;
        // `open_bare` does not ask who owns the folder: a CI job often is somebody else, and only reads.
        let repository = Repository::open_bare(git_dir).map_err(absent)?;
        Ok(Checkout { folder: folder.to_owned(), repository: Mutex::new(repository) })
    }

    /// Finds two revisions as people write them, and the last commit that both have: what the second adds is what is
    /// behind that.
    ///
    /// # Errors
    ///
    /// If one is not there, or they have nothing in common.
    pub fn range(&self, base: &str, head: &str) -> Result<Range, Error> {
        self.with(|repository| {
            let (from, to) = (self.resolve(repository, base)?, self.resolve(repository, head)?);
            let common = repository.merge_base(from, to).map_err(|source| match source.code() {
                ErrorCode::NotFound => Error::NothingInCommon { base: base.to_owned(), head: head.to_owned() },
                _ => self.failed(source),
            })?;
            Ok(Range { base: common.to_string(), head: to.to_string() })
        })
    }

    /// Reads the files of a folder at a commit; `None` if there is no such folder.
    ///
    /// # Errors
    ///
    /// If it holds too much, or the clone is damaged.
    pub fn tree(&self, commit: &str, path: &str) -> Result<Option<Tree>, Error> {
        self.with(|repository| {
            let root = self.root(repository, commit)?;
            match read::read(repository, root, path) {
                Ok((tree, _)) => Ok(Some(tree)),
                Err(read::Trouble::NoFolder) => Ok(None),
                Err(trouble) => Err(read_error(trouble, commit, path, &self.folder)),
            }
        })
    }

    /// Returns the YAML files at a commit that hold a text at the beginning of a line, with their paths. Of a repository
    /// that has more than anybody keeps in one, not all are found.
    ///
    /// # Errors
    ///
    /// If the clone is damaged.
    pub fn documents(&self, commit: &str, text: &str) -> Result<Vec<(PathBuf, Vec<u8>)>, Error> {
        self.with(|repository| {
            let failed = |source| self.failed(source);
            let (mut found, mut entries, mut bytes) = (Vec::new(), 0, 0);
            let mut folders = vec![(self.root(repository, commit)?, String::new(), 0)];
            while let Some((id, folder, depth)) = folders.pop() {
                for entry in &repository.find_tree(id).map_err(failed)? {
                    entries += 1;
                    let name = String::from_utf8_lossy(entry.name_bytes());
                    if entries > MOST_ENTRIES || name.starts_with('.') {
                        continue;
                    }
                    let path = format!("{folder}{name}");
                    let is_yaml = name.ends_with(".yaml") || name.ends_with(".yml");
                    match entry.kind() {
                        Some(ObjectType::Tree) if depth < read::DEEPEST => folders.push((entry.id(), path + "/", depth + 1)),
                        Some(ObjectType::Blob) if is_yaml && entry.filemode() != read::LINK && bytes < MOST_BYTES => {
                            let Some(document) = document(repository, entry.id(), text) else { continue };
                            bytes += document.len();
                            found.push((PathBuf::from(path), document));
                        }
                        _ => {}
                    }
                }
            }
            found.sort();
            Ok(found)
        })
    }

    /// Tells whether a location is this repository: its folder, or where it was cloned from. Hosts are not
    /// compared, because a forge often has another name inside than outside.
    pub fn is_at(&self, location: &Location) -> bool {
        let repository = self.repository.lock().unwrap_or_else(PoisonError::into_inner);
        if let Location::Path(path) = location
            && [Some(repository.path()), repository.path().parent(), Some(&self.folder)].into_iter().flatten().any(|own| same(own, path))
        {
            return true;
        }
        let remotes = repository.remotes();
        let remotes = remotes.iter().flat_map(|names| names.iter()).flatten().flatten();
        let urls = remotes.filter_map(|name| repository.find_remote(name).ok()?.url().ok().map(str::to_owned));
        urls.filter_map(|url| Location::parse(&url).ok()).any(|remote| match (&remote, location) {
            (Location::Url(_), Location::Url(_)) => remote.path_name() == location.path_name(),
            (Location::Path(own), Location::Path(path)) => same(own, path),
            _ => false,
        })
    }

    /// Returns the last part of its folder's path: what an application is called by default.
    pub fn name(&self) -> String {
        let folder = std::fs::canonicalize(&self.folder).unwrap_or_else(|_| self.folder.clone());
        Location::folder(&folder).name().to_owned()
    }

    fn root(&self, repository: &Repository, commit: &str) -> Result<Oid, Error> {
        let commit = Oid::from_str(commit).and_then(|id| repository.find_commit(id));
        commit.map(|commit| commit.tree_id()).map_err(|source| self.failed(source))
    }

    fn resolve(&self, repository: &Repository, revision: &str) -> Result<Oid, Error> {
        let found = repository.revparse_single(revision).and_then(|object| object.peel_to_commit());
        found.map(|commit| commit.id()).map_err(|source| match source.code() {
            ErrorCode::NotFound | ErrorCode::InvalidSpec | ErrorCode::Peel | ErrorCode::Ambiguous => {
                let mut known = fetch::names(repository);
                known.extend(remote_branches(repository));
                Error::UnknownRef {
                    repository: Location::folder(&self.folder),
                    reference: revision.to_owned(),
                    known: closest(revision, known),
                }
            }
            _ => self.failed(source),
        })
    }

    fn failed(&self, source: git2::Error) -> Error {
        Error::Clone { path: self.folder.clone(), source }
    }

    fn with<T>(&self, work: impl FnOnce(&Repository) -> Result<T, Error>) -> Result<T, Error> {
        work(&self.repository.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::fmt::Debug for Checkout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkout").field("folder", &self.folder).finish_non_exhaustive()
    }
}

fn document(repository: &Repository, blob: Oid, text: &str) -> Option<Vec<u8>> {
    repository.odb().and_then(|odb| odb.read_header(blob)).ok().filter(|(size, _)| *size <= LONGEST_DOCUMENT)?;
    let blob = repository.find_blob(blob).ok()?;
    let content = std::str::from_utf8(blob.content()).ok()?;
    content.lines().any(|line| line.starts_with(text)).then(|| blob.content().to_vec())
}

/// In a clone of CI a branch often is there only as `origin/main`.
fn remote_branches(repository: &Repository) -> Vec<String> {
    let Ok(references) = repository.references_glob("refs/remotes/*") else { return Vec::new() };
    references.flatten().filter_map(|reference| Some(reference.name().ok()?.strip_prefix("refs/remotes/")?.to_owned())).collect()
}

fn same(a: &Path, b: &Path) -> bool {
    match (std::fs::canonicalize(a), std::fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}
