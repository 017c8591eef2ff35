//! What is written down: the record, and the history and log for people.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::desired::Front;
use crate::git::Source;
use crate::name::Name;
use crate::observed::{Container, Record};
use crate::plan::{Drift, DriftField, DriftKind, Health, Plan};
use crate::report::Healed;
use crate::report::word::{drift_line, short};
use crate::store;
use crate::traffic::Acknowledged;

use super::application::{App, chain};
use super::{Agent, now};

/// So many healed objects are remembered for `drift`.
const HEALED: usize = 20;
/// A record that could not be written is tried again after so long.
const AGAIN: Duration = Duration::from_secs(5);
/// So many lines of a replica that does not come up are written down.
const LAST_LINES: u32 = 5;

/// A record that could not be written.
#[derive(Debug)]
pub(super) struct Unwritten {
    pub(super) why: String,
    /// When it is tried again.
    pub(super) again: Instant,
}

/// Something worth a line in the history.
struct Happening {
    kind: &'static str,
    message: String,
}

impl Agent {
    /// Writes down what the newest plan of an application tells that the one before did not.
    pub(super) async fn note(&mut self, index: usize, before: Option<&Plan>, rolled_back: Option<String>) {
        let Some(app) = self.apps.get_mut(index) else { return };
        let Some(after) = app.plan.clone() else { return };
        let gone = missing_from(before.map_or(&[], |before| &before.drift), &after.drift);
        let at = now();
        app.healed.extend(gone.into_iter().map(|drift| Healed { drift: drift.clone(), at }));
        let surplus = app.healed.len().saturating_sub(HEALED);
        app.healed.drain(..surplus);
        let name = app.config.name.clone();
        let head = app.head.as_ref().map(|head| head.revision.clone()).unwrap_or_default();
        if let Some(reason) = rolled_back {
            tracing::error!(application = %name, reason, "the rollout failed; the application goes back to its last healthy revision");
            self.append(index, head, "rolled back", reason);
        }
        let gone_back = self.apps.get(index).and_then(super::application::App::rolled_back).is_some();
        for Happening { kind, mut message } in happenings(before, &after) {
            if kind == "degraded" {
                // It leaves soon, and what it said goes with it.
                message.extend(self.last_words(index, &after).await.into_iter().map(|line| format!("\n  {line}")));
            }
            let revision = short(&after.revision);
            match kind {
                "healthy" if gone_back => {
                    tracing::warn!(application = %name, revision, "RolledBack: the last healthy revision serves again")
                }
                "healthy" => tracing::info!(application = %name, revision, "Synced and Healthy"),
                "degraded" => tracing::error!(application = %name, revision, reason = message, "Degraded"),
                // Somebody who waits for one `apply` reads what is done, not why.
                _ if self.options.socket.is_none() => {}
                _ => tracing::warn!(application = %name, "{kind}: {message}"),
            }
            self.append(index, after.revision.clone(), kind, message);
        }
    }

    /// Writes down which fronts have rules again that somebody had changed: the data path does that by itself.
    pub(super) fn note_mended(&mut self, acknowledged: Option<&Acknowledged>) {
        let Some(acknowledged) = acknowledged else { return };
        let counts: BTreeMap<String, u64> = acknowledged.fronts.iter().map(|(name, front)| (name.clone(), front.mended)).collect();
        let (pid, known) = std::mem::replace(&mut self.mended, (acknowledged.pid, counts.clone()));
        // What was before this agent, or by another `serve`, was told then.
        let more = |(name, count): &(String, u64)| pid == acknowledged.pid && *count > known.get(name).copied().unwrap_or_default();
        for (name, _) in counts.into_iter().filter(more) {
            for index in 0..self.apps.len() {
                let Ok(Some(kept)) = self.apps[index].kept() else { continue };
                let Some(front) = kept.fronts.values().find(|front| front.host_name == name) else { continue };
                let drift = rules_changed(front);
                self.append(index, kept.revision.clone(), "healed", drift_line(&drift));
                self.apps[index].healed.push(Healed { drift, at: now() });
                self.apps[index].touched = true;
            }
        }
    }

    /// Returns the last lines of the replica with which a rollout failed: the one that ended most often.
    async fn last_words(&self, index: usize, plan: &Plan) -> Vec<String> {
        let (Some(app), Some(failed)) = (self.apps.get(index), &plan.failed) else { return Vec::new() };
        let of = |container: &&Container| {
            let labels = container.labels.as_ref();
            labels.is_some_and(|labels| labels.object.workload() == failed.object && labels.created_revision == plan.revision)
        };
        let containers = app.reconciler.observed().live.containers.iter().filter(of);
        match containers.max_by_key(|container| (container.restarts, container.created)) {
            Some(container) => self.docker.last_lines(&container.id, LAST_LINES).await,
            None => Vec::new(),
        }
    }

    /// Appends to the history, with the next turn.
    pub(super) fn append(&mut self, index: usize, revision: String, kind: &str, message: String) {
        if self.acts
            && let Some(app) = self.apps.get(index)
        {
            self.diary.push((app.config.name.clone(), store::Event { at: now(), revision, kind: kind.to_owned(), message }));
        }
    }

    /// Writes down now what a person decided, also while nothing is carried out.
    pub(super) async fn write_down(&mut self, index: usize, revision: String, kind: &str, message: String) {
        let Some(app) = self.apps.get_mut(index) else { return };
        app.unsaved = true;
        self.diary.push((app.config.name.clone(), store::Event { at: now(), revision, kind: kind.to_owned(), message }));
        self.write(Instant::now()).await;
    }

    /// Writes down the records that have changed and what happened, all at once, and lets go of revisions that are no
    /// longer needed.
    pub(super) async fn write(&mut self, now: Instant) {
        let due = |app: &App| app.unsaved || app.unwritten.as_ref().is_some_and(|unwritten| unwritten.again <= now);
        let records: Vec<(Name, Record)> = self
            .apps
            .iter()
            .filter(|app| due(app))
            .map(|app| (app.config.name.clone(), app.reconciler.observed().record.clone()))
            .collect();
        let diary = std::mem::take(&mut self.diary);
        if records.is_empty() && diary.is_empty() {
            return;
        }
        let written = self.store.write(records, diary).await.map_err(|error| chain(&error).join(": "));
        if let Err(why) = &written {
            let known = self.apps.iter().any(|app| app.unwritten.as_ref().is_some_and(|before| before.why == *why));
            if !known {
                tracing::error!(error = why, "the record cannot be written; the agent goes on, and tries it again");
            }
        } else if self.apps.iter().any(|app| app.unwritten.is_some()) {
            tracing::info!("the record is written again");
        }
        let mut kept = Vec::new();
        for app in self.apps.iter_mut().filter(|app| due(app)) {
            app.unsaved = false;
            app.touched |= written.is_err() || app.unwritten.is_some();
            app.unwritten = written.as_ref().err().map(|why| Unwritten { why: why.clone(), again: now + AGAIN });
            kept.extend(app.kept_anew());
        }
        tokio::spawn(async move {
            for (source, name, revisions) in kept {
                if let Err(error) = source.retain(&name, revisions).await {
                    tracing::debug!(application = %name, error = %chain(&error).join(": "), "old revisions cannot be let go of");
                }
            }
        });
    }
}

impl App {
    /// Returns the revisions that must not be lost, if they are others than when that was last asked.
    fn kept_anew(&mut self) -> Option<(Source, Name, BTreeSet<String>)> {
        let wanted = self.revisions();
        let changed = self.retained != wanted;
        self.retained.clone_from(&wanted);
        changed.then(|| (self.source.clone(), self.config.name.clone(), wanted))
    }
}

/// Returns what it is that the rules of a front were not those that are published.
fn rules_changed(front: &Front) -> Drift {
    let field = DriftField {
        path: "kernel rules".to_owned(),
        expected: Some("as published".to_owned()),
        actual: Some("changed by hand".to_owned()),
    };
    let (object, kind) = (front.id.to_string(), front.id.kind.to_string());
    Drift { object, kind, what: DriftKind::Changed, fields: vec![field], since: None, healed: true }
}

fn happenings(before: Option<&Plan>, after: &Plan) -> Vec<Happening> {
    let is_healthy = |plan: &Plan| plan.changes.is_empty() && plan.health() == Health::Healthy;
    let mut happenings = Vec::new();
    let known = before.map_or(&[][..], |before| &before.drift);
    happenings.extend(missing_from(&after.drift, known).into_iter().map(|drift| Happening { kind: "drift", message: drift_line(drift) }));
    happenings
        .extend(missing_from(known, &after.drift).into_iter().map(|drift| Happening { kind: "healed", message: drift.object.clone() }));
    if is_healthy(after) && !before.is_some_and(|before| is_healthy(before) && before.revision == after.revision) {
        happenings.push(Happening { kind: "healthy", message: String::new() });
    }
    if let Some(failed) = after.failed.as_ref().filter(|_| before.is_none_or(|before| before.failed.is_none())) {
        happenings.push(Happening { kind: "degraded", message: format!("{}: {}", failed.object, failed.reason) });
    }
    happenings
}

/// Returns the drift of the first list whose object is not in the second.
fn missing_from<'a>(drift: &'a [Drift], other: &[Drift]) -> Vec<&'a Drift> {
    drift.iter().filter(|drift| !other.iter().any(|known| known.object == drift.object && known.what == drift.what)).collect()
}
