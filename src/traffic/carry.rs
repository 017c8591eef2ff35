//! Applications that cannot be loaded now are served on as they were published last.
//!
//! What they ask for is not known, so whatever the known applications do not have may be theirs. Only
//! replicas that are still joined are led to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::name::ObjectId;
use crate::observed::{Joined, Left, Record};

use super::{FrontPort, FrontState, Published, ZoneService};

/// An application that is served on as it was: nobody knows now what it asks for, or nobody may act on it.
#[derive(Debug, Clone, Copy)]
pub struct Unloaded<'a> {
    /// Its replicas that are given new connections.
    pub joined: &'a BTreeMap<ObjectId, Joined>,
    /// Its replicas that no longer are, by container id.
    pub left: &'a BTreeMap<String, Left>,
    /// What it had applied, if that is known: then nothing else is taken for its own.
    pub record: Option<&'a Record>,
}

impl Unloaded<'_> {
    /// Tells whether a service may be its own.
    fn has_service(&self, service: &ZoneService) -> bool {
        let is_it = |id: &ObjectId| id.namespace.as_str() == service.namespace && id.name.as_str() == service.name;
        self.record.is_none_or(|record| record.applied.keys().any(is_it))
    }

    /// Tells whether a port of a front may be its own.
    fn has_port(&self, front: &FrontState, port: &FrontPort) -> bool {
        let has_front = |record: &Record| record.applied.keys().any(|id| format!("{}-{}", id.namespace, id.name) == front.name);
        self.record.is_none_or(|record| record.addresses.values().any(|address| *address == port.address) || has_front(record))
    }
}

/// Takes over what was published before and the known applications do not have.
pub(super) fn carry_over(next: &mut Published, previous: &Published, unloaded: &[Unloaded<'_>]) {
    if unloaded.is_empty() {
        return;
    }
    let joined = || unloaded.iter().flat_map(|application| application.joined);
    let left = unloaded.iter().flat_map(|application| application.left);
    next.joined.extend(joined().map(|(id, joined)| (id.clone(), joined.clone())));
    next.left.extend(left.map(|(container, left)| (container.clone(), left.clone())));
    let addresses = joined().flat_map(|(_, joined)| joined.addresses.values().copied().chain([joined.address]));
    let serving: BTreeSet<Ipv4Addr> = addresses.collect();
    for before in &previous.fronts {
        let theirs = |port: &&FrontPort| unloaded.iter().any(|application| application.has_port(before, port));
        let ports: Vec<FrontPort> = before.ports.iter().filter(theirs).cloned().collect();
        if ports.is_empty() && unloaded.iter().all(|application| application.record.is_some()) {
            continue;
        }
        match next.fronts.iter_mut().find(|front| front.name == before.name) {
            Some(front) => add_ports(front, &ports, &serving),
            None => {
                let mut front = FrontState { ports: Vec::new(), ..before.clone() };
                add_ports(&mut front, &ports, &serving);
                next.fronts.push(front);
            }
        }
    }
    // In the order in which they are published when all is known, so that nothing seems to change.
    next.fronts.sort_by_key(|front| previous.fronts.iter().position(|before| before.name == front.name));
    next.zone.nameserver = next.zone.nameserver.or(previous.zone.nameserver);
    for service in previous.zone.services().filter(|service| unloaded.iter().any(|application| application.has_service(service))) {
        let mut service = service.clone();
        service.endpoints.retain(|endpoint| serving.contains(&endpoint.address));
        next.zone.insert(service);
    }
}

fn add_ports(front: &mut FrontState, ports: &[FrontPort], serving: &BTreeSet<Ipv4Addr>) {
    let missing: Vec<FrontPort> =
        ports.iter().filter(|port| front.port(port.protocol, port.address, port.port).is_none()).cloned().collect();
    front.ports.extend(missing.into_iter().map(|mut port| {
        port.targets.retain(|target| serving.contains(target.ip()));
        port
    }));
    front.ports.sort_by_key(|port| (port.address, port.protocol, port.port));
}
