//! One turn of the loop: read, plan what could come out otherwise, start the steps, publish, ask the probes.

use std::collections::BTreeMap;
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
use crate::traffic::{Acknowledged, Published};

use super::application::{Wanted, chain};
use super::protocol::{Answer, Progress};
use super::{Agent, Event, now};

/// An application is read again because of its images this often.
const AGAIN: Duration = Duration::from_secs(1);

impl Agent {
    /// Takes in an event.
    pub(super) async fn take(&mut self, event: Event) {
        match event {
            Event::Look(name) => self.index_of(&name).into_iter().for_each(|index| self.look(index)),
            Event::Fetched(at, number, news) => self.fetched(at, number, news),
            Event::Loaded(configured, wanted, loaded) => self.loaded_for(&configured, &wanted, loaded),
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
        self.read();
        let acknowledged = self.publisher.acknowledged();
        self.note_mended(acknowledged.as_ref());
        self.take_in(acknowledged.as_ref());
        let mut live = self.restored().filter(|live| !self.is_quiet(live));
        let mut begun = Vec::new();
        if let Some(live) = &mut live {
            // Who has what is settled with the snapshot that is planned with.
            if !self.reading.runs() {
                self.share(live).await;
            }
            begun = self.rounds(live).await;
        }
        // What a plan claims is written down before its first step.
        self.write(began).await;
        for (index, steps, desired) in begun {
            steps.into_iter().for_each(|step| self.start(index, step, desired.clone()));
        }
        if let Some(live) = live {
            self.publish(&live);
            self.ask_probes();
            self.planned_with = Some(live).filter(|_| !self.reading.runs());
        }
        if self.acts
            && let Err(error) = self.publisher.keep_serving()
        {
            tracing::error!(error = %chain(&error).join(": "), "`serve` cannot be started");
        }
        self.metrics.time(Metric::Reconcile, &[], began.elapsed());
        self.tell_readers();
        self.apps.iter_mut().for_each(|app| app.touched = false);
        self.answer_all().await;
        self.planned();
    }

    /// Takes in what the data path says.
    fn take_in(&mut self, acknowledged: Option<&Acknowledged>) {
        let Some(Acknowledged { generation, connections, fronts, .. }) = acknowledged else { return };
        let errors = fronts.iter().filter_map(|(name, front)| Some((name.clone(), front.error.clone()?))).collect();
        self.apps.iter_mut().for_each(|app| app.reconciler.acknowledged(*generation, connections, &errors));
    }

    /// Tells whether nothing has happened since the last turn that any application could mind.
    fn is_quiet(&self, live: &Arc<Live>) -> bool {
        let probing = self.prober.results();
        let same = self.planned_with.as_ref().is_some_and(|known| Arc::ptr_eq(known, live));
        same && self.apps.iter().all(|app| app.is_quiet(live, &probing))
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
    pub(super) fn look_at_images(&mut self, index: usize, live: &Live) {
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

impl Agent {
    /// Returns the last snapshot. Who had joined before an application was looked at is taken over with the first: the same
    /// start of the same container goes on serving until a probe says otherwise.
    fn restored(&mut self) -> Option<Arc<Live>> {
        let live = self.seen()?;
        if self.apps.iter().all(|app| app.restored) {
            return Some(live);
        }
        let mut before = self.publisher.current().map(|published| served_before(&live, published)).unwrap_or_default();
        for app in self.apps.iter_mut().filter(|app| !app.restored) {
            app.restored = true;
            app.reconciler.restore(before.remove(&app.config.name).unwrap_or_default());
        }
        self.seen()
    }
}

/// Returns who had joined and left when a state was published, by application.
pub(super) fn served_before(live: &Live, published: &Published) -> BTreeMap<Name, Traffic> {
    let labels = |container: &'_ Container| {
        let labels = container.labels.as_ref().or(container.claims.as_ref().map(|claimed| &claimed.labels));
        labels.and_then(|labels| labels.application.clone())
    };
    let owners: BTreeMap<&str, Name> =
        live.containers.iter().filter_map(|container| Some((container.id.as_str(), labels(container)?))).collect();
    let mut traffic: BTreeMap<Name, Traffic> = BTreeMap::new();
    let start = || Traffic { generation: published.generation, ..Traffic::default() };
    for (id, joined) in &published.joined {
        if let Some(owner) = owners.get(joined.container.as_str()) {
            traffic.entry(owner.clone()).or_insert_with(start).joined.insert(id.clone(), joined.clone());
        }
    }
    for (container, left) in &published.left {
        if let Some(owner) = owners.get(container.as_str()) {
            traffic.entry(owner.clone()).or_insert_with(start).left.insert(container.clone(), left.clone());
        }
    }
    traffic
}
