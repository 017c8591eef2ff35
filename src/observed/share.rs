//! What of a snapshot concerns one application: what is its own, and what it refers to, whoever has that.
//!
//! A plan looks at nothing else of a host. So a plan that is made from a share is the one that the whole
//! snapshot leads to, and it stays what it is as long as the share does. The simulator's worlds compare both
//! at every turn.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::desired::{Desired, Exclusive, MountSource, Protocol};
use crate::name::{Kind, Name, ObjectId};
use crate::time::Time;

use super::live::digests;
use super::{Container, Debris, Labels, Live, Network, Observed, Volume};

/// Why something concerns an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key<'a> {
    /// All may look at it: it is shared, or carries our labels wrongly, which every plan reports.
    All,
    /// It is this application's.
    Application(&'a Name),
    /// It has this name on the host, or, of a container, this id.
    Named(&'a str),
    /// It is the front with this id.
    Front(&'a ObjectId),
    /// It holds this port of the host.
    Port(Protocol, u16),
    /// It mounts this volume.
    Mounts(&'a str),
    /// It is on this network.
    On(&'a str),
    /// It has this hardware address.
    Mac(&'a str),
}

/// Things of a snapshot by what they concern.
#[derive(Debug)]
struct Index<'a, T> {
    all: &'a [T],
    places: HashMap<Key<'a>, Vec<usize>>,
}

impl<'a, T> Index<'a, T> {
    fn of<I: IntoIterator<Item = Key<'a>>>(all: &'a [T], keys: impl Fn(&'a T) -> I) -> Self {
        let mut places: HashMap<Key<'a>, Vec<usize>> = HashMap::new();
        for (place, one) in all.iter().enumerate() {
            for key in keys(one) {
                places.entry(key).or_default().push(place);
            }
        }
        Index { all, places }
    }

    /// Returns what has any of these keys, in the order of the snapshot.
    fn select(&self, keys: &BTreeSet<Key<'a>>) -> Vec<&'a T> {
        let places: BTreeSet<usize> = keys.iter().filter_map(|key| self.places.get(key)).flatten().copied().collect();
        places.into_iter().filter_map(|place| self.all.get(place)).collect()
    }
}

/// A snapshot, split by what concerns whom.
#[derive(Debug)]
pub struct Shares<'a> {
    at: Time,
    containers: Index<'a, Container>,
    networks: Index<'a, Network>,
    volumes: Index<'a, Volume>,
    debris: Index<'a, Debris>,
    images: &'a BTreeMap<String, String>,
    made: &'a BTreeMap<(ObjectId, String), BTreeMap<String, String>>,
}

/// What of a snapshot concerns one application.
#[derive(Debug)]
pub struct Share<'a> {
    at: Time,
    containers: Vec<&'a Container>,
    networks: Vec<&'a Network>,
    volumes: Vec<&'a Volume>,
    debris: Vec<&'a Debris>,
    images: BTreeMap<&'a String, &'a String>,
    made: BTreeMap<&'a (ObjectId, String), &'a BTreeMap<String, String>>,
}

impl<'a> Shares<'a> {
    /// Splits a snapshot.
    pub fn of(live: &'a Live) -> Self {
        let Live { at, containers, networks, volumes, debris, images, made } = live;
        Shares {
            at: *at,
            containers: Index::of(containers, container_keys),
            networks: Index::of(networks, |network| [Key::Named(&network.name)].into_iter().chain(application(network.labels.as_ref()))),
            volumes: Index::of(volumes, |volume| [Key::Named(&volume.name)].into_iter().chain(application(volume.labels.as_ref()))),
            debris: Index::of(debris, |debris| [Key::Application(&debris.application)]),
            images,
            made,
        }
    }

    /// Returns what concerns an application of which these are the desired states: the one that is kept, and others
    /// that may be asked about.
    pub fn share(&self, application: &'a Name, desired: impl Iterator<Item = &'a Desired> + Clone, observed: &'a Observed) -> Share<'a> {
        let mut keys = BTreeSet::from([Key::All, Key::Application(application)]);
        let Observed { traffic, known, .. } = observed;
        let containers = traffic.joined.values().map(|joined| &joined.container).chain(traffic.left.keys()).chain(known);
        keys.extend(containers.map(|id| Key::Named(id)));
        desired.clone().for_each(|desired| keys.extend(desired_keys(desired)));
        let (networks, volumes) = (self.networks.select(&keys), self.volumes.select(&keys));
        // Who else is on a network of its own, or mounts files that were delivered for it, keeps that from going.
        let own = |labels: &Option<Labels>, kind| {
            labels.as_ref().is_some_and(|labels| labels.application.as_ref() == Some(application) && labels.object.kind == kind)
        };
        let on = networks.iter().filter(|network| own(&network.labels, Kind::ComposeNetwork)).map(|network| Key::On(&network.name));
        let mount = volumes.iter().filter(|volume| own(&volume.labels, Kind::Content)).map(|volume| Key::Mounts(&volume.name));
        // Who uses what has the name of its own and is somebody else's is said.
        let wanted: BTreeSet<&str> = desired.clone().flat_map(ground).map(|(_, name)| name.as_str()).collect();
        let foreign = |name: &str, labels: &Option<Labels>| labels.is_none() && wanted.contains(name);
        let on_foreign = networks.iter().filter(|it| foreign(&it.name, &it.labels)).map(|network| Key::On(&network.name));
        let mount_foreign = volumes.iter().filter(|it| foreign(&it.name, &it.labels)).map(|volume| Key::Mounts(&volume.name));
        keys.extend(on.chain(mount).chain(on_foreign).chain(mount_foreign));
        let containers = self.containers.select(&keys);
        let templates = desired.clone().flat_map(|desired| desired.workloads.values()).flat_map(|workload| &workload.template.containers);
        let run = containers.iter().map(|container| &container.image);
        let names: BTreeSet<&String> = templates.map(|container| &container.image).chain(run).collect();
        Share {
            at: self.at,
            containers,
            networks,
            volumes,
            debris: self.debris.select(&keys),
            images: names
                .into_iter()
                .flat_map(|name| self.images.get_key_value(name).into_iter().chain(digests(self.images, name)))
                .collect(),
            made: desired.flat_map(ground).filter_map(|(id, name)| self.made.get_key_value(&(id.clone(), name.clone()))).collect(),
        }
    }
}

impl Share<'_> {
    /// Tells whether a snapshot is the same, whenever it was taken.
    pub fn is(&self, live: &Live) -> bool {
        let Share { at: _, containers, networks, volumes, debris, images, made } = self;
        let Live {
            at: _,
            containers: known_containers,
            networks: known_networks,
            volumes: known_volumes,
            debris: known_debris,
            images: known_images,
            made: known_made,
        } = live;
        containers.iter().copied().eq(known_containers)
            && networks.iter().copied().eq(known_networks)
            && volumes.iter().copied().eq(known_volumes)
            && debris.iter().copied().eq(known_debris)
            && images.iter().map(|(name, id)| (*name, *id)).eq(known_images)
            && made.iter().map(|(id, made)| (*id, *made)).eq(known_made)
    }

    /// Returns its containers.
    pub fn containers(&self) -> impl Iterator<Item = &Container> {
        self.containers.iter().copied()
    }

    /// Returns it as a snapshot of its own.
    pub fn to_live(&self) -> Live {
        let Share { at, containers, networks, volumes, debris, images, made } = self;
        Live {
            at: *at,
            containers: containers.iter().copied().cloned().collect(),
            networks: networks.iter().copied().cloned().collect(),
            volumes: volumes.iter().copied().cloned().collect(),
            debris: debris.iter().copied().cloned().collect(),
            images: images.iter().map(|(name, id)| ((*name).clone(), (*id).clone())).collect(),
            made: made.iter().map(|(id, made)| ((*id).clone(), (*made).clone())).collect(),
        }
    }
}

fn application(labels: Option<&Labels>) -> Option<Key<'_>> {
    labels.and_then(|labels| labels.application.as_ref()).map(Key::Application)
}

fn container_keys(container: &Container) -> Vec<Key<'_>> {
    let claimed = container.claims.as_ref().map(|claimed| &claimed.labels);
    let labels = container.labels.as_ref();
    let shared = labels.is_some_and(|labels| labels.application.is_none());
    let mut keys = vec![Key::Named(&container.id)];
    keys.extend((shared || container.impostor).then_some(Key::All));
    keys.extend(labels.into_iter().chain(claimed).filter_map(|labels| application(Some(labels))));
    keys.extend(labels.filter(|labels| labels.is_front()).map(|labels| Key::Front(&labels.object)));
    keys.extend(container.published.iter().map(|port| Key::Port(port.protocol, port.host_port)));
    keys.extend(container.volumes.union(&container.writes).map(|volume| Key::Mounts(volume)));
    for (path, field) in &container.fields {
        if path.starts_with("macs[") {
            keys.push(Key::Mac(&field.value));
        }
        keys.extend(path.strip_prefix("networks[").and_then(|path| path.strip_suffix(']')).map(Key::On));
    }
    keys.extend(container.addresses.keys().map(|network| Key::On(network)));
    keys
}

/// Returns why something that is another's concerns an application that asks for this.
fn desired_keys(desired: &Desired) -> impl Iterator<Item = Key<'_>> {
    let networks = desired.networks.values().map(|network| &network.host_name);
    let on = desired.workloads.values().flat_map(|workload| &workload.template.networks);
    let fronts = desired.fronts.values().flat_map(|front| &front.networks);
    let volumes = desired.volumes.values().map(|volume| volume.host_name.as_str());
    let names = networks.chain(on).chain(fronts).map(String::as_str).chain(volumes).chain(external(desired));
    let exclusive = desired.workloads.values().flat_map(|workload| &workload.exclusive).filter_map(|exclusive| match exclusive {
        Exclusive::HostPort(protocol, port) => Some(Key::Port(*protocol, *port)),
        Exclusive::Volume(id) => desired.volumes.get(id).map(|volume| Key::Mounts(&volume.host_name)),
        Exclusive::Mac(mac) => Some(Key::Mac(mac)),
    });
    names.map(Key::Named).chain(desired.fronts.keys().map(Key::Front)).chain(exclusive)
}

/// Returns the networks and volumes that it has, with their names on the host.
fn ground(desired: &Desired) -> impl Iterator<Item = (&ObjectId, &String)> {
    let networks = desired.networks.values().map(|network| (&network.id, &network.host_name));
    networks.chain(desired.volumes.values().map(|volume| (&volume.id, &volume.host_name)))
}

/// Returns the volumes that it uses and somebody else made.
fn external(desired: &Desired) -> impl Iterator<Item = &str> {
    let containers = desired.workloads.values().flat_map(|workload| &workload.template.containers);
    containers.flat_map(|container| &container.mounts).filter_map(|mount| match &mount.source {
        MountSource::External(name) => Some(name.as_str()),
        MountSource::Volume(_) | MountSource::Content(_) | MountSource::EmptyDir(_) | MountSource::Host { .. } => None,
    })
}
