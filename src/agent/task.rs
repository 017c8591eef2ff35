//! Running steps beside the loop, within bounds.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use crate::desired::Desired;
use crate::docker::Docker;
use crate::host::{Class, Failure, Outcome, Step};

/// How many steps run at once: starts are bound by the engine's own work (about two for each core),
/// pulls by the network, stops only wait for processes to end.
pub(super) struct Bounds {
    start: Arc<Semaphore>,
    pull: Arc<Semaphore>,
    stop: Arc<Semaphore>,
}

impl Bounds {
    /// Returns the bounds for this machine.
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Bounds {
            start: Arc::new(Semaphore::new((2 * cores).max(2))),
            pull: Arc::new(Semaphore::new(3)),
            stop: Arc::new(Semaphore::new(32)),
        }
    }

    fn of(&self, step: &Step) -> Arc<Semaphore> {
        match step {
            Step::Pull { .. } => self.pull.clone(),
            Step::Stop { .. } | Step::Restart { .. } => self.stop.clone(),
            _ => self.start.clone(),
        }
    }

    /// Runs a step in a task; `begun` is called when its turn has come, `ended` when it is over.
    pub(super) fn run(
        &self,
        docker: Docker,
        step: Step,
        desired: Arc<Desired>,
        begun: impl FnOnce() + Send + 'static,
        ended: impl FnOnce(Outcome, Duration) + Send + 'static,
    ) -> AbortHandle {
        let bound = self.of(&step);
        let task = tokio::spawn(async move {
            let _turn = bound.acquire_owned().await;
            begun();
            let started = Instant::now();
            // Whatever happens, the step ends: one in flight for ever would keep its object for ever.
            let outcome = AssertUnwindSafe(docker.run(&step, &desired))
                .catch_unwind()
                .await
                .unwrap_or_else(|_| Err(Failure { class: Class::Internal, message: format!("failed to {step}: this is a bug of ours") }));
            ended(outcome, started.elapsed());
        });
        task.abort_handle()
    }
}
