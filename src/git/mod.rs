//! Revisions of a repository or plain folder, and the files of an application at one of them.
//!
//! Everything goes through a mirror in the state folder, so a revision that was once fetched can be
//! read again whatever happens to its source. Nothing here knows what the files mean.

mod access;
mod auth;
mod checkout;
mod error;
mod fetch;
mod folder;
mod known;
mod location;
mod mirror;
mod netrc;
mod origin;
mod read;
mod remote;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use git2::{ErrorCode, Repository};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::hash::sha256;
use crate::manifest::Tree;
use crate::name::Name;
use crate::time::Time;

use location::Content;
use mirror::Lost;

pub use access::AccessError;
pub use auth::{Auth, AuthError, FileError};
pub use checkout::{Checkout, Range};
pub use error::Error;
pub use known::{HostKey, HostKeyError, Server};
pub use location::{Location, LocationError, path_name};
pub use origin::{Origin, origin_of};
pub use watch::{Watching, jitter};

/// How long a fetch may take, with waiting for an earlier one.
const SLOWEST: Duration = Duration::from_secs(300);

/// A commit, or one state of a plain folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// The commit's 40 digits, or `folder-` and twelve digits.
    pub id: String,
    /// The first line of the commit's message; empty for a plain folder.
    pub summary: String,
    /// When the commit was made; `None` for a plain folder.
    pub committed: Option<Time>,
}

/// What each ref led to.
pub type Fetched = BTreeMap<String, Result<Revision, Error>>;

/// A repository or plain folder with its mirror. Clones share the mirror.
#[derive(Debug, Clone)]
pub struct Source {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    location: Location,
    auth: Auth,
    state: PathBuf,
    mirror: PathBuf,
    /// One fetch at a time writes the mirror; reading goes on meanwhile. It is waited for without a
    /// thread, because a repository far away may hang.
    writing: Arc<Mutex<()>>,
}

impl Source {
    /// Returns the source at a location, mirrored below `STATE/git`. It may not be there yet.
    pub fn new(state: &Path, location: Location, auth: Auth) -> Self {
        let text = match &location {
            Location::Path(path) => format!("path {}", path.display()),
            Location::Folder(path) => format!("folder {}", path.display()),
            Location::Url(url) => format!("url {url}"),
        };
        let state = std::path::absolute(state).unwrap_or_else(|_| state.to_owned());
        let mirror = state.join("git").join(format!("{}.git", &sha256(text.as_bytes())[..16]));
        let writing = writing(&mirror);
        Source { shared: Arc::new(Shared { location, auth, state, mirror, writing }) }
    }

    /// Returns where it is.
    pub fn location(&self) -> &Location {
        &self.shared.location
    }

    /// Gets the revision that a branch, tag or commit is now; an empty ref means `HEAD`.
    pub async fn fetch(&self, reference: &str) -> Result<Revision, Error> {
        let mut found = self.fetch_all(BTreeSet::from([reference.to_owned()])).await?;
        found.remove(reference).unwrap_or_else(|| Err(Error::Interrupted { repository: self.location().clone() }))
    }

    /// Gets the revisions that some refs are now, all at once.
    ///
    /// # Errors
    ///
    /// If the source cannot be reached; what is wrong with one ref is its own result.
    pub async fn fetch_all(&self, references: BTreeSet<String>) -> Result<Fetched, Error> {
        let work = async {
            let one = self.shared.writing.clone().lock_owned().await;
            self.blocking(move |shared| {
                let result = shared.fetch(&references);
                drop(one);
                result
            })
            .await
        };
        let slow = || Error::Slow { repository: self.location().clone(), seconds: SLOWEST.as_secs() };
        timeout(SLOWEST, work).await.unwrap_or_else(|_| Err(slow()))
    }

    /// Reads the files of a folder at a revision that was fetched before. A damaged mirror is made
    /// anew from the source.
    pub async fn tree(&self, revision: &str, path: &str) -> Result<Tree, Error> {
        Ok(self.folder(revision, path).await?.0)
    }

    /// Reads the files of a folder, and its print: two revisions in which that is the same ask for the very
    /// same there. A folder with links that lead out of it has none.
    pub async fn folder(&self, revision: &str, path: &str) -> Result<(Tree, Option<String>), Error> {
        let (revision, path) = (revision.to_owned(), path.to_owned());
        self.blocking(move |shared| shared.tree(&revision, &path)).await
    }

    /// Returns the prints of folders at a revision that was fetched before, without reading them. What has none
    /// or cannot be told has to be read.
    pub async fn prints(&self, revision: &str, paths: BTreeSet<String>) -> BTreeMap<String, String> {
        let revision = revision.to_owned();
        self.blocking(move |shared| Ok(shared.prints(&revision, paths))).await.unwrap_or_default()
    }

    /// Returns the last commit that two revisions have in common; both were fetched before.
    ///
    /// # Errors
    ///
    /// If they have none, or it is a plain folder, which has no history.
    pub async fn common(&self, one: &str, other: &str) -> Result<String, Error> {
        let (one, other) = (one.to_owned(), other.to_owned());
        self.blocking(move |shared| shared.common(&one, &other)).await
    }

    /// Keeps a revision for an application, also if the source loses it.
    pub async fn keep(&self, application: &Name, revision: &str) -> Result<(), Error> {
        let (application, revision) = (application.clone(), revision.to_owned());
        self.blocking(move |shared| {
            let mirror = shared.open()?;
            mirror::keep(&mirror, &application, &revision).map_err(|source| match source.code() {
                ErrorCode::NotFound => Error::Lost { repository: shared.location.clone(), revision },
                _ => shared.mirror_error(source),
            })
        })
        .await
    }

    /// Returns the revisions that are kept for an application.
    pub async fn kept(&self, application: &Name) -> Result<BTreeSet<String>, Error> {
        let application = application.clone();
        self.blocking(move |shared| Ok(mirror::kept(&shared.open()?, &application))).await
    }

    /// Lets go of all kept revisions of an application but some.
    pub async fn retain(&self, application: &Name, wanted: BTreeSet<String>) -> Result<(), Error> {
        let application = application.clone();
        self.blocking(move |shared| mirror::retain(&shared.open()?, &application, &wanted).map_err(|source| shared.mirror_error(source)))
            .await
    }

    /// Calls `poke` whenever the source may have changed, until the returned guard is dropped: at once
    /// if it is on this host, and every `interval` (with jitter; zero means never).
    pub fn watch(&self, interval: Duration, poke: impl Fn() + Send + Sync + 'static) -> Watching {
        watch::start(self.shared.location.clone(), self.shared.state.clone(), interval, Arc::new(poke))
    }

    async fn blocking<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Shared) -> Result<T, Error> + Send + 'static,
    {
        let shared = self.shared.clone();
        let interrupted = || Error::Interrupted { repository: self.location().clone() };
        tokio::task::spawn_blocking(move || work(&shared)).await.unwrap_or_else(|_| Err(interrupted()))
    }
}

impl Shared {
    fn fetch(&self, references: &BTreeSet<String>) -> Result<Fetched, Error> {
        let result = self.open().and_then(|mirror| self.obtain(&mirror, references));
        let damage = |error: &Error| if let Error::Mirror { source, .. } = error { is_damage(source) } else { false };
        let one =
            result.as_ref().map_or_else(Some, |found| found.values().find_map(|result| result.as_ref().err().filter(|it| damage(it))));
        match one {
            Some(error) if damage(error) => {
                self.repair(&error.to_string())?;
                self.obtain(&self.open()?, references)
            }
            _ => result,
        }
    }

    fn fetch_one(&self, reference: &str) -> Result<Revision, Error> {
        let found = self.fetch(&BTreeSet::from([reference.to_owned()]))?.remove(reference);
        found.unwrap_or_else(|| Err(Error::Interrupted { repository: self.location.clone() }))
    }

    fn prints(&self, revision: &str, paths: BTreeSet<String>) -> BTreeMap<String, String> {
        let Ok(mirror) = self.open() else { return BTreeMap::new() };
        let Ok(root) = root(&mirror, revision) else { return BTreeMap::new() };
        let print = |path: String| Some((read::print(&mirror, root, &path).ok()??, path));
        paths.into_iter().filter_map(print).map(|(print, path)| (path, print)).collect()
    }

    fn tree(&self, revision: &str, path: &str) -> Result<(Tree, Option<String>), Error> {
        if !self.has(revision)? {
            let _one = self.writing.blocking_lock();
            self.fetch_one(revision).map_err(|error| self.lost(error, revision))?;
        }
        let attempt = || -> Result<(Tree, Option<String>), read::Trouble> {
            let mirror = mirror::open(&self.mirror)?;
            read::read(&mirror, root(&mirror, revision)?, path)
        };
        let result = match attempt() {
            Err(read::Trouble::Mirror(error)) if is_damage(&error) => {
                let _one = self.writing.blocking_lock();
                // A revision that the source has lost may still have been saved from the mirror.
                let repaired = self.repair(error.message()).and_then(|()| self.fetch_one(revision));
                match (attempt(), repaired) {
                    (Err(read::Trouble::Mirror(_)), Err(error)) => return Err(self.lost(error, revision)),
                    (result, _) => result,
                }
            }
            result => result,
        };
        result.map_err(|trouble| read_error(trouble, revision, path, &self.mirror))
    }

    fn common(&self, one: &str, other: &str) -> Result<String, Error> {
        // The mirror of a repository of this host has no history: that is read where it is.
        let repository = match (&self.location, self.location.content()) {
            (Location::Url(_), _) => self.open()?,
            (_, Content::Repository(git_dir)) => {
                Repository::open_bare(git_dir).map_err(|source| self.fetch_error(fetch::Trouble::Source(source), one))?
            }
            _ => return Err(Error::NoRefs { repository: self.location.clone(), reference: one.to_owned() }),
        };
        let commit = |text: &str| git2::Oid::from_str(text).map_err(|source| self.mirror_error(source));
        let common = repository.merge_base(commit(one)?, commit(other)?).map_err(|source| match source.code() {
            ErrorCode::NotFound => Error::NothingInCommon { base: one.to_owned(), head: other.to_owned() },
            _ => self.mirror_error(source),
        })?;
        Ok(common.to_string())
    }

    /// Gets refs into the mirror.
    fn obtain(&self, mirror: &Repository, references: &BTreeSet<String>) -> Result<Fetched, Error> {
        let found = match (&self.location, self.location.content()) {
            (Location::Url(url), _) => fetch::remote(mirror, (url, &self.auth), references),
            (_, Content::Repository(git_dir)) => fetch::local(mirror, &git_dir, references),
            (_, Content::Folder(path)) => {
                let take = |reference: &String| (reference.clone(), self.take(mirror, &path, reference));
                return Ok(references.iter().map(take).collect());
            }
            (_, Content::Nothing) => return Err(Error::Absent { repository: self.location.clone() }),
        };
        let found = found.map_err(|trouble| self.fetch_error(trouble, ""))?;
        let revision = |reference: &str, commit: Result<git2::Oid, fetch::Trouble>| {
            let commit = commit.map_err(|trouble| self.fetch_error(trouble, reference))?;
            let commit = mirror.find_commit(commit).map_err(|source| self.mirror_error(source))?;
            Ok(Revision {
                id: commit.id().to_string(),
                summary: commit.summary().ok().flatten().unwrap_or_default().to_owned(),
                committed: Some(Time(commit.time().seconds().saturating_mul(1000))),
            })
        };
        Ok(found.into_iter().map(|(reference, commit)| (reference.clone(), revision(&reference, commit))).collect())
    }

    fn take(&self, mirror: &Repository, path: &Path, reference: &str) -> Result<Revision, Error> {
        let no_refs = || Error::NoRefs { repository: self.location.clone(), reference: reference.to_owned() };
        if !matches!(reference, "" | "HEAD") && !reference.starts_with(folder::PREFIX) {
            return Err(no_refs());
        }
        let tree = folder::take(mirror, path, &self.state).map_err(|trouble| take_error(trouble, path, &self.mirror))?;
        let id = folder::revision(tree);
        // Somebody asks for an earlier state, which only the mirror could have had.
        if reference.starts_with(folder::PREFIX) && reference != id {
            return Err(Error::Lost { repository: self.location.clone(), revision: reference.to_owned() });
        }
        Ok(Revision { id, summary: String::new(), committed: None })
    }

    /// Makes the mirror anew; kept revisions are saved from the old one or the source.
    fn repair(&self, why: &str) -> Result<(), Error> {
        tracing::warn!(repository = %self.location, error = why, "the mirror is damaged; it is made anew");
        let lost = mirror::recreate(&self.mirror).map_err(|source| Error::MirrorFolder { path: self.mirror.clone(), source })?;
        let mirror = self.open()?;
        let objects: BTreeSet<String> = lost.iter().map(|lost| lost.object.to_string()).collect();
        let mut found = if objects.is_empty() { Fetched::new() } else { self.obtain(&mirror, &objects).unwrap_or_default() };
        for Lost { reference, object } in lost {
            let found = found.remove(&object.to_string()).is_some_and(|found| found.is_ok());
            if !found || mirror.reference(&reference, object, true, "found again").is_err() {
                tracing::warn!(repository = %self.location, %reference, "a kept revision was lost with the damaged mirror");
            }
        }
        Ok(())
    }

    fn open(&self) -> Result<Repository, Error> {
        if let Some(parent) = self.mirror.parent() {
            std::fs::create_dir_all(parent).map_err(|source| Error::MirrorFolder { path: self.mirror.clone(), source })?;
        }
        mirror::open(&self.mirror).map_err(|source| self.mirror_error(source))
    }

    fn mirror_error(&self, source: git2::Error) -> Error {
        Error::Mirror { path: self.mirror.clone(), source }
    }

    /// Tells whether the mirror knows a revision; it may still be damaged.
    fn has(&self, revision: &str) -> Result<bool, Error> {
        Ok(!matches!(mirror::find(&self.open()?, revision), Err(error) if error.code() == ErrorCode::NotFound))
    }

    /// Says that a revision is lost, rather than that no branch has its name.
    fn lost(&self, error: Error, revision: &str) -> Error {
        match error {
            Error::UnknownRef { .. } | Error::NoRefs { .. } => {
                Error::Lost { repository: self.location.clone(), revision: revision.to_owned() }
            }
            error => error,
        }
    }

    fn fetch_error(&self, trouble: fetch::Trouble, reference: &str) -> Error {
        let repository = self.location.clone();
        match trouble {
            fetch::Trouble::Source(source) => Error::Fetch { repository, source },
            fetch::Trouble::Access(source) => Error::Access { repository, source: Box::new(source) },
            fetch::Trouble::Mirror(source) => self.mirror_error(source),
            fetch::Trouble::Empty => Error::Empty { repository },
            fetch::Trouble::Unknown(known) => {
                Error::UnknownRef { repository, reference: reference.to_owned(), known: closest(reference, known) }
            }
        }
    }
}

/// Returns the lock of a mirror. Two sources of one location have the same mirror, so they have the same
/// lock, too, whoever made them.
fn writing(mirror: &Path) -> Arc<Mutex<()>> {
    static LOCKS: std::sync::Mutex<BTreeMap<PathBuf, Weak<Mutex<()>>>> = std::sync::Mutex::new(BTreeMap::new());
    let mut locks = LOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(lock) = locks.get(mirror).and_then(Weak::upgrade) {
        return lock;
    }
    let lock = Arc::default();
    locks.retain(|_, lock| lock.strong_count() > 0);
    locks.insert(mirror.to_owned(), Arc::downgrade(&lock));
    lock
}

/// Reads a folder of this host, or one file, as it is now; needs no state folder. The revision is the
/// one that a [`Source`] at [`Location::Folder`] has.
pub async fn read(path: &Path) -> Result<(Revision, Tree), Error> {
    let path = path.to_owned();
    let repository = Location::folder(&path);
    tokio::task::spawn_blocking(move || read_now(&path)).await.unwrap_or(Err(Error::Interrupted { repository }))
}

fn read_now(path: &Path) -> Result<(Revision, Tree), Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    let mirror_error = |source| Error::Mirror { path: PathBuf::from("memory"), source };
    let memory = mirror::in_memory().map_err(mirror_error)?;
    let taken = if metadata.is_dir() { folder::take(&memory, path, Path::new("")) } else { folder::take_file(&memory, path) };
    let root = taken.map_err(|trouble| take_error(trouble, path, Path::new("memory")))?;
    let revision = Revision { id: folder::revision(root), summary: String::new(), committed: None };
    let (tree, _) = read::read(&memory, root, ".").map_err(|trouble| read_error(trouble, &revision.id, ".", Path::new("memory")))?;
    Ok((revision, tree))
}

/// Returns the tree of a revision.
fn root(mirror: &Repository, revision: &str) -> Result<git2::Oid, git2::Error> {
    Ok(mirror.find_object(mirror::find(mirror, revision)?, None)?.peel_to_tree()?.id())
}

fn read_error(trouble: read::Trouble, revision: &str, path: &str, mirror: &Path) -> Error {
    match trouble {
        read::Trouble::NoFolder => Error::NoFolder { path: path.to_owned(), revision: revision.to_owned() },
        read::Trouble::TooLarge { limit, largest } => Error::TooLarge { path: path.to_owned(), limit, largest },
        read::Trouble::Mirror(source) => Error::Mirror { path: mirror.to_owned(), source },
    }
}

fn take_error(trouble: folder::Trouble, path: &Path, mirror: &Path) -> Error {
    match trouble {
        folder::Trouble::Read(path, source) => Error::Read { path, source },
        folder::Trouble::Mirror(source) => Error::Mirror { path: mirror.to_owned(), source },
        folder::Trouble::TooLarge(limit, largest) => {
            Error::TooLarge { path: path.display().to_string(), limit, largest: largest.display().to_string() }
        }
    }
}

/// Tells whether a mirror's error may be cured by making it anew; a full disk is not, nor is a
/// configuration of the user's that cannot be read.
fn is_damage(error: &git2::Error) -> bool {
    error.class() != git2::ErrorClass::Os && !error.message().contains(".gitconfig")
}

/// Returns the one name that was probably meant, or the ten closest.
fn closest(wanted: &str, mut known: Vec<String>) -> Vec<String> {
    let likeness = |name: &String| strsim::jaro_winkler(wanted, name);
    known.sort_by(|a, b| likeness(b).total_cmp(&likeness(a)).then_with(|| a.cmp(b)));
    known.dedup();
    let keep = if known.first().is_some_and(|name| likeness(name) > 0.85) { 1 } else { 10 };
    known.truncate(keep);
    known
}

#[cfg(test)]
mod tests;
