//! The steps of one workload's replicas: traffic, leaving, healing.

use std::time::Duration;

use crate::desired::Workload;
use crate::host::Step;
use crate::observed::State;
use crate::time::{Time, format_duration};

use super::draft::Draft;
use super::replica::{Replica, Standing};
use super::view::{HandsOff, View};
use super::{claim, drift, moves, path};

/// How long DNS clients may go on using a replica's own address after it left: the zone's TTL.
const NAME_TTL: Duration = Duration::from_secs(5);

/// Adds the steps of one workload.
pub(super) fn plan(view: &View<'_>, workload: &Workload, draft: &mut Draft<'_>) {
    if let Some(obstacle) = claim::obstacle(view.desired, workload, view.claims) {
        draft.hold(workload.id.to_string(), obstacle, None);
        return;
    }
    let hands_off = view.hands_off(&workload.id);
    for replica in view.replicas(&workload.id) {
        traffic(view, workload.min_ready, replica, draft);
        if hands_off.is_none() {
            leaving(view, replica, draft);
        }
    }
    if let Some(hands_off) = hands_off {
        // Traffic is kept in step, and nothing else is.
        if view.is_changing(&workload.id) || matches!(hands_off, HandsOff::Unread(_)) {
            draft.hold(workload.id.to_string(), hands_off.to_string(), None);
        }
        return;
    }
    let mends = if view.is_changing(&workload.id) { view.applies() } else { view.heals() };
    let mut updates = moves::updates(view, workload);
    for replica in view.replicas(&workload.id).iter().filter(|replica| replica.standing != Standing::Leaving) {
        heal(view, replica, mends, draft);
        if mends && replica.standing == Standing::Current && matches!(replica.container.state, State::Running | State::Restarting) {
            settle(view, workload, replica, &mut updates, draft);
        }
    }
    if mends {
        moves::plan(view, workload, draft);
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
    if replica.standing == Standing::Leaving || replica.must_restart || replica.container.unread.is_some() {
        return;
    }
    let Some(since) = replica.ready_since else {
        if replica.container.state == State::Running && replica.standing == Standing::Current && !replica.busy {
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
    if replica.container.addresses.is_empty() {
        return "is not ready yet: it is on no network".to_owned();
    }
    match view.last_answer(replica) {
        Some(answer) => format!("is not ready yet: {answer}"),
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
    // Without an address it never had connections through us.
    if left.addresses.is_empty() {
        return None;
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
    match left.open(&traffic.connections) {
        Some(0) => None,
        Some(1) => Some(("drains: 1 connection is open".to_owned(), Some(deadline))),
        Some(count) => Some((format!("drains: {count} connections are open"), Some(deadline))),
        None => Some(("drains".to_owned(), Some(deadline))),
    }
}

/// Starts, resumes or restarts a replica that stays.
fn heal(view: &View<'_>, replica: &Replica<'_>, mends: bool, draft: &mut Draft<'_>) {
    if replica.completed {
        return;
    }
    let (object, container) = (replica.id.clone(), replica.container.id.clone());
    let stopped = replica.container.stopped_by_hand;
    let due = stopped.map(|since| since + view.desired.settings.heal_stopped).filter(|due| view.now < *due);
    let due = due.map(|due| ("somebody stopped or paused it; healed after `healStopped`", due));
    let due = due.or_else(|| Some(("it does not run, again; backs off", view.heal_due(&replica.key(), 1)?)));
    match (replica.container.state, due) {
        (State::Exited(_) | State::Paused, _) if stopped.is_some() && !mends => {}
        (State::Exited(_) | State::Paused, Some((reason, due))) => draft.hold(replica.key(), reason, Some(due)),
        // What ends is started in every mode.
        (State::Exited(code), None) => drop(draft.step(Step::Start { object, container }, format!("it ended with code {code}"))),
        (State::Paused, None) if mends => drop(draft.step(Step::Unpause { object, container }, "it is frozen")),
        (State::Created, _) if replica.standing == Standing::Current && view.applies() => {
            draft.step(Step::Create { replica: object }, "it was not started");
        }
        (State::Running, _) if replica.must_restart => {
            let reason = if replica.lost_network { "the network that it shares began anew" } else { "its probe failed" };
            draft.step(Step::Restart { object, container }, reason);
        }
        _ => {}
    }
}

/// Puts right what can be changed on a live container.
fn settle(view: &View<'_>, workload: &Workload, replica: &Replica<'_>, updates: &mut usize, draft: &mut Draft<'_>) {
    let differs = drift::unlike_in_place(replica.container, workload);
    let lost = workload.template.networks.iter().find(|network| !drift::is_connected(replica.container, network));
    let renamed = replica.container.renamed();
    if differs.is_empty() && lost.is_none() && renamed.is_none() || replica.busy {
        return;
    }
    // What Git asks for is done at once; a fight with somebody else's tool is slowed down.
    if let Some(due) = view.heal_due(&replica.key(), 1).filter(|_| !view.is_changing(&workload.id)) {
        draft.hold(replica.key(), "changed by hand again; backs off", Some(due));
        return;
    }
    let (object, container) = (replica.id.clone(), replica.container.id.clone());
    if let Some(name) = renamed {
        draft.step(Step::Rename { object, container }, format!("somebody renamed it: it is `{name}`"));
    } else if let Some(network) = lost {
        draft.step(Step::Connect { object, container, network: network.clone() }, format!("it was taken off `{network}`"));
    } else if replica.serving && *updates == 0 {
        draft.hold(replica.key(), "is updated when enough others serve", None);
    } else {
        *updates -= usize::from(replica.serving);
        let paths: Vec<&str> = differs.iter().map(|field| path::short(&field.path)).collect();
        draft.step(Step::Update { object, container }, format!("not as wanted: {}", paths.join(", ")));
    }
}
