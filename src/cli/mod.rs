//! The command line: arguments in, exit code out. One command, one file.
//!
//! It decides nothing about applications. A running agent is asked over its socket; without one this
//! process does the same work by itself. Data goes to standard output, everything else to standard
//! error; every text is complete without colors.

mod agent;
mod apply;
mod badge;
mod check;
mod client;
mod completions;
mod drift;
mod error;
mod exit;
mod folder;
mod hear;
mod history;
mod init;
mod log;
mod panic;
mod plan;
mod policy;
mod progress;
mod retry;
mod review;
mod rollback;
mod scale;
mod serve;
mod session;
mod status;
mod suspend;
mod target;
mod ui;
mod uninstall;
mod watch;

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::config::Flags;

pub use error::Error;
pub use exit::Exit;
pub use ui::Ui;

const EXIT_CODES: &str = "Exit codes:
  0   done, or in sync
  1   you must act: errors, a refusal, a failed rollout, host or repository out of reach
  2   the command line makes no sense
  3   changes are pending (`plan`, `drift`, `review` and `status` with --exit-code)
  70  a bug of driftless";

/// What is in Git is what runs on Docker
///
/// driftless keeps a Docker host in the state that a Git repository of Kubernetes manifests describes: it plans by comparing
/// what Git asks for with what runs, updates without dropping a request, and reports drift field by field.
#[derive(Debug, Parser)]
#[command(name = "driftless", version, max_term_width = 100, after_help = EXIT_CODES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
struct Cli {
    #[command(flatten)]
    flags: Flags,

    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  driftless check deploy/                             are the manifests right?
  driftless plan ./deploy --rounds                    what would happen, step by step?
  driftless agent --repo https://git.example/shop.git --path deploy
  driftless status                                    how do the applications stand?
  driftless drift shop                                what was changed by hand?";

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Init),
    Check(check::Check),
    Plan(plan::Plan),
    Apply(apply::Apply),
    Drift(drift::Drift),
    Status(status::Status),
    History(history::History),
    Retry(retry::Retry),
    Review(review::Review),
    Rollback(rollback::Rollback),
    Scale(scale::Scale),
    Suspend(suspend::Suspend),
    Resume(suspend::Resume),
    Badge(badge::Badge),
    Policy(policy::Policy),
    Completions(completions::Completions),
    Agent(agent::Agent),
    Serve(serve::Serve),
    Uninstall(uninstall::Uninstall),
}

/// What every command works with.
#[derive(Debug)]
pub struct Context {
    /// The flags that all commands take.
    pub flags: Flags,
    /// The terminal.
    pub ui: Ui,
    /// The arguments that were written on the command line itself, by id.
    pub written: BTreeSet<String>,
}

/// Runs the command that the arguments name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    panic::install();
    let ui = Ui::from_environment();
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => {
            // Help and version are printed the same way. A reader that has gone wants no more of it.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done };
        }
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return Exit::Usage;
        }
    };
    let context = Context { flags: cli.flags, ui, written: written(&matches) };
    let quiet = !matches!(cli.command, Command::Agent(_) | Command::Serve(_));
    let result = log::install(&context, quiet).and_then(|()| panic::catch(|| dispatch(&context, cli.command)));
    result.unwrap_or_else(|error| {
        ui.error(&error);
        error.exit()
    })
}

/// Returns the whole command line as clap knows it: for parsing, and for the reference.
///
/// A short `-h` leaves out what all commands share.
pub fn command() -> clap::Command {
    Cli::command().mut_args(|argument| match argument.is_global_set() {
        true => argument.hide_short_help(true),
        false => argument,
    })
}

fn dispatch(context: &Context, command: Command) -> Result<Exit, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads can be started");
    let exit = runtime.block_on(async {
        match command {
            Command::Init(arguments) => init::run(context, &arguments).await,
            Command::Check(arguments) => check::run(context, &arguments).await,
            Command::Plan(arguments) => plan::run(context, &arguments).await,
            Command::Apply(arguments) => apply::run(context, &arguments).await,
            Command::Drift(arguments) => drift::run(context, &arguments).await,
            Command::Status(arguments) => status::run(context, &arguments).await,
            Command::History(arguments) => history::run(context, &arguments).await,
            Command::Badge(arguments) => badge::run(context, &arguments).await,
            Command::Policy(arguments) => policy::run(context, &arguments),
            Command::Retry(arguments) => retry::run(context, &arguments).await,
            Command::Review(arguments) => review::run(context, &arguments).await,
            Command::Rollback(arguments) => rollback::run(context, &arguments).await,
            Command::Scale(arguments) => scale::run(context, &arguments).await,
            Command::Suspend(arguments) => suspend::suspend(context, &arguments).await,
            Command::Resume(arguments) => suspend::resume(context, &arguments).await,
            Command::Completions(arguments) => completions::run(context, &arguments),
            Command::Agent(arguments) => agent::run(context, &arguments).await,
            Command::Serve(arguments) => serve::run(context, &arguments).await,
            Command::Uninstall(arguments) => uninstall::run(context, &arguments).await,
        }
    });
    // A fetch that hangs must not keep the program from ending.
    runtime.shutdown_background();
    exit
}

fn written(matches: &ArgMatches) -> BTreeSet<String> {
    let mut written = BTreeSet::new();
    let mut level = Some(matches);
    while let Some(matches) = level {
        let ids = matches.ids().filter(|id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine));
        written.extend(ids.map(|id| id.as_str().to_owned()));
        level = matches.subcommand().map(|(_, matches)| matches);
    }
    written
}
