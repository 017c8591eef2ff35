//! One application's plan, as a value: what `plan` and `drift` print and the socket answers.

use serde::{Deserialize, Serialize};

use crate::plan::{Drift, Plan};
use crate::time::Time;

/// One application's plan, and its rounds if they were asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanAnswer {
    /// The host's name.
    pub host: String,
    /// The plan.
    pub plan: Plan,
    /// The rounds to its end, on the simulator.
    pub rounds: Option<Vec<PlanRound>>,
    /// The revision was refused because of errors: the plan is that of the last good one.
    pub refused: bool,
    /// The rollout of this revision failed before, and why: the plan is that of the last healthy one.
    pub rolled_back: Option<String>,
    /// What was healed lately, oldest first.
    #[serde(default)]
    pub healed: Vec<Healed>,
}

/// Drift that is no more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Healed {
    /// What it was.
    #[serde(flatten)]
    pub drift: Drift,
    /// When it was gone.
    pub at: Time,
}

/// One round of a plan, on the simulator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanRound {
    /// Time since the first round, in milliseconds of the simulator's clock.
    pub at: u64,
    /// Its steps, in words.
    pub steps: Vec<String>,
    /// What is held, and why.
    pub held: Vec<String>,
    /// Replicas that serve, by workload.
    pub serving: Vec<(String, usize)>,
}
