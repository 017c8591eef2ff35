//! Which service has which address.
//!
//! The choice depends on the services' names and on what is taken, on nothing else, so that a lost
//! record leads to the same addresses. An address that a service has is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::desired::{Desired, Service};
use crate::hash::sha256;
use crate::name::ObjectId;

/// Returns the address of every service that has one, that is, of all but headless ones and those with a
/// front of their own.
///
/// What the author wrote (`clusterIP`) comes first, then what a service has already (`known`), then
/// a place that follows from the name. `taken` tells which are other applications'. A written address
/// outside the installation's range, or one that another application has, is not given.
pub fn addresses(
    desired: &Desired,
    known: &BTreeMap<ObjectId, Ipv4Addr>,
    taken: impl Fn(&Ipv4Addr) -> bool,
) -> BTreeMap<ObjectId, Ipv4Addr> {
    let range = desired.installation.layout.services();
    // Neither the first nor the last, which some tools take for the network and its broadcast.
    let usable =
        |address: &Ipv4Addr| range.contains(address) && *address != range.network() && *address != range.broadcast() && !taken(address);
    let mut used = BTreeSet::new();
    let mut chosen = BTreeMap::new();
    let services = || addressed(desired);
    for service in services() {
        if let Some(address) = service.address.filter(usable)
            && used.insert(address)
        {
            chosen.insert(service.id.clone(), address);
        }
    }
    for service in services() {
        if let Some(address) = known.get(&service.id).copied().filter(usable)
            && !chosen.contains_key(&service.id)
            && used.insert(address)
        {
            chosen.insert(service.id.clone(), address);
        }
    }
    let first = u32::from(range.network()) + 1;
    let count = u32::from(range.broadcast()) - first;
    for service in services() {
        if chosen.contains_key(&service.id) {
            continue;
        }
        let start = place(&service.id, count);
        let probe = (0..count).map(|step| Ipv4Addr::from(first + (start + step) % count));
        if let Some(address) = probe.into_iter().find(|address| !used.contains(address) && !taken(address)) {
            used.insert(address);
            chosen.insert(service.id.clone(), address);
        }
    }
    chosen
}

/// Tells whether a service could get another address than it has once others have given up theirs.
pub fn may_move(desired: &Desired, known: &BTreeMap<ObjectId, Ipv4Addr>) -> bool {
    let has = |service: &Service| match (known.get(&service.id), service.address) {
        (Some(known), Some(wanted)) => *known == wanted,
        (known, _) => known.is_some(),
    };
    !addressed(desired).all(has)
}

/// Returns the services that have an address of their own in the installation's range.
fn addressed(desired: &Desired) -> impl Iterator<Item = &Service> {
    desired.services.values().filter(|service| !service.headless && !desired.fronts.contains_key(&service.id))
}

fn place(id: &ObjectId, count: u32) -> u32 {
    let digest = sha256(id.to_string().as_bytes());
    u32::from_str_radix(&digest[..8], 16).expect("a digest is hexadecimal") % count
}
