//! `status`: how applications stand.

use clap::Args;

use crate::agent::protocol::{Answer, Request};
use crate::plan::{Health, Sync};
use crate::report::{ApplicationStatus, status_json, status_markdown, status_text};

use super::Context;
use super::error::Error;
use super::exit::Exit;
use super::hear::hear;
use super::session::{Question, ask};
use super::target::{AloneFlags, Format, OutputFlags, Target};
use super::watch::watch;

const EXAMPLES: &str = "Examples:
  driftless status                     all applications
  driftless status shop -o json        one, for programs
  driftless status --watch             as it changes, until Ctrl-C; into a pipe one line per change
  driftless status --exit-code         for scripts

With --exit-code: 0 if all is Synced and nothing is under way, 3 if something is pending, 1 if something is
Degraded, Missing, Unknown, refused or rolled back, or the configuration was refused.

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

    /// Show it anew whenever something changes
    #[arg(long, conflicts_with_all = ["config", "exit_code"])]
    watch: bool,

    /// Exit with 3 if something is pending, and with 1 if something is wrong
    #[arg(long)]
    exit_code: bool,

    #[command(flatten)]
    output: OutputFlags,

    #[command(flatten)]
    alone: AloneFlags,
}

pub(super) async fn run(context: &Context, arguments: &Status) -> Result<Exit, Error> {
    let target = Target::named(arguments.application.as_deref());
    let request = Request::Status { application: target.name(), watch: arguments.watch };
    let question = Question { command: "status", target: &target, config: arguments.alone.config.as_deref(), folder: None };
    let answers = ask(context, &question, request).await?;
    if arguments.watch {
        return watch(context, answers, arguments.output.output).await;
    }
    let mut exit = Exit::Done;
    let end = hear(context, answers, |answer| {
        let Answer::Status(report) = answer else { return Ok(()) };
        if arguments.exit_code {
            let configured = if report.misconfigured.is_empty() { Exit::Done } else { Exit::Act };
            exit = report.applications.iter().map(verdict).fold(exit.worse(configured), Exit::worse);
        }
        context.ui.data(&match arguments.output.output {
            Format::Text => status_text(&report, context.ui.out),
            Format::Json => status_json(&report),
            Format::Markdown => status_markdown(&report),
        })
    })
    .await?;
    Ok(end.exit.worse(exit))
}

fn verdict(status: &ApplicationStatus) -> Exit {
    let bad = matches!(status.health, Health::Degraded | Health::Missing | Health::Unknown) || status.sync == Sync::Unknown;
    match status.refused || status.rolled_back || bad {
        true => Exit::Act,
        false if status.sync != Sync::Synced || status.health == Health::Progressing => Exit::Pending,
        false => Exit::Done,
    }
}
