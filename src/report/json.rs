//! Reports as JSON, as the contract pins them: one document on one line, additions are free.

use serde::Serialize;

use crate::finding::Finding;
use crate::name::ObjectId;
use crate::observed::Failed;
use crate::plan::{ChangeAction, Drift, FieldChange, Health, Held, Sync, WorkloadStatus};

use super::{Healed, HistoryReport, PlanAnswer, PlanRound, StatusReport};

/// The version of every document here. It is raised when something is taken away or changes its meaning.
pub const VERSION: u32 = 1;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlanDocument<'a> {
    version: u32,
    host: &'a str,
    application: &'a str,
    revision: &'a str,
    id: &'a str,
    sync: Sync,
    health: Health,
    refused: bool,
    rolled_back: Option<&'a str>,
    changes: Vec<ChangeEntry<'a>>,
    steps: Vec<StepEntry<'a>>,
    held: &'a [Held],
    deferred: &'a [Held],
    findings: &'a [Finding],
    drift: &'a [Drift],
    workloads: &'a [WorkloadStatus],
    failed: Option<&'a Failed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rounds: Option<&'a [PlanRound]>,
}

#[derive(Serialize)]
struct ChangeEntry<'a> {
    object: &'a ObjectId,
    kind: &'a str,
    action: ChangeAction,
    fields: &'a [FieldChange],
    reason: &'a str,
}

#[derive(Serialize)]
struct StepEntry<'a> {
    id: &'a str,
    action: &'a str,
    object: &'a str,
    reason: &'a str,
}

#[derive(Serialize)]
struct DriftDocument<'a> {
    version: u32,
    host: &'a str,
    application: &'a str,
    revision: &'a str,
    drift: &'a [Drift],
    healed: &'a [Healed],
}

#[derive(Serialize)]
struct CheckDocument<'a> {
    version: u32,
    findings: &'a [Finding],
}

/// Returns a plan as JSON.
pub fn plan_json(answer: &PlanAnswer) -> String {
    line(&plan_document(answer))
}

/// Returns a plan as a part of another document.
pub(super) fn plan_value(answer: &PlanAnswer) -> serde_json::Value {
    serde_json::to_value(plan_document(answer)).expect("reports have text keys only")
}

fn plan_document(answer: &PlanAnswer) -> PlanDocument<'_> {
    let plan = &answer.plan;
    let changes = plan.changes.iter().map(|change| ChangeEntry {
        object: &change.object,
        kind: change.object.kind.as_str(),
        action: change.action,
        fields: &change.fields,
        reason: &change.reason,
    });
    let steps = plan.steps.iter().map(|planned| StepEntry {
        id: &planned.id,
        action: planned.step.action(),
        object: &planned.object,
        reason: &planned.reason,
    });
    PlanDocument {
        version: VERSION,
        host: &answer.host,
        application: plan.application.as_str(),
        revision: &plan.revision,
        id: &plan.id,
        sync: plan.sync(),
        health: plan.health(),
        refused: answer.refused,
        rolled_back: answer.rolled_back.as_deref(),
        changes: changes.collect(),
        steps: steps.collect(),
        held: &plan.held,
        deferred: &plan.deferred,
        findings: &plan.findings,
        drift: &plan.drift,
        workloads: &plan.workloads,
        failed: plan.failed.as_ref(),
        rounds: answer.rounds.as_deref(),
    }
}

/// Returns the drift of an application as JSON.
pub fn drift_json(answer: &PlanAnswer) -> String {
    let plan = &answer.plan;
    line(&DriftDocument {
        version: VERSION,
        host: &answer.host,
        application: plan.application.as_str(),
        revision: &plan.revision,
        drift: &plan.drift,
        healed: &answer.healed,
    })
}

/// Returns how applications stand as JSON.
pub fn status_json(report: &StatusReport) -> String {
    line(report)
}

/// Returns the history of an application as JSON.
pub fn history_json(report: &HistoryReport) -> String {
    line(report)
}

/// Returns findings as JSON.
pub fn check_json(findings: &[Finding]) -> String {
    line(&CheckDocument { version: VERSION, findings })
}

pub(super) fn line(document: &impl Serialize) -> String {
    serde_json::to_string(document).expect("reports have text keys only") + "\n"
}
