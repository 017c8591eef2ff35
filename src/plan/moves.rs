//! The moves of a rollout: which replicas are created and which leave now.
//!
//! How many is the arithmetic of `rollout`; here it is decided whether a successor can be had at all,
//! and who goes. Whoever serves does not leave for a successor that cannot be created.

use std::cmp::Reverse;
use std::time::Duration;

use crate::desired::{OnFailure, Strategy, Workload};
use crate::host::Step;

use crate::time::{Time, format_duration};

use super::draft::Draft;
use super::replica::{Replica, Standing};
use super::rollout::{self, Counts, Moves};
use super::view::View;
use super::{base, status};

/// A call to the engine whose caller is gone lands within so long.
const LATE: Duration = Duration::from_secs(2);

/// Adds the moves of a workload's rollout.
pub(super) fn plan(view: &View<'_>, workload: &Workload, draft: &mut Draft<'_>) {
    let key = workload.id.to_string();
    if let Some(reason) = stands_still(view, workload) {
        draft.hold(key, reason, None);
        return;
    }
    let counts = counts(view, workload);
    let moves = moves(view, workload, counts);
    let changing = view.is_changing(&workload.id);
    if moves == Moves::default() {
        if counts.old > 0 {
            draft.hold(key, waiting(view, workload), None);
        }
        return;
    }
    if let Some(due) = next_due(view, workload).filter(|_| counts.old > 0) {
        draft.hold(key, format!("waits {} after each new replica", format_duration(workload.delay)), Some(due));
        return;
    }
    if let Some(due) = view.heal_due(&key, workload.replicas).filter(|_| !changing) {
        draft.hold(key, "changed by hand again; backs off", Some(due));
        return;
    }
    // Only a rollout that still has to create something can want for it.
    let short = counts.new < counts.desired;
    let missing = short.then(|| base::missing(view, workload)).flatten();
    let obstacle = short.then(|| view.obstacle(workload)).flatten();
    let forever = missing.clone().or_else(|| obstacle.as_ref().filter(|obstacle| !obstacle.goes).map(|it| it.reason.clone()));
    leave(view, workload, (counts, moves), forever.as_deref(), draft);
    match (missing, obstacle, late_call(view, workload)) {
        _ if moves.create == 0 => {}
        (Some(reason), ..) => draft.hold(key, reason, None),
        (None, Some(obstacle), _) => draft.hold(key, format!("waits: {}", obstacle.reason), None),
        (None, None, Some(until)) => draft.hold(key, "waits for what an agent before this one may have begun", Some(until)),
        (None, None, None) => {
            let reason = if changing { "wanted by this revision" } else { "it is missing" };
            for name in view.new_names(workload, moves.create) {
                draft.step(Step::Create { replica: workload.id.with_replica(name) }, reason);
            }
        }
    }
}

/// Returns when a rollout that waits after each new replica goes on; `None` if it may now.
fn next_due(view: &View<'_>, workload: &Workload) -> Option<Time> {
    let ready = view.standing(&workload.id, Standing::Current).filter_map(|replica| replica.ready_since);
    Some(ready.max()? + workload.delay).filter(|due| !workload.delay.is_zero() && view.now < *due)
}

/// Returns until when a call of an agent that was killed may still land. Its replica has another name if
/// Git moved meanwhile, so nothing but time keeps it from being a second writer. A first deployment
/// that nobody began before waits for nothing.
fn late_call(view: &View<'_>, workload: &Workload) -> Option<Time> {
    let (since, record) = (view.observed.since, &view.observed.record);
    let due = since + LATE;
    if workload.exclusive.is_empty() || view.now >= due {
        return None;
    }
    let before = record.begun.get(&workload.id).is_some_and(|begun| begun.earliest < since);
    (before || record.applied.contains_key(&workload.id)).then_some(due)
}

/// Returns why a rollout makes no move at all.
fn stands_still(view: &View<'_>, workload: &Workload) -> Option<&'static str> {
    let has_old = view.has_old(&workload.id);
    let begins = workload.replicas > 0 && view.replicas(&workload.id).is_empty() && view.is_changing(&workload.id);
    if workload.paused && (has_old || begins) {
        return Some("the rollout is paused");
    }
    let failed = has_old && workload.on_failure == OnFailure::Pause && status::failure(view, workload).is_some();
    failed.then_some("the rollout has failed and waits for a change")
}

fn counts(view: &View<'_>, workload: &Workload) -> Counts {
    let of = |standing| {
        let (mut all, mut serving) = (0, 0);
        for replica in view.standing(&workload.id, standing) {
            all += 1;
            serving += u32::from(replica.serving);
        }
        (all, serving)
    };
    let (new, new_serving) = of(Standing::Current);
    let (old, old_serving) = of(Standing::Old);
    let (surge, unavailable) = bounds(workload);
    let new = new + view.pending(&workload.id) as u32;
    Counts { desired: workload.replicas, surge, unavailable, new, new_serving, old, old_serving }
}

/// Returns how many replicas more and fewer than wanted there may be.
fn bounds(workload: &Workload) -> (u32, u32) {
    match workload.strategy {
        // What cannot be doubled stops first.
        _ if !workload.exclusive.is_empty() => (0, 1),
        Strategy::Rolling { surge, unavailable } => rollout::bounds(surge, unavailable, workload.replicas),
        Strategy::Recreate => (0, workload.replicas.max(1)),
    }
}

fn moves(view: &View<'_>, workload: &Workload, counts: Counts) -> Moves {
    let still_there = || view.standing(&workload.id, Standing::Leaving).any(|replica| replica.container.may_run());
    match workload.strategy {
        // All old ones first, and gone.
        Strategy::Recreate if counts.old > 0 || (counts.new < counts.desired && still_there()) => {
            Moves { leave_old: counts.old_serving, leave_old_broken: counts.old - counts.old_serving, ..Moves::default() }
        }
        _ => rollout::moves(counts),
    }
}

/// Returns how many replicas that serve may be changed in place at once: as many as may be missing, and
/// one if all serve, because a change in place does not interrupt.
pub(super) fn updates(view: &View<'_>, workload: &Workload) -> usize {
    let current = || view.standing(&workload.id, Standing::Current);
    let serving = current().filter(|replica| replica.serving).count();
    let floor = workload.replicas.saturating_sub(bounds(workload).1) as usize;
    let all = usize::from(serving >= workload.replicas as usize && !current().any(|replica| replica.busy));
    serving.saturating_sub(floor).max(all)
}

/// Adds the steps of replicas that leave. Without a successor only those leave that are too many.
fn leave(view: &View<'_>, workload: &Workload, (counts, moves): (Counts, Moves), missing: Option<&str>, draft: &mut Draft<'_>) {
    let mut take = |standing: Standing, serving: bool, count: u32| {
        let free = |replica: &&Replica<'_>| !replica.busy && replica.serving == serving;
        let mut candidates: Vec<&Replica<'_>> = view.standing(&workload.id, standing).filter(free).collect();
        // Those that were restarted more often first, then the newest.
        candidates.sort_by_key(|replica| (Reverse(replica.container.restarts), Reverse(replica.container.created)));
        candidates.truncate(count as usize);
        for replica in &candidates {
            let reason = if standing == Standing::Old { "it is replaced" } else { "there are too many" };
            draft.supersede(Step::Leave { replica: replica.id.clone(), container: replica.container.id.clone() }, reason);
        }
        candidates.len() as u32
    };
    let broken = take(Standing::Current, false, moves.leave_new);
    take(Standing::Current, true, (moves.leave_new - broken).min(moves.leave_new_serving));
    match missing {
        None => {
            take(Standing::Old, false, moves.leave_old_broken);
            take(Standing::Old, true, moves.leave_old);
        }
        Some(reason) => {
            let surplus = (counts.new_serving + counts.old_serving).saturating_sub(counts.desired);
            take(Standing::Old, true, moves.leave_old.min(surplus));
            if moves.leave_old > surplus || moves.leave_old_broken > 0 {
                draft.hold(workload.id.to_string(), format!("the old replicas stay: {reason}"), None);
            }
        }
    }
}

/// Says what a rollout that makes no move now waits for.
fn waiting(view: &View<'_>, workload: &Workload) -> String {
    let unready = view.standing(&workload.id, Standing::Current).filter(|replica| !replica.serving).count() + view.pending(&workload.id);
    match unready {
        0 => "waits for replicas that leave".to_owned(),
        1 => "waits: 1 new replica does not serve yet".to_owned(),
        count => format!("waits: {count} new replicas do not serve yet"),
    }
}
