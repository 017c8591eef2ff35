//! `labels`: the author's own, and those that ask driftless for something.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::desired::OnFailure;
use crate::manifest::cursor::{Fields, nearest};
use crate::manifest::node::Located;
use crate::manifest::sink::Sink;
use crate::time::parse_duration;

use super::scalar;

/// What labels ask of driftless.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wishes {
    /// The longest wait for established connections.
    pub drain: Option<Duration>,
    /// How long a replica without health check must have run to be ready.
    pub settle: Option<Duration>,
    /// How long a new connection waits while no replica is ready.
    pub hold: Option<Duration>,
    /// What follows a rollout that fails.
    pub on_failure: Option<OnFailure>,
    /// The service has a front.
    pub front: Option<bool>,
}

const PREFIX: &str = "driftless.dev/";
const KNOWN: &[&str] = &["drain", "settle", "hold", "on-failure", "front"];
const LATER: &[&str] = &["prune", "wave", "hook", "ignore-drift", "route", "autoscale"];

/// Reads the labels of a service.
pub fn read(fields: &mut Fields<'_>) -> (BTreeMap<String, String>, Wishes) {
    let (mut labels, mut wishes) = (BTreeMap::new(), Wishes::default());
    let sink = fields.cursor().sink;
    for (name, value) in scalar::pairs_of(fields, "labels") {
        let value = value.unwrap_or_default();
        if name.value.starts_with("dev.driftless.") || name.value.starts_with("com.docker.compose.") {
            sink.error_with(
                "reserved-label",
                name.span,
                format!("the label `{}` is reserved", name.value),
                "leave it out: driftless writes it",
            );
            continue;
        }
        match name.value.strip_prefix(PREFIX) {
            Some(wish) => wishes.take(wish, &name, &value, sink),
            None => drop(labels.insert(name.value, value)),
        }
    }
    (labels, wishes)
}

/// Tells whether a reverse proxy reads a label.
pub fn is_for_proxies(name: &str) -> bool {
    let caddy = name.strip_prefix("caddy").is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '_']));
    caddy || name.starts_with("traefik.")
}

impl Wishes {
    fn take(&mut self, wish: &str, name: &Located<String>, value: &str, sink: &Sink) {
        match wish {
            "drain" => self.drain = duration(name, value, sink),
            "settle" => self.settle = duration(name, value, sink),
            "hold" => self.hold = duration(name, value, sink),
            "on-failure" => {
                let words = [("rollback", OnFailure::Rollback), ("pause", OnFailure::Pause), ("continue", OnFailure::Continue)];
                self.on_failure = choice(name, value, &words, sink);
            }
            "front" => self.front = choice(name, value, &[("true", true), ("false", false)], sink),
            _ if LATER.contains(&wish) => {
                sink.error_with("unsupported-label", name.span, format!("the label `{}` is not supported yet", name.value), "leave it out");
            }
            _ => {
                let message = format!("unknown label `{}`", name.value.escape_debug());
                match nearest(wish, KNOWN.iter().chain(LATER).copied()) {
                    Some(known) => sink.error_with("unknown-label", name.span, message, format!("did you mean `{PREFIX}{known}`?")),
                    None => sink.error("unknown-label", name.span, message),
                }
            }
        }
    }
}

fn duration(name: &Located<String>, value: &str, sink: &Sink) -> Option<Duration> {
    let duration = parse_duration(value);
    if duration.is_none() {
        let message = format!("`{}` is not a duration: `{}`", name.value, value.escape_debug());
        sink.error_with("bad-duration", name.span, message, "write it with units, such as `10s`, `1m30s` or `500ms`");
    }
    duration
}

fn choice<T: Copy>(name: &Located<String>, value: &str, words: &[(&str, T)], sink: &Sink) -> Option<T> {
    let found = words.iter().find(|(word, _)| *word == value).map(|(_, choice)| *choice);
    if found.is_none() {
        let known = words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        sink.error("unsupported-value", name.span, format!("`{}` cannot be `{}`; supported: {known}", name.value, value.escape_debug()));
    }
    found
}
