//! A plan run to its end, as rounds that people read.

use std::time::Duration;

use crate::desired::Mode;
use crate::report::PlanRound;

use super::{Run, Turn};

/// A plan is run for at most so long on the simulator's clock.
const LONGEST_RUN: Duration = Duration::from_secs(3600);
/// So many rounds are shown at most.
const MOST_ROUNDS: usize = 200;

/// Runs an application to its end and returns the rounds in which something was done, as they would be
/// were it applied.
pub fn rounds(mut run: Run) -> Vec<PlanRound> {
    run.desired.settings.mode = Mode::Auto;
    let start = run.host.now();
    let round = |turn: Turn| PlanRound {
        at: u64::try_from(turn.at.since(start).as_millis()).unwrap_or(u64::MAX),
        steps: turn.steps.iter().map(ToString::to_string).collect(),
        held: turn.plan.held.iter().map(|held| format!("{}: {}", held.object, held.reason)).collect(),
        serving: turn.serving.into_iter().map(|(id, count)| (id.to_string(), count)).collect(),
    };
    run.converge(LONGEST_RUN).into_iter().take(MOST_ROUNDS).map(round).collect()
}
