//! A host in memory, with a clock and faults, on which real plans run to their end.
//!
//! It serves tests, round scripts and `plan --rounds`. It models what the planner relies on (names are
//! locks, restarts keep a container, probes follow the image) and nothing of how Docker does it. It
//! has no randomness: the same inputs give the same bytes.

mod host;
mod round;
mod run;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::desired::{Desired, MountSource, PullPolicy};
use crate::observed::{Live, Network, Volume};

pub use host::Host;
pub use round::rounds;
pub use run::{Run, Turn};

/// How containers of an image behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behavior {
    /// Ready so long after its start; `None` means never.
    pub ready_after: Option<Duration>,
    /// Ends so long after its start, each time; `None` means it runs.
    pub exits_after: Option<Duration>,
    /// How long its process takes to end after the stop signal.
    pub stops_within: Duration,
}

impl Default for Behavior {
    fn default() -> Self {
        Behavior { ready_after: Some(Duration::from_secs(1)), exits_after: None, stops_within: Duration::from_millis(100) }
    }
}

/// What goes wrong with the next step of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done, and it is said so.
    Error,
    /// It is done, and reported as failed.
    Lost,
    /// It takes ten times as long.
    Slow,
    /// The object is gone after it.
    Vanish,
}

/// How the simulated host behaves: by image, and by the key of the next step.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    /// How containers of each image behave; images that are not named behave as `Behavior::default`.
    pub behaviors: BTreeMap<String, Behavior>,
    /// Images that cannot be pulled.
    pub missing: BTreeSet<String>,
    /// Why the data path can use no front, if it cannot.
    pub no_fronts: Option<String>,
    /// What goes wrong, by the step's key, or by its beginning with a `*` behind it; each happens once.
    pub faults: BTreeMap<String, Fault>,
}

impl Scene {
    /// Takes out what goes wrong with a step of this key.
    fn fault(&mut self, key: &str) -> Option<Fault> {
        let matches = |pattern: &&String| *pattern == key || pattern.strip_suffix('*').is_some_and(|start| key.starts_with(start));
        let pattern = self.faults.keys().find(matches)?.clone();
        self.faults.remove(&pattern)
    }
}

/// Returns a host that has nothing but what somebody else must have made: images that are never pulled, and
/// networks and volumes that are external.
pub fn given<'a>(all: impl IntoIterator<Item = &'a Desired>) -> Live {
    let mut images = BTreeMap::new();
    let (mut networks, mut volumes) = (BTreeSet::new(), BTreeSet::new());
    for desired in all {
        let own: BTreeSet<&String> = desired.networks.values().map(|network| &network.host_name).collect();
        for template in desired.workloads.values().map(|workload| &workload.template) {
            networks.extend(template.networks.iter().filter(|name| !own.contains(name)).cloned());
            for container in &template.containers {
                if container.pull == PullPolicy::Never {
                    images.insert(container.image.clone(), container.image.clone());
                }
                volumes.extend(container.mounts.iter().filter_map(|mount| match &mount.source {
                    MountSource::External(name) => Some(name.clone()),
                    _ => None,
                }));
            }
        }
    }
    let network = |name: String| Network { id: name.clone(), name, labels: None, made_for: None, subnets: Vec::new() };
    Live {
        images,
        networks: networks.into_iter().map(network).collect(),
        volumes: volumes.into_iter().map(|name| Volume { name, labels: None, made_for: None, held: true }).collect(),
        ..Live::default()
    }
}
