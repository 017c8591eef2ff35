//! `suspend` and `resume`: hands off an application, or off one of its workloads.

use clap::Args;

use crate::agent::protocol::Request;

use super::Context;
use super::error::Error;
use super::exit::Exit;
use super::hear::hear;
use super::session::{Question, ask};
use super::target::{AloneFlags, OutputFlags, Target};

const SUSPEND: &str = "Examples:
  driftless suspend shop               the whole application
  driftless suspend shop/web           one workload
  driftless suspend shop/Deployment/web   the same, where several have that name

What runs goes on running and is given connections; stop it by hand if that is what is wanted.";

/// Change and heal nothing of an application, or of one workload, until it is resumed
///
/// For maintenance: what is suspended may be stopped, changed or replaced by hand, and a commit waits. New connections still go to
/// what is ready. It is shown as Suspended everywhere, and what differs is reported as drift.
#[derive(Debug, Args)]
#[command(after_help = SUSPEND)]
pub(super) struct Suspend {
    /// Application, or one of its workloads
    #[arg(value_name = "APP[/WORKLOAD]")]
    target: String,

    #[command(flatten)]
    output: OutputFlags,

    #[command(flatten)]
    alone: AloneFlags,
}

/// Take a suspended application, or one workload, up again
///
/// An application is resumed with all its workloads. What was changed meanwhile, in Git or by hand, is put right at once.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  driftless resume shop\n  driftless resume shop/web")]
pub(super) struct Resume {
    /// Application, or one of its workloads
    #[arg(value_name = "APP[/WORKLOAD]")]
    target: String,

    #[command(flatten)]
    output: OutputFlags,

    #[command(flatten)]
    alone: AloneFlags,
}

pub(super) async fn suspend(context: &Context, arguments: &Suspend) -> Result<Exit, Error> {
    let (application, workload) = parts(&arguments.target);
    decide(context, "suspend", Request::Suspend { application, workload }, &arguments.output, &arguments.alone).await
}

pub(super) async fn resume(context: &Context, arguments: &Resume) -> Result<Exit, Error> {
    let (application, workload) = parts(&arguments.target);
    decide(context, "resume", Request::Resume { application, workload }, &arguments.output, &arguments.alone).await
}

/// Returns the application, and the workload if one is named.
pub(super) fn parts(target: &str) -> (String, Option<String>) {
    match target.split_once('/') {
        Some((application, workload)) => (application.to_owned(), Some(workload.to_owned())),
        None => (target.to_owned(), None),
    }
}

async fn decide(
    context: &Context,
    command: &'static str,
    request: Request,
    output: &OutputFlags,
    alone: &AloneFlags,
) -> Result<Exit, Error> {
    let application = match &request {
        Request::Suspend { application, .. } | Request::Resume { application, .. } => Some(application.as_str()),
        _ => None,
    };
    let target = Target::named(application);
    let question = Question { command, target: &target, config: alone.config.as_deref(), folder: None };
    let answers = ask(context, &question, request).await?;
    let end = hear(context, answers, |_| Ok(())).await?;
    if !end.message.is_empty() {
        context.ui.data(&end.text(output.output))?;
    }
    Ok(end.exit)
}
