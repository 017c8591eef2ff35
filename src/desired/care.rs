//! What the agent does for a replica while it runs and when it leaves.
//!
//! It is written on the container when that is created, so that a replica of an earlier revision is
//! still asked its own questions; a replica of the current revision is cared for as the manifest says
//! now, because none of this needs a new container.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Desired, Hook, Probes, Workload};

/// What the agent does for a replica.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Care {
    /// Health questions.
    pub probes: Probes,
    /// Runs before the stop signal, within the grace period.
    pub pre_stop: Option<Hook>,
    /// How long it must have run to be ready, if there is no readiness probe.
    pub settle: Duration,
    /// The longest wait for established connections.
    pub drain: Duration,
    /// TCP ports that a service targets or the author publishes.
    pub ports: BTreeSet<u16>,
}

impl Care {
    /// Returns what the agent does for the replicas of a workload.
    pub fn new(workload: &Workload, desired: &Desired) -> Self {
        Care::with_ports(workload, desired.targeted_ports_by_workload().remove(&workload.id).unwrap_or_default())
    }

    /// Returns what the agent does for the replicas of a workload whose targeted ports are known.
    pub fn with_ports(workload: &Workload, ports: BTreeSet<u16>) -> Self {
        let container = workload.template.containers.first();
        Care {
            probes: container.map(|container| container.probes.clone()).unwrap_or_default(),
            pre_stop: container.and_then(|container| container.pre_stop.clone()),
            settle: workload.settle,
            drain: workload.drain,
            ports,
        }
    }
}
