//! One turn of the loop: read, plan each application, start its steps, publish, ask its probes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::desired::{Desired, Protocol};
use crate::host::{Class, Failure, Step};
use crate::name::{Name, ObjectId};
use crate::observed::{Live, Traffic};
use crate::plan::{Claims, Health, cared_for};
use crate::probe::Wanted as Probed;
use crate::reconcile::Round;
use crate::report::word::{finding_line, short};
use crate::store;
use crate::traffic::{self, Published};

use super::application::{self, App, Loaded, Wanted, chain};
use super::protocol::{Answer, Progress};
use super::{Agent, Event, now};

/// The engine is asked again this soon when it could not be read.
const AWAY: Duration = Duration::from_secs(1);
/// A snapshot that takes longer says that the engine hangs.
const SLOWEST_READ: Duration = Duration::from_secs(60);

impl Agent {
    /// Takes in an event.
    pub(super) async fn take(&mut self, event: Event) {
        match event {
            Event::Look(index) => self.look(index),
            Event::Loaded(index, wanted, loaded) => self.loaded(index, &wanted, loaded).await,
            Event::Docker => self.stale = true,
            Event::Began(step) => self.tell(&Progress::Started { step: step.to_string() }),
            Event::Ended(index, step, outcome, took) => {
                self.running.remove(&(index, step.key()));
                self.stale = true;
                match &outcome {
                    Ok(()) => {
                        self.tell(&Progress::Done { step: step.to_string(), millis: u64::try_from(took.as_millis()).unwrap_or(u64::MAX) })
                    }
                    Err(failure) => {
                        tracing::warn!(%step, class = ?failure.class, error = failure.message, "a step failed");
                        self.tell(&Progress::Failed { step: step.to_string(), message: failure.message.clone() });
                    }
                }
                self.finish(index, &step, outcome);
            }
            Event::Poked => {}
            Event::Ask(request, reply) => self.asked(request, reply),
        }
    }

    /// Looks at everything anew and does what is safe now.
    pub(super) async fn turn(&mut self) {
        for index in 0..self.apps.len() {
            if std::mem::take(&mut self.apps[index].unsaved) {
                self.store(index).await;
            }
        }
        self.read().await;
        let acknowledged = self.publisher.acknowledged();
        if let Some(live) = self.live.clone() {
            let probing = self.prober.results();
            for index in 0..self.apps.len() {
                let app = &mut self.apps[index];
                restore(app, &live, self.publisher.current());
                app.reconciler.probed(probing.clone());
                if let Some(acknowledged) = &acknowledged {
                    let errors =
                        acknowledged.fronts.iter().filter_map(|(name, front)| Some((name.clone(), front.error.clone()?))).collect();
                    app.reconciler.acknowledged(acknowledged.generation, acknowledged.connections.clone(), errors);
                }
                self.round(index, &live).await;
            }
            self.publish(&live);
            self.ask_probes();
        }
        if self.acts
            && let Err(error) = self.publisher.keep_serving()
        {
            tracing::error!(error = %chain(&error).join(": "), "`serve` cannot be started");
        }
        self.answer_all();
    }

    /// Takes a new snapshot if the last may be past.
    async fn read(&mut self) {
        let due = if self.away.is_some() { AWAY } else { super::IDLE };
        if !(self.stale && self.away.is_none()) && self.read_at.elapsed() < due && self.live.is_some() {
            return;
        }
        self.read_at = Instant::now();
        let read = tokio::time::timeout(SLOWEST_READ, self.docker.read()).await;
        match read {
            Ok(Ok(live)) => {
                if self.away.take().is_some() {
                    tracing::info!("the engine answers again");
                }
                self.live = Some(live);
                self.stale = false;
            }
            Ok(Err(error)) => self.lost(chain(&error)),
            Err(_) => self.lost(vec![format!("the engine did not answer for {} s", SLOWEST_READ.as_secs())]),
        }
    }

    /// Notes that the engine cannot be read. What is published goes on being served.
    fn lost(&mut self, messages: Vec<String>) {
        if self.away.as_ref() != Some(&messages) {
            tracing::error!(error = messages.join(": "), "the engine cannot be read; what is published is served on");
        }
        self.away = Some(messages);
        self.stale = true;
    }

    /// Plans one application and starts its steps.
    async fn round(&mut self, index: usize, live: &Live) {
        let claims = self.claims(index);
        let app = &mut self.apps[index];
        let desired = match app.kept() {
            Ok(Some(desired)) => desired,
            Ok(None) => return,
            Err(revision) => return self.load(index, Wanted::Earlier(revision)),
        };
        if !self.acts {
            let mut observed = app.reconciler.observed().clone();
            observed.live = live.clone();
            app.plan = Some(crate::plan::plan(&desired, &claims, &observed, now()));
            return;
        }
        // What a plan claims is recorded before its first step.
        let taken: BTreeSet<Ipv4Addr> = self
            .apps
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != index)
            .flat_map(|(_, app)| app.reconciler.observed().record.addresses.values().copied())
            .collect();
        let app = &mut self.apps[index];
        let addresses = traffic::addresses(&desired, &app.reconciler.observed().record.addresses, &taken);
        let moved = addresses != app.reconciler.observed().record.addresses;
        app.reconciler.record_mut().addresses = addresses;
        let before = app.plan.as_ref().map(|plan| (plan.revision.clone(), plan.health(), plan.changes.is_empty()));
        let was_rolled_back = app.rolled_back();
        let round: Round = app.reconciler.round(&desired, &claims, live.clone(), now());
        for refusal in &round.refused {
            tracing::error!(application = %app.config.name, refusal, "the plan was refused: this is a bug of ours, nothing is changed");
        }
        if round.store || moved {
            self.store(index).await;
        }
        let app = &mut self.apps[index];
        let after = (round.plan.revision.clone(), round.plan.health(), round.plan.changes.is_empty());
        app.plan = Some(round.plan);
        let rolled_back = app.rolled_back().filter(|_| was_rolled_back.is_none());
        for step in round.start {
            self.start(index, step, desired.clone());
        }
        self.note(index, before, after, rolled_back).await;
    }

    /// Starts a step in a task of its own.
    fn start(&mut self, index: usize, step: Step, desired: Arc<Desired>) {
        let (begun, ended) = (self.sender.clone(), self.sender.clone());
        let (first, last) = (step.clone(), step.clone());
        let handle = self.bounds.run(
            self.docker.clone(),
            step.clone(),
            desired,
            move || drop(begun.send(Event::Began(first))),
            move |outcome, took| drop(ended.send(Event::Ended(index, last, outcome, took))),
        );
        self.running.insert((index, step.key()), handle);
    }

    fn finish(&mut self, index: usize, step: &Step, outcome: crate::host::Outcome) {
        let Some(app) = self.apps.get_mut(index) else { return };
        let Ok(Some(desired)) = app.kept().map(|kept| kept.or_else(|| app.head.clone())) else {
            // What is kept is being loaded; any revision of the application tells the same here.
            if let Some(desired) = app.head.clone() {
                app.reconciler.finish(step, outcome, &desired, now());
            }
            return;
        };
        app.reconciler.finish(step, outcome, &desired, now());
    }

    /// Ends pulls of images that nobody wants any more: a newer revision pre-empts.
    fn cancel_pulls(&mut self, index: usize) {
        let Some(app) = self.apps.get(index) else { return };
        let wanted: BTreeSet<&str> = [&app.head, &app.earlier]
            .into_iter()
            .flatten()
            .flat_map(|desired| desired.workloads.values())
            .flat_map(|workload| workload.template.containers.iter().map(|container| container.image.as_str()))
            .collect();
        let unwanted: Vec<String> = self
            .running
            .keys()
            .filter(|(other, key)| *other == index && key.strip_prefix("Image/").is_some_and(|image| !wanted.contains(image)))
            .map(|(_, key)| key.clone())
            .collect();
        for key in unwanted {
            if let Some(handle) = self.running.remove(&(index, key.clone())) {
                handle.abort();
            }
            let step = Step::Pull { image: key.trim_start_matches("Image/").to_owned() };
            self.finish(
                index,
                &step,
                Err(Failure { class: Class::Waiting, message: "the pull was cancelled: a newer revision does not want it".to_owned() }),
            );
        }
    }

    /// Publishes who is given new connections, if that has changed.
    fn publish(&mut self, live: &Live) {
        // An application that is not loaded yet, or has replicas that serve and cannot be loaded now, would
        // drop out of what is served.
        let unknown = |app: &App| {
            let loaded = app.head.is_some() || app.kept().is_ok_and(|kept| kept.is_some());
            !loaded && (app.looks == 0 || !app.reconciler.observed().traffic.joined.is_empty())
        };
        if !self.acts || self.apps.iter().any(unknown) {
            return;
        }
        let kept: Vec<(Arc<Desired>, BTreeMap<ObjectId, Ipv4Addr>, &App)> = self
            .apps
            .iter()
            .filter_map(|app| {
                let desired = app.kept().ok().flatten().or_else(|| app.head.clone())?;
                let replicas = live.replicas(&desired.installation.owner, &desired.application);
                let running = replicas.filter(|(container, _)| container.is_running() && !container.leaving);
                let addresses = running
                    .filter_map(|(container, labels)| Some((labels.object.clone(), *container.addresses.values().next()?)))
                    .collect();
                Some((desired, addresses, app))
            })
            .collect();
        let applications: Vec<traffic::Application<'_>> = kept
            .iter()
            .map(|(desired, running, app)| {
                let observed = app.reconciler.observed();
                traffic::Application {
                    desired,
                    addresses: &observed.record.addresses,
                    joined: &observed.traffic.joined,
                    left: &observed.traffic.left,
                    running,
                }
            })
            .collect();
        let fronts = live.containers.iter().filter(|container| container.labels.as_ref().is_some_and(|labels| labels.is_front()));
        let fronts = fronts.map(|container| (container.name.clone(), container.id.clone())).collect();
        let next = traffic::publish(&applications, &self.options.installation, &fronts, self.publisher.current());
        let generation = next.generation;
        match self.publisher.publish(next) {
            Ok(()) => self.apps.iter_mut().for_each(|app| app.reconciler.published(generation)),
            Err(error) => {
                tracing::error!(error = %chain(&error).join(": "), "what is served cannot be published; the last state is served on")
            }
        }
    }

    fn ask_probes(&mut self) {
        let mut wanted = Vec::new();
        for app in &self.apps {
            if let Ok(Some(desired)) = app.kept() {
                wanted.extend(cared_for(&desired, app.reconciler.observed(), now()).into_iter().map(|cared| Probed {
                    container: cared.container,
                    started: cared.started,
                    address: cared.address,
                    care: cared.care,
                }));
            }
        }
        self.prober.sync(wanted);
    }

    /// Returns what the other applications hold. Of two that want one thing, the one that has applied it
    /// keeps it; if neither has, the first by name.
    pub(super) fn claims(&self, index: usize) -> Claims {
        let mut claims = Claims::default();
        let Some(mine) = self.apps.get(index) else { return claims };
        let holds = |app: &App, id: &ObjectId| app.reconciler.observed().record.applied.contains_key(id);
        for other in self.apps.iter().filter(|app| app.config.name != mine.config.name) {
            let Some(desired) = other.head.as_ref() else { continue };
            let before = |id: &ObjectId| match (holds(other, id), holds(mine, id)) {
                (true, false) => true,
                (false, true) => false,
                _ => other.config.name < mine.config.name,
            };
            let name: &Name = &other.config.name;
            let ids = desired.workloads.keys().chain(desired.services.keys());
            claims.objects.extend(ids.filter(|id| before(id)).map(|id| (id.clone(), name.clone())));
            for (_, workload) in desired.workloads.iter().filter(|(id, _)| before(id)) {
                let ports = workload.template.ports.iter().map(|port| (port.protocol, port.host_port));
                claims.ports.extend(ports.map(|port: (Protocol, u16)| (port, name.clone())));
            }
        }
        claims
    }

    /// Begins to look at the source of an application.
    pub(super) fn look(&mut self, index: usize) {
        let Some(app) = self.apps.get_mut(index) else { return };
        if app.loading.is_some() {
            app.look_again = true;
            return;
        }
        let known = app.last_seen().map(str::to_owned);
        self.load(index, Wanted::Head { known });
    }

    fn load(&mut self, index: usize, wanted: Wanted) {
        let Some(app) = self.apps.get_mut(index) else { return };
        if app.loading.is_some() {
            return;
        }
        app.loading = Some(wanted.clone());
        let (config, source, installation) = (app.config.clone(), app.source.clone(), self.options.installation.clone());
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let loaded = application::load(config, source, installation, wanted.clone()).await;
            let _ = sender.send(Event::Loaded(index, wanted, loaded));
        });
    }

    async fn loaded(&mut self, index: usize, wanted: &Wanted, loaded: Loaded) {
        let Some(app) = self.apps.get_mut(index) else { return };
        app.loading = None;
        let name = app.config.name.clone();
        let event = match &loaded {
            Loaded::Read { revision, findings, desired: None } => {
                tracing::error!(application = %name, revision = short(&revision.id), findings = findings.len(), "the revision was refused; the last good one runs on");
                let lines: Vec<String> = findings.iter().map(finding_line).collect();
                Some((revision.id.clone(), "refused", lines.join("\n")))
            }
            Loaded::Read { revision, .. } if matches!(wanted, Wanted::Head { .. }) => {
                tracing::info!(application = %name, revision = short(&revision.id), summary = revision.summary, "a new revision");
                Some((revision.id.clone(), "revision", revision.summary.clone()))
            }
            Loaded::Failed(trouble) if app.trouble.as_ref() != Some(trouble) => {
                tracing::error!(application = %name, error = trouble.messages.join(": "), "the repository cannot be read; the last good revision runs on");
                None
            }
            _ => None,
        };
        let changed = app.take(wanted, loaded);
        if std::mem::take(&mut app.look_again) {
            self.look(index);
        }
        if changed {
            self.cancel_pulls(index);
        }
        if let Some((revision, kind, message)) = event {
            self.append(index, revision, kind, message).await;
        }
    }

    /// Writes down what people want to read later.
    async fn note(
        &mut self,
        index: usize,
        before: Option<(String, Health, bool)>,
        after: (String, Health, bool),
        rolled_back: Option<String>,
    ) {
        let Some(app) = self.apps.get(index) else { return };
        let name = app.config.name.clone();
        if let Some(reason) = rolled_back {
            tracing::error!(application = %name, reason, "the rollout failed; the application goes back to its last healthy revision");
            let head = app.head.as_ref().map(|head| head.revision.clone()).unwrap_or_default();
            self.append(index, head, "rolled back", reason).await;
        }
        if before.as_ref() == Some(&after) {
            return;
        }
        let (revision, health, unchanged) = after;
        let failed = self.apps.get(index).and_then(|app| app.plan.as_ref()?.failed.clone());
        match (health, failed) {
            (Health::Healthy, _) if unchanged => {
                tracing::info!(application = %name, revision = short(&revision), "Synced and Healthy");
                self.append(index, revision, "healthy", String::new()).await;
            }
            (Health::Degraded, Some(failed)) => {
                tracing::error!(application = %name, revision = short(&revision), object = %failed.object, reason = failed.reason, "Degraded");
                self.append(index, revision, "degraded", format!("{}: {}", failed.object, failed.reason)).await;
            }
            _ => {}
        }
    }

    async fn append(&mut self, index: usize, revision: String, kind: &str, message: String) {
        let Some(app) = self.apps.get(index).filter(|_| self.acts) else { return };
        let event = store::Event { at: now(), revision, kind: kind.to_owned(), message };
        if let Err(error) = self.store.append(&app.config.name, event).await {
            tracing::warn!(error = %chain(&error).join(": "), "the history cannot be written");
        }
    }

    async fn store(&mut self, index: usize) {
        let Some(app) = self.apps.get(index) else { return };
        if let Err(error) = self.store.save(&app.config.name, &app.reconciler.observed().record).await {
            tracing::error!(application = %app.config.name, error = %chain(&error).join(": "), "the record cannot be written; the agent goes on");
        }
        let (source, name, wanted) = (app.source.clone(), app.config.name.clone(), app.revisions());
        tokio::spawn(async move {
            if let Err(error) = source.retain(&name, wanted).await {
                tracing::debug!(application = %name, error = %chain(&error).join(": "), "old revisions cannot be let go of");
            }
        });
    }

    /// Tells everybody who waits what happens.
    fn tell(&self, progress: &Progress) {
        for waiter in &self.waiters {
            let _ = waiter.reply.send(Answer::Progress(progress.clone()));
        }
    }
}

/// Takes over who had joined before this agent was started: the same start of the same container goes
/// on serving until a probe says otherwise.
fn restore(app: &mut App, live: &Live, published: Option<&Published>) {
    if std::mem::replace(&mut app.restored, true) {
        return;
    }
    let Some(published) = published else { return };
    let mine = |container: &str| {
        let labels = live.container(container).and_then(|container| container.labels.as_ref());
        labels.is_some_and(|labels| labels.application.as_ref() == Some(&app.config.name))
    };
    let traffic = Traffic {
        generation: published.generation,
        joined: published
            .joined
            .iter()
            .filter(|(_, joined)| mine(&joined.container))
            .map(|(id, joined)| (id.clone(), joined.clone()))
            .collect(),
        left: published
            .left
            .iter()
            .filter(|(container, _)| mine(container))
            .map(|(container, left)| (container.clone(), left.clone()))
            .collect(),
        ..Traffic::default()
    };
    app.reconciler.restore(traffic);
}
