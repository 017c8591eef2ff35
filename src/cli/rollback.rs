//! `rollback`: back to a revision that was healthy, by hand.

use clap::Args;

use crate::agent::protocol::Request;

use super::Context;
use super::apply::carry_out;
use super::error::Error;
use super::exit::Exit;
use super::session::Question;
use super::target::{AloneFlags, OutputFlags, Target, WaitFlags};

const EXAMPLES: &str = "Examples:
  driftless rollback shop                the last healthy revision that asks for something else
  driftless rollback shop --to 3f2a9c1   one that was healthy: see `driftless history shop`

It returns 0 when the application runs at that revision, and 1 when it cannot. Interrupting it does
not interrupt a running agent. In Git nothing is changed: revert the commit there, too.";

/// Go back to a revision that was healthy
///
/// The application as a whole goes back, and stays there until a commit changes what it asks for, or until `driftless retry`.
/// It is shown as RolledBack everywhere. In mode manual this is the approval.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Rollback {
    /// Application
    #[arg(value_name = "APP")]
    application: String,

    /// Revision that was healthy, or its first characters
    #[arg(long, value_name = "REVISION")]
    to: Option<String>,

    #[command(flatten)]
    wait: WaitFlags,

    #[command(flatten)]
    output: OutputFlags,

    #[command(flatten)]
    alone: AloneFlags,
}

pub(super) async fn run(context: &Context, arguments: &Rollback) -> Result<Exit, Error> {
    let target = Target::named(Some(&arguments.application));
    let request =
        Request::Rollback { application: arguments.application.clone(), to: arguments.to.clone(), wait: arguments.wait.wait.as_secs() };
    let question = Question { command: "rollback", target: &target, config: arguments.alone.config.as_deref(), folder: None };
    carry_out(context, &question, request, arguments.output.output).await
}
