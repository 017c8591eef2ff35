//! What Git asks for and the host does not have yet, field by field.
//!
//! The words for `old -> new` come from the record; without one they come from the host's own
//! containers. An object that already is as wanted is no change, whatever the record says.

use std::collections::BTreeSet;

use crate::desired::{Care, Declares, Desired, Front, Probes, Service, Workload, field};
use crate::hash::{FieldValue, Fields, sha256};
use crate::name::{Kind, ObjectId};

use super::replica::{Replica, Standing};
use super::view::{View, network_owner};
use super::{Change, ChangeAction, DriftField, FieldChange, claim, content, drift, interruption, network, overridden, path, status};

/// Returns what Git asks for and the host does not have yet.
pub(super) fn changes(view: &View<'_>) -> Vec<Change> {
    let desired = view.desired;
    let mut changes = ground(view);
    let workloads: Vec<Change> = desired.workloads.values().filter_map(|workload| workload_change(view, workload)).collect();
    let followers = followers(view, &workloads);
    changes.extend(workloads);
    changes.extend(followers);
    changes.extend(desired.services.values().filter_map(|service| service_change(view, service)));
    changes.extend(removed(view));
    changes
}

/// Networks, volumes and fronts that were never made.
fn ground(view: &View<'_>) -> Vec<Change> {
    let desired = view.desired;
    let networks = desired.networks.values().filter(|wanted| !view.has_network(&wanted.host_name)).map(|network| &network.id);
    let volumes = desired.volumes.values().filter(|wanted| !view.has_volume(&wanted.host_name)).map(|volume| &volume.id);
    // A front of one service appears with what it answers for.
    let fronts = desired.fronts.keys().filter(|id| view.front(id).is_none() && !desired.services.contains_key(id));
    let missing = networks.chain(volumes).chain(fronts);
    missing.filter(|id| !view.observed.record.applied.contains_key(id)).map(|id| created(id, Vec::new())).collect()
}

fn created(id: &ObjectId, fields: Vec<FieldChange>) -> Change {
    Change { object: id.clone(), action: ChangeAction::Create, fields, reason: "new in this revision".to_owned() }
}

/// A replica is in the network namespace of one container, not of whichever comes after it.
const FOLLOWS: &str = "the replica whose network it shares is replaced";

/// Returns the workloads that are replaced because they share the network of one that is.
fn followers(view: &View<'_>, changes: &[Change]) -> Vec<Change> {
    let action = |id: &ObjectId| changes.iter().find(|change| change.object == *id).map(|change| change.action);
    let follows = |workload: &&Workload| {
        network_owner(workload).and_then(|owner| action(&owner)) == Some(ChangeAction::Recreate) && action(&workload.id).is_none()
    };
    let followers = view.desired.workloads.values().filter(follows).map(|workload| &workload.id);
    let change =
        |id: &ObjectId| Change { object: id.clone(), action: ChangeAction::Recreate, fields: Vec::new(), reason: FOLLOWS.to_owned() };
    followers.map(change).collect()
}

fn workload_change(view: &View<'_>, workload: &Workload) -> Option<Change> {
    if status::is_settled(view, workload) {
        return None;
    }
    let wanted = workload_fields(workload);
    let record = &view.observed.record;
    let known = record.applied.get(&workload.id);
    let applied = known.map(|applied| &applied.fields);
    let has_other = view.has_other(&workload.id);
    // A half-made first deployment is still that one, and not a change of what runs.
    let first = record.begun.get(&workload.id).is_some_and(|begun| begun.first);
    let staying = |standing| view.standing(&workload.id, standing).next();
    let staying = staying(Standing::Old).or_else(|| staying(Standing::Current)).filter(|_| !first);
    match (applied, staying) {
        (Some(applied), _) => {
            let mut fields = differences(&workload.id, applied, &wanted);
            // Whose its names are is not known before its image is.
            if workload.template.options.declares == Declares::Unknown {
                fields.retain(|field| !field.path.ends_with(".aliases"));
            }
            let replaced = fields.iter().any(|field| field.consequence == path::RECREATES);
            let action = if replaced || has_other { ChangeAction::Recreate } else { ChangeAction::Update };
            let replicas = path::replicas(workload);
            let only_scaled = fields.iter().all(|field| field.path == replicas);
            let same_revision = known.is_some_and(|known| known.revision == view.desired.revision);
            let reason = match fields.is_empty() {
                false if only_scaled && overridden::of(view, &workload.id).is_some() => "overridden by hand",
                false if only_scaled && same_revision => "its override has ended",
                false => "changed in Git",
                true if has_other && network_owner(workload).is_some() => FOLLOWS,
                true if has_other => "replicas of another revision are left",
                true => return None,
            };
            let fields = fields.into_iter().map(|field| content::named(view, field)).collect();
            Some(with_interruption(view, workload, Change { object: workload.id.clone(), action, fields, reason: reason.to_owned() }))
        }
        (None, None) => {
            let fields = differences(&workload.id, &Fields::new(), &wanted);
            let fields = fields.into_iter().filter(|field| path::is_headline(&field.path)).collect();
            Some(created(&workload.id, fields))
        }
        (None, Some(replica)) => {
            let unlike = if has_other { drift::unlike_at_all(replica.container, workload) } else { Vec::new() };
            let mut fields: Vec<FieldChange> =
                unlike.into_iter().map(|field| content::named(view, change_of(&workload.id, field))).collect();
            let count = view.standing(&workload.id, Standing::Current).chain(view.standing(&workload.id, Standing::Old)).count();
            if count != workload.replicas as usize {
                fields.push(FieldChange {
                    path: path::replicas(workload),
                    old: Some(count.to_string()),
                    new: Some(workload.replicas.to_string()),
                    consequence: path::SCALES.to_owned(),
                });
            }
            let action = if has_other { ChangeAction::Recreate } else { ChangeAction::Update };
            let nothing = fields.is_empty() && !has_other;
            let change = || Change { object: workload.id.clone(), action, fields, reason: "differs from what runs".to_owned() };
            (!nothing).then(|| with_interruption(view, workload, change()))
        }
    }
}

/// Adds what replacing a workload's replicas interrupts.
fn with_interruption(view: &View<'_>, workload: &Workload, mut change: Change) -> Change {
    let done = |replica: &Replica<'_>| replica.completed || replica.standing == Standing::Leaving;
    let replicas = view.replicas(&workload.id);
    if change.action != ChangeAction::Recreate || replicas.iter().all(done) && replicas.iter().any(|replica| replica.completed) {
        return change;
    }
    let published = || replicas.iter().flat_map(|replica| &replica.container.published);
    let interrupted = interruption::interrupts(view.desired, workload, published(), &view.observed.traffic.front_errors);
    let moved = interruption::moves(workload, published());
    if let Some(interrupted) = &interrupted {
        change.reason.push_str(&format!("; interrupts {interrupted} until the new replica is ready"));
    }
    if let Some(moved) = &moved {
        change.reason.push_str(&format!("; {moved}"));
    }
    if interrupted.is_some() || moved.is_some() {
        let recreates = change.fields.iter_mut().filter(|field| field.consequence == path::RECREATES);
        recreates.for_each(|field| field.consequence = path::INTERRUPTS.to_owned());
    }
    change
}

fn change_of(object: &ObjectId, field: DriftField) -> FieldChange {
    let consequence = path::consequence(object, &field.path, field.expected.is_none()).to_owned();
    FieldChange { path: field.path, old: field.actual, new: field.expected, consequence }
}

fn service_change(view: &View<'_>, service: &Service) -> Option<Change> {
    let wanted = service_fields(service, view.desired);
    let applied = &view.observed.record.applied;
    if claim::service_obstacle(&service.id, view.claims).is_some() {
        return Some(created(&service.id, differences(&service.id, &Fields::new(), &wanted)));
    }
    match applied.get(&service.id) {
        // The record was lost, not the service: what runs was reached by something.
        None if applied.is_empty() && view.all_replicas().next().is_some() => None,
        None => Some(created(&service.id, differences(&service.id, &Fields::new(), &wanted))),
        Some(applied) if applied.fields == wanted => None,
        Some(applied) => {
            let fields = differences(&service.id, &applied.fields, &wanted);
            let replaced = fields.iter().any(|field| field.consequence == path::RECREATES);
            let action = if replaced { ChangeAction::Recreate } else { ChangeAction::Update };
            Some(Change { object: service.id.clone(), action, fields, reason: "changed in Git".to_owned() })
        }
    }
}

/// Workloads, services and networks that Git no longer has. Data volumes stay, so they are not listed,
/// and neither is a network that somebody else is on.
fn removed(view: &View<'_>) -> Vec<Change> {
    if !view.desired.settings.prune {
        return Vec::new();
    }
    let desired = view.desired;
    let live = view.all_replicas().map(|(id, _)| id);
    let applied = view.observed.record.applied.keys().filter(|id| id.kind == Kind::Service);
    let gone = live.chain(applied).filter(|id| !desired.workloads.contains_key(id) && !desired.services.contains_key(id));
    // What another application has by now is handed over, not removed.
    let networks = network::gone(view).filter(|gone| gone.others.is_empty()).map(|gone| gone.id);
    let gone: BTreeSet<&ObjectId> = gone.filter(|id| view.claimed_by(id).is_none()).chain(networks).collect();
    let removal = |id: &ObjectId| Change {
        object: id.clone(),
        action: ChangeAction::Remove,
        fields: Vec::new(),
        reason: "no longer in Git".to_owned(),
    };
    gone.into_iter().map(removal).collect()
}

/// Returns the fields of a workload by the manifest's paths: what the record keeps of it.
pub fn workload_fields(workload: &Workload) -> Fields {
    let mut fields = Fields::from([(path::replicas(workload), FieldValue::Public(workload.replicas.to_string()))]);
    let spec = &workload.spec;
    for (path, value) in spec.replica.iter().chain(&spec.ports) {
        fields.insert(path::of(workload, "", path), value.clone());
    }
    for (name, container) in &spec.containers {
        for (path, value) in container.fields.iter().chain(&container.in_place) {
            fields.insert(path::of(workload, name.as_str(), path), value.clone());
        }
    }
    for container in &workload.template.containers {
        let Probes { startup, liveness, readiness } = &container.probes;
        for (path, probe) in [("startupProbe", startup), ("livenessProbe", liveness), ("readinessProbe", readiness)] {
            if let Some(probe) = probe {
                let text = serde_json::to_string(probe).expect("probes become JSON");
                fields.insert(path::of(workload, container.name.as_str(), path), FieldValue::Public(text));
            }
        }
    }
    fields
}

/// Returns the fields of a service, and of the front that it has alone, by the manifest's paths.
pub fn service_fields(service: &Service, desired: &Desired) -> Fields {
    let mut fields = Fields::new();
    let mut put = |path: String, text: String| fields.insert(path, FieldValue::Public(text));
    if service.headless {
        put("spec.clusterIP".to_owned(), "None".to_owned());
    } else if let Some(address) = service.address {
        put("spec.clusterIP".to_owned(), address.to_string());
    }
    if service.publish_not_ready {
        put("spec.publishNotReadyAddresses".to_owned(), "true".to_owned());
    }
    for (index, port) in service.ports.iter().enumerate() {
        let targets: BTreeSet<String> = service
            .backends
            .iter()
            .filter_map(|backend| Some(format!("{}:{}", backend.workload.name, backend.targets.get(index).copied().flatten()?)))
            .collect();
        let targets: Vec<String> = targets.into_iter().collect();
        put(path::of_port(&service.id, &format!("{}/{}", port.port, port.protocol.as_str())), targets.join(" "));
    }
    if let Some(Front { id, aliases, labels, .. }) = desired.fronts.get(&service.id) {
        for (network, names) in aliases {
            put(path::of_front(desired, id, &field::network(network)), "connected".to_owned());
            let others: Vec<&str> = names.iter().map(String::as_str).filter(|name| *name != id.name.as_str()).collect();
            if !others.is_empty() {
                put(path::of_front(desired, id, &field::aliases(network)), others.join(" "));
            }
        }
        for (name, value) in labels {
            put(path::of_front(desired, id, &field::label(name)), value.clone());
        }
    }
    fields
}

/// Returns the digest of what an application asks for: equal for two commits that ask for the same.
pub fn digest(desired: &Desired) -> String {
    let workloads: Vec<String> = desired.workloads.values().map(|workload| workload_digest(workload, desired)).collect();
    let services: Vec<(&ObjectId, Fields)> =
        desired.services.values().map(|service| (&service.id, service_fields(service, desired))).collect();
    sha256(serde_json::to_string(&(workloads, services)).expect("fields become JSON").as_bytes())
}

/// Returns the digest of all that a workload asks for: its fields, its probes, and how it is rolled,
/// because a rollout may fail for any of these.
pub fn workload_digest(workload: &Workload, desired: &Desired) -> String {
    let care = Care::new(workload, desired);
    let Workload { id, strategy, min_ready, delay, deadline, paused, .. } = workload;
    let text = serde_json::to_string(&(id, workload_fields(workload), care, min_ready, deadline, paused)).expect("fields become JSON");
    // Without a delay the text is what it was before there were delays: a failed rollout stays known.
    let delay = if delay.is_zero() { String::new() } else { format!(" {delay:?}") };
    sha256(format!("{text} {strategy:?}{delay}").as_bytes())
}

/// Returns the fields that differ, with what each means for what runs.
fn differences(object: &ObjectId, old: &Fields, new: &Fields) -> Vec<FieldChange> {
    let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changed = paths.into_iter().filter(|path| old.get(*path) != new.get(*path));
    changed
        .map(|path| {
            let (was, is) = (old.get(path), new.get(path));
            FieldChange {
                path: path.clone(),
                old: was.map(|value| shown(path, value)),
                new: is.map(|value| shown_new(path, was, value)),
                consequence: path::consequence(object, path, was.is_some() && is.is_none()).to_owned(),
            }
        })
        .collect()
}

fn shown(path: &str, value: &FieldValue) -> String {
    match value {
        FieldValue::Public(text) | FieldValue::Keyed(text) => path::shown(path, text),
        FieldValue::Secret(_) => "<secret>".to_owned(),
        FieldValue::Computed(text) if text.starts_with("secret ") => "<secret>".to_owned(),
        FieldValue::Computed(text) => text.clone(),
    }
}

fn shown_new(path: &str, old: Option<&FieldValue>, new: &FieldValue) -> String {
    match (old, shown(path, new).as_str()) {
        (Some(_), "<secret>") => "<secret, changed>".to_owned(),
        (_, text) => text.to_owned(),
    }
}
