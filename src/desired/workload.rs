//! A workload: what has replicas, and how they are replaced.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::finding::Place;
use crate::hash::ContentHash;
use crate::name::ObjectId;

use super::{OnFailure, Protocol, Restart, Spec, Template};

/// What has replicas.
#[derive(Debug, Clone)]
pub struct Workload {
    /// Its id.
    pub id: ObjectId,
    /// Where it is written.
    pub place: Place,
    /// How many replicas.
    pub replicas: u32,
    /// How replicas are named.
    pub identity: Identity,
    /// What a replica is for.
    pub goal: Goal,
    /// How replicas are replaced.
    pub strategy: Strategy,
    /// What only one replica can have at a time; if not empty, an old replica stops before the new
    /// one starts.
    pub exclusive: Vec<Exclusive>,
    /// What must have come to pass before a new replica is made.
    pub dependencies: Vec<Dependency>,
    /// How long a replica must be ready before it counts.
    pub min_ready: Duration,
    /// How long a rollout stands still after each new replica that serves.
    pub delay: Duration,
    /// How long a replica without probe must have run to be ready.
    pub settle: Duration,
    /// The longest time without progress before a rollout has failed; `None` means never.
    pub deadline: Option<Duration>,
    /// The rollout is paused.
    pub paused: bool,
    /// How many earlier revisions are kept to go back to.
    pub history_limit: u32,
    /// What follows a rollout that fails.
    pub on_failure: OnFailure,
    /// The longest wait for established connections of a replica that leaves.
    pub drain: Duration,
    /// What a replica is.
    pub template: Template,
    /// The policy that the host's own restarts follow.
    pub restart: Restart,
    /// The canonical form of the template, field by field.
    pub spec: Spec,
    /// The hash of what needs a new container.
    pub hash: ContentHash,
}

/// How replicas are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// By a generated suffix.
    Generated,
    /// By a number.
    Ordinal,
}

/// What a replica is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// It serves until it is told to stop.
    Serving,
    /// It ends by itself.
    Completed,
}

/// How replicas are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// New ones beside old ones, within bounds.
    Rolling {
        /// How many replicas more than wanted there may be.
        surge: Amount,
        /// How many replicas fewer than wanted may serve.
        unavailable: Amount,
    },
    /// All old ones first.
    Recreate,
}

/// A number of replicas, or a share of those wanted (Kubernetes `IntOrString`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Amount {
    /// So many.
    Count(u32),
    /// So many of a hundred.
    Percent(u32),
}

/// Another workload that comes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dependency {
    /// Which.
    pub workload: ObjectId,
    /// What must be true of it.
    pub condition: Condition,
}

/// What must be true of a workload that others wait for (Compose `depends_on`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// Its replicas run.
    Started,
    /// Its replicas are ready.
    Healthy,
    /// Its replicas have ended with code 0.
    Completed,
}

/// What only one replica can have at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Exclusive {
    /// A port of the host.
    HostPort(Protocol, u16),
    /// A volume with one writer.
    Volume(ObjectId),
    /// A hardware address.
    Mac(String),
}
