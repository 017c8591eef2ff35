//! The API: the documents that `status`, `plan`, `drift` and `history` print with `-o json`, read-only.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use serde::Deserialize;

use crate::agent::{Snapshot, Standing};
use crate::name::Name;
use crate::report::{PlanAnswer, StatusReport, VERSION, drift_json, history_json, plan_json, status_json};

use super::Shared;

/// So many events of a history are returned unless somebody says otherwise, and at most.
const EVENTS: u32 = 50;
const MOST_EVENTS: u32 = 1_000;
/// A comment is sent this often on a stream without events.
const ALIVE: Duration = Duration::from_secs(15);

/// How all applications stand.
pub(super) async fn applications(State(shared): State<Shared>) -> Response {
    json(status_json(&snapshot(&shared).status()))
}

/// How one application stands.
pub(super) async fn application(State(shared): State<Shared>, Path(name): Path<String>) -> Response {
    let snapshot = snapshot(&shared);
    match find(&snapshot, &name) {
        Some((_, standing)) => {
            let applications = vec![standing.status.clone()];
            json(status_json(&StatusReport { applications, ..snapshot.status() }))
        }
        None => unknown(&name),
    }
}

/// The plan of one application.
pub(super) async fn plan(State(shared): State<Shared>, Path(name): Path<String>) -> Response {
    planned(&shared, &name, plan_json)
}

/// What drifts of one application.
pub(super) async fn drift(State(shared): State<Shared>, Path(name): Path<String>) -> Response {
    planned(&shared, &name, drift_json)
}

/// What to tell of a history.
#[derive(Debug, Deserialize)]
pub(super) struct Limit {
    limit: Option<u32>,
}

/// What happened to one application, newest first.
pub(super) async fn history(State(shared): State<Shared>, Path(name): Path<String>, Query(query): Query<Limit>) -> Response {
    let snapshot = snapshot(&shared);
    let Some((name, _)) = find(&snapshot, &name) else { return unknown(&name) };
    match shared.view.history(name, query.limit.unwrap_or(EVENTS).min(MOST_EVENTS)).await {
        Ok(report) => json(history_json(&report)),
        Err(error) => {
            tracing::warn!(%error, "the history cannot be read");
            refusal(StatusCode::INTERNAL_SERVER_ERROR, "the history cannot be read")
        }
    }
}

/// How all applications stand, again and again: an event at once, and one whenever something changes.
pub(super) async fn events(State(shared): State<Shared>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let mut receiver = shared.view.snapshot.clone();
    receiver.mark_changed();
    let events = stream::unfold(receiver, |mut receiver| async {
        receiver.changed().await.ok()?;
        let report = receiver.borrow_and_update().status();
        let event = Event::default().event("status").data(status_json(&report).trim_end());
        Some((Ok(event), receiver))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE))
}

fn planned(shared: &Shared, name: &str, document: fn(&PlanAnswer) -> String) -> Response {
    let snapshot = snapshot(shared);
    match find(&snapshot, name) {
        None => unknown(name),
        Some((_, standing)) => match &standing.plan {
            Some(plan) if snapshot.away.is_none() => json(document(plan)),
            // A plan is about what runs now; nobody can tell that.
            _ => refusal(StatusCode::SERVICE_UNAVAILABLE, &format!("nothing can be planned: {}", standing.status.message)),
        },
    }
}

/// Returns the last snapshot.
pub(super) fn snapshot(shared: &Shared) -> Arc<Snapshot> {
    shared.view.snapshot.borrow().clone()
}

fn find<'a>(snapshot: &'a Snapshot, name: &str) -> Option<(&'a Name, &'a Arc<Standing>)> {
    snapshot.applications.get_key_value(&Name::try_from(name).ok()?)
}

fn unknown(name: &str) -> Response {
    refusal(StatusCode::NOT_FOUND, &format!("there is no application `{name}`"))
}

/// Returns an answer that says why there is no document.
pub(super) fn refusal(status: StatusCode, message: &str) -> Response {
    let document = serde_json::json!({ "version": VERSION, "error": message });
    (status, json(format!("{document}\n"))).into_response()
}

/// Returns a document.
pub(super) fn json(document: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document).into_response()
}
