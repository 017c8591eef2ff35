//! `status`: how applications stand.

use clap::Args;

use crate::agent::protocol::{Answer, Request};
use crate::report::{status_json, status_markdown, status_text};

use super::Context;
use super::error::Error;
use super::exit::Exit;
use super::hear::hear;
use super::session::{Question, ask};
use super::target::{AloneFlags, Format, OutputFlags, Target};

const EXAMPLES: &str = "Examples:
  driftless status                     all applications
  driftless status shop -o json        one, for programs

Sync:    Synced, OutOfSync, Unknown
Health:  Healthy, Progressing, Degraded, Suspended, Missing, Unknown";

/// Show how the applications stand
///
/// Of each application: its revision, whether the host is what Git asks for (sync), whether what runs does what it should (health),
/// its workloads, and what waits for what.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Status {
    /// Application; all if absent
    #[arg(value_name = "APP")]
    application: Option<String>,

    #[command(flatten)]
    output: OutputFlags,

    #[command(flatten)]
    alone: AloneFlags,
}

pub(super) async fn run(context: &Context, arguments: &Status) -> Result<Exit, Error> {
    let target = Target::named(arguments.application.as_deref());
    let request = Request::Status { application: target.name() };
    let question = Question { command: "status", target: &target, config: arguments.alone.config.as_deref(), folder: None };
    let answers = ask(context, &question, request).await?;
    let end = hear(context, answers, |answer| {
        let Answer::Status(report) = answer else { return Ok(()) };
        context.ui.data(&match arguments.output.output {
            Format::Text => status_text(&report, context.ui.out),
            Format::Json => status_json(&report),
            Format::Markdown => status_markdown(&report),
        })
    })
    .await?;
    Ok(end.exit)
}
