//! The status of each commit that is deployed: pending while it rolls, success only when it is healthy.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::agent::Snapshot;
use crate::name::Name;

use super::client::{Client, State};
use super::patience::{Patience, Trouble};
use super::say::{Said, context, describe, rollout};

/// So many commits are remembered, to say what became of those that were rolled over.
const MOST_COMMITS: usize = 16;

/// Tells a forge what becomes of the commits of one application.
pub(super) struct Rollouts {
    pub(super) application: Name,
    pub(super) client: Client,
    pub(super) snapshot: watch::Receiver<Arc<Snapshot>>,
    /// What the forge was told of each commit, oldest first.
    pub(super) told: Vec<Said>,
}

impl Rollouts {
    /// Tells until the agent ends. What the forge misses while it is away is not made up for: it is told
    /// how things stand when it answers again.
    pub(super) async fn run(mut self) {
        let mut patience = Patience::new(self.application.clone(), "the status of what is deployed");
        loop {
            let result = self.tell().await;
            match patience.after(result) {
                Some(pause) => sleep(pause).await,
                None if self.snapshot.changed().await.is_err() => return,
                None => {}
            }
        }
    }

    async fn tell(&mut self) -> Result<(), Trouble> {
        let (host, said) = {
            let snapshot = self.snapshot.borrow_and_update();
            let status = snapshot.applications.get(&self.application).map(|standing| &standing.status);
            (snapshot.host.clone(), status.and_then(|status| rollout(&snapshot.host, status)))
        };
        // The revision of a plain folder is no commit.
        let Some(said) = said.filter(|said| is_commit(&said.commit)) else { return Ok(()) };
        let before: Vec<Said> =
            self.told.iter().filter(|told| told.commit != said.commit && told.state == State::Pending).cloned().collect();
        if self.is_news(&said) {
            self.set(said.clone()).await?;
        }
        if said.state != State::Pending {
            for told in before {
                let description = describe(&host, &format!("rolled over by {}: {}", &said.commit[..7], said.description));
                self.set(Said { commit: told.commit, state: said.state, description }).await?;
            }
        }
        Ok(())
    }

    fn is_news(&self, said: &Said) -> bool {
        is_news(self.told.iter().find(|told| told.commit == said.commit), said)
    }

    async fn set(&mut self, said: Said) -> Result<(), Trouble> {
        self.client.status(&said.commit, &context(&self.application), said.state, &said.description).await?;
        tracing::debug!(application = %self.application, commit = said.commit, state = said.state.as_str(), "the forge was told");
        self.told.retain(|told| told.commit != said.commit);
        self.told.push(said);
        let surplus = self.told.len().saturating_sub(MOST_COMMITS);
        self.told.drain(..surplus);
        Ok(())
    }
}

/// Tells whether the forge should hear something of a commit of which it heard `told`. What was good once stays
/// good: what happens later is no matter of the commit.
fn is_news(told: Option<&Said>, said: &Said) -> bool {
    let Some(told) = told else { return true };
    match (told.state, said.state) {
        (State::Success, _) | (State::Pending, State::Pending) => false,
        _ => told != said,
    }
}

fn is_commit(revision: &str) -> bool {
    revision.len() >= 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_good_once_stays_good() {
        let say = |state: State, description: &str| Said { commit: "c".to_owned(), state, description: description.to_owned() };
        let (pending, success, failure) = (say(State::Pending, "1"), say(State::Success, "2"), say(State::Failure, "3"));
        for (told, said, news) in [
            (None, &pending, true),
            (Some(&pending), &say(State::Pending, "another reason to wait"), false),
            (Some(&pending), &success, true),
            (Some(&pending), &failure, true),
            (Some(&success), &failure, false),
            (Some(&success), &pending, false),
            (Some(&failure), &failure, false),
            (Some(&failure), &say(State::Failure, "another reason"), true),
            // Somebody tried again.
            (Some(&failure), &pending, true),
            (Some(&failure), &success, true),
        ] {
            assert_eq!(is_news(told, said), news, "{told:?} then {said:?}");
        }
    }
}
