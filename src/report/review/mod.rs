//! A review: what a change in Git would do, as a value and its verdict; `markdown`, `json` and `text` are
//! its looks.
//!
//! It is made from two revisions alone, so it says nothing of the host unless somebody who can look at it
//! has added that.

mod json;
mod markdown;
mod page;
mod text;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use crate::finding::{Finding, Severity, refuses};
use crate::name::Name;
use crate::plan::{Change, Drift};
use crate::time::format_duration;

use super::PlanAnswer;
use super::word::{Least, changed_words, count, least_available, severities};

pub use json::review_json;
pub use markdown::{LONGEST, review_markdown};
pub use text::review_text;

/// What a change in Git would do.
#[derive(Debug, Clone, PartialEq)]
pub struct ReviewReport {
    /// The commit that the change is compared with: where it left the branch that it goes to.
    pub base: String,
    /// The last commit of the change.
    pub head: String,
    /// The applications that the change touches, by name.
    pub applications: Vec<ApplicationReview>,
    /// How many applications it does not touch.
    pub untouched: usize,
    /// What a link to a file of the head begins with, if there is a page for it.
    pub link: Option<String>,
}

/// What a change would do to one application.
#[derive(Debug, Clone, PartialEq)]
pub struct ApplicationReview {
    /// Its name.
    pub name: Name,
    /// Its folder in the repository.
    pub folder: String,
    /// The plan from base to head with its rounds on the simulator; `None` if nothing can be planned.
    pub answer: Option<PlanAnswer>,
    /// What was found in the head and not in the base, and every error; files are named from the root of the
    /// repository.
    pub findings: Vec<Finding>,
    /// How many warnings and notes the base has as well.
    pub known: usize,
    /// How many objects do not change.
    pub unchanged: usize,
    /// Workloads that serve nobody for a while.
    pub interruptions: Vec<Interruption>,
    /// What a reader must know to read the rest rightly, as sentences without a final period.
    pub caveats: Vec<String>,
    /// What a running agent says of it.
    pub live: Option<LiveReview>,
}

/// A workload that serves nobody for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Interruption {
    /// The workload.
    pub object: String,
    /// For so many milliseconds on the simulator's clock; `None` if it does not serve again.
    pub millis: Option<u64>,
    /// Why, and what that means for its clients.
    pub reason: String,
}

/// How an application stands on a host.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveReview {
    /// The host's name.
    pub host: String,
    /// The revision that it is kept at.
    pub revision: String,
    /// What differs there already, although Git did not move.
    pub drift: Vec<Drift>,
    /// How many objects still change there on the way to that revision.
    pub pending: usize,
    /// The revision in Git failed there, and why.
    pub rolled_back: Option<String>,
}

impl ReviewReport {
    /// Tells whether an error keeps the change from being taken.
    pub fn is_refused(&self) -> bool {
        self.applications.iter().any(|application| refuses(&application.findings))
    }

    /// Tells whether the change does anything to a host.
    pub fn changes(&self) -> bool {
        self.applications.iter().any(|application| !application.changes().is_empty())
    }

    /// Returns the verdict in one line.
    pub fn verdict(&self) -> String {
        let refused: Vec<&ApplicationReview> = self.applications.iter().filter(|application| refuses(&application.findings)).collect();
        let changes: Vec<&Change> = self.applications.iter().flat_map(ApplicationReview::changes).collect();
        let changing: Vec<&Name> =
            self.applications.iter().filter(|application| !application.changes().is_empty()).map(|application| &application.name).collect();
        let mut parts = Vec::new();
        if !refused.is_empty() {
            parts.push(format!("{} refused", count(refused.len(), "application")));
        }
        match changing.as_slice() {
            [] if refused.is_empty() => parts.push("nothing changes".to_owned()),
            [] => {}
            [one] => parts.push(format!("{one}: {}", changed_words(&changes))),
            several => parts.push(format!("{} applications: {}", several.len(), changed_words(&changes))),
        }
        parts.extend(self.risk());
        let findings: Vec<Finding> = self.applications.iter().flat_map(|application| application.findings.iter().cloned()).collect();
        parts.extend(Some(severities(&findings)).filter(|text| !text.is_empty()));
        let drift: usize = self.applications.iter().filter_map(|application| application.live.as_ref()).map(|live| live.drift.len()).sum();
        if drift > 0 {
            parts.push(format!("{} already", if drift == 1 { "1 object drifts".to_owned() } else { format!("{drift} objects drift") }));
        }
        parts.join("; ")
    }

    /// Returns what the rollout costs at its worst moment.
    fn risk(&self) -> Option<String> {
        let interruptions: Vec<&Interruption> = self.applications.iter().flat_map(|application| &application.interruptions).collect();
        match interruptions.as_slice() {
            [] => {}
            [one] => return Some(format!("interrupts {}{}", one.object, one.duration())),
            [first, rest @ ..] => return Some(format!("interrupts {}{} and {} more", first.object, first.duration(), rest.len())),
        }
        let least: Vec<Least> = self.applications.iter().flat_map(ApplicationReview::least).collect();
        let worst = least.iter().min_by(|a, b| a.by_share(b))?;
        Some(match worst.serving < worst.of {
            true => format!("least available {} of {} ({})", worst.serving, worst.of, worst.object),
            false => "no interruption".to_owned(),
        })
    }
}

impl ApplicationReview {
    /// Returns what changes.
    pub fn changes(&self) -> &[Change] {
        self.answer.as_ref().map_or(&[], |answer| &answer.plan.changes)
    }

    /// Returns the least number of replicas that serve, for each workload that changes.
    pub fn least(&self) -> Vec<Least> {
        let Some(answer) = &self.answer else { return Vec::new() };
        let changing: BTreeSet<String> = answer.plan.changes.iter().map(|change| change.object.to_string()).collect();
        least_available(answer).into_iter().filter(|least| changing.contains(&least.object)).collect()
    }

    /// Returns the verdict on this application in one line.
    pub fn verdict(&self) -> String {
        let changes: Vec<&Change> = self.changes().iter().collect();
        if refuses(&self.findings) {
            let errors = self.findings.iter().filter(|finding| finding.severity == Severity::Error).count();
            return format!("refused: {}", count(errors, "error"));
        }
        match (&self.answer, changes.as_slice()) {
            (None, _) => "left as it is".to_owned(),
            (Some(_), []) => "nothing changes on the host".to_owned(),
            (Some(_), changes) => changed_words(changes),
        }
    }
}

/// Returns `2 findings were there before`; nothing if there were none.
fn known_words(review: &ApplicationReview) -> Option<String> {
    match review.known {
        0 => None,
        1 => Some("1 finding was there before".to_owned()),
        known => Some(format!("{known} findings were there before")),
    }
}

impl Interruption {
    /// Returns ` for 2.5s`, or that it does not end.
    pub fn duration(&self) -> String {
        match self.millis {
            Some(millis) => format!(" for about {}", format_duration(Duration::from_millis(millis))),
            None => " and it does not come back".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
