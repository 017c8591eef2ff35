//! One application between two rounds: what is in flight, what failed, who has joined, the record.
//!
//! A `Reconciler` is a plain state machine: whoever owns it hands in what was seen and carries out what
//! it says. The agent does so with a real host, the simulator with one in memory, so both run the same
//! decisions. It does no IO and reads no clock.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::desired::{Desired, Mode, OnFailure};
use crate::host::{Class, Failure, Outcome, Step};
use crate::name::ObjectId;
use crate::observed::{Applied, FailedStep, Heal, Joined, Left, Live, Observed, Probing, Record, Traffic};
use crate::plan::change::{digest, service_fields, workload_fields};
use crate::plan::{Claims, Plan, audit::audit, plan};
use crate::time::Time;

/// A heal is forgotten after so long without drift on its object.
const HEAL_MEMORY: Duration = Duration::from_secs(600);

/// One application between two rounds.
#[derive(Debug, Clone)]
pub struct Reconciler {
    observed: Observed,
}

/// What one round decided.
#[derive(Debug)]
#[must_use = "the steps of a round have to be started"]
pub struct Round {
    /// The plan.
    pub plan: Plan,
    /// Steps to start now; they are in flight until `finish`.
    pub start: Vec<Step>,
    /// Who is given new connections has changed and must be published.
    pub publish: bool,
    /// The record has changed and must be stored.
    pub store: bool,
    /// Why the plan was refused: bugs of ours. Nothing is started then.
    pub refused: Vec<String>,
}

/// Which revision is to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The one that Git has.
    Head,
    /// The last healthy one, because the rollout of the one that Git has failed.
    RolledBack {
        /// The last healthy revision.
        revision: String,
        /// Why the other failed.
        reason: String,
    },
}

impl Reconciler {
    /// Returns the state of an application that somebody begins to look at.
    pub fn new(record: Record, traffic: Traffic, now: Time) -> Self {
        Reconciler { observed: Observed { since: now, record, traffic, ..Observed::default() } }
    }

    /// Takes over who had joined and left before somebody began to look.
    pub fn restore(&mut self, traffic: Traffic) {
        self.observed.traffic = traffic;
    }

    /// Returns all that plans may look at.
    pub fn observed(&self) -> &Observed {
        &self.observed
    }

    /// Returns the record for a decision of a person's: an approval, a retry.
    pub fn record_mut(&mut self) -> &mut Record {
        &mut self.observed.record
    }

    /// Takes in what probes said.
    pub fn probed(&mut self, probing: BTreeMap<String, Probing>) {
        self.observed.probing = probing;
    }

    /// Takes in the generation that was published: whoever joined or left since has this one.
    pub fn published(&mut self, generation: u64) {
        let traffic = &mut self.observed.traffic;
        traffic.generation = generation;
        let joined = traffic.joined.values_mut().map(|joined| &mut joined.generation);
        let left = traffic.left.values_mut().map(|left| &mut left.generation);
        joined.chain(left).filter(|stamp| **stamp == 0).for_each(|stamp| *stamp = generation);
    }

    /// Takes in the generation that the data path serves, the connections that replicas which left
    /// still have, and what keeps fronts from serving.
    pub fn acknowledged(&mut self, generation: u64, connections: BTreeMap<Ipv4Addr, u64>, front_errors: BTreeMap<String, String>) {
        let traffic = &mut self.observed.traffic;
        traffic.acknowledged = generation;
        traffic.connections = connections;
        traffic.front_errors = front_errors;
    }

    /// Tells which revision is to be kept, given what Git has.
    pub fn target(&self, head: &Desired) -> Target {
        let record = &self.observed.record;
        match (record.failed.get(&digest(head)), record.healthy.last()) {
            (Some(failed), Some(healthy)) if goes_back(head, &failed.object) => {
                Target::RolledBack { revision: healthy.clone(), reason: failed.reason.clone() }
            }
            _ => Target::Head,
        }
    }

    /// Plans a round from what was seen and takes note of what it starts.
    pub fn round(&mut self, desired: &Desired, claims: &Claims, live: Live, now: Time) -> Round {
        self.observed.live = live;
        let before = self.observed.record.clone();
        let mut publish = self.settle_traffic(desired, now);
        let plan = plan(desired, claims, &self.observed, now);
        let refused = audit(&plan, desired, &self.observed);
        let mut start = Vec::new();
        if refused.is_empty() {
            for planned in &plan.steps {
                match &planned.step {
                    Step::Join { replica, container } => publish |= self.join(replica, container, desired),
                    Step::Withdraw { replica, container } => publish |= self.withdraw(replica, container, desired, now),
                    step => {
                        self.observed.in_flight.insert(step.key(), now);
                        start.push(step.clone());
                    }
                }
            }
        }
        self.note(&plan, desired, now);
        let store = before != self.observed.record;
        Round { plan, start, publish, store, refused }
    }

    /// Takes in how a step ended. Returns whether who is given new connections has changed.
    pub fn finish(&mut self, step: &Step, outcome: Outcome, desired: &Desired, now: Time) -> bool {
        let key = step.key();
        self.observed.in_flight.remove(&key);
        match outcome {
            Ok(()) => {
                self.observed.failures.remove(&key);
                match step {
                    Step::Pull { image } => {
                        self.observed.pulled.insert(image.clone(), desired.revision.clone());
                    }
                    Step::Leave { replica, container } => return self.withdraw(replica, container, desired, now),
                    _ => {}
                }
            }
            Err(failure) => {
                let count = self.observed.failures.get(&key).map_or(1, |failed| failed.count.saturating_add(1));
                let retry_at = now + back_off(&failure, count);
                self.observed.failures.insert(key, FailedStep { failure, count, retry_at });
            }
        }
        false
    }

    /// Forgets failures, so that everything is tried at once: Git moved, or somebody asked.
    pub fn retry(&mut self) {
        self.observed.failures.clear();
    }

    fn join(&mut self, replica: &ObjectId, container: &str, desired: &Desired) -> bool {
        let Some(live) = self.observed.live.container(container) else { return false };
        let network = desired.workloads.get(&replica.workload()).and_then(|workload| workload.template.networks.first());
        let address = network.and_then(|network| live.address(network)).or_else(|| live.addresses.values().next().copied());
        let (Some(started), Some(address)) = (live.started, address) else { return false };
        let joined = Joined { container: container.to_owned(), started, address, generation: 0 };
        self.observed.traffic.joined.insert(replica.clone(), joined);
        true
    }

    fn withdraw(&mut self, replica: &ObjectId, container: &str, desired: &Desired, now: Time) -> bool {
        let Some(joined) = self.observed.traffic.joined.remove(replica) else { return false };
        let named = desired.services_of(&replica.workload()).any(|service| service.headless);
        let left = Left { address: Some(joined.address), generation: 0, at: now, named };
        self.observed.traffic.left.insert(container.to_owned(), left);
        true
    }

    /// Brings traffic in line with what can be seen: who is gone serves nobody, and who is marked as
    /// leaving without an entry (its agent was killed in between) begins to drain now.
    fn settle_traffic(&mut self, desired: &Desired, now: Time) -> bool {
        let (live, traffic) = (&self.observed.live, &mut self.observed.traffic);
        let known: BTreeSet<&str> = live.containers.iter().map(|container| container.id.as_str()).collect();
        let before = (traffic.joined.len(), traffic.left.len());
        traffic.joined.retain(|_, joined| known.contains(joined.container.as_str()));
        traffic.left.retain(|container, _| known.contains(container.as_str()));
        let mut changed = before != (traffic.joined.len(), traffic.left.len());
        for (container, labels) in live.replicas(&desired.installation.owner, &desired.application) {
            let joined = traffic.joined.get(&labels.object).is_some_and(|joined| joined.container == container.id);
            if container.leaving && !joined && !traffic.left.contains_key(&container.id) {
                let address = container.addresses.values().next().copied();
                traffic.left.insert(container.id.clone(), Left { address, generation: 0, at: now, named: false });
                changed = true;
            }
        }
        changed
    }

    /// Writes down what must outlive a crash.
    fn note(&mut self, plan: &Plan, desired: &Desired, now: Time) {
        self.note_heals(plan, now);
        self.note_applied(plan, desired);
        let observed = &mut self.observed;
        if let Some(failed) = &plan.failed
            && goes_back(desired, &failed.object)
            && !observed.record.healthy.is_empty()
        {
            observed.record.failed.entry(digest(desired)).or_insert_with(|| failed.clone());
        }
        let settled = plan.changes.is_empty() && plan.workloads.iter().all(|workload| workload.settled);
        if settled && observed.record.healthy.last() != Some(&desired.revision) {
            let keep = desired.workloads.values().map(|workload| workload.history_limit).max().unwrap_or(10) as usize + 1;
            observed.record.healthy.retain(|revision| *revision != desired.revision);
            observed.record.healthy.push(desired.revision.clone());
            let surplus = observed.record.healthy.len().saturating_sub(keep);
            observed.record.healthy.drain(..surplus);
        }
    }

    fn note_heals(&mut self, plan: &Plan, now: Time) {
        let heals = &mut self.observed.record.heals;
        heals.retain(|_, heal| now.since(heal.at) < HEAL_MEMORY);
        let changing: BTreeSet<String> = plan.changes.iter().map(|change| change.object.to_string()).collect();
        let mut healed = BTreeSet::new();
        for planned in &plan.steps {
            match &planned.step {
                Step::Start { .. } | Step::Unpause { .. } | Step::Connect { .. } | Step::Update { .. } => {
                    healed.insert(planned.object.clone());
                }
                Step::Create { replica } => {
                    healed.insert(replica.workload().to_string());
                }
                _ => {}
            }
        }
        let of_change = |key: &String| changing.iter().any(|object| key == object || key.starts_with(&format!("{object}/")));
        for key in healed.into_iter().filter(|key| !of_change(key)) {
            let count = heals.get(&key).map_or(1, |heal| heal.count.saturating_add(1));
            heals.insert(key, Heal { count, at: now });
        }
    }

    fn note_applied(&mut self, plan: &Plan, desired: &Desired) {
        let observed = &mut self.observed;
        let live = &observed.live;
        let revision = &desired.revision;
        let mut put = |id: &ObjectId, fields| {
            if observed.record.applied.get(id).is_none_or(|applied| applied.fields != fields) {
                observed.record.applied.insert(id.clone(), Applied { revision: revision.clone(), fields });
            }
        };
        for status in plan.workloads.iter().filter(|status| status.settled) {
            if let Some(workload) = desired.workloads.get(&status.object) {
                put(&status.object, workload_fields(workload));
            }
        }
        let approved = observed.record.approved.as_ref() == Some(revision);
        if approved || desired.settings.mode == Mode::Auto {
            desired.services.values().for_each(|service| put(&service.id, service_fields(service)));
        }
        for network in desired.networks.values().filter(|network| live.networks.iter().any(|known| known.name == network.host_name)) {
            put(&network.id, Default::default());
        }
        for volume in desired.volumes.values().filter(|volume| live.volumes.iter().any(|known| known.name == volume.host_name)) {
            put(&volume.id, Default::default());
        }
        let is_front =
            |id: &ObjectId| live.containers.iter().any(|container| container.labels.as_ref().is_some_and(|labels| labels.object == *id));
        for front in desired.fronts.values().filter(|front| is_front(&front.id)) {
            put(&front.id, Default::default());
        }
        let runs: BTreeSet<ObjectId> =
            live.replicas(&desired.installation.owner, &desired.application).map(|(_, labels)| labels.object.workload()).collect();
        let wanted = |id: &ObjectId| {
            desired.workloads.contains_key(id)
                || desired.services.contains_key(id)
                || desired.networks.contains_key(id)
                || desired.volumes.contains_key(id)
                || desired.fronts.contains_key(id)
        };
        observed.record.applied.retain(|id, _| wanted(id) || runs.contains(id));
        for (id, workload) in
            desired.workloads.iter().filter(|(id, _)| plan.workloads.iter().any(|status| status.object == **id && status.settled))
        {
            let running = observed
                .live
                .replicas(&desired.installation.owner, &desired.application)
                .filter(|(_, labels)| labels.object.workload() == *id);
            let ports: BTreeSet<u16> = running
                .filter_map(|(container, _)| observed.probing.get(&container.id))
                .flat_map(|probing| probing.accepting.keys().copied())
                .collect();
            if !ports.is_empty() && workload.replicas > 0 {
                observed.record.accepted.insert(id.clone(), ports);
            }
        }
    }
}

/// Tells whether a failed rollout of a workload takes its application back.
fn goes_back(desired: &Desired, object: &ObjectId) -> bool {
    desired.workloads.get(object).map_or(desired.settings.on_failure, |workload| workload.on_failure) == OnFailure::Rollback
}

/// Returns how long to wait before a failed step is tried again.
fn back_off(failure: &Failure, count: u32) -> Duration {
    let doubled = |first: u64, most: u64| Duration::from_secs(first.saturating_mul(1 << count.saturating_sub(1).min(16)).min(most));
    match failure.class {
        // An image that is still being built: soon, but not so that a registry notices.
        Class::Waiting => doubled(2, 60),
        Class::Host => doubled(1, 60),
        Class::User => doubled(5, 300),
        Class::Internal => doubled(30, 300),
    }
}
