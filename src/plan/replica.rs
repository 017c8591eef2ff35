//! One replica as a plan sees it.

use std::collections::BTreeSet;

use crate::desired::{Care, HostPort, PullPolicy, Workload, field};
use crate::hash::Match;
use crate::name::ObjectId;
use crate::observed::{Container, Labels, Observed, State, ready_since};
use crate::time::Time;

use super::drift;

/// Where a replica stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// It is what is wanted.
    Current,
    /// It is of another template, or of a workload that Git no longer has.
    Old,
    /// It is marked as leaving.
    Leaving,
}

/// What all replicas of a workload have in common, found once a round.
pub(super) struct Facts<'a> {
    workload: &'a Workload,
    care: Care,
    published: BTreeSet<HostPort>,
    has_service: bool,
}

impl<'a> Facts<'a> {
    pub(super) fn new(workload: &'a Workload, care: Care, has_service: bool) -> Self {
        Facts { workload, care, published: workload.template.ports.iter().cloned().collect(), has_service }
    }
}

/// A replica as a plan sees it.
pub(super) struct Replica<'a> {
    pub(super) id: ObjectId,
    pub(super) container: &'a Container,
    pub(super) labels: &'a Labels,
    pub(super) standing: Standing,
    pub(super) care: Care,
    /// Since when it has been ready.
    pub(super) ready_since: Option<Time>,
    /// It is given new connections: this very start of this very container.
    pub(super) joined: bool,
    /// It is given new connections by the data path, and nothing says that it cannot answer them.
    pub(super) serving: bool,
    /// A probe asks for a restart.
    pub(super) must_restart: bool,
    /// A probe says that it must not be given new connections.
    pub(super) unready: bool,
    /// A step for it is running, so what is seen of it may be past.
    pub(super) busy: bool,
}

impl<'a> Replica<'a> {
    pub(super) fn new(container: &'a Container, labels: &'a Labels, facts: Option<&Facts<'_>>, observed: &Observed, now: Time) -> Self {
        let standing = match facts {
            _ if container.leaving => Standing::Leaving,
            Some(facts) if is_current(container, labels, facts, observed) => Standing::Current,
            _ => Standing::Old,
        };
        let care = match (standing, facts) {
            (Standing::Current, Some(facts)) => facts.care.clone(),
            _ => container.care.clone().unwrap_or_default(),
        };
        let id = labels.object.clone();
        let accepted = observed.record.accepted.get(&id.workload()).cloned().unwrap_or_default();
        let probing = observed.probing.get(&container.id).filter(|probing| probing.started == container.started);
        let ready_since = ready_since(container, probing, &care, &accepted).filter(|since| *since <= now);
        let joined = observed.traffic.joined.get(&id).filter(|joined| joined.container == container.id);
        let same_start = joined.filter(|joined| Some(joined.started) == container.started);
        let must_restart = probing.is_some_and(|probing| probing.must_restart);
        let unready = must_restart || probing.is_some_and(|probing| probing.unready) || container.state != State::Running;
        let has_service = facts.is_some_and(|facts| facts.has_service);
        let served = same_start.is_some_and(|joined| !has_service || joined.is_served(observed.traffic.acknowledged));
        let busy = observed.in_flight.contains_key(&id.to_string());
        Replica {
            container,
            labels,
            standing,
            care,
            ready_since,
            joined: joined.is_some(),
            serving: served && !unready && !busy && standing != Standing::Leaving,
            must_restart,
            unready: unready || (joined.is_some() && same_start.is_none()),
            busy,
            id,
        }
    }

    /// Returns the key of steps about it.
    pub(super) fn key(&self) -> String {
        self.id.to_string()
    }
}

/// Tells whether a container is what its workload wants, so that it can stay.
fn is_current(container: &Container, labels: &Labels, facts: &Facts<'_>, observed: &Observed) -> bool {
    let workload = facts.workload;
    let same_template = match &labels.hash {
        Some(hash) => workload.hash.compare(hash) != Match::Different,
        // A label of another format says nothing; then the fields decide.
        None => drift::unlike_fields(container, workload).is_empty(),
    };
    let same_ports = container.published == facts.published;
    same_template && same_ports && !needs_replacement(container, workload) && !has_moved_tag(container, workload, observed)
}

/// A limit cannot be taken off a live container: Docker ignores a zero.
fn needs_replacement(container: &Container, workload: &Workload) -> bool {
    let name = container.labels.as_ref().map_or("", |labels| labels.container.as_str());
    let Some((_, spec)) = workload.spec.containers.iter().find(|(known, _)| known.as_str() == name) else { return false };
    [field::MEMORY_LIMIT, field::MEMORY_REQUEST, field::CPU_LIMIT].into_iter().any(|path| {
        let live = container.fields.get(path).is_some_and(|field| !field.inherited);
        live && !spec.in_place.contains_key(path)
    })
}

/// A moved tag is healed only with pull policy Always.
fn has_moved_tag(container: &Container, workload: &Workload, observed: &Observed) -> bool {
    let Some(wanted) = workload.template.containers.first() else { return false };
    let known = observed.live.images.get(&wanted.image);
    wanted.pull == PullPolicy::Always && known.is_some_and(|id| *id != container.image_id)
}
