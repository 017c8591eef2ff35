//! The simulated host: containers, networks, volumes and images as plain values, and a clock.

mod act;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::desired::{Desired, HostPort, Protocol};
use crate::host::{Class, Failure, Outcome, Step};
use crate::name::ObjectId;
use crate::observed::{Container, Live, Probing, State};
use crate::time::Time;

use super::{Behavior, Fault, Scene};

/// A call whose caller is gone lands within so long.
const LATEST: Duration = Duration::from_secs(1);

/// A step that is running.
#[derive(Debug, Clone)]
struct Running {
    step: Step,
    desired: Arc<Desired>,
    done_at: Time,
    fault: Option<Fault>,
    orphan: bool,
}

/// A host in memory.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// How it behaves.
    pub scene: Scene,
    live: Live,
    now: Time,
    running: Vec<Running>,
    untold: Vec<(Step, Outcome)>,
    next_id: u32,
    /// Workloads whose containers do their work and end with code 0.
    completing: BTreeSet<ObjectId>,
}

impl Host {
    /// Returns an empty host at a point in time.
    pub fn new(scene: Scene, now: Time) -> Self {
        Host { scene, now, ..Host::default() }
    }

    /// Returns a host that goes on from a snapshot of a real one.
    pub fn from_live(live: Live, scene: Scene, now: Time) -> Self {
        Host { scene, live, now, ..Host::default() }
    }

    /// Returns the time on its clock.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Sets its clock by so many milliseconds, either way. What containers have been doing is as old as it was
    /// on the old clock.
    pub fn set_clock(&mut self, by: i64) {
        self.now = self.now.moved(by);
        self.running.iter_mut().for_each(|running| running.done_at = running.done_at.moved(by));
    }

    /// Says which workloads do their work and end with code 0, because somebody waits for that.
    pub fn let_complete(&mut self, workloads: BTreeSet<ObjectId>) {
        self.completing = workloads;
    }

    /// Returns a snapshot.
    pub fn read(&self) -> Live {
        Live { at: self.now, ..self.live.clone() }
    }

    /// Returns what is on the host.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// Gives access to what is on the host, for changes by hand.
    pub fn live_mut(&mut self) -> &mut Live {
        &mut self.live
    }

    /// Somebody starts a container that is not ours, perhaps with a TCP port of the host.
    pub fn run_foreign(&mut self, name: &str, port: Option<u16>) {
        let container = self.container(name.to_owned(), None, None);
        let port = port.map(|port| HostPort { address: None, host_port: port, container_port: port, protocol: Protocol::Tcp });
        self.live.containers.push(Container { published: port.into_iter().collect(), ..container });
    }

    /// Starts a step of what is desired now; it is done when the clock has passed its duration.
    pub fn start(&mut self, step: Step, desired: Arc<Desired>) {
        let fault = self.scene.fault(&step.key());
        let factor = if fault == Some(Fault::Slow) { 10 } else { 1 };
        let done_at = self.now + self.duration(&step) * factor;
        self.running.push(Running { step, desired, done_at, fault, orphan: false });
    }

    /// Forgets who asked: running steps are carried out all the same, and nobody is told. What takes
    /// its time may land long after somebody else has begun to look.
    pub fn disown(&mut self) {
        self.untold.clear();
        for running in std::mem::take(&mut self.running) {
            match running.step {
                Step::Create { .. } | Step::Pull { .. } | Step::Stop { .. } => {
                    let done_at = running.done_at.min(self.now + LATEST);
                    self.running.push(Running { done_at, orphan: true, ..running });
                }
                _ => drop(self.end(running)),
            }
        }
    }

    /// Moves the clock and returns the steps that ended, in order. What a step did can be seen before
    /// it is told that it ended: those that ended now are returned the next time.
    pub fn advance(&mut self, duration: Duration) -> Vec<(Step, Outcome)> {
        self.now = self.now + duration;
        let (mut done, running): (Vec<Running>, Vec<Running>) =
            std::mem::take(&mut self.running).into_iter().partition(|running| running.done_at <= self.now);
        self.running = running;
        done.sort_by_key(|running| (running.done_at, running.step.key()));
        let told = std::mem::take(&mut self.untold);
        for running in done {
            let (step, orphan) = (running.step.clone(), running.orphan);
            let outcome = self.end(running);
            if !orphan {
                self.untold.push((step, outcome));
            }
        }
        self.live_on();
        told
    }

    /// Returns when something happens next, as far as it is known.
    pub fn next_event(&self) -> Option<Time> {
        if !self.untold.is_empty() {
            return Some(self.now);
        }
        let steps = self.running.iter().map(|running| running.done_at);
        let containers = self.live.containers.iter().filter(|container| container.state == State::Running).flat_map(|container| {
            let Behavior { ready_after, exits_after, .. } = self.behavior(&container.image);
            let settle = container.care.as_ref().map(|care| care.settle);
            let times = [ready_after, exits_after, settle, self.completes_after(container)].into_iter().flatten();
            times.filter_map(|after| Some(container.started? + after)).collect::<Vec<Time>>()
        });
        steps.chain(containers).filter(|at| *at > self.now).min()
    }

    /// Returns what probes say now.
    pub fn probing(&self) -> BTreeMap<String, Probing> {
        self.live.containers.iter().filter_map(|container| Some((container.id.clone(), self.probe(container)?))).collect()
    }

    /// Stops everything and starts again what has a restart policy, as a restart of the engine does.
    pub fn restart_engine(&mut self) {
        self.untold.clear();
        for running in std::mem::take(&mut self.running) {
            let _ = self.end(running);
        }
        let now = self.now;
        for container in self.live.containers.iter_mut().filter(|container| container.labels.is_some()) {
            match container.state {
                State::Running | State::Restarting | State::Exited(_) if !container.leaving => {
                    container.state = State::Running;
                    container.started = Some(now);
                    container.stopped_by_hand = None;
                    container.restarts = 0;
                }
                State::Running | State::Restarting | State::Paused => {
                    container.state = State::Exited(0);
                    container.finished = Some(now);
                }
                _ => {}
            }
        }
    }

    fn behavior(&self, image: &str) -> Behavior {
        self.scene.behaviors.get(image).copied().unwrap_or_default()
    }

    fn probe(&self, container: &Container) -> Option<Probing> {
        let started = container.started?;
        let ready_at = self.behavior(&container.image).ready_after.map(|after| started + after).filter(|at| *at <= self.now);
        let ports = container.care.as_ref().map(|care| care.ports.clone()).unwrap_or_default();
        Some(Probing {
            started: Some(started),
            startup_passed: ready_at,
            ready_since: ready_at,
            accepting: ready_at.map(|at| ports.into_iter().map(|port| (port, at)).collect()).unwrap_or_default(),
            message: ready_at.is_none().then(|| "HTTP status 503".to_owned()),
            ..Probing::default()
        })
    }

    fn duration(&self, step: &Step) -> Duration {
        Duration::from_millis(match step {
            Step::Pull { .. } => 1_000,
            Step::Create { .. } | Step::CreateFront { .. } | Step::Start { .. } => 300,
            Step::Stop { container, .. } | Step::Restart { container, .. } => {
                let image = self.live.container(container).map(|container| container.image.clone()).unwrap_or_default();
                u64::try_from(self.behavior(&image).stops_within.as_millis()).unwrap_or(u64::MAX)
            }
            _ => 100,
        })
    }

    fn end(&mut self, running: Running) -> Outcome {
        let desired = &*running.desired;
        let failure = |message: &str| Err(Failure { class: Class::Host, message: format!("failed to {}: {message}", running.step) });
        match running.fault {
            Some(Fault::Error) => failure("injected fault"),
            Some(Fault::Lost) => {
                let _ = self.carry_out(&running.step, desired);
                failure("connection lost")
            }
            Some(Fault::Vanish) => {
                let outcome = self.carry_out(&running.step, desired);
                let key = running.step.key();
                self.live.containers.retain(|container| container.labels.as_ref().is_none_or(|labels| labels.object.to_string() != key));
                outcome
            }
            Some(Fault::Slow) | None => self.carry_out(&running.step, desired),
        }
    }

    /// Returns how long after its start a container has done its work, if somebody waits for that.
    fn completes_after(&self, container: &Container) -> Option<Duration> {
        let waited_for = container.labels.as_ref().is_some_and(|labels| self.completing.contains(&labels.object.workload()));
        let Behavior { ready_after, exits_after, .. } = self.behavior(&container.image);
        ready_after.filter(|_| waited_for && exits_after.is_none() && !container.leaving)
    }

    /// Lets containers that end do so, and the engine restart them.
    fn live_on(&mut self) {
        let now = self.now;
        let done: Vec<Option<Duration>> = self.live.containers.iter().map(|container| self.completes_after(container)).collect();
        for (container, after) in self.live.containers.iter_mut().zip(done) {
            let (Some(after), Some(started)) = (after, container.started) else { continue };
            if container.state == State::Running && now >= started + after {
                (container.state, container.finished, container.exit_code) = (State::Exited(0), Some(now), Some(0));
            }
        }
        let ends: Vec<Option<Duration>> =
            self.live.containers.iter().map(|container| self.behavior(&container.image).exits_after).collect();
        for (container, exits_after) in self.live.containers.iter_mut().zip(ends) {
            let (Some(after), Some(started)) = (exits_after, container.started) else { continue };
            if container.state == State::Running && now >= started + after {
                container.finished = Some(now);
                if container.leaving {
                    container.state = State::Exited(1);
                } else {
                    container.restarts += 1;
                    container.started = Some(now);
                }
            }
        }
    }
}
