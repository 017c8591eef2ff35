//! The steps of one workload: traffic, leaving, healing, and the moves of its rollout.

use std::time::Duration;

use crate::desired::{OnFailure, Strategy, Workload};
use crate::host::Step;
use crate::observed::State;
use crate::time::{Time, format_duration};

use super::draft::Draft;
use super::replica::{Replica, Standing};
use super::rollout::{self, Counts, Moves};
use super::view::View;
use super::{Change, base, drift, status};

/// How long DNS clients may go on using a replica's own address after it left: the zone's TTL.
const NAME_TTL: Duration = Duration::from_secs(5);

/// Adds the steps of one workload.
pub(super) fn plan(view: &View<'_>, workload: &Workload, changes: &[Change], draft: &mut Draft<'_>) {
    if let Some(owner) = view.claimed_by(&workload.id) {
        draft.hold(workload.id.to_string(), format!("application `{owner}` already has it"), None);
        return;
    }
    for replica in view.replicas(&workload.id) {
        traffic(view, workload.min_ready, replica, draft);
        leaving(view, replica, draft);
    }
    let changing = view.changes(&workload.id, changes);
    for replica in view.replicas(&workload.id).iter().filter(|replica| replica.standing != Standing::Leaving) {
        heal(view, workload, replica, changing, draft);
    }
    if (changing && view.applies()) || (!changing && view.heals()) {
        moves(view, workload, changing, draft);
    }
}

/// Joins a replica that is ready, and withdraws one that is not.
pub(super) fn traffic(view: &View<'_>, min_ready: Duration, replica: &Replica<'_>, draft: &mut Draft<'_>) {
    let step = |join: bool| {
        let (replica, container) = (replica.id.clone(), replica.container.id.clone());
        if join { Step::Join { replica, container } } else { Step::Withdraw { replica, container } }
    };
    if replica.joined {
        if replica.standing == Standing::Leaving {
            draft.step(step(false), "it leaves");
        } else if replica.unready {
            draft.step(step(false), "it is not ready");
        }
        return;
    }
    if replica.standing == Standing::Leaving || replica.must_restart {
        return;
    }
    let Some(since) = replica.ready_since else {
        if replica.container.state == State::Running && replica.standing == Standing::Current {
            draft.hold(replica.key(), waits_for_readiness(view, replica), None);
        }
        return;
    };
    let counts_at = since + min_ready;
    if view.now < counts_at {
        draft.hold(replica.key(), format!("must stay ready for {}", format_duration(min_ready)), Some(counts_at));
    } else {
        draft.step(step(true), "it is ready");
    }
}

fn waits_for_readiness(view: &View<'_>, replica: &Replica<'_>) -> String {
    let probing = view.observed.probing.get(&replica.container.id).filter(|probing| probing.started == replica.container.started);
    match probing.and_then(|probing| probing.message.as_ref()) {
        Some(message) => format!("is not ready yet: {message}"),
        None => "is not ready yet".to_owned(),
    }
}

/// Ends a replica that leaves, in order: out of traffic, drained, stopped, removed.
pub(super) fn leaving(view: &View<'_>, replica: &Replica<'_>, draft: &mut Draft<'_>) {
    if replica.standing != Standing::Leaving || replica.joined {
        return;
    }
    let (id, container) = (replica.id.clone(), replica.container.id.clone());
    match replica.container.state {
        State::Created | State::Exited(_) | State::Dead => {
            draft.step(Step::Remove { object: id, container }, "it has left");
        }
        State::Running | State::Paused | State::Restarting => match undrained(view, replica) {
            Some((reason, until)) => draft.hold(replica.key(), reason, until),
            None => drop(draft.step(Step::Stop { replica: id, container }, "it leaves and has no connections")),
        },
    }
}

/// Returns what the stop of a replica that left still waits for.
fn undrained(view: &View<'_>, replica: &Replica<'_>) -> Option<(String, Option<Time>)> {
    let traffic = &view.observed.traffic;
    // Without an entry the reconciler has not seen it leave yet; it will by the next round.
    let Some(left) = traffic.left.get(&replica.container.id) else { return Some(("begins to leave".to_owned(), None)) };
    if left.address.is_none() {
        return None; // It never had connections through us.
    }
    if !left.is_out(traffic.acknowledged) {
        return Some(("waits until `serve` has published without it".to_owned(), None));
    }
    let deadline = left.at + replica.care.drain;
    if view.now >= deadline {
        return None;
    }
    if left.named && view.now < left.at + NAME_TTL {
        return Some(("its address may still be in use: the name's TTL is not over".to_owned(), Some(left.at + NAME_TTL)));
    }
    match left.address.and_then(|address| traffic.connections.get(&address)) {
        Some(0) => None,
        Some(1) => Some(("drains: 1 connection is open".to_owned(), Some(deadline))),
        Some(count) => Some((format!("drains: {count} connections are open"), Some(deadline))),
        None => Some(("drains".to_owned(), Some(deadline))),
    }
}

/// Starts, resumes, restarts, reconnects or updates a replica that stays.
fn heal(view: &View<'_>, workload: &Workload, replica: &Replica<'_>, changing: bool, draft: &mut Draft<'_>) {
    let (object, container) = (replica.id.clone(), replica.container.id.clone());
    let since = replica.container.stopped_by_hand;
    let wait = since.map(|since| since + view.desired.settings.heal_stopped).filter(|due| view.now < *due);
    let (by_hand, mends) = (since.is_some(), if changing { view.applies() } else { view.heals() });
    match replica.container.state {
        State::Exited(_) | State::Paused if by_hand && !mends => {}
        State::Exited(_) | State::Paused if wait.is_some() => {
            draft.hold(replica.key(), "somebody stopped or paused it; healed after `healStopped`", wait);
        }
        State::Exited(code) => match view.heal_due(&replica.key()) {
            None => drop(draft.step(Step::Start { object, container }, format!("it ended with code {code}"))),
            Some(due) => draft.hold(replica.key(), format!("ended with code {code} again; backs off"), Some(due)),
        },
        State::Paused if mends => drop(draft.step(Step::Unpause { object, container }, "it is frozen")),
        State::Created if replica.standing == Standing::Current && view.applies() => {
            draft.step(Step::Create { replica: object }, "it was not started");
        }
        State::Running if replica.must_restart => {
            draft.step(Step::Restart { object, container }, "its probe failed");
        }
        State::Running | State::Restarting if replica.standing == Standing::Current && mends => {
            settle(view, workload, replica, draft);
        }
        _ => {}
    }
}

/// Puts right what can be changed on a live container.
fn settle(view: &View<'_>, workload: &Workload, replica: &Replica<'_>, draft: &mut Draft<'_>) {
    let differs = drift::unlike_in_place(replica.container, workload);
    let lost = workload.template.networks.iter().find(|network| {
        let connected = crate::desired::field::network(network);
        !replica.container.fields.contains_key(&connected)
    });
    if differs.is_empty() && lost.is_none() {
        return;
    }
    // What Git asks for is done at once; a fight with somebody else's tool is slowed down.
    if let Some(due) = view.heal_due(&replica.key()) {
        draft.hold(replica.key(), "changed by hand again; backs off", Some(due));
        return;
    }
    let (object, container) = (replica.id.clone(), replica.container.id.clone());
    match lost {
        Some(network) => {
            draft.step(Step::Connect { object, container, network: network.clone() }, format!("it was taken off `{network}`"));
        }
        None => {
            let paths: Vec<&str> = differs.iter().map(|field| field.path.as_str()).collect();
            draft.step(Step::Update { object, container }, format!("{} differs", paths.join(", ")));
        }
    }
}

/// Adds the moves of the rollout.
fn moves(view: &View<'_>, workload: &Workload, changing: bool, draft: &mut Draft<'_>) {
    let key = workload.id.to_string();
    let stands = |standing| view.standing(&workload.id, standing);
    let has_old = view.has_old(&workload.id);
    if workload.paused && has_old {
        draft.hold(key, "the rollout is paused", None);
        return;
    }
    if has_old && workload.on_failure == OnFailure::Pause && status::failure(view, workload).is_some() {
        draft.hold(key, "the rollout has failed and waits for a change", None);
        return;
    }
    let missing = base::missing(view, workload, changing);
    let blocked = view.blocked_by(workload);
    let counts = counts(view, workload);
    let mut moves = rollout::moves(counts);
    if workload.strategy == Strategy::Recreate && (has_old || stands(Standing::Leaving).any(|replica| replica.container.may_run())) {
        moves = Moves { leave_old: counts.old_serving, leave_old_broken: counts.old - counts.old_serving, ..Moves::default() };
    }
    leave(view, workload, moves, missing.as_deref(), draft);
    if moves.create == 0 {
        if has_old && moves == Moves::default() {
            draft.hold(key, waiting(view, workload), None);
        }
        return;
    }
    if let Some(reason) = missing {
        draft.hold(key, reason, None);
    } else if let Some(reason) = blocked {
        draft.hold(key, format!("waits: {reason}"), None);
    } else if let Some(due) = view.heal_due(&key).filter(|_| !changing) {
        draft.hold(key, "lost a replica again; backs off", Some(due));
    } else {
        let reason = if changing { "wanted by this revision" } else { "it is missing" };
        for name in view.new_names(workload, moves.create) {
            draft.step(Step::Create { replica: workload.id.with_replica(name) }, reason);
        }
    }
}

fn counts(view: &View<'_>, workload: &Workload) -> Counts {
    let of = |standing| {
        let replicas: Vec<&Replica<'_>> = view.standing(&workload.id, standing).collect();
        let serving = replicas.iter().filter(|replica| replica.serving).count();
        (replicas.len() as u32, serving as u32)
    };
    let (new, new_serving) = of(Standing::Current);
    let (old, old_serving) = of(Standing::Old);
    let (surge, unavailable) = bounds(workload);
    let new = new + view.pending(&workload.id) as u32;
    Counts { desired: workload.replicas, surge, unavailable, new, new_serving, old, old_serving }
}

/// Returns how many replicas more and fewer than wanted there may be.
pub(super) fn bounds(workload: &Workload) -> (u32, u32) {
    match workload.strategy {
        // What cannot be doubled stops first.
        _ if !workload.exclusive.is_empty() => (0, 1),
        Strategy::Rolling { surge, unavailable } => rollout::bounds(surge, unavailable, workload.replicas),
        Strategy::Recreate => (0, workload.replicas.max(1)),
    }
}

/// Adds the steps of replicas that leave. One that serves does not leave for a successor that cannot
/// be created: an image that is still being built must not cost availability.
fn leave(view: &View<'_>, workload: &Workload, moves: Moves, missing: Option<&str>, draft: &mut Draft<'_>) {
    let mut take = |standing: Standing, serving: Option<bool>, count: u32| {
        let mut candidates: Vec<&Replica<'_>> = view
            .standing(&workload.id, standing)
            .filter(|replica| !replica.busy && !draft_has(draft, replica) && serving.is_none_or(|serving| replica.serving == serving))
            .collect();
        // Those that do not serve first, then those that were restarted more, then the newest.
        candidates.sort_by_key(|replica| {
            (replica.serving, std::cmp::Reverse(replica.container.restarts), std::cmp::Reverse(replica.container.created))
        });
        for replica in candidates.into_iter().take(count as usize) {
            let reason = if standing == Standing::Old { "it is replaced" } else { "there are too many" };
            draft.supersede(Step::Leave { replica: replica.id.clone(), container: replica.container.id.clone() }, reason);
        }
    };
    take(Standing::Current, None, moves.leave_new);
    take(Standing::Old, Some(false), moves.leave_old_broken);
    match missing {
        Some(reason) if moves.leave_old > 0 && workload.replicas > 0 => {
            draft.hold(workload.id.to_string(), format!("the old replicas stay: {reason}"), None);
        }
        _ => take(Standing::Old, Some(true), moves.leave_old),
    }
}

fn draft_has(draft: &Draft<'_>, replica: &Replica<'_>) -> bool {
    draft.is_leaving(&replica.key())
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
