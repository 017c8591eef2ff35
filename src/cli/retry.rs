//! `retry`: a failed rollout is tried once more.

use clap::Args;

use crate::agent::protocol::Request;

use super::Context;
use super::error::Error;
use super::exit::Exit;
use super::hear::hear;
use super::session::{Question, ask};
use super::target::{AloneFlags, OutputFlags, Target};

/// Try a failed rollout once more
///
/// A rollout that failed is not tried again until a commit changes what the application asks for. This does so without a commit:
/// for a cause outside of Git that has been mended.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  driftless retry shop")]
pub(super) struct Retry {
    /// Application
    #[arg(value_name = "APP")]
    application: String,

    #[command(flatten)]
    output: OutputFlags,

    #[command(flatten)]
    alone: AloneFlags,
}

pub(super) async fn run(context: &Context, arguments: &Retry) -> Result<Exit, Error> {
    let target = Target::named(Some(&arguments.application));
    let request = Request::Retry { application: arguments.application.clone() };
    let question = Question { command: "retry", target: &target, config: arguments.alone.config.as_deref(), folder: None };
    let answers = ask(context, &question, request).await?;
    let end = hear(context, answers, |_| Ok(())).await?;
    if !end.message.is_empty() {
        context.ui.data(&end.text(arguments.output.output))?;
    }
    Ok(end.exit)
}
