//! What others may read of a running agent: values of its last turn, and a word to look at a source again.
//!
//! Reading never waits for the loop, and never makes it look at the host. The loop tells only what has
//! changed, and nothing at all as long as nobody reads.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use crate::metric::Metrics;
use crate::name::Name;
use crate::plan::{Health, Plan, Sync};
use crate::report::{ApplicationStatus, HistoryEvent, HistoryReport, PlanAnswer, StatusReport, VERSION};
use crate::store::{self, Store};

use super::{Agent, Event, now};

/// What can be said after a turn of the loop.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The host's name.
    pub host: String,
    /// A turn has ended, so the engine was asked at least once.
    pub looked: bool,
    /// Why the engine cannot be read, if it cannot.
    pub away: Option<String>,
    /// What is wrong with the configuration that was read last; the one before is in force then.
    pub misconfigured: Vec<String>,
    /// The applications, by name.
    pub applications: BTreeMap<Name, Arc<Standing>>,
}

/// How one application stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// What `status` says.
    pub status: ApplicationStatus,
    /// What `plan` and `drift` say, if anything can be planned.
    pub plan: Option<PlanAnswer>,
    /// Where its repository is, without credentials.
    pub repository: String,
    /// What the forge that it answers to calls the repository, as in `acme/shop`.
    pub forge: Option<String>,
}

/// A running agent, as others see it.
#[derive(Clone)]
pub struct View {
    /// What was said after the last turn.
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    /// The history.
    pub store: Store,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Makes the agent look at the source of an application soon.
    pub look: Arc<dyn Fn(&Name) + Send + std::marker::Sync>,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("snapshot", &self.snapshot).finish_non_exhaustive()
    }
}

impl Snapshot {
    /// Returns how all applications stand.
    pub fn status(&self) -> StatusReport {
        let applications = self.applications.values().map(|standing| standing.status.clone()).collect();
        StatusReport { version: VERSION, host: self.host.clone(), misconfigured: self.misconfigured.clone(), applications }
    }
}

impl View {
    /// Returns the last events of an application, newest first.
    pub async fn history(&self, application: &Name, limit: u32) -> Result<HistoryReport, store::Error> {
        let host = self.snapshot.borrow().host.clone();
        history(&self.store, host, application, limit).await
    }
}

/// Reads the last events of an application, newest first.
pub(super) async fn history(store: &Store, host: String, application: &Name, limit: u32) -> Result<HistoryReport, store::Error> {
    let events = store.history(application, limit).await?.into_iter().map(|event| HistoryEvent {
        at: event.at,
        revision: event.revision,
        kind: event.kind,
        message: event.message,
    });
    Ok(HistoryReport { version: VERSION, host, application: application.clone(), events: events.collect() })
}

impl Agent {
    /// Returns what others may read.
    pub(super) fn view(&self) -> View {
        let sender = self.sender.clone();
        // An agent that ends looks at nothing any more.
        let look = move |name: &Name| drop(sender.send(Event::Look(name.clone())));
        View { snapshot: self.snapshot.subscribe(), store: self.store.clone(), metrics: self.metrics.clone(), look: Arc::new(look) }
    }

    /// Tells those who read what has changed.
    pub(super) fn tell_readers(&mut self) {
        let told = self.snapshot.receiver_count() > 0;
        let told_before = std::mem::replace(&mut self.told, told);
        if !told {
            return;
        }
        let before = self.snapshot.borrow().clone();
        let away = self.away.as_ref().map(|messages| messages.join(": "));
        let mut changed = !before.looked || before.away != away || before.misconfigured != self.misconfigured;
        let pulling = self.docker.pulling();
        let mut applications = BTreeMap::new();
        for (index, app) in self.apps.iter().enumerate() {
            let name = app.config.name.clone();
            // What is at rest is said of as before.
            if told_before
                && !app.touched
                && app.reconciler.is_undisturbed()
                && before.away == away
                && let Some(known) = before.applications.get(&name)
            {
                applications.insert(name, known.clone());
                continue;
            }
            let standing = self.standing(index, app.status(&pulling), away.as_deref());
            let same = before.applications.get(&name).filter(|known| ***known == standing).cloned();
            changed |= same.is_none();
            applications.insert(name, same.unwrap_or_else(|| Arc::new(standing)));
        }
        for orphan in &self.orphans {
            let standing = Standing { status: orphan.status(), plan: None, repository: String::new(), forge: None };
            changed |= before.applications.get(&orphan.name).is_none_or(|known| **known != standing);
            applications.insert(orphan.name.clone(), Arc::new(standing));
        }
        if changed || applications.len() != before.applications.len() {
            let (host, misconfigured) = (self.options.host.clone(), self.misconfigured.clone());
            self.snapshot.send_replace(Arc::new(Snapshot { host, looked: true, away, misconfigured, applications }));
        }
    }

    fn standing(&self, index: usize, mut status: ApplicationStatus, away: Option<&str>) -> Standing {
        let app = &self.apps[index];
        if let Some(reason) = away {
            // What was true when the engine last answered is no news of now.
            status.sync = Sync::Unknown;
            status.health = Health::Unknown;
            status.message = format!("the engine cannot be read: {reason}");
        }
        let rolled_back = app.rolled_back();
        let leads_to_head = |revision: &str| rolled_back.is_some() || app.head.as_ref().is_none_or(|head| head.revision == revision);
        let plan = match &app.plan {
            Some(plan) if leads_to_head(&plan.revision) => Some(PlanAnswer {
                host: self.options.host.clone(),
                plan: Plan { revision: app.told(&plan.revision).to_owned(), ..plan.clone() },
                rounds: None,
                refused: app.refused.is_some(),
                rolled_back,
                healed: app.healed.clone(),
            }),
            // What is kept is not what Git has: the plan that people ask for is another.
            _ => self.question(index).and_then(Result::ok).map(|question| question.answer(false, now())),
        };
        let forge = app.config.forge.as_ref().map(|forge| forge.repository.clone());
        Standing { status, plan, repository: app.config.location.to_string(), forge }
    }
}
