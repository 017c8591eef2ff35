//! What a plan leaves in the record: heals, interruptions, what was begun, applied and accepted, and whether it
//! was healthy or failed. It decides nothing; the next plan reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::desired::{Desired, Mode, Workload};
use crate::hash::{Fields, Match};
use crate::host::Step;
use crate::name::{Kind, ObjectId};
use crate::observed::{Applied, Begun, Failed, Heal, Interruption, Labels, Live, Observed, Probing, Record};
use crate::plan::change::{digest, service_fields, workload_digest, workload_fields};
use crate::plan::{ChangeAction, Plan, content, foreign, interruption::interrupts, overridden};
use crate::time::Time;

use super::{Reconciler, applies, goes_back, wants};

/// A heal is forgotten after so long without drift on its object.
const HEAL_MEMORY: Duration = Duration::from_secs(600);
/// So many failed rollouts are remembered.
const FAILED_KEPT: usize = 20;

impl Reconciler {
    /// Writes down what must outlive a crash.
    pub(super) fn note(&mut self, plan: &Plan, desired: &Desired, now: Time) {
        self.note_heals(plan, now);
        let wanted = overridden(desired, &self.observed.record, now);
        self.note_begun(plan, &wanted, now);
        self.note_applied(plan, &wanted);
        let observed = &mut *self.observed;
        if let Some(failed) = &plan.failed
            && goes_back(desired, &failed.object)
            && !observed.record.healthy.is_empty()
            // What Git asks for is not to blame for a number that somebody set by hand.
            && !observed.record.overrides.contains_key(&failed.object)
        {
            observed.record.failed.entry(digest(desired)).or_insert_with(|| failed.clone());
            // Going back is part of what was approved.
            if desired.settings.mode == Mode::Manual && observed.record.approved.as_ref() == Some(&desired.revision) {
                let back = observed.record.healthy.iter().rev().find(|revision| **revision != desired.revision);
                if let Some(back) = back.cloned() {
                    observed.record.approved = Some(back);
                }
            }
            let oldest = |failed: &BTreeMap<String, Failed>| failed.iter().min_by_key(|(_, it)| it.at).map(|(digest, _)| digest.clone());
            while observed.record.failed.len() > FAILED_KEPT
                && let Some(digest) = oldest(&observed.record.failed)
            {
                observed.record.failed.remove(&digest);
            }
        }
        let settled = plan.changes.is_empty() && plan.workloads.iter().all(|workload| workload.settled);
        // Whatever kept it from being healthy once does so no more.
        if settled && !observed.record.failed.is_empty() {
            observed.record.failed.remove(&digest(desired));
        }
        // In mode manual an approval is for one `apply`: once that is done, nothing is healed by itself.
        let overrides = &observed.record.overrides;
        let drifts = plan.drift.iter().any(|drift| !overrides.keys().any(|id| id.to_string() == drift.object));
        if settled && !drifts && desired.settings.mode == Mode::Manual {
            observed.record.approved.take_if(|approved| *approved == desired.revision);
        }
        // So is the permission to remove everything: going back to that revision later is not covered by it.
        if settled {
            observed.record.prune_all.take_if(|permitted| *permitted == desired.revision);
        }
        if settled && observed.record.healthy.last() != Some(&desired.revision) {
            let keep = desired.workloads.values().map(|workload| workload.history_limit).max().unwrap_or(10) as usize + 1;
            observed.record.healthy.retain(|revision| *revision != desired.revision);
            observed.record.healthy.push(desired.revision.clone());
            observed.record.asked.insert(desired.revision.clone(), digest(desired));
            let surplus = observed.record.healthy.len().saturating_sub(keep);
            for revision in observed.record.healthy.drain(..surplus) {
                observed.record.asked.remove(&revision);
            }
        }
    }

    /// Counts heals per object. What Git changes is no heal, except that something does not run.
    fn note_heals(&mut self, plan: &Plan, now: Time) {
        let heals = &mut self.observed.record.heals;
        heals.values_mut().for_each(|heal| heal.at = heal.at.min(now));
        heals.retain(|_, heal| now.since(heal.at) < HEAL_MEMORY);
        let changing: BTreeSet<&ObjectId> = plan.changes.iter().map(|change| &change.object).collect();
        for planned in &plan.steps {
            let key = match &planned.step {
                Step::Start { object, .. } | Step::Unpause { object, .. } | Step::Rename { object, .. } => object,
                Step::Connect { object, .. } | Step::Disconnect { object, .. } | Step::Update { object, .. }
                    if !changing.contains(&object.workload()) =>
                {
                    object
                }
                Step::Create { replica } if !changing.contains(&replica.workload()) => &replica.workload(),
                Step::CreateFront { front } if !changing.contains(front) => front,
                _ => continue,
            };
            let heal = heals.entry(key.to_string()).or_insert(Heal { count: 0, at: now });
            *heal = Heal { count: heal.count.saturating_add(1), at: now };
        }
    }

    /// Notes what begins to be interrupted, and returns what no longer is.
    pub(super) fn note_interrupted(&mut self, plan: &Plan, desired: &Desired, now: Time) -> Vec<(ObjectId, Interruption)> {
        let Observed { record, live, traffic, .. } = &mut *self.observed;
        let interrupted = &mut record.interrupted;
        interrupted.retain(|id, _| desired.workloads.contains_key(id));
        let mut restored = Vec::new();
        for status in plan.workloads.iter().filter(|status| status.ready > 0) {
            if let Some(interruption) = interrupted.get_mut(&status.object).filter(|interruption| interruption.until.is_none()) {
                interruption.until = Some(now);
                restored.push((status.object.clone(), interruption.clone()));
            }
        }
        for planned in &plan.steps {
            let Step::Stop { replica, container } = &planned.step else { continue };
            let id = replica.workload();
            let stopped = plan.workloads.iter().any(|status| status.object == id && status.ready == 0);
            let Some(workload) = desired.workloads.get(&id).filter(|_| stopped) else { continue };
            let published = live.container(container).map(|container| &container.published);
            if let Some(what) = interrupts(desired, workload, published.into_iter().flatten(), &traffic.front_errors)
                && interrupted.get(&id).is_none_or(|known| known.until.is_some())
            {
                interrupted.insert(id, Interruption { what, since: now, until: None });
            }
        }
        restored
    }

    /// Notes when rollouts began: nothing on the host tells.
    fn note_begun(&mut self, plan: &Plan, desired: &Desired, now: Time) {
        let record = &mut self.observed.record;
        let changes: BTreeMap<&ObjectId, ChangeAction> = plan.changes.iter().map(|change| (&change.object, change.action)).collect();
        record.begun.retain(|id, _| changes.contains_key(id));
        record.begun.values_mut().for_each(|begun| begun.at = begun.at.min(now));
        if !applies(desired, record) {
            return;
        }
        for workload in desired.workloads.values() {
            let Some(action) = changes.get(&workload.id) else { continue };
            let wanted = workload_digest(workload, desired);
            if record.begun.get(&workload.id).is_none_or(|begun| begun.wanted != wanted) {
                let first = *action == ChangeAction::Create;
                let earliest = record.begun.get(&workload.id).map_or(now, |begun| begun.earliest);
                record.begun.insert(workload.id.clone(), Begun { wanted, at: now, first, earliest });
            }
        }
    }

    /// Notes what was applied, and forgets what is neither wanted nor there.
    fn note_applied(&mut self, plan: &Plan, desired: &Desired) {
        let Observed { record, live, probing, .. } = &mut *self.observed;
        let revision = &desired.revision;
        let claimed = plan.findings.iter().any(|finding| finding.rule == "claimed");
        let mut changed = false;
        let mut put = |id: &ObjectId, fields| {
            if record.applied.get(id).is_none_or(|applied| applied.fields != fields) {
                changed = true;
                record.applied.insert(id.clone(), Applied { revision: revision.clone(), fields });
            }
        };
        let settled = || plan.workloads.iter().filter(|status| status.settled).filter_map(|status| desired.workloads.get(&status.object));
        settled().for_each(|workload| put(&workload.id, workload_fields(workload)));
        let ground = foreign::usable(desired, live).map(|(id, _)| id);
        let labels = live.containers.iter().filter_map(|container| container.labels.as_ref());
        // One that is about to be replaced does not have what was asked for.
        let key = &desired.installation.key;
        let as_wanted = |labels: &&Labels| match (desired.fronts.get(&labels.object).filter(|front| !front.shared), &labels.hash) {
            (Some(front), Some(made)) => front.hash(key).compare(made) != Match::Different,
            _ => true,
        };
        let fronts: BTreeSet<&ObjectId> =
            labels.filter(|labels| labels.is_front()).filter(as_wanted).map(|labels| &labels.object).collect();
        let shared = desired.fronts.keys().filter(|id| fronts.contains(id) && !desired.services.contains_key(id));
        ground.chain(shared).for_each(|id| put(id, Fields::new()));
        if applies(desired, record) {
            let lost = |id: &ObjectId| plan.held.iter().any(|held| held.object == id.to_string());
            let there = |id: &ObjectId| (!desired.fronts.contains_key(id) || fronts.contains(id)) && !(claimed && lost(id));
            for service in desired.services.values().filter(|service| there(&service.id)) {
                let fields = service_fields(service, desired);
                if record.applied.get(&service.id).is_none_or(|applied| applied.fields != fields) {
                    record.applied.insert(service.id.clone(), Applied { revision: revision.clone(), fields });
                }
            }
            let removed = |id: &ObjectId| plan.changes.iter().any(|change| change.object == *id && change.action == ChangeAction::Remove);
            record.applied.retain(|id, _| wants(desired, id) || (removed(id) && id.kind != Kind::Service));
        }
        if changed {
            content::remember(record, desired);
        }
        note_accepted(record, live, probing, settled());
    }
}

/// Notes which ports the replicas of settled workloads accept connections at.
fn note_accepted<'a>(record: &mut Record, live: &Live, probing: &BTreeMap<String, Probing>, settled: impl Iterator<Item = &'a Workload>) {
    let settled: BTreeSet<&ObjectId> = settled.map(|workload| &workload.id).collect();
    let mut accepted: BTreeMap<ObjectId, BTreeSet<u16>> = BTreeMap::new();
    for container in &live.containers {
        let (Some(labels), Some(probing)) = (&container.labels, probing.get(&container.id)) else { continue };
        let id = labels.object.workload();
        if settled.contains(&id) && !probing.accepting.is_empty() {
            accepted.entry(id).or_default().extend(probing.accepting.keys());
        }
    }
    record.accepted.extend(accepted);
}
