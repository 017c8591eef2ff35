//! How replicas are replaced and started again: `deploy.update_config`, `rollback_config`, `restart_policy`.

use std::time::Duration;

use crate::desired::{OnFailure, Restart};
use crate::manifest::cursor::{Cursor, Fields};

use super::attribute::{Attribute, RESTART, ROLLBACK, UPDATE};
use super::scalar;
use super::service::{close, count};

/// How replicas are replaced, as far as it is written.
#[derive(Default)]
pub struct Update {
    /// New ones first (`true`), or old ones.
    pub start_first: Option<bool>,
    /// So many at a time; 0 is all.
    pub parallelism: Option<u32>,
    /// What follows a rollout that fails.
    pub on_failure: Option<OnFailure>,
    /// How long it stands still after each replica.
    pub delay: Duration,
}

const ORDER: [(&str, bool); 2] = [("stop-first", false), ("start-first", true)];

/// Reads how replicas are replaced from what `deploy` says.
pub fn read(fields: &mut Fields<'_>) -> Update {
    let update = fields.get("update_config").and_then(|field| field.fields(update)).unwrap_or_default();
    if let Some(field) = fields.get("rollback_config") {
        field.fields(|fields| rollback(fields, &update));
    }
    update
}

fn update(fields: &mut Fields<'_>) -> Update {
    let words = [("pause", OnFailure::Pause), ("rollback", OnFailure::Rollback), ("continue", OnFailure::Continue)];
    let start_first = fields.get("order").is_some().then(|| fields.choice("order", &ORDER));
    let on_failure = fields.get("failure_action").is_some().then(|| fields.choice("failure_action", &words));
    let parallelism = count(fields, "parallelism").map(|count| count.value);
    Update { start_first, parallelism, on_failure, delay: pace(fields, UPDATE) }
}

/// A new replica has to stay good for so long before the next is replaced, and that is waited for in any
/// case; one that does not become ready fails the whole update.
fn pace(fields: &mut Fields<'_>, table: &[Attribute]) -> Duration {
    let mut time = |name| fields.get(name).and_then(|field| scalar::duration(&field)).unwrap_or_default();
    let pace = time("delay").max(time("monitor"));
    zero(fields, "max_failure_ratio", "a replica that does not become ready fails its update");
    close(fields, table);
    pace
}

/// A rollback is an update to what was healthy before, and goes as that revision's `update_config` says: what
/// is written otherwise for it would not come true.
fn rollback(fields: &mut Fields<'_>, update: &Update) {
    const SAME: &str = "a rollback goes as `update_config` says; write the same there, or leave it out";
    let differs = |field: &Cursor<'_>| field.error_with("unsupported-value", "differs from `update_config`", SAME);
    if let Some(field) = fields.get("order")
        && Some(fields.choice("order", &ORDER)) != update.start_first
    {
        differs(&field);
    }
    if let Some(field) = fields.get("parallelism")
        && count(fields, "parallelism").map(|count| count.value) != Some(update.parallelism.unwrap_or(1))
    {
        differs(&field);
    }
    let pauses = fields.choice("failure_action", &[("pause", true), ("continue", false)]);
    if let Some(field) = fields.get("failure_action").filter(|_| !pauses) {
        field
            .error("unsupported-value", "is supported with the value `pause` only: after a rollback that fails nothing is tried by itself");
    }
    let written = fields.get("delay").or_else(|| fields.get("monitor"));
    let pace = pace(fields, ROLLBACK);
    if let Some(field) = written.filter(|_| pace != update.delay) {
        differs(&field);
    }
}

/// Reads when the engine starts a replica again, and how often.
pub fn restart_policy(fields: &mut Fields<'_>) -> (Restart, Option<u32>) {
    let restart = fields.choice("condition", &[("any", Restart::Always), ("on-failure", Restart::OnFailure), ("none", Restart::No)]);
    let attempts = fields.get("max_attempts");
    let retries = attempts.as_ref().and_then(|field| u32::try_from(scalar::integer(field, 0..=i64::from(u16::MAX))?).ok());
    if let (Some(attempts), Restart::Always | Restart::No) = (attempts, restart) {
        attempts.error("unsupported-field", "is supported with the condition `on-failure` only");
    }
    zero(fields, "delay", "the engine waits by itself, longer from restart to restart");
    zero(fields, "window", "whether a replica is ready decides");
    close(fields, RESTART);
    (restart, retries.filter(|retries| *retries > 0))
}

/// Takes a field that may be written with its default of nothing.
fn zero(fields: &mut Fields<'_>, name: &'static str, reason: &str) {
    let Some(field) = fields.get(name) else { return };
    let Some(text) = scalar::text(&field) else { return };
    let number = text.value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    if number.parse::<f64>().ok() != Some(0.0) {
        field.error_with(
            "unsupported-value",
            format!("is supported with the value 0 only, but is `{}`", text.value.escape_debug()),
            reason,
        );
    }
}
