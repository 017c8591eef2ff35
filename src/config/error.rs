//! What is wrong with flags and `Application` files.

use std::io;
use std::path::PathBuf;

use crate::finding::{Finding, Severity};
use crate::git::{AuthError, LocationError};
use crate::host::Class;
use crate::name::NameError;
use crate::report::word::finding_line;

/// A mistake in flags or `Application` files.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The files have errors.
    #[error("failed to read the applications of `{}`", path.display())]
    Refused {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, file by file.
        findings: Vec<Finding>,
        /// What is in the files, by the name that findings give them, to show the lines.
        texts: Vec<(String, String)>,
    },
    /// There is no application in the files.
    #[error("failed to find an application in `{}`", path.display())]
    None {
        /// The file or folder.
        path: PathBuf,
    },
    /// Neither files nor a repository were named.
    #[error("failed to find out what to deploy: neither --config nor --repo was given")]
    Nothing,
    /// The repository is no location.
    #[error("failed to read --repo `{text}`: it {reason}")]
    Location {
        /// What was written.
        text: String,
        /// What is wrong with it.
        reason: LocationError,
    },
    /// The flags for credentials do not fit.
    #[error("failed to use the credentials: {flag} {}", reason.reason)]
    Auth {
        /// The flag.
        flag: String,
        /// What is wrong with it.
        reason: AuthError,
    },
    /// The name or namespace cannot be one.
    #[error("failed to use `{text}` as the application's name: it {reason}")]
    Name {
        /// What was written, or the last part of the repository's path.
        text: String,
        /// What is wrong with it.
        reason: NameError,
    },
}

impl Error {
    /// Returns who has to do something about it.
    pub fn class(&self) -> Class {
        match self {
            Error::Read { source, .. } if source.kind() != io::ErrorKind::NotFound => Class::Host,
            _ => Class::User,
        }
    }

    /// Returns a line for each thing that is wrong.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Error::Refused { findings, .. } => {
                findings.iter().filter(|finding| finding.severity == Severity::Error).map(finding_line).collect()
            }
            error => {
                let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
                let hint = error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
                vec![format!("{error}{cause}{hint}")]
            }
        }
    }

    /// Returns what to do about it, if that can be said.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Error::None { .. } => Some("write a document of kind Application into a file that ends with .yaml or .yml"),
            Error::Nothing => Some("name a repository with --repo, or a file of Application documents with --config"),
            Error::Auth { reason, .. } => Some(reason.hint),
            Error::Location { reason: LocationError::Credentials, .. } => {
                Some("put a token into a file that only the agent's user can read, and name it with --token-file")
            }
            Error::Name { .. } => Some("give it another name with --name"),
            _ => None,
        }
    }
}
