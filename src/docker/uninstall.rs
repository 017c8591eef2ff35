//! Removes what belongs to an installation: its fronts, and if asked everything but data volumes.

use bollard::models::ContainerSummary;
use bollard::query_parameters::{ListContainersOptions, ListNetworksOptions, ListVolumesOptions, RemoveContainerOptions};

use futures_util::{StreamExt, TryStreamExt};

use crate::name::Kind;

use super::error::{Accept, During, Error};
use super::{Docker, label, labelled};

/// So many containers are stopped at once; most of the time is their grace period.
const AT_ONCE: usize = 8;

/// What was removed, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Removed {
    /// Fronts.
    pub fronts: Vec<String>,
    /// Other containers.
    pub containers: Vec<String>,
    /// Networks.
    pub networks: Vec<String>,
    /// Volumes of delivered content and of emptyDirs.
    pub volumes: Vec<String>,
}

impl Docker {
    /// Removes the fronts of this installation; with `everything` also its containers, networks,
    /// delivered content and emptyDirs. Data volumes always stay.
    ///
    /// # Errors
    ///
    /// If the engine refuses; what was removed before stays removed, and it can be called again.
    pub async fn uninstall(&self, everything: bool) -> Result<Removed, Error> {
        let mut removed = Removed::default();
        let filters = labelled(format!("{}={}", label::OWNER, self.inner.installation.owner));
        let options = ListContainersOptions { all: true, filters: Some(filters.clone()), ..ListContainersOptions::default() };
        let containers =
            self.timed("list_containers", self.inner.client.list_containers(Some(options))).await.during("list", "containers")?;
        let (fronts, others): (Vec<_>, Vec<_>) = containers.into_iter().partition(is_front);
        removed.fronts = self.remove_by_force(fronts).await?;
        if everything {
            removed.containers = self.remove_by_force(others).await?;
            let options = ListNetworksOptions { filters: Some(filters.clone()) };
            for network in self.timed("list_networks", self.inner.client.list_networks(Some(options))).await.during("list", "networks")? {
                let name = network.name.unwrap_or_default();
                let id = network.id.unwrap_or_default();
                self.timed("remove_network", self.inner.client.remove_network(&id))
                    .await
                    .accept(&[404])
                    .during("remove the network", &name)?;
                removed.networks.push(name);
            }
            let options = ListVolumesOptions { filters: Some(filters) };
            for volume in self
                .timed("list_volumes", self.inner.client.list_volumes(Some(options)))
                .await
                .during("list", "volumes")?
                .volumes
                .unwrap_or_default()
            {
                let is_content = label::read_object(&volume.labels).is_some_and(|labels| labels.object.kind == Kind::Content);
                if is_content || volume.labels.contains_key(label::EMPTY_DIR_OF) {
                    self.remove_volume(&volume.name).await?;
                    removed.volumes.push(volume.name);
                }
            }
        }
        Ok(removed)
    }

    /// Removes containers, several at once, each within its grace period; returns their names.
    async fn remove_by_force(&self, containers: Vec<ContainerSummary>) -> Result<Vec<String>, Error> {
        let remove = async |container: ContainerSummary| {
            let name = name(&container);
            let id = container.id.unwrap_or_default();
            self.stop(&id).await?;
            let options = RemoveContainerOptions { v: true, force: true, ..RemoveContainerOptions::default() };
            self.remove_container(&id, options, &name).await?;
            Ok(name)
        };
        futures_util::stream::iter(containers).map(remove).buffered(AT_ONCE).try_collect().await
    }
}

fn is_front(container: &ContainerSummary) -> bool {
    container.labels.as_ref().and_then(label::read_container).is_some_and(|labels| labels.is_front())
}

fn name(container: &ContainerSummary) -> String {
    container.names.iter().flatten().next().map(|name| name.trim_start_matches('/').to_owned()).unwrap_or_default()
}
