//! The words between the plan and a host: steps, and how they end.
//!
//! A step says *what*; how (addresses, renames, names of volumes) is known only to the host that runs
//! it. Every step may be tried again after a crash: it ends the same way if it was already done.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::desired::ContentId;
use crate::name::ObjectId;

/// One action.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "camelCase")]
pub enum Step {
    /// Makes an image available.
    Pull {
        /// Its name as its author wrote it.
        image: String,
    },
    /// Makes a network.
    CreateNetwork {
        /// Its id in `Desired::networks`.
        network: ObjectId,
    },
    /// Makes a data volume.
    CreateVolume {
        /// Its id in `Desired::volumes`.
        volume: ObjectId,
    },
    /// Makes files available to replicas.
    Deliver {
        /// Their id in `Desired::contents`.
        content: ContentId,
    },
    /// Creates and starts a front.
    CreateFront {
        /// Its id in `Desired::fronts`.
        front: ObjectId,
    },
    /// Creates and starts a replica of a workload in `Desired::workloads`; one that was created but
    /// not started is started.
    Create {
        /// The replica.
        replica: ObjectId,
    },
    /// Starts a container that is not running.
    Start {
        /// Its object.
        object: ObjectId,
        /// Its container's id.
        container: String,
    },
    /// Stops a container within its grace period and starts it again, because a probe says so.
    Restart {
        /// Its object.
        object: ObjectId,
        /// Its container's id.
        container: String,
    },
    /// Resumes a frozen container.
    Unpause {
        /// Its object.
        object: ObjectId,
        /// Its container's id.
        container: String,
    },
    /// Changes resources and restart policy of a live container to what its workload asks for.
    Update {
        /// Its object.
        object: ObjectId,
        /// Its container's id.
        container: String,
    },
    /// Connects a container to a network of its workload that it was taken off.
    Connect {
        /// Its object.
        object: ObjectId,
        /// Its container's id.
        container: String,
        /// The network's name on the host.
        network: String,
    },
    /// Gives a container that somebody renamed its name back.
    Rename {
        /// Its object.
        object: ObjectId,
        /// Its container's id.
        container: String,
    },
    /// Takes a container off a network on which it has lost its names; they are given when it is connected.
    Disconnect {
        /// Its object.
        object: ObjectId,
        /// Its container's id.
        container: String,
        /// The network's name on the host.
        network: String,
    },
    /// A ready replica begins to be given new connections.
    Join {
        /// The replica.
        replica: ObjectId,
        /// Its container's id.
        container: String,
    },
    /// A replica that is not ready is given no new connections until it is.
    Withdraw {
        /// The replica.
        replica: ObjectId,
        /// Its container's id.
        container: String,
    },
    /// A replica begins to leave: marked so that the host cannot bring it back beside its successor,
    /// and given no new connections.
    Leave {
        /// The replica.
        replica: ObjectId,
        /// Its container's id.
        container: String,
    },
    /// Ends a replica that leaves: `preStop`, stop signal, grace period, kill.
    Stop {
        /// The replica.
        replica: ObjectId,
        /// Its container's id.
        container: String,
    },
    /// Removes a stopped container, with the folders that live and die with it.
    Remove {
        /// Its object.
        object: ObjectId,
        /// Its container's id.
        container: String,
    },
    /// Removes a network that no container is on.
    RemoveNetwork {
        /// Its id.
        network: ObjectId,
        /// The engine's id for it: names of networks are not unique.
        id: String,
    },
    /// Removes what a step that was cut short left behind.
    Clear {
        /// Its name on the host, as in `Live::debris`.
        debris: String,
    },
    /// Removes delivered files that nothing uses.
    RemoveContent {
        /// Their id.
        content: ContentId,
        /// The volume's name on the host.
        volume: String,
    },
}

impl Step {
    /// Returns the key of the object that the step is about; one step at a time runs per key.
    pub fn key(&self) -> String {
        match self {
            Step::Pull { image } => format!("Image/{image}"),
            Step::Clear { debris } => format!("Debris/{debris}"),
            Step::Deliver { content } | Step::RemoveContent { content, .. } => format!("Content/{}", content.0),
            Step::CreateNetwork { network: id }
            | Step::RemoveNetwork { network: id, .. }
            | Step::CreateVolume { volume: id }
            | Step::CreateFront { front: id }
            | Step::Create { replica: id }
            | Step::Join { replica: id, .. }
            | Step::Withdraw { replica: id, .. }
            | Step::Leave { replica: id, .. }
            | Step::Stop { replica: id, .. }
            | Step::Start { object: id, .. }
            | Step::Restart { object: id, .. }
            | Step::Unpause { object: id, .. }
            | Step::Update { object: id, .. }
            | Step::Connect { object: id, .. }
            | Step::Rename { object: id, .. }
            | Step::Disconnect { object: id, .. }
            | Step::Remove { object: id, .. } => id.to_string(),
        }
    }

    /// Returns the word for the action.
    pub fn action(&self) -> &'static str {
        match self {
            Step::Pull { .. } => "pull",
            Step::Deliver { .. } => "deliver",
            Step::CreateNetwork { .. } | Step::CreateVolume { .. } | Step::CreateFront { .. } | Step::Create { .. } => "create",
            Step::Start { .. } => "start",
            Step::Restart { .. } => "restart",
            Step::Unpause { .. } => "unpause",
            Step::Update { .. } => "update",
            Step::Connect { .. } => "connect",
            Step::Rename { .. } => "rename",
            Step::Disconnect { .. } => "disconnect",
            Step::Join { .. } => "join",
            Step::Withdraw { .. } => "withdraw",
            Step::Leave { .. } => "leave",
            Step::Stop { .. } => "stop",
            Step::Remove { .. } | Step::RemoveNetwork { .. } | Step::RemoveContent { .. } | Step::Clear { .. } => "remove",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Pull { image } => write!(f, "pull {image}"),
            Step::Connect { network, .. } => write!(f, "connect {} to {network}", self.key()),
            Step::Disconnect { network, .. } => write!(f, "disconnect {} from {network}", self.key()),
            _ => write!(f, "{} {}", self.action(), self.key()),
        }
    }
}

/// Who has to do something about a failure; it drives exit codes, back-off and reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// A person must change something; trying again alone does not help.
    User,
    /// Something that others will make true, such as an image that is still being built.
    Waiting,
    /// The host is in the way for now.
    Host,
    /// A bug of ours.
    Internal,
}

/// How a step failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Who has to do something.
    pub class: Class,
    /// What was being done, to what, and why it failed, in one line.
    pub message: String,
}

/// How a step ended.
pub type Outcome = Result<(), Failure>;
