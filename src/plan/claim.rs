//! What only one application of a host can have, and which one has it.
//!
//! Of several that want one thing the one that has it keeps it: whose it is on the host, else who applied it, else the
//! first by name. It is decided once for all of them, so that no two can decide differently.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::desired::{Desired, MountSource, Protocol, Workload};
use crate::finding::{Finding, Place};
use crate::name::{Kind, Name, ObjectId};
use crate::observed::{Live, Record};

/// Something that only one application of a host can have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// An object.
    Object(ObjectId),
    /// A port of the host.
    Port(Protocol, u16),
    /// The name of a container.
    Container(String),
    /// A network, by its name on the host.
    Network(String),
    /// A data volume, by its name on the host.
    Volume(String),
    /// A name in DNS, as in `web.shop`.
    Name(String),
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Thing::Object(id) => write!(f, "`{id}`"),
            Thing::Port(protocol, port) => write!(f, "port {port}/{} of the host", protocol.as_str()),
            Thing::Container(name) => write!(f, "the container name `{name}`"),
            Thing::Network(name) => write!(f, "network `{name}`"),
            Thing::Volume(name) => write!(f, "volume `{name}`"),
            Thing::Name(name) => write!(f, "the DNS name `{name}`"),
        }
    }
}

/// What others have of that which an application wants: a bad or slow one never enters another's plan in any
/// other way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claims {
    /// Things, and the application that has each.
    pub things: BTreeMap<Thing, Name>,
}

impl Claims {
    /// Returns who has a thing, if it is another application.
    pub fn holder(&self, thing: &Thing) -> Option<&Name> {
        self.things.get(thing)
    }

    /// Returns who has an object, if it is another application.
    pub fn object(&self, id: &ObjectId) -> Option<&Name> {
        if self.things.is_empty() { None } else { self.holder(&Thing::Object(id.clone())) }
    }
}

/// An application that wants things.
#[derive(Debug, Clone, Copy)]
pub struct Contender<'a> {
    /// Its name.
    pub name: &'a Name,
    /// What it wants, each with the object that asks for it.
    pub wants: &'a BTreeMap<Thing, ObjectId>,
    /// What it has applied.
    pub record: &'a Record,
}

/// Returns what an application asks for that only one can have, each with the object that asks for it.
pub fn wants(desired: &Desired) -> BTreeMap<Thing, ObjectId> {
    let mut wants = BTreeMap::new();
    for (id, workload) in &desired.workloads {
        wants.extend(workload_wants(workload).map(|thing| (thing, id.clone())));
    }
    for id in desired.services.keys() {
        wants.insert(Thing::Object(id.clone()), id.clone());
        wants.insert(Thing::Name(format!("{}.{}", id.name, id.namespace)), id.clone());
    }
    for front in desired.fronts.values().filter(|front| !front.shared) {
        wants.insert(Thing::Container(front.host_name.clone()), front.id.clone());
    }
    for network in desired.networks.values().filter(|network| !network.shared) {
        wants.insert(Thing::Network(network.host_name.clone()), network.id.clone());
    }
    for volume in desired.volumes.values() {
        wants.insert(Thing::Volume(volume.host_name.clone()), volume.id.clone());
    }
    wants
}

fn workload_wants(workload: &Workload) -> impl Iterator<Item = Thing> {
    let id = &workload.id;
    let ports = workload.template.ports.iter().map(|port| Thing::Port(port.protocol, port.host_port));
    let container = workload.template.options.container_name.clone().map(Thing::Container);
    let name = (id.kind == Kind::ComposeService).then(|| Thing::Name(format!("{}.{}", id.name, id.namespace)));
    ports.chain(container).chain(name).chain([Thing::Object(id.clone())])
}

/// Returns what is known to be wanted of an application whose manifests cannot be read now: what it has applied.
pub fn applied(record: &Record) -> BTreeMap<Thing, ObjectId> {
    record.applied.keys().map(|id| (Thing::Object(id.clone()), id.clone())).collect()
}

/// Returns the things that several want, and who has each.
pub fn holders<'a>(contenders: &[Contender<'a>], owner: &Name, live: &Live) -> BTreeMap<&'a Thing, &'a Name> {
    let mut wanted: BTreeMap<&Thing, Vec<&Contender<'a>>> = BTreeMap::new();
    for contender in contenders {
        for thing in contender.wants.keys() {
            wanted.entry(thing).or_default().push(contender);
        }
    }
    wanted.retain(|_, contenders| contenders.len() > 1);
    let first = |(thing, contenders): (&'a Thing, Vec<&Contender<'a>>)| {
        let on_host = on_host(thing, owner, live);
        let rank = |contender: &&Contender<'a>| {
            let has = on_host.contains(contender.name);
            let applied = contender.wants.get(thing).is_some_and(|id| contender.record.applied.contains_key(id));
            (!has, !applied, contender.name)
        };
        Some((thing, contenders.into_iter().min_by_key(rank)?.name))
    };
    wanted.into_iter().filter_map(first).collect()
}

/// Returns whose a thing is on the host.
fn on_host<'a>(thing: &Thing, owner: &Name, live: &'a Live) -> BTreeSet<&'a Name> {
    let containers = || {
        let ours = live.containers.iter().filter_map(|container| Some((container, container.labels.as_ref()?)));
        ours.filter(|(container, labels)| labels.owner == *owner && container.may_run())
    };
    let labels: Vec<_> = match thing {
        Thing::Object(id) => containers().map(|(_, labels)| labels).filter(|labels| labels.object.workload() == *id).collect(),
        Thing::Port(protocol, port) => containers()
            .filter(|(container, _)| container.published.iter().any(|it| it.protocol == *protocol && it.host_port == *port))
            .map(|(_, labels)| labels)
            .collect(),
        Thing::Container(name) => containers().filter(|(container, _)| container.name == *name).map(|(_, labels)| labels).collect(),
        Thing::Network(name) => live.networks.iter().filter(|it| it.name == *name).filter_map(|it| it.labels.as_ref()).collect(),
        Thing::Volume(name) => live.volumes.iter().filter(|it| it.name == *name).filter_map(|it| it.labels.as_ref()).collect(),
        Thing::Name(_) => Vec::new(),
    };
    labels.into_iter().filter_map(|labels| labels.application.as_ref()).collect()
}

/// Returns what one application does not get because others have it.
pub fn claims(contender: &Contender<'_>, holders: &BTreeMap<&Thing, &Name>) -> Claims {
    let lost = holders.iter().filter(|(thing, holder)| **holder != contender.name && contender.wants.contains_key(thing));
    Claims { things: lost.map(|(thing, holder)| ((*thing).clone(), (*holder).clone())).collect() }
}

/// Returns why a workload is not touched: something that it needs is another application's.
pub(super) fn obstacle(desired: &Desired, workload: &Workload, claims: &Claims) -> Option<String> {
    if claims.things.is_empty() {
        return None;
    }
    let mounts = workload.template.containers.iter().flat_map(|container| &container.mounts);
    let volumes = mounts.filter_map(|mount| if let MountSource::Volume(id) = &mount.source { desired.volumes.get(id) } else { None });
    let networks = workload.template.networks.iter().cloned().map(Thing::Network);
    let needs = workload_wants(workload).chain(volumes.map(|volume| Thing::Volume(volume.host_name.clone()))).chain(networks);
    // A port is waited for where it is needed; its holder may be on its way out.
    let needs = needs.filter(|thing| !matches!(thing, Thing::Port(..)));
    needs.filter_map(|thing| Some(format!("application `{}` has {thing}", claims.holder(&thing)?))).next()
}

/// Returns what a service of an application lacks: its object or name is another's.
pub fn service_obstacle(service: &ObjectId, claims: &Claims) -> Option<String> {
    let name = Thing::Name(format!("{}.{}", service.name, service.namespace));
    let things = [Thing::Object(service.clone()), name];
    things.into_iter().find_map(|thing| Some(format!("application `{}` has {thing}", claims.holder(&thing)?)))
}

/// Returns a warning for each thing that an application wants and another has.
pub(super) fn findings<'a>(desired: &'a Desired, claims: &'a Claims) -> impl Iterator<Item = Finding> + 'a {
    let wants = if claims.things.is_empty() { BTreeMap::new() } else { wants(desired) };
    wants.into_iter().filter_map(|(thing, object)| {
        let holder = claims.holder(&thing)?;
        let me = &desired.application;
        let message = match &thing {
            Thing::Object(_) => format!("applications `{holder}` and `{me}` both have {thing}: it stays with `{holder}`"),
            thing => format!("applications `{holder}` and `{me}` both want {thing} (here for `{object}`): it stays with `{holder}`"),
        };
        Some(Finding::warning("claimed", Place::default(), message).with_hint("take it out of one of them; the other has it from then on"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Fields;
    use crate::observed::{Applied, Labels, Network};

    fn name(text: &str) -> Name {
        Name::try_from(text).expect("a name")
    }

    fn object(namespace: &str) -> ObjectId {
        ObjectId::new(name(namespace), Kind::Deployment, name("web"))
    }

    fn applied_one(id: &ObjectId) -> Record {
        let applied = Applied { revision: "r1".to_owned(), fields: Fields::new() };
        Record { applied: [(id.clone(), applied)].into(), ..Record::default() }
    }

    #[test]
    fn who_has_a_thing_keeps_it_and_all_say_the_same() {
        let (port, id) = (Thing::Port(Protocol::Tcp, 80), object("shop"));
        let (wants_it, nothing) = (BTreeMap::from([(port.clone(), id.clone())]), BTreeMap::new());
        let (alpha, zeta, other) = (name("alpha"), name("zeta"), name("other"));
        let (none, has) = (Record::default(), applied_one(&id));
        let contender = |name, wants, record| Contender { name, wants, record };
        let decide = |contenders: &[Contender<'_>], live: &Live| {
            let holders = holders(contenders, &name("o1"), live);
            contenders.iter().map(|it| claims(it, &holders).holder(&port).map(ToString::to_string)).collect::<Vec<_>>()
        };
        let live = Live::default();
        let lost_to = |name: &str| Some(name.to_owned());
        // Neither has it: the first by name.
        assert_eq!(decide(&[contender(&zeta, &wants_it, &none), contender(&alpha, &wants_it, &none)], &live), [lost_to("alpha"), None]);
        // Who has applied it, whatever its name is.
        assert_eq!(decide(&[contender(&zeta, &wants_it, &has), contender(&alpha, &wants_it, &none)], &live), [None, lost_to("zeta")]);
        // Nobody else wants it.
        assert_eq!(decide(&[contender(&zeta, &wants_it, &none), contender(&other, &nothing, &none)], &live), [None, None]);
    }

    #[test]
    fn what_the_host_shows_counts_more_than_the_record() {
        let thing = Thing::Network("shop_back".to_owned());
        let id = ObjectId::new(name("shop"), Kind::ComposeNetwork, name("back"));
        let wants = BTreeMap::from([(thing.clone(), id.clone())]);
        let labels = Labels {
            owner: name("o1"),
            application: Some(name("zeta")),
            object: id.clone(),
            container: String::new(),
            hash: None,
            created_revision: String::new(),
            front: None,
        };
        let network =
            Network { id: "n".to_owned(), name: "shop_back".to_owned(), labels: Some(labels), made_for: None, subnets: Vec::new() };
        let live = Live { networks: vec![network], ..Live::default() };
        let (alpha, zeta, has, none) = (name("alpha"), name("zeta"), applied_one(&id), Record::default());
        let contenders = [Contender { name: &alpha, wants: &wants, record: &has }, Contender { name: &zeta, wants: &wants, record: &none }];
        assert_eq!(holders(&contenders, &name("o1"), &live), [(&thing, &zeta)].into());
    }
}
