//! The status page: what runs, what changes, what waits, what drifts, what happened.
//!
//! It is whole without its script, which only replaces it when something has changed. Every text goes
//! through `word::markup`; the page may load nothing but its own style, script and data.

use axum::extract::State;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};

use crate::agent::{Snapshot, Standing};
use crate::plan::{Health, Sync};
use crate::report::word::{self, markup};
use crate::report::{HistoryReport, PlanAnswer};

use super::Shared;
use super::api::snapshot;

/// So many events of each application are shown.
const EVENTS: u32 = 8;
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// The page.
pub(super) async fn page(State(shared): State<Shared>) -> Response {
    let snapshot = snapshot(&shared);
    let mut histories = Vec::new();
    for name in snapshot.applications.keys() {
        histories.push(shared.view.history(name, EVENTS).await.ok());
    }
    ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(document(&snapshot, &histories))).into_response()
}

/// Its style.
pub(super) async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("page.css")).into_response()
}

/// Its script.
pub(super) async fn script() -> Response {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("page.js")).into_response()
}

fn document(snapshot: &Snapshot, histories: &[Option<HistoryReport>]) -> String {
    let host = markup(&snapshot.host);
    let notice = match (snapshot.looked, &snapshot.away) {
        (false, _) => "<p class=\"notice\">The first look at the host has not ended.</p>".to_owned(),
        (true, Some(reason)) => {
            format!("<p class=\"notice bad\">The Docker engine cannot be read; what is published is served on. {}</p>", markup(reason))
        }
        (true, None) if !snapshot.misconfigured.is_empty() => {
            let wrong: Vec<String> = snapshot.misconfigured.iter().map(|line| markup(line)).collect();
            format!("<p class=\"notice bad\">The configuration was refused; the last good one is in force.<br>{}</p>", wrong.join("<br>"))
        }
        (true, None) if snapshot.applications.is_empty() => "<p class=\"notice\">No application is configured.</p>".to_owned(),
        (true, None) => String::new(),
    };
    let sections: String =
        snapshot.applications.values().zip(histories).map(|(standing, history)| application(standing, history.as_ref())).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{host}: driftless</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <link rel=\"stylesheet\" href=\"page.css\">\n<script src=\"page.js\" defer></script>\n</head>\n<body>\n\
         <header><h1>{host}</h1></header>\n<main>\n{notice}{sections}</main>\n</body>\n</html>\n"
    )
}

fn application(standing: &Standing, history: Option<&HistoryReport>) -> String {
    let status = &standing.status;
    let name = markup(status.name.as_str());
    let good = status.sync == Sync::Synced && status.health == Health::Healthy && !status.rolled_back && !status.refused;
    let bad = status.rolled_back || status.refused || matches!(status.health, Health::Degraded | Health::Missing);
    let class = if good { "good" } else { state(bad) };
    let revision = match word::short(&status.revision) {
        "" => String::new(),
        revision => format!(" <span class=\"revision\">at <code title=\"{}\">{}</code></span>", markup(&status.revision), markup(revision)),
    };
    let mut text = format!(
        "<section id=\"{name}\" aria-labelledby=\"{name}-name\">\n<h2 id=\"{name}-name\">{name}{revision}</h2>\n\
         <p class=\"verdict {class}\">{}</p>\n<p class=\"source\">{}</p>\n",
        markup(&word::status_verdict(status)),
        markup(&standing.repository)
    );
    if !status.message.is_empty() {
        text.push_str(&format!("<p>{}</p>\n", markup(&status.message)));
    }
    let workloads = status.workloads.iter().map(|workload| {
        let numbers = [workload.desired, workload.ready, workload.updated, workload.available].map(|number| number.to_string());
        let named = [workload.object.to_string()];
        let health = [format!("{:?}", workload.health), workload.message.clone()];
        [named.as_slice(), numbers.as_slice(), health.as_slice()].concat()
    });
    text.push_str(&table("Workloads", &["workload", "desired", "ready", "updated", "available", "health", ""], workloads));
    let held =
        status.held.iter().map(|held| vec![held.object.clone(), held.reason.clone(), held.until.map(word::time).unwrap_or_default()]);
    if let Some(answer) = &standing.plan {
        text.push_str(&plan(answer));
    }
    text.push_str(&table("Held", &["object", "why", "until"], held));
    let findings = status.findings.iter().map(|finding| {
        let hint = finding.hint.clone().unwrap_or_default();
        vec![word::place(finding), word::severity(finding.severity).to_owned(), finding.message.clone(), hint]
    });
    text.push_str(&table("Findings", &["place", "severity", "what", "hint"], findings));
    let events = history.iter().flat_map(|history| &history.events).map(|event| {
        vec![word::time(event.at), word::short(&event.revision).to_owned(), event.kind.clone(), event.message.replace('\n', "; ")]
    });
    text.push_str(&table("History", &["when", "revision", "what", ""], events));
    text + "</section>\n"
}

fn plan(answer: &PlanAnswer) -> String {
    let plan = &answer.plan;
    let changes = plan.changes.iter().flat_map(|change| {
        let head = vec![change.object.to_string(), word::action(change).to_owned(), String::new(), String::new(), change.reason.clone()];
        let fields = change.fields.iter().map(|field| {
            let (old, new) = (word::value(field.old.as_deref()), word::value(field.new.as_deref()));
            vec![String::new(), field.path.clone(), old, new, field.consequence.clone()]
        });
        std::iter::once(head).chain(fields)
    });
    let steps = plan.steps.iter().map(|step| vec![word::step(&step.step.to_string()), step.reason.clone()]);
    let drift = plan.drift.iter().flat_map(|drift| {
        let healed = if drift.healed { "is being healed" } else { "only reported" };
        let since = drift.since.map(|since| format!(", since {}", word::time(since))).unwrap_or_default();
        let head = vec![drift.object.clone(), drift.what.as_str().to_owned(), String::new(), String::new(), healed.to_owned() + &since];
        let fields = drift.fields.iter().map(|field| {
            let (expected, actual) = (word::value(field.expected.as_deref()), word::value(field.actual.as_deref()));
            vec![String::new(), field.path.clone(), expected, actual, String::new()]
        });
        std::iter::once(head).chain(fields)
    });
    table(&format!("Plan {}", plan.id), &["object", "action, field", "old", "new", "why"], changes)
        + &table("Steps that are safe now", &["step", "why"], steps)
        + &table("Drift", &["object", "what, field", "expected", "actual", ""], drift)
}

fn state(bad: bool) -> &'static str {
    if bad { "bad" } else { "moving" }
}

/// Returns a table; nothing if it has no rows.
fn table(caption: &str, heads: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let body: String = rows
        .map(|cells| {
            let cells: String = cells.iter().map(|cell| format!("<td>{}</td>", markup(cell))).collect();
            format!("<tr>{cells}</tr>\n")
        })
        .collect();
    if body.is_empty() {
        return String::new();
    }
    let heads: String = heads.iter().map(|head| format!("<th scope=\"col\">{head}</th>")).collect();
    let caption = markup(caption);
    format!(
        "<div class=\"table\"><table>\n<caption>{caption}</caption>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n"
    )
}
