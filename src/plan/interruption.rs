//! What an update interrupts, because it stops the last replica that serves before the new one runs.
//!
//! New connections to a front or a service address wait meanwhile and are lost to nobody; a port of the
//! host is the replica's own, and so is a name without a front.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::desired::{Desired, Service, Strategy, Workload};
use crate::name::Kind;

use super::rollout;

/// Returns what an update of a workload interrupts until its new replica is ready, in words that begin
/// a sentence; `None` if it interrupts nothing.
pub(crate) fn interrupts(desired: &Desired, workload: &Workload) -> Option<String> {
    if workload.replicas == 0 || !leaves_nothing(workload) {
        return None;
    }
    let ports: BTreeSet<String> =
        workload.template.ports.iter().map(|port| format!("port {}/{} of the host", port.host_port, port.protocol.as_str())).collect();
    if !ports.is_empty() {
        return Some(ports.into_iter().collect::<Vec<_>>().join(", "));
    }
    let services: Vec<&Service> = desired.services_of(&workload.id).collect();
    let waits = |service: &&Service| !service.headless && service.hold > Duration::ZERO;
    let named = workload.id.kind == Kind::ComposeService && !workload.template.networks.is_empty();
    match (services.is_empty(), named) {
        (false, _) if services.iter().all(waits) => None,
        (true, true) => Some(format!("the name `{}`", workload.id.name)),
        _ => Some(if workload.replicas == 1 { "its only replica" } else { "all its replicas" }.to_owned()),
    }
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
