//! The plan: what differs, what is safe to do now, and what is held back and why.
//!
//! `plan` is synchronous, total and deterministic: no IO, no clock, no randomness. A rollout is `plan`
//! called again: each round emits only the steps that are safe now, and where a rollout stands is
//! read from the host. It knows no Docker mechanism and no format of manifests.

pub mod audit;
mod base;
mod care;
pub mod change;
pub mod claim;
pub mod content;
mod draft;
mod drift;
pub mod foreign;
pub(crate) mod interruption;
mod moves;
mod network;
mod overridden;
mod path;
mod prune;
mod replica;
pub mod rollout;
mod status;
mod view;
mod workload;

use serde::{Deserialize, Serialize};

use crate::desired::{Desired, Mode};
use crate::finding::{Finding, Place};
use crate::hash::sha256;
use crate::host::Step;
use crate::name::{Name, ObjectId};
use crate::observed::{Failed, Observed};
use crate::time::Time;

pub use care::{CaredFor, cared_for};
pub use claim::Claims;
pub use overridden::overridden;
pub use status::{Health, Sync, WorkloadStatus, aggregate};

use draft::Draft;
use view::View;

/// The plan of one application for one round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The application.
    pub application: Name,
    /// The revision it leads to.
    pub revision: String,
    /// The hash of the changes, without generated suffixes, addresses and times. An approval is of an id.
    pub id: String,
    /// What Git asks for and the host does not have yet. Empty once converged.
    pub changes: Vec<Change>,
    /// What is safe now.
    pub steps: Vec<PlannedStep>,
    /// What is not safe yet, and why.
    pub held: Vec<Held>,
    /// What this version would do differently, kept for the next change of its object.
    pub deferred: Vec<Held>,
    /// What differs on the host although Git did not move.
    pub drift: Vec<Drift>,
    /// What was found in the manifests.
    pub findings: Vec<Finding>,
    /// How each workload stands.
    pub workloads: Vec<WorkloadStatus>,
    /// A rollout that has failed.
    pub failed: Option<Failed>,
}

/// One object that Git wants otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The object.
    pub object: ObjectId,
    /// What happens to it.
    pub action: ChangeAction,
    /// The fields that differ.
    pub fields: Vec<FieldChange>,
    /// Why, in a few words.
    pub reason: String,
}

/// What happens to an object that changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeAction {
    /// It is new.
    Create,
    /// It changes without new containers.
    Update,
    /// Its containers are replaced.
    Recreate,
    /// Git no longer has it.
    Remove,
}

impl ChangeAction {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            ChangeAction::Create => "create",
            ChangeAction::Update => "update",
            ChangeAction::Recreate => "recreate",
            ChangeAction::Remove => "remove",
        }
    }
}

/// A field that differs, old and new. Secret values are never in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// The manifest's field path.
    pub path: String,
    /// What was applied; `None` if it was not set.
    pub old: Option<String>,
    /// What is wanted; `None` if it is no longer set.
    pub new: Option<String>,
    /// What that means for what runs.
    pub consequence: String,
}

/// A step of this round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// Names the step within the plan.
    pub id: String,
    /// What is done.
    pub step: Step,
    /// The object it is about.
    pub object: String,
    /// Why.
    pub reason: String,
}

/// Something that is not safe yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The object.
    pub object: String,
    /// What it waits for.
    pub reason: String,
    /// When it goes on at the latest, if that is known.
    pub until: Option<Time>,
}

/// An object that differs although Git did not move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// The object.
    pub object: String,
    /// Its kind.
    pub kind: String,
    /// What is the matter with it.
    pub what: DriftKind,
    /// The fields that differ.
    pub fields: Vec<DriftField>,
    /// Since when, if that is known.
    pub since: Option<Time>,
    /// It is being healed, not only reported.
    pub healed: bool,
}

/// What is the matter with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DriftKind {
    /// It should be there.
    Missing,
    /// It should not be there.
    Extra,
    /// It does not run.
    Stopped,
    /// It is frozen.
    Paused,
    /// It ends again and again.
    Restarted,
    /// Some of its fields are not what was applied.
    Changed,
}

impl DriftKind {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            DriftKind::Missing => "missing",
            DriftKind::Extra => "extra",
            DriftKind::Stopped => "stopped",
            DriftKind::Paused => "paused",
            DriftKind::Restarted => "restarted",
            DriftKind::Changed => "changed",
        }
    }
}

/// A field that is not what was applied. Secret values are never in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftField {
    /// The manifest's field path, or the engine's where the manifest has no word for it.
    pub path: String,
    /// What was applied.
    pub expected: Option<String>,
    /// What the host has.
    pub actual: Option<String>,
}

/// Plans one round of one application.
pub fn plan(desired: &Desired, claims: &Claims, observed: &Observed, now: Time) -> Plan {
    let desired = &*overridden(desired, &observed.record, now);
    let mut view = View::new(desired, claims, observed, now);
    let changes = change::changes(&view);
    view.note_changes(&changes);
    let view = view;
    let drift = drift::drift(&view);
    let mut draft = Draft::new(&view);
    if desired.settings.mode != Mode::Observe {
        base::plan(&view, &mut draft);
        for workload in desired.workloads.values() {
            workload::plan(&view, workload, &mut draft);
        }
        prune::plan(&view, &mut draft);
        network::plan(&view, &mut draft);
    }
    let findings = desired.findings.iter().cloned().chain(claim::findings(desired, claims));
    let findings = findings.chain(foreign::findings(desired, &observed.live)).chain(impostors(observed)).collect();
    let (steps, held) = draft.finish();
    let workloads: Vec<WorkloadStatus> = desired.workloads.values().map(|workload| status::status(&view, workload)).collect();
    Plan {
        application: desired.application.clone(),
        revision: desired.revision.clone(),
        id: id(desired, &changes),
        failed: status::failed(&view),
        deferred: drift::deferred(&view),
        changes,
        steps,
        held,
        drift,
        findings,
        workloads,
    }
}

/// Returns a note for each container that carries our labels and was not created by us.
fn impostors(observed: &Observed) -> impl Iterator<Item = Finding> {
    let impostors = observed.live.containers.iter().filter(|container| container.impostor);
    impostors.map(|container| {
        let message = format!(
            "container `{}` carries labels of driftless, but not under the name that it would have: it is left alone",
            container.name
        );
        Finding::note("impostor", Place::default(), message).with_hint("was it renamed or copied by hand? remove it, or its labels")
    })
}

/// Returns the id of a plan: the hash of its changes.
fn id(desired: &Desired, changes: &[Change]) -> String {
    let text = serde_json::to_string(&(&desired.application, changes)).expect("changes become JSON");
    sha256(text.as_bytes())[..12].to_owned()
}

impl Plan {
    /// Tells whether the host is what Git asks for.
    pub fn sync(&self) -> Sync {
        match self.changes.is_empty() && self.drift.is_empty() {
            true => Sync::Synced,
            false => Sync::OutOfSync,
        }
    }

    /// Returns the health of the application: that of its worst workload.
    pub fn health(&self) -> Health {
        aggregate(self.workloads.iter().map(|workload| workload.health))
    }

    /// Tells whether nothing is left to do or to wait for. What drifts and is not healed stays as it is,
    /// and so does what its author suspended.
    pub fn is_converged(&self) -> bool {
        self.changes.is_empty()
            && self.steps.is_empty()
            && self.held.is_empty()
            && self.drift.iter().all(|drift| !drift.healed)
            && self.health() <= Health::Suspended
    }
}
