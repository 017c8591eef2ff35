//! Answers to requests of the command line: values of the last round, and `apply`, which waits.

use std::collections::BTreeMap;
use std::time::Instant;

use tokio::sync::mpsc::UnboundedSender;

use crate::desired::{Desired, Mode};
use crate::finding::Severity;
use crate::host::Class;
use crate::observed::{Container, Observed, Traffic};
use crate::plan::{Claims, Health, Plan, Sync, foreign};
use crate::report::Healed;
use crate::report::word::{finding_line, short};
use crate::sim::{Host, Run, Scene, rounds};
use crate::time::Time;

use super::application::App;
use super::now;
use super::patience::{Patience, waits_for};
use super::protocol::{Answer, PlanAnswer, PlanRound, Progress};

/// Where answers to one request go.
pub(super) type Reply = UnboundedSender<Answer>;

/// Somebody who waits until applications have converged.
pub(super) struct Waiter {
    pub(super) reply: Reply,
    /// Which application, and by which fetch its head must have been seen to be fresh.
    pub(super) applications: Vec<(usize, u64)>,
    /// Only if the plan still has this id.
    pub(super) plan: Option<String>,
    pub(super) prune_all: bool,
    /// The heads were approved.
    pub(super) approved: bool,
    /// It waits for a revision that somebody asked to go back to, not for the head.
    pub(super) back: bool,
    /// What was last said of each workload.
    pub(super) said: BTreeMap<String, String>,
    /// How long it waits for others.
    pub(super) patience: Patience,
}

/// So many refusals in a row of the same step are the engine's last word.
const REFUSALS: u32 = 3;

/// How one application ended for somebody who waits.
enum End {
    Waits,
    Good(String),
    Bad(String),
}

impl Waiter {
    /// Tells whether a plan must still be the one that was looked at.
    pub(super) fn compares(&self) -> bool {
        self.plan.is_some() && !self.approved
    }

    /// Approves the heads once all are fresh; returns whether the waiter goes on waiting. `plans` are those that
    /// lead to the heads.
    pub(super) fn advance(&mut self, apps: &mut [App], plans: &BTreeMap<usize, Plan>, pulling: &BTreeMap<String, String>) -> bool {
        let fresh =
            self.applications.iter().all(|(index, fetch)| apps.get(*index).is_some_and(|app| app.fetched >= *fetch && app.is_known()));
        if !fresh {
            return true;
        }
        if !self.approved {
            self.approved = true;
            return match self.approve(apps, plans) {
                Ok(()) => true,
                Err(answer) => {
                    let _ = self.reply.send(answer);
                    false
                }
            };
        }
        self.tell_pulls(pulling);
        self.tell_workloads(apps);
        let ends: Vec<End> =
            self.applications.iter().filter_map(|(index, _)| apps.get(*index)).map(if self.back { back } else { end }).collect();
        let ends = self.lose_patience(apps, ends);
        if ends.iter().any(|end| matches!(end, End::Waits)) {
            return true;
        }
        let bad = ends.iter().any(|end| matches!(end, End::Bad(_)));
        let messages: Vec<&str> =
            ends.iter().filter_map(|end| if let End::Good(text) | End::Bad(text) = end { Some(text.as_str()) } else { None }).collect();
        let _ = self.reply.send(Answer::Done { exit_code: u8::from(bad), message: messages.join("\n") });
        false
    }

    /// Gives up on applications that have waited for others for too long.
    fn lose_patience(&mut self, apps: &[App], ends: Vec<End>) -> Vec<End> {
        let mine = self.applications.iter().filter_map(|(index, _)| apps.get(*index));
        let waits: Vec<Option<(&App, String)>> =
            mine.zip(&ends).map(|(app, end)| Some((app, waits_for(app, now())?)).filter(|_| matches!(end, End::Waits))).collect();
        let busy = ends.iter().zip(&waits).any(|(end, waits)| matches!(end, End::Waits) && waits.is_none());
        let over = self.patience.is_over(!busy && waits.iter().any(Option::is_some), Instant::now());
        let given_up = |(end, waits): (End, Option<(&App, String)>)| match waits {
            Some((app, reason)) if over => {
                End::Bad(format!("{}: still waits: {reason}; it goes on as soon as that is over", app.config.name))
            }
            _ => end,
        };
        ends.into_iter().zip(waits).map(given_up).collect()
    }

    fn approve(&self, apps: &mut [App], plans: &BTreeMap<usize, Plan>) -> Result<(), Answer> {
        for (index, _) in &self.applications {
            let Some(app) = apps.get_mut(*index) else { continue };
            let name = app.config.name.clone();
            if app.config.settings.mode == Mode::Observe {
                let message = format!("application `{name}` is only observed: nothing is applied");
                return Err(refusal(message, "set `mode: auto` or `mode: manual` in its Application"));
            }
            let Some(head) = app.head.clone() else { continue };
            let plan = plans.get(index);
            let id = plan.map_or("unknown", |plan| plan.id.as_str());
            if let Some(wanted) = self.plan.as_ref().filter(|wanted| *wanted != id) {
                let mut messages = vec![format!("the plan of `{name}` is {id} by now, not {wanted}: nothing was applied")];
                messages.extend(plan.map(|plan| app.shown.moved(wanted, plan)).unwrap_or_default());
                let hint = Some(format!("look at the plan again with `driftless plan {name}`"));
                return Err(Answer::Error { class: Class::User, messages, hint });
            }
            app.unsaved = true;
            let record = app.reconciler.record_mut();
            record.approved = Some(head.revision.clone());
            if self.prune_all {
                record.prune_all = Some(head.revision.clone());
            }
        }
        Ok(())
    }

    /// Says how far pulls are; whether one ended well is said by its step.
    fn tell_pulls(&mut self, pulling: &BTreeMap<String, String>) {
        let known = self.said.keys().filter_map(|object| object.strip_prefix("Image/")).map(str::to_owned);
        let ended: Vec<String> = known.filter(|image| !pulling.contains_key(image)).collect();
        for image in ended {
            self.said.remove(&format!("Image/{image}"));
        }
        for (image, far) in pulling {
            self.say(format!("Image/{image}"), format!("Progressing: {far}"));
        }
    }

    fn say(&mut self, object: String, message: String) {
        if self.said.insert(object.clone(), message.clone()).as_ref() != Some(&message) {
            let _ = self.reply.send(Answer::Progress(Progress::Workload { object, message }));
        }
    }

    /// Says how workloads stand, when that has changed.
    fn tell_workloads(&mut self, apps: &[App]) {
        let mine = self.applications.iter().filter_map(|(index, _)| apps.get(*index));
        let workloads: Vec<_> = mine.flat_map(|app| app.plan.iter().flat_map(|plan| &plan.workloads)).collect();
        for workload in workloads {
            self.say(workload.object.to_string(), format!("{:?}: {}", workload.health, workload.message));
        }
    }
}

fn refusal(message: String, hint: &str) -> Answer {
    Answer::Error { class: Class::User, messages: vec![message], hint: Some(hint.to_owned()) }
}

fn end(app: &App) -> End {
    let name = &app.config.name;
    if let Some(refused) = &app.refused {
        let errors: Vec<String> = refused.findings.iter().filter(|finding| finding.severity == Severity::Error).map(finding_line).collect();
        return End::Bad(format!("{name}: revision {} was refused:\n{}", short(&refused.revision), errors.join("\n")));
    }
    if let Some(trouble) = &app.trouble {
        return End::Bad(format!("{name}: {}", trouble.messages.join(": ")));
    }
    if let Some(reason) = app.rolled_back() {
        let ended = |plan: &Plan| match &plan.failed {
            // The earlier revision does not come up either.
            Some(_) => app.head.as_ref().is_some_and(|head| head.revision != plan.revision),
            None => plan.changes.is_empty() && plan.health() == Health::Healthy,
        };
        return if app.plan.as_ref().is_some_and(ended) { End::Bad(format!("{name}: rolled back: {reason}")) } else { End::Waits };
    }
    let Some(plan) = &app.plan else { return End::Waits };
    if let Some(failed) = &plan.failed {
        return End::Bad(format!("{name}: {} failed: {}", failed.object, failed.reason));
    }
    let of_head = app.head.as_ref().is_some_and(|head| head.revision == plan.revision);
    if of_head && plan.is_converged() && app.reconciler.observed().in_flight.is_empty() {
        return match (plan.sync(), plan.health()) {
            (Sync::Synced, Health::Healthy) => End::Good(format!("{name} is Synced and Healthy at {}", short(app.told(&plan.revision)))),
            // Its author paused it in Git, and that is how it stands.
            (Sync::Synced, health) => End::Good(format!("{name} is Synced and {health:?} at {}", short(app.told(&plan.revision)))),
            (sync, health) => {
                let differ = match plan.drift.len() {
                    1 => "1 object drifts".to_owned(),
                    count => format!("{count} objects drift"),
                };
                End::Bad(format!(
                    "{name} is {sync:?} and {health:?} at {}: {differ}, see `driftless drift {name}`",
                    short(app.told(&plan.revision))
                ))
            }
        };
    }
    match &app.head {
        Some(head) if app.reconciler.observed().in_flight.is_empty() => {
            needs_a_person(app, head, plan, of_head).map_or(End::Waits, End::Bad)
        }
        _ => End::Waits,
    }
}

/// How an application ended for somebody who asked to go back.
fn back(app: &App) -> End {
    let name = &app.config.name;
    let wanted = app.reconciler.observed().record.returned.as_ref();
    let Some(wanted) = wanted.filter(|_| app.rolled_back().is_some()) else {
        return End::Bad(format!("{name}: Git asks for something else by now, or somebody asked for another try"));
    };
    let Some(plan) = app.plan.as_ref().filter(|plan| plan.revision == wanted.revision) else { return End::Waits };
    if let Some(failed) = &plan.failed {
        return End::Bad(format!("{name}: {} failed at {}: {}", failed.object, short(&plan.revision), failed.reason));
    }
    let idle = plan.steps.is_empty() && app.reconciler.observed().in_flight.is_empty();
    let leaves = app.reconciler.observed().live.containers.iter().any(|container| container.leaving && is_of(app, container));
    match plan.changes.is_empty() && idle && !leaves && plan.health() <= Health::Suspended {
        true => End::Good(format!("{name} is back at {} and {:?}", short(&plan.revision), plan.health())),
        false => End::Waits,
    }
}

fn is_of(app: &App, container: &Container) -> bool {
    container.labels.as_ref().is_some_and(|labels| labels.application.as_ref() == Some(&app.config.name))
}

/// Says what an application waits for that does not come by itself, if it waits for nothing else.
fn needs_a_person(app: &App, head: &Desired, plan: &Plan, of_head: bool) -> Option<String> {
    let name = &app.config.name;
    if !plan.steps.is_empty() {
        return None;
    }
    let observed = app.reconciler.observed();
    if observed.record.suspended.is_some() {
        return Some(format!("{name} is suspended: `driftless resume {name}` ends that"));
    }
    if !of_head {
        return None;
    }
    // The engine says no, and goes on saying no.
    let refused = observed.failures.values().find(|it| matches!(it.failure.class, Class::User | Class::Internal) && it.count >= REFUSALS);
    if let Some(refused) = refused {
        return Some(format!("{name}: {}", refused.failure.message));
    }
    if head.workloads.is_empty() && app.reconciler.observed().record.prune_all.as_ref() != Some(&head.revision) {
        let refused = plan.held.first()?;
        return Some(format!("{name}: {}: {}", refused.object, refused.reason));
    }
    if let Some(foreign) = plan.findings.iter().find(|finding| finding.rule == foreign::RULE) {
        let hint = foreign.hint.as_deref().unwrap_or_default();
        return Some(format!("{name}: {}: {hint}", foreign.message));
    }
    let paused = plan.workloads.iter().find(|workload| workload.health == Health::Suspended && !workload.settled)?;
    let others = plan.workloads.iter().all(|workload| workload.settled || workload.health == Health::Suspended);
    others.then(|| format!("{name} is not Synced: {}: {}", paused.object, paused.message))
}

/// What a plan's answer is made from, taken out of the loop so that a simulation does not hold it up.
pub(super) struct Question {
    pub(super) host: String,
    pub(super) desired: std::sync::Arc<Desired>,
    pub(super) claims: Claims,
    pub(super) observed: Observed,
    pub(super) plan: Plan,
    pub(super) refused: bool,
    pub(super) rolled_back: Option<String>,
    pub(super) healed: Vec<Healed>,
}

impl Question {
    /// Returns the answer; with `rounds` the plan is run to its end on the simulator.
    pub(super) fn answer(self, rounds: bool, now: Time) -> PlanAnswer {
        let rounds = rounds.then(|| simulate(&self.desired, self.claims, self.observed, now));
        PlanAnswer { host: self.host, plan: self.plan, rounds, refused: self.refused, rolled_back: self.rolled_back, healed: self.healed }
    }
}

fn simulate(desired: &Desired, claims: Claims, observed: Observed, now: Time) -> Vec<PlanRound> {
    let host = Host::from_live(observed.live, Scene::default(), now);
    let traffic = Traffic { connections: Default::default(), ..observed.traffic };
    let mut run = Run::resumed(host, desired.clone(), observed.record, traffic);
    run.claims = claims;
    rounds(run)
}
