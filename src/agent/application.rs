//! One application as the agent keeps it: where it comes from, what was last good, what is asked now.
//!
//! It holds values and asks the core; it neither reads the host nor starts a step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::Application;
use crate::desired::{Desired, Installation, Mode};
use crate::finding::Finding;
use crate::git::{Revision, Source};
use crate::host::Class;
use crate::manifest::{Context, build};
use crate::plan::{Health, Held, Plan, Sync, aggregate};
use crate::reconcile::{Reconciler, Target};
use crate::report::word::severities;
use crate::report::{ApplicationStatus, Healed};

/// Something that keeps a revision from being read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trouble {
    pub(super) class: Class,
    /// The error and its causes, outermost first.
    pub(super) messages: Vec<String>,
    pub(super) hint: Option<String>,
}

/// What loading a revision came to.
#[derive(Debug)]
pub(super) enum Loaded {
    /// The ref still names the revision that was looked at last.
    Unchanged,
    /// A revision was read: its findings, and what it asks for unless it is refused.
    Read { revision: Revision, findings: Vec<Finding>, desired: Option<Arc<Desired>> },
    /// It could not be read.
    Failed(Trouble),
}

/// Which revision is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// What the ref names now, unless that is still this revision.
    Head { known: Option<String> },
    /// A revision that was good before.
    Earlier(String),
}

/// A revision that was refused because of errors.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    pub(super) revision: String,
    pub(super) findings: Vec<Finding>,
}

/// One application.
pub(super) struct App {
    pub(super) config: Application,
    pub(super) source: Source,
    /// What Git asks for: the newest revision that was not refused.
    pub(super) head: Option<Arc<Desired>>,
    pub(super) refused: Option<Refused>,
    pub(super) trouble: Option<Trouble>,
    /// An earlier revision that is kept instead of `head`.
    pub(super) earlier: Option<Arc<Desired>>,
    pub(super) reconciler: Reconciler,
    /// Who had joined was taken over from what was published before.
    pub(super) restored: bool,
    pub(super) plan: Option<Plan>,
    /// What was healed lately, oldest first.
    pub(super) healed: Vec<Healed>,
    /// The load that is running; and whether to look again after it.
    pub(super) loading: Option<Wanted>,
    pub(super) look_again: bool,
    /// The record was changed by a person's decision and must be stored.
    pub(super) unsaved: bool,
    /// How many loads of the head have ended: whoever asks for a fresh look waits for the next.
    pub(super) looks: u64,
}

impl App {
    /// Returns the revision of the ref that was last looked at, good or refused.
    pub(super) fn last_seen(&self) -> Option<&str> {
        let refused = self.refused.as_ref().map(|refused| refused.revision.as_str());
        refused.or_else(|| self.head.as_ref().map(|head| head.revision.as_str()))
    }

    /// Tells whether anything can be said of it yet.
    pub(super) fn is_known(&self) -> bool {
        self.plan.is_some() || self.refused.is_some() || self.trouble.is_some()
    }

    /// Returns what is kept now, or the earlier revision that has to be loaded first.
    pub(super) fn kept(&self) -> Result<Option<Arc<Desired>>, String> {
        let record = &self.reconciler.observed().record;
        let instead = match &self.head {
            None => record.healthy.last().cloned(),
            Some(head) => match self.reconciler.target(head) {
                Target::RolledBack { revision, .. } => Some(revision),
                Target::Head if head.settings.mode == Mode::Manual && record.approved.as_ref() != Some(&head.revision) => {
                    record.healthy.last().filter(|revision| **revision != head.revision).cloned()
                }
                Target::Head => None,
            },
        };
        match instead {
            None => Ok(self.head.clone()),
            Some(revision) => match &self.earlier {
                Some(earlier) if earlier.revision == revision => Ok(Some(earlier.clone())),
                _ => Err(revision),
            },
        }
    }

    /// Returns why the head was rolled back, if it was.
    pub(super) fn rolled_back(&self) -> Option<String> {
        match self.reconciler.target(self.head.as_deref()?) {
            Target::RolledBack { reason, .. } => Some(reason),
            Target::Head => None,
        }
    }

    /// Takes in a loaded revision; returns whether what Git asks for has changed.
    pub(super) fn take(&mut self, wanted: &Wanted, loaded: Loaded) -> bool {
        let is_head = matches!(wanted, Wanted::Head { .. });
        if is_head {
            self.looks += 1;
        }
        match loaded {
            Loaded::Unchanged => {
                self.trouble = None;
                false
            }
            Loaded::Failed(trouble) => {
                self.trouble = Some(trouble);
                false
            }
            Loaded::Read { desired: Some(desired), .. } if !is_head => {
                self.earlier = Some(desired);
                false
            }
            Loaded::Read { revision, findings, desired: None } => {
                self.trouble = None;
                self.refused = Some(Refused { revision: revision.id, findings });
                false
            }
            Loaded::Read { desired: Some(desired), .. } => {
                self.trouble = None;
                self.refused = None;
                self.head = Some(desired);
                self.reconciler.retry();
                true
            }
        }
    }

    /// Returns the revisions that must not be lost.
    pub(super) fn revisions(&self) -> BTreeSet<String> {
        let healthy = self.reconciler.observed().record.healthy.iter().cloned();
        healthy.chain(self.head.as_ref().map(|head| head.revision.clone())).collect()
    }

    /// Returns how the application stands; `pulling` says how far pulls are, by image.
    pub(super) fn status(&self, pulling: &BTreeMap<String, String>) -> ApplicationStatus {
        let rolled_back = self.rolled_back();
        let plan = self.plan.as_ref();
        let workloads = plan.map(|plan| plan.workloads.clone()).unwrap_or_default();
        let health = match plan {
            Some(_) => aggregate(workloads.iter().map(|workload| workload.health)),
            None => Health::Unknown,
        };
        let findings = match (&self.refused, &self.head) {
            (Some(refused), _) => refused.findings.clone(),
            (None, Some(head)) => head.findings.clone(),
            (None, None) => Vec::new(),
        };
        ApplicationStatus {
            name: self.config.name.clone(),
            revision: plan.map(|plan| plan.revision.clone()).unwrap_or_default(),
            head: self.last_seen().unwrap_or_default().to_owned(),
            sync: self.sync(rolled_back.is_some()),
            health,
            message: self.message(rolled_back.as_deref(), health),
            rolled_back: rolled_back.is_some() && self.refused.is_none(),
            refused: self.refused.is_some(),
            plan: plan.map(|plan| plan.id.clone()).unwrap_or_default(),
            held: self.held(pulling),
            drift: plan.map_or(0, |plan| plan.drift.len()),
            workloads,
            findings,
        }
    }

    fn held(&self, pulling: &BTreeMap<String, String>) -> Vec<Held> {
        let mine = pulling.iter().map(|(image, far)| (format!("Image/{image}"), far));
        let mine = mine.filter(|(key, _)| self.reconciler.observed().in_flight.contains_key(key));
        let pulls = mine.map(|(object, far)| Held { object, reason: far.clone(), until: None });
        pulls.chain(self.plan.iter().flat_map(|plan| plan.held.iter().cloned())).collect()
    }

    fn sync(&self, rolled_back: bool) -> Sync {
        let waits = self.head.as_ref().zip(self.plan.as_ref()).is_some_and(|(head, plan)| head.revision != plan.revision);
        match &self.plan {
            None => Sync::Unknown,
            Some(_) if rolled_back || waits || self.refused.is_some() => Sync::OutOfSync,
            Some(plan) => plan.sync(),
        }
    }

    fn message(&self, rolled_back: Option<&str>, health: Health) -> String {
        if let Some(refused) = &self.refused {
            return format!("refused: {} in the manifests", severities(&refused.findings));
        }
        if let Some(reason) = rolled_back {
            return format!("rolled back: {reason}");
        }
        if let Some(trouble) = &self.trouble {
            return trouble.messages.join(": ");
        }
        let Some(plan) = &self.plan else { return "not looked at yet".to_owned() };
        if let Some(workload) = plan.workloads.iter().find(|workload| workload.health == health && health != Health::Healthy) {
            return format!("{}: {}", workload.object.name, workload.message);
        }
        match plan.held.first() {
            Some(held) => format!("{}: {}", held.object, held.reason),
            None => String::new(),
        }
    }
}

/// Loads a revision: fetches, reads and checks it.
pub(super) async fn load(config: Application, source: Source, installation: Installation, wanted: Wanted) -> Loaded {
    let revision = match &wanted {
        Wanted::Head { known } => match source.fetch(&config.reference).await {
            Ok(revision) if Some(&revision.id) == known.as_ref() => return Loaded::Unchanged,
            Ok(revision) => revision,
            Err(error) => return Loaded::Failed(trouble(&error)),
        },
        Wanted::Earlier(id) => Revision { id: id.clone(), summary: String::new(), committed: None },
    };
    let tree = match source.tree(&revision.id, &config.path).await {
        Ok(tree) => tree,
        Err(error) => return Loaded::Failed(trouble(&error)),
    };
    let context = Context {
        application: config.name.clone(),
        revision: revision.id.clone(),
        installation,
        settings: config.settings.clone(),
        namespace: config.namespace.clone(),
        format: config.format,
    };
    let built = tokio::task::spawn_blocking(move || build(&tree, &context)).await;
    let (desired, findings) = match built {
        Ok(Ok(desired)) => (Some(desired), Vec::new()),
        Ok(Err(findings)) => (None, findings),
        Err(_) => {
            let messages = vec![format!("failed to check revision {}: this is a bug of ours", revision.id)];
            return Loaded::Failed(Trouble { class: Class::Internal, messages, hint: None });
        }
    };
    if desired.is_some()
        && let Err(error) = source.keep(&config.name, &revision.id).await
    {
        tracing::warn!(application = %config.name, error = %chain(&error).join(": "), "the revision cannot be kept for later");
    }
    Loaded::Read { revision, findings, desired: desired.map(Arc::new) }
}

fn trouble(error: &crate::git::Error) -> Trouble {
    Trouble { class: error.class(), messages: chain(error), hint: error.hint() }
}

/// Returns an error and its causes, outermost first.
pub(super) fn chain(error: &dyn std::error::Error) -> Vec<String> {
    let mut messages = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        messages.push(cause.to_string());
        source = cause.source();
    }
    messages
}
