//! What can go wrong with a forge. None of it ever stops a sync.

use std::io;
use std::path::PathBuf;

use crate::host::Class;

/// A failure to read from a forge or to write to it. The token is in none of its texts.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The token's file cannot be read.
    #[error("failed to read the forge's token from `{}`", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The token's file holds nothing that can be one.
    #[error("failed to read the forge's token from `{}`: {reason}", path.display())]
    NoToken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No connection to a forge can be made at all.
    #[error("failed to prepare for HTTPS")]
    Client {
        /// Why.
        source: reqwest::Error,
    },
    /// It does not answer.
    #[error("failed to {what} at {forge}")]
    Away {
        /// What was being done.
        what: String,
        /// The forge's address.
        forge: String,
        /// Why.
        source: reqwest::Error,
    },
    /// It answers that it will not.
    #[error("failed to {what} at {forge}: it answers {status} {message}")]
    Refused {
        /// What was being done.
        what: String,
        /// The forge's address.
        forge: String,
        /// The HTTP status.
        status: u16,
        /// What it says, in one line.
        message: String,
    },
    /// It answers something that is no answer.
    #[error("failed to {what} at {forge}: its answer {reason}")]
    Answer {
        /// What was being done.
        what: String,
        /// The forge's address.
        forge: String,
        /// What is wrong with the answer.
        reason: String,
    },
}

impl Error {
    /// Returns who has to do something about it.
    pub fn class(&self) -> Class {
        match self {
            Error::Token { .. } | Error::NoToken { .. } => Class::User,
            Error::Client { .. } => Class::Host,
            Error::Away { .. } => Class::Waiting,
            // 403 and 429 are also what a forge says to who asks too often.
            Error::Refused { status, .. } if *status >= 500 || matches!(status, 408 | 429) => Class::Waiting,
            Error::Refused { .. } | Error::Answer { .. } => Class::User,
        }
    }

    /// Returns what to do about it, if that can be said.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Error::Token { .. } | Error::NoToken { .. } => {
                Some("write a token that may read pull requests and write comments and commit statuses into `forge.tokenFile`")
            }
            Error::Client { .. } => Some("are certificates of authorities installed on this host (`ca-certificates`)?"),
            Error::Refused { status: 401, .. } => Some("the token of `forge.tokenFile` is wrong or has expired"),
            Error::Refused { status: 403, .. } => Some(
                "the token of `forge.tokenFile` may not do that: it needs pull requests, issues and commit statuses, or the forge's limit is reached",
            ),
            Error::Refused { status: 404, .. } => {
                Some("check `forge.repository` and `forge.url`, and whether the token may see the repository")
            }
            Error::Refused { status: 301 | 302 | 307 | 308, .. } => {
                Some("the repository has moved: change `forge.repository` or `forge.url`")
            }
            _ => None,
        }
    }
}
