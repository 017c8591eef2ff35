//! What can go wrong with the database, and who has to do something about it.

use std::io;
use std::path::PathBuf;

use crate::host::Class;
use crate::name::Name;

/// A failure of the database. The agent goes on without it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened or made.
    #[error("failed to open database `{}`", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// A damaged file cannot be put out of the way.
    #[error("failed to set aside damaged database `{}`", path.display())]
    SetAside {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A read failed.
    #[error("failed to {operation} of application `{application}`")]
    Query {
        /// What was tried, as in `read the record`.
        operation: &'static str,
        /// The application.
        application: Name,
        /// Why.
        source: rusqlite::Error,
    },
    /// Nothing can be written to the file.
    #[error("failed to write database `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// A record cannot be written down.
    #[error("failed to encode the record of application `{application}`")]
    Encode {
        /// The application.
        application: Name,
        /// Why.
        source: serde_json::Error,
    },
    /// The program ends while a query runs.
    #[error("failed to wait for the database")]
    Interrupted,
}

impl Error {
    /// Returns who has to do something about it.
    pub fn class(&self) -> Class {
        match self {
            Error::Open { .. } | Error::SetAside { .. } | Error::Query { .. } | Error::Write { .. } => Class::Host,
            Error::Encode { .. } | Error::Interrupted => Class::Internal,
        }
    }

    /// Returns what to do about it, if that can be said.
    pub fn hint(&self) -> Option<&'static str> {
        use rusqlite::ErrorCode::{CannotOpen, DatabaseBusy, DiskFull, PermissionDenied, ReadOnly};
        let (Error::Open { source, .. } | Error::Query { source, .. } | Error::Write { source, .. }) = self else { return None };
        match source.sqlite_error_code()? {
            DiskFull => Some("the disk of the state folder is full: free some space"),
            ReadOnly => Some("the state folder cannot be written to: check the mount and its owner, or set --state"),
            CannotOpen | PermissionDenied => Some("check that the state folder exists and may be written by this user"),
            DatabaseBusy => Some("another process holds the database"),
            _ => None,
        }
    }
}
