//! `badge`: an application's state as a picture, for shields.io, or as Markdown to paste.

use clap::Args;

use crate::agent::protocol::{Answer, Request};
use crate::config::Http;
use crate::report::{Badge as Drawn, badge_json, badge_markdown, badge_svg};

use super::Context;
use super::error::Error;
use super::exit::Exit;
use super::hear::hear;
use super::session::{Question, ask};
use super::target::{AloneFlags, Format, OutputFlags, Target};

const EXAMPLES: &str = "Examples:
  driftless badge shop > shop.svg      the picture itself
  driftless badge shop -o json         for shields.io's endpoint
  driftless badge shop -o markdown --url https://deploy.example

The agent serves them at /badge/APP.svg and /badge/APP.json. -o markdown asks nobody: it is the line that
shows the picture in a README, and --url is where its readers reach the agent.";

/// Print an application's badge
///
/// The badge has the application's name and its state: sync and health, RolledBack or Refused.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Badge {
    /// Application
    #[arg(value_name = "APP")]
    application: String,

    /// Where readers reach the agent, for -o markdown [default: the address of --http]
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    #[command(flatten)]
    output: OutputFlags,

    #[command(flatten)]
    alone: AloneFlags,
}

pub(super) async fn run(context: &Context, arguments: &Badge) -> Result<Exit, Error> {
    let draw = match arguments.output.output {
        Format::Text => badge_svg,
        Format::Json => badge_json,
        Format::Markdown => {
            let url = url(context, arguments)?;
            context.ui.data(&badge_markdown(&arguments.application, &url))?;
            return Ok(Exit::Done);
        }
    };
    let target = Target::named(Some(&arguments.application));
    let request = Request::Status { application: target.name(), watch: false };
    let question = Question { command: "badge", target: &target, config: arguments.alone.config.as_deref(), folder: None };
    let answers = ask(context, &question, request).await?;
    let end = hear(context, answers, |answer| {
        let Answer::Status(report) = answer else { return Ok(()) };
        report.applications.iter().try_for_each(|status| context.ui.data(&draw(&Drawn::of(status))))
    })
    .await?;
    Ok(end.exit)
}

fn url(context: &Context, arguments: &Badge) -> Result<String, Error> {
    match (&arguments.url, context.flags.http) {
        (Some(url), _) => Ok(url.clone()),
        (None, Http::At(address)) => Ok(format!("http://{address}")),
        (None, Http::Off) => Err(Error::Usage {
            message: "with `--http none` nobody serves the badge".to_owned(),
            hint: Some("say with --url where it is served".to_owned()),
        }),
    }
}
