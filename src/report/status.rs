//! How applications stand, as a value: what `status` prints and the socket answers.

use serde::{Deserialize, Serialize};

use crate::finding::Finding;
use crate::name::Name;
use crate::plan::{Health, Held, Sync, WorkloadStatus};

/// How all applications of a host stand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusReport {
    /// The format's version.
    pub version: u32,
    /// The host's name.
    pub host: String,
    /// What is wrong with the configuration that was read last; the one before is in force then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub misconfigured: Vec<String>,
    /// The applications, by name.
    pub applications: Vec<ApplicationStatus>,
}

/// How one application stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationStatus {
    /// Its name.
    pub name: Name,
    /// The revision that is kept; empty as long as there is none.
    pub revision: String,
    /// The revision that Git has; another one than `revision` if that was refused or rolled back.
    pub head: String,
    /// Whether the host is what Git asks for.
    pub sync: Sync,
    /// Whether what runs does what it should.
    pub health: Health,
    /// One sentence: what it waits for, or what is wrong.
    pub message: String,
    /// The rollout of `head` failed, and the application went back to `revision`.
    pub rolled_back: bool,
    /// `head` was refused because of errors in its manifests.
    pub refused: bool,
    /// The plan's id.
    pub plan: String,
    /// How its workloads stand.
    pub workloads: Vec<WorkloadStatus>,
    /// What is held back, and why.
    pub held: Vec<Held>,
    /// What was found in the manifests of `head`.
    pub findings: Vec<Finding>,
    /// How many objects drift.
    pub drift: usize,
}
