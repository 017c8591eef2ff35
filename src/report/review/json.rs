//! A review as JSON: one document, in it the plan of each application as `plan` prints it.

use serde::Serialize;
use serde_json::Value;

use crate::finding::Finding;
use crate::report::json::{VERSION, line, plan_value};
use crate::report::word::Least;

use super::{ApplicationReview, Interruption, LiveReview, ReviewReport};

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    base: &'a str,
    head: &'a str,
    verdict: String,
    refused: bool,
    applications: Vec<Entry<'a>>,
    untouched: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    application: &'a str,
    folder: &'a str,
    verdict: String,
    unchanged: usize,
    #[serde(rename = "leastAvailable")]
    least: Vec<Least>,
    interruptions: &'a [Interruption],
    caveats: &'a [String],
    findings: &'a [Finding],
    known_findings: usize,
    plan: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<&'a LiveReview>,
}

/// Returns a review as JSON. It is never cut.
pub fn review_json(report: &ReviewReport) -> String {
    line(&Document {
        version: VERSION,
        base: &report.base,
        head: &report.head,
        verdict: report.verdict(),
        refused: report.is_refused(),
        applications: report.applications.iter().map(entry).collect(),
        untouched: report.untouched,
    })
}

fn entry(review: &ApplicationReview) -> Entry<'_> {
    Entry {
        application: review.name.as_str(),
        folder: &review.folder,
        verdict: review.verdict(),
        unchanged: review.unchanged,
        least: review.least(),
        interruptions: &review.interruptions,
        caveats: &review.caveats,
        findings: &review.findings,
        known_findings: review.known,
        plan: review.answer.as_ref().map(plan_value),
        live: review.live.as_ref(),
    }
}
