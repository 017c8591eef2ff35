//! The order and pace of one container's questions, and what its answers decide.
//!
//! Startup alone until it succeeds, then liveness and readiness side by side. After a decision to
//! restart nothing more is asked: the next start is another task. Answers that are no answers (the
//! engine could not run a command) count neither way.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::desired::{Action, Probe};
use crate::observed::{PORT_PERIOD, Question};

use super::{Answer, Shared, Wanted};

/// After so long a silent port is asked less often: probably nothing will ever listen there.
const PORT_PATIENCE: Duration = Duration::from_secs(60);
/// How often a port is asked that has been silent for long.
const SLOW_PORT_PERIOD: Duration = Duration::from_secs(5);
/// How long a port may take to accept; on one host that is immediate.
const PORT_TIMEOUT: Duration = Duration::from_secs(1);

/// Asks all questions of one start of a container, until a probe asks for a restart.
pub(super) async fn run(shared: Arc<Shared>, wanted: Wanted) {
    let asking = Asking { shared: &shared, wanted: &wanted, began: Instant::now(), age: shared.now().since(wanted.started) };
    let probes = &wanted.care.probes;
    let started = shared.results().get(&wanted.container).is_some_and(|probing| probing.startup_passed.is_some());
    if let Some(probe) = &probes.startup
        && !started
    {
        let mut question = Question::default();
        let good = asking.until_decided("startup", probe, &mut question).await;
        asking.startup(good);
        if !good {
            return;
        }
    }
    tokio::select! {
        () = asking.liveness() => {}
        // Readiness and ports are asked for as long as the container lives.
        () = async { tokio::join!(asking.readiness(), asking.ports()); std::future::pending().await } => {}
    }
}

struct Asking<'a> {
    shared: &'a Shared,
    wanted: &'a Wanted,
    /// When its questions began, and how long the container had run by then. Counted without the host's
    /// clock, which may be set meanwhile.
    began: Instant,
    age: Duration,
}

impl Asking<'_> {
    fn startup(&self, good: bool) {
        let now = self.shared.now();
        self.shared.update(self.wanted, |probing| {
            match good {
                true => (probing.startup_passed, probing.message) = (Some(now), None),
                false => probing.must_restart = true,
            }
            true
        });
    }

    /// Returns when the liveness probe has asked for a restart.
    async fn liveness(&self) {
        let Some(probe) = &self.wanted.care.probes.liveness else { return std::future::pending().await };
        let mut question = Question::default();
        while self.until_decided("liveness", probe, &mut question).await {
            sleep(probe.period).await;
        }
        self.shared.update(self.wanted, |probing| !std::mem::replace(&mut probing.must_restart, true));
    }

    async fn readiness(&self) {
        let Some(probe) = &self.wanted.care.probes.readiness else { return };
        let mut question = Question::default();
        loop {
            let good = self.until_decided("readiness", probe, &mut question).await;
            let now = self.shared.now();
            self.shared.update(self.wanted, |probing| {
                let changed = if good { probing.ready_since.is_none() } else { !probing.unready };
                match good {
                    true => {
                        probing.ready_since.get_or_insert(now);
                        probing.message = None;
                    }
                    false => probing.ready_since = None,
                }
                probing.unready = !good;
                changed
            });
            sleep(probe.period).await;
        }
    }

    /// Asks until a run of equal answers is long enough to decide.
    async fn until_decided(&self, name: &str, probe: &Probe, question: &mut Question) -> bool {
        sleep_until(self.began + probe.initial_delay.saturating_sub(self.age)).await;
        loop {
            let asked = Instant::now();
            let good = match self.shared.ask.ask(self.wanted, &probe.action, probe.timeout).await {
                Answer::Good => Some(true),
                Answer::Bad(message) => {
                    self.shared.update(self.wanted, |probing| {
                        probing.message = Some(format!("{name} probe: {message}"));
                        false
                    });
                    Some(false)
                }
                Answer::None(reason) => {
                    tracing::debug!(container = %self.wanted.container, probe = name, %reason, "no answer");
                    None
                }
            };
            if let Some(decision) = good.and_then(|good| question.answer(good, probe)) {
                return decision;
            }
            sleep_until(asked + probe.period).await;
        }
    }

    /// Without a readiness probe, asks each port until it accepts, and then never again: Kubernetes
    /// would not ask at all, and some servers log each such connection or count it against the client.
    /// A process that dies takes its container along, which is noticed without asking.
    async fn ports(&self) {
        if self.wanted.care.probes.readiness.is_some() {
            return;
        }
        let known = self.shared.results().get(&self.wanted.container).map(|probing| probing.accepting.clone()).unwrap_or_default();
        let silent = self.wanted.care.ports.iter().filter(|port| !known.contains_key(port));
        futures_util::future::join_all(silent.map(|port| self.port(*port))).await;
    }

    async fn port(&self, port: u16) {
        let action = Action::Tcp { host: None, port };
        loop {
            let asked = Instant::now();
            if self.shared.ask.ask(self.wanted, &action, PORT_TIMEOUT).await == Answer::Good {
                let now = self.shared.now();
                self.shared.update(self.wanted, |probing| probing.accepting.insert(port, now).is_none());
                return;
            }
            let is_patient = self.age + self.began.elapsed() < PORT_PATIENCE;
            sleep_until(asked + if is_patient { PORT_PERIOD } else { SLOW_PORT_PERIOD }).await;
        }
    }
}
