//! One application on the simulated host: the real planner and reconciler, turn by turn.

use std::collections::BTreeSet;
use std::iter;
use std::sync::Arc;
use std::time::Duration;

use crate::desired::{Condition, Declares, Desired, Restart};
use crate::host::Step;
use crate::name::ObjectId;
use crate::observed::{Live, Record, Shares, State, Traffic};
use crate::plan::{Claims, Plan};
use crate::reconcile::Reconciler;
use crate::time::Time;

use super::Host;

/// The shortest time between two looks.
const TICK: Duration = Duration::from_millis(100);
/// The longest time between two looks.
const IDLE: Duration = Duration::from_secs(5);

/// One application on the simulated host.
#[derive(Debug, Clone)]
pub struct Run {
    /// The host.
    pub host: Host,
    /// What is wanted.
    pub desired: Arc<Desired>,
    /// What other applications hold.
    pub claims: Claims,
    reconciler: Reconciler,
    generation: u64,
    next: Time,
}

/// One turn in which something happened.
#[derive(Debug, Clone)]
pub struct Turn {
    /// When.
    pub at: Time,
    /// The plan of that moment.
    pub plan: Plan,
    /// Steps that were started, and joins and withdrawals.
    pub steps: Vec<Step>,
    /// Replicas of each workload that served before the turn.
    pub serving: Vec<(ObjectId, usize)>,
    /// Why the plan was refused: a bug of ours.
    pub refused: Vec<String>,
}

impl Run {
    /// Returns an application with nothing in its record.
    pub fn new(host: Host, desired: impl Into<Arc<Desired>>) -> Self {
        Run::resumed(host, desired, Record::default(), Traffic::default())
    }

    /// Returns an application that goes on from what is known of it.
    pub fn resumed(host: Host, desired: impl Into<Arc<Desired>>, record: Record, traffic: Traffic) -> Self {
        let (desired, generation) = (desired.into(), traffic.generation);
        let now = host.now();
        Run { reconciler: Reconciler::new(record, traffic, now), host, desired, claims: Claims::default(), generation, next: now }
    }

    /// Returns what is known of the application.
    pub fn reconciler(&self) -> &Reconciler {
        &self.reconciler
    }

    /// Gives access to what is known, for a decision of a person's.
    pub fn reconciler_mut(&mut self) -> &mut Reconciler {
        &mut self.reconciler
    }

    /// Returns a snapshot of the host, with each container counted as that of the application that has its object.
    pub fn seen(&self) -> Live {
        let mut live = self.host.read();
        let observed = self.reconciler.observed();
        self.reconciler.adopt(&self.desired, &mut live);
        live.recognise(&observed.known, &observed.traffic);
        live
    }

    /// Plans a round without carrying it out.
    pub fn plan(&self) -> Plan {
        let mut observed = self.reconciler.observed().clone();
        observed.live = self.seen();
        observed.probing = self.host.probing();
        crate::plan::plan(&self.desired, &self.claims, &observed, self.host.now())
    }

    /// Plans a round and starts its steps.
    pub fn turn(&mut self) -> Turn {
        self.look_at_images();
        self.host.let_complete(self.waited_for());
        let now = self.host.now();
        let live = self.seen();
        let shares = Shares::of(&live);
        let live = shares.share(&self.desired.application, iter::once(&*self.desired), self.reconciler.observed()).to_live();
        let serving = self.serving();
        self.reconciler.probed(self.host.probing());
        let round = self.reconciler.round(&self.desired, &self.claims, live, now);
        if round.publish {
            self.publish();
        }
        let traffic = round.plan.steps.iter().filter(|planned| matches!(planned.step, Step::Join { .. } | Step::Withdraw { .. }));
        let steps = traffic.map(|planned| planned.step.clone()).chain(round.start.iter().cloned()).collect();
        for step in round.start {
            self.host.start(step, self.desired.clone());
        }
        let due = round.plan.held.iter().filter_map(|held| held.until).filter(|until| *until > now);
        self.next = if round.plan.steps.is_empty() { due.chain(self.host.next_event()).min().unwrap_or(now + IDLE) } else { now };
        Turn { at: now, plan: round.plan, steps, serving, refused: round.refused }
    }

    /// Whoever knows what images declare has said so before; nobody else's image declares anything.
    fn look_at_images(&mut self) {
        let is_there = |image: &&str| self.host.live().has_image(image);
        let known: Vec<String> = self.desired.unknown_images().into_iter().filter(is_there).map(str::to_owned).collect();
        if known.is_empty() {
            return;
        }
        let workloads = Arc::make_mut(&mut self.desired).workloads.values_mut();
        let of_known = workloads.filter(|workload| workload.template.containers.iter().any(|container| known.contains(&container.image)));
        of_known.for_each(|workload| workload.template.options.declares = Declares::Manifest);
    }

    /// Returns the workloads that somebody waits for to have completed, and that do not begin again by themselves.
    fn waited_for(&self) -> BTreeSet<ObjectId> {
        let workloads = &self.desired.workloads;
        let dependencies = workloads.values().flat_map(|workload| &workload.dependencies);
        let waited = dependencies.filter(|dependency| dependency.condition == Condition::Completed).map(|dependency| &dependency.workload);
        waited.filter(|id| workloads.get(id).is_some_and(|workload| workload.restart != Restart::Always)).cloned().collect()
    }

    /// Returns how long to wait before the next turn: until something happens that is known.
    pub fn tick(&self) -> Duration {
        self.next.since(self.host.now()).clamp(TICK, IDLE)
    }

    /// Lets time pass; returns the steps that failed, with their reasons.
    pub fn pass(&mut self, duration: Duration) -> Vec<String> {
        let mut failures = Vec::new();
        let mut publish = false;
        for (step, outcome) in self.host.advance(duration) {
            if let Err(failure) = &outcome {
                failures.push(failure.message.clone());
            }
            publish |= self.reconciler.finish(&step, outcome, &self.desired, self.host.now());
        }
        if publish {
            self.publish();
        }
        failures
    }

    /// Runs until nothing is left to do, or for so long. Returns the turns in which steps were started.
    pub fn converge(&mut self, limit: Duration) -> Vec<Turn> {
        let end = self.host.now() + limit;
        let mut turns = Vec::new();
        loop {
            let turn = self.turn();
            let done = turn.plan.is_converged() && self.reconciler.observed().in_flight.is_empty();
            let refused = !turn.refused.is_empty();
            if !turn.steps.is_empty() || refused {
                turns.push(turn);
            }
            if done || refused || self.host.now() >= end {
                return turns;
            }
            let tick = self.tick();
            self.pass(tick);
        }
    }

    /// The agent is killed and started again: what was in flight lands without anybody being told, and
    /// only the record and what was published are left.
    pub fn kill_agent(&mut self) {
        self.host.disown();
        self.reconciler = self.again();
    }

    /// The engine is restarted: what it runs begins anew, and the agent looked away meanwhile.
    pub fn restart_engine(&mut self) {
        self.host.restart_engine();
        self.reconciler = self.again();
    }

    /// The host's clock is set by so many milliseconds, either way, and somebody notices.
    pub fn set_clock(&mut self, by: i64) {
        self.host.set_clock(by);
        self.next = self.next.moved(by);
        self.reconciler.clock_set(by, self.host.now());
    }

    fn again(&self) -> Reconciler {
        let observed = self.reconciler.observed();
        let traffic = Traffic { connections: Default::default(), ..observed.traffic.clone() };
        Reconciler::new(observed.record.clone(), traffic, self.host.now())
    }

    /// Returns how many replicas of each workload answer clients: they are published, and run. What does its work and
    /// ends answers nobody.
    pub fn serving(&self) -> Vec<(ObjectId, usize)> {
        let traffic = &self.reconciler.observed().traffic;
        let live = self.host.live();
        let count = |id: &ObjectId| {
            let joined = traffic.joined.iter().filter(|(replica, _)| replica.workload() == *id);
            joined
                .filter(|(_, joined)| {
                    live.container(&joined.container)
                        .is_some_and(|container| container.state == State::Running && container.started == Some(joined.started))
                })
                .count()
        };
        let waited_for = self.waited_for();
        self.desired.workloads.keys().filter(|id| !waited_for.contains(id)).map(|id| (id.clone(), count(id))).collect()
    }

    /// The data path serves what is published at once, and no connection stays open.
    fn publish(&mut self) {
        self.generation += 1;
        self.reconciler.published(self.generation);
        let left = self.reconciler.observed().traffic.left.values();
        let connections = left.flat_map(|left| left.addresses.iter().map(|address| (*address, 0))).collect();
        let labels = self.host.live().containers.iter().filter_map(|container| Some((container, container.labels.as_ref()?)));
        let fronts = labels.filter(|(_, labels)| labels.is_front()).map(|(container, _)| container.name.clone());
        let errors = self.host.scene.no_fronts.as_ref().map(|error| fronts.map(|front| (front, error.clone())).collect());
        self.reconciler.acknowledged(self.generation, &connections, &errors.unwrap_or_default());
    }
}
