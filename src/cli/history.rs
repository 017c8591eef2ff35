//! `history`: what happened to applications.

use clap::Args;

use crate::agent::protocol::{Answer, Request};
use crate::report::{history_json, history_markdown, history_text};

use super::Context;
use super::error::Error;
use super::exit::Exit;
use super::hear::hear;
use super::session::{Question, ask};
use super::target::{AloneFlags, Format, Gap, OutputFlags, Target};

const EXAMPLES: &str = "Examples:
  driftless history shop               the last 20 events, newest first
  driftless history shop --limit 1000  all that are kept";

/// Show what happened to the applications
///
/// Of each application, newest first: new revisions, refusals with their findings, rollouts that became healthy or were rolled
/// back, drift and its healing.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct History {
    /// Application; all if absent
    #[arg(value_name = "APP")]
    application: Option<String>,

    /// So many events of each
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    limit: u32,

    #[command(flatten)]
    output: OutputFlags,

    #[command(flatten)]
    alone: AloneFlags,
}

pub(super) async fn run(context: &Context, arguments: &History) -> Result<Exit, Error> {
    let target = Target::named(arguments.application.as_deref());
    let request = Request::History { application: target.name(), limit: arguments.limit };
    let question = Question { command: "history", target: &target, config: arguments.alone.config.as_deref(), folder: None };
    let answers = ask(context, &question, request).await?;
    let format = arguments.output.output;
    let mut gap = Gap::default();
    let end = hear(context, answers, |answer| {
        let Answer::History(report) = answer else { return Ok(()) };
        let text = match format {
            Format::Text => history_text(&report, context.ui.out),
            Format::Json => history_json(&report),
            Format::Markdown => history_markdown(&report),
        };
        context.ui.data(&format!("{}{text}", gap.before(format)))
    })
    .await?;
    Ok(end.exit)
}
