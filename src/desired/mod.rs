//! The checked, complete state that a revision asks for. Every format of manifest meets here.
//!
//! All references are resolved, all defaults applied, all quantities canonical. Nothing here can be
//! wrong: whatever can is a finding before a `Desired` exists. Nothing here knows Docker's calls.

mod care;
pub mod field;
mod option;
mod settings;
mod spec;
mod template;
mod text;
mod workload;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::finding::Finding;
use crate::hash::{ContentHash, FieldValue, Key};
use crate::name::{Name, ObjectId};

pub use care::Care;
pub use option::{Declares, HealthCheck, Healthcheck, NetworkOptions, Options, Range, VolumeOptions};
pub use settings::{Compose, External, Installation, Layout, Mode, OnFailure, Settings};
pub use spec::{ContainerSpec, Spec};
pub use template::{
    Action, Container, EmptyDir, FieldRef, Hook, HostPort, Mount, MountSource, Probe, Probes, Protocol, PullPolicy, Resources, Restart,
    Template,
};
pub use text::{Part, Secret, Text};
pub use workload::{Amount, Condition, Dependency, Exclusive, Goal, Identity, Strategy, Workload};

/// What one application asks for at one revision.
#[derive(Debug, Clone)]
pub struct Desired {
    /// The application's name.
    pub application: Name,
    /// The commit, or the hash of a plain folder's files.
    pub revision: String,
    /// The installation it is for.
    pub installation: Installation,
    /// How the application is kept.
    pub settings: Settings,
    /// What has replicas.
    pub workloads: BTreeMap<ObjectId, Workload>,
    /// Names and addresses under which workloads are reached.
    pub services: BTreeMap<ObjectId, Service>,
    /// Networks, by id.
    pub networks: BTreeMap<ObjectId, Network>,
    /// Data volumes; never removed by a sync.
    pub volumes: BTreeMap<ObjectId, Volume>,
    /// Files delivered to replicas, by id.
    pub contents: BTreeMap<ContentId, Content>,
    /// Containers that hold the addresses of services.
    pub fronts: BTreeMap<ObjectId, Front>,
    /// Credentials of registries for images: each as `config.json` of Docker's client holds them. They are no part
    /// of a replica, so a changed password replaces nothing.
    pub logins: BTreeMap<String, Vec<Secret>>,
    /// Warnings and notes; a `Desired` with errors does not exist.
    pub findings: Vec<Finding>,
}

/// A name and, unless it is headless, an address in front of some workloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its id.
    pub id: ObjectId,
    /// No address: the name answers with the addresses of ready replicas.
    pub headless: bool,
    /// The name answers with replicas that are not ready, too.
    pub publish_not_ready: bool,
    /// The address its author wants; otherwise one is chosen.
    pub address: Option<Ipv4Addr>,
    /// Ports that clients use.
    pub ports: Vec<ServicePort>,
    /// Workloads behind it.
    pub backends: Vec<Backend>,
    /// How long a new connection waits while no replica is ready.
    pub hold: Duration,
}

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePort {
    /// Its name, for SRV records; empty if it has none.
    pub name: String,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port that clients use.
    pub port: u16,
}

/// A workload behind a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// The workload.
    pub workload: ObjectId,
    /// The replica's port for each port of the service, in the same order. A named target port that
    /// this workload does not have is `None`: it gets no traffic for that port.
    pub targets: Vec<Option<u16>>,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Its id.
    pub id: ObjectId,
    /// Its name on the host.
    pub host_name: String,
    /// It belongs to the installation, not to one application: it goes with `uninstall`.
    pub shared: bool,
    /// How it is made.
    pub options: NetworkOptions,
}

/// A data volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its id.
    pub id: ObjectId,
    /// Its name on the host.
    pub host_name: String,
    /// Only one replica at a time may use it.
    pub single_writer: bool,
    /// How it is made.
    pub options: VolumeOptions,
}

/// Names content by what is in it: the keyed hash of its files, so two applications that deliver the
/// same bytes do not share a volume by accident and nobody can guess a secret from a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContentId(pub String);

/// Files that are delivered read-only to replicas. At most 16 MiB together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The objects it comes from, for people: `ConfigMap/app, Secret/db`.
    pub origin: String,
    /// Files by relative path.
    pub files: BTreeMap<String, ContentFile>,
}

/// One delivered file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentFile {
    /// Its bytes; they may be secret, so they are never printed.
    pub bytes: Secret,
    /// Permission bits, such as `0o644`.
    pub mode: u32,
}

/// A container of the pause image whose network namespace holds the names and addresses of services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Front {
    /// Its id.
    pub id: ObjectId,
    /// Its container's name on the host.
    pub host_name: String,
    /// The networks it is on, by name on the host; the first is the one it is created on.
    pub networks: Vec<String>,
    /// It belongs to the installation, not to one application.
    pub shared: bool,
    /// What the label `front` says: the service, or `services` for all of an installation.
    pub label: String,
    /// Names that Docker's own resolver answers with it, by the name on the host of the network.
    pub aliases: BTreeMap<String, BTreeSet<String>>,
    /// Further labels, which reverse proxies read.
    pub labels: BTreeMap<String, String>,
}

impl Front {
    /// Returns the hash of what needs a new container.
    pub fn hash(&self, key: &Key) -> ContentHash {
        let Front { id: _, host_name: _, networks: _, shared: _, label: _, aliases, labels } = self;
        let names = aliases.iter().flat_map(|(network, names)| names.iter().map(move |name| format!("aliases[{network}][{name}]")));
        let names = names.map(|path| (path, FieldValue::Public(String::new())));
        let labels = labels.iter().map(|(name, value)| (field::label(name), FieldValue::Public(value.clone())));
        ContentHash::of([("/", &names.chain(labels).collect())], key)
    }
}

impl Desired {
    /// Returns the services whose backends include a workload.
    pub fn services_of<'a>(&'a self, workload: &'a ObjectId) -> impl Iterator<Item = &'a Service> {
        self.services.values().filter(move |service| service.backends.iter().any(|backend| backend.workload == *workload))
    }

    /// Returns the images of which it is not known whether they declare ports, and that decide about fronts.
    pub fn unknown_images(&self) -> BTreeSet<&str> {
        let unknown = self.workloads.values().filter(|workload| workload.template.options.declares == Declares::Unknown);
        unknown.flat_map(|workload| &workload.template.containers).map(|container| container.image.as_str()).collect()
    }

    /// Returns the TCP ports of each workload's replicas that a service targets or the author publishes.
    pub fn targeted_ports_by_workload(&self) -> BTreeMap<&ObjectId, BTreeSet<u16>> {
        let mut ports: BTreeMap<&ObjectId, BTreeSet<u16>> = BTreeMap::new();
        for (id, workload) in &self.workloads {
            let published = workload.template.ports.iter().filter(|port| port.protocol == Protocol::Tcp);
            ports.entry(id).or_default().extend(published.map(|port| port.container_port));
        }
        for service in self.services.values() {
            let promised = |backend: &&Backend| {
                let workload = self.workloads.get(&backend.workload);
                workload.is_none_or(|workload| workload.template.options.declares != Declares::Image)
            };
            for backend in service.backends.iter().filter(promised) {
                let targets = service.ports.iter().zip(&backend.targets);
                let tcp = targets.filter(|(port, _)| port.protocol == Protocol::Tcp).filter_map(|(_, target)| *target);
                ports.entry(&backend.workload).or_default().extend(tcp);
            }
        }
        ports
    }
}
