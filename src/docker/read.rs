//! Reads one snapshot of the host.
//!
//! Foreign containers are taken from the engine's list; only our own are inspected. One of which the engine tells
//! nothing more than its list does is there all the same, and marked. Containers through
//! which content is delivered, and content that is not delivered completely, are left out: they are
//! not what anybody asked for.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bollard::models::{
    ContainerInspectResponse, ContainerSummary, ContainerSummaryStateEnum, EndpointSettings, HealthStatusEnum, ImageConfig, ImageSummary,
    IpamConfig, Network as EngineNetwork, Volume as EngineVolume,
};
use bollard::query_parameters::{ListContainersOptions, ListImagesOptions, ListNetworksOptions, ListVolumesOptions};
use futures_util::{StreamExt, TryStreamExt};

use crate::desired::{NetworkOptions, VolumeOptions, field as words};
use crate::name::ObjectId;
use crate::observed::{Claimed, Container, Field, Health, Labels, Live, Network, State, Volume};
use crate::time::Time;

use super::answer::{
    addresses_of, identify, inspected_state, is_up, json_label, listed_ports, listed_state, name_of, published, restart_policy, subnets,
    volume_names,
};
use super::error::{During, Error, status};
use super::field::{self, Volumes};
use super::{Docker, debris, label, name, watch};

/// So many containers are inspected at once; more do not make the engine faster.
const AT_ONCE: usize = 4;
/// How long the engine may take to tell of one container. It waits for a container that hangs, and for nothing
/// else that answers so late.
const SLOWEST: Duration = Duration::from_secs(10);

impl Docker {
    /// Reads one snapshot of the host.
    ///
    /// # Errors
    ///
    /// If the engine does not answer, or with something that is not understood.
    pub async fn read(&self) -> Result<Live, Error> {
        let at = now();
        // Volumes first: one that is being filled comes with a container that says so, and the other way round
        // that container may not have been there yet.
        let volumes = self.list_volumes().await?;
        let (containers, networks, images) = tokio::try_join!(self.list_containers(), self.list_networks(), self.list_images())?;
        let ids: HashSet<&str> = containers.iter().filter_map(|listed| listed.id.as_deref()).collect();
        self.inner.watch().retain(|id| ids.contains(id));
        let filled: HashSet<String> = containers.iter().filter_map(filled_volume).collect();
        let held: BTreeSet<&str> = containers.iter().flat_map(debris::mounted).collect();
        let index = Volumes::new(&volumes);
        // Collected first: a stream over borrowed items would not be `Send` for a caller's task.
        let asked: Vec<_> =
            containers.iter().filter(|listed| !is_staging(listed)).map(|listed| self.read_container(listed, &index)).collect();
        let read = futures_util::stream::iter(asked)
            .buffered(AT_ONCE)
            .try_filter_map(|container| std::future::ready(Ok(container)))
            .try_collect::<Vec<Container>>()
            .await?;
        self.forget_addresses(&read);
        Ok(Live {
            at,
            made: networks.iter().filter_map(made_network).chain(volumes.iter().filter_map(made_volume)).collect(),
            networks: networks.iter().map(network).collect(),
            volumes: volumes.iter().filter(|volume| !filled.contains(&volume.name)).map(|found| volume(found, &held)).collect(),
            images: self.image_names(&images, &read),
            debris: debris::find(&containers, &volumes, &self.inner.installation.owner),
            containers: read,
        })
    }

    async fn list_containers(&self) -> Result<Vec<ContainerSummary>, Error> {
        let options = ListContainersOptions { all: true, ..ListContainersOptions::default() };
        self.timed("list_containers", self.inner.client.list_containers(Some(options))).await.during("list", "containers")
    }

    async fn list_networks(&self) -> Result<Arc<Vec<EngineNetwork>>, Error> {
        let (kept, generation) = self.kept(|watch| watch.networks.get());
        if let Some(kept) = kept {
            return Ok(kept);
        }
        let answer =
            self.timed("list_networks", self.inner.client.list_networks(None::<ListNetworksOptions>)).await.during("list", "networks")?;
        let answer = Arc::new(answer);
        watch::keep(&mut self.inner.watch(), |watch| &mut watch.networks, &answer, generation);
        Ok(answer)
    }

    async fn list_volumes(&self) -> Result<Arc<Vec<EngineVolume>>, Error> {
        let (kept, generation) = self.kept(|watch| watch.volumes.get());
        if let Some(kept) = kept {
            return Ok(kept);
        }
        let answer =
            self.timed("list_volumes", self.inner.client.list_volumes(None::<ListVolumesOptions>)).await.during("list", "volumes")?;
        let answer = Arc::new(answer.volumes.unwrap_or_default());
        watch::keep(&mut self.inner.watch(), |watch| &mut watch.volumes, &answer, generation);
        Ok(answer)
    }

    async fn list_images(&self) -> Result<Arc<Vec<ImageSummary>>, Error> {
        let (kept, generation) = self.kept(|watch| watch.images.get());
        if let Some(kept) = kept {
            return Ok(kept);
        }
        let answer = self.timed("list_images", self.inner.client.list_images(None::<ListImagesOptions>)).await.during("list", "images")?;
        let answer = Arc::new(answer);
        watch::keep(&mut self.inner.watch(), |watch| &mut watch.images, &answer, generation);
        Ok(answer)
    }

    fn kept<T>(&self, slot: impl Fn(&watch::Watch) -> watch::Kept<T>) -> (watch::Kept<T>, u64) {
        let watch = self.inner.watch();
        (slot(&watch), watch.generation())
    }

    /// Reads one container; `None` if it has gone since it was listed.
    async fn read_container(&self, listed: &ContainerSummary, volumes: &Volumes<'_>) -> Result<Option<Container>, Error> {
        let empty = label::Map::new();
        let marks = listed.labels.as_ref().unwrap_or(&empty);
        let is_own = marks.get(label::OWNER).map(String::as_str) == Some(self.inner.installation.owner.as_str());
        if !is_own {
            let mut container = self::listed(listed);
            let (labels, _) = identify(marks, &container.name, &container.id);
            container.impostor = labels.is_none() && label::is_marked(marks);
            container.labels = labels;
            return Ok(Some(container));
        }
        match self.read_own(listed, marks, volumes).await {
            Err(error) if error.is_of_one() => Ok(Some(unread(listed, marks, volumes, error.failure().message))),
            read => read,
        }
    }

    /// Reads one container of ours.
    async fn read_own(&self, listed: &ContainerSummary, marks: &label::Map, volumes: &Volumes<'_>) -> Result<Option<Container>, Error> {
        let Some(found) = self.inspect_kept(listed).await? else { return Ok(None) };
        let (labels, marked) = identify(marks, name_of(&found), found.id.as_deref().unwrap_or_default());
        let mut container = own(&found, volumes);
        container.leaving = marked && restart_policy(&found) == "no";
        container.impostor = labels.is_none();
        container.stopped_by_hand = self.stopped_by_hand(&container);
        container.claims = claims(marks).filter(|_| labels.is_none());
        let known = labels.as_ref().or(container.claims.as_ref().map(|claimed| &claimed.labels)).cloned();
        if let Some(labels) = &known {
            let image = self.image_config(found.image.as_deref().unwrap_or_default()).await?;
            container.fields = field::fields(&found, labels, &image, volumes);
            self.remember_address(&found, labels);
        }
        container.labels = labels;
        Ok(Some(container))
    }

    async fn inspect_kept(&self, listed: &ContainerSummary) -> Result<Option<Arc<ContainerInspectResponse>>, Error> {
        let id = listed.id.as_deref().unwrap_or_default();
        let (kept, generation) = self.kept(|watch| watch.container(id));
        // Networks of a container that does not run change without an event.
        if let Some(kept) = kept.filter(|kept| looks_like(kept, listed)) {
            return Ok(Some(kept));
        }
        let found = tokio::time::timeout(SLOWEST, self.inspect(id)).await;
        let late = |_| Error::TimedOut { operation: "inspect", object: id.to_owned(), limit: SLOWEST };
        let Some(found) = found.map_err(late)?? else { return Ok(None) };
        let found = Arc::new(found);
        self.inner.watch().keep_container(id, &found, generation);
        Ok(Some(found))
    }

    async fn image_config(&self, id: &str) -> Result<Arc<ImageConfig>, Error> {
        if let Some(kept) = self.inner.watch().image_config(id) {
            return Ok(kept);
        }
        let config = match self.timed("inspect_image", self.inner.client.inspect_image(id)).await {
            Ok(image) => image.config.unwrap_or_default(),
            // Somebody removed the image by force; then nothing can be called inherited.
            Err(error) if status(&error) == Some(404) => return Ok(Arc::default()),
            Err(error) => return Err(error).during("inspect", id),
        };
        let config = Arc::new(config);
        self.inner.watch().keep_image_config(id, &config);
        Ok(config)
    }

    fn stopped_by_hand(&self, container: &Container) -> Option<Time> {
        let at = self.inner.watch().stopped_by_hand(&container.id)?;
        let is_down = matches!(container.state, State::Exited(_) | State::Paused);
        (is_down && container.started.is_none_or(|started| started <= at)).then_some(at)
    }

    fn remember_address(&self, found: &ContainerInspectResponse, labels: &Labels) {
        let networks = found.network_settings.iter().filter_map(|settings| settings.networks.as_ref()).flatten();
        let fixed = networks.filter_map(|(_, endpoint)| endpoint.ipam_config.as_ref()?.ipv4_address.as_deref()?.parse().ok()).next();
        if let Some(address) = fixed {
            self.inner.known_addresses().insert(name::expected(labels), address);
        }
    }

    /// Forgets the addresses of containers that are no more.
    fn forget_addresses(&self, containers: &[Container]) {
        let there: HashSet<String> = containers.iter().filter_map(|container| container.labels.as_ref()).map(name::expected).collect();
        self.inner.known_addresses().retain(|name, _| there.contains(name));
    }

    /// Returns every name that an image goes by, also those that only its author uses.
    fn image_names(&self, images: &[ImageSummary], containers: &[Container]) -> BTreeMap<String, String> {
        let ids: HashSet<&str> = images.iter().map(|image| image.id.as_str()).collect();
        let mut names = BTreeMap::new();
        let watch = self.inner.watch();
        let remembered = watch.pulled_names().iter().map(|(name, id)| (name.as_str(), id.as_str()));
        let created = containers.iter().filter(|container| container.labels.is_some() && container.image.contains('@'));
        for (name, id) in remembered.chain(created.map(|container| (container.image.as_str(), container.image_id.as_str()))) {
            // A tag may have moved since; with a digest the name cannot mean anything else.
            if name.contains('@') && ids.contains(id) {
                names.insert(name.to_owned(), id.to_owned());
            }
        }
        for image in images {
            names.insert(image.id.clone(), image.id.clone());
            for name in image.repo_tags.iter().chain(&image.repo_digests).filter(|name| !name.starts_with("<none>")) {
                names.extend(spellings(name).into_iter().map(|name| (name, image.id.clone())));
            }
        }
        names
    }
}

/// Returns all ways to write an image's name as the engine shows it.
fn spellings(name: &str) -> Vec<String> {
    let mut stems = vec![name.to_owned()];
    let is_hub = match name.split_once('/') {
        Some((first, _)) => !(first.contains(['.', ':']) || first == "localhost"),
        None => true,
    };
    if is_hub {
        stems.push(format!("docker.io/{name}"));
        if !name.contains('/') {
            stems.extend([format!("library/{name}"), format!("docker.io/library/{name}")]);
        }
    }
    let short: Vec<String> = stems.iter().filter_map(|name| name.strip_suffix(":latest").map(str::to_owned)).collect();
    stems.extend(short);
    stems
}

/// Returns what the labels of a container of another name say.
fn claims(marks: &label::Map) -> Option<Box<Claimed>> {
    let labels = label::read_container(marks)?;
    let name = marks.get(label::NAME).cloned().unwrap_or_else(|| name::expected(&labels));
    Some(Box::new(Claimed { labels, name }))
}

/// Returns a container of ours of which the engine tells no more than its list does, and why.
fn unread(found: &ContainerSummary, marks: &label::Map, volumes: &Volumes<'_>, why: String) -> Container {
    let mut container = listed(found);
    (container.labels, _) = identify(marks, &container.name, &container.id);
    container.impostor = container.labels.is_none();
    container.claims = claims(marks).filter(|_| container.labels.is_none());
    let sources = found.mounts.iter().flatten().filter_map(|mount| mount.source.as_deref());
    let parts: Vec<String> = sources.filter_map(|source| Some(volumes.behind(source)?.0.name.clone())).collect();
    container.volumes.extend(parts.iter().cloned());
    container.writes.extend(parts);
    container.unread = Some(why);
    container
}

/// Returns what the engine's list tells of a container.
fn listed(listed: &ContainerSummary) -> Container {
    let mounts = listed.mounts.as_deref().unwrap_or_default();
    Container {
        id: listed.id.clone().unwrap_or_default(),
        name: listed.names.iter().flatten().next().map(|name| name.trim_start_matches('/').to_owned()).unwrap_or_default(),
        labels: None,
        impostor: false,
        claims: None,
        state: listed_state(listed),
        leaving: false,
        created: Time(listed.created.unwrap_or_default() * 1000),
        started: None,
        finished: None,
        stopped_by_hand: None,
        restarts: 0,
        exit_code: None,
        image: listed.image.clone().unwrap_or_default(),
        image_id: listed.image_id.clone().unwrap_or_default(),
        addresses: match listed.state {
            Some(ContainerSummaryStateEnum::RUNNING) => addresses_of(listed.network_settings.as_ref().and_then(|it| it.networks.as_ref())),
            _ => BTreeMap::new(),
        },
        published: listed_ports(listed),
        writes: volume_names(mounts, true),
        volumes: volume_names(mounts, false),
        fields: listed_networks(listed),
        care: None,
        health: None,
        unread: None,
    }
}

fn listed_networks(listed: &ContainerSummary) -> BTreeMap<String, Field> {
    let networks = listed.network_settings.iter().filter_map(|settings| settings.networks.as_ref()).flat_map(HashMap::keys);
    let connected = Field { value: "connected".to_owned(), inherited: false };
    networks.map(|network| (words::network(network), connected.clone())).collect()
}

fn own(found: &ContainerInspectResponse, volumes: &Volumes<'_>) -> Container {
    let mounts = found.mounts.as_deref().unwrap_or_default();
    let parts = mounts.iter().filter_map(|mount| Some((volumes.behind(mount.source.as_deref()?)?.0.name.clone(), mount.rw)));
    let parts: Vec<(String, Option<bool>)> = parts.collect();
    let config = found.config.as_ref();
    let state = found.state.as_ref();
    let time = |text: Option<&String>| text.and_then(|text| Time::parse(text)).filter(|time| time.0 > 0);
    Container {
        id: found.id.clone().unwrap_or_default(),
        name: name_of(found).to_owned(),
        labels: None,
        impostor: false,
        claims: None,
        state: inspected_state(found),
        leaving: false,
        created: time(found.created.as_ref()).unwrap_or_default(),
        started: time(state.and_then(|state| state.started_at.as_ref())),
        finished: time(state.and_then(|state| state.finished_at.as_ref())),
        stopped_by_hand: None,
        restarts: found.restart_count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
        exit_code: match inspected_state(found) {
            State::Exited(code) => Some(code),
            State::Restarting => state.and_then(|state| state.exit_code).and_then(|code| i32::try_from(code).ok()),
            _ => None,
        },
        image: config.and_then(|config| config.image.clone()).unwrap_or_default(),
        image_id: found.image.clone().unwrap_or_default(),
        addresses: match is_up(found) {
            true => addresses_of(found.network_settings.as_ref().and_then(|settings| settings.networks.as_ref())),
            false => BTreeMap::new(),
        },
        published: found.host_config.as_ref().map(published).unwrap_or_default(),
        writes: volume_names(mounts, true)
            .into_iter()
            .chain(parts.iter().filter(|(_, rw)| *rw != Some(false)).map(|(name, _)| name.clone()))
            .collect(),
        volumes: volume_names(mounts, false).into_iter().chain(parts.iter().map(|(name, _)| name.clone())).collect(),
        fields: BTreeMap::new(),
        care: json_label(found, label::CARE),
        health: health(found),
        unread: None,
    }
}

/// Returns what the engine's own question about a container's health says.
fn health(found: &ContainerInspectResponse) -> Option<Health> {
    let health = found.state.as_ref()?.health.as_ref()?;
    match health.status? {
        HealthStatusEnum::STARTING => Some(Health::Starting),
        HealthStatusEnum::UNHEALTHY => Some(Health::Bad),
        HealthStatusEnum::HEALTHY => {
            // The engine keeps the last answers, oldest first.
            let answers = health.log.iter().flatten().rev();
            let good = answers.take_while(|answer| answer.exit_code == Some(0)).last();
            let since = good.and_then(|answer| Time::parse(answer.end.as_ref()?)).unwrap_or_default();
            Some(Health::Good(since))
        }
        _ => None,
    }
}

fn network(network: &EngineNetwork) -> Network {
    Network {
        id: network.id.clone().unwrap_or_default(),
        name: network.name.clone().unwrap_or_default(),
        labels: network.labels.as_ref().and_then(label::read_object),
        made_for: network.labels.as_ref().and_then(label::of_project),
        subnets: subnets(network),
    }
}

/// Returns how a network of ours was made. What we add by ourselves is left out.
fn made_network(network: &EngineNetwork) -> Option<((ObjectId, String), BTreeMap<String, String>)> {
    let object = label::read_object(network.labels.as_ref()?)?.object;
    let configs = network.ipam.iter().filter_map(|ipam| ipam.config.as_ref()).flatten();
    let config = |config: &IpamConfig| {
        let IpamConfig { subnet, ip_range, gateway, .. } = config.clone();
        let parts = [("subnet", subnet), ("ip_range", ip_range), ("gateway", gateway)];
        parts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.filter(|value| !value.is_empty())?))).collect()
    };
    let options = NetworkOptions {
        driver: network.driver.clone(),
        driver_opts: network.options.clone().unwrap_or_default().into_iter().collect(),
        internal: network.internal == Some(true),
        attachable: network.attachable == Some(true),
        ipam: configs.map(config).collect(),
        labels: authors(network.labels.as_ref()?),
    };
    Some(((object, network.name.clone()?), options.fields()))
}

fn made_volume(volume: &EngineVolume) -> Option<((ObjectId, String), BTreeMap<String, String>)> {
    let object = label::read_object(&volume.labels)?.object;
    let driver_opts = volume.options.clone().into_iter().collect();
    let options = VolumeOptions { driver: Some(volume.driver.clone()), driver_opts, labels: authors(&volume.labels) };
    Some(((object, volume.name.clone()), options.fields()))
}

fn authors(labels: &label::Map) -> BTreeMap<String, String> {
    labels.iter().filter(|(name, _)| !label::is_added(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn volume(volume: &EngineVolume, held: &BTreeSet<&str>) -> Volume {
    let (labels, made_for) = (label::read_object(&volume.labels), label::of_project(&volume.labels));
    Volume { name: volume.name.clone(), labels, made_for, held: held.contains(volume.name.as_str()) }
}

fn is_staging(listed: &ContainerSummary) -> bool {
    listed.labels.as_ref().is_some_and(|labels| labels.contains_key(label::STAGING))
}

/// Returns the volume that is being filled through a container, if that is what it is there for.
fn filled_volume(listed: &ContainerSummary) -> Option<String> {
    let volume = listed.labels.as_ref()?.get(label::STAGING)?;
    let filling = format!("/{}", name::filling(volume));
    listed.names.iter().flatten().any(|name| *name == filling).then(|| volume.clone())
}

fn looks_like(kept: &ContainerInspectResponse, listed: &ContainerSummary) -> bool {
    let kept_networks = kept.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
    let listed_networks = listed.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
    let names = |networks: Option<&HashMap<String, EndpointSettings>>| -> BTreeSet<String> {
        networks.map(|networks| networks.keys().cloned().collect()).unwrap_or_default()
    };
    let same_state = matches!((inspected_state(kept), listed_state(listed)), (State::Exited(_), State::Exited(_)))
        || inspected_state(kept) == listed_state(listed);
    same_state
        && names(kept_networks) == names(listed_networks)
        && listed.names.iter().flatten().any(|name| Some(name) == kept.name.as_ref())
}

/// Returns the present time.
pub(super) fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_found_by_every_way_to_write_its_name() {
        let names = spellings("nginx:latest");
        for name in ["nginx", "nginx:latest", "docker.io/library/nginx", "docker.io/nginx:latest", "library/nginx"] {
            assert!(names.iter().any(|known| known == name), "{name}");
        }
        assert_eq!(spellings("ghcr.io/a/b:1"), ["ghcr.io/a/b:1"]);
        assert_eq!(spellings("localhost:5000/web:latest"), ["localhost:5000/web:latest", "localhost:5000/web"]);
    }
}
