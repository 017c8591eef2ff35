//! One turn of the loop: read, plan each application, start its steps, publish, ask its probes.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::desired::Desired;
use crate::git::Revision;
use crate::host::{Class, Step};
use crate::metric::Metric;
use crate::name::Name;
use crate::observed::{Container, Live, Traffic};
use crate::plan::cared_for;
use crate::probe::Wanted as Probed;
use crate::reconcile::Round;
use crate::report::word::{image_line, interruption_line};
use crate::traffic::{self, Published};

use super::application::{App, Wanted, chain};
use super::protocol::{Answer, Progress};
use super::{Agent, Event, now};

/// An application is read again because of its images this often.
const AGAIN: Duration = Duration::from_secs(1);

impl Agent {
    /// Takes in an event.
    pub(super) async fn take(&mut self, event: Event) {
        match event {
            Event::Look(name) => self.index_of(&name).into_iter().for_each(|index| self.look(index)),
            Event::Fetched(at, news) => self.fetched(at, news).await,
            Event::Loaded(configured, wanted, loaded) => self.loaded_for(&configured, &wanted, loaded).await,
            Event::Docker => self.stale = true,
            Event::Began(step) => self.tell(&Progress::Started { step: step.to_string() }),
            Event::Ended(name, step, outcome, took) => {
                self.running.remove(&(name.clone(), step.key()));
                self.metrics.time(Metric::Step, &[("action", step.action())], took);
                match &outcome {
                    Ok(()) => {
                        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                        tracing::info!(%step, millis, "done");
                        self.tell(&Progress::Done { step: step.to_string(), millis });
                    }
                    Err(failure) => {
                        self.failed(failure.class);
                        tracing::warn!(%step, class = ?failure.class, error = failure.message, "a step failed");
                        self.tell(&Progress::Failed { step: step.to_string(), message: failure.message.clone() });
                    }
                }
                self.ended(name, step, outcome);
            }
            Event::Read(read) => self.arrived(read),
            Event::Poked => {}
            Event::Ask(request, reply) => self.asked(request, reply),
            Event::Configured(configured) => self.configure(configured).await,
        }
    }

    /// Looks at everything anew and does what is safe now.
    pub(super) async fn turn(&mut self) {
        let began = Instant::now();
        self.compare_clocks(began);
        self.look_at_due();
        for index in 0..self.apps.len() {
            let app = &mut self.apps[index];
            let is_due = app.unwritten.as_ref().is_some_and(|unwritten| unwritten.again <= began);
            if std::mem::take(&mut app.unsaved) || is_due {
                self.store(index).await;
            }
        }
        self.read();
        let acknowledged = self.publisher.acknowledged();
        self.note_mended(acknowledged.as_ref()).await;
        if let Some(mut live) = self.seen() {
            for app in &mut self.apps {
                restore(app, &live, self.publisher.current());
                live.recognise(&app.reconciler.observed().known, &app.reconciler.observed().traffic);
            }
            // Who has what is settled with the snapshot that is planned with.
            let live = if self.reading.runs() { live } else { self.share(live).await };
            let probing = self.prober.results();
            for index in 0..self.apps.len() {
                self.look_at_images(index, &live);
                let app = &mut self.apps[index];
                app.reconciler.probed(probing.clone());
                if let Some(acknowledged) = &acknowledged {
                    let errors =
                        acknowledged.fronts.iter().filter_map(|(name, front)| Some((name.clone(), front.error.clone()?))).collect();
                    app.reconciler.acknowledged(acknowledged.generation, acknowledged.connections.clone(), errors);
                }
                // A snapshot from before steps that have ended meanwhile leads to plans of the past.
                if !self.reading.runs() && self.away.is_none() && !self.waits[index] {
                    self.round(index, &live).await;
                }
            }
            self.publish(&live);
            self.ask_probes();
        }
        if self.acts
            && let Err(error) = self.publisher.keep_serving()
        {
            tracing::error!(error = %chain(&error).join(": "), "`serve` cannot be started");
        }
        self.metrics.time(Metric::Reconcile, &[], began.elapsed());
        self.tell_readers();
        self.answer_all().await;
        self.planned();
    }

    /// Looks whether somebody has set the host's clock.
    fn compare_clocks(&mut self, steady: Instant) {
        let wall = now();
        if let Some(by) = self.clock.compare(wall, steady) {
            let seconds = by / 1000;
            tracing::warn!(seconds, "the host's clock was set; what is being counted goes on being counted");
            self.prober.clock_set(by);
            self.apps.iter_mut().for_each(|app| app.reconciler.clock_set(by, wall));
        }
    }

    /// Reads an application again whose fronts depend on what an image declares that the host has by now.
    fn look_at_images(&mut self, index: usize, live: &Live) {
        let app = &mut self.apps[index];
        let Some(head) = &app.head else { return };
        app.outdated = head.unknown_images().iter().any(|image| live.has_image(image));
        if !app.outdated || app.loading.is_some() || app.looked.is_some_and(|at| at.elapsed() < AGAIN) {
            return;
        }
        app.looked = Some(Instant::now());
        let revision = Revision { id: head.revision.clone(), summary: String::new(), committed: None };
        self.load(index, Wanted::Head, revision);
    }

    /// Counts a failure.
    pub(super) fn failed(&self, class: Class) {
        let class = match class {
            Class::User => "user",
            Class::Waiting => "waiting",
            Class::Host => "host",
            Class::Internal => "internal",
        };
        self.metrics.count(Metric::Errors, &[("class", class)]);
    }

    /// Plans one application and starts its steps.
    async fn round(&mut self, index: usize, live: &Live) {
        let claims = self.claims.get(index).cloned().unwrap_or_default();
        let app = &mut self.apps[index];
        if app.outdated {
            return;
        }
        let desired = match app.kept() {
            Ok(Some(desired)) => desired,
            Ok(None) => return,
            Err(id) => {
                let revision = Revision { id: id.clone(), summary: String::new(), committed: None };
                return self.load(index, Wanted::Earlier(id), revision);
            }
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
            .map(|(_, app)| &app.reconciler)
            .chain(self.orphans.iter().map(|orphan| &orphan.reconciler))
            .flat_map(|reconciler| reconciler.observed().record.addresses.values().copied())
            .collect();
        let app = &mut self.apps[index];
        let addresses = traffic::addresses(&desired, &app.reconciler.observed().record.addresses, &taken);
        let moved = addresses != app.reconciler.observed().record.addresses;
        app.reconciler.record_mut().addresses = addresses;
        let before = app.plan.take();
        let was_rolled_back = app.rolled_back();
        let round: Round = app.reconciler.round(&desired, &claims, live.clone(), now());
        for refusal in round.refused.iter().filter(|refusal| !app.audit.contains(refusal)) {
            tracing::error!(application = %app.config.name, refusal, "the plan was refused: this is a bug of ours, nothing is changed");
        }
        app.audit.clone_from(&round.refused);
        if round.store || moved {
            self.store(index).await;
        }
        let app = &mut self.apps[index];
        app.shown.note(&round.plan);
        app.plan = Some(round.plan);
        let rolled_back = app.rolled_back().filter(|_| was_rolled_back.is_none());
        let (restored, started) = (round.restored, round.images);
        for step in round.start {
            self.start(index, step, desired.clone());
        }
        self.note(index, before.as_ref(), rolled_back).await;
        for (object, interruption) in restored {
            let message = interruption_line(&object, &interruption);
            tracing::warn!(application = %desired.application, "{message}");
            self.append(index, desired.revision.clone(), "interrupted", message).await;
        }
        for started in started {
            let message = image_line(&started.workload, started.before.as_deref(), &started.image);
            self.append(index, desired.revision.clone(), "image", message).await;
        }
    }

    /// Starts a step in a task of its own.
    fn start(&mut self, index: usize, step: Step, desired: Arc<Desired>) {
        let (begun, ended) = (self.sender.clone(), self.sender.clone());
        let (first, last, name) = (step.clone(), step.clone(), self.apps[index].config.name.clone());
        let handle = self.bounds.run(
            self.docker.clone(),
            step.clone(),
            desired,
            move || drop(begun.send(Event::Began(first))),
            move |outcome, took| drop(ended.send(Event::Ended(name, last, outcome, took))),
        );
        self.running.insert((self.apps[index].config.name.clone(), step.key()), handle);
    }

    pub(super) fn finish(&mut self, name: &Name, step: &Step, outcome: crate::host::Outcome) {
        let Some(app) = self.apps.iter_mut().find(|app| app.config.name == *name) else { return };
        let Ok(Some(desired)) = app.kept().map(|kept| kept.or_else(|| app.head.clone())) else {
            // What is kept is being loaded; any revision of the application tells the same here.
            if let Some(desired) = app.head.clone() {
                app.reconciler.finish(step, outcome, &desired, now());
            }
            return;
        };
        app.reconciler.finish(step, outcome, &desired, now());
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
    if let Some(published) = published {
        app.reconciler.restore(served_before(&app.config.name, live, published));
    }
}

/// Returns who of an application had joined and left when its state was published.
pub(super) fn served_before(application: &Name, live: &Live, published: &Published) -> Traffic {
    let mine = |container: &str| {
        let container = live.container(container);
        let claimed =
            |container: &'_ Container| container.labels.clone().or(container.claims.as_ref().map(|claimed| claimed.labels.clone()));
        let labels = container.and_then(claimed);
        labels.is_some_and(|labels| labels.application.as_ref() == Some(application))
    };
    let joined = published.joined.iter().filter(|(_, joined)| mine(&joined.container));
    let left = published.left.iter().filter(|(container, _)| mine(container));
    Traffic {
        generation: published.generation,
        joined: joined.map(|(id, joined)| (id.clone(), joined.clone())).collect(),
        left: left.map(|(container, left)| (container.clone(), left.clone())).collect(),
        ..Traffic::default()
    }
}
