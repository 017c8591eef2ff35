//! One replica as a plan sees it.

use std::collections::BTreeSet;
use std::rc::Rc;

use crate::desired::{Care, HostPort, PullPolicy, Restart, Workload, field};
use crate::hash::Match;
use crate::name::ObjectId;
use crate::observed::{Container, Health, Labels, Observed, State, ready_since};
use crate::time::Time;

use super::drift;

/// Where a replica stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// It is what is wanted.
    Current,
    /// It is to be replaced: it is of another template, or cannot be made what is wanted.
    Old,
    /// It is marked as leaving, or the engine has given it up.
    Leaving,
}

/// How much of a container is what its workload wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Likeness {
    /// All that needs a new container.
    Same,
    /// It was made as is wanted, and was changed in a way that only a new one can undo.
    Drifted,
    /// Something else was asked for when it was made.
    Different,
}

/// What all replicas of a workload have in common, found once a round.
pub(super) struct Facts<'a> {
    workload: &'a Workload,
    care: Rc<Care>,
    published: BTreeSet<HostPort>,
    has_service: bool,
    accepted: &'a BTreeSet<u16>,
}

impl<'a> Facts<'a> {
    pub(super) fn new(workload: &'a Workload, care: Care, has_service: bool, observed: &'a Observed) -> Self {
        Facts {
            workload,
            care: Rc::new(care),
            published: workload.template.ports.iter().cloned().collect(),
            has_service,
            accepted: observed.record.accepted.get(&workload.id).unwrap_or(&NONE),
        }
    }
}

impl Facts<'_> {
    /// It is on no network of the engine, so that it has no address and needs none.
    fn has_no_network(&self) -> bool {
        self.workload.template.networks.is_empty()
    }
}

/// No port is known to accept.
static NONE: BTreeSet<u16> = BTreeSet::new();

/// A replica as a plan sees it.
pub(super) struct Replica<'a> {
    pub(super) id: &'a ObjectId,
    pub(super) container: &'a Container,
    pub(super) labels: &'a Labels,
    pub(super) standing: Standing,
    /// It is `Old` although it was made as is wanted: somebody changed it.
    pub(super) drifted: bool,
    pub(super) care: Rc<Care>,
    /// Since when it has been ready.
    pub(super) ready_since: Option<Time>,
    /// It is given new connections: this very container, whichever start.
    pub(super) joined: bool,
    /// It is given new connections by the data path, and nothing says that it cannot answer them.
    pub(super) serving: bool,
    /// It has ended with code 0, and nobody asked for a restart after that: it has done its work.
    pub(super) completed: bool,
    /// A probe asks for a restart.
    pub(super) must_restart: bool,
    /// The network namespace that it was started in is no more, although its container is the same.
    pub(super) lost_network: bool,
    /// It must not be given new connections.
    pub(super) unready: bool,
    /// A step for it is running, so what is seen of it may be past.
    pub(super) busy: bool,
}

impl<'a> Replica<'a> {
    pub(super) fn new(container: &'a Container, labels: &'a Labels, facts: Option<&Facts<'_>>, observed: &Observed, now: Time) -> Self {
        let likeness = facts.map_or(Likeness::Different, |facts| likeness(container, labels, facts, observed));
        let standing = match likeness {
            _ if container.leaving || container.state == State::Dead => Standing::Leaving,
            Likeness::Same => Standing::Current,
            Likeness::Drifted | Likeness::Different => Standing::Old,
        };
        let care = match (standing, facts) {
            (Standing::Current, Some(facts)) => facts.care.clone(),
            _ => Rc::new(container.care.clone().unwrap_or_default()),
        };
        let id = &labels.object;
        let probing = observed.probing.get(&container.id).filter(|probing| probing.started == container.started);
        // A start that lies ahead was before the clock was set back: it counts from when somebody noticed.
        let ahead = container.started.is_some_and(|started| started > now);
        let ready_since = ready_since(container, probing, &care, facts.map_or(&NONE, |facts| facts.accepted))
            .map(|since| if ahead { observed.since + care.settle } else { since })
            .filter(|since| *since <= now && (!container.addresses.is_empty() || facts.is_some_and(Facts::has_no_network)));
        let joined = observed.traffic.joined.get(id).filter(|joined| joined.container == container.id);
        // Another start, or another address, and connections would go elsewhere.
        let as_joined = joined.filter(|joined| {
            // Nobody can tell; who served goes on.
            container.unread.is_some()
                || Some(joined.started) == container.started
                    && (joined.address.is_loopback() || container.addresses.values().any(|it| *it == joined.address))
        });
        let must_restart = probing.is_some_and(|probing| probing.must_restart);
        let unready = must_restart
            || container.state != State::Running
            || probing.is_some_and(|probing| probing.unready)
            || container.health == Some(Health::Bad)
            || (joined.is_some() && as_joined.is_none());
        let has_service = facts.is_some_and(|facts| facts.has_service);
        let served = as_joined.is_some_and(|joined| !has_service || joined.is_served(observed.traffic.acknowledged));
        let completed = facts.is_some_and(|facts| facts.workload.restart != Restart::Always)
            && container.state == State::Exited(0)
            && container.stopped_by_hand.is_none();
        let busy = !observed.in_flight.is_empty() && observed.in_flight.contains_key(&id.to_string());
        Replica {
            container,
            labels,
            standing,
            drifted: likeness == Likeness::Drifted,
            care,
            ready_since,
            joined: joined.is_some(),
            serving: (served && !unready || completed) && !busy && standing != Standing::Leaving,
            completed,
            must_restart,
            lost_network: false,
            unready,
            busy,
            id,
        }
    }

    /// Looks whether it is in the network namespace of a container, as it shall be. Another container's is
    /// another network; after a new start the old one has only its loopback left, and nobody tells.
    pub(super) fn follow_network(&mut self, owner: &Container) {
        let shared = self.container.fields.get(field::NETWORK_MODE).and_then(|mode| mode.value.strip_prefix("container:"));
        if self.standing != Standing::Current || self.container.unread.is_some() {
            return;
        }
        if shared != Some(owner.id.as_str()) {
            self.standing = Standing::Old;
        } else if self.container.state == State::Running && self.container.started < owner.started {
            (self.lost_network, self.must_restart, self.unready, self.serving) = (true, true, true, false);
        }
    }

    /// Returns the key of steps about it.
    pub(super) fn key(&self) -> String {
        self.id.to_string()
    }
}

/// Compares a container with what its workload wants and cannot be had without a new one.
fn likeness(container: &Container, labels: &Labels, facts: &Facts<'_>, observed: &Observed) -> Likeness {
    let workload = facts.workload;
    let same_template = match &labels.hash {
        Some(hash) => workload.hash.compare(hash) != Match::Different,
        None if container.unread.is_some() => true,
        // A label of another format says nothing; then the fields decide.
        None => drift::unlike_fields(container, workload).is_empty(),
    };
    if container.unread.is_some() {
        return if same_template { Likeness::Same } else { Likeness::Different };
    }
    // Other questions are a change like any other: asked of all replicas at once, a mistyped one would
    // take the whole workload out. A replica goes on being asked its own.
    let same_probes = container.care.as_ref().is_none_or(|care| care.probes == facts.care.probes);
    if !same_template || !same_probes || container.published != facts.published {
        Likeness::Different
    } else if !drift::surplus(container, workload).is_empty() || has_moved_tag(container, workload, observed) {
        Likeness::Drifted
    } else {
        Likeness::Same
    }
}

/// A moved tag is healed only with pull policy Always.
fn has_moved_tag(container: &Container, workload: &Workload, observed: &Observed) -> bool {
    let Some(wanted) = workload.template.containers.first() else { return false };
    wanted.pull == PullPolicy::Always && observed.live.images.get(&wanted.image).is_some_and(|id| *id != container.image_id)
}
