//! Answers to pull requests on GitHub and Gitea or Forgejo, and the status of what was merged.
//!
//! Two tasks for each application read what the agent shows and talk to the forge; the agent never waits for
//! it, and knows nothing of it. What a forge that is away did not take is said later, the newest only.

mod answer;
mod client;
mod error;
mod patience;
mod request;
mod rollout;
mod say;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc::{Sender, channel};
use tokio::task::JoinHandle;

use crate::agent::View;
use crate::config::Application;
use crate::desired::Installation;
use crate::git::Source;
use crate::name::Name;

use answer::Answerer;
use request::Requests;
use rollout::Rollouts;

pub use client::{Client, Comment, Kind, Pull, State};
pub use error::Error;

/// So many requests that were called in wait for their answer; polling finds what finds no room.
const WAITING: usize = 64;

/// Whose requests are answered.
#[derive(Debug, Clone)]
pub struct Options {
    /// The state folder, for mirrors.
    pub state: PathBuf,
    /// The installation.
    pub installation: Installation,
    /// The applications; those without a forge are left out.
    pub applications: Vec<Application>,
    /// The forge calls when something happens, so it is asked less often.
    pub hooks: bool,
}

/// Says that something happened to a pull request of an application.
pub type Call = Arc<dyn Fn(&Name, u64) + Send + Sync>;

/// Tasks that answer until this is dropped.
#[must_use = "nothing is answered when this is dropped"]
pub struct Answering {
    tasks: Vec<JoinHandle<()>>,
    calls: BTreeMap<Name, Sender<u64>>,
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl std::fmt::Debug for Answering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answering").field("applications", &self.calls.keys()).finish_non_exhaustive()
    }
}

impl Answering {
    /// Returns what a hook calls.
    pub fn call(&self) -> Call {
        let calls = self.calls.clone();
        Arc::new(move |name, number| {
            if let Some(calls) = calls.get(name) {
                // One that finds no room is found by polling.
                let _ = calls.try_send(number);
            }
        })
    }
}

/// Begins to answer pull requests, from what a running agent shows.
///
/// # Errors
///
/// If this host cannot speak HTTPS at all.
pub fn start(options: Options, view: &View) -> Result<Answering, Error> {
    let mut answering = Answering { tasks: Vec::new(), calls: BTreeMap::new() };
    for application in options.applications {
        let application = application.below(&options.state);
        let Some(forge) = application.forge.clone() else { continue };
        let client = Client::new(&forge)?;
        let source = Source::new(&options.state, application.location.clone(), application.auth.clone());
        let (calls, called) = channel(WAITING);
        answering.calls.insert(application.name.clone(), calls);
        let rollouts =
            Rollouts { application: application.name.clone(), client: client.clone(), snapshot: view.snapshot.clone(), told: Vec::new() };
        answering.tasks.push(tokio::spawn(rollouts.run()));
        let requests = Requests {
            answerer: Answerer { application, source, installation: options.installation.clone() },
            client,
            snapshot: view.snapshot.clone(),
            hooks: options.hooks,
            waiting: BTreeSet::new(),
            answered: BTreeMap::new(),
        };
        answering.tasks.push(tokio::spawn(requests.run(called)));
    }
    Ok(answering)
}
