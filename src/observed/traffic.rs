//! Who is given new connections, and what the data path has acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::name::ObjectId;
use crate::time::Time;

/// Who is given new connections, and what the data path has acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Traffic {
    /// The generation that was last published.
    pub generation: u64,
    /// The generation that the data path serves.
    pub acknowledged: u64,
    /// Replicas that are given new connections.
    pub joined: BTreeMap<ObjectId, Joined>,
    /// Replicas that no longer are, by container id, until they are gone.
    pub left: BTreeMap<String, Left>,
    /// Established connections through fronts, by the address of a replica that left; one that is
    /// missing has not been counted yet.
    pub connections: BTreeMap<Ipv4Addr, u64>,
    /// What keeps a front from serving, by its container's name.
    pub front_errors: BTreeMap<String, String>,
}

/// A replica that is given new connections: one start of one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// The container's id.
    pub container: String,
    /// When it was started; after another start it has to join anew.
    pub started: Time,
    /// Its address; one that is on no network of the engine has a loopback address here.
    pub address: Ipv4Addr,
    /// Its addresses on all networks, by their names on the host.
    #[serde(default)]
    pub addresses: BTreeMap<String, Ipv4Addr>,
    /// The first generation that has it; 0 until it is published.
    pub generation: u64,
}

/// A replica that is no longer given new connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// The addresses it had, one on each network; its established connections are counted by them. Once it was a
    /// single one.
    #[serde(alias = "address", deserialize_with = "one_or_more")]
    pub addresses: BTreeSet<Ipv4Addr>,
    /// The first generation without it; 0 until it is published.
    pub generation: u64,
    /// When that was published.
    pub at: Time,
    /// DNS gave out the replica's own address, so clients may use it until the TTL is over.
    pub named: bool,
}

fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<Ipv4Addr>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Addresses {
        One(Ipv4Addr),
        More(BTreeSet<Ipv4Addr>),
    }
    Ok(match Addresses::deserialize(deserializer)? {
        Addresses::One(address) => BTreeSet::from([address]),
        Addresses::More(addresses) => addresses,
    })
}

impl Joined {
    /// Tells whether the data path gives it new connections by now.
    pub fn is_served(&self, acknowledged: u64) -> bool {
        self.generation != 0 && self.generation <= acknowledged
    }
}

impl Left {
    /// Returns how many established connections it has left; `None` if they were not all counted yet.
    pub fn open(&self, connections: &BTreeMap<Ipv4Addr, u64>) -> Option<u64> {
        self.addresses.iter().map(|address| connections.get(address).copied()).sum()
    }

    /// Tells whether the data path gives it no new connections any more.
    pub fn is_out(&self, acknowledged: u64) -> bool {
        self.generation != 0 && self.generation <= acknowledged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_on_all_networks_are_those_of_a_replica() {
        let (front, back, other) = (Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 1, 2), Ipv4Addr::new(10, 0, 0, 9));
        let left = Left { addresses: [front, back].into(), generation: 1, at: Time(0), named: false };
        assert_eq!(left.open(&[(front, 0), (other, 5)].into()), None, "one network has not been counted");
        assert_eq!(left.open(&[(front, 0), (back, 2), (other, 5)].into()), Some(2));
    }
}
