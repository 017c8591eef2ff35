//! Where the data path reads, writes and listens.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::name::Name;

/// Where the data path reads, writes and listens.
#[derive(Debug, Clone)]
pub struct Options {
    /// The installation it serves.
    pub owner: Name,
    /// The folder of the published state, of what is acknowledged, and of the lock.
    pub folder: PathBuf,
    /// The state folder: a copy of the published state that survives the host's restart, and the log.
    pub state: PathBuf,
    /// Where DNS answers on the host.
    pub dns: SocketAddr,
    /// Where the host's name servers are written (resolv.conf(5)); what is not ours is asked there.
    pub resolv_conf: PathBuf,
    /// It was started by the agent and shall outlive it: a session of its own.
    pub detached: bool,
}

impl Options {
    /// Returns the options of an installation: the folder is below `/run` for root, and the state
    /// folder for others.
    pub fn new(owner: Name, state: &Path, dns: SocketAddr) -> Self {
        let folder = match rustix::process::geteuid().is_root() {
            true => Path::new("/run/driftless").join(owner.as_str()),
            false => state.to_owned(),
        };
        Options { owner, folder, state: state.to_owned(), dns, resolv_conf: PathBuf::from("/etc/resolv.conf"), detached: false }
    }

    /// Returns where the published state is.
    pub fn published(&self) -> PathBuf {
        self.folder.join("published.json")
    }

    /// Returns where its copy is.
    pub fn fallback(&self) -> PathBuf {
        self.state.join("published.json")
    }

    /// Returns where it is acknowledged.
    pub fn acknowledged(&self) -> PathBuf {
        self.folder.join("acknowledged.json")
    }

    /// Returns where the log of a detached process is.
    pub fn log(&self) -> PathBuf {
        self.state.join("serve.log")
    }

    /// Forgets what was published: for whoever takes the installation away. Nobody serves any more.
    pub fn forget(&self) {
        for file in [self.published(), self.fallback(), self.acknowledged()] {
            let _ = std::fs::remove_file(file);
        }
        // Below `/run` the folder is ours alone; the state folder stays.
        if self.folder != self.state {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.folder.join("serve.lock")
    }
}
