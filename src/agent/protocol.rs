//! What the command line and a running agent say to each other over the socket.
//!
//! One request as a line of JSON, then answers as lines of JSON until the last, which is `Done` or
//! `Error`. The values are the very ones that the agent executes; the command line only renders them.

use serde::{Deserialize, Serialize};

use crate::host::Class;
use crate::plan::Plan;
use crate::report::StatusReport;

/// What is asked of the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "camelCase")]
pub enum Request {
    /// The plan of one application, or of all.
    Plan {
        /// Which application.
        application: Option<String>,
        /// Runs the plan to its end on the simulator, too.
        rounds: bool,
    },
    /// Applies, and answers when it is done.
    Apply {
        /// Which application; all if there is none.
        application: Option<String>,
        /// Only if the plan still has this id.
        plan: Option<String>,
        /// Permits to remove everything.
        prune_all: bool,
    },
    /// What drifts. The answer is the plan: its `drift` is the report.
    Drift {
        /// Which application.
        application: Option<String>,
    },
    /// How applications stand.
    Status {
        /// Which application.
        application: Option<String>,
    },
    /// Tries a failed rollout once more.
    Retry {
        /// Which application.
        application: String,
    },
}

/// What the agent answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "camelCase")]
pub enum Answer {
    /// One application's plan.
    Plan(Box<PlanAnswer>),
    /// How applications stand.
    Status(StatusReport),
    /// What happens while `apply` runs.
    Progress(Progress),
    /// The request is done; the exit code is for the command line.
    Done {
        /// 0 or 1, as the contract says.
        exit_code: u8,
        /// One sentence.
        message: String,
    },
    /// The request cannot be answered.
    Error {
        /// Who has to do something.
        class: Class,
        /// What was being done and why it failed: the error and its causes.
        messages: Vec<String>,
        /// What to do next.
        hint: Option<String>,
    },
}

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

/// Something that happened while a plan is carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase")]
pub enum Progress {
    /// A step began.
    Started {
        /// The step, in words.
        step: String,
    },
    /// A step ended well.
    Done {
        /// The step, in words.
        step: String,
        /// How long it took, in milliseconds.
        millis: u64,
    },
    /// A step failed and will be tried again.
    Failed {
        /// The step, in words.
        step: String,
        /// Why.
        message: String,
    },
    /// A workload stands differently than before.
    Workload {
        /// Its name.
        object: String,
        /// How it stands, in words.
        message: String,
    },
    /// Something that is worth a line.
    Note {
        /// The line.
        message: String,
    },
}
