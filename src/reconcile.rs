//! One application between two rounds: what is in flight, what failed, who has joined, the record.
//!
//! A `Reconciler` is a plain state machine: whoever owns it hands in what was seen and carries out what
//! it says. The agent does so with a real host, the simulator with one in memory, so both run the same
//! decisions. It does no IO and reads no clock.

mod decision;
mod image;
mod note;
mod rest;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use crate::desired::{Desired, Mode, OnFailure};
use crate::host::{Class, Failure, Outcome, Step};
use crate::name::{Kind, Name, ObjectId};
use crate::observed::{Applied, FailedStep, InFlight, Interruption, Joined, Left, Live, Observed, Probing, Record, Share, Traffic};
use crate::plan::change::digest;
use crate::plan::{Claims, Plan, audit::audit, plan};
use crate::time::Time;

use rest::Known;

pub use decision::{BY_HAND, CannotGoBack, CannotScale, Scaled};
pub use image::Started;

/// One application between two rounds.
#[derive(Debug, Clone)]
pub struct Reconciler {
    observed: Known,
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
    /// What updates interrupted until now.
    pub restored: Vec<(ObjectId, Interruption)>,
    /// Images that workloads run since now.
    pub images: Vec<Started>,
    /// Why the plan was refused: bugs of ours. Nothing is started then.
    pub refused: Vec<String>,
}

/// What is known of an object that goes from one application to another.
#[derive(Debug, Clone, Default)]
pub struct HandedOver {
    applied: Option<Applied>,
    accepted: Option<BTreeSet<u16>>,
    address: Option<Ipv4Addr>,
    joined: BTreeMap<ObjectId, Joined>,
    left: BTreeMap<String, Left>,
    made_by: BTreeSet<Name>,
}

/// Which revision is to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The one that Git has.
    Head,
    /// An earlier healthy one, because the rollout of the one that Git has failed, or because somebody
    /// asked for it.
    RolledBack {
        /// The earlier revision.
        revision: String,
        /// Why.
        reason: String,
    },
}

impl Reconciler {
    /// Returns the state of an application that somebody begins to look at.
    pub fn new(record: Record, traffic: Traffic, now: Time) -> Self {
        Reconciler { observed: Known::new(Observed { since: now, record, traffic, ..Observed::default() }) }
    }

    /// Takes over who had joined and left before somebody began to look.
    pub fn restore(&mut self, traffic: Traffic) {
        self.observed.traffic = traffic;
    }

    /// Gives up an object that another application has from now on; `me` is the application that gives it up. Its
    /// replicas are handed over as they are: what is known of them goes with them.
    pub fn give_up(&mut self, id: &ObjectId, me: &Name, live: &Live) -> HandedOver {
        let Observed { record, traffic, failures, .. } = &mut *self.observed;
        record.begun.remove(id);
        let of_it = |replica: &ObjectId| replica.workload() == *id;
        record.heals.retain(|key, _| !belongs(key, id));
        failures.retain(|key, _| !belongs(key, id));
        let containers = live.containers.iter().filter(|container| container.labels.as_ref().is_some_and(|labels| of_it(&labels.object)));
        let containers: BTreeSet<&str> = containers.map(|container| container.id.as_str()).collect();
        let mut made_by = record.adopted.remove(id).unwrap_or_default();
        made_by.insert(me.clone());
        HandedOver {
            applied: record.applied.remove(id),
            accepted: record.accepted.remove(id),
            address: record.addresses.remove(id),
            joined: traffic.joined.extract_if(.., |replica, _| of_it(replica)).collect(),
            left: traffic.left.extract_if(.., |container, _| containers.contains(container.as_str())).collect(),
            made_by,
        }
    }

    /// Takes over an object that another application gave up.
    pub fn take_over(&mut self, id: &ObjectId, handed: HandedOver) {
        let Observed { record, traffic, .. } = &mut *self.observed;
        let HandedOver { applied, accepted, address, joined, left, made_by } = handed;
        record.applied.extend(applied.map(|applied| (id.clone(), applied)));
        record.accepted.extend(accepted.map(|ports| (id.clone(), ports)));
        record.addresses.extend(address.map(|address| (id.clone(), address)));
        record.adopted.entry(id.clone()).or_default().extend(made_by);
        traffic.joined.extend(joined);
        traffic.left.extend(left);
    }

    /// Counts the containers that others made of its objects as its own.
    pub fn adopt(&self, desired: &Desired, live: &mut Live) {
        let makers =
            self.observed.record.adopted.iter().flat_map(|(id, makers)| makers.iter().map(move |maker| (id.clone(), maker.clone())));
        let adopted = makers.map(|made| (made, desired.application.clone())).collect();
        live.adopt(&desired.installation.owner, &adopted);
    }

    /// Forgets who made an object's containers once none of theirs is left. `live` is what the host shows, without
    /// any adoption. Returns whether something was forgotten.
    pub fn forget_adopted(&mut self, live: &Live) -> bool {
        if self.observed.record.adopted.is_empty() {
            return false;
        }
        let adopted = &mut self.observed.record.adopted;
        let labels = live.containers.iter().filter_map(|container| container.labels.as_ref());
        let made: BTreeSet<(ObjectId, &Name)> =
            labels.filter_map(|labels| Some((labels.object.workload(), labels.application.as_ref()?))).collect();
        let count = |adopted: &BTreeMap<ObjectId, BTreeSet<Name>>| adopted.values().map(BTreeSet::len).sum::<usize>();
        let before = count(adopted);
        adopted.retain(|id, makers| {
            makers.retain(|maker| made.contains(&(id.clone(), maker)));
            !makers.is_empty()
        });
        before != count(adopted)
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
        if self.observed.probing != probing {
            self.observed.probing = probing;
        }
    }

    /// Takes in the generation that was published: whoever joined or left since has this one.
    pub fn published(&mut self, generation: u64) {
        self.observed.number(generation);
        let stamps = |traffic: &Traffic| {
            let joined = traffic.joined.values().map(|joined| joined.generation);
            joined.chain(traffic.left.values().map(|left| left.generation)).any(|stamp| stamp == 0)
        };
        if !stamps(&self.observed.traffic) {
            return;
        }
        let traffic = &mut self.observed.traffic;
        let joined = traffic.joined.values_mut().map(|joined| &mut joined.generation);
        let left = traffic.left.values_mut().map(|left| &mut left.generation);
        joined.chain(left).filter(|stamp| **stamp == 0).for_each(|stamp| *stamp = generation);
    }

    /// Takes in the generation that the data path serves, the connections that replicas still have, and what keeps
    /// fronts from serving. Connections count for replicas that left.
    pub fn acknowledged(&mut self, generation: u64, connections: &BTreeMap<Ipv4Addr, u64>, front_errors: &BTreeMap<String, String>) {
        self.observed.acknowledge(generation);
        let traffic = &self.observed.traffic;
        let left = traffic.left.values().flat_map(|left| &left.addresses);
        let connections: BTreeMap<Ipv4Addr, u64> = left.filter_map(|address| Some((*address, *connections.get(address)?))).collect();
        if traffic.connections != connections || traffic.front_errors != *front_errors {
            let traffic = &mut self.observed.traffic;
            (traffic.connections, traffic.front_errors) = (connections, front_errors.clone());
        }
    }

    /// Tells which revision is to be kept, given what Git has.
    pub fn target(&self, head: &Desired) -> Target {
        let record = &self.observed.record;
        if record.failed.is_empty() && record.returned.is_none() {
            return Target::Head;
        }
        let asked = digest(head);
        if let Some(returned) = record.returned.as_ref().filter(|returned| returned.from == asked) {
            return Target::RolledBack { revision: returned.revision.clone(), reason: BY_HAND.to_owned() };
        }
        // A revision that was healthy last and is not any more fails for something outside of Git, such as a secret
        // of the host: an older one would fail for the same.
        if record.healthy.last() == Some(&head.revision) {
            return Target::Head;
        }
        let healthy = record.healthy.iter().rev().find(|revision| **revision != head.revision);
        match (record.failed.get(&asked), healthy) {
            (Some(failed), Some(healthy)) if goes_back(head, &failed.object) => {
                Target::RolledBack { revision: healthy.clone(), reason: format!("{}: {}", failed.object.name, failed.reason) }
            }
            _ => Target::Head,
        }
    }

    /// Tells whether nothing that is known of it has changed since a round that left nothing to do: as long as the
    /// host, the claims, and what is desired stay the same, too, there is no need for another one.
    pub fn is_undisturbed(&self) -> bool {
        self.observed.is_undisturbed()
    }

    /// Tells whether a round would come out as the last one did. Without a share the host is the same as then.
    pub fn rests(&self, desired: &Arc<Desired>, claims: &Claims, share: Option<&Share<'_>>) -> bool {
        self.observed.rests(desired, claims) && share.is_none_or(|share| share.is(&self.observed.live))
    }

    /// Plans a round from what was seen and takes note of what it starts.
    pub fn round(&mut self, desired: &Arc<Desired>, claims: &Claims, mut live: Live, now: Time) -> Round {
        self.adopt(desired, &mut live);
        live.recognise(&self.observed.known, &self.observed.traffic);
        let mine = live.replicas(&desired.installation.owner, &desired.application);
        self.observed.known = mine.map(|(container, _)| container.id.clone()).collect();
        self.observed.live = live;
        let before = self.observed.record.clone();
        self.end_overrides(desired, now);
        let mut publish = self.settle_traffic(desired, now);
        let plan = plan(desired, claims, &self.observed, now);
        let refused = audit(&plan, desired, &self.observed);
        let (mut start, mut restored, mut images) = (Vec::new(), Vec::new(), Vec::new());
        if refused.is_empty() {
            self.note(&plan, desired, now);
            restored = self.note_interrupted(&plan, desired, now);
            images = image::note(&mut self.observed.record, &plan, desired);
            for planned in &plan.steps {
                match &planned.step {
                    Step::Join { replica, container } => publish |= self.join(replica, container, desired),
                    Step::Withdraw { replica, container } => publish |= self.withdraw(replica, container, desired, now),
                    step => {
                        self.observed.in_flight.insert(step.key(), InFlight { step: step.clone(), since: now });
                        start.push(step.clone());
                    }
                }
            }
        }
        let store = before != self.observed.record;
        if !store && !publish && start.is_empty() && restored.is_empty() && refused.is_empty() {
            self.observed.begin_rest(&plan, desired, claims);
        }
        Round { plan, start, publish, store, restored, images, refused }
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
                let before = self.observed.failures.get(&key).filter(|failed| failed.step.action() == step.action());
                let count = before.map_or(1, |failed| failed.count.saturating_add(1));
                let retry_at = now + back_off(&failure, count);
                self.observed.failures.insert(key, FailedStep { step: step.clone(), failure, count, retry_at });
            }
        }
        false
    }

    /// Forgets which steps failed, so that everything is tried at once: Git moved.
    pub fn retry(&mut self) {
        self.observed.failures.clear();
    }

    /// Notes that nobody could look until now, so that no deadline counts the time before.
    pub fn looked_away(&mut self, now: Time) {
        self.observed.since = now;
    }

    /// Notes that the host's clock was set by so many milliseconds and says `now`: what was counted by it goes
    /// on being counted, neither shorter nor longer. The engine's own times stay as they are, so deadlines
    /// that look at those begin anew.
    pub fn clock_set(&mut self, by: i64, now: Time) {
        let observed = &mut *self.observed;
        let move_it = |time: &mut Time| *time = time.moved(by);
        observed.since = now;
        observed.in_flight.values_mut().for_each(|it| move_it(&mut it.since));
        observed.failures.values_mut().for_each(|it| move_it(&mut it.retry_at));
        observed.traffic.left.values_mut().for_each(|it| move_it(&mut it.at));
        for begun in observed.record.begun.values_mut() {
            move_it(&mut begun.at);
            move_it(&mut begun.earliest);
        }
        observed.record.heals.values_mut().for_each(|it| move_it(&mut it.at));
        observed.record.failed.values_mut().for_each(|it| move_it(&mut it.at));
    }

    fn join(&mut self, replica: &ObjectId, container: &str, desired: &Desired) -> bool {
        let Some(live) = self.observed.live.container(container) else { return false };
        let workload = desired.workloads.get(&replica.workload());
        let network = workload.and_then(|workload| workload.template.networks.first());
        let nowhere = workload.filter(|workload| workload.template.networks.is_empty()).map(|_| Ipv4Addr::LOCALHOST);
        let address = network.and_then(|network| live.address(network)).or_else(|| live.addresses.values().next().copied()).or(nowhere);
        let (Some(started), Some(address)) = (live.started, address) else { return false };
        let joined = Joined { container: container.to_owned(), started, address, addresses: live.addresses.clone(), generation: 0 };
        self.observed.traffic.left.remove(container);
        self.observed.traffic.joined.insert(replica.clone(), joined);
        true
    }

    fn withdraw(&mut self, replica: &ObjectId, container: &str, desired: &Desired, now: Time) -> bool {
        let Some(joined) = self.observed.traffic.joined.remove(replica) else { return false };
        let named = desired.services_of(&replica.workload()).any(|service| service.headless);
        let mut addresses: BTreeSet<Ipv4Addr> = joined.addresses.values().copied().chain([joined.address]).collect();
        addresses.retain(|_| has_connections(replica, desired));
        let left = Left { addresses, generation: 0, at: now, named };
        self.observed.traffic.left.insert(container.to_owned(), left);
        true
    }

    /// Brings traffic in line with what can be seen: who is gone serves nobody, and who is marked as
    /// leaving without an entry (its agent was killed in between) begins to drain now.
    fn settle_traffic(&mut self, desired: &Desired, now: Time) -> bool {
        let Observed { live, traffic, .. } = &mut *self.observed;
        let known: BTreeSet<&str> = live.containers.iter().map(|container| container.id.as_str()).collect();
        let before = (traffic.joined.len(), traffic.left.len());
        traffic.joined.retain(|_, joined| known.contains(joined.container.as_str()));
        traffic.left.retain(|container, _| known.contains(container.as_str()));
        // The clock may have been set back while nobody looked.
        traffic.left.values_mut().for_each(|left| left.at = left.at.min(now));
        let mut changed = before != (traffic.joined.len(), traffic.left.len());
        for (container, labels) in live.replicas(&desired.installation.owner, &desired.application) {
            let joined = traffic.joined.get(&labels.object).is_some_and(|joined| joined.container == container.id);
            if container.leaving && !joined && !traffic.left.contains_key(&container.id) {
                let mut addresses: BTreeSet<Ipv4Addr> = container.addresses.values().copied().collect();
                addresses.retain(|_| has_connections(&labels.object, desired));
                let named = desired.services_of(&labels.object.workload()).any(|service| service.headless);
                traffic.left.insert(container.id.clone(), Left { addresses, generation: 0, at: now, named });
                changed = true;
            }
        }
        changed
    }
}

/// Tells whether a key is that of an object or of one of its replicas.
fn belongs(key: &str, id: &ObjectId) -> bool {
    let id = id.to_string();
    key.strip_prefix(id.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Tells whether changes that Git asks for are carried out.
fn applies(desired: &Desired, record: &Record) -> bool {
    match desired.settings.mode {
        Mode::Auto => true,
        Mode::Manual => record.approved.as_ref() == Some(&desired.revision),
        Mode::Observe => false,
    }
}

fn wants(desired: &Desired, id: &ObjectId) -> bool {
    desired.workloads.contains_key(id)
        || desired.services.contains_key(id)
        || desired.networks.contains_key(id)
        || desired.volumes.contains_key(id)
        || desired.fronts.contains_key(id)
}

/// Tells whether a failed rollout of a workload takes its application back.
fn goes_back(desired: &Desired, object: &ObjectId) -> bool {
    desired.workloads.get(object).map_or(desired.settings.on_failure, |workload| workload.on_failure) == OnFailure::Rollback
}

/// Tells whether connections of a replica come through us. Those of a Compose service without a front
/// do not, so nobody could say when they are over.
fn has_connections(replica: &ObjectId, desired: &Desired) -> bool {
    replica.kind != Kind::ComposeService || desired.services_of(&replica.workload()).next().is_some()
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
