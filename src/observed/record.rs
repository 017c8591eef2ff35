//! The record: the few decisions that must outlive a crash and cannot be read from the host.
//!
//! Losing it may repeat work; it never costs data or availability, and nothing is recreated for that
//! reason. It holds no secret value, only keyed digests.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::hash::Fields;
use crate::name::{Name, ObjectId};
use crate::time::Time;

/// What one application's record holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// What was last applied, by object: the words for `old -> new`.
    pub applied: BTreeMap<ObjectId, Applied>,
    /// Rollouts that have begun and not ended, by workload.
    pub begun: BTreeMap<ObjectId, Begun>,
    /// Rollouts that failed, by the digest of what was asked for: another commit that asks for the same
    /// has failed, too.
    pub failed: BTreeMap<String, Failed>,
    /// Revisions that were healthy as a whole, oldest first.
    pub healthy: Vec<String>,
    /// Addresses of services.
    pub addresses: BTreeMap<ObjectId, Ipv4Addr>,
    /// TCP ports that accepted in a healthy revision, by workload.
    pub accepted: BTreeMap<ObjectId, BTreeSet<u16>>,
    /// How often objects were healed lately.
    pub heals: BTreeMap<String, Heal>,
    /// What the last update of a workload interrupted.
    pub interrupted: BTreeMap<ObjectId, Interruption>,
    /// The revision somebody asked for with `apply`, in mode manual.
    pub approved: Option<String>,
    /// Objects that other applications had before, and whose labels their containers may still carry.
    pub adopted: BTreeMap<ObjectId, BTreeSet<Name>>,
    /// The revision for which somebody permitted to remove everything.
    pub prune_all: Option<String>,
    /// The digest of what each healthy revision asked for: going back to one that asks for the same as
    /// the newest would change nothing.
    pub asked: BTreeMap<String, String>,
    /// Where somebody asked to go back to.
    pub returned: Option<Returned>,
    /// The whole application, if somebody suspended it.
    pub suspended: Option<Suspended>,
    /// Workloads that somebody suspended, and when.
    pub suspended_workloads: BTreeMap<ObjectId, Time>,
    /// What delivered content that was applied is made of, by its id.
    pub contents: BTreeMap<String, Delivered>,
    /// What the images of workloads were when all their replicas had been started from them.
    pub images: BTreeMap<ObjectId, Vec<RunningImage>>,
    /// Numbers of replicas that hold instead of Git's for a while.
    pub overrides: BTreeMap<ObjectId, Override>,
}

/// What an image's name stood for when a replica was started from it. A tag may name another image since.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunningImage {
    /// The image, as the manifest names it.
    pub image: String,
    /// Its digest in the registry; of an image that was built on the host its id.
    pub digest: String,
}

/// What delivered content is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// The objects or the file that it comes from, for people.
    pub origin: String,
    /// A keyed digest of each file, by its path.
    pub files: BTreeMap<String, String>,
}

/// A number of replicas that holds instead of Git's for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// So many.
    pub replicas: u32,
    /// Git's number; the override ends early when that changes.
    pub instead: u32,
    /// Since when.
    pub at: Time,
    /// Until when.
    pub until: Time,
}

/// A revision that somebody asked to go back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returned {
    /// The digest of what Git asked for then; it is void once Git asks for something else.
    pub from: String,
    /// The revision.
    pub revision: String,
}

/// An application that somebody suspended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspended {
    /// When.
    pub at: Time,
    /// The revision that was kept then, and is until it is resumed.
    pub revision: String,
}

/// What was last applied to one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The revision.
    pub revision: String,
    /// Its fields in canonical form, secret values as keyed digests.
    pub fields: Fields,
}

/// A rollout that has begun and not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// The digest of what is asked for; another one is another rollout.
    pub wanted: String,
    /// Since when; a deadline never counts from before.
    pub at: Time,
    /// There was nothing before it.
    pub first: bool,
    /// When the first of the rollouts began that followed each other without one coming to its end.
    pub earliest: Time,
}

/// What an update of a workload interrupted, because it stopped the last replica that served first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interruption {
    /// What was interrupted, as in `port 8080/tcp of the host`.
    pub what: String,
    /// When the old replica was stopped.
    pub since: Time,
    /// When the new one was ready; `None` as long as it is not.
    pub until: Option<Time>,
}

/// A rollout that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// The revision that asked for it.
    pub revision: String,
    /// Which workload failed.
    pub object: ObjectId,
    /// Why, in one sentence.
    pub reason: String,
    /// When.
    pub at: Time,
}

/// How often an object was healed lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heal {
    /// So many times in a row.
    pub count: u32,
    /// When last.
    pub at: Time,
}
