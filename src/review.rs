//! What a change in Git would do to an application: from two desired states to a review.
//!
//! The base is brought up on the simulator, then the head is planned on it by the very planner and run to its
//! end by the very reconciler that work on a host. Nothing here reads Git, and nothing knows a host.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::desired::{Amount, Desired, Exclusive, Mode, Strategy, Workload};
use crate::finding::{Finding, Severity};
use crate::name::{Name, ObjectId};
use crate::plan::{Change, ChangeAction, Plan};
use crate::report::word::least_available;
use crate::report::{ApplicationReview, Interruption, PlanAnswer, PlanRound};
use crate::sim::{Host, Run, Scene, given, rounds};
use crate::time::{Time, format_duration};

/// The base has so long on the simulator's clock to come up; it may wait `minReadySeconds` for every round.
const LONGEST: Duration = Duration::from_secs(3600);

/// What a change would do to one application.
#[derive(Debug, Clone)]
pub struct Review {
    /// The plan from the base to the head, with its rounds.
    pub answer: PlanAnswer,
    /// How many objects of the head do not change.
    pub unchanged: usize,
    /// Workloads that serve nobody for a while.
    pub interruptions: Vec<Interruption>,
    /// What a reader must know to read the rest rightly.
    pub caveats: Vec<String>,
}

/// What an application's files ask for at a commit, or everything that is wrong in them.
pub type Read = Result<Desired, Vec<Finding>>;

/// Returns the review of one application, from what its folder says at base and head; `None` stands for a folder
/// that is not there. `configured` tells whether the application itself is still there at the head.
pub fn application(name: &Name, folder: &str, base: Option<Read>, head: Option<Read>, configured: bool) -> ApplicationReview {
    let mut reviewed = ApplicationReview {
        name: name.clone(),
        folder: folder.to_owned(),
        answer: None,
        findings: Vec::new(),
        known: 0,
        unchanged: 0,
        interruptions: Vec::new(),
        caveats: Vec::new(),
        live: None,
    };
    let Some(head) = head else {
        reviewed.caveats.push(if configured { FOLDER_GONE } else { APPLICATION_GONE }.to_owned());
        return reviewed;
    };
    let found = match &head {
        Ok(desired) => &desired.findings,
        Err(findings) => findings,
    };
    let before = match &base {
        Some(Ok(desired)) => desired.findings.as_slice(),
        _ => &[],
    };
    let new = new(before, found);
    reviewed.known = found.len() - new.len();
    reviewed.findings = new.into_iter().map(|finding| rooted(folder, finding)).collect();
    let Ok(head) = head else { return reviewed };
    if let Some(Err(_)) = base {
        reviewed.caveats.push(BASE_REFUSED.to_owned());
    }
    let Review { mut answer, unchanged, interruptions, caveats } = review(base.and_then(Result::ok).as_ref(), &head);
    answer.plan.findings.clone_from(&reviewed.findings);
    reviewed.caveats.extend(caveats);
    ApplicationReview { answer: Some(answer), unchanged, interruptions, ..reviewed }
}

const APPLICATION_GONE: &str = "Its Application is removed: what runs is left as it is, and driftless no longer looks after it";
const FOLDER_GONE: &str = "Its folder is gone: the agent keeps the last revision that had it, and removes nothing";
const BASE_REFUSED: &str = "The base has errors and would be refused: this is the plan for a host that has nothing";

/// Returns the findings that were not there before, and every error. Lines move, so they do not tell.
fn new<'a>(before: &[Finding], after: &'a [Finding]) -> Vec<&'a Finding> {
    let mut left: Vec<&Finding> = before.iter().collect();
    let same = |one: &Finding, other: &Finding| {
        (&one.rule, one.severity, &one.message, &one.place.file) == (&other.rule, other.severity, &other.message, &other.place.file)
    };
    let mut known = |finding: &Finding| left.iter().position(|other| same(other, finding)).map(|at| left.swap_remove(at)).is_some();
    after.iter().filter(|finding| finding.severity == Severity::Error || !known(finding)).collect()
}

/// Returns a finding whose file is named from the root of the repository.
fn rooted(folder: &str, finding: &Finding) -> Finding {
    let mut finding = finding.clone();
    let folder = folder.trim_start_matches("./").trim_matches('/');
    // What stands outside of the repository, as policies do, is named by its whole path.
    if !matches!(folder, "" | ".") && !finding.place.file.starts_with('/') {
        finding.place.file = match finding.place.file.as_str() {
            "" => folder.to_owned(),
            file => format!("{folder}/{file}"),
        };
    }
    finding
}

/// Reviews a change from `base` to `head`; without a base the host has nothing.
pub fn review(base: Option<&Desired>, head: &Desired) -> Review {
    let mut caveats: Vec<String> = mode_caveat(head.settings.mode).into_iter().collect();
    let live = given(base.into_iter().chain([head]));
    let host = Host::from_live(live, Scene::default(), Time::default());
    let head = Arc::new(applied(head));
    let run = match base {
        None => Run::new(host, head.clone()),
        Some(base) => {
            let mut run = Run::new(host, applied(base));
            run.converge(LONGEST);
            let plan = run.plan();
            if !plan.is_converged() {
                caveats.push(stuck(&plan));
            }
            run.desired = head.clone();
            run
        }
    };
    let plan = run.plan();
    let unchanged = unchanged(&head, &plan.changes);
    let rounds = if plan.changes.is_empty() { Vec::new() } else { rounds(run) };
    let answer = PlanAnswer { host: String::new(), plan, rounds: Some(rounds), refused: false, rolled_back: None, healed: Vec::new() };
    let interruptions = interruptions(&head, &answer);
    Review { answer, unchanged, interruptions, caveats }
}

/// Returns what is asked for as if it were applied at once: a review is about what happens then.
fn applied(desired: &Desired) -> Desired {
    let mut desired = desired.clone();
    desired.settings.mode = Mode::Auto;
    desired
}

fn mode_caveat(mode: Mode) -> Option<String> {
    match mode {
        Mode::Auto => None,
        Mode::Manual => Some("This application is in mode `manual`: nothing happens until somebody applies it".to_owned()),
        Mode::Observe => Some("This application is only observed: driftless applies nothing of this".to_owned()),
    }
}

fn stuck(plan: &Plan) -> String {
    let why = plan.held.first().map(|held| format!(": {}: {}", held.object, held.reason)).unwrap_or_default();
    format!("The base does not come up by itself on the simulator{why}. What it waits for is shown as if it changed")
}

/// Returns how many objects of the head are not among the changes.
fn unchanged(head: &Desired, changes: &[Change]) -> usize {
    let own_networks = head.networks.values().filter(|network| !network.shared).count();
    let all = head.workloads.len() + head.services.len() + head.volumes.len() + own_networks;
    let counts = |change: &&Change| {
        let id = &change.object;
        let shared = head.networks.get(id).is_some_and(|network| network.shared);
        // A front of one service is that service; the shared one is the installation's.
        let other = shared || head.fronts.contains_key(id) && !head.services.contains_key(id);
        change.action != ChangeAction::Remove && !other
    };
    all.saturating_sub(changes.iter().filter(counts).count())
}

/// Returns the workloads that served, change, and for a while serve nobody.
fn interruptions(head: &Desired, answer: &PlanAnswer) -> Vec<Interruption> {
    let rounds = answer.rounds.as_deref().unwrap_or_default();
    let changing: BTreeSet<String> = answer.plan.changes.iter().map(|change| change.object.to_string()).collect();
    let dark = least_available(answer).into_iter().filter(|least| least.serving == 0 && changing.contains(&least.object));
    dark.map(|least| {
        let workload = head.workloads.iter().find(|(id, _)| id.to_string() == least.object);
        let reason = workload.map_or_else(String::new, |(id, workload)| reason(head, id, workload));
        Interruption { millis: darkness(rounds, &least.object), object: least.object, reason }
    })
    .collect()
}

/// Returns for how long a workload serves nobody, in milliseconds: from the round that first sees none to the
/// one that lets a replica join. A round sees how many served before it.
fn darkness(rounds: &[PlanRound], object: &str) -> Option<u64> {
    let serving = |round: &PlanRound| round.serving.iter().find(|(name, _)| name == object).map_or(0, |(_, count)| *count);
    let join = format!("join {object}/");
    let dark: Vec<&PlanRound> = rounds.iter().skip_while(|round| serving(round) > 0).collect();
    let light = dark.iter().find(|round| serving(round) > 0 || round.steps.iter().any(|step| step.starts_with(&join)))?;
    Some(light.at.saturating_sub(dark.first()?.at))
}

/// Says why a workload stops before its successor starts, and what its clients see of that.
fn reason(head: &Desired, id: &ObjectId, workload: &Workload) -> String {
    let why = match (workload.exclusive.first(), workload.strategy) {
        (Some(Exclusive::HostPort(protocol, port)), _) => {
            format!("it stops first, because only one container can have port {port}/{} of the host", protocol.as_str())
        }
        (Some(Exclusive::Mac(address)), _) => format!("it stops first, because only one container can have the hardware address {address}"),
        (Some(Exclusive::Volume(volume)), _) => format!("it stops first, because only one replica may use volume `{}`", volume.name),
        (None, Strategy::Recreate) => "it stops first, because its strategy is `Recreate`".to_owned(),
        (None, Strategy::Rolling { surge: Amount::Count(0) | Amount::Percent(0), .. }) => {
            "the old replica stops before the new one starts".to_owned()
        }
        (None, Strategy::Rolling { .. }) => "its rollout permits that no replica serves".to_owned(),
    };
    let hold = head.services_of(id).map(|service| service.hold).filter(|hold| !hold.is_zero()).max();
    match hold {
        Some(hold) => format!("{why}; new connections to its service wait for up to {}, open ones end", format_duration(hold)),
        None => format!("{why}; its clients are refused meanwhile"),
    }
}

#[cfg(test)]
mod tests;
