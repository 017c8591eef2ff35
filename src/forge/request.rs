//! Answering the pull requests of one application: one comment each, edited from then on, and a status.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc::Receiver, watch};
use tokio::time::{Instant, sleep_until};

use crate::agent::Snapshot;
use crate::git;

use super::answer::{Answer, Answerer, nothing_left};
use super::client::{Client, Pull};
use super::patience::{Patience, Trouble};
use super::say::{context, describe, marker};
use super::{Error, WAITING};

/// With hooks, open requests are looked through all the same, because a call may be lost.
const WITH_HOOKS: Duration = Duration::from_secs(900);
/// Far enough to be never.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Answers the pull requests of one application.
pub(super) struct Requests {
    pub(super) answerer: Answerer,
    pub(super) client: Client,
    pub(super) snapshot: watch::Receiver<Arc<Snapshot>>,
    /// The forge calls when something happens, so it is asked less often.
    pub(super) hooks: bool,
    /// Requests that wait for an answer.
    pub(super) waiting: BTreeSet<u64>,
    /// What was answered.
    pub(super) answered: BTreeMap<u64, Answered>,
}

/// What was answered to a request.
#[derive(Debug, Clone)]
pub(super) struct Answered {
    /// Its head.
    head: String,
    /// The comment's id, if there is one.
    comment: Option<u64>,
}

impl Requests {
    /// Answers until the agent ends.
    pub(super) async fn run(mut self, mut called: Receiver<u64>) {
        let mut patience = Patience::new(self.answerer.application.name.clone(), "answering pull requests");
        let mut poll = Instant::now();
        loop {
            if poll <= Instant::now() {
                let found = self.look().await;
                poll = Instant::now() + patience.after(found).unwrap_or_else(|| self.interval());
            }
            let failed = self.answer_all(&mut patience).await;
            let again = failed.map_or(poll, |pause| Instant::now() + pause);
            // A call that comes while the forge is away only makes the list longer.
            loop {
                tokio::select! {
                    number = called.recv() => match number {
                        Some(number) if self.waiting.len() < WAITING => drop(self.waiting.insert(number)),
                        Some(_) => {}
                        None => return,
                    },
                    () = sleep_until(again) => break,
                }
                if failed.is_none() {
                    break;
                }
            }
        }
    }

    fn interval(&self) -> Duration {
        match self.answerer.application.interval {
            Duration::ZERO => NEVER,
            interval if self.hooks => git::jitter(interval.max(WITH_HOOKS)),
            interval => git::jitter(interval),
        }
    }

    /// Looks for open requests that were not answered yet.
    async fn look(&mut self) -> Result<(), Trouble> {
        if self.answerer.application.interval.is_zero() {
            return Ok(());
        }
        let open = self.client.open_pulls().await?;
        let still: BTreeSet<u64> = open.iter().map(|pull| pull.number).collect();
        self.answered.retain(|number, _| still.contains(number));
        for pull in open.iter().filter(|pull| self.answerer.concerns(pull)) {
            if self.answered.get(&pull.number).is_none_or(|answered| answered.head != pull.head) {
                self.waiting.insert(pull.number);
            }
        }
        Ok(())
    }

    /// Answers all that wait; returns how long to wait with the rest, if a forge or repository is away. A request that
    /// cannot be answered keeps no other from its answer, and is found again at the next look.
    async fn answer_all(&mut self, patience: &mut Patience) -> Option<Duration> {
        for number in self.waiting.clone() {
            match self.answer(number).await {
                Err(trouble) if trouble.concerns_all() => return patience.after(Err(trouble)),
                Err(trouble) => patience.complain(&trouble),
                Ok(()) => drop(patience.after(Ok(()))),
            }
            self.waiting.remove(&number);
        }
        None
    }

    async fn answer(&mut self, number: u64) -> Result<(), Trouble> {
        let pull = self.client.pull(number).await?;
        if !pull.open || !self.answerer.concerns(&pull) {
            self.answered.remove(&number);
            return Ok(());
        }
        let name = self.answerer.application.name.clone();
        let (host, now) = {
            let snapshot = self.snapshot.borrow();
            (snapshot.host.clone(), snapshot.applications.get(&name).and_then(|standing| standing.plan.clone()))
        };
        let answer = self.answerer.answer(&pull, now.as_ref(), &self.client).await?;
        let comment = self.comment(&pull, &answer).await?;
        self.client.status(&answer.commit, &context(&name), answer.state, &describe(&host, &answer.verdict)).await?;
        tracing::info!(application = %name, request = number, verdict = answer.verdict, "a pull request was answered");
        self.answered.insert(number, Answered { head: answer.commit, comment });
        Ok(())
    }

    /// Posts or edits the comment; returns its id.
    async fn comment(&mut self, pull: &Pull, answer: &Answer) -> Result<Option<u64>, Error> {
        let application = &self.answerer.application;
        let marker = marker(&self.answerer.installation.key, &application.name, self.client.repository(), pull.number);
        let known = match self.answered.get(&pull.number).and_then(|answered| answered.comment) {
            Some(id) => Some((id, None)),
            None => self.client.comment_with(pull.number, &marker).await?.map(|comment| (comment.id, Some(comment.body))),
        };
        let text = match (&answer.comment, &known) {
            (Some(text), _) => text.clone(),
            (None, Some(_)) => nothing_left(application),
            // What does not touch an application needs no word about it.
            (None, None) => return Ok(None),
        };
        let body = format!("{marker}\n{text}");
        let id = match known {
            Some((id, Some(before))) if before.replace('\r', "").trim_end() == body.trim_end() => id,
            Some((id, _)) if self.client.edit(id, &body).await? => id,
            // Somebody removed it.
            _ => self.client.comment(pull.number, &body).await?.id,
        };
        // If the status fails, the next try must not look for it again, nor post a second one.
        self.answered.insert(pull.number, Answered { head: String::new(), comment: Some(id) });
        Ok(Some(id))
    }
}
