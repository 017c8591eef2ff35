//! One round's inputs, with replicas sorted to their workloads.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::desired::{Care, Desired, Exclusive, Identity, Mode, PullPolicy, Workload};
use crate::hash::sha256;
use crate::host::Step;
use crate::name::{Name, ObjectId};
use crate::observed::{Container, Observed};
use crate::time::Time;

use super::claim::Thing;
use super::replica::{Facts, Replica, Standing};
use super::{Change, Claims, foreign};

pub(super) struct View<'a> {
    pub(super) desired: &'a Desired,
    pub(super) claims: &'a Claims,
    pub(super) observed: &'a Observed,
    pub(super) now: Time,
    replicas: BTreeMap<ObjectId, Vec<Replica<'a>>>,
    pending: BTreeMap<ObjectId, BTreeSet<Name>>,
    fronts: BTreeMap<&'a ObjectId, &'a Container>,
    networks: BTreeSet<&'a str>,
    volumes: BTreeSet<&'a str>,
    taken: BTreeSet<&'a ObjectId>,
    changing: BTreeSet<ObjectId>,
}

impl<'a> View<'a> {
    pub(super) fn new(desired: &'a Desired, claims: &'a Claims, observed: &'a Observed, now: Time) -> Self {
        let mut replicas: BTreeMap<ObjectId, Vec<Replica<'a>>> = BTreeMap::new();
        let facts = facts(desired, observed);
        for (container, labels) in observed.live.replicas(&desired.installation.owner, &desired.application) {
            let id = labels.object.workload();
            let replica = Replica::new(container, labels, facts.get(&id), observed, now);
            replicas.entry(id).or_default().push(replica);
        }
        for list in replicas.values_mut() {
            list.sort_by(|a, b| (a.container.created, &a.container.name).cmp(&(b.container.created, &b.container.name)));
        }
        follow_networks(desired, &mut replicas);
        let fronts = observed.live.containers.iter().filter_map(|container| Some((container.labels.as_ref()?, container)));
        let mut view = View {
            desired,
            claims,
            observed,
            now,
            replicas,
            pending: BTreeMap::new(),
            fronts: fronts.filter(|(labels, _)| labels.is_front()).map(|(labels, container)| (&labels.object, container)).collect(),
            networks: observed.live.networks.iter().map(|network| network.name.as_str()).collect(),
            volumes: observed.live.volumes.iter().map(|volume| volume.name.as_str()).collect(),
            taken: foreign::taken(desired, &observed.live).map(|((id, _), _)| id).collect(),
            changing: BTreeSet::new(),
        };
        view.pending = view.find_pending();
        view
    }

    /// Returns the replicas of a workload, oldest first.
    pub(super) fn replicas(&self, workload: &ObjectId) -> &[Replica<'a>] {
        self.replicas.get(workload).map_or(&[], Vec::as_slice)
    }

    /// Returns all replicas of the application by workload, also of workloads that Git no longer has.
    pub(super) fn all_replicas(&self) -> impl Iterator<Item = (&ObjectId, &[Replica<'a>])> {
        self.replicas.iter().map(|(id, replicas)| (id, replicas.as_slice()))
    }

    /// Returns the names of replicas that are being created and that the host does not show yet.
    pub(super) fn pending(&self, workload: &ObjectId) -> usize {
        self.pending.get(workload).map_or(0, BTreeSet::len)
    }

    fn find_pending(&self) -> BTreeMap<ObjectId, BTreeSet<Name>> {
        let mut pending: BTreeMap<ObjectId, BTreeSet<Name>> = BTreeMap::new();
        for in_flight in self.observed.in_flight.values() {
            // One that is being removed is not seen either, and is not on its way.
            let Step::Create { replica } = &in_flight.step else { continue };
            let id = replica.workload();
            let seen = self.replicas(&id).iter().any(|known| known.id == replica);
            if let Some(name) = replica.replica.clone().filter(|_| !seen && self.desired.workloads.contains_key(&id)) {
                pending.entry(id).or_default().insert(name);
            }
        }
        pending
    }

    /// Tells whether a step for an object is running.
    pub(super) fn is_busy(&self, key: &str) -> bool {
        self.observed.in_flight.contains_key(key)
    }

    /// Tells whether changes that Git asks for are carried out.
    pub(super) fn applies(&self) -> bool {
        match self.desired.settings.mode {
            Mode::Auto => true,
            Mode::Manual => self.observed.record.approved.as_ref() == Some(&self.desired.revision),
            Mode::Observe => false,
        }
    }

    /// Tells whether drift is healed, not only reported.
    pub(super) fn heals(&self) -> bool {
        self.applies() && self.desired.settings.self_heal
    }

    /// Returns since when the whole application is suspended, if it is.
    pub(super) fn application_suspended(&self) -> Option<Time> {
        self.observed.record.suspended.as_ref().map(|suspended| suspended.at)
    }

    /// Returns why nobody is to touch a workload, if so.
    pub(super) fn hands_off(&self, workload: &ObjectId) -> Option<HandsOff> {
        let since = self.application_suspended().or_else(|| self.observed.record.suspended_workloads.get(workload).copied());
        let unread = || self.replicas(workload).iter().find_map(|replica| unread(replica.container)).map(HandsOff::Unread);
        since.map(HandsOff::Suspended).or_else(unread)
    }

    /// Returns when an object that was healed lately may be healed again; `None` if it may be now. An
    /// object that stands for several replicas may be healed once for each before it waits longer.
    pub(super) fn heal_due(&self, key: &str, replicas: u32) -> Option<Time> {
        let heal = self.observed.record.heals.get(key)?;
        Some(heal.at + heal_delay(heal.count / replicas.max(1))).filter(|due| self.now < *due)
    }

    /// Returns the last bad answer of a replica's probes, if there is one.
    pub(super) fn last_answer(&self, replica: &Replica<'_>) -> Option<&str> {
        let probing = self.observed.probing.get(&replica.container.id)?;
        probing.message.as_deref().filter(|_| probing.started == replica.container.started)
    }

    /// Returns names for `count` new replicas. They follow from the template and the names in use, so a
    /// second try after a crash asks for the same name, and the name is the lock.
    /// Numbers begin at the lowest that no container can have any more.
    pub(super) fn new_names(&self, workload: &Workload, count: u32) -> Vec<Name> {
        let taken: BTreeSet<&str> = self
            .replicas(&workload.id)
            .iter()
            .filter(|replica| workload.identity == Identity::Generated || replica.container.may_run())
            .filter_map(|replica| replica.id.replica.as_ref())
            .chain(self.pending.get(&workload.id).into_iter().flatten())
            .map(Name::as_str)
            .collect();
        (0u32..)
            .map(|index| match workload.identity {
                Identity::Generated => suffix(workload, index),
                Identity::Ordinal => (index + 1).to_string(),
            })
            .filter(|suffix| !taken.contains(suffix.as_str()))
            .take(count as usize)
            .filter_map(|suffix| Name::try_from(suffix).ok())
            .collect()
    }

    /// Takes in what Git changes: everything about these objects is part of a change, not drift.
    pub(super) fn note_changes(&mut self, changes: &[Change]) {
        self.changing = changes.iter().map(|change| change.object.clone()).collect();
    }

    /// Tells whether Git changes one object.
    pub(super) fn is_changing(&self, object: &ObjectId) -> bool {
        self.changing.contains(object)
    }

    /// Tells whether Git changes anything.
    pub(super) fn is_changing_at_all(&self) -> bool {
        !self.changing.is_empty()
    }

    /// Returns the containers of all fronts that the host has.
    pub(super) fn fronts(&self) -> impl Iterator<Item = (&'a ObjectId, &'a Container)> {
        self.fronts.iter().map(|(id, container)| (*id, *container))
    }

    /// Returns the container of a front.
    pub(super) fn front(&self, id: &ObjectId) -> Option<&'a Container> {
        self.fronts.get(id).copied()
    }

    /// Tells whether the host has a network of this name that may be used.
    pub(super) fn has_network(&self, name: &str) -> bool {
        let taken = || self.desired.networks.values().any(|network| network.host_name == name && self.is_taken(&network.id));
        self.networks.contains(name) && (self.taken.is_empty() || !taken())
    }

    /// Tells whether the host has a volume of this name that may be used.
    pub(super) fn has_volume(&self, name: &str) -> bool {
        let taken = || self.desired.volumes.values().any(|volume| volume.host_name == name && self.is_taken(&volume.id));
        self.volumes.contains(name) && (self.taken.is_empty() || !taken())
    }

    /// Tells whether somebody else has what a network or volume would be called.
    pub(super) fn is_taken(&self, id: &ObjectId) -> bool {
        self.taken.contains(id)
    }

    /// Returns what keeps a workload from having what only one can have.
    pub(super) fn obstacle(&self, workload: &Workload) -> Option<Obstacle> {
        let obstacles = workload.exclusive.iter().filter_map(|exclusive| self.holder(exclusive));
        // What will not go by itself counts more.
        obstacles.min_by_key(|obstacle| obstacle.goes)
    }

    /// Tells whether a container has what only one can have.
    pub(super) fn has(&self, container: &Container, exclusive: &Exclusive) -> bool {
        match exclusive {
            Exclusive::Volume(id) => self.desired.volumes.get(id).is_some_and(|volume| container.writes.contains(&volume.host_name)),
            Exclusive::HostPort(protocol, port) => {
                container.published.iter().any(|held| held.protocol == *protocol && held.host_port == *port)
            }
            Exclusive::Mac(mac) => {
                let macs = container.fields.range("macs[".to_owned()..).take_while(|(path, _)| path.starts_with("macs["));
                macs.into_iter().any(|(_, field)| field.value == *mac)
            }
        }
    }

    fn holder(&self, exclusive: &Exclusive) -> Option<Obstacle> {
        let (thing, owner) = match exclusive {
            Exclusive::Volume(id) => (format!("volume `{}`", self.desired.volumes.get(id)?.host_name), None),
            Exclusive::HostPort(protocol, port) => {
                (format!("port {port}/{} of the host", protocol.as_str()), self.claims.holder(&Thing::Port(*protocol, *port)))
            }
            Exclusive::Mac(mac) => (format!("the hardware address {mac}"), None),
        };
        // Whoever the host could still start has it.
        let holder = self.observed.live.containers.iter().find(|container| container.may_run() && self.has(container, exclusive));
        match (holder, owner) {
            (Some(holder), _) => {
                let labels = holder.labels.as_ref().filter(|labels| labels.owner == self.desired.installation.owner);
                let goes = labels.is_some_and(|labels| labels.application.as_ref() == Some(&self.desired.application));
                let name = &holder.name;
                let reason = match labels {
                    Some(_) if goes => format!("`{name}` still has {thing}"),
                    Some(_) => format!("`{name}` has {thing}"),
                    None => format!("`{name}`, which is not ours to stop, has {thing}"),
                };
                Some(Obstacle { reason, goes })
            }
            (None, Some(owner)) => Some(Obstacle { reason: format!("application `{owner}` has {thing}"), goes: false }),
            (None, None) => None,
        }
    }

    /// Returns the images of a workload that must be pulled before a replica is created, and whether
    /// they may be pulled at all.
    pub(super) fn missing_images(&self, workload: &'a Workload, changing: bool) -> Vec<(&'a str, PullPolicy)> {
        let needed = |image: &str, policy| match policy {
            _ if !self.observed.live.has_image(image) => true,
            // A replica that was lost is made again from what the host has.
            PullPolicy::Always => changing && self.observed.pulled.get(image) != Some(&self.desired.revision),
            PullPolicy::IfNotPresent | PullPolicy::Never => false,
        };
        let images = workload.template.containers.iter().map(|container| (container.image.as_str(), container.pull));
        images.filter(|(image, policy)| needed(image, *policy)).collect()
    }

    /// Returns whether another application already has an object.
    pub(super) fn claimed_by(&self, object: &ObjectId) -> Option<&Name> {
        self.claims.object(object)
    }

    /// Returns replicas of one workload that stand so.
    pub(super) fn standing(&self, workload: &ObjectId, standing: Standing) -> impl Iterator<Item = &Replica<'a>> {
        self.replicas(workload).iter().filter(move |replica| replica.standing == standing)
    }

    /// Returns whether a workload has replicas that are to be replaced.
    pub(super) fn has_old(&self, workload: &ObjectId) -> bool {
        self.standing(workload, Standing::Old).next().is_some()
    }

    /// Returns whether a workload has replicas of another template, not counting those that somebody
    /// changed.
    pub(super) fn has_other(&self, workload: &ObjectId) -> bool {
        self.standing(workload, Standing::Old).any(|replica| !replica.drifted)
    }
}

/// Returns the workload in the network namespace of whose replica those of another are.
pub(super) fn network_owner(workload: &Workload) -> Option<ObjectId> {
    let name = Name::try_from(workload.template.options.shares_network_of()?).ok()?;
    Some(ObjectId::new(workload.id.namespace.clone(), workload.id.kind, name))
}

/// Looks whether replicas are in the network namespace that they shall share.
fn follow_networks<'a>(desired: &'a Desired, replicas: &mut BTreeMap<ObjectId, Vec<Replica<'a>>>) {
    for workload in desired.workloads.values() {
        let Some(owner) = network_owner(workload) else { continue };
        let owners = replicas.get(&owner).map_or(&[][..], Vec::as_slice).iter();
        let runs = owners.rev().find(|replica| replica.standing == Standing::Current && replica.container.is_running());
        let Some(container) = runs.map(|replica| replica.container) else { continue };
        for replica in replicas.get_mut(&workload.id).into_iter().flatten() {
            replica.follow_network(container);
        }
    }
}

/// Why nobody is to touch a workload.
pub(super) enum HandsOff {
    /// Somebody suspended it then.
    Suspended(Time),
    /// One of its containers cannot be read, for this reason.
    Unread(String),
}

impl std::fmt::Display for HandsOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            HandsOff::Suspended(since) => write!(f, "suspended since {since}; `driftless resume` ends that"),
            HandsOff::Unread(reason) => f.write_str(reason),
        }
    }
}

/// Says that a container cannot be read, if that is so, and what can be done.
pub(super) fn unread(container: &Container) -> Option<String> {
    let why = container.unread.as_ref()?;
    let name = &container.name;
    Some(format!("nothing is done about it while the engine does not tell what `{name}` is: {why}; `docker inspect {name}` may say more"))
}

/// What keeps a workload from having what only one can have.
pub(super) struct Obstacle {
    /// Who, as half a sentence.
    pub(super) reason: String,
    /// It is of this application, and goes by itself when it is time.
    pub(super) goes: bool,
}

/// Returns what the replicas of each workload have in common.
fn facts<'a>(desired: &'a Desired, observed: &'a Observed) -> BTreeMap<&'a ObjectId, Facts<'a>> {
    let mut ports = desired.targeted_ports_by_workload();
    let served: BTreeSet<&ObjectId> =
        desired.services.values().flat_map(|service| service.backends.iter().map(|backend| &backend.workload)).collect();
    let facts = |(id, workload)| {
        (id, Facts::new(workload, Care::with_ports(workload, ports.remove(id).unwrap_or_default()), served.contains(id), observed))
    };
    desired.workloads.iter().map(facts).collect()
}

/// Returns how long to wait after so many heals in a row: 0, 2, 6, 18, 54, 162, then 300 seconds. A
/// second tool that fights us must not be fought at full speed.
fn heal_delay(count: u32) -> Duration {
    let seconds = count.checked_sub(1).map_or(0, |power| 3u64.saturating_pow(power).saturating_mul(2));
    Duration::from_secs(seconds.min(300))
}

/// Returns the n-th suffix of a workload's replicas: five characters that cannot form words.
fn suffix(workload: &Workload, index: u32) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let digest = sha256(format!("{} {} {index}", workload.id, workload.hash).as_bytes());
    digest
        .as_bytes()
        .chunks(2)
        .take(5)
        .map(|pair| char::from(ALPHABET[usize::from(pair[0].wrapping_mul(31).wrapping_add(pair[1])) % ALPHABET.len()]))
        .collect()
}
