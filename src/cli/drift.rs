//! `drift`: what differs on the host although Git did not move.

use clap::Args;

use crate::agent::protocol::{Answer, Request};
use crate::report::{drift_json, drift_markdown, drift_text};

use super::Context;
use super::error::Error;
use super::exit::Exit;
use super::hear::hear;
use super::session::{Question, ask};
use super::target::{AloneFlags, Format, Gap, OutputFlags, Target};

const EXAMPLES: &str = "Examples:
  driftless drift                      of all applications
  driftless drift shop -o json         for programs
  driftless drift shop --files         also files that were changed inside of containers
  driftless drift --exit-code          for a cron job: 3 if anything drifts";

/// Show what was changed by hand, field by field
///
/// Drift is what differs on the host although Git did not move. Whether it is healed or only reported is up to the application's
/// mode. Values are shown as `applied -> found`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Drift {
    /// Application; all if absent
    #[arg(value_name = "APP")]
    application: Option<String>,

    /// Look for files that were changed inside of containers, too: slower, and never healed
    #[arg(long)]
    files: bool,

    /// Exit with 3 if anything drifts
    #[arg(long)]
    exit_code: bool,

    #[command(flatten)]
    output: OutputFlags,

    #[command(flatten)]
    alone: AloneFlags,
}

pub(super) async fn run(context: &Context, arguments: &Drift) -> Result<Exit, Error> {
    let target = Target::named(arguments.application.as_deref());
    let request = Request::Drift { application: target.name(), files: arguments.files };
    let question = Question { command: "drift", target: &target, config: arguments.alone.config.as_deref(), folder: None };
    let answers = ask(context, &question, request).await?;
    let mut exit = Exit::Done;
    let mut gap = Gap::default();
    let end = hear(context, answers, |answer| {
        let Answer::Plan(plan) = answer else { return Ok(()) };
        if arguments.exit_code && !plan.plan.drift.is_empty() {
            exit = Exit::Pending;
        }
        let text = match arguments.output.output {
            Format::Text => drift_text(&plan, context.ui.out),
            Format::Json => drift_json(&plan),
            Format::Markdown => drift_markdown(&plan),
        };
        context.ui.data(&format!("{}{text}", gap.before(arguments.output.output)))
    })
    .await?;
    Ok(end.exit.worse(exit))
}
