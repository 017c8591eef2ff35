//! `uninstall`: takes away what driftless put beside the applications, and if asked the applications.

use clap::Args;

use crate::agent::Prepared;
use crate::docker::{Docker, Removed};
use crate::serve;

use super::Context;
use super::error::Error;
use super::exit::Exit;

const EXAMPLES: &str = "Examples:
  driftless uninstall                  fronts go; containers stay and go on running
  driftless uninstall --containers     containers, networks and delivered files go, too

Data volumes always stay, and so does the state folder. A running agent has to be stopped first.";

/// End the data path and remove its fronts
///
/// Containers stay. It says which names stop resolving. With --containers everything of this installation is removed but data volumes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Uninstall {
    /// Remove containers, networks and delivered files, too
    #[arg(long)]
    containers: bool,
}

pub(super) async fn run(context: &Context, arguments: &Uninstall) -> Result<Exit, Error> {
    let flags = &context.flags;
    // It holds the lock, so no agent brings back what is removed.
    let prepared = Prepared::new(flags, Vec::new(), "driftless uninstall").await?;
    let options = &prepared.options().serve;
    let docker = Docker::connect(flags.docker.as_deref(), &prepared.options().installation).await?;
    let names: Vec<String> = serve::read_published(options).map(|published| published.zone.names()).unwrap_or_default();
    if serve::stop(options).await? {
        context.ui.data("stopped  driftless serve\n")?;
    }
    let removed = docker.uninstall(arguments.containers).await?;
    context.ui.data(&text(&removed))?;
    for name in names {
        context.ui.data(&format!("no longer resolves  {name}\n"))?;
    }
    context.ui.data(match arguments.containers {
        true => "Data volumes and the state folder stay.\n",
        false => "Containers, volumes and the state folder stay.\n",
    })?;
    Ok(Exit::Done)
}

fn text(removed: &Removed) -> String {
    let kinds =
        [("front", &removed.fronts), ("container", &removed.containers), ("network", &removed.networks), ("volume", &removed.volumes)];
    kinds.into_iter().flat_map(|(kind, names)| names.iter().map(move |name| format!("removed  {kind} {name}\n"))).collect()
}
