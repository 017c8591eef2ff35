//! Removing what Git no longer has: last, and never everything by accident.

use std::time::Duration;

use crate::desired::{Exclusive, Workload};
use crate::host::Step;
use crate::name::ObjectId;

use super::draft::Draft;
use super::replica::{Replica, Standing};
use super::view::View;
use super::{base, status, workload};

/// Adds the steps for replicas of workloads that Git no longer has.
pub(super) fn plan(view: &View<'_>, draft: &mut Draft<'_>) {
    for (id, replicas) in gone(view) {
        let hands_off = view.hands_off(id);
        for replica in replicas {
            workload::traffic(view, Duration::ZERO, replica, draft);
            if hands_off.is_none() {
                workload::leaving(view, replica, draft);
            }
        }
        if let Some(hands_off) = hands_off {
            draft.hold(id.to_string(), hands_off.to_string(), None);
            continue;
        }
        let stays = |replica: &&Replica<'_>| replica.standing != Standing::Leaving && !replica.busy;
        let staying: Vec<&Replica<'_>> = replicas.iter().filter(stays).collect();
        if staying.is_empty() || !view.applies() || !view.desired.settings.prune {
            continue;
        }
        match refusal(view) {
            Some(reason) if !needed_elsewhere(view, &staying) => draft.hold(id.to_string(), reason, None),
            _ => {
                for replica in staying {
                    let step = Step::Leave { replica: replica.id.clone(), container: replica.container.id.clone() };
                    draft.supersede(step, "no longer in Git");
                }
            }
        }
    }
}

/// Returns the replicas of workloads that Git no longer has and no other application has taken over.
pub(super) fn gone<'a>(view: &'a View<'_>) -> impl Iterator<Item = (&'a ObjectId, &'a [Replica<'a>])> {
    view.all_replicas().filter(|(id, _)| !view.desired.workloads.contains_key(id) && view.claimed_by(id).is_none())
}

/// Returns why nothing is removed now.
pub(super) fn refusal(view: &View<'_>) -> Option<String> {
    let desired = view.desired;
    if desired.workloads.is_empty() && view.observed.record.prune_all.as_ref() != Some(&desired.revision) {
        return Some("this revision would remove everything; `driftless apply --prune-all` permits it".to_owned());
    }
    let unsettled = desired.workloads.values().find(|workload| !status::is_settled(view, workload));
    unsettled.map(|workload| format!("no longer in Git; removed when {} is healthy", workload.id))
}

/// Tells whether a workload of this revision waits for nothing but what only one can have and these
/// replicas hold.
fn needed_elsewhere(view: &View<'_>, replicas: &[&Replica<'_>]) -> bool {
    let holds = |exclusive: &Exclusive| replicas.iter().any(|replica| view.has(replica.container, exclusive));
    let waits = |workload: &Workload| workload.exclusive.iter().any(holds) && base::missing(view, workload).is_none();
    view.desired.workloads.values().any(waits)
}
