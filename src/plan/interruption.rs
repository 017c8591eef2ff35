//! What an update interrupts, because it stops the last replica that serves before the new one runs.
//!
//! New connections to a front or a service address wait meanwhile and are lost to nobody; a port of the
//! host is the replica's own, and so is a name without a front, or with one that `serve` cannot use.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::desired::{Desired, HostPort, Service, Strategy, Workload};
use crate::name::Kind;

use super::rollout;

/// Ports of the host, as people write them.
type Ports = BTreeSet<String>;

/// Returns what an update of a workload interrupts until its new replica is ready, in words that begin
/// a sentence; `None` if it interrupts nothing. `published` is what the replicas that go publish; `broken` is why
/// `serve` cannot use a front, by the front's name.
pub(crate) fn interrupts<'p>(
    desired: &Desired,
    workload: &Workload,
    published: impl IntoIterator<Item = &'p HostPort>,
    broken: &BTreeMap<String, String>,
) -> Option<String> {
    if workload.replicas == 0 || !leaves_nothing(workload) {
        return None;
    }
    let (before, after) = (ports(published), ports(&workload.template.ports));
    let kept: Vec<&String> = before.intersection(&after).collect();
    if !kept.is_empty() {
        return Some(words(&kept));
    }
    let services: Vec<&Service> = desired.services_of(&workload.id).collect();
    let shared = desired.fronts.values().find(|front| front.shared);
    let front = |service: &Service| desired.fronts.get(&service.id).or(shared).map(|front| &front.host_name);
    let works = |service: &Service| front(service).is_none_or(|name| !broken.contains_key(name));
    let waits = |service: &&Service| !service.headless && service.hold > Duration::ZERO && works(service);
    let named = workload.id.kind == Kind::ComposeService && !workload.template.networks.is_empty();
    match (services.is_empty(), named) {
        (false, _) if services.iter().all(waits) => None,
        (_, true) => Some(format!("the name `{}`", workload.id.name)),
        _ => Some(if workload.replicas == 1 { "its only replica" } else { "all its replicas" }.to_owned()),
    }
}

/// Returns which ports of the host an update closes for good, and which it opens, in words that begin a sentence.
pub(super) fn moves<'p>(workload: &Workload, published: impl IntoIterator<Item = &'p HostPort>) -> Option<String> {
    let (before, after) = (ports(published), ports(&workload.template.ports));
    let closed: Vec<&String> = before.difference(&after).collect();
    let opened: Vec<&String> = after.difference(&before).collect();
    match (closed.is_empty(), opened.is_empty()) {
        (true, _) => None,
        (false, true) => Some(format!("closes {}", words(&closed))),
        (false, false) => Some(format!("closes {}, and opens {} when the new replica is ready", words(&closed), words(&opened))),
    }
}

/// Ports that the engine chooses are others with each replica, and nobody relies on one.
fn ports<'p>(published: impl IntoIterator<Item = &'p HostPort>) -> Ports {
    let chosen = published.into_iter().filter(|port| port.host_port != 0);
    chosen.map(|port| format!("port {}/{} of the host", port.host_port, port.protocol.as_str())).collect()
}

fn words(ports: &[&String]) -> String {
    ports.iter().map(|port| port.as_str()).collect::<Vec<_>>().join(", ")
}

/// Tells whether a rollout has a moment in which no replica need serve.
fn leaves_nothing(workload: &Workload) -> bool {
    let replicas = workload.replicas;
    match workload.strategy {
        _ if !workload.exclusive.is_empty() => replicas == 1,
        Strategy::Recreate => true,
        Strategy::Rolling { surge, unavailable } => rollout::bounds(surge, unavailable, replicas).1 >= replicas,
    }
}
