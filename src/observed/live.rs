//! One snapshot of what the host has.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::desired::{Care, ContentId, HostPort};
use crate::hash::ContentHash;
use crate::name::{Kind, Name, ObjectId};
use crate::time::Time;

use super::traffic::Traffic;

/// One snapshot of what the host has: everything, ours or not, because a foreign container may hold a
/// name, a port or an address.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Live {
    /// When it was taken.
    pub at: Time,
    /// All containers.
    pub containers: Vec<Container>,
    /// All networks.
    pub networks: Vec<Network>,
    /// All volumes.
    pub volumes: Vec<Volume>,
    /// What steps that were cut short left behind.
    pub debris: Vec<Debris>,
    /// Images that the host has, by each name they go by, with their ids.
    pub images: BTreeMap<String, String>,
    /// How networks and volumes of ours were made, by canonical path (`NetworkOptions::fields`): by their ids and
    /// names, because one that got another name is there twice.
    pub made: BTreeMap<(ObjectId, String), BTreeMap<String, String>>,
}

/// A container.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    /// The engine's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Our labels, if it carries a consistent set under the name that we would have given it;
    /// otherwise it is foreign.
    pub labels: Option<Labels>,
    /// Carries some of our labels, but not as we would have created it: foreign, and reported.
    pub impostor: bool,
    /// What its labels say, if its name is another than the one that goes with them: somebody renamed it, or
    /// copied it.
    pub claims: Option<Box<Claimed>>,
    /// What it does.
    pub state: State,
    /// It is marked as leaving: renamed and without restart policy. Only set if both are so.
    pub leaving: bool,
    /// When it was created.
    pub created: Time,
    /// When it was last started, if ever.
    pub started: Option<Time>,
    /// When it last ended, if it ever did.
    pub finished: Option<Time>,
    /// When somebody stopped or paused it through the API and it has stayed so; not set by kills,
    /// crashes and our own stops.
    pub stopped_by_hand: Option<Time>,
    /// How many times the engine restarted it by policy, counted across manual starts.
    pub restarts: u32,
    /// The code with which it last ended, while it does not run.
    pub exit_code: Option<i32>,
    /// The image's name, as it was created with.
    pub image: String,
    /// The image's id.
    pub image_id: String,
    /// Its addresses by network name; only while it runs, because a freed address is handed out again.
    pub addresses: BTreeMap<String, Ipv4Addr>,
    /// Ports that the engine publishes for it (also while it is stopped).
    pub published: BTreeSet<HostPort>,
    /// Names of the volumes it mounts for writing.
    pub writes: BTreeSet<String>,
    /// Names of all volumes it mounts.
    pub volumes: BTreeSet<String>,
    /// Its fields in canonical form (paths of `desired::field`); of a container that is not ours only its networks.
    pub fields: BTreeMap<String, Field>,
    /// What the agent does for it, as written when it was created.
    pub care: Option<Care>,
    /// What the engine's own question about its health says, if it asks one.
    pub health: Option<Health>,
    /// Why the engine does not tell more of it than its list does. It is there; but when it was started, what it was
    /// made with and what is done for it are not known.
    pub unread: Option<String>,
}

/// What the engine's own question about a container's health says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It has not been answered yet.
    Starting,
    /// The answers are good, as far back as the engine remembers them since then.
    Good(Time),
    /// Too many answers were bad.
    Bad,
}

/// One field of a live container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its value; of an environment variable possibly secret, so never printed unless it is expected.
    pub value: String,
    /// It comes from the image or is the engine's default, so nobody asked for it.
    pub inherited: bool,
}

/// What the labels of a container say that has another name than goes with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The labels.
    pub labels: Labels,
    /// The name that goes with them.
    pub name: String,
}

/// What our labels on a container, network or volume say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// The installation.
    pub owner: Name,
    /// The application; shared objects have none.
    pub application: Option<Name>,
    /// The replica, or the front's id, or the content's or volume's.
    pub object: ObjectId,
    /// The container's name within its replica; empty for anything else.
    pub container: String,
    /// The content hash; `None` if the label has a format that this version does not know.
    pub hash: Option<ContentHash>,
    /// The revision that created it.
    pub created_revision: String,
    /// Of a front: what it is the front of.
    pub front: Option<String>,
}

impl Labels {
    /// Tells whether it is a replica.
    pub fn is_replica(&self) -> bool {
        self.object.replica.is_some()
    }

    /// Tells whether it is a front.
    pub fn is_front(&self) -> bool {
        self.object.kind == Kind::Front
    }
}

/// What a container does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It was never started.
    Created,
    /// Its process runs.
    Running,
    /// Its process is frozen.
    Paused,
    /// It ended, and the engine will start it again.
    Restarting,
    /// It ended with this code and stays so.
    Exited(i32),
    /// It is being removed, or could not be.
    Dead,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The engine's id.
    pub id: String,
    /// Its name; names are not unique.
    pub name: String,
    /// Our labels, if it is ours.
    pub labels: Option<Labels>,
    /// The network of a project that `docker compose` made it for, if it did.
    pub made_for: Option<ObjectId>,
    /// Its subnets, as text.
    pub subnets: Vec<String>,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Our labels, if it is ours.
    pub labels: Option<Labels>,
    /// The volume of a project that `docker compose` made it for, if it did.
    pub made_for: Option<ObjectId>,
    /// A container holds it. Delivered files that none holds may be an empty volume: the engine makes the volume before
    /// the container that is to fill it, and can end in between.
    pub held: bool,
}

/// What a step that was cut short left behind. Nothing uses it, and unless that step is still running no
/// other comes back to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debris {
    /// Its name on the host.
    pub name: String,
    /// The installation.
    pub owner: Name,
    /// The application that the step was for.
    pub application: Name,
    /// The content that it was to deliver: whoever still wants that comes back to it.
    pub content: Option<ContentId>,
}

impl Container {
    /// Tells whether its main process runs and is not frozen.
    pub fn is_running(&self) -> bool {
        self.state == State::Running
    }

    /// Returns the name that it should have, if it is ours and somebody renamed it.
    pub fn renamed(&self) -> Option<&str> {
        self.claims.as_ref().filter(|_| self.labels.is_some()).map(|claimed| claimed.name.as_str())
    }

    /// Tells whether Docker could still start or resume it, so that it must be counted as a user of
    /// what it mounts and publishes.
    pub fn may_run(&self) -> bool {
        match self.state {
            State::Running | State::Paused | State::Restarting => true,
            // A restart of the engine starts what has a restart policy; leaving containers have none.
            State::Created | State::Exited(_) => !self.leaving,
            State::Dead => false,
        }
    }

    /// Returns its address on a network.
    pub fn address(&self, network: &str) -> Option<Ipv4Addr> {
        self.addresses.get(network).copied()
    }
}

impl Live {
    /// Recognises containers of ours that somebody renamed. A copy has the same labels; but the engine's id
    /// of one that was seen under its name, or was given connections, is known, and no other container has it.
    pub fn recognise(&mut self, known: &BTreeSet<String>, traffic: &Traffic) {
        for container in &mut self.containers {
            let Some(claimed) = container.claims.as_ref().filter(|_| container.labels.is_none()) else { continue };
            let joined = traffic.joined.get(&claimed.labels.object).is_some_and(|joined| joined.container == container.id);
            if joined || traffic.left.contains_key(&container.id) || known.contains(&container.id) {
                (container.labels, container.impostor) = (Some(claimed.labels.clone()), false);
            }
        }
    }

    /// Tells whether there are containers that may have been renamed, or copied.
    pub fn has_renamed(&self) -> bool {
        self.containers.iter().any(|container| container.labels.is_none() && container.claims.is_some())
    }

    /// Returns this installation's replicas of one application.
    pub fn replicas<'a>(&'a self, owner: &'a Name, application: &'a Name) -> impl Iterator<Item = (&'a Container, &'a Labels)> {
        self.containers.iter().filter_map(move |container| {
            let labels = container.labels.as_ref()?;
            (labels.owner == *owner && labels.application.as_ref() == Some(application) && labels.is_replica())
                .then_some((container, labels))
        })
    }

    /// Counts containers as those of the application that has their object by now. Labels of a container cannot
    /// change, so they go on naming the application that made it; `adopted` says, by object and that application, whose it is.
    pub fn adopt(&mut self, owner: &Name, adopted: &BTreeMap<(ObjectId, Name), Name>) {
        if adopted.is_empty() {
            return;
        }
        for labels in self.containers.iter_mut().filter_map(|container| container.labels.as_mut()).filter(|it| it.owner == *owner) {
            let Some(made_by) = labels.application.clone() else { continue };
            if let Some(application) = adopted.get(&(labels.object.workload(), made_by)) {
                labels.application = Some(application.clone());
            }
        }
    }

    /// Returns the container with an id.
    pub fn container(&self, id: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.id == id)
    }

    /// Returns the digest by which the registry of a named image knows the image with an id; `None` if it was built
    /// here, or came from elsewhere.
    pub fn digest(&self, image: &str, id: &str) -> Option<&str> {
        let prefix = repository(image).len() + 1;
        digests(&self.images, image).filter(|(_, known)| *known == id).find_map(|(name, _)| name.get(prefix..))
    }

    /// Tells whether the host has an image under a name.
    pub fn has_image(&self, name: &str) -> bool {
        self.images.contains_key(name)
    }
}

/// Returns the names that an image of a repository goes by there by digest, with the ids.
pub(super) fn digests<'a>(images: &'a BTreeMap<String, String>, image: &str) -> impl Iterator<Item = (&'a String, &'a String)> {
    let prefix = format!("{}@", repository(image));
    images.range(prefix.clone()..).take_while(move |(name, _)| name.starts_with(&prefix))
}

/// Returns an image's name without its tag.
fn repository(image: &str) -> &str {
    match image.rsplit_once(':') {
        // A `/` behind it makes it a port.
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => image,
    }
}
