//! What differs on the host although Git did not move.
//!
//! An object that Git changes has no drift: until its change is carried out, everything about it is
//! part of the change.

use crate::desired::{Workload, field};
use crate::hash::{FieldValue, Fields, Key, Match};
use crate::name::ObjectId;
use crate::observed::{Container, State};
use crate::time::Time;

use super::change::manifest_path;
use super::replica::{Replica, Standing};
use super::view::View;
use super::{Change, Drift, DriftField, DriftKind, Held};

/// Returns what differs on the host although Git did not move.
pub(super) fn drift(view: &View<'_>, changes: &[Change]) -> Vec<Drift> {
    let mut drift = ground(view);
    for workload in view.desired.workloads.values().filter(|workload| !view.changes(&workload.id, changes)) {
        drift.extend(
            view.standing(&workload.id, Standing::Current)
                .filter(|replica| !replica.busy)
                .filter_map(|replica| replica_drift(view, workload, replica)),
        );
        drift.extend(number(view, workload));
    }
    drift
}

/// Networks, volumes and fronts that were made once.
fn ground(view: &View<'_>) -> Vec<Drift> {
    let (desired, live) = (view.desired, &view.observed.live);
    let applied = |id: &ObjectId| view.observed.record.applied.contains_key(id);
    let networks = desired.networks.values().filter(|wanted| !live.networks.iter().any(|known| known.name == wanted.host_name));
    let volumes = desired.volumes.values().filter(|wanted| !live.volumes.iter().any(|known| known.name == wanted.host_name));
    let gone = networks.map(|network| &network.id).chain(volumes.map(|volume| &volume.id));
    let mut drift: Vec<Drift> = gone.filter(|id| applied(id)).map(|id| entry(view, id, DriftKind::Missing, Vec::new(), None)).collect();
    for front in desired.fronts.values() {
        let container = live.containers.iter().find(|container| container.labels.as_ref().is_some_and(|labels| labels.object == front.id));
        let busy = view.is_busy(&front.id.to_string());
        match container {
            None if applied(&front.id) && !busy => drift.push(entry(view, &front.id, DriftKind::Missing, Vec::new(), None)),
            Some(container) if !busy => {
                let lost: Vec<DriftField> = lost_networks(container, &front.networks);
                match state_of(container) {
                    Some(kind) => drift.push(entry(view, &front.id, kind, Vec::new(), container.finished)),
                    None if !lost.is_empty() => drift.push(entry(view, &front.id, DriftKind::Changed, lost, None)),
                    None => {}
                }
            }
            _ => {}
        }
    }
    drift
}

fn entry(view: &View<'_>, id: &ObjectId, what: DriftKind, fields: Vec<DriftField>, since: Option<Time>) -> Drift {
    Drift { object: id.to_string(), kind: id.kind.to_string(), what, fields, since, healed: view.heals() }
}

fn state_of(container: &Container) -> Option<DriftKind> {
    match container.state {
        State::Created | State::Exited(_) | State::Dead => Some(DriftKind::Stopped),
        State::Paused => Some(DriftKind::Paused),
        State::Restarting => Some(DriftKind::Restarted),
        State::Running => None,
    }
}

fn replica_drift(view: &View<'_>, workload: &Workload, replica: &Replica<'_>) -> Option<Drift> {
    let container = replica.container;
    if let Some(what) = state_of(container) {
        let since = container.stopped_by_hand.or(container.finished);
        return Some(entry(view, &replica.id, what, Vec::new(), since));
    }
    let mut fields = unlike_in_place(container, workload);
    fields.extend(lost_networks(container, &workload.template.networks));
    fields.extend(moved_tag(view, container, workload));
    (!fields.is_empty()).then(|| entry(view, &replica.id, DriftKind::Changed, fields, None))
}

fn lost_networks(container: &Container, networks: &[String]) -> Vec<DriftField> {
    let lost = networks.iter().filter(|network| !container.fields.contains_key(&field::network(network)));
    lost.map(|network| DriftField {
        path: manifest_path("", &field::network(network)),
        expected: Some("connected".to_owned()),
        actual: None,
    })
    .collect()
}

/// A tag that now names another image than the one that runs.
fn moved_tag(view: &View<'_>, container: &Container, workload: &Workload) -> Option<DriftField> {
    let wanted = workload.template.containers.first()?;
    let id = view.observed.live.images.get(&wanted.image)?;
    let short = |id: &str| id.trim_start_matches("sha256:").chars().take(12).collect::<String>();
    (*id != container.image_id).then(|| DriftField {
        path: manifest_path(wanted.name.as_str(), field::IMAGE),
        expected: Some(format!("{} ({})", wanted.image, short(id))),
        actual: Some(short(&container.image_id)),
    })
}

/// Too few or too many replicas.
fn number(view: &View<'_>, workload: &Workload) -> Option<Drift> {
    let count = view.standing(&workload.id, Standing::Current).count();
    let wanted = workload.replicas as usize;
    let what = match count.cmp(&wanted) {
        std::cmp::Ordering::Less => DriftKind::Missing,
        std::cmp::Ordering::Greater => DriftKind::Extra,
        std::cmp::Ordering::Equal => return None,
    };
    let field = DriftField { path: "spec.replicas".to_owned(), expected: Some(wanted.to_string()), actual: Some(count.to_string()) };
    Some(entry(view, &workload.id, what, vec![field], None))
}

/// Returns what this version would do differently, kept for the next change of its object.
pub(super) fn deferred(view: &View<'_>) -> Vec<Held> {
    let lost = |workload: &&Workload| {
        let labels = view.standing(&workload.id, Standing::Current).filter_map(|replica| replica.labels.hash.as_ref());
        labels.into_iter().any(|hash| workload.hash.compare(hash) == Match::SameButKeyLost)
    };
    let held = |workload: &Workload| Held {
        object: workload.id.to_string(),
        reason: "its secret values were hashed with another key and are taken as unchanged".to_owned(),
        until: None,
    };
    view.desired.workloads.values().filter(lost).map(held).collect()
}

/// Tells whether the host has a front.
pub(super) fn has_front(view: &View<'_>, id: &ObjectId) -> bool {
    view.observed.live.containers.iter().any(|container| container.labels.as_ref().is_some_and(|labels| labels.object == *id))
}

/// Returns the fields of a container that are changed in place and are not what its workload wants.
pub(super) fn unlike_in_place(container: &Container, workload: &Workload) -> Vec<DriftField> {
    match spec_of(container, workload) {
        Some((name, spec)) => unlike(container, &spec.in_place, name, None),
        None => Vec::new(),
    }
}

/// Returns the fields of a container that need a new one and are not what its workload wants. It is
/// asked only where a hash says nothing. Secret values are taken as equal: the key may be another.
pub(super) fn unlike_fields(container: &Container, workload: &Workload) -> Vec<DriftField> {
    match spec_of(container, workload) {
        Some((name, spec)) => {
            let mut fields = unlike(container, &spec.fields, name, None);
            fields.extend(unlike(container, &workload.spec.replica, "", None));
            fields
        }
        None => Vec::new(),
    }
}

fn spec_of<'a>(container: &Container, workload: &'a Workload) -> Option<(&'a str, &'a crate::desired::ContainerSpec)> {
    let name = container.labels.as_ref().map_or("", |labels| labels.container.as_str());
    workload.spec.containers.iter().find(|(known, _)| known.as_str() == name).map(|(name, spec)| (name.as_str(), spec))
}

fn unlike(container: &Container, expected: &Fields, name: &str, key: Option<&Key>) -> Vec<DriftField> {
    let differs = |path: &String, value: &FieldValue| match (value, container.fields.get(path)) {
        (FieldValue::Computed(_), Some(_)) => false,
        (FieldValue::Public(text), Some(live)) => *text != live.value,
        (FieldValue::Secret(digest), Some(live)) => key.is_some_and(|key| key.digest(live.value.as_bytes()) != *digest),
        (_, None) => true,
    };
    let unlike = expected.iter().filter(|(path, value)| differs(path, value));
    unlike
        .map(|(path, value)| {
            let public = matches!(value, FieldValue::Public(_));
            let expected = match value {
                FieldValue::Public(text) => text.clone(),
                _ => "<secret>".to_owned(),
            };
            // What stands in a variable may be secret: only what Git says is shown.
            let hidden = !public || path.starts_with("env[");
            let actual = container.fields.get(path).map(|live| if hidden { "<not shown>".to_owned() } else { live.value.clone() });
            DriftField { path: manifest_path(name, path), expected: Some(expected), actual }
        })
        .collect()
}
