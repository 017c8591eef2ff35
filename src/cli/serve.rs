//! `serve`: the data path, which must not stop when the agent does.

use std::collections::BTreeSet;

use clap::Args;

use crate::config::State;
use crate::name::Name;
use crate::serve;

use super::Context;
use super::error::Error;
use super::exit::Exit;

const EXAMPLES: &str = "Examples:
  driftless serve                      as a service manager runs it
  driftless serve --stop               names stop resolving, held connections end";

/// Run the data path: DNS, service addresses, held connections
///
/// It serves what the agent published last and knows nothing else, so the agent can stop, fail or be replaced without a connection
/// noticing. The agent starts it when it does not run. It needs to be root to give services stable addresses.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Serve {
    /// End the one that runs
    #[arg(long)]
    stop: bool,

    /// It was started by the agent and shall outlive it
    #[arg(long, hide = true)]
    detached: bool,
}

pub(super) async fn run(context: &Context, arguments: &Serve) -> Result<Exit, Error> {
    let mut options = serve::Options::new(owner(context)?, &context.flags.state, context.flags.dns);
    if arguments.stop {
        let line = match serve::stop(&options).await? {
            true => "Stopped. Kernel rules stay in the fronts; DNS and held connections have ended.\n",
            false => "It does not run.\n",
        };
        context.ui.data(line)?;
        return Ok(Exit::Done);
    }
    options.detached = arguments.detached;
    serve::run(options).await?;
    Ok(Exit::Done)
}

/// Returns the installation. Making one is the agent's business: it asks the engine first.
fn owner(context: &Context) -> Result<Name, Error> {
    if let Some(owner) = &context.flags.owner {
        return Ok(owner.clone());
    }
    let mut state = State::open(&context.flags.state)?;
    match state.has_owner() {
        true => Ok(state.settle_owner(None, &BTreeSet::new())?),
        false => Err(Error::NoOwner { path: context.flags.state.clone() }),
    }
}
