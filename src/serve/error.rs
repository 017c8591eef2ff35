//! What can go wrong in the data path.

use std::io;
use std::path::PathBuf;

/// What can go wrong in the data path.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process serves the same installation.
    #[error("`driftless serve` already runs for this owner, as process {pid}")]
    Running {
        /// Its process id; 0 if it did not say.
        pid: u32,
    },
    /// A file cannot be written.
    #[error("failed to write `{}`", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("failed to read `{}`", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Signals cannot be received.
    #[error("failed to listen for signals")]
    Signal(#[source] io::Error),
    /// The process cannot be started.
    #[error("failed to start `driftless serve`")]
    Start(#[source] io::Error),
    /// The process does not end.
    #[error("failed to stop process {pid}")]
    Stop {
        /// Its process id.
        pid: u32,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A front's network namespace cannot be entered.
    #[error("no right to enter the network namespace of front `{front}`; `driftless serve` must run as root on the engine's host")]
    Enter {
        /// The container's name.
        front: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A front's network cannot be set up.
    #[error("failed to {action} in front `{front}`")]
    Front {
        /// What was being done.
        action: String,
        /// The container's name.
        front: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Returns the error and its causes in one line.
    pub fn line(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        text
    }
}
