//! From desired state and joined replicas to what the data path serves: values only.
//!
//! `Published` is one immutable value with a generation. The agent writes it as a file, `serve` knows
//! nothing else. It holds no secret.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::desired::Protocol;
use crate::name::ObjectId;
use crate::observed::{Joined, Left};

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
    /// The DNS zone's name, without a final dot.
    pub domain: String,
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
    pub container: String,
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
