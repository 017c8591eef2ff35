//! Steps that make containers and volumes.
//!
//! A deterministic name is the lock: whoever comes second finds the container of the first, and only
//! starts it.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;

use bollard::models::{ContainerCreateBody, ContainerSummary, VolumeCreateRequest};
use bollard::query_parameters::{CreateContainerOptions, ListContainersOptions, RemoveContainerOptions, RenameContainerOptions};

use crate::desired::{Desired, Front, MountSource, Template};
use crate::hash::{ContentHash, Match};
use crate::host::Class;
use crate::name::{Kind, ObjectId};
use crate::observed::Labels;

use super::body::{self, Place, Replica};
use super::error::{During, Error, status, text};
use super::{Docker, answer, host, label, network};

/// The engine's answer to an address that somebody else has. It comes at the start only.
const ADDRESS_TAKEN: &str = "Address already in use";
/// So many addresses are tried before the host is said to be in the way.
const ADDRESSES_TRIED: usize = 5;

impl Docker {
    pub(super) async fn create_replica(&self, id: &ObjectId, desired: &Desired) -> Result<(), Error> {
        let workload = desired.workloads.get(&id.workload()).ok_or_else(|| super::unknown("create", id))?;
        let container = workload.template.containers.first().ok_or_else(|| super::unknown("create", id))?;
        let replica = Replica { desired, workload, id, container };
        let _making = self.inner.making.read().await;
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
        let asked = replica.workload.template.options.platform.as_deref();
        self.check_platform(&name, &replica.container.image, asked).await?;
        self.check_volumes(replica).await?;
        self.create_empty_dirs(replica).await?;
        let resolvers = host::resolvers();
        let owner = self.network_owner(replica).await?;
        let place = Place {
            address,
            resolvers: &resolvers,
            shares: owner.as_deref(),
            host_name: &self.inner.host_name,
            mountpoints: &self.mountpoints(replica).await?,
        };
        let created = match self.create_container(&name, replica.body(&place)?, &replica.workload.template).await {
            Err(Error::Call { source, .. }) if status(&source) == Some(409) => self.find_created(replica).await?,
            other => Some(other?),
        };
        let Some(id) = created else {
            return Err(Error::refused(Class::Host, "create", name, "its name was in use and is not any more"));
        };
        if let Err(error) = self.check_volumes(replica).await {
            // One went between the check and the creation; the replica must not start with an empty one.
            self.discard_unstarted(replica).await?;
            return Err(error);
        }
        let template = &replica.workload.template;
        for network in template.networks.iter().skip(1) {
            self.connect_endpoint(&id, network, network::project_endpoint(&template.options, network)).await?;
        }
        Ok(id)
    }

    /// Returns the container in whose network namespace a replica shall be.
    async fn network_owner(&self, replica: &Replica<'_>) -> Result<Option<String>, Error> {
        let Some(service) = replica.workload.template.options.shares_network_of() else { return Ok(None) };
        let refused = |reason: String| Error::refused(Class::Host, "create", replica.name(), reason);
        let wanted =
            replica.desired.workloads.values().find(|workload| workload.id.kind == replica.id.kind && workload.id.name.as_str() == service);
        let Some(wanted) = wanted else { return Err(refused(format!("`{service}` is not part of the application"))) };
        let owner = super::labelled(format!("{}={}", label::OWNER, self.inner.installation.owner));
        let options = ListContainersOptions { filters: Some(owner), ..ListContainersOptions::default() };
        let listed = self.timed("list_containers", self.inner.client.list_containers(Some(options))).await.during("list", "containers")?;
        let is_wanted = |listed: &ContainerSummary| {
            let name = listed.names.iter().flatten().next().map_or("", |name| name.trim_start_matches('/'));
            let (labels, leaves) = answer::identify(listed.labels.as_ref()?, name, listed.id.as_deref()?);
            let labels = labels.filter(|labels| labels.object.workload() == wanted.id && !leaves)?;
            let is_current = labels.hash.as_ref().is_some_and(|hash| wanted.hash.compare(hash) != Match::Different);
            is_current.then(|| listed.id.clone())?
        };
        let found = listed.iter().find_map(is_wanted);
        found.map(Some).ok_or_else(|| refused(format!("the replica of `{service}`, whose network it shares, does not run")))
    }

    async fn create_container(&self, name: &str, body: ContainerCreateBody, template: &Template) -> Result<String, Error> {
        let platform = template.options.platform.clone().unwrap_or_default();
        let options = CreateContainerOptions { name: Some(name.to_owned()), platform };
        let client = self.with_mac(name, &body, template)?;
        let created = self.timed("create_container", client.create_container(Some(options), body)).await.during("create", name)?;
        for warning in created.warnings {
            tracing::warn!(container = name, warning, "the engine warns");
        }
        Ok(created.id)
    }

    /// Returns a client that also asks for a hardware address as engines before API 1.44 know it: for the
    /// container as a whole. Newer ones read the same from the network, and take both if they agree.
    fn with_mac(&self, name: &str, body: &ContainerCreateBody, template: &Template) -> Result<bollard::Docker, Error> {
        let client = self.inner.client.clone();
        let macs = &template.options.macs;
        let version = client.client_version();
        if macs.is_empty() || (version.major_version, version.minor_version) >= (1, 44) {
            return Ok(client);
        }
        let first = template.networks.first().and_then(|first| macs.get(first)).filter(|_| macs.len() == 1);
        let Some(mac) = first else {
            let reason = "this engine can give a hardware address on the first network only; leave out the others";
            return Err(Error::refused(Class::User, "create", name, reason));
        };
        let mut asked = serde_json::to_value(body).expect("what the engine is asked for becomes JSON");
        asked["MacAddress"] = mac.as_str().into();
        let bytes = asked.to_string();
        Ok(client.with_request_modifier(move |mut request| {
            *request.body_mut() = bollard::body_full(bytes.clone().into());
            request
        }))
    }

    /// Returns the id of the container that is already there for a replica.
    async fn find_created(&self, replica: &Replica<'_>) -> Result<Option<String>, Error> {
        let name = replica.name();
        let Some(found) = self.inspect(&name).await? else { return Ok(None) };
        let labels = answer::labels_of(&found).filter(|labels| self.is_own(labels) && labels.object == *replica.id);
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
        self.remove_container(&id, options, &replica.name()).await
    }

    /// Chooses a static address; it stays reserved until it is released.
    pub(super) async fn choose_address(&self, network: &str) -> Result<Ipv4Addr, Error> {
        let filters = HashMap::from([("network".to_owned(), vec![network.to_owned()])]);
        let options = ListContainersOptions { all: true, filters: Some(filters), ..ListContainersOptions::default() };
        let containers = self
            .timed("list_containers", self.inner.client.list_containers(Some(options)))
            .await
            .during("list the containers of", network)?;
        let endpoints = containers.into_iter().filter_map(|container| container.network_settings?.networks?.remove(network));
        let taken: BTreeSet<Ipv4Addr> = endpoints.flat_map(|endpoint| answer::addresses(&endpoint)).collect();
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
            let found =
                self.timed("inspect_volume", self.inner.client.inspect_volume(&volume)).await.during("look for the volume", &volume)?;
            mountpoints.insert(volume, found.mountpoint);
        }
        Ok(mountpoints)
    }

    /// Checks that the volumes of a replica are there and are ours. The engine would make an empty one in
    /// the place of one that somebody removed since the plan was made, and mount anybody's.
    async fn check_volumes(&self, replica: &Replica<'_>) -> Result<(), Error> {
        let asked = replica
            .container
            .mounts
            .iter()
            .filter(|mount| matches!(mount.source, MountSource::Volume(_) | MountSource::Content(_) | MountSource::External(_)));
        for (source, volume) in asked.filter_map(|mount| Some((&mount.source, replica.volume(&mount.source)?))) {
            let refused = |class, reason: &str| Err(Error::refused(class, "create", replica.name(), format!("volume `{volume}` {reason}")));
            match self.timed("inspect_volume", self.inner.client.inspect_volume(&volume)).await {
                Ok(found) => match source {
                    MountSource::External(_) => {}
                    MountSource::Volume(id) if self.may_mount(&found.labels, id) => {}
                    MountSource::Volume(id) => return refused(Class::User, not_ours(id)),
                    _ if label::read_object(&found.labels).is_some_and(|labels| self.is_own(&labels)) => {}
                    _ => return refused(Class::User, "is not ours; remove it if nobody needs it"),
                },
                Err(error) if status(&error) == Some(404) => return refused(Class::Host, "has gone"),
                Err(error) => return Err(error).during("look for the volume", &volume),
            }
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
        let options = &volume.options;
        let mut labels: label::Map = options.labels.clone().into_iter().collect();
        labels.extend(label::object(&desired.installation.owner, Some(&desired.application), id));
        let request = VolumeCreateRequest {
            name: Some(volume.host_name.clone()),
            driver: options.driver.clone(),
            driver_opts: (!options.driver_opts.is_empty()).then(|| options.driver_opts.clone().into_iter().collect()),
            labels: Some(labels),
            ..VolumeCreateRequest::default()
        };
        // An existing volume is returned as it is, whatever its labels.
        let created =
            self.timed("create_volume", self.inner.client.create_volume(request)).await.during("create the volume", &volume.host_name)?;
        match self.may_mount(&created.labels, id) {
            true => Ok(()),
            false => Err(Error::refused(Class::User, "create the volume", &volume.host_name, not_ours(id))),
        }
    }

    fn may_mount(&self, labels: &label::Map, id: &ObjectId) -> bool {
        label::read_object(labels).is_some_and(|labels| self.is_own(&labels)) || label::of_project(labels).as_ref() == Some(id)
    }

    pub(super) async fn create_front(&self, id: &ObjectId, desired: &Desired) -> Result<(), Error> {
        let front = desired.fronts.get(id).ok_or_else(|| super::unknown("create", id))?;
        self.ensure_pause().await?;
        let container = match self.create_front_container(front, &front.host_name, desired).await {
            Err(Error::Call { source, .. }) if status(&source) == Some(409) => {
                let (found, hash) = self.inspect_front(&front.host_name, id).await?.ok_or_else(|| {
                    Error::refused(Class::User, "create", &front.host_name, "a container of this name is there and is not ours")
                })?;
                let is_other =
                    !front.shared && hash.is_some_and(|hash| front.hash(&desired.installation.key).compare(&hash) == Match::Different);
                if is_other { self.replace_front(front, &found, desired).await? } else { found }
            }
            other => other?,
        };
        for network in front.networks.iter().skip(1) {
            self.connect_endpoint(&container, network, network::endpoint(None, front.aliases.get(network))).await?;
        }
        self.start(&container).await
    }

    /// Puts a front that has other names or labels in the place of one that runs: it is made and connected before, so that
    /// there is none only while one is removed and the other starts.
    async fn replace_front(&self, front: &Front, old: &str, desired: &Desired) -> Result<String, Error> {
        let next = format!("{}-next", front.host_name);
        // One from before a crash was never started.
        if let Some((left, _)) = self.inspect_front(&next, &front.id).await? {
            self.remove(&front.id, &left).await?;
        }
        let container = self.create_front_container(front, &next, desired).await?;
        for network in front.networks.iter().skip(1) {
            self.connect_endpoint(&container, network, network::endpoint(None, front.aliases.get(network))).await?;
        }
        self.remove(&front.id, old).await?;
        let options = RenameContainerOptions { name: front.host_name.clone() };
        self.timed("rename_container", self.inner.client.rename_container(&container, options)).await.during("rename", &next)?;
        Ok(container)
    }

    /// Returns the id and the hash of a front's container, if there is one of this name.
    async fn inspect_front(&self, name: &str, id: &ObjectId) -> Result<Option<(String, Option<ContentHash>)>, Error> {
        let Some(found) = self.inspect(name).await? else { return Ok(None) };
        let labels = found.config.as_ref().and_then(|config| label::read_object(config.labels.as_ref()?));
        let own = labels.filter(|labels| self.is_own(labels) && labels.object == *id);
        Ok(own.and_then(|labels| Some((found.id?, labels.hash))))
    }

    async fn create_front_container(&self, front: &Front, name: &str, desired: &Desired) -> Result<String, Error> {
        let options = CreateContainerOptions { name: Some(name.to_owned()), ..CreateContainerOptions::default() };
        let created = self.timed("create_container", self.inner.client.create_container(Some(options), body::front(desired, front))).await;
        Ok(created.during("create", name)?.id)
    }
}

/// Says why a volume that is there is not used, and what to do.
fn not_ours(id: &ObjectId) -> &'static str {
    match id.kind {
        Kind::ComposeVolume => "is there and is not ours; to use it as it is declare it `external: true`, otherwise give it another name",
        _ => "is there and is not ours; rename the claim, or remove the volume if nobody needs it",
    }
}
