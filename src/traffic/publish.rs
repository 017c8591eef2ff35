//! What the data path shall serve, from what is desired and who has joined.
//!
//! A pure function: the same input gives the same value, and the generation grows only if something
//! changed. It chooses nobody: who joins and who leaves is the plan's business.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use crate::desired::{Desired, Front, Installation, Service};
use crate::name::{Kind, ObjectId};
use crate::observed::{Joined, Left};

use super::carry::{Unloaded, carry_over};
use super::{Endpoint, FrontPort, FrontState, Published, ZoneService};

/// One application, as the data path concerns it.
#[derive(Debug, Clone, Copy)]
pub struct Application<'a> {
    /// What it asks for.
    pub desired: &'a Desired,
    /// Addresses of its services.
    pub addresses: &'a BTreeMap<ObjectId, Ipv4Addr>,
    /// Its replicas that are given new connections.
    pub joined: &'a BTreeMap<ObjectId, Joined>,
    /// Its replicas that no longer are, by container id.
    pub left: &'a BTreeMap<String, Left>,
    /// Its replicas that run, ready or not, for headless services that name those, too.
    pub running: &'a BTreeMap<ObjectId, Ipv4Addr>,
}

/// The container of a front.
#[derive(Debug, Clone, Default)]
pub struct FrontContainer {
    /// Its id.
    pub id: String,
    /// Its addresses by network, while it runs.
    pub addresses: BTreeMap<String, Ipv4Addr>,
}

/// Returns what the data path shall serve.
///
/// `containers` are the fronts' containers by name; `unloaded` are served on as they were. Replicas that joined or left without a
/// generation get this one's.
pub fn publish(
    applications: &[Application<'_>],
    installation: &Installation,
    containers: &BTreeMap<String, FrontContainer>,
    previous: Option<&Published>,
    unloaded: &[Unloaded<'_>],
) -> Published {
    let generation = previous.map_or(1, |previous| previous.generation + 1);
    let mut next = Published { generation, ..Published::empty(&installation.domain, generation) };
    next.zone.network = Some(installation.layout.network);
    let mut fronts: BTreeMap<&str, &Front> = BTreeMap::new();
    let mut ports = BTreeMap::new();
    for application in applications {
        fronts.extend(application.desired.fronts.values().filter(|front| front.shared).map(|front| (front.host_name.as_str(), front)));
        for service in application.desired.services.values() {
            if let Some(address) = application.addresses.get(&service.id).filter(|_| !service.headless) {
                for port in front_ports(application, service, *address) {
                    ports.entry((port.address, port.protocol, port.port)).or_insert(port);
                }
            }
            let own = application.desired.fronts.get(&service.id);
            let own = own.and_then(|front| own_front(application, service, front, containers.get(&front.host_name)?, previous));
            next.zone.insert(zone_service(application, service, own.as_ref().map(|front| front.address)));
            next.fronts.extend(own);
        }
        for workload in application.desired.workloads.keys().filter(|id| id.kind == Kind::ComposeService) {
            next.zone.insert(zone_replicas(application, workload));
        }
        next.joined.extend(application.joined.iter().map(|(id, joined)| (id.clone(), joined.clone())));
        next.left.extend(application.left.iter().map(|(id, left)| (id.clone(), left.clone())));
    }
    let ports: Vec<FrontPort> = ports.into_values().collect();
    let shared = fronts.into_keys().map(|name| shared_front(name, installation, containers.get(name), ports.clone()));
    let shared: Vec<FrontState> = shared.collect();
    next.zone.nameserver = shared.first().map(|front| front.address);
    next.fronts.splice(0..0, shared);
    if let Some(previous) = previous {
        carry_over(&mut next, previous, unloaded);
    }
    number(&mut next, previous);
    match previous {
        Some(previous) if same(previous, &next) => previous.clone(),
        _ => next,
    }
}

/// The Kubernetes network's front: it answers for all service addresses and for mapped clients.
fn shared_front(name: &str, installation: &Installation, container: Option<&FrontContainer>, ports: Vec<FrontPort>) -> FrontState {
    let layout = &installation.layout;
    FrontState {
        name: name.to_owned(),
        container: container.map(|container| container.id.clone()),
        address: layout.front(),
        local: Some(layout.local()),
        mapped: Some((layout.replicas(), layout.clients())),
        dns: true,
        ports,
    }
}

/// The front of one service: on each of its networks it answers at its own address there, and leads to
/// the replicas' addresses on the same network. `None` before it has run.
fn own_front(
    application: &Application<'_>,
    service: &Service,
    front: &Front,
    container: &FrontContainer,
    previous: Option<&Published>,
) -> Option<FrontState> {
    let name = &front.host_name;
    let before = previous.and_then(|previous| previous.fronts.iter().find(|known| known.name == *name));
    let first = front.networks.first().and_then(|network| container.addresses.get(network)).copied();
    let Some(address) = first else {
        // While it does not run it has no address; it is served again as it was.
        return before.cloned();
    };
    let mut ports = Vec::new();
    for network in &front.networks {
        let Some(address) = container.addresses.get(network) else { continue };
        for port in front_ports(application, service, *address) {
            let on_network = |target: SocketAddrV4| {
                let joined = application.joined.values().find(|joined| joined.address == *target.ip());
                let address = joined.and_then(|joined| joined.addresses.get(network)).copied().unwrap_or(*target.ip());
                SocketAddrV4::new(address, target.port())
            };
            let mut targets: Vec<SocketAddrV4> = port.targets.iter().copied().map(on_network).collect();
            targets.sort_unstable();
            ports.push(FrontPort { targets, ..port });
        }
    }
    ports.sort();
    Some(FrontState { name: name.clone(), container: Some(container.id.clone()), address, local: None, mapped: None, dns: false, ports })
}

/// A Compose service without a front: its name answers with the replicas that have joined.
fn zone_replicas(application: &Application<'_>, workload: &ObjectId) -> ZoneService {
    let joined = application.joined.iter().filter(|(id, joined)| id.workload() == *workload && !joined.address.is_loopback());
    let endpoint = |(id, joined): (&ObjectId, &Joined)| {
        let number = id.replica.as_ref().map(|replica| format!("{}-{replica}", id.name));
        Endpoint { hosts: [dashed(joined.address)].into_iter().chain(number).collect(), address: joined.address, ports: Vec::new() }
    };
    ZoneService {
        namespace: workload.namespace.to_string(),
        name: workload.name.to_string(),
        address: None,
        ports: Vec::new(),
        endpoints: joined.map(endpoint).collect(),
    }
}

fn front_ports(application: &Application<'_>, service: &Service, address: Ipv4Addr) -> Vec<FrontPort> {
    // Nobody will come: a connection that waited would wait in vain.
    let awaited = service
        .backends
        .iter()
        .any(|backend| application.desired.workloads.get(&backend.workload).is_some_and(|workload| workload.replicas > 0));
    let hold = if awaited { service.hold } else { Duration::ZERO };
    let port = |(index, port): (usize, &crate::desired::ServicePort)| {
        let targets = service.backends.iter().filter_map(|backend| {
            let target = backend.targets.get(index).copied().flatten()?;
            Some(joined_of(application, &backend.workload).map(move |joined| SocketAddrV4::new(joined.address, target)))
        });
        let mut targets: Vec<SocketAddrV4> = targets.flatten().collect();
        targets.sort_unstable();
        targets.dedup();
        FrontPort { address, protocol: port.protocol, port: port.port, targets, hold }
    };
    service.ports.iter().enumerate().map(port).collect()
}

fn joined_of<'a>(application: &Application<'a>, workload: &'a ObjectId) -> impl Iterator<Item = &'a Joined> {
    application.joined.iter().filter(move |(id, _)| id.workload() == *workload).map(|(_, joined)| joined)
}

fn zone_service(application: &Application<'_>, service: &Service, own: Option<Ipv4Addr>) -> ZoneService {
    let mut endpoints = BTreeMap::new();
    for backend in service.backends.iter().filter(|_| service.headless) {
        let hostname = application.desired.workloads.get(&backend.workload).and_then(|workload| workload.template.hostname.clone());
        let joined = application.joined.iter().map(|(id, joined)| (id, joined.address));
        let running = application.running.iter().filter(|_| service.publish_not_ready).map(|(id, address)| (id, *address));
        for (id, address) in joined.chain(running).filter(|(id, _)| id.workload() == backend.workload) {
            let replica = id.replica.as_ref().map(|replica| format!("{}-{replica}", id.name));
            let hosts = hostname.clone().into_iter().chain([dashed(address)]).chain(replica);
            endpoints.insert(id.clone(), Endpoint { hosts: hosts.collect(), address, ports: backend.targets.clone() });
        }
    }
    ZoneService {
        namespace: service.id.namespace.to_string(),
        name: service.id.name.to_string(),
        address: own.or(application.addresses.get(&service.id).copied()).filter(|_| !service.headless),
        ports: service.ports.clone(),
        endpoints: endpoints.into_values().collect(),
    }
}

/// The host name of a replica that has no other (DNS specification, section 2.4.1): `172-0-0-2`.
fn dashed(address: Ipv4Addr) -> String {
    address.to_string().replace('.', "-")
}

/// Gives those that joined or left the generation in which they first did.
fn number(next: &mut Published, previous: Option<&Published>) {
    let generation = next.generation;
    for (id, joined) in next.joined.iter_mut().filter(|(_, joined)| joined.generation == 0) {
        let before = previous.and_then(|previous| previous.joined.get(id));
        let before = before.filter(|before| Joined { generation: 0, ..(*before).clone() } == *joined);
        joined.generation = before.map_or(generation, |before| before.generation);
    }
    for (container, left) in next.left.iter_mut().filter(|(_, left)| left.generation == 0) {
        let before = previous.and_then(|previous| previous.left.get(container));
        left.generation = before.map_or(generation, |before| before.generation);
    }
}

fn same(previous: &Published, next: &Published) -> bool {
    Published { generation: previous.generation, ..next.clone() } == *previous
}
