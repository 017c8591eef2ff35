//! A second pair of eyes: predicates over a plan, written apart from the planner.
//!
//! It shares no code with the rooms beside it and knows no arithmetic of rollouts, only what must
//! never happen. A refusal is a bug of ours: the application is stopped and it is said so.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::{Amount, Desired, Exclusive, Strategy, Workload};
use crate::host::Step;
use crate::name::{Kind, ObjectId};
use crate::observed::{Container, Observed, State};

use super::Plan;

/// Returns what is wrong with a plan; empty if it may be carried out.
pub fn audit(plan: &Plan, desired: &Desired, observed: &Observed) -> Vec<String> {
    let mut refusals = Vec::new();
    touches_only_ours(plan, desired, observed, &mut refusals);
    keeps_hands_off(plan, observed, &mut refusals);
    keeps_the_floor(plan, desired, observed, &mut refusals);
    keeps_the_ceiling(plan, desired, observed, &mut refusals);
    never_doubles_a_writer(plan, desired, observed, &mut refusals);
    stops_only_what_left(plan, observed, &mut refusals);
    one_step_per_object(plan, &mut refusals);
    refusals
}

/// Returns the container that a step changes.
fn container_of(step: &Step) -> Option<&str> {
    match step {
        Step::Start { container, .. }
        | Step::Restart { container, .. }
        | Step::Unpause { container, .. }
        | Step::Update { container, .. }
        | Step::Connect { container, .. }
        | Step::Rename { container, .. }
        | Step::Disconnect { container, .. }
        | Step::Join { container, .. }
        | Step::Withdraw { container, .. }
        | Step::Leave { container, .. }
        | Step::Stop { container, .. }
        | Step::Remove { container, .. } => Some(container),
        Step::Pull { .. }
        | Step::CreateNetwork { .. }
        | Step::CreateVolume { .. }
        | Step::Deliver { .. }
        | Step::CreateFront { .. }
        | Step::Create { .. }
        | Step::RemoveNetwork { .. }
        | Step::RemoveContent { .. }
        | Step::Clear { .. } => None,
    }
}

fn touches_only_ours(plan: &Plan, desired: &Desired, observed: &Observed, refusals: &mut Vec<String>) {
    for planned in &plan.steps {
        if let Step::RemoveContent { volume, .. } = &planned.step {
            let content = observed.live.volumes.iter().find(|known| known.name == *volume).and_then(|known| known.labels.as_ref());
            if !content.is_some_and(|labels| labels.owner == desired.installation.owner && labels.object.kind == Kind::Content) {
                refusals.push(format!("removes volume `{volume}`, which is not delivered content of this installation"));
            }
        }
        if let Step::Clear { debris } = &planned.step {
            let known = observed.live.debris.iter().find(|known| known.name == *debris);
            if !known.is_some_and(|known| known.owner == desired.installation.owner && known.application == desired.application) {
                refusals.push(format!("clears `{debris}`, which is not debris of this application"));
            }
        }
        if let Step::RemoveNetwork { id, .. } = &planned.step {
            removes_unused_network(id, desired, observed, refusals);
        }
        let Some(id) = container_of(&planned.step) else { continue };
        let labels = observed.live.container(id).and_then(|container| container.labels.as_ref());
        let ours = labels.is_some_and(|labels| {
            labels.owner == desired.installation.owner && labels.application.as_ref().is_none_or(|name| *name == desired.application)
        });
        if !ours {
            refusals.push(format!("touches `{}`, which is not of this application", planned.object));
        }
    }
}

/// Nothing is done to what somebody suspended, except that traffic is kept in step.
fn keeps_hands_off(plan: &Plan, observed: &Observed, refusals: &mut Vec<String>) {
    let record = &observed.record;
    for planned in &plan.steps {
        let replica = match &planned.step {
            Step::Join { .. } | Step::Withdraw { .. } => continue,
            Step::Create { replica } | Step::Leave { replica, .. } | Step::Stop { replica, .. } => Some(replica),
            Step::Start { object, .. }
            | Step::Restart { object, .. }
            | Step::Unpause { object, .. }
            | Step::Update { object, .. }
            | Step::Connect { object, .. }
            | Step::Rename { object, .. }
            | Step::Disconnect { object, .. }
            | Step::Remove { object, .. } => Some(object),
            _ => None,
        };
        let workload = replica.is_some_and(|replica| record.suspended_workloads.contains_key(&replica.workload()));
        if workload || record.suspended.is_some() {
            refusals.push(format!("touches {}, which is suspended", planned.object));
        }
    }
}

fn removes_unused_network(id: &str, desired: &Desired, observed: &Observed, refusals: &mut Vec<String>) {
    let Some(network) = observed.live.networks.iter().find(|network| network.id == id) else { return };
    let ours = network.labels.as_ref().is_some_and(|labels| {
        labels.owner == desired.installation.owner
            && labels.application.as_ref() == Some(&desired.application)
            && labels.object.kind == Kind::ComposeNetwork
    });
    if !ours {
        refusals.push(format!("removes network `{}`, which is not of this application", network.name));
    }
    let on = format!("networks[{}]", network.name);
    if let Some(container) = observed.live.containers.iter().find(|container| container.fields.contains_key(&on)) {
        refusals.push(format!("removes network `{}`, which `{}` is on", network.name, container.name));
    }
}

/// Tells whether a replica answers clients, as far as anybody knows.
fn answers(container: &Container, observed: &Observed) -> bool {
    let Some(labels) = &container.labels else { return false };
    let joined = observed.traffic.joined.get(&labels.object);
    let probing = observed.probing.get(&container.id).filter(|probing| probing.started == container.started);
    container.is_running()
        && joined.is_some_and(|joined| joined.container == container.id && Some(joined.started) == container.started)
        && !probing.is_some_and(|probing| probing.unready || probing.must_restart)
}

fn replicas<'a>(observed: &'a Observed, desired: &'a Desired, workload: &'a ObjectId) -> impl Iterator<Item = &'a Container> {
    observed
        .live
        .replicas(&desired.installation.owner, &desired.application)
        .filter(|(_, labels)| labels.object.workload() == *workload)
        .map(|(container, _)| container)
}

/// Returns how many replicas are wanted: Git's number, or what somebody set for a while. Overrides that have
/// ended are not in the record any more.
fn wanted(workload: &Workload, observed: &Observed) -> u32 {
    observed.record.overrides.get(&workload.id).map_or(workload.replicas, |over| over.replicas)
}

/// Returns the most replicas that may be missing and the most that may be too many, read from the
/// manifest's words alone.
fn allowances(workload: &Workload, replicas: u32) -> (u32, u32) {
    let whole = |amount, up: bool| match amount {
        Amount::Count(count) => count,
        Amount::Percent(percent) => {
            let exact = f64::from(percent) * f64::from(replicas) / 100.0;
            (if up { exact.ceil() } else { exact.floor() }) as u32
        }
    };
    match workload.strategy {
        _ if !workload.exclusive.is_empty() => (replicas, 0),
        Strategy::Recreate => (replicas, 0),
        Strategy::Rolling { surge, unavailable } => match (whole(unavailable, false), whole(surge, true)) {
            (0, 0) => (1, 0),
            other => other,
        },
    }
}

fn keeps_the_floor(plan: &Plan, desired: &Desired, observed: &Observed, refusals: &mut Vec<String>) {
    let mut ending: BTreeMap<ObjectId, BTreeSet<&str>> = BTreeMap::new();
    for planned in &plan.steps {
        if let Step::Leave { replica, container } | Step::Stop { replica, container } = &planned.step {
            ending.entry(replica.workload()).or_default().insert(container);
        }
    }
    for (id, ending) in ending {
        let Some(workload) = desired.workloads.get(&id) else { continue };
        let serving: Vec<&Container> =
            replicas(observed, desired, &id).filter(|container| !container.leaving && answers(container, observed)).collect();
        let after = serving.iter().filter(|container| !ending.contains(container.id.as_str())).count();
        let wanted = wanted(workload, observed);
        let floor = wanted.saturating_sub(allowances(workload, wanted).0) as usize;
        // Below the floor already (replicas crashed): then it must not get worse.
        if after < floor.min(serving.len()) {
            refusals.push(format!("leaves {after} serving replicas of {id}, fewer than the {floor} that must serve"));
        }
    }
}

fn keeps_the_ceiling(plan: &Plan, desired: &Desired, observed: &Observed, refusals: &mut Vec<String>) {
    let mut creates: BTreeMap<ObjectId, Vec<&str>> = BTreeMap::new();
    for planned in &plan.steps {
        if let Step::Create { replica } = &planned.step {
            creates.entry(replica.workload()).or_default().push(&planned.object);
        }
    }
    for (id, created) in &creates {
        let Some(workload) = desired.workloads.get(id) else { continue };
        let known: BTreeSet<String> = replicas(observed, desired, id)
            .filter(|container| !container.leaving)
            .filter_map(|container| container.labels.as_ref().map(|labels| labels.object.to_string()))
            .collect();
        let new = created.iter().filter(|object| !known.contains(**object)).count();
        let wanted = wanted(workload, observed);
        let ceiling = (wanted + allowances(workload, wanted).1) as usize;
        if new > 0 && known.len() + new > ceiling {
            refusals.push(format!("makes {} replicas of {id}, more than the {ceiling} that may be", known.len() + new));
        }
    }
}

fn never_doubles_a_writer(plan: &Plan, desired: &Desired, observed: &Observed, refusals: &mut Vec<String>) {
    for planned in &plan.steps {
        let Step::Create { replica } = &planned.step else { continue };
        let Some(workload) = desired.workloads.get(&replica.workload()) else {
            refusals.push(format!("creates {replica}, which nobody asked for"));
            continue;
        };
        for exclusive in &workload.exclusive {
            let holds = |container: &&Container| match exclusive {
                Exclusive::Volume(id) => desired.volumes.get(id).is_some_and(|volume| container.writes.contains(&volume.host_name)),
                Exclusive::HostPort(protocol, port) => {
                    container.published.iter().any(|held| held.protocol == *protocol && held.host_port == *port)
                }
                Exclusive::Mac(mac) => container.fields.iter().any(|(path, field)| path.starts_with("macs[") && field.value == *mac),
            };
            let itself = |container: &&Container| container.labels.as_ref().is_some_and(|labels| labels.object == *replica);
            if let Some(holder) =
                observed.live.containers.iter().find(|container| container.may_run() && holds(container) && !itself(container))
            {
                refusals.push(format!("creates {replica} while `{}` has what only one can have", holder.name));
            }
        }
    }
}

fn stops_only_what_left(plan: &Plan, observed: &Observed, refusals: &mut Vec<String>) {
    for planned in &plan.steps {
        if let Step::Stop { replica, container } = &planned.step {
            let marked = observed.live.container(container).is_some_and(|container| container.leaving);
            let joined = observed.traffic.joined.get(replica).is_some_and(|joined| joined.container == *container);
            if !marked || joined {
                refusals.push(format!("stops {replica}, which has not left"));
            }
        }
        if let Step::Remove { object, container } = &planned.step
            && observed.live.container(container).is_some_and(|it| {
                let is_front = it.labels.as_ref().is_some_and(|labels| labels.is_front() && labels.application.is_some());
                !is_front && (it.is_running() || !(it.leaving || it.state == State::Dead))
            })
        {
            refusals.push(format!("removes {object}, which runs or has not left"));
        }
    }
}

fn one_step_per_object(plan: &Plan, refusals: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for planned in &plan.steps {
        if !seen.insert(&planned.object) {
            refusals.push(format!("has two steps for {}", planned.object));
        }
    }
}
