//! What is wrong with flags and `Application` files.

use crate::git::LocationError;
use crate::host::Class;
use crate::name::NameError;

/// A mistake in flags or `Application` files.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No repository was named.
    #[error("failed to find out what to deploy: no --repo was given")]
    Nothing,
    /// The repository is no location.
    #[error("failed to read --repo `{text}`: it {reason}")]
    Location {
        /// What was written.
        text: String,
        /// What is wrong with it.
        reason: LocationError,
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
        Class::User
    }

    /// Returns what to do about it, if that can be said.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Error::Nothing => Some("name a repository with --repo"),
            Error::Name { .. } => Some("give it another name with --name"),
            _ => None,
        }
    }
}
