//! `apply`: carries out the plan and waits until it is done, or cannot be.

use std::time::Duration;

use clap::Args;

use crate::agent::protocol::{Answer, Request};

use super::Context;
use super::client::Answers;
use super::error::Error;
use super::exit::Exit;
use super::hear::{End, end, refused};
use super::progress::View;
use super::session::{Question, ask};
use super::target::{AloneFlags, FolderFlags, Format, OutputFlags, Target, WaitFlags};

/// How often the view is drawn anew, so that seconds count up.
const FRAME: Duration = Duration::from_millis(200);

const EXAMPLES: &str = "Examples:
  driftless apply shop                 apply now, and wait
  driftless apply shop --plan 3f2a9c1  only the plan that was looked at
  driftless apply ./deploy             a folder as it is now, without an agent

It returns 0 when the application is Synced and Healthy, and 1 when it was refused, has failed, was
rolled back, host or Git are out of reach, or nothing but waiting for others happened for --wait.
Interrupting it does not interrupt a running agent.";

/// Apply the plan and wait until it is done
///
/// With an agent in mode auto this only waits; in mode manual it is the approval. Without an agent this process does the work itself,
/// stays until the application has converged, and leaves nobody behind who heals it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Apply {
    /// Application, or a folder of manifests (with a slash, as in `./deploy`); all applications if absent
    #[arg(value_name = "APP|PATH")]
    target: Option<String>,

    /// Apply only if the plan still has this id
    #[arg(long, value_name = "ID")]
    plan: Option<String>,

    /// Permit to remove everything that the application has
    #[arg(long)]
    prune_all: bool,

    #[command(flatten)]
    wait: WaitFlags,

    #[command(flatten)]
    output: OutputFlags,

    #[command(flatten)]
    alone: AloneFlags,

    #[command(flatten)]
    folder: FolderFlags,
}

pub(super) async fn run(context: &Context, arguments: &Apply) -> Result<Exit, Error> {
    let target = Target::parse(arguments.target.as_deref());
    let (plan, wait) = (arguments.plan.clone(), arguments.wait.wait.as_secs());
    let request = Request::Apply { application: target.name(), plan, prune_all: arguments.prune_all, wait };
    let question =
        Question { command: "apply", target: &target, config: arguments.alone.config.as_deref(), folder: Some(&arguments.folder) };
    carry_out(context, &question, request, arguments.output.output).await
}

/// Asks for work, shows it until its end, and says so if nothing heals afterwards.
pub(super) async fn carry_out(context: &Context, question: &Question<'_>, request: Request, output: Format) -> Result<Exit, Error> {
    let answers = ask(context, question, request).await?;
    let alone = matches!(answers, Answers::Own(_));
    let end = watch(context, answers).await?;
    if !end.message.is_empty() {
        context.ui.data(&end.text(output))?;
    }
    if alone {
        context.ui.say("No agent runs: nothing keeps or heals this from now on. `driftless agent` does.");
    }
    Ok(end.exit)
}

/// Shows what happens until the last answer.
async fn watch(context: &Context, mut answers: Answers) -> Result<End, Error> {
    let mut view = View::new(context.ui);
    let mut errors = None;
    let mut frame = tokio::time::interval(FRAME);
    loop {
        let answer = tokio::select! {
            answer = answers.next() => answer,
            _ = frame.tick() => {
                view.draw();
                continue;
            }
        };
        match answer {
            Ok(Some(Answer::Progress(progress))) => view.take(progress),
            Ok(Some(Answer::Error { class, messages, hint })) => {
                view.clear();
                errors = Some(refused(context, errors, Error::Refused { class, messages, hint }));
            }
            Ok(Some(Answer::Done { exit_code, message })) => {
                view.clear();
                return Ok(end(exit_code, message, errors));
            }
            Ok(Some(_)) => {}
            Ok(None) => {
                view.clear();
                return errors.map(|exit| End { exit, message: String::new() }).ok_or(Error::CutOff);
            }
            Err(error) => {
                view.clear();
                return Err(error);
            }
        }
    }
}
