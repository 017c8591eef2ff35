//! What everybody who reaches the address may read: health, metrics and badges. They name applications and
//! their states, and nothing of what is in them.

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::agent::Snapshot;
use crate::metric::Metric;
use crate::name::Name;
use crate::plan::{Health, Sync};
use crate::report::{Badge, badge_json, badge_svg};

use super::Shared;
use super::api::snapshot;

/// A badge that a proxy keeps is a badge that lies.
const NEVER_KEPT: &str = "private, no-cache, no-store";

/// Says whether the agent can work: it runs, and the engine answers.
pub(super) async fn healthz(State(shared): State<Shared>) -> Response {
    let snapshot = snapshot(&shared);
    match (snapshot.looked, snapshot.away.is_some()) {
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "not ready: the first look at the host has not ended\n").into_response(),
        (true, true) => (StatusCode::SERVICE_UNAVAILABLE, "not ready: the Docker engine cannot be read\n").into_response(),
        (true, false) => "ok\n".into_response(),
    }
}

/// Everything that is counted and timed, for Prometheus.
pub(super) async fn metrics(State(shared): State<Shared>) -> Response {
    let snapshot = snapshot(&shared);
    let text = shared.view.metrics.text(gauges(&snapshot));
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// The badge of an application: `APP.svg`, or `APP.json` for shields.io. Of one that nobody knows there is
/// a badge, too, because people see a badge and not a status code.
pub(super) async fn badge(State(shared): State<Shared>, Path(file): Path<String>) -> Response {
    let snapshot = snapshot(&shared);
    let badge = |name: &str| {
        let known = Name::try_from(name).ok().and_then(|name| snapshot.applications.get(&name));
        known.map_or_else(|| Badge::not_found(name), |standing| Badge::of(&standing.status))
    };
    let (kind, document) = match file.rsplit_once('.') {
        Some((name, "svg")) => ("image/svg+xml", badge_svg(&badge(name))),
        Some((name, "json")) => ("application/json", badge_json(&badge(name))),
        _ => return (StatusCode::NOT_FOUND, "A badge is APP.svg or APP.json.\n").into_response(),
    };
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, NEVER_KEPT), (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    (headers, document).into_response()
}

type Gauge<'a> = (Metric, Vec<(&'static str, &'a str)>, f64);

fn gauges(snapshot: &Snapshot) -> Vec<Gauge<'_>> {
    const SYNC: [(Sync, &str); 3] = [(Sync::Synced, "Synced"), (Sync::OutOfSync, "OutOfSync"), (Sync::Unknown, "Unknown")];
    const HEALTH: [(Health, &str); 6] = [
        (Health::Healthy, "Healthy"),
        (Health::Suspended, "Suspended"),
        (Health::Progressing, "Progressing"),
        (Health::Missing, "Missing"),
        (Health::Degraded, "Degraded"),
        (Health::Unknown, "Unknown"),
    ];
    let mut gauges = Vec::new();
    for (name, standing) in &snapshot.applications {
        let name = name.as_str();
        let mut state =
            |metric, word, is: bool| gauges.push((metric, vec![("application", name), ("state", word)], f64::from(u8::from(is))));
        SYNC.iter().for_each(|(sync, word)| state(Metric::Sync, *word, standing.status.sync == *sync));
        HEALTH.iter().for_each(|(health, word)| state(Metric::Health, *word, standing.status.health == *health));
        let drift = standing.plan.iter().flat_map(|answer| &answer.plan.drift);
        let mut kinds = std::collections::BTreeMap::<&str, f64>::new();
        drift.for_each(|drift| *kinds.entry(drift.kind.as_str()).or_default() += 1.0);
        gauges.extend(kinds.into_iter().map(|(kind, count)| (Metric::Drift, vec![("application", name), ("kind", kind)], count)));
    }
    gauges.push((Metric::Configuration, Vec::new(), f64::from(u8::from(snapshot.misconfigured.is_empty()))));
    gauges
}
