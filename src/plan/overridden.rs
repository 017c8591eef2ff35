//! Numbers of replicas that somebody set for a while: they hold instead of Git's, and are drift.

use std::borrow::Cow;

use crate::desired::Desired;
use crate::name::ObjectId;
use crate::observed::{Override, Record};
use crate::time::Time;

use super::view::View;
use super::{Drift, DriftField, DriftKind, path};

/// Returns what is wanted now: what Git asks for, with the overrides that hold. Doing so twice is doing
/// so once.
pub fn overridden<'a>(desired: &'a Desired, record: &Record, now: Time) -> Cow<'a, Desired> {
    let holds = |(id, over): &(&ObjectId, &Override)| {
        now < over.until && desired.workloads.get(*id).is_some_and(|workload| workload.replicas != over.replicas)
    };
    if !record.overrides.iter().any(|entry| holds(&entry)) {
        return Cow::Borrowed(desired);
    }
    let mut desired = desired.clone();
    for (id, over) in record.overrides.iter().filter(|(_, over)| now < over.until) {
        if let Some(workload) = desired.workloads.get_mut(id) {
            workload.replicas = over.replicas;
        }
    }
    Cow::Owned(desired)
}

/// Returns the override of a workload, if one holds.
pub(super) fn of(view: &View<'_>, workload: &ObjectId) -> Option<Override> {
    view.observed.record.overrides.get(workload).copied().filter(|over| view.now < over.until)
}

/// Returns overrides as drift: what runs is not what Git says, and that is not mended.
pub(super) fn drift(view: &View<'_>) -> impl Iterator<Item = Drift> {
    view.desired.workloads.iter().filter_map(|(id, workload)| {
        let over = of(view, id)?;
        let field = DriftField {
            path: path::replicas(workload),
            expected: Some(over.instead.to_string()),
            actual: Some(format!("{}, an override until {}", over.replicas, over.until)),
        };
        Some(Drift {
            object: id.to_string(),
            kind: id.kind.to_string(),
            what: DriftKind::Changed,
            fields: vec![field],
            since: Some(over.at),
            healed: false,
        })
    })
}
