//! The port over the Docker API: reads the host into one value, and runs single steps.
//!
//! It decides nothing. How steps are done lives here alone: names, addresses, labels, renames, the
//! volumes behind delivered content. Every step may be tried again and ends the same way; nothing that
//! does not carry this installation's label is changed.

mod address;
mod answer;
mod archive;
mod body;
mod change;
mod changed;
mod connect;
mod content;
mod create;
mod debris;
mod empty_dir;
mod error;
mod event;
mod field;
mod hook;
mod host;
mod image;
mod label;
mod log;
mod name;
mod network;
mod option;
mod pause;
mod platform;
mod read;
mod uninstall;
mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use bollard::query_parameters::ListContainersOptions;

use crate::desired::{Desired, Installation};
use crate::host::{Class, Outcome, Step};
use crate::metric::{Metric, Metrics};
use crate::name::{Name, ObjectId};

use address::Addresses;
use error::During;
use watch::Watch;

pub use changed::FileChange;
pub use error::Error;
pub use event::Event;
pub use uninstall::Removed;

/// The connection to one Docker engine, for one installation. Cheap to clone.
#[derive(Clone)]
pub struct Docker {
    inner: Arc<Inner>,
    /// Where Docker's client keeps its settings, with the credentials of registries.
    config: Option<PathBuf>,
    metrics: Arc<Metrics>,
}

struct Inner {
    client: bollard::Docker,
    url: String,
    /// The engine's own name for its machine.
    host_name: String,
    platform: platform::Platform,
    installation: Installation,
    addresses: Mutex<Addresses>,
    /// Static addresses by container name, as last seen.
    known_addresses: Mutex<BTreeMap<String, Ipv4Addr>>,
    watch: Mutex<Watch>,
    /// Held by those who make replicas, and alone by who clears up: what is half made looks like debris.
    making: tokio::sync::RwLock<()>,
    /// Held while addresses of a network are chosen and taken: two at once would choose the same.
    networks: tokio::sync::Mutex<()>,
    /// Pulls that run, by image.
    pulls: Mutex<BTreeMap<String, image::Layers>>,
}

impl Inner {
    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn pulls(&self) -> MutexGuard<'_, BTreeMap<String, image::Layers>> {
        self.pulls.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn known_addresses(&self) -> MutexGuard<'_, BTreeMap<String, Ipv4Addr>> {
        self.known_addresses.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn addresses(&self) -> MutexGuard<'_, Addresses> {
        self.addresses.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Docker {
    /// Returns the connection with calls timed in `metrics`; calls that stream what happens are not.
    pub fn timed_in(self, metrics: Arc<Metrics>) -> Self {
        Docker { metrics, ..self }
    }

    /// Makes a call of the engine's API and notes how long its answer took, whether it was a good one or not.
    async fn timed<T>(&self, call: &'static str, answer: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let answer = answer.await;
        self.metrics.time(Metric::Docker, &[("call", call)], began.elapsed());
        answer
    }

    /// Runs one step; it may be run again and ends the same way.
    pub async fn run(&self, step: &Step, desired: &Desired) -> Outcome {
        let started = Instant::now();
        let result = self.run_step(step, desired).await;
        match &result {
            Ok(()) => tracing::debug!(%step, duration = ?started.elapsed(), "step done"),
            Err(error) => tracing::debug!(%step, error = %error.failure().message, "step failed"),
        }
        result.map_err(|error| error.failure())
    }

    async fn run_step(&self, step: &Step, desired: &Desired) -> Result<(), Error> {
        match step {
            Step::Pull { image } => self.pull(image, desired).await,
            Step::CreateNetwork { network } => self.create_network(network, desired).await,
            Step::CreateVolume { volume } => self.create_volume(volume, desired).await,
            Step::Deliver { content } => self.deliver(content, desired).await,
            Step::CreateFront { front } => self.create_front(front, desired).await,
            Step::Create { replica } => self.create_replica(replica, desired).await,
            Step::Start { container, .. } => self.start(container).await,
            Step::Restart { container, .. } => self.restart(container).await,
            Step::Unpause { container, .. } => self.unpause(container).await,
            Step::Update { object, container } => self.update(object, container, desired).await,
            Step::Connect { object, container, network } => self.connect_container(object, container, network, desired).await,
            Step::Rename { container, .. } => self.rename(container).await,
            Step::Disconnect { container, network, .. } => self.disconnect_container(container, network).await,
            // Who is given connections is not the engine's business.
            Step::Join { .. } | Step::Withdraw { .. } => Ok(()),
            Step::Leave { container, .. } => self.leave(container).await,
            Step::Stop { container, .. } => self.stop(container).await,
            Step::Remove { object, container } => self.remove(object, container).await,
            Step::RemoveNetwork { network, id } => self.remove_network(network, id).await,
            Step::RemoveContent { content, volume } => self.remove_content(content, volume).await,
            Step::Clear { debris } => self.clear(debris).await,
        }
    }

    /// Returns the installations whose objects are on the engine.
    ///
    /// # Errors
    ///
    /// If the engine does not answer.
    pub async fn owners(&self) -> Result<BTreeSet<Name>, Error> {
        let options = ListContainersOptions { all: true, filters: Some(labelled(label::OWNER)), ..ListContainersOptions::default() };
        let containers =
            self.timed("list_containers", self.inner.client.list_containers(Some(options))).await.during("list", "containers")?;
        let filters = bollard::query_parameters::ListVolumesOptions { filters: Some(labelled(label::OWNER)) };
        let volumes = self.timed("list_volumes", self.inner.client.list_volumes(Some(filters))).await.during("list", "volumes")?;
        let filters = bollard::query_parameters::ListNetworksOptions { filters: Some(labelled(label::OWNER)) };
        let networks = self.timed("list_networks", self.inner.client.list_networks(Some(filters))).await.during("list", "networks")?;
        let labels = (containers.into_iter().filter_map(|container| container.labels))
            .chain(volumes.volumes.unwrap_or_default().into_iter().map(|volume| volume.labels))
            .chain(networks.into_iter().filter_map(|network| network.labels));
        Ok(labels.filter_map(|labels| Name::try_from(labels.get(label::OWNER)?.as_str()).ok()).collect())
    }

    /// Returns where the engine is.
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    fn known_address(&self, container: &str) -> Option<Ipv4Addr> {
        self.inner.known_addresses().get(container).copied()
    }
}

/// Returns the filter for what carries a label, given as `NAME` or `NAME=VALUE`.
fn labelled(label: impl Into<String>) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), vec![label.into()])])
}

fn unknown(operation: &'static str, id: &ObjectId) -> Error {
    Error::refused(Class::Internal, operation, id.to_string(), "it is not part of the application")
}
