//! Requests of the command line, as the loop sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::host::Class;
use crate::name::Name;
use crate::plan::Plan;
use crate::report::word::{finding_line, short};
use crate::report::{StatusReport, VERSION};

use super::answer::{Question, Reply, Waiter};
use super::application::chain;
use super::patience::Patience;
use super::protocol::{Answer, Request};
use super::share::Orphan;
use super::view::history;
use super::{Agent, files, now};

impl Agent {
    /// Takes in a request. What needs a fresh look is answered by a later turn.
    pub(super) fn asked(&mut self, request: Request, reply: Reply) {
        let application = match &request {
            Request::Plan { application, .. }
            | Request::Apply { application, .. }
            | Request::Drift { application, .. }
            | Request::Status { application, .. } => application.clone(),
            Request::Retry { application }
            | Request::Rollback { application, .. }
            | Request::Scale { application, .. }
            | Request::Suspend { application, .. }
            | Request::Resume { application, .. } => Some(application.clone()),
            Request::History { application, .. } => application.clone(),
        };
        let indexes = match self.indexes(application.as_deref()) {
            Ok(indexes) => indexes,
            Err(answer) => return drop(reply.send(answer)),
        };
        match request {
            Request::Status { watch: true, .. } => self.watch(&indexes, reply),
            Request::Apply { plan, prune_all, wait, .. } => {
                let applications = indexes.iter().map(|index| (*index, self.fresh())).collect();
                indexes.iter().for_each(|index| self.look(*index));
                let patience = Patience::new(Duration::from_secs(wait));
                let said = Default::default();
                self.waiters.push(Waiter { reply, applications, plan, prune_all, approved: false, back: false, said, patience });
            }
            Request::History { limit, .. } => self.tell_history(&indexes, limit, reply),
            request => {
                // The host is read anew: an answer is about now, not about the last event.
                self.stale = true;
                self.questions.push((request, reply, self.reading.next()));
            }
        }
    }

    /// Answers how applications stand whenever that changes, from what readers are told.
    fn watch(&self, indexes: &[usize], reply: Reply) {
        let names: BTreeSet<Name> = indexes.iter().filter_map(|index| Some(self.apps.get(*index)?.config.name.clone())).collect();
        let mut told = self.snapshot.subscribe();
        tokio::spawn(async move {
            let mut last = None;
            loop {
                let snapshot = told.borrow_and_update().clone();
                let mut report = snapshot.status();
                report.applications.retain(|status| names.contains(&status.name));
                if snapshot.looked && last.as_ref() != Some(&report) {
                    if reply.send(Answer::Status(report.clone())).is_err() {
                        return;
                    }
                    last = Some(report);
                }
                tokio::select! {
                    changed = told.changed() => if changed.is_err() { return },
                    () = reply.closed() => return,
                }
            }
        });
    }

    /// Answers what happened, which needs neither the engine nor the loop.
    fn tell_history(&self, indexes: &[usize], limit: u32, reply: Reply) {
        let names: Vec<Name> = indexes.iter().filter_map(|index| Some(self.apps.get(*index)?.config.name.clone())).collect();
        let (store, host) = (self.store.clone(), self.options.host.clone());
        tokio::spawn(async move {
            for name in names {
                let answer = match history(&store, host.clone(), &name, limit).await {
                    Ok(report) => Answer::History(report),
                    Err(error) => Answer::Error { class: error.class(), messages: chain(&error), hint: error.hint().map(str::to_owned) },
                };
                let _ = reply.send(answer);
            }
            let _ = reply.send(Answer::Done { exit_code: 0, message: String::new() });
        });
    }

    /// Returns the fetch by which an application's head must have been seen to be what Git has now: one that runs
    /// already may have begun too early, the next has not.
    fn fresh(&self) -> u64 {
        self.fetches + 1
    }

    pub(super) fn indexes(&self, application: Option<&str>) -> Result<Vec<usize>, Answer> {
        let Some(wanted) = application else { return Ok((0..self.apps.len()).collect()) };
        match self.apps.iter().position(|app| app.config.name.as_str() == wanted) {
            Some(index) => Ok(vec![index]),
            None => {
                let known: Vec<&str> = self.apps.iter().map(|app| app.config.name.as_str()).collect();
                let messages = vec![format!("there is no application `{wanted}`")];
                Err(Answer::Error { class: Class::User, messages, hint: Some(format!("known are: {}", known.join(", "))) })
            }
        }
    }

    /// Answers what can be answered now.
    pub(super) async fn answer_all(&mut self) {
        // While the host is read, plans may be of the past.
        if !self.reading.runs() {
            let pulling = self.docker.pulling();
            let mut waiters = std::mem::take(&mut self.waiters);
            waiters.retain_mut(|waiter| {
                let plans = if waiter.compares() { self.head_plans(waiter) } else { BTreeMap::new() };
                !waiter.reply.is_closed() && waiter.advance(&mut self.apps, &plans, &pulling)
            });
            waiters.append(&mut self.waiters);
            self.waiters = waiters;
        }
        for (request, reply, snapshot) in std::mem::take(&mut self.questions) {
            let waits = self.away.is_none() && !self.reading.has(snapshot);
            if waits || !self.decide(&request, &reply).await && !self.reply(&request, &reply) {
                self.questions.push((request, reply, snapshot));
            }
        }
    }

    /// Returns the plans that lead to what Git has, as `plan` shows them.
    fn head_plans(&self, waiter: &Waiter) -> BTreeMap<usize, Plan> {
        let plan = |index: usize| Some((index, self.question(index)?.ok()?.plan));
        waiter.applications.iter().filter_map(|(index, _)| plan(*index)).collect()
    }

    /// Answers a question; returns whether it could.
    fn reply(&mut self, request: &Request, reply: &Reply) -> bool {
        if let Some(messages) = &self.away {
            let hint = Some("is the engine running? what is published is served on".to_owned());
            let _ = reply.send(Answer::Error { class: Class::Host, messages: messages.clone(), hint });
            return true;
        }
        let (application, rounds) = match request {
            Request::Plan { application, rounds } => (application, *rounds),
            Request::Drift { application, .. } | Request::Status { application, .. } => (application, false),
            // A decision waits for nothing but the first look.
            _ => return false,
        };
        let indexes = self.indexes(application.as_deref()).unwrap_or_default();
        // Nothing is known of an application whose first look has not ended.
        if indexes.iter().filter_map(|index| self.apps.get(*index)).any(|app| app.looks == 0 || (app.loading.is_some() && !app.is_known()))
        {
            return false;
        }
        if matches!(request, Request::Status { .. }) {
            let pulling = self.docker.pulling();
            let orphans = self.orphans.iter().filter(|_| application.is_none()).map(Orphan::status);
            let applications = indexes.iter().filter_map(|index| self.apps.get(*index)).map(|app| app.status(&pulling));
            let applications = applications.chain(orphans).collect();
            let (host, misconfigured) = (self.options.host.clone(), self.misconfigured.clone());
            let report = StatusReport { version: VERSION, host, misconfigured, applications };
            let _ = reply.send(Answer::Status(report));
            let _ = reply.send(Answer::Done { exit_code: 0, message: String::new() });
            return true;
        }
        let questions: Vec<Result<Question, Answer>> = indexes.iter().filter_map(|index| self.question(*index)).collect();
        for (index, question) in indexes.iter().zip(&questions) {
            if let (Some(app), Ok(question)) = (self.apps.get_mut(*index), question) {
                app.shown.note(&question.plan);
            }
        }
        let reply = reply.clone();
        if matches!(request, Request::Drift { files: true, .. }) {
            tokio::spawn(files::answer(self.docker.clone(), questions, reply));
            return true;
        }
        tokio::task::spawn_blocking(move || {
            for question in questions {
                let answer = match question {
                    Ok(question) => Answer::Plan(Box::new(question.answer(rounds, now()))),
                    Err(answer) => answer,
                };
                let _ = reply.send(answer);
            }
            let _ = reply.send(Answer::Done { exit_code: 0, message: String::new() });
        });
        true
    }

    /// Returns what the answer about one application's plan is made from.
    pub(super) fn question(&self, index: usize) -> Option<Result<Question, Answer>> {
        let app = self.apps.get(index)?;
        let kept = app.kept().ok().flatten();
        let rolled_back = app.rolled_back();
        // In mode manual the plan that is asked for leads to what Git has, not to what is kept.
        let desired = if rolled_back.is_some() { kept } else { app.head.clone().or(kept) };
        let Some(desired) = desired else {
            let messages = match (&app.refused, &app.trouble) {
                (Some(refused), _) => {
                    let lines: Vec<String> = refused.findings.iter().map(finding_line).collect();
                    vec![format!("revision {} of `{}` was refused:\n{}", short(&refused.revision), app.config.name, lines.join("\n"))]
                }
                (None, Some(trouble)) => trouble.messages.clone(),
                (None, None) => vec![format!("application `{}` was not looked at yet", app.config.name)],
            };
            let hint = app.trouble.as_ref().and_then(|trouble| trouble.hint.clone());
            return Some(Err(Answer::Error { class: Class::User, messages, hint }));
        };
        let mut observed = app.reconciler.observed().clone();
        observed.live = Arc::unwrap_or_clone(self.seen()?);
        observed.probing = self.prober.results();
        let claims = self.claims.get(index).cloned().unwrap_or_default();
        let mut plan = match &app.plan {
            Some(plan) if plan.revision == desired.revision => plan.clone(),
            _ => crate::plan::plan(&desired, &claims, &observed, now()),
        };
        // What is asked about is what Git has, and what is wrong with that.
        if let Some(refused) = &app.refused {
            plan.findings.clone_from(&refused.findings);
        }
        plan.revision = app.told(&plan.revision).to_owned();
        let host = self.options.host.clone();
        Some(Ok(Question {
            host,
            desired,
            claims,
            observed,
            plan,
            refused: app.refused.is_some(),
            rolled_back,
            healed: app.healed.clone(),
        }))
    }
}
