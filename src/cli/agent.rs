//! `agent`: keeps the host as Git says, until it is told to stop.

use std::path::PathBuf;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::agent::{Prepared, View};
use crate::config::{self, ApplicationFlags, Changes, Configured, Flags, Http};
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
It reads its configuration again when a file of it changes, and at SIGHUP; one with errors is told of, and the
last good one stays in force.
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
    let mut applications = arguments.applications.applications()?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signal)?;
    let hangup = signal(SignalKind::hangup()).map_err(Error::Signal)?;
    let prepared = Prepared::new(&context.flags, applications.clone(), "driftless agent").await?;
    let stop = async move {
        let signal = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal, "the agent ends; what runs goes on, and `serve` answers");
    };
    // An address that is taken ends the agent before it has done anything.
    let server = match options(&context.flags) {
        Some(options) => Some(Server::bind(&options).await?),
        None => None,
    };
    context.flags.apply_policies(&mut applications);
    let (sender, configured) = watch::channel(Ok(applications));
    let answers = forge::Options {
        state: prepared.options().state.clone(),
        installation: prepared.options().installation.clone(),
        configured: configured.clone(),
        hooks: server.is_some() && context.flags.hook_secret_file.is_some(),
    };
    let show = |view: View| {
        let answering = forge::start(answers, &view);
        let call = answering.call();
        (server.map(|server| server.start(view, Some(call))), answering)
    };
    let reading = tokio::spawn(read_again(context.flags.clone(), arguments.applications.config.clone(), hangup, sender));
    let ended = prepared.run(&context.flags, configured, show, stop).await;
    reading.abort();
    ended?;
    Ok(Exit::Done)
}

/// Reads the configuration again whenever its files change, and at SIGHUP.
async fn read_again(flags: Flags, path: Option<PathBuf>, mut hangup: Signal, configured: watch::Sender<Configured>) {
    let Some(path) = path else {
        while hangup.recv().await.is_some() {
            tracing::info!("SIGHUP: flags say what is deployed, so there is nothing to read again");
        }
        return;
    };
    loop {
        // Changes from before it is read are seen, later ones are waited for.
        let mut changes = Changes::of(&path);
        let from = path.clone();
        let read = tokio::task::spawn_blocking(move || config::read(&from)).await;
        if let Ok(read) = read {
            let read = read.map_err(|error| error.lines()).map(|mut applications| {
                flags.apply_policies(&mut applications);
                applications
            });
            configured.send_if_modified(|known| {
                let modified = *known != read;
                *known = read;
                modified
            });
        }
        tokio::select! {
            () = changes.next() => {}
            _ = hangup.recv() => tracing::info!(path = %path.display(), "SIGHUP: the configuration is read again"),
        }
    }
}

fn options(flags: &Flags) -> Option<http::Options> {
    match flags.http {
        Http::Off => None,
        Http::At(address) => {
            Some(http::Options { address, hook_secret_file: flags.hook_secret_file.clone(), api_token_file: flags.api_token_file.clone() })
        }
    }
}
