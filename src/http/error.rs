//! What keeps HTTP from being answered at all.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::host::Class;

/// What keeps HTTP from being answered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken, or is not of this host.
    #[error("failed to listen on {address} for HTTP")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file with a secret cannot be read.
    #[error("failed to read secret file `{}`", path.display())]
    Secret {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file with a secret holds none, which would let everybody in.
    #[error("failed to use secret file `{}`: it is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

impl Error {
    /// Returns who has to do something.
    pub fn class(&self) -> Class {
        Class::User
    }

    /// Returns what to do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Bind { .. } => Some("name another address with `--http`, or switch it off with `--http none`".to_owned()),
            Error::Secret { .. } => Some("the agent must be able to read it".to_owned()),
            Error::Empty { .. } => Some("write a long random text into it, as from `openssl rand -hex 32`".to_owned()),
        }
    }
}
