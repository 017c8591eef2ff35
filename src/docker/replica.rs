//! Steps on containers: replicas and fronts come into being, change, leave, stop and go.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use bollard::models::{ContainerCreateBody, ContainerInspectResponse, ContainerUpdateBody, VolumeCreateRequest};
use bollard::query_parameters::{
    CreateContainerOptions, ListContainersOptions, RemoveContainerOptions, RenameContainerOptions, StartContainerOptions,
    StopContainerOptions,
};

use crate::desired::{Care, Desired, Hook, MountSource, Resources, Restart};
use crate::hash::{ContentHash, Match};
use crate::host::Class;
use crate::name::ObjectId;
use crate::observed::Labels;

use super::body::{self, Limits, Place, Replica};
use super::error::{Accept, During, Error, status, text};
use super::{Docker, host, label, name, network, read};

/// The engine's answer to an address that somebody else has. It comes at the start only.
const ADDRESS_TAKEN: &str = "Address already in use";
/// So many addresses are tried before the host is said to be in the way.
const ADDRESSES_TRIED: usize = 5;
/// What is left of the grace period after a slow `preStop`, as in Kubernetes.
const LEAST_GRACE: Duration = Duration::from_secs(2);
/// How long after its own call the engine may tell of a stop.
const STOP_ECHO: Duration = Duration::from_secs(10);

impl Docker {
    pub(super) async fn create_replica(&self, id: &ObjectId, desired: &Desired) -> Result<(), Error> {
        let workload = desired.workloads.get(&id.workload()).ok_or_else(|| super::unknown("create", id))?;
        let container = workload.template.containers.first().ok_or_else(|| super::unknown("create", id))?;
        let replica = Replica { desired, workload, id, container };
        for _ in 0..ADDRESSES_TRIED {
            match self.create_with_some_address(&replica).await {
                Err(Error::Call { source, .. }) if text(&source).contains(ADDRESS_TAKEN) => self.discard_unstarted(&replica).await?,
                Err(error) => return Err(error),
                Ok(()) => {
                    self.unstage_contents(&replica).await;
                    return Ok(());
                }
            }
        }
        let reason = format!("{ADDRESSES_TRIED} addresses in a row were taken by others");
        Err(Error::refused(Class::Host, "create", replica.name(), reason))
    }

    async fn create_with_some_address(&self, replica: &Replica<'_>) -> Result<(), Error> {
        let networks = &replica.workload.template.networks;
        let shared = networks.first().filter(|first| network::is_shared(replica.desired, first));
        let address = match shared {
            Some(network) => Some(self.choose_address(network).await?),
            None => None,
        };
        let created = self.create_at(replica, address).await;
        if let Some(address) = address {
            self.release_address(address);
        }
        self.start(&created?).await
    }

    /// Creates a replica's container, or finds it; returns its id.
    async fn create_at(&self, replica: &Replica<'_>, address: Option<Ipv4Addr>) -> Result<String, Error> {
        let name = replica.name();
        if let Some(id) = self.find_created(replica).await? {
            return Ok(id);
        }
        self.create_empty_dirs(replica).await?;
        let resolvers = host::resolvers();
        let place =
            Place { address, resolvers: &resolvers, host_name: &self.inner.host_name, mountpoints: &self.mountpoints(replica).await? };
        let created = match self.create_container(&name, replica.body(&place)?).await {
            Err(Error::Call { source, .. }) if status(&source) == Some(409) => self.find_created(replica).await?,
            other => Some(other?),
        };
        let Some(id) = created else {
            return Err(Error::refused(Class::Host, "create", name, "its name was in use and is not any more"));
        };
        self.check_volumes(replica, &id).await?;
        for network in replica.workload.template.networks.iter().skip(1) {
            self.connect_endpoint(&id, network, None).await?;
        }
        Ok(id)
    }

    async fn create_container(&self, name: &str, body: ContainerCreateBody) -> Result<String, Error> {
        let options = CreateContainerOptions { name: Some(name.to_owned()), ..CreateContainerOptions::default() };
        let created = self.inner.client.create_container(Some(options), body).await.during("create", name)?;
        for warning in created.warnings {
            tracing::warn!(container = name, warning, "the engine warns");
        }
        Ok(created.id)
    }

    /// Returns the id of the container that is already there for a replica.
    async fn find_created(&self, replica: &Replica<'_>) -> Result<Option<String>, Error> {
        let name = replica.name();
        let Some(found) = self.inspect(&name).await? else { return Ok(None) };
        let labels = read::labels_of(&found).filter(|labels| self.is_own(labels) && labels.object == *replica.id);
        let Some(labels) = labels else {
            return Err(Error::refused(Class::User, "create", name, "a container of this name is there and is not ours"));
        };
        let asked = &replica.workload.hash;
        match labels.hash.as_ref().map(|hash: &ContentHash| asked.compare(hash)) {
            Some(Match::Same | Match::SameButKeyLost) => Ok(found.id),
            _ => Err(Error::refused(Class::Host, "create", name, "a replica of another revision still has this name")),
        }
    }

    fn is_own(&self, labels: &Labels) -> bool {
        labels.owner == self.inner.installation.owner
    }

    /// Removes a container that could not be started because its address was taken.
    async fn discard_unstarted(&self, replica: &Replica<'_>) -> Result<(), Error> {
        let Some(id) = self.find_created(replica).await? else { return Ok(()) };
        let options = RemoveContainerOptions { v: true, ..RemoveContainerOptions::default() };
        self.inner.client.remove_container(&id, Some(options)).await.accept(&[404]).during("remove", replica.name())
    }

    /// Chooses a static address; it stays reserved until it is released.
    pub(super) async fn choose_address(&self, network: &str) -> Result<Ipv4Addr, Error> {
        let filters = HashMap::from([("network".to_owned(), vec![network.to_owned()])]);
        let options = ListContainersOptions { all: true, filters: Some(filters), ..ListContainersOptions::default() };
        let containers = self.inner.client.list_containers(Some(options)).await.during("list the containers of", network)?;
        let endpoints = containers.into_iter().filter_map(|container| container.network_settings?.networks?.remove(network));
        let taken: BTreeSet<Ipv4Addr> = endpoints.flat_map(|endpoint| read::addresses(&endpoint)).collect();
        let chosen = self.inner.addresses().choose(&taken);
        chosen.ok_or_else(|| Error::refused(Class::User, "find an address in", network, "all are in use"))
    }

    pub(super) fn release_address(&self, address: Ipv4Addr) {
        self.inner.addresses().release(address);
    }

    async fn mountpoints(&self, replica: &Replica<'_>) -> Result<HashMap<String, String>, Error> {
        let mut mountpoints = HashMap::new();
        for mount in replica.container.mounts.iter().filter(|mount| mount.sub_path.is_some()) {
            let Some(volume) = replica.volume(&mount.source) else { continue };
            let found = self.inner.client.inspect_volume(&volume).await.during("look for the volume", &volume)?;
            mountpoints.insert(volume, found.mountpoint);
        }
        Ok(mountpoints)
    }

    /// Checks that the engine did not make an empty volume of its own in the place of one of ours that
    /// somebody removed meanwhile.
    async fn check_volumes(&self, replica: &Replica<'_>, id: &str) -> Result<(), Error> {
        for mount in &replica.container.mounts {
            if !matches!(mount.source, MountSource::Volume(_) | MountSource::Content(_)) {
                continue;
            }
            let Some(volume) = replica.volume(&mount.source) else { continue };
            let found = self.inner.client.inspect_volume(&volume).await;
            if found.is_ok_and(|found| label::read_object(&found.labels).is_some_and(|labels| self.is_own(&labels))) {
                continue;
            }
            let options = RemoveContainerOptions { v: true, force: true, ..RemoveContainerOptions::default() };
            self.inner.client.remove_container(id, Some(options)).await.accept(&[404]).during("remove", replica.name())?;
            self.remove_volume(&volume).await?;
            return Err(Error::refused(Class::Host, "create", replica.name(), format!("volume `{volume}` has gone")));
        }
        Ok(())
    }

    async fn unstage_contents(&self, replica: &Replica<'_>) {
        for mount in &replica.container.mounts {
            // Mounting a part of a volume does not hold it.
            if let (MountSource::Content(_), None, Some(volume)) = (&mount.source, &mount.sub_path, replica.volume(&mount.source)) {
                self.unstage(&volume).await;
            }
        }
    }

    pub(super) async fn create_volume(&self, id: &ObjectId, desired: &Desired) -> Result<(), Error> {
        let volume = desired.volumes.get(id).ok_or_else(|| super::unknown("create", id))?;
        let request = VolumeCreateRequest {
            name: Some(volume.host_name.clone()),
            labels: Some(label::object(&desired.installation.owner, Some(&desired.application), id)),
            ..VolumeCreateRequest::default()
        };
        // An existing volume is returned as it is, whatever its labels.
        let created = self.inner.client.create_volume(request).await.during("create the volume", &volume.host_name)?;
        match label::read_object(&created.labels).is_some_and(|labels| self.is_own(&labels)) {
            true => Ok(()),
            false => {
                let reason = "a volume of this name is there and is not ours; rename the claim, or adopt the volume";
                Err(Error::refused(Class::User, "create the volume", &volume.host_name, reason))
            }
        }
    }

    pub(super) async fn create_front(&self, id: &ObjectId, desired: &Desired) -> Result<(), Error> {
        let front = desired.fronts.get(id).ok_or_else(|| super::unknown("create", id))?;
        self.ensure_pause().await?;
        let container = match self.create_container(&front.host_name, body::front(desired, front)).await {
            Err(Error::Call { source, .. }) if status(&source) == Some(409) => {
                let found = self.inspect(&front.host_name).await?;
                let is_own = |found: &ContainerInspectResponse| {
                    read::labels_of(found).is_some_and(|labels| self.is_own(&labels) && labels.object == *id)
                };
                found.filter(is_own).and_then(|found| found.id).ok_or_else(|| {
                    Error::refused(Class::User, "create", &front.host_name, "a container of this name is there and is not ours")
                })?
            }
            other => other?,
        };
        for network in front.networks.iter().skip(1) {
            self.connect_endpoint(&container, network, None).await?;
        }
        self.start(&container).await
    }

    /// Starts a container and runs its hook after the start.
    pub(super) async fn start(&self, container: &str) -> Result<(), Error> {
        let Some(before) = self.inspect(container).await? else {
            return Err(Error::refused(Class::Host, "start", container, "it has gone"));
        };
        let name = read::name_of(&before).to_owned();
        if read::is_up(&before) {
            return Ok(());
        }
        self.inner.client.start_container(container, None::<StartContainerOptions>).await.during("start", &name)?;
        let Some(hook) = read::json_label::<Hook>(&before, label::POST_START) else { return Ok(()) };
        let Some(after) = self.inspect(container).await? else { return Ok(()) };
        if let Err(error) = self.run_hook(container, &hook, read::any_address(&after), Duration::from_secs(60)).await {
            // As in Kubernetes: the container is killed, and what follows is up to its restart policy.
            let _ = self.inner.client.kill_container(container, None::<bollard::query_parameters::KillContainerOptions>).await;
            return Err(error);
        }
        Ok(())
    }

    pub(super) async fn restart(&self, container: &str) -> Result<(), Error> {
        self.stop(container).await?;
        self.start(container).await
    }

    pub(super) async fn unpause(&self, container: &str) -> Result<(), Error> {
        // 500 if it is not paused.
        let unpaused = self.inner.client.unpause_container(container).await;
        let paused = self.inspect(container).await?.and_then(|found| found.state?.paused).unwrap_or(false);
        if paused { unpaused.during("unpause", container) } else { Ok(()) }
    }

    pub(super) async fn update(&self, id: &ObjectId, container: &str, desired: &Desired) -> Result<(), Error> {
        let workload = desired.workloads.get(&id.workload()).ok_or_else(|| super::unknown("update", id))?;
        let resources = workload.template.containers.first().map(|container| container.resources).unwrap_or_default();
        let Some(found) = self.inspect(container).await? else {
            return Err(Error::refused(Class::Host, "update", container, "it has gone"));
        };
        let name = read::name_of(&found);
        if let Some(limit) = removed_limit(&found, &resources) {
            let reason = format!("{limit} cannot be taken off a live container; it needs a new one");
            return Err(Error::refused(Class::User, "update", name, reason));
        }
        let Limits { nano_cpus, memory, cpu_shares, memory_reservation } = Limits::new(&resources);
        let policy = body::restart_policy(workload.restart);
        let update = ContainerUpdateBody {
            nano_cpus,
            memory,
            // Alone, memory is refused unless it is smaller than the swap in force.
            memory_swap: memory,
            // 1,024 is the weight of a container without any.
            cpu_shares: Some(cpu_shares.unwrap_or(1024)),
            memory_reservation,
            restart_policy: Some(policy),
            ..ContainerUpdateBody::default()
        };
        self.inner.client.update_container(container, update).await.during("update", name)
    }

    /// Marks a container as leaving: without restart policy, and renamed. Both are read back.
    pub(super) async fn leave(&self, container: &str) -> Result<(), Error> {
        let Some(found) = self.inspect(container).await? else { return Ok(()) };
        let (name, id) = (read::name_of(&found).to_owned(), found.id.clone().unwrap_or_default());
        if read::restart_policy(&found) != "no" {
            let update = ContainerUpdateBody { restart_policy: Some(body::restart_policy(Restart::No)), ..ContainerUpdateBody::default() };
            self.inner.client.update_container(container, update).await.during("take the restart policy off", &name)?;
        }
        if !name::without_mark(&name, &id).1 {
            let options = RenameContainerOptions { name: name::leaving(&name, &id) };
            self.inner.client.rename_container(container, options).await.during("rename", &name)?;
        }
        let Some(found) = self.inspect(container).await? else { return Ok(()) };
        match read::restart_policy(&found) == "no" && name::without_mark(read::name_of(&found), &id).1 {
            true => Ok(()),
            false => Err(Error::refused(Class::Host, "mark as leaving", name, "the engine says done, but it is not")),
        }
    }

    /// Stops a container: its hook, the stop signal, and the kill when the grace period is over.
    pub(super) async fn stop(&self, container: &str) -> Result<(), Error> {
        let Some(found) = self.inspect(container).await? else { return Ok(()) };
        let name = read::name_of(&found).to_owned();
        if !read::is_up(&found) {
            return Ok(());
        }
        let seconds = found.config.as_ref().and_then(|config| config.stop_timeout).unwrap_or(10);
        let grace = Duration::from_secs(u64::try_from(seconds).unwrap_or(10));
        let begun = Instant::now();
        let care: Option<Care> = read::json_label(&found, label::CARE);
        if let Some(hook) = care.and_then(|care| care.pre_stop) {
            // A hook that fails or takes too long does not keep the container.
            if let Err(error) = self.run_hook(container, &hook, read::any_address(&found), grace).await {
                tracing::warn!(container = %name, error = %error.failure().message, "the hook before the stop failed");
            }
        }
        let left = grace.saturating_sub(begun.elapsed()).max(LEAST_GRACE.min(grace));
        let id = found.id.unwrap_or_default();
        self.inner.watch().stop_ourselves(&id, read::now() + left + STOP_ECHO);
        let options = StopContainerOptions { signal: None, t: i32::try_from(left.as_secs_f64().ceil() as i64).ok() };
        // The engine answers when it is over.
        let client = self.inner.client.clone().with_timeout(left + Duration::from_secs(60));
        let stopped = client.stop_container(container, Some(options)).await.accept(&[404]).during("stop", &name);
        self.inner.watch().stop_ourselves(&id, read::now() + Duration::from_secs(1));
        stopped
    }

    /// Removes a stopped container and the volumes that live and die with it.
    pub(super) async fn remove(&self, object: &ObjectId, container: &str) -> Result<(), Error> {
        let found = self.inspect(container).await?;
        let name = match &found {
            Some(found) => name::without_mark(read::name_of(found), container).0.to_owned(),
            // A crash may have come between the container and its volumes.
            None => name::replica(object),
        };
        let options = RemoveContainerOptions { v: true, ..RemoveContainerOptions::default() };
        let removed = self.inner.client.remove_container(container, Some(options)).await;
        removed.accept(&[404]).during("remove", &name)?;
        if object.replica.is_some() {
            self.remove_empty_dirs(&name).await?;
        }
        Ok(())
    }

    pub(super) async fn inspect(&self, container: &str) -> Result<Option<ContainerInspectResponse>, Error> {
        let options = bollard::query_parameters::InspectContainerOptions::default();
        match self.inner.client.inspect_container(container, Some(options)).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(error).during("inspect", container),
        }
    }
}

/// Returns the limit that a live container has and its workload no longer asks for.
fn removed_limit(found: &ContainerInspectResponse, resources: &Resources) -> Option<&'static str> {
    let Some(config) = &found.host_config else { return None };
    let set = |value: Option<i64>| value.is_some_and(|value| value > 0);
    [
        (set(config.memory) && resources.memory_limit.is_none(), "a memory limit"),
        (set(config.nano_cpus) && resources.cpu_limit.is_none(), "a cpu limit"),
        (set(config.memory_reservation) && resources.memory_request.is_none(), "a memory reservation"),
    ]
    .into_iter()
    .find_map(|(removed, limit)| removed.then_some(limit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::HostConfig;

    #[test]
    fn a_limit_that_is_no_longer_asked_for_is_named() {
        let found = ContainerInspectResponse {
            host_config: Some(HostConfig { memory: Some(1 << 20), ..HostConfig::default() }),
            ..ContainerInspectResponse::default()
        };
        assert_eq!(removed_limit(&found, &Resources::default()), Some("a memory limit"));
        let kept = Resources { memory_limit: Some(1 << 21), ..Resources::default() };
        assert_eq!(removed_limit(&found, &kept), None);
    }
}
