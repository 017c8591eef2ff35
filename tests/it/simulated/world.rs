//! One application in a world that scripts drive: its commits, its host, and the people who meddle.
//!
//! Every turn is watched, whatever the script is about: no plan is refused, the floor and the ceiling of
//! each workload hold as far as nobody else took replicas away, no volume has two writers, what is
//! not ours is left alone, and an application at rest need not have been planned (`rest`). What breaks one of these panics with a sentence.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use driftless::desired::{Amount, Desired, Exclusive, Protocol, Settings, Strategy, Workload};
use driftless::finding::Finding;
use driftless::host::Step;
use driftless::manifest::{Context, Format, Tree, build};
use driftless::name::{Kind, Name, ObjectId};
use driftless::observed::{Container, Live, Record, State, Traffic};
use driftless::plan::{Plan, overridden};
use driftless::reconcile::{Reconciler, Target};
use driftless::sim::{Host, Run, Scene, Turn};
use driftless::time::Time;

use super::build::{name, shop};
use super::rest::Expected;

/// When every script begins.
pub const START: Time = Time(1_767_225_600_000);

/// An application, its repository and its host.
pub struct World {
    /// The application on its host.
    pub run: Run,
    /// The application's name.
    pub application: Name,
    /// What the next commits are read with.
    pub settings: Settings,
    /// What Git has.
    pub head: Option<Arc<Desired>>,
    /// Findings that refused the last commit.
    pub refused: Vec<Finding>,
    /// The last commit.
    pub pushed: String,
    /// The manifests of the last commit.
    pub manifests: String,
    /// The ports that images declare.
    pub exposed: BTreeMap<String, BTreeSet<(u16, Protocol)>>,
    /// The plan of the last turn.
    last: Option<Plan>,
    revisions: BTreeMap<String, Arc<Desired>>,
}

impl World {
    /// Returns a world with an empty host and no commit.
    pub fn new() -> Self {
        World {
            run: Run::new(Host::new(Scene::default(), START), shop("", [])),
            application: name("shop"),
            settings: Settings::default(),
            head: None,
            refused: Vec::new(),
            pushed: String::new(),
            manifests: String::new(),
            exposed: BTreeMap::new(),
            last: None,
            revisions: BTreeMap::new(),
        }
    }

    /// Commits manifests; the agent takes them unless they have errors.
    pub fn push(&mut self, revision: &str, manifests: &str) -> Result<(), Vec<Finding>> {
        self.manifests = manifests.to_owned();
        self.pushed = revision.to_owned();
        match self.build(revision, manifests) {
            Ok(desired) => {
                let desired = Arc::new(desired);
                self.refused.clear();
                self.revisions.insert(revision.to_owned(), desired.clone());
                self.head = Some(desired);
                self.run.reconciler_mut().asked(self.head.as_ref().expect("just set"));
                self.run.reconciler_mut().retry();
                self.keep();
                Ok(())
            }
            Err(findings) => {
                self.refused = findings.clone();
                Err(findings)
            }
        }
    }

    /// Reads manifests, with what is known of the images that the host has.
    fn build(&self, revision: &str, manifests: &str) -> Result<Desired, Vec<Finding>> {
        let mut settings = self.settings.clone();
        let images = self.run.host.live().images.keys();
        settings.compose.exposed = images.map(|image| (image.clone(), self.exposed.get(image).cloned().unwrap_or_default())).collect();
        let context = Context {
            application: self.application.clone(),
            revision: revision.to_owned(),
            installation: self.run.desired.installation.clone(),
            settings,
            namespace: name("shop"),
            format: Format::Auto,
        };
        let file = if manifests.starts_with("services:") { "compose.yaml" } else { "app.yaml" };
        build(&Tree::of([(file, manifests)]), &context)
    }

    /// Reads the head again if an image has come that decides about a front, as the agent does.
    fn look_at_images(&mut self) {
        let has = |image: &&str| self.run.host.live().has_image(image);
        let Some(head) = self.head.as_ref().filter(|head| head.revision == self.pushed && head.unknown_images().iter().any(has)) else {
            return;
        };
        let revision = head.revision.clone();
        let desired = Arc::new(self.build(&revision, &self.manifests).expect("it was good before"));
        self.revisions.insert(revision, desired.clone());
        self.head = Some(desired);
    }

    /// Returns the revision and the reason, if the application went back.
    pub fn rolled_back(&self) -> Option<(String, String)> {
        match self.run.reconciler().target(self.head.as_ref()?) {
            Target::Head => None,
            Target::RolledBack { revision, reason } => Some((revision, reason)),
        }
    }

    /// Keeps what is to be kept: what Git has, or what was healthy last.
    pub fn keep(&mut self) {
        self.look_at_images();
        let Some(head) = &self.head else { return };
        let suspended = self.run.reconciler().suspended_at().map(str::to_owned);
        let kept = match suspended.or(self.rolled_back().map(|(revision, _)| revision)) {
            Some(revision) => self.revisions.get(&revision).expect("a healthy revision was pushed"),
            None => head,
        };
        if !Arc::ptr_eq(kept, &self.run.desired) {
            self.run.desired = kept.clone();
        }
    }

    /// Tells whether the application is at rest.
    pub fn is_at_rest(&self) -> bool {
        Expected::of(&self.run).is_at_rest()
    }

    /// Hands everything over to an application of another name, which wants the very same. What runs for it ends first.
    pub fn hand_over(&mut self, to: &str) {
        while !self.run.reconciler().observed().in_flight.is_empty() {
            self.pass(Duration::from_millis(100));
        }
        let mut live = self.run.host.read();
        self.run.reconciler().adopt(&self.run.desired, &mut live);
        let from = std::mem::replace(&mut self.application, name(to));
        let observed = self.run.reconciler().observed();
        let replicas = live.replicas(&self.run.desired.installation.owner, &from).map(|(_, labels)| labels.object.workload());
        let known = observed.record.applied.keys().chain(observed.record.addresses.keys()).cloned();
        let ids: BTreeSet<ObjectId> = known.chain(replicas).collect();
        let (generation, acknowledged) = (observed.traffic.generation, observed.traffic.acknowledged);
        let traffic = Traffic { generation, acknowledged, ..Traffic::default() };
        let mut taker = Reconciler::new(Record::default(), traffic, self.run.host.now());
        for id in ids {
            taker.take_over(&id, self.run.reconciler_mut().give_up(&id, &from, &live));
        }
        for desired in self.revisions.values_mut().chain(&mut self.head).chain([&mut self.run.desired]) {
            Arc::make_mut(desired).application = self.application.clone();
        }
        let observed = taker.observed();
        self.run = Run::resumed(self.run.host.clone(), self.run.desired.clone(), observed.record.clone(), observed.traffic.clone());
        self.keep();
    }

    /// Loses the record. Whose label a container carries still tells who made it.
    pub fn lose_record(&mut self) {
        let mut record = Record::default();
        for labels in self.run.host.live().containers.iter().filter_map(|container| container.labels.as_ref()) {
            let maker = labels.application.clone().filter(|maker| *maker != self.application);
            record.adopted.entry(labels.object.workload()).or_default().extend(maker);
        }
        record.adopted.retain(|_, makers| !makers.is_empty());
        *self.run.reconciler_mut().record_mut() = record;
    }

    /// Plans a round, starts its steps, and watches.
    pub fn turn(&mut self) -> Turn {
        self.keep();
        let served: BTreeMap<ObjectId, Vec<String>> = self.run.desired.workloads.keys().map(|id| (id.clone(), self.serving(id))).collect();
        let expected = Expected::of(&self.run);
        let turn = self.run.turn();
        expected.compare(&turn, &self.run, self.last.replace(turn.plan.clone()).as_ref());
        assert!(turn.refused.is_empty(), "the plan was refused: {:?}", turn.refused);
        self.hands_are_off(&turn);
        let wanted = overridden(&self.run.desired, &self.run.reconciler().observed().record, turn.at);
        for workload in wanted.workloads.values() {
            floor_holds(workload, &served[&workload.id], &turn);
            self.ceiling_holds(workload, &turn);
        }
        turn
    }

    /// Lets time pass, and watches.
    pub fn pass(&mut self, duration: Duration) -> Vec<String> {
        let before = foreign(self.run.host.live());
        let failures = self.run.pass(duration);
        assert_eq!(before, foreign(self.run.host.live()), "a foreign container was touched");
        self.one_writer();
        failures
    }

    /// Tells whether nothing is left to do.
    pub fn is_done(&self, turn: &Turn) -> bool {
        turn.plan.is_converged() && turn.steps.is_empty() && self.run.reconciler().observed().in_flight.is_empty()
    }

    /// Returns the containers that answer the clients of a workload: published, running since they were,
    /// and nobody has begun to take them away.
    fn serving(&self, workload: &ObjectId) -> Vec<String> {
        let (observed, live) = (self.run.reconciler().observed(), self.run.host.live());
        let in_flight = |replica: &ObjectId| {
            observed.in_flight.get(&replica.to_string()).is_some_and(|it| matches!(it.step, Step::Leave { .. } | Step::Restart { .. }))
        };
        let joined = observed.traffic.joined.iter().filter(|(replica, _)| replica.workload() == *workload && !in_flight(replica));
        let answers = |container: &&Container, started: Time| {
            container.state == State::Running && container.started == Some(started) && !container.leaving && !container.addresses.is_empty()
        };
        joined
            .filter_map(|(_, joined)| live.container(&joined.container).filter(|container| answers(container, joined.started)))
            .map(|container| container.id.clone())
            .collect()
    }

    fn ceiling_holds(&self, workload: &Workload, turn: &Turn) {
        let before = self.run.host.live();
        let creates = |step: &&Step| matches!(step, Step::Create { replica } if replica.workload() == workload.id);
        let created: Vec<&Step> = turn.steps.iter().filter(creates).collect();
        let mut known: Vec<ObjectId> =
            before.containers.iter().filter(|it| !it.leaving).filter_map(|it| Some(it.labels.as_ref()?.object.clone())).collect();
        let observed = self.run.reconciler().observed();
        known.extend(observed.in_flight.values().filter_map(|it| match &it.step {
            Step::Create { replica } => Some(replica.clone()),
            _ => None,
        }));
        known.retain(|id| id.workload() == workload.id);
        known.sort();
        known.dedup();
        let ceiling = workload.replicas + allowed(workload).0;
        // A container that was made and not started is started under the same name.
        let new = created.iter().any(|step| {
            !before.containers.iter().any(|it| it.labels.as_ref().is_some_and(|labels| labels.object.to_string() == step.key()))
        });
        assert!(!new || known.len() <= ceiling as usize, "{} replicas of {}, more than {ceiling}", known.len(), workload.id);
    }

    /// Nothing but traffic is changed of what somebody suspended.
    fn hands_are_off(&self, turn: &Turn) {
        let record = &self.run.reconciler().observed().record;
        let touching = turn.steps.iter().filter(|step| !matches!(step, Step::Join { .. } | Step::Withdraw { .. }));
        for step in touching {
            let of = |id: &ObjectId| step.key().starts_with(&format!("{id}/"));
            let touched = record.suspended.is_some() || record.suspended_workloads.keys().any(of);
            assert!(!touched, "{step} touches what is suspended");
        }
    }

    fn one_writer(&self) {
        let live = self.run.host.live();
        for workload in self.run.desired.workloads.values() {
            for exclusive in &workload.exclusive {
                let Exclusive::Volume(id) = exclusive else { continue };
                let volume = &self.run.desired.volumes[id].host_name;
                let writers: Vec<&Container> = live.containers.iter().filter(|it| it.may_run() && it.writes.contains(volume)).collect();
                let runs = writers.iter().any(|container| container.state != State::Created);
                assert!(
                    writers.len() < 2 || !runs,
                    "two writers of {volume}: {:?}",
                    writers.iter().map(|it| (&it.name, it.state)).collect::<Vec<_>>()
                );
            }
        }
    }

    /// Returns the n-th replica of a workload by name of its container, counted from 1.
    pub fn replica(&mut self, workload: &str, number: usize) -> Option<&mut Container> {
        let of = |container: &Container| {
            let labels = container.labels.as_ref()?;
            (matches!(labels.object.kind, Kind::Deployment | Kind::ComposeService)
                && labels.object.name.as_str() == workload
                && !container.leaving)
                .then(|| container.name.clone())
        };
        let containers = &mut self.run.host.live_mut().containers;
        let mut names: Vec<String> = containers.iter().filter_map(of).collect();
        names.sort();
        let name = names.get(number.checked_sub(1)?)?.clone();
        containers.iter_mut().find(|container| container.name == name)
    }
}

/// Returns how many replicas more than wanted there may be, and how many must serve.
fn allowed(workload: &Workload) -> (u32, u32) {
    let whole = |amount: Amount, up: bool| match amount {
        Amount::Count(count) => count,
        Amount::Percent(percent) if up => (percent * workload.replicas).div_ceil(100),
        Amount::Percent(percent) => percent * workload.replicas / 100,
    };
    match workload.strategy {
        _ if !workload.exclusive.is_empty() => (0, 0),
        Strategy::Recreate => (0, 0),
        Strategy::Rolling { surge, unavailable } => match (whole(surge, true), whole(unavailable, false)) {
            (0, 0) => (0, workload.replicas.saturating_sub(1)),
            (surge, unavailable) => (surge, workload.replicas.saturating_sub(unavailable)),
        },
    }
}

fn floor_holds(workload: &Workload, served: &[String], turn: &Turn) {
    let ends = |id: &&String| {
        turn.steps.iter().any(|step| matches!(step, Step::Leave { container, .. } | Step::Stop { container, .. } if container == *id))
    };
    let ending = served.iter().filter(ends).count();
    let floor = allowed(workload).1 as usize;
    let left = served.len() - ending;
    assert!(left >= floor.min(served.len()), "{left} of {} serving replicas of {} are left, fewer than {floor}", served.len(), workload.id);
}

fn foreign(live: &Live) -> Vec<Container> {
    live.containers.iter().filter(|container| container.labels.is_none() && container.claims.is_none()).cloned().collect()
}
