//! One round's inputs, with replicas sorted to their workloads.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::desired::{Care, Desired, Exclusive, Mode, PullPolicy, Workload};
use crate::hash::sha256;
use crate::name::{Name, ObjectId};
use crate::observed::{Container, Observed};
use crate::time::Time;

use super::replica::{Facts, Replica, Standing};
use super::{Change, Claims};

pub(super) struct View<'a> {
    pub(super) desired: &'a Desired,
    pub(super) claims: &'a Claims,
    pub(super) observed: &'a Observed,
    pub(super) now: Time,
    replicas: BTreeMap<ObjectId, Vec<Replica<'a>>>,
    pending: BTreeMap<ObjectId, BTreeSet<Name>>,
}

impl<'a> View<'a> {
    pub(super) fn new(desired: &'a Desired, claims: &'a Claims, observed: &'a Observed, now: Time) -> Self {
        let mut replicas: BTreeMap<ObjectId, Vec<Replica<'a>>> = BTreeMap::new();
        let facts = facts(desired);
        for (container, labels) in observed.live.replicas(&desired.installation.owner, &desired.application) {
            let id = labels.object.workload();
            let replica = Replica::new(container, labels, facts.get(&id), observed, now);
            replicas.entry(id).or_default().push(replica);
        }
        for list in replicas.values_mut() {
            list.sort_by(|a, b| (a.container.created, &a.container.name).cmp(&(b.container.created, &b.container.name)));
        }
        let mut view = View { desired, claims, observed, now, replicas, pending: BTreeMap::new() };
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
        for key in self.observed.in_flight.keys() {
            let Ok(ObjectId { replica: Some(replica), namespace, kind, name }) = ObjectId::try_from(key.clone()) else { continue };
            let id = ObjectId::new(namespace, kind, name);
            let seen = self.replicas(&id).iter().any(|known| known.id.replica.as_ref() == Some(&replica));
            if !seen && self.desired.workloads.contains_key(&id) {
                pending.entry(id).or_default().insert(replica);
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

    /// Returns when an object that was healed lately may be healed again; `None` if it may be now.
    pub(super) fn heal_due(&self, key: &str) -> Option<Time> {
        let heal = self.observed.record.heals.get(key)?;
        Some(heal.at + heal_delay(heal.count)).filter(|due| self.now < *due)
    }

    /// Returns names for `count` new replicas. They follow from the template and the names in use, so a
    /// second try after a crash asks for the same name, and the name is the lock.
    pub(super) fn new_names(&self, workload: &Workload, count: u32) -> Vec<Name> {
        let taken: BTreeSet<&str> = self
            .replicas(&workload.id)
            .iter()
            .filter_map(|replica| replica.id.replica.as_ref())
            .chain(self.pending.get(&workload.id).into_iter().flatten())
            .map(Name::as_str)
            .collect();
        (0u32..)
            .map(|index| suffix(workload, index))
            .filter(|suffix| !taken.contains(suffix.as_str()))
            .take(count as usize)
            .filter_map(|suffix| Name::try_from(suffix).ok())
            .collect()
    }

    /// Tells whether one object changes in this plan.
    pub(super) fn changes(&self, object: &ObjectId, changes: &[Change]) -> bool {
        changes.iter().any(|change| change.object == *object)
    }

    /// Returns who keeps a workload from having what only one can have, as half a sentence.
    pub(super) fn blocked_by(&self, workload: &Workload) -> Option<String> {
        for exclusive in &workload.exclusive {
            match exclusive {
                Exclusive::Volume(id) => {
                    let volume = self.desired.volumes.get(id)?;
                    if let Some(user) = self.users(|container| container.writes.contains(&volume.host_name)).next() {
                        return Some(format!("`{}` still has volume `{}`", user.name, volume.host_name));
                    }
                }
                Exclusive::HostPort(protocol, port) => {
                    let publishes = |container: &Container| {
                        container.published.iter().any(|held| held.protocol == *protocol && held.host_port == *port)
                    };
                    if let Some(user) = self.users(publishes).next() {
                        return Some(format!("`{}` still has port {port}/{} of the host", user.name, protocol.as_str()));
                    }
                    if let Some(owner) = self.claims.ports.get(&(*protocol, *port)) {
                        return Some(format!("application `{owner}` has port {port}/{} of the host", protocol.as_str()));
                    }
                }
            }
        }
        None
    }

    /// Returns containers that use something and that the host could still start.
    fn users(&self, uses: impl Fn(&Container) -> bool) -> impl Iterator<Item = &'a Container> {
        self.observed.live.containers.iter().filter(move |container| container.may_run() && uses(container))
    }

    /// Returns the images of a workload that must be pulled before a replica is created, and whether
    /// they may be pulled at all.
    pub(super) fn missing_images(&self, workload: &'a Workload, changing: bool) -> Vec<(&'a str, PullPolicy)> {
        let needed = |image: &str, policy| match policy {
            PullPolicy::Always => changing && self.observed.pulled.get(image) != Some(&self.desired.revision),
            PullPolicy::IfNotPresent | PullPolicy::Never => !self.observed.live.has_image(image),
        };
        let images = workload.template.containers.iter().map(|container| (container.image.as_str(), container.pull));
        images.filter(|(image, policy)| needed(image, *policy)).collect()
    }

    /// Returns whether another application already has an object.
    pub(super) fn claimed_by(&self, object: &ObjectId) -> Option<&Name> {
        self.claims.objects.get(object)
    }

    /// Returns replicas of one workload that stand so.
    pub(super) fn standing(&self, workload: &ObjectId, standing: Standing) -> impl Iterator<Item = &Replica<'a>> {
        self.replicas(workload).iter().filter(move |replica| replica.standing == standing)
    }

    /// Returns whether a rollout of a workload has old replicas left.
    pub(super) fn has_old(&self, workload: &ObjectId) -> bool {
        self.standing(workload, Standing::Old).next().is_some()
    }
}

/// Returns what the replicas of each workload have in common.
fn facts(desired: &Desired) -> BTreeMap<&ObjectId, Facts<'_>> {
    let mut ports = desired.targeted_ports_by_workload();
    let served: BTreeSet<&ObjectId> =
        desired.services.values().flat_map(|service| service.backends.iter().map(|backend| &backend.workload)).collect();
    let facts =
        |(id, workload)| (id, Facts::new(workload, Care::with_ports(workload, ports.remove(id).unwrap_or_default()), served.contains(id)));
    desired.workloads.iter().map(facts).collect()
}

/// Returns how long to wait after so many heals in a row: 2, 6, 18, 54, 162, then 300 seconds. The
/// first heal is not delayed. A second tool that fights us must not be fought at full speed.
pub(super) fn heal_delay(count: u32) -> Duration {
    Duration::from_secs(3u64.saturating_pow(count.saturating_sub(1)).saturating_mul(2).min(300))
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
