//! From desired state and joined replicas to what the data path serves: values only.
//!
//! `Published` is one immutable value with a generation. The agent writes it as a file, `serve` knows
//! nothing else. It holds no secret.

mod acknowledged;
mod address;
mod carry;
mod publish;
mod zone;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::desired::Protocol;
use crate::name::ObjectId;
use crate::observed::{Joined, Left};

pub use acknowledged::{Acknowledged, FrontStatus};
pub use address::{addresses, may_move};
pub use carry::Unloaded;
pub use publish::{Application, FrontContainer, publish};
pub use zone::{Answer, Data, Endpoint, Question, ResourceRecord, Zone, ZoneService};

/// The version of the file's format. A reader takes this version and the one before.
pub const VERSION: u32 = 1;

/// What the data path serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Published {
    /// The format's version.
    pub version: u32,
    /// Grows with every change; the data path acknowledges it.
    pub generation: u64,
    /// The names that DNS answers.
    pub zone: Zone,
    /// Fronts, and what each answers for.
    pub fronts: Vec<FrontState>,
    /// Replicas that are given new connections; the agent reads them back after its own restart.
    pub joined: BTreeMap<ObjectId, Joined>,
    /// Replicas that were, by container id, until they are gone.
    pub left: BTreeMap<String, Left>,
}

/// What one front answers for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrontState {
    /// Its container's name on the host.
    pub name: String,
    /// Its container's id; `None` as long as it was not created.
    pub container: Option<String>,
    /// Its own address.
    pub address: Ipv4Addr,
    /// Addresses besides its own that it answers for.
    pub local: Option<Ipv4Net>,
    /// Clients in the first network are given the address at the same place of the second, so that
    /// replicas answer through the front. Other clients are masqueraded.
    pub mapped: Option<(Ipv4Net, Ipv4Net)>,
    /// It answers DNS at port 53 of its own address.
    pub dns: bool,
    /// The ports it translates.
    pub ports: Vec<FrontPort>,
}

/// A port of a service, and the replicas' ports behind it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrontPort {
    /// The service's address.
    pub address: Ipv4Addr,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port that clients use.
    pub port: u16,
    /// Joined replicas. If empty, new TCP connections are held.
    pub targets: Vec<SocketAddrV4>,
    /// How long a new connection waits while there is no target; zero refuses at once.
    pub hold: Duration,
}

/// Why a published state cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is not what this program writes.
    #[error("failed to parse the published state")]
    Parse(#[source] serde_json::Error),
    /// Another version wrote it, further away than one.
    #[error("the published state has format version {0}, and this program reads {VERSION} and the one before")]
    Version(u32),
}

impl Published {
    /// Returns a state in which nothing is served; the next one has a greater generation.
    ///
    /// Whoever lost the published state begins with the generation that was last acknowledged, so that
    /// an old acknowledgement is never taken for a new one.
    pub fn empty(domain: &str, generation: u64) -> Self {
        Published {
            version: VERSION,
            generation,
            zone: Zone::empty(domain),
            fronts: Vec::new(),
            joined: BTreeMap::new(),
            left: BTreeMap::new(),
        }
    }

    /// Reads a file of this version or the one before.
    pub fn parse(bytes: &[u8]) -> Result<Self, Unreadable> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let Versioned { version } = serde_json::from_slice(bytes).map_err(Unreadable::Parse)?;
        if !(VERSION.saturating_sub(1)..=VERSION).contains(&version) {
            return Err(Unreadable::Version(version));
        }
        serde_json::from_slice(bytes).map_err(Unreadable::Parse)
    }
}

impl FrontState {
    /// Returns the port that answers for an address and port, if there is one.
    pub fn port(&self, protocol: Protocol, address: Ipv4Addr, port: u16) -> Option<&FrontPort> {
        self.ports.iter().find(|candidate| candidate.protocol == protocol && candidate.address == address && candidate.port == port)
    }
}

#[cfg(test)]
mod tests;
