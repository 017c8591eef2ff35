//! The state folder: who this installation is, the key for digests of secrets, and the lock.
//!
//! Only its owner may read it. Losing it costs no data and no availability: a new key takes secrets
//! that it cannot compare as equal, and the installation is known from the engine's labels.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::hash::Key;
use crate::host::Class;
use crate::name::Name;

const KEY_BYTES: usize = 32;

/// A failure with the state folder.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder cannot be made.
    #[error("failed to make state folder `{}`", path.display())]
    Make {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file in it cannot be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file in it cannot be written.
    #[error("failed to write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process works with it.
    #[error("failed to lock state folder `{}`: {holder} works with it", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
        /// Who, as in `driftless agent (process 42)`.
        holder: String,
    },
    /// The file that names the owner holds something else.
    #[error("failed to read the owner from `{}`: it {reason}", path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The engine knows several installations, and nothing says which this is.
    #[error("failed to tell which of the installations on this engine this is: {}", owners.join(", "))]
    SeveralOwners {
        /// Their ids.
        owners: Vec<String>,
    },
}

impl Error {
    /// Returns who has to do something about it.
    pub fn class(&self) -> Class {
        match self {
            Error::Make { .. } | Error::Read { .. } | Error::Write { .. } => Class::Host,
            Error::Locked { .. } => Class::Waiting,
            Error::Owner { .. } | Error::SeveralOwners { .. } => Class::User,
        }
    }

    /// Returns what to do about it, if that can be said.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Error::Make { source, .. } | Error::Read { source, .. } | Error::Write { source, .. } => match source.kind() {
                ErrorKind::PermissionDenied => Some("run it as root, or name a folder of your own with --state"),
                ErrorKind::ReadOnlyFilesystem => Some("the file system is read-only; name another folder with --state"),
                ErrorKind::StorageFull => Some("the disk is full: free some space"),
                ErrorKind::AlreadyExists | ErrorKind::NotADirectory => Some("a file is in the way; name another folder with --state"),
                _ => None,
            },
            Error::Locked { .. } => Some("wait for it to end, or name another folder with --state"),
            Error::Owner { .. } => Some("write the id that your containers carry as `dev.driftless.owner` into it, or remove it"),
            Error::SeveralOwners { .. } => Some("name one with --owner, or a new one to begin beside them"),
        }
    }
}

/// The state folder of one installation.
#[derive(Debug, Clone)]
pub struct State {
    /// The folder.
    pub path: PathBuf,
    /// The key for digests of secret values.
    pub key: Key,
    /// The owner that the folder knows, if it has been settled before.
    stored: Option<Name>,
}

/// Keeps others from working with the state folder until it is dropped.
#[derive(Debug)]
#[must_use = "the lock ends when this is dropped"]
pub struct Lock(#[expect(dead_code, reason = "held for its lock")] File);

impl State {
    /// Opens a state folder, making it and its key if there is none.
    pub fn open(path: &Path) -> Result<State, Error> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|source| Error::Make { path: path.to_owned(), source })?;
        let stored = read_owner(&path.join("owner"))?;
        let key = read_or_make_key(&path.join("key"))?;
        Ok(State { path: path.to_owned(), key, stored })
    }

    /// Tells whether it was said before who this installation is.
    pub fn has_owner(&self) -> bool {
        self.stored.is_some()
    }

    /// Says who this installation is, and remembers it: whom the flag names, else who it was before,
    /// else the only one that the engine knows, else a new one.
    pub fn settle_owner(&mut self, flag: Option<&Name>, on_engine: &BTreeSet<Name>) -> Result<Name, Error> {
        if let Some(owner) = flag.or(self.stored.as_ref()) {
            return Ok(owner.clone());
        }
        let owner = match on_engine.iter().collect::<Vec<_>>().as_slice() {
            [] => new_owner(&self.path)?,
            [only] => (*only).clone(),
            several => return Err(Error::SeveralOwners { owners: several.iter().map(ToString::to_string).collect() }),
        };
        make(&self.path.join("owner"), format!("{owner}\n").as_bytes())?;
        self.stored = Some(owner.clone());
        Ok(owner)
    }

    /// Keeps others from working with the folder. `holder` says who, for them.
    pub fn lock(&self, holder: &str) -> Result<Lock, Error> {
        let path = self.path.join("lock");
        let failed = |source| Error::Write { path: path.clone(), source };
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Who it is is only for the message.
                let _ = file.read_to_string(&mut text);
                let holder = if text.trim().is_empty() { "another process".to_owned() } else { text.trim().to_owned() };
                return Err(Error::Locked { path: self.path.clone(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        // The lock holds whatever is in the file: a full disk is no reason to stop.
        let _ = file.set_len(0).and_then(|()| file.rewind());
        let _ = write!(file, "{holder} (process {})", std::process::id());
        Ok(Lock(file))
    }
}

fn read_owner(path: &Path) -> Result<Option<Name>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => match Name::try_from(text.trim()) {
            Ok(owner) => Ok(Some(owner)),
            Err(error) => Err(Error::Owner { path: path.to_owned(), reason: error.to_string() }),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read { path: path.to_owned(), source }),
    }
}

fn read_or_make_key(path: &Path) -> Result<Key, Error> {
    if let Some(key) = read_key(path)? {
        return Ok(key);
    }
    let bytes: [u8; KEY_BYTES] = random()?;
    make(path, &bytes)?;
    // If two began at once, the one whose file is there has made the key.
    Ok(read_key(path)?.unwrap_or(Key::new(bytes)))
}

/// Reads the key; a damaged one is removed.
fn read_key(path: &Path) -> Result<Option<Key>, Error> {
    match fs::read(path).map(<[u8; KEY_BYTES]>::try_from) {
        Ok(Ok(bytes)) => Ok(Some(Key::new(bytes))),
        Ok(Err(_)) => {
            tracing::warn!(path = %path.display(), "the key is damaged; a new one is made, and secrets count as unchanged");
            fs::remove_file(path).map(|()| None).map_err(|source| Error::Write { path: path.to_owned(), source })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read { path: path.to_owned(), source }),
    }
}

/// Returns a new short id: 40 random bits as eight letters and digits that cannot be mistaken for one
/// another.
fn new_owner(state: &Path) -> Result<Name, Error> {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let bytes: [u8; 8] = random()?;
    let text: String = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
    Name::try_from(text).map_err(|error| Error::Owner { path: state.join("owner"), reason: error.to_string() })
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
    let path = PathBuf::from("/dev/urandom");
    let mut bytes = [0; N];
    match File::open(&path).and_then(|mut file| file.read_exact(&mut bytes)) {
        Ok(()) => Ok(bytes),
        Err(source) => Err(Error::Read { path, source }),
    }
}

/// Makes a file as a whole, unless there is one; only its owner may read it.
fn make(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let beside = path.with_extension(format!("new-{}", std::process::id()));
    let make = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        match fs::hard_link(&beside, path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    };
    let made = make();
    let _ = fs::remove_file(&beside);
    made.map_err(|source| Error::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn name(text: &str) -> Name {
        Name::try_from(text).expect("valid name")
    }

    fn owners(names: &[&str]) -> BTreeSet<Name> {
        names.iter().map(|text| name(text)).collect()
    }

    #[test]
    fn a_state_folder_is_made_once_and_only_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/state");
        let mut state = State::open(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let owner = state.settle_owner(None, &BTreeSet::new()).unwrap();
        assert_eq!(owner.as_str().len(), 8);
        assert_eq!((mode(&path), mode(&path.join("key")), mode(&path.join("owner"))), (0o700, 0o600, 0o600));
        let mut again = State::open(&path).unwrap();
        assert_eq!(again.key, state.key);
        assert_eq!(again.settle_owner(None, &owners(&["other"])).unwrap(), owner);
    }

    #[test]
    fn without_a_state_the_only_owner_on_the_engine_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(folder.path()).unwrap();
        let error = state.settle_owner(None, &owners(&["b", "a"])).unwrap_err();
        assert_eq!(error.to_string(), "failed to tell which of the installations on this engine this is: a, b");
        assert_eq!(state.settle_owner(Some(&name("mine")), &owners(&["b", "a"])).unwrap(), name("mine"));
        assert_eq!(state.settle_owner(None, &owners(&["a"])).unwrap(), name("a"));
        assert_eq!(State::open(folder.path()).unwrap().settle_owner(None, &owners(&["b", "c"])).unwrap(), name("a"));
    }

    #[test]
    fn a_damaged_key_is_replaced_and_a_damaged_owner_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let first = State::open(folder.path()).unwrap().key;
        fs::write(folder.path().join("key"), "short").unwrap();
        let second = State::open(folder.path()).unwrap().key;
        assert_ne!(first, second);
        assert_eq!(State::open(folder.path()).unwrap().key, second);
        fs::write(folder.path().join("owner"), "a b").unwrap();
        let error = State::open(folder.path()).unwrap_err();
        assert_eq!((error.class(), error.hint().is_some()), (Class::User, true));
    }

    #[test]
    fn only_one_works_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).unwrap();
        let lock = state.lock("driftless agent").unwrap();
        let error = state.lock("driftless plan").unwrap_err();
        let expected = format!("driftless agent (process {}) works with it", std::process::id());
        assert!(error.to_string().ends_with(&expected), "{error}");
        drop(lock);
        let _lock = state.lock("driftless plan").unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_made_says_what_to_do() {
        let error = State::open(Path::new("/dev/null/state")).unwrap_err();
        assert_eq!(error.to_string(), "failed to make state folder `/dev/null/state`");
        assert_eq!((error.class(), error.hint().is_some()), (Class::Host, true));
        let error = State::open(Path::new("/proc/driftless")).unwrap_err();
        assert_eq!(error.class(), Class::Host);
    }
}
