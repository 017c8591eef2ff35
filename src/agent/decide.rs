//! What a person decides: another try, going back, hands off, other numbers. The core takes the decision in; here it is
//! looked up what was meant, written down, and answered.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::desired::Mode;
use crate::host::Class;
use crate::manifest::patch::{self, Refused};
use crate::name::ObjectId;
use crate::reconcile::{BY_HAND, CannotGoBack, CannotScale, Scaled};
use crate::report::word::{finding_line, short};
use crate::time::Time;

use super::answer::{Reply, Waiter};
use super::application::{self, App};
use super::patience::Patience;
use super::protocol::{Answer, Request};
use super::{Agent, external, now};

/// What a decision came to.
struct Decided {
    /// A word for the history, and a sentence; none if nothing has changed.
    event: Option<(&'static str, String)>,
    /// One sentence for whoever decided.
    message: String,
}

impl Agent {
    /// Takes in a decision; returns whether the request was one that can be taken now.
    pub(super) async fn decide(&mut self, request: &Request, reply: &Reply) -> bool {
        let application = match request {
            Request::Retry { application }
            | Request::Rollback { application, .. }
            | Request::Scale { application, .. }
            | Request::Suspend { application, .. }
            | Request::Resume { application, .. } => application,
            _ => return false,
        };
        let index = match self.indexes(Some(application)).as_deref() {
            Ok([index]) => *index,
            Err(answer) => {
                let _ = reply.send(answer.clone());
                return true;
            }
            Ok(_) => return true,
        };
        let Some(app) = self.apps.get_mut(index).filter(|app| app.looks > 0 && app.kept().is_ok()) else { return false };
        if let Request::Scale { workload, replicas, until: None, .. } = request {
            match workload_of(app, workload) {
                Ok(id) => self.patch(index, id, *replicas, reply.clone()),
                Err(answer) => drop(reply.send(answer)),
            }
            return true;
        }
        let decided = match request {
            Request::Scale { workload, replicas, until: Some(until), .. } => scale(app, workload, *replicas, *until),
            Request::Rollback { to, .. } => rollback(app, to.as_deref()),
            Request::Suspend { workload, .. } => suspend(app, workload.as_deref()),
            Request::Resume { workload, .. } => resume(app, workload.as_deref()),
            _ => Ok(retry(app)),
        };
        let decided = match decided {
            Ok(decided) => decided,
            Err(answer) => {
                let _ = reply.send(answer);
                return true;
            }
        };
        let revision = app.head.as_ref().map(|head| head.revision.clone()).unwrap_or_default();
        if let Some((kind, message)) = decided.event {
            tracing::info!(application = %app.config.name, message, "{kind} by hand");
            self.write_down(index, revision, kind, message).await;
        }
        self.stale = true;
        match request {
            Request::Rollback { wait, .. } => {
                let (applications, said) = (vec![(index, 0)], Default::default());
                let patience = Patience::new(Duration::from_secs(*wait));
                self.waiters.push(Waiter {
                    reply: reply.clone(),
                    applications,
                    plan: None,
                    prune_all: false,
                    approved: true,
                    back: true,
                    said,
                    patience,
                });
            }
            _ => drop(reply.send(Answer::Done { exit_code: 0, message: decided.message })),
        }
        true
    }
}

impl Agent {
    /// Answers with the change to what is in Git, for its author to apply.
    fn patch(&self, index: usize, id: ObjectId, replicas: u32, reply: Reply) {
        let Some(app) = self.apps.get(index) else { return };
        let name = &app.config.name;
        let Some(head) = app.head.as_ref() else {
            let hint = format!("`driftless status {name}` says why");
            return drop(reply.send(refusal(format!("nothing is known of what Git asks for in `{name}`"), hint)));
        };
        let (source, folder, revision) = (app.source.clone(), app.config.path.clone(), head.revision.clone());
        let mut config = app.config.clone();
        let compose = &mut config.settings.compose;
        compose.external = external::read(&compose.external);
        let context = application::context(&config, revision.clone(), self.options.installation.clone());
        tokio::spawn(async move {
            let tree = match source.tree(&revision, &folder).await {
                Ok(tree) => tree,
                Err(error) => {
                    let (class, messages, hint) = (error.class(), application::chain(&error), error.hint());
                    return drop(reply.send(Answer::Error { class, messages, hint }));
                }
            };
            let answer = match patch::replicas(&tree, &context, &id, replicas) {
                Ok(patch) => Answer::Patch { file: patch.file_in(&folder), patch: patch.unified(&folder) },
                Err(refused) => {
                    let hint = match &refused {
                        Refused::Findings(findings) => findings.iter().map(finding_line).collect::<Vec<String>>().join("\n"),
                        Refused::AsItIs(_) => "nothing has to be changed".to_owned(),
                        _ => "edit the manifest by hand; `driftless check` says whether it is right".to_owned(),
                    };
                    refusal(format!("{id} cannot be given {replicas} replicas: {refused}"), hint)
                }
            };
            let last = matches!(answer, Answer::Error { .. });
            let _ = reply.send(answer);
            if !last {
                let _ = reply.send(Answer::Done { exit_code: 0, message: String::new() });
            }
        });
    }
}

fn scale(app: &mut App, workload: &str, replicas: u32, until: Time) -> Result<Decided, Answer> {
    let id = workload_of(app, workload)?;
    let name = app.config.name.clone();
    if app.config.settings.mode == Mode::Observe {
        let hint = "set `mode: auto` or `mode: manual` in its Application";
        return Err(refusal(format!("application `{name}` is only observed: nothing is changed"), hint.to_owned()));
    }
    let Some(kept) = app.kept().ok().flatten() else {
        return Err(refusal(format!("nothing is known yet of what `{name}` runs"), format!("`driftless status {name}` says why")));
    };
    let scaled = app.reconciler.scale(&id, &kept, replicas, until, now()).map_err(|error| {
        let hint = match &error {
            CannotScale::NotThere => format!("`driftless status {name}` shows what runs"),
            CannotScale::One => "an update of it stops the old replica first, for the same reason".to_owned(),
            CannotScale::Past(_) => "write how long, as in `--until 2h`, or a time that lies ahead".to_owned(),
        };
        refusal(format!("{id} cannot be given {replicas} replicas: {error}"), hint)
    })?;
    Ok(match scaled {
        Scaled::Until(until) => {
            let message = format!("{id} has {replicas} replicas until {until}");
            Decided { message: format!("{message}, or until a commit changes their number"), event: Some(("scaled", message)) }
        }
        Scaled::AsGit => {
            let message = format!("{id} has as many replicas as Git says: {replicas}");
            Decided { message: message.clone(), event: Some(("scaled", message)) }
        }
    })
}

fn retry(app: &mut App) -> Decided {
    let name = app.config.name.clone();
    match app.retry() {
        true => Decided { event: Some(("retry", String::new())), message: format!("{name}: the last revision is tried again") },
        false => Decided { event: None, message: format!("{name}: no rollout has failed: there is nothing to try again") },
    }
}

fn rollback(app: &mut App, to: Option<&str>) -> Result<Decided, Answer> {
    let name = app.config.name.clone();
    if app.config.settings.mode == Mode::Observe {
        let hint = "set `mode: auto` or `mode: manual` in its Application";
        return Err(refusal(format!("application `{name}` is only observed: nothing is changed"), hint.to_owned()));
    }
    if app.reconciler.suspended_at().is_some() {
        return Err(refusal(format!("application `{name}` is suspended"), format!("`driftless resume {name}` ends that")));
    }
    let Some(head) = app.head.clone() else {
        let hint = format!("`driftless status {name}` says why");
        return Err(refusal(format!("nothing is known of what Git asks for in `{name}`"), hint));
    };
    let revision = app.reconciler.go_back(&head, to).map_err(|error| {
        let hint = match &error {
            CannotGoBack::NoOther => {
                format!("`driftless history {name}` shows what happened; a commit that reverts the last one always works")
            }
            CannotGoBack::Unknown { known, .. } if known.is_empty() => "no other revision was healthy yet".to_owned(),
            CannotGoBack::Unknown { known, .. } => format!("known are, newest first: {}", list(known)),
            CannotGoBack::Ambiguous { known, .. } => format!("write more of one of them: {}", known.join(", ")),
            CannotGoBack::Head(_) => format!("`driftless retry {name}` tries a failed rollout once more"),
        };
        refusal(format!("`{name}` cannot go back: {error}"), hint)
    })?;
    app.lost = None;
    let message = format!("to {}: {BY_HAND}", short(&revision));
    Ok(Decided { message: String::new(), event: Some(("rolled back", message)) })
}

fn suspend(app: &mut App, workload: Option<&str>) -> Result<Decided, Answer> {
    let name = app.config.name.clone();
    let workload = workload.map(|wanted| workload_of(app, wanted)).transpose()?;
    let Some(kept) = app.kept().ok().flatten() else {
        let hint = format!("`driftless status {name}` says why");
        return Err(refusal(format!("nothing is known yet of what `{name}` runs"), hint));
    };
    let what = workload.as_ref().map_or_else(|| name.to_string(), ToString::to_string);
    Ok(match app.reconciler.suspend(workload.as_ref(), &kept.revision, now()) {
        true => Decided {
            message: format!("{what} is suspended: nothing about it is changed or healed until `driftless resume`"),
            event: Some(("suspended", what)),
        },
        false => Decided { message: format!("{what} already is suspended"), event: None },
    })
}

fn resume(app: &mut App, workload: Option<&str>) -> Result<Decided, Answer> {
    let name = app.config.name.clone();
    let workload = workload.map(|wanted| workload_of(app, wanted)).transpose()?;
    let what = workload.as_ref().map_or_else(|| name.to_string(), ToString::to_string);
    let whole = workload.is_some() && app.reconciler.suspended_at().is_some();
    Ok(match app.reconciler.resume(workload.as_ref(), now()) {
        resumed if whole => Decided {
            message: format!("{name} as a whole is suspended: `driftless resume {name}` ends that"),
            event: resumed.then_some(("resumed", what)),
        },
        true => Decided { message: format!("{what} is resumed"), event: Some(("resumed", what)) },
        false => Decided { message: format!("{what} is not suspended"), event: None },
    })
}

/// Returns the workload that is meant by its name or by the end of its object, as in `web`,
/// `Deployment/web`, `shop/Deployment/web`.
fn workload_of(app: &App, wanted: &str) -> Result<ObjectId, Answer> {
    let kept = app.kept().ok().flatten();
    let desired = [app.head.as_ref(), kept.as_ref()];
    let mut known: BTreeSet<ObjectId> = desired.into_iter().flatten().flat_map(|desired| desired.workloads.keys().cloned()).collect();
    known.extend(app.reconciler.observed().record.suspended_workloads.keys().cloned());
    let meant = |id: &&ObjectId| {
        let text = id.to_string();
        text == wanted || text.strip_suffix(wanted).is_some_and(|before| before.ends_with('/'))
    };
    let meant: Vec<&ObjectId> = known.iter().filter(meant).collect();
    match meant.as_slice() {
        [one] => Ok((*one).clone()),
        [] => {
            let known: Vec<String> = known.iter().map(ToString::to_string).collect();
            let hint = if known.is_empty() { "it has none".to_owned() } else { format!("known are: {}", known.join(", ")) };
            Err(refusal(format!("application `{}` has no workload `{wanted}`", app.config.name), hint))
        }
        several => {
            let several: Vec<String> = several.iter().map(ToString::to_string).collect();
            Err(refusal(format!("several workloads are called `{wanted}`"), format!("write one of: {}", several.join(", "))))
        }
    }
}

fn refusal(message: String, hint: String) -> Answer {
    Answer::Error { class: Class::User, messages: vec![message], hint: Some(hint) }
}

fn list(revisions: &[String]) -> String {
    revisions.iter().map(|revision| short(revision)).collect::<Vec<&str>>().join(", ")
}
