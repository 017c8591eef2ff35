//! Asks the probes of running containers and keeps what they said.
//!
//! It decides nothing about a replica: it counts answers (Kubernetes' rules, "Configure Liveness,
//! Readiness and Startup Probes") and says that something changed. One task per start of a container;
//! what an earlier start answered is never mixed with a later one.

mod ask;
mod question;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::JoinHandle;

use crate::desired::Care;
use crate::observed::Probing;
use crate::time::Time;

pub use ask::{Answer, Ask, Asker, Exec};

/// A running container that shall be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Its id.
    pub container: String,
    /// When it was started.
    pub started: Time,
    /// Its address, if it has one; `127.0.0.1` for one on the host's own network.
    pub address: Option<Ipv4Addr>,
    /// What is asked.
    pub care: Care,
}

/// Asks the probes of containers until it is dropped.
pub struct Prober {
    shared: Arc<Shared>,
    tasks: BTreeMap<String, (Wanted, JoinHandle<()>)>,
}

/// What all tasks share.
struct Shared {
    ask: Box<dyn Ask>,
    clock: Box<dyn Fn() -> Time + Send + Sync>,
    poke: Box<dyn Fn() + Send + Sync>,
    results: Mutex<BTreeMap<String, Probing>>,
}

impl Prober {
    /// Returns a prober that asks nothing yet. It calls `poke` when a decision changes, not at every
    /// answer.
    pub fn new(ask: impl Ask + 'static, poke: impl Fn() + Send + Sync + 'static) -> Self {
        Prober::with_clock(ask, poke, || Time(jiff::Timestamp::now().as_millisecond()))
    }

    fn with_clock(
        ask: impl Ask + 'static,
        poke: impl Fn() + Send + Sync + 'static,
        clock: impl Fn() -> Time + Send + Sync + 'static,
    ) -> Self {
        let (ask, poke, clock) = (Box::new(ask), Box::new(poke), Box::new(clock));
        Prober { shared: Arc::new(Shared { ask, clock, poke, results: Mutex::default() }), tasks: BTreeMap::new() }
    }

    /// Asks exactly these containers from now on. A container whose questions or address changed
    /// keeps what is known of it; one that was started anew does not.
    pub fn sync(&mut self, wanted: Vec<Wanted>) {
        let ids: BTreeSet<&String> = wanted.iter().map(|wanted| &wanted.container).collect();
        self.tasks.retain(|container, (_, task)| {
            let stays = ids.contains(container);
            if !stays {
                task.abort();
            }
            stays
        });
        self.shared.results().retain(|container, _| ids.contains(container));
        for wanted in wanted {
            match self.tasks.get(&wanted.container) {
                Some((current, _)) if *current == wanted => continue,
                Some((_, task)) => task.abort(),
                None => {}
            }
            self.shared.begin(&wanted);
            let task = tokio::spawn(question::run(self.shared.clone(), wanted.clone()));
            self.tasks.insert(wanted.container.clone(), (wanted, task));
        }
    }

    /// The host's clock was set by so many milliseconds: since when something was good is told by the new
    /// clock.
    pub fn clock_set(&self, by: i64) {
        for probing in self.shared.results().values_mut() {
            let started = probing.started;
            // A start is the engine's own time, and stays what it was.
            let own = probing.startup_passed.as_mut().filter(|passed| Some(**passed) != started);
            let times = own.into_iter().chain(&mut probing.ready_since).chain(probing.accepting.values_mut());
            times.for_each(|time| *time = time.moved(by));
        }
    }

    /// Returns what the probes said, by container id.
    pub fn results(&self) -> BTreeMap<String, Probing> {
        self.shared.results().clone()
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        for (_, task) in self.tasks.values() {
            task.abort();
        }
    }
}

impl Shared {
    fn results(&self) -> MutexGuard<'_, BTreeMap<String, Probing>> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Time {
        (self.clock)()
    }

    /// Makes room for what one start of a container will answer.
    fn begin(&self, wanted: &Wanted) {
        let mut results = self.results();
        let probing = results.entry(wanted.container.clone()).or_default();
        if probing.started != Some(wanted.started) {
            *probing = Probing { started: Some(wanted.started), ..Probing::default() };
        }
        // Other questions deserve a new answer; what was good stays so until then.
        probing.must_restart = false;
        probing.accepting.retain(|port, _| wanted.care.ports.contains(port));
        if wanted.care.probes.startup.is_none() {
            probing.startup_passed = Some(wanted.started);
        }
        if wanted.care.probes.readiness.is_none() {
            (probing.unready, probing.ready_since) = (false, None);
        }
    }

    /// Changes what is known of one start of a container, and pokes if `change` says that a decision
    /// changed.
    fn update(&self, wanted: &Wanted, change: impl FnOnce(&mut Probing) -> bool) {
        let changed = match self.results().get_mut(&wanted.container) {
            Some(probing) if probing.started == Some(wanted.started) => change(probing),
            _ => false,
        };
        if changed {
            (self.poke)();
        }
    }
}

#[cfg(test)]
mod tests;
