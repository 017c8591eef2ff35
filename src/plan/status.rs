//! How workloads stand, in Argo CD's words.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::desired::Workload;
use crate::host::{Class, Step};
use crate::name::ObjectId;
use crate::observed::{Failed, Interruption, RunningImage, State};
use crate::time::{Time, format_duration};

use super::replica::{Replica, Standing};
use super::view::{HandsOff, View};
use super::{base, drift, overridden};

/// Whether the host is what Git asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Sync {
    /// It is.
    Synced,
    /// It is not, or not yet.
    OutOfSync,
    /// Nobody can tell now.
    Unknown,
}

/// Whether what runs does what it should; best first (Argo CD's order of aggregation).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Health {
    /// All replicas serve.
    Healthy,
    /// Somebody paused it.
    Suspended,
    /// It is on its way.
    Progressing,
    /// It is not there.
    Missing,
    /// It does not come to serve.
    Degraded,
    /// Nobody can tell now.
    Unknown,
}

/// Returns the health of several things together: that of the worst.
pub fn aggregate(health: impl IntoIterator<Item = Health>) -> Health {
    health.into_iter().max().unwrap_or(Health::Healthy)
}

/// How one workload stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadStatus {
    /// The workload.
    #[serde(rename = "name")]
    pub object: ObjectId,
    /// Replicas that are wanted.
    pub desired: u32,
    /// Replicas that are ready, of any template.
    pub ready: u32,
    /// Replicas of the wanted template.
    pub updated: u32,
    /// Replicas that serve, of any template.
    pub available: u32,
    /// Its health.
    pub health: Health,
    /// What it waits for, or what is wrong.
    pub message: String,
    /// It is as Git asks, and all its replicas serve.
    pub settled: bool,
    /// How many are wanted was set by hand, and holds until then.
    #[serde(rename = "overriddenUntil", default, skip_serializing_if = "Option::is_none")]
    pub overridden_until: Option<Time>,
    /// The images that its replicas run, of any template.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<RunningImage>,
    /// What its last update interrupted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interrupted: Option<Interruption>,
}

/// So many restarts of a replica that never became ready mean that it will not become ready.
const EXITS: u32 = 5;
/// So many refusals in a row by the host mean that it will not take it.
const REJECTIONS: u32 = 3;

/// Tells whether a workload is as Git asks and all its replicas serve.
pub(super) fn is_settled(view: &View<'_>, workload: &Workload) -> bool {
    let mut current = 0;
    for replica in view.replicas(&workload.id) {
        match replica.standing {
            Standing::Current if replica.serving && drift::unlike_in_place(replica.container, workload).is_empty() => current += 1,
            Standing::Current | Standing::Old => return false,
            Standing::Leaving => {}
        }
    }
    current == workload.replicas as usize && view.pending(&workload.id) == 0
}

/// Returns how a workload stands.
pub(super) fn status(view: &View<'_>, workload: &Workload) -> WorkloadStatus {
    let replicas: Vec<&Replica<'_>> = view.replicas(&workload.id).iter().filter(|replica| replica.standing != Standing::Leaving).collect();
    let count = |predicate: fn(&Replica<'_>) -> bool| replicas.iter().filter(|replica| predicate(replica)).count() as u32;
    let updated = count(|replica| replica.standing == Standing::Current);
    let ready = count(|replica| !replica.unready && (replica.ready_since.is_some() || replica.joined));
    let available = count(|replica| replica.serving);
    let serving = count(|replica| replica.serving && replica.standing == Standing::Current);
    let (health, message) = health(view, workload, &replicas, (updated, serving));
    WorkloadStatus {
        object: workload.id.clone(),
        desired: workload.replicas,
        ready,
        updated,
        available,
        health,
        message,
        settled: is_settled(view, workload),
        overridden_until: overridden::of(view, &workload.id).map(|over| over.until),
        images: images(view, &replicas),
        interrupted: view.observed.record.interrupted.get(&workload.id).cloned(),
    }
}

fn images(view: &View<'_>, replicas: &[&Replica<'_>]) -> Vec<RunningImage> {
    let run: BTreeSet<(&str, &str)> =
        replicas.iter().map(|replica| (replica.container.image.as_str(), replica.container.image_id.as_str())).collect();
    let digest = |image: &str, id: &str| view.observed.live.digest(image, id).unwrap_or(id).to_owned();
    run.into_iter().map(|(image, id)| RunningImage { image: image.to_owned(), digest: digest(image, id) }).collect()
}

/// The order of questions is that of Argo CD's Deployment health check.
fn health(view: &View<'_>, workload: &Workload, replicas: &[&Replica<'_>], (updated, serving): (u32, u32)) -> (Health, String) {
    let old = replicas.len() as u32 - updated;
    if let Some(reason) = failure(view, workload) {
        return (Health::Degraded, reason);
    }
    match view.hands_off(&workload.id) {
        Some(HandsOff::Suspended(since)) => return (Health::Suspended, format!("suspended since {since}")),
        Some(HandsOff::Unread(reason)) => return (Health::Unknown, reason),
        None => {}
    }
    if workload.paused {
        return (Health::Suspended, "the rollout is paused".to_owned());
    }
    let crashing = replicas.iter().find(|replica| replica.container.state == State::Restarting && replica.container.restarts >= EXITS);
    if let Some(replica) = crashing {
        return (Health::Degraded, format!("{} ends again and again ({} restarts)", replica.id, replica.container.restarts));
    }
    let of = format!("of {}", workload.replicas);
    if replicas.is_empty() && workload.replicas > 0 && !view.applies() {
        return (Health::Missing, "not deployed".to_owned());
    }
    if view.is_changing(&workload.id) && !view.applies() {
        let available = replicas.iter().filter(|replica| replica.serving).count();
        let health = if available >= workload.replicas as usize { Health::Healthy } else { Health::Progressing };
        return (health, format!("{available} {of} replicas serve; its change waits for `driftless apply`"));
    }
    if updated < workload.replicas {
        let missing = base::missing(view, workload);
        return (Health::Progressing, missing.unwrap_or_else(|| format!("{updated} {of} replicas are of this revision")));
    }
    if old > 0 {
        let replicas = if old == 1 { "replica still has" } else { "replicas still have" };
        return (Health::Progressing, format!("{old} old {replicas} to leave"));
    }
    if serving < workload.replicas {
        return (Health::Progressing, format!("{serving} {of} replicas serve"));
    }
    (Health::Healthy, format!("{serving} {of} replicas serve"))
}

/// Returns why the rollout of a workload has failed; `None` if it has not (yet).
///
/// Only what a replica does, or what a person must change, fails a rollout. An image that is not there,
/// or a host that is in the way, is waiting.
pub(super) fn failure(view: &View<'_>, workload: &Workload) -> Option<String> {
    if view.hands_off(&workload.id).is_some() {
        return None;
    }
    let current: Vec<&Replica<'_>> = view.standing(&workload.id, Standing::Current).collect();
    let serving = current.iter().filter(|replica| replica.serving).count();
    // A replica of another revision that was refused says nothing about this one.
    let names = view.new_names(workload, workload.replicas);
    let wanted = |replica: &ObjectId| {
        replica.workload() == workload.id
            && (current.iter().any(|known| known.id == replica) || names.iter().any(|name| replica.replica.as_ref() == Some(name)))
    };
    let rejected = view.observed.failures.values().find(|failed| {
        let refused = failed.failure.class == Class::User && failed.count >= REJECTIONS;
        refused && matches!(&failed.step, Step::Create { replica } if wanted(replica))
    });
    if let Some(failed) = rejected.filter(|_| serving < workload.replicas as usize) {
        return Some(failed.failure.message.clone());
    }
    if workload.paused || current.is_empty() || serving == workload.replicas as usize {
        return None;
    }
    // A workload that was settled once and lost a replica is healed, not rolled back.
    let begun = view.observed.record.begun.get(&workload.id)?;
    let stuck = |replica: &&&Replica<'_>| !replica.serving && replica.ready_since.is_none() && replica.container.created >= begun.at;
    if let Some(replica) = current.iter().filter(stuck).find(|replica| replica.container.restarts >= EXITS) {
        let name = replica.id.replica.as_ref().map_or("", |name| name.as_str());
        let code = replica.container.exit_code.map(|code| format!(", last with code {code}")).unwrap_or_default();
        return Some(format!("replica {name} ended {} times without becoming ready{code}", replica.container.restarts));
    }
    let deadline = workload.deadline?;
    let moved = |replica: &&Replica<'_>| replica.ready_since.map_or(replica.container.created, |since| since + workload.min_ready);
    // A creation that lies ahead was before the clock was set back.
    let progress = current.iter().map(moved).max()?.min(view.now).max(begun.at);
    let progress = progress.max(view.observed.since); // Nobody asked its probes before.
    // One that is ready and not served waits for the data path, which is no fault of its own.
    let waiting = current.iter().find(|replica| !replica.serving && replica.ready_since.is_none())?;
    (view.now >= progress + deadline).then(|| {
        let last = view.last_answer(waiting).map(|answer| format!("; last: {answer}")).unwrap_or_default();
        format!("no progress for {} (the progress deadline){last}", format_duration(deadline))
    })
}

/// Returns the rollout that has failed, if one has.
pub(super) fn failed(view: &View<'_>) -> Option<Failed> {
    view.desired.workloads.values().find_map(|workload| {
        let reason = failure(view, workload)?;
        Some(Failed { revision: view.desired.revision.clone(), object: workload.id.clone(), reason, at: view.now })
    })
}
