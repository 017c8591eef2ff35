//! `plan`: what would change, what is done now, and what waits.

use clap::Args;

use crate::agent::protocol::{Answer, PlanAnswer, Request};
use crate::plan::Sync;
use crate::report::{plan_json, plan_markdown, plan_text};

use super::Context;
use super::error::Error;
use super::exit::Exit;
use super::hear::hear;
use super::session::{Question, ask};
use super::target::{AloneFlags, FolderFlags, Format, Gap, OutputFlags, Target};

const EXAMPLES: &str = "Examples:
  driftless plan                       the plans of all applications of the running agent
  driftless plan shop --rounds         the whole rollout of one, simulated to its end
  driftless plan ./deploy              of a folder as it is now, without a commit
  driftless plan shop --exit-code      for scripts: 3 if something is pending

Marks: + created, ~ changed in place, * replaced, - removed. With several applications, JSON has one
document per line.";

/// Show what would change, what is done now, and what waits
///
/// The plan is the very value that the agent executes. Its id stands at its end: `apply --plan ID` applies that plan or none.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Plan {
    /// Application, or a folder of manifests (with a slash, as in `./deploy`); all applications if absent
    #[arg(value_name = "APP|PATH")]
    target: Option<String>,

    /// Run the plan to its end on a simulated host and show every round
    #[arg(long)]
    rounds: bool,

    /// Exit with 3 if changes are pending
    #[arg(long)]
    exit_code: bool,

    #[command(flatten)]
    output: OutputFlags,

    #[command(flatten)]
    alone: AloneFlags,

    #[command(flatten)]
    folder: FolderFlags,
}

pub(super) async fn run(context: &Context, arguments: &Plan) -> Result<Exit, Error> {
    let target = Target::parse(arguments.target.as_deref());
    let request = Request::Plan { application: target.name(), rounds: arguments.rounds };
    let question =
        Question { command: "plan", target: &target, config: arguments.alone.config.as_deref(), folder: Some(&arguments.folder) };
    let answers = ask(context, &question, request).await?;
    let mut exit = Exit::Done;
    let mut gap = Gap::default();
    let end = hear(context, answers, |answer| {
        let Answer::Plan(plan) = answer else { return Ok(()) };
        exit = exit.worse(verdict(&plan, arguments.exit_code));
        let text = match arguments.output.output {
            Format::Text => plan_text(&plan, context.ui.out),
            Format::Json => plan_json(&plan),
            Format::Markdown => plan_markdown(&plan),
        };
        context.ui.data(&format!("{}{text}", gap.before(arguments.output.output)))
    })
    .await?;
    Ok(end.exit.worse(exit))
}

fn verdict(answer: &PlanAnswer, exit_code: bool) -> Exit {
    let plan = &answer.plan;
    if answer.refused || answer.rolled_back.is_some() || plan.failed.is_some() {
        return Exit::Act;
    }
    let pending = plan.sync() != Sync::Synced || !plan.steps.is_empty();
    if exit_code && pending { Exit::Pending } else { Exit::Done }
}
