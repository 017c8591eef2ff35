//! The answer to one pull request: from its commits to a comment and a status.
//!
//! Nothing of it is run: its files are read and planned, as `review` does. A request from another repository sees
//! none of the application's variables, and its author learns nothing of the host.

use crate::config::Application;
use crate::desired::{External, Installation};
use crate::finding::Place;
use crate::git::{self, Source};
use crate::manifest::{Context, Tree};
use crate::policy::{self, Policy};
use crate::report::{LiveReview, PlanAnswer, ReviewReport, review_markdown};
use crate::review::{Read, application};

use super::client::{Client, Pull, State};

/// What is answered to a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The commit that it is about.
    pub commit: String,
    /// The comment; `None` if the request does not touch the application.
    pub comment: Option<String>,
    /// Whether it would be taken.
    pub state: State,
    /// The verdict in one line.
    pub verdict: String,
}

/// Who answers, and from what.
#[derive(Debug, Clone)]
pub struct Answerer {
    /// The application.
    pub application: Application,
    /// Its repository.
    pub source: Source,
    /// The installation.
    pub installation: Installation,
}

impl Answerer {
    /// Tells whether a request goes to the branch that is deployed.
    pub fn concerns(&self, pull: &Pull) -> bool {
        match self.application.reference.as_str() {
            "" | "HEAD" => pull.is_default,
            reference => reference.strip_prefix("refs/heads/").unwrap_or(reference) == pull.branch,
        }
    }

    /// Plans a pull request. `now` is what the agent says of its host.
    ///
    /// # Errors
    ///
    /// If its commits cannot be had.
    pub async fn answer(&self, pull: &Pull, now: Option<&PlanAnswer>, client: &Client) -> Result<Answer, git::Error> {
        let branch = self.source.fetch(&format!("refs/heads/{}", pull.branch)).await?.id;
        // GitHub, Gitea and Forgejo all keep the head of a request here, of a fork, too.
        let head = self.source.fetch(&format!("refs/pull/{}/head", pull.number)).await?.id;
        let base = self.source.common(&branch, &head).await?;
        let (before, after) = (self.tree(&base).await?, self.tree(&head).await?);
        if before == after {
            let verdict = "not touched by this request".to_owned();
            return Ok(Answer { commit: head, comment: None, state: State::Success, verdict });
        }
        let (one, link) = (self.clone(), client.link(&head));
        let live = now.filter(|_| !pull.fork).map(standing);
        let (base_commit, head_commit, fork) = (base.clone(), head.clone(), pull.fork);
        let planned = tokio::task::spawn_blocking(move || {
            let policy = one.application.policy.clone();
            // What is there was taken, or will be refused without this request.
            let (taken, asked) = (Policy { taken: true, ..policy.clone() }, Policy { fork, ..policy });
            let base = before.map(|tree| one.read(&base_commit, tree, fork, &taken));
            let head = after.map(|tree| one.read(&head_commit, tree, fork, &asked));
            let mut review = application(&one.application.name, &one.application.path, base, head, true);
            review.live = live;
            if fork {
                // Where files of the host are is none of a stranger's business.
                let of_host = review.findings.iter_mut().filter(|finding| finding.place.file.starts_with('/'));
                of_host.for_each(|finding| finding.place = Place::default());
                review.caveats.insert(0, "This comes from another repository: it is planned without variables and secrets".to_owned());
            }
            ReviewReport { base: base_commit, head: head_commit, applications: vec![review], untouched: 0, link: Some(link) }
        });
        let report = planned.await.map_err(|_| git::Error::Interrupted { repository: self.source.location().clone() })?;
        let state = if report.is_refused() { State::Failure } else { State::Success };
        Ok(Answer { commit: head, comment: Some(review_markdown(&report)), state, verdict: report.verdict() })
    }

    async fn tree(&self, commit: &str) -> Result<Option<Tree>, git::Error> {
        match self.source.tree(commit, &self.application.path).await {
            Ok(tree) => Ok(Some(tree)),
            Err(git::Error::NoFolder { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns what the files at a commit ask for. Both sides are read alike: a request from a fork must not
    /// show as a change what only it may not see.
    fn read(&self, commit: &str, tree: Tree, fork: bool, policy: &Policy) -> Read {
        let Application { name, settings, namespace, format, .. } = &self.application;
        let mut settings = settings.clone();
        // No request needs the secrets of the host to be looked at.
        settings.compose.external = External::Unknown;
        if fork {
            settings.compose.variables.clear();
        }
        let context = Context {
            application: name.clone(),
            revision: commit.to_owned(),
            installation: self.installation.clone(),
            settings,
            namespace: namespace.clone(),
            format: *format,
        };
        policy::build(&tree, &context, policy)
    }
}

fn standing(answer: &PlanAnswer) -> LiveReview {
    let PlanAnswer { host, plan, rolled_back, .. } = answer;
    LiveReview {
        host: host.clone(),
        revision: plan.revision.clone(),
        drift: plan.drift.clone(),
        pending: plan.changes.len(),
        rolled_back: rolled_back.clone(),
    }
}

/// Returns a comment for a request that once touched the application and no longer does.
pub fn nothing_left(application: &Application) -> String {
    format!("**Nothing changes**: this request no longer touches application `{}`.\n", application.name)
}
