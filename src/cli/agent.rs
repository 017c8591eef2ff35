//! `agent`: keeps the host as Git says, until it is told to stop.

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::agent::{Prepared, View};
use crate::config::{ApplicationFlags, Flags, Http};
use crate::forge;
use crate::http::{self, Server};

use super::Context;
use super::error::Error;
use super::exit::Exit;

const EXAMPLES: &str = "Examples:
  driftless agent --repo https://git.example/shop.git --path deploy
  driftless agent --repo /srv/shop --mode manual
  driftless agent --config /etc/driftless/applications

One agent works with a state folder at a time. It starts `driftless serve` when that does not run.
SIGTERM ends it; what is published is served on, and containers go on running.";

/// Keep the Docker host as Git says
///
/// It watches repositories, plans, applies, heals and reports. It needs the Docker socket and its state folder. What it deploys is
/// named by flags, or by Application documents.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Agent {
    #[command(flatten)]
    applications: ApplicationFlags,
}

pub(super) async fn run(context: &Context, arguments: &Agent) -> Result<Exit, Error> {
    let applications = arguments.applications.applications()?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signal)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(Error::Signal)?;
    let prepared = Prepared::new(&context.flags, applications, "driftless agent").await?;
    let stop = async move {
        let signal = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
            _ = hangup.recv() => "SIGHUP",
        };
        tracing::info!(signal, "the agent ends; what runs goes on, and `serve` answers. A changed configuration is read at the next start");
    };
    // An address that is taken ends the agent before it has done anything.
    let server = match options(&context.flags) {
        Some(options) => Some(Server::bind(&options).await?),
        None => None,
    };
    let answers = forge::Options {
        state: prepared.options().state.clone(),
        installation: prepared.options().installation.clone(),
        applications: prepared.options().applications.clone(),
        hooks: server.is_some() && context.flags.hook_secret_file.is_some(),
    };
    let show = |view: View| {
        let answering = forge::start(answers, &view).inspect_err(|error| tracing::error!(%error, "pull requests are not answered")).ok();
        let call = answering.as_ref().map(forge::Answering::call);
        (server.map(|server| server.start(view, call)), answering)
    };
    prepared.run(&context.flags, show, stop).await?;
    Ok(Exit::Done)
}

fn options(flags: &Flags) -> Option<http::Options> {
    match flags.http {
        Http::Off => None,
        Http::At(address) => {
            Some(http::Options { address, hook_secret_file: flags.hook_secret_file.clone(), api_token_file: flags.api_token_file.clone() })
        }
    }
}
