//! What keeps the agent from working at all. What goes wrong while it works is kept and reported, never
//! an end.

use std::path::PathBuf;

use crate::host::Class;

/// What keeps the agent from working.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state folder cannot be used.
    #[error("failed to use the state folder")]
    State {
        /// Why.
        #[source]
        source: crate::config::state::Error,
    },
    /// The engine cannot be used.
    #[error("failed to reach the Docker engine")]
    Docker {
        /// Why.
        #[source]
        source: crate::docker::Error,
    },
    /// The record cannot be kept.
    #[error("failed to open the record")]
    Store {
        /// Why.
        #[source]
        source: crate::store::Error,
    },
    /// The socket for the command line cannot be opened.
    #[error("failed to listen on socket `{}`", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No addresses can be had for the installation's network.
    #[error("failed to choose the addresses of the network")]
    Network {
        /// Why.
        #[source]
        source: super::network::Overlap,
    },
    /// Something else answers DNS there.
    #[error("failed to use {address} for DNS")]
    Dns {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A folder for what is published cannot be made.
    #[error("failed to make folder `{}`", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// Returns who has to do something.
    pub fn class(&self) -> Class {
        match self {
            Error::State { source } => source.class(),
            Error::Docker { source } => source.class(),
            Error::Store { source } => source.class(),
            Error::Socket { .. } | Error::Network { .. } | Error::Dns { .. } | Error::Folder { .. } => Class::User,
        }
    }

    /// Returns what to do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Docker { source } => source.hint().map(str::to_owned),
            Error::State { source } => source.hint().map(str::to_owned),
            Error::Store { source } => source.hint().map(str::to_owned),
            Error::Socket { .. } => Some("another path can be given with `--socket`".to_owned()),
            Error::Network { .. } => Some("name another with `--network-pool`, at least a /16".to_owned()),
            Error::Dns { .. } => Some("name another address with `--dns`; another installation or DNS server may have this one".to_owned()),
            Error::Folder { .. } => Some("the agent needs the right to write there; it usually runs as root".to_owned()),
        }
    }
}
