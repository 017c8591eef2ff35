//! `uninstall`: takes away what driftless put beside the applications, and if asked the applications.

use clap::Args;
use serde::Serialize;

use crate::agent::Prepared;
use crate::docker::{Docker, Removed};
use crate::report::VERSION;
use crate::serve;

use super::Context;
use super::error::Error;
use super::exit::Exit;
use super::target::{Format, OutputFlags};

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

    #[command(flatten)]
    output: OutputFlags,
}

/// What was taken away.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    version: u32,
    /// `serve` ran and was ended.
    stopped: bool,
    fronts: Vec<String>,
    containers: Vec<String>,
    networks: Vec<String>,
    volumes: Vec<String>,
    /// Names that resolved until now.
    names: Vec<String>,
}

pub(super) async fn run(context: &Context, arguments: &Uninstall) -> Result<Exit, Error> {
    let flags = &context.flags;
    // It holds the lock, so no agent brings back what is removed.
    let prepared = Prepared::new(flags, Vec::new(), "driftless uninstall").await?;
    let options = &prepared.options().serve;
    let docker = Docker::connect(flags.docker.as_deref(), &prepared.options().installation).await?;
    let names: Vec<String> = serve::read_published(options).map(|published| published.zone.names()).unwrap_or_default();
    let stopped = serve::stop(options).await?;
    context.ui.say(match arguments.containers {
        true => "Removing fronts, containers, networks and delivered files; each container has its grace period to stop in",
        false => "Removing fronts",
    });
    let Removed { fronts, containers, networks, volumes } = docker.uninstall(arguments.containers).await?;
    // Whoever starts `serve` alone must not bring names back that lead nowhere.
    options.forget();
    let report = Report { version: VERSION, stopped, fronts, containers, networks, volumes, names };
    context.ui.data(&match arguments.output.output {
        Format::Text => report.lines("", arguments.containers),
        Format::Json => serde_json::to_string(&report).expect("reports have text keys only") + "\n",
        Format::Markdown => report.lines("- ", arguments.containers),
    })?;
    Ok(Exit::Done)
}

impl Report {
    fn lines(&self, mark: &str, everything: bool) -> String {
        let kinds = [
            ("removed front", &self.fronts),
            ("removed container", &self.containers),
            ("removed network", &self.networks),
            ("removed volume", &self.volumes),
            ("no longer resolves:", &self.names),
        ];
        let stopped = self.stopped.then(|| "stopped `driftless serve`".to_owned());
        let removed = kinds.into_iter().flat_map(|(word, names)| names.iter().map(move |name| format!("{word} {name}")));
        let stays = match everything {
            true => "data volumes and the state folder stay",
            false => "containers, volumes and the state folder stay",
        };
        stopped.into_iter().chain(removed).chain([stays.to_owned()]).map(|line| format!("{mark}{line}\n")).collect()
    }
}
