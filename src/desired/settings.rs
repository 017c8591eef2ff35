//! How an application is kept, and the installation it belongs to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::hash::Key;
use crate::name::Name;

use super::{Protocol, Secret};

/// One installation of driftless on one engine.
#[derive(Debug, Clone)]
pub struct Installation {
    /// Its id, on every label.
    pub owner: Name,
    /// The DNS zone, `cluster.local` unless set.
    pub domain: String,
    /// The addresses of the Kubernetes network.
    pub layout: Layout,
    /// The key for digests of secret values.
    pub key: Key,
}

/// How the /16 of the Kubernetes network is divided: the first quarter holds replicas and front
/// (static addresses), the second is Docker's own, the third are service addresses, the fourth the
/// clients' mapped addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The whole network, a /16.
    pub network: Ipv4Net,
    /// What it was cut from; networks of Compose projects come from the rest.
    pub pool: Ipv4Net,
}

impl Layout {
    /// Returns the layout of a /16; a wider network is cut to its first /16, a narrower one is
    /// refused.
    pub fn new(network: Ipv4Net) -> Option<Self> {
        let pool = network.trunc();
        let network = Ipv4Net::new(pool.addr(), pool.prefix_len().max(16)).ok()?;
        (network.prefix_len() == 16).then_some(Layout { network, pool })
    }

    fn quarter(&self, index: u32) -> Ipv4Net {
        let base = u32::from(self.network.addr()) + index * 0x4000;
        Ipv4Net::new(Ipv4Addr::from(base), 18).expect("18 is a prefix length")
    }

    /// Returns the bridge's own address.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.network.addr()) + 1)
    }

    /// Returns the front's address.
    pub fn front(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.network.addr()) + 2)
    }

    /// Returns where replicas' static addresses come from; the first ten stay free.
    pub fn replicas(&self) -> Ipv4Net {
        self.quarter(0)
    }

    /// Returns where Docker's own addresses come from (`IPRange`).
    pub fn automatic(&self) -> Ipv4Net {
        self.quarter(1)
    }

    /// Returns where service addresses come from.
    pub fn services(&self) -> Ipv4Net {
        self.quarter(2)
    }

    /// Returns what clients' addresses are mapped to, so that replicas can answer through the front.
    pub fn clients(&self) -> Ipv4Net {
        self.quarter(3)
    }

    /// Returns what the front answers for: services and mapped clients.
    pub fn local(&self) -> Ipv4Net {
        Ipv4Net::new(self.services().addr(), 17).expect("17 is a prefix length")
    }
}

/// Who decides when an application changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Applies and heals by itself.
    Auto,
    /// Waits for `apply`; restarts what exits and keeps traffic in step.
    Manual,
    /// Makes no changing call.
    Observe,
}

/// What follows a rollout that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// The application goes back to its last healthy revision as a whole.
    Rollback,
    /// The rollout stops where it is.
    Pause,
    /// The rollout goes on trying.
    Continue,
}

/// How an application is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Who decides.
    pub mode: Mode,
    /// Removes what Git no longer has.
    pub prune: bool,
    /// Repairs drift (in mode auto).
    pub self_heal: bool,
    /// When a container that somebody stopped or paused is healed.
    pub heal_stopped: Duration,
    /// What follows a rollout that fails.
    pub on_failure: OnFailure,
    /// The longest wait for established connections.
    pub drain: Duration,
    /// Progress deadline where a manifest names none.
    pub deadline: Duration,
    /// How long a connection waits while no replica is ready.
    pub hold: Duration,
    /// How long a replica without probe must have run to be ready.
    pub settle: Duration,
    /// What only Compose files look at.
    pub compose: Compose,
}

/// Settings that only Compose files look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compose {
    /// A service that declares a port has a front.
    pub fronts: bool,
    /// What interpolation may see besides the repository's `.env`.
    pub variables: BTreeMap<String, String>,
    /// Profiles that are enabled.
    pub profiles: BTreeSet<String>,
    /// Where relative bind mounts are that the repository does not have; `None`: below the usual state
    /// folder.
    pub data_root: Option<String>,
    /// Where configs and secrets are that are not in the repository.
    pub external: External,
    /// The ports that images declare, as far as the host has them and somebody has looked.
    pub exposed: BTreeMap<String, BTreeSet<(u16, Protocol)>>,
}

impl Default for Compose {
    fn default() -> Self {
        let (variables, profiles) = (BTreeMap::new(), BTreeSet::new());
        Compose { fronts: true, variables, profiles, data_root: None, external: External::Unknown, exposed: BTreeMap::new() }
    }
}

/// The files of the host that external configs and secrets are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum External {
    /// It is not known here: nothing is deployed, the manifests are only looked at.
    #[default]
    Unknown,
    /// There are none: the application names no folder of secrets.
    Nowhere,
    /// They are in a folder of the host, one file per config or secret.
    Folder {
        /// The folder.
        path: String,
        /// What is in each file, by name, or why it cannot be read.
        files: BTreeMap<String, Result<Secret, String>>,
    },
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            mode: Mode::Auto,
            prune: true,
            self_heal: true,
            heal_stopped: Duration::from_secs(15 * 60),
            on_failure: OnFailure::Rollback,
            drain: Duration::from_secs(10),
            deadline: Duration::from_secs(600),
            hold: Duration::from_secs(10),
            settle: Duration::from_secs(2),
            compose: Compose::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_has_four_quarters() {
        let layout = Layout::new("10.64.0.0/12".parse().expect("network")).expect("wide enough");
        let text = |net: Ipv4Net| net.to_string();
        assert_eq!(text(layout.network), "10.64.0.0/16");
        assert_eq!(layout.front().to_string(), "10.64.0.2");
        assert_eq!(text(layout.replicas()), "10.64.0.0/18");
        assert_eq!(text(layout.automatic()), "10.64.64.0/18");
        assert_eq!(text(layout.services()), "10.64.128.0/18");
        assert_eq!(text(layout.clients()), "10.64.192.0/18");
        assert_eq!(text(layout.local()), "10.64.128.0/17");
        assert_eq!(Layout::new("10.64.0.0/24".parse().expect("network")), None);
    }
}
