//! What can go wrong with a repository, and who has to do something about it.

use std::io;
use std::path::PathBuf;

use crate::host::Class;

use super::access::AccessError;
use super::location::Location;

/// A failure to get at a revision. What was fetched before stays usable.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The path does not exist or is no folder.
    #[error("failed to find repository `{repository}`")]
    Absent {
        /// The repository.
        repository: Location,
    },
    /// The repository cannot be opened or reached.
    #[error("failed to fetch from repository `{repository}`")]
    Fetch {
        /// The repository.
        repository: Location,
        /// Why.
        source: git2::Error,
    },
    /// The server does not let us in, or is not the one that is trusted.
    #[error("failed to fetch from repository `{repository}`")]
    Access {
        /// The repository.
        repository: Location,
        /// Why.
        source: Box<AccessError>,
    },
    /// The repository answers too slowly.
    #[error("failed to fetch from repository `{repository}` within {seconds} seconds")]
    Slow {
        /// The repository.
        repository: Location,
        /// The limit.
        seconds: u64,
    },
    /// The repository has no such branch, tag or commit.
    #[error("failed to find `{reference}` in repository `{repository}`")]
    UnknownRef {
        /// The repository.
        repository: Location,
        /// What was asked for.
        reference: String,
        /// Branches and tags that there are, the closest first.
        known: Vec<String>,
    },
    /// A plain folder has only its current state.
    #[error("failed to find `{reference}` in `{repository}`, which is a plain folder")]
    NoRefs {
        /// The folder.
        repository: Location,
        /// What was asked for.
        reference: String,
    },
    /// The repository has no commit yet.
    #[error("failed to find a commit in repository `{repository}`")]
    Empty {
        /// The repository.
        repository: Location,
    },
    /// The revision is nowhere any more.
    #[error("failed to find revision `{revision}` of repository `{repository}`")]
    Lost {
        /// The repository.
        repository: Location,
        /// The revision.
        revision: String,
    },
    /// The folder does not exist in that revision.
    #[error("failed to find folder `{path}` in revision `{revision}`")]
    NoFolder {
        /// The folder.
        path: String,
        /// The revision.
        revision: String,
    },
    /// The folder holds more than is read.
    #[error("failed to read folder `{path}`: it holds more than {limit}")]
    TooLarge {
        /// The folder.
        path: String,
        /// What is allowed, as in `128 MiB`.
        limit: String,
        /// The largest file in it; empty if none was read.
        largest: String,
    },
    /// A file of a plain folder cannot be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The mirror in the state folder cannot be written.
    #[error("failed to write mirror `{}`", path.display())]
    Mirror {
        /// Its folder.
        path: PathBuf,
        /// Why.
        source: git2::Error,
    },
    /// The mirror's folder cannot be made or replaced.
    #[error("failed to make mirror `{}`", path.display())]
    MirrorFolder {
        /// Its folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no clone in a folder.
    #[error("failed to find a Git repository in `{}`", path.display())]
    NoClone {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: git2::Error,
    },
    /// A clone cannot be read.
    #[error("failed to read the Git repository in `{}`", path.display())]
    Clone {
        /// Its folder.
        path: PathBuf,
        /// Why.
        source: git2::Error,
    },
    /// Two revisions share no commit.
    #[error("failed to find a commit that `{base}` and `{head}` have in common")]
    NothingInCommon {
        /// The first.
        base: String,
        /// The second.
        head: String,
    },
    /// The program ends while it works.
    #[error("failed to wait for repository `{repository}`")]
    Interrupted {
        /// The repository.
        repository: Location,
    },
}

impl Error {
    /// Returns who has to do something about it.
    pub fn class(&self) -> Class {
        match self {
            Error::Absent { .. } | Error::Slow { .. } | Error::Empty { .. } => Class::Waiting,
            Error::Fetch { source, .. } => match is_denied(source) {
                true => Class::User,
                false => Class::Waiting,
            },
            Error::Access { .. } => Class::User,
            Error::UnknownRef { .. } | Error::NoRefs { .. } | Error::NoFolder { .. } | Error::TooLarge { .. } | Error::Lost { .. } => {
                Class::User
            }
            Error::NoClone { .. } | Error::NothingInCommon { .. } => Class::User,
            Error::Clone { .. } | Error::Read { .. } | Error::Mirror { .. } | Error::MirrorFolder { .. } => Class::Host,
            Error::Interrupted { .. } => Class::Internal,
        }
    }

    /// Returns what to do about it, if that can be said.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Absent { .. } => Some("check the path; it is looked for again at every interval".to_owned()),
            Error::Fetch { source, .. } if is_denied(source) => {
                Some("is the URL right, and may the credentials read this repository?".to_owned())
            }
            Error::Access { source, .. } => Some(source.hint()),
            // What is fetched is written into the mirror at once.
            Error::Fetch { source, .. } => mirror_hint(source.message()).filter(|_| source.class() == git2::ErrorClass::Os),
            Error::UnknownRef { known, .. } => match known.as_slice() {
                [] => Some("the repository has neither branches nor tags".to_owned()),
                [first, ..] if known.len() == 1 => Some(format!("did you mean `{first}`?")),
                _ => Some(format!("it has {}", known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))),
            },
            Error::NoRefs { .. } => Some("leave out the ref, or name a Git repository".to_owned()),
            Error::NoClone { .. } => Some("run it in a clone, or name one with --repo".to_owned()),
            Error::NothingInCommon { .. } | Error::Clone { .. } => {
                Some("a shallow clone has too little history: in CI, check out all of it (`fetch-depth: 0`)".to_owned())
            }
            Error::Empty { .. } => Some("push a first commit".to_owned()),
            Error::Lost { .. } => Some("the branch was rewritten; push a commit that holds what shall run".to_owned()),
            Error::TooLarge { largest, .. } if largest.is_empty() => Some("name a smaller folder as path".to_owned()),
            Error::TooLarge { largest, .. } => Some(format!("the largest file in it is `{largest}`; name a smaller folder as path")),
            Error::Mirror { source, .. } => mirror_hint(source.message()),
            Error::MirrorFolder { source, .. } => mirror_hint(&source.to_string()),
            _ => None,
        }
    }
}

/// Tells whether a server says that there is no such repository, or not for us.
fn is_denied(error: &git2::Error) -> bool {
    ["status code: 403", "status code: 404"].iter().any(|status| error.message().contains(status))
}

/// libgit2 tells causes apart by their text alone.
fn mirror_hint(message: &str) -> Option<String> {
    let hints = [
        ("No space left", "the disk of the state folder is full: free some space"),
        ("Read-only file system", "the state folder is read-only; name another one with --state"),
        (".gitconfig", "HOME is not the home of this user: set it, or make the file readable"),
        ("ermission denied", "run it as root, or name a state folder of your own with --state"),
    ];
    hints.iter().find(|(text, _)| message.contains(text)).map(|(_, hint)| (*hint).to_owned())
}
