//! What probes say about a container, and when it is ready.
//!
//! The rules are Kubernetes' (Pod lifecycle, "Container probes"): startup runs alone until it first
//! succeeds; a state changes after so many equal results in a row; a failed startup or liveness probe
//! asks for a restart once, and nothing more until the container has been started anew.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::desired::{Care, Probe};
use crate::time::Time;

use super::{Container, Health, State};

/// What probes said about one start of one container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Probing {
    /// The start that it is about; results about an earlier start mean nothing.
    pub started: Option<Time>,
    /// When the startup probe first succeeded; set at once if there is none.
    pub startup_passed: Option<Time>,
    /// Since when the readiness probe has been good.
    pub ready_since: Option<Time>,
    /// The readiness probe has failed often enough in a row. Not the opposite of `ready_since`: right
    /// after the agent's start neither is known, and who served goes on serving.
    pub unready: bool,
    /// The startup or liveness probe has failed: the container must be restarted.
    pub must_restart: bool,
    /// TCP ports that accept connections, and since when (asked only without a readiness probe).
    pub accepting: BTreeMap<u16, Time>,
    /// What the last bad answer was, for people.
    pub message: Option<String>,
}

/// One probe's run of equal results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Question {
    good: bool,
    run: u32,
}

impl Question {
    /// Takes in one result; returns the new state if the run is long enough to decide it.
    pub fn answer(&mut self, good: bool, probe: &Probe) -> Option<bool> {
        if self.run > 0 && self.good == good {
            self.run = self.run.saturating_add(1);
        } else {
            *self = Question { good, run: 1 };
        }
        let threshold = if good { probe.success_threshold } else { probe.failure_threshold };
        (self.run >= threshold.max(1)).then_some(good)
    }
}

/// Returns since when a container has been ready, or `None` if it is not.
///
/// If the engine asks for its health itself, that decides; with a readiness probe the probe does. Without one the container must have run for `settle`,
/// and of its targeted TCP ports those must accept that accepted in a healthy revision (`accepted`);
/// as long as nothing is known of that, one is enough.
pub fn ready_since(container: &Container, probing: Option<&Probing>, care: &Care, accepted: &BTreeSet<u16>) -> Option<Time> {
    if container.state != State::Running {
        return None;
    }
    let started = container.started?;
    let nothing = Probing { started: Some(started), ..Probing::default() };
    let probing = probing.filter(|probing| probing.started == Some(started)).unwrap_or(&nothing);
    if probing.must_restart {
        return None;
    }
    match container.health {
        Some(Health::Good(since)) => return Some(since.max(started)),
        Some(Health::Starting | Health::Bad) => return None,
        None => {}
    }
    let startup = match &care.probes.startup {
        Some(_) => probing.startup_passed?,
        None => started,
    };
    if care.probes.readiness.is_some() {
        return probing.ready_since.map(|since| since.max(startup));
    }
    let settled = startup.max(started + care.settle);
    if care.ports.is_empty() {
        return Some(settled);
    }
    let known: Vec<&u16> = care.ports.iter().filter(|port| accepted.contains(port)).collect();
    let accepts = match known.is_empty() {
        true => probing.accepting.iter().filter(|(port, _)| care.ports.contains(port)).map(|(_, since)| *since).min()?,
        false => known
            .into_iter()
            .map(|port| probing.accepting.get(port).copied())
            .try_fold(Time(0), |latest, since| Some(latest.max(since?)))?,
    };
    Some(settled.max(accepts))
}

/// How often a container without readiness probe is asked whether its ports accept.
pub const PORT_PERIOD: Duration = Duration::from_millis(500);
