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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::{Sender, channel};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::agent::View;
use crate::config::{Application, Configured};
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
    /// What is configured; applications without a forge are left out, and so is a configuration that is refused.
    pub configured: watch::Receiver<Configured>,
    /// The forge calls when something happens, so it is asked less often.
    pub hooks: bool,
}

/// Says that something happened to a pull request of an application.
pub type Call = Arc<dyn Fn(&Name, u64) + Send + Sync>;

/// Answers until this is dropped.
#[derive(Debug)]
#[must_use = "nothing is answered when this is dropped"]
pub struct Answering {
    task: JoinHandle<()>,
    applications: Applications,
}

/// Those that are answered, by name.
type Applications = Arc<Mutex<BTreeMap<Name, Answered>>>;

/// The tasks of one application.
#[derive(Debug)]
struct Answered {
    /// As it is configured.
    application: Application,
    tasks: [JoinHandle<()>; 2],
    calls: Sender<u64>,
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.task.abort();
        locked(&self.applications).clear();
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Answering {
    /// Returns what a hook calls.
    pub fn call(&self) -> Call {
        let applications = self.applications.clone();
        Arc::new(move |name, number| {
            if let Some(answered) = locked(&applications).get(name) {
                // One that finds no room is found by polling.
                let _ = answered.calls.try_send(number);
            }
        })
    }
}

fn locked(applications: &Applications) -> MutexGuard<'_, BTreeMap<Name, Answered>> {
    applications.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins to answer pull requests, from what a running agent shows.
pub fn start(options: Options, view: &View) -> Answering {
    let applications = Applications::default();
    keep(&options, view, &applications);
    let (view, kept) = (view.clone(), applications.clone());
    let task = tokio::spawn(async move {
        let mut options = options;
        while options.configured.changed().await.is_ok() {
            keep(&options, &view, &kept);
        }
    });
    Answering { task, applications }
}

/// Ends the tasks of applications that are configured no more, or otherwise, and begins those of the others.
fn keep(options: &Options, view: &View, applications: &Applications) {
    let Ok(configured) = options.configured.borrow().clone() else { return };
    let wanted = configured.into_iter().map(|application| application.below(&options.state));
    let wanted: Vec<Application> = wanted.filter(|application| application.forge.is_some()).collect();
    let mut applications = locked(applications);
    applications.retain(|_, answered| wanted.contains(&answered.application));
    for application in wanted {
        if applications.contains_key(&application.name) {
            continue;
        }
        match answer(options, view, application.clone()) {
            Ok(answered) => drop(applications.insert(application.name, answered)),
            Err(error) => tracing::error!(application = %application.name, %error, "pull requests are not answered"),
        }
    }
}

/// Begins the tasks of one application.
fn answer(options: &Options, view: &View, application: Application) -> Result<Answered, Error> {
    let forge = application.forge.as_ref().expect("those without a forge are left out");
    let client = Client::new(forge)?;
    let source = Source::new(&options.state, application.location.clone(), application.auth.clone());
    let (calls, called) = channel(WAITING);
    let rollouts =
        Rollouts { application: application.name.clone(), client: client.clone(), snapshot: view.snapshot.clone(), told: Vec::new() };
    let requests = Requests {
        answerer: Answerer { application: application.clone(), source, installation: options.installation.clone() },
        client,
        snapshot: view.snapshot.clone(),
        hooks: options.hooks,
        waiting: BTreeSet::new(),
        answered: BTreeMap::new(),
    };
    let tasks = [tokio::spawn(rollouts.run()), tokio::spawn(requests.run(called))];
    Ok(Answered { application, tasks, calls })
}
