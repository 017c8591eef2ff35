//! A plan run to its end, as rounds that people read.

use std::sync::Arc;
use std::time::Duration;

use crate::desired::Mode;
use crate::report::PlanRound;
use crate::time::Time;

use super::{Run, Turn};

/// A plan is run for at most so long on the simulator's clock.
const LONGEST_RUN: Duration = Duration::from_secs(3600);
/// So many rounds are shown at most.
const MOST_ROUNDS: usize = 200;
/// The clock's step between two looks.
const TICK: Duration = Duration::from_millis(100);
/// Beyond every wait that is known, nothing is expected any more after so long.
const MARGIN: Duration = Duration::from_secs(60);

/// Runs an application to its end and returns the rounds in which something was done, as they would be
/// were it applied. If it does not converge, the last round has no steps and says what is still held.
pub fn rounds(mut run: Run) -> Vec<PlanRound> {
    Arc::make_mut(&mut run.desired).settings.mode = Mode::Auto;
    let start = run.host.now();
    let quiet = longest_wait(&run);
    let mut rounds = Vec::new();
    let mut active = start;
    loop {
        let turn = run.turn();
        let idle = run.reconciler().observed().in_flight.is_empty();
        let converged = turn.plan.is_converged() && idle;
        let refused = !turn.refused.is_empty();
        let now = turn.at;
        if !turn.steps.is_empty() || !idle {
            active = now;
        }
        let over = refused || now.since(active) > quiet || now.since(start) > LONGEST_RUN || rounds.len() >= MOST_ROUNDS;
        if !turn.steps.is_empty() || (over && !converged) {
            rounds.push(round(turn, start));
        }
        if converged || over {
            return rounds;
        }
        run.pass(TICK);
    }
}

/// Returns how long nothing may happen although something still will: deadlines and drains.
fn longest_wait(run: &Run) -> Duration {
    let workloads =
        run.desired.workloads.values().flat_map(|workload| [workload.deadline.unwrap_or_default(), workload.min_ready, workload.delay]);
    workloads.chain([run.desired.settings.drain]).max().unwrap_or_default() + MARGIN
}

fn round(turn: Turn, start: Time) -> PlanRound {
    PlanRound {
        at: u64::try_from(turn.at.since(start).as_millis()).unwrap_or(u64::MAX),
        steps: turn.steps.iter().map(ToString::to_string).collect(),
        held: turn.plan.held.iter().map(|held| format!("{}: {}", held.object, held.reason)).collect(),
        serving: turn.serving.into_iter().map(|(id, count)| (id.to_string(), count)).collect(),
    }
}
