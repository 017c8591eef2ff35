//! What the command line and a running agent say to each other over the socket.
//!
//! One request as a line of JSON, then answers as lines of JSON until the last, which is `Done` or
//! `Error`. The values are the very ones that the agent executes; the command line only renders them.

use serde::{Deserialize, Serialize};

use crate::host::Class;
use crate::report::{HistoryReport, StatusReport};
use crate::time::Time;

pub use crate::report::{PlanAnswer, PlanRound};

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
        /// How long it waits, in seconds, while nothing happens that does not depend on others.
        wait: u64,
    },
    /// What drifts. The answer is the plan: its `drift` is the report.
    Drift {
        /// Which application.
        application: Option<String>,
        /// Also looks for files that were changed inside of containers.
        #[serde(default)]
        files: bool,
    },
    /// How applications stand.
    Status {
        /// Which application.
        application: Option<String>,
        /// Answers anew whenever something changes, until nobody listens.
        #[serde(default)]
        watch: bool,
    },
    /// What happened to one application, or to all.
    History {
        /// Which application.
        application: Option<String>,
        /// How many events of each, the newest first.
        limit: u32,
    },
    /// Tries a failed rollout once more.
    Retry {
        /// Which application.
        application: String,
    },
    /// Goes back to a revision that was healthy, and answers when it is done.
    Rollback {
        /// Which application.
        application: String,
        /// The revision, or its first characters; the last one if there is none.
        to: Option<String>,
        /// How long it waits, in seconds, while nothing happens that does not depend on others.
        wait: u64,
    },
    /// How many replicas a workload has: as a patch to Git, or for a while.
    Scale {
        /// Which application.
        application: String,
        /// Which workload, by its name or the end of its object.
        workload: String,
        /// How many.
        replicas: u32,
        /// Sets it now, until then, and writes no patch.
        until: Option<Time>,
    },
    /// Keeps hands off an application, or off one of its workloads.
    Suspend {
        /// Which application.
        application: String,
        /// Which workload, by its name or the end of its object.
        workload: Option<String>,
    },
    /// Takes an application with all its workloads, or one of them, up again.
    Resume {
        /// Which application.
        application: String,
        /// Which workload, by its name or the end of its object.
        workload: Option<String>,
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
    /// What happened to one application.
    History(HistoryReport),
    /// A change to what is in Git, for its author to apply.
    Patch {
        /// The file, from the top of the repository.
        file: String,
        /// The change, as a unified diff.
        patch: String,
    },
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_arrives_as_it_was_sent() {
        let text = r#"{"answer": "plan", "host": "box", "refused": false, "rolledBack": null, "rounds": null, "plan": {
            "application": "shop", "revision": "3f2a9c1", "id": "1", "failed": null, "changes": [], "held": [], "deferred": [], "drift": [],
            "findings": [], "workloads": [], "steps": [{
                "id": "start:shop/Deployment/web/x", "object": "shop/Deployment/web/x", "reason": "it ended",
                "step": {"action": "start", "object": "shop/Deployment/web/x", "container": "c0ffee"}
            }]
        }}"#;
        let answer: Answer = serde_json::from_str(text).expect("an answer");
        let line = serde_json::to_string(&answer).expect("answers become JSON");
        assert_eq!(serde_json::from_str::<Answer>(&line).expect("an answer"), answer);
    }
}
