//! The data path: DNS, the fronts' kernel rules, held connections.
//!
//! It knows nothing but the last published state, reads it from a file, serves it, and acknowledges
//! it in another. It decides nothing and never talks to the engine. Rules and sockets live in the
//! fronts' network namespaces: the host's own firewall, routes and settings are not touched.

mod acknowledge;
mod connection;
mod dns;
mod error;
mod file;
mod find;
mod front;
mod hold;
mod launch;
mod lock;
mod namespace;
mod netlink;
mod option;
mod rules;
mod state;
mod touched;

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::traffic::Published;

pub use error::Error;
pub use file::{read_acknowledged, read_published, write_fallback, write_published};
pub use launch::{ended, start, start_program, stop};
pub use lock::running;
pub use option::Options;
pub use rules::rules;

/// The last published state; `None` before the first.
type State = watch::Receiver<Option<Arc<Published>>>;

/// Serves the published state until it is told to stop by SIGTERM or SIGINT.
///
/// One process per owner: a second one ends with [`Error::Running`].
pub async fn run(options: Options) -> Result<(), Error> {
    if options.detached {
        // Fails only for the leader of a session, which has what this is for.
        let _ = rustix::process::setsid();
    }
    let _lock = lock::take(&options)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signal)?;
    let (reports, received) = mpsc::unbounded_channel();
    let (sender, state) = watch::channel(None);
    let resolver = dns::Resolver::new(state.clone(), &options);
    // Dropped, it ends all of them.
    let mut parts = JoinSet::new();
    parts.spawn(state::keep(&options, sender, reports.clone()));
    parts.spawn(dns::serve_host(options.dns, resolver.clone(), reports.clone()));
    parts.spawn(front::keep_all(state, resolver, reports));
    parts.spawn(acknowledge::keep(options.acknowledged(), received));
    tracing::info!(folder = %options.folder.display(), "serving");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("told to stop; kernel rules stay in the fronts");
    Ok(())
}
