//! `scale`: how many replicas a workload has: a patch for Git, or an override that ends by itself.

use clap::Args;

use crate::agent::protocol::{Answer, Request};
use crate::report::VERSION;
use crate::time::{Time, parse_duration};

use super::Context;
use super::error::Error;
use super::exit::Exit;
use super::hear::hear;
use super::session::{Question, ask};
use super::suspend::parts;
use super::target::{AloneFlags, Format, OutputFlags, Target};

const EXAMPLES: &str = "Examples:
  driftless scale shop/web 3 | git apply        in a clone; commit and push it then
  driftless scale shop/web 6 --until 2h         now, and for two hours
  driftless scale shop/web 6 --until 2026-01-02T18:00:00Z
  driftless scale shop/web 2 --until 1m         as many as Git says: ends an override at once

An override is shown as drift until it ends: its time is over, or a commit changes the number.";

/// Print the patch that gives a workload another number of replicas, or override it for a while
///
/// What is in Git is what runs, so nothing is scaled by default: the patch is for the repository. With --until the number holds at
/// once instead, for so long, without a commit. In mode manual that is the approval.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Scale {
    /// Application and workload
    #[arg(value_name = "APP/WORKLOAD")]
    target: String,

    /// How many replicas
    #[arg(value_name = "N")]
    replicas: u32,

    /// Override the number now, for so long or until a point in time
    #[arg(long, value_name = "DURATION|TIME")]
    until: Option<String>,

    #[command(flatten)]
    output: OutputFlags,

    #[command(flatten)]
    alone: AloneFlags,
}

pub(super) async fn run(context: &Context, arguments: &Scale) -> Result<Exit, Error> {
    let (application, Some(workload)) = parts(&arguments.target) else {
        let message = format!("`{}` names no workload", arguments.target);
        return Err(Error::Usage { message, hint: Some("write APP/WORKLOAD, as in `shop/web`".to_owned()) });
    };
    let until = arguments.until.as_deref().map(until).transpose()?;
    let target = Target::named(Some(&application));
    let request = Request::Scale { application: application.clone(), workload, replicas: arguments.replicas, until };
    let question = Question { command: "scale", target: &target, config: arguments.alone.config.as_deref(), folder: None };
    let answers = ask(context, &question, request).await?;
    let format = arguments.output.output;
    let mut file = None;
    let end = hear(context, answers, |answer| {
        let Answer::Patch { file: changed, patch } = answer else { return Ok(()) };
        let text = match format {
            Format::Text => patch,
            Format::Json => format!("{}\n", serde_json::json!({ "version": VERSION, "file": changed, "patch": patch })),
            Format::Markdown => format!("```diff\n{patch}```\n"),
        };
        file = Some(changed);
        context.ui.data(&text)
    })
    .await?;
    if let Some(file) = file {
        context.ui.say(&format!("Nothing was changed. In a clone of the repository: pipe this to `git apply`, commit `{file}`, push."));
    }
    if !end.message.is_empty() {
        context.ui.data(&end.text(format))?;
    }
    Ok(end.exit)
}

/// Reads how long, or until when.
fn until(text: &str) -> Result<Time, Error> {
    let now = Time(jiff::Timestamp::now().as_millisecond());
    let until = Time::parse(text).or_else(|| parse_duration(text).map(|duration| now + duration));
    // People read it: seconds will do.
    until.map(|until| Time(until.0 - until.0 % 1000)).ok_or_else(|| Error::Usage {
        message: format!("`{text}` is neither a duration nor a time"),
        hint: Some("write it as in `--until 2h`, or `--until 2026-01-02T18:00:00Z`".to_owned()),
    })
}
