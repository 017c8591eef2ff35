//! Annotations that ask driftless for something, and those of Argo CD that would.

use std::time::Duration;

use crate::desired::OnFailure;
use crate::manifest::cursor::nearest;
use crate::manifest::node::Located;
use crate::manifest::sink::Sink;
use crate::name::Kind;
use crate::time::parse_duration;

/// What an object's annotations ask for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wishes {
    /// The longest wait for established connections.
    pub drain: Option<Duration>,
    /// How long a replica without probe must have run to be ready.
    pub settle: Option<Duration>,
    /// How long a new connection waits while no replica is ready.
    pub hold: Option<Duration>,
    /// What follows a rollout that fails.
    pub on_failure: Option<OnFailure>,
}

const PREFIX: &str = "driftless.dev/";
const KNOWN: &[&str] = &["drain", "settle", "hold", "on-failure"];
const LATER: &[&str] = &["prune", "wave", "hook", "ignore-drift", "front", "route", "autoscale"];
const ARGO: &[&str] = &["sync-wave", "hook", "hook-delete-policy", "sync-options"];

/// Reads what the annotations of an object ask for.
pub fn read(annotations: &[(Located<String>, Located<String>)], kind: Kind, sink: &Sink) -> Wishes {
    let mut wishes = Wishes::default();
    for (key, value) in annotations {
        refuse_argo(key, sink);
        let Some(name) = key.value.strip_prefix(PREFIX) else { continue };
        let home = match name {
            "hold" => Kind::Service,
            "drain" | "settle" | "on-failure" => Kind::Deployment,
            _ => {
                refuse_other(key, name, sink);
                continue;
            }
        };
        if kind != home {
            let message = format!("`{}` means nothing on a {kind}", key.value);
            sink.error_with("unsupported-annotation", key.span, message, format!("write it on a {home}"));
            continue;
        }
        match name {
            "hold" => wishes.hold = duration(key, value, sink),
            "drain" => wishes.drain = duration(key, value, sink),
            "settle" => wishes.settle = duration(key, value, sink),
            _ => wishes.on_failure = on_failure(key, value, sink),
        }
    }
    wishes
}

/// Refuses annotations of a template that would ask for something: they belong on the workload.
pub fn refuse_in_template(annotations: &[(Located<String>, Located<String>)], sink: &Sink) {
    for (key, _) in annotations.iter().filter(|(key, _)| key.value.starts_with(PREFIX)) {
        let message = format!("`{}` means nothing on a template", key.value);
        sink.error_with("unsupported-annotation", key.span, message, "write it in the Deployment's own `metadata`");
    }
}

fn refuse_argo(key: &Located<String>, sink: &Sink) {
    if key.value.strip_prefix("argocd.argoproj.io/").is_some_and(|name| ARGO.contains(&name)) {
        sink.error("unsupported-annotation", key.span, format!("the annotation `{}` is not supported yet", key.value));
    }
}

fn refuse_other(key: &Located<String>, name: &str, sink: &Sink) {
    if LATER.contains(&name) {
        sink.error("unsupported-annotation", key.span, format!("the annotation `{}` is not supported yet", key.value));
        return;
    }
    let message = format!("unknown annotation `{}`", key.value.escape_debug());
    match nearest(name, KNOWN.iter().chain(LATER).copied()) {
        Some(known) => sink.error_with("unknown-annotation", key.span, message, format!("did you mean `{PREFIX}{known}`?")),
        None => sink.error("unknown-annotation", key.span, message),
    }
}

fn duration(key: &Located<String>, value: &Located<String>, sink: &Sink) -> Option<Duration> {
    let duration = parse_duration(&value.value);
    if duration.is_none() {
        let message = format!("`{}` is not a duration: `{}`", key.value, value.value.escape_debug());
        sink.error_with("bad-duration", value.span, message, "write it with units, such as `10s`, `1m30s` or `500ms`");
    }
    duration
}

fn on_failure(key: &Located<String>, value: &Located<String>, sink: &Sink) -> Option<OnFailure> {
    let choice = match value.value.as_str() {
        "rollback" => Some(OnFailure::Rollback),
        "pause" => Some(OnFailure::Pause),
        "continue" => Some(OnFailure::Continue),
        _ => None,
    };
    if choice.is_none() {
        let message = format!("`{}` cannot be `{}`; supported: `rollback`, `pause`, `continue`", key.value, value.value.escape_debug());
        sink.error("unsupported-value", value.span, message);
    }
    choice
}
