//! What differs on the host although Git did not move.
//!
//! Of an object that Git changes only what no longer runs is drift: until its change is carried out,
//! everything else about it is part of the change.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::desired::{Workload, field};
use crate::hash::{FieldValue, Fields, Key, Match};
use crate::name::{Kind, ObjectId};
use crate::observed::{Container, Field, State};
use crate::time::Time;

use super::replica::{Replica, Standing};
use super::view::{HandsOff, View};
use super::{Drift, DriftField, DriftKind, Held, base, network, overridden, path, prune};

/// Returns what differs on the host although Git did not move.
pub(super) fn drift(view: &View<'_>) -> Vec<Drift> {
    let mut drift = ground(view);
    drift.extend(overridden::drift(view));
    for workload in view.desired.workloads.values() {
        if matches!(view.hands_off(&workload.id), Some(HandsOff::Unread(_))) {
            continue;
        }
        if view.is_changing(&workload.id) {
            drift.extend(stopped(view, workload));
            continue;
        }
        let stay = view.replicas(&workload.id).iter().filter(|replica| replica.standing == Standing::Current || replica.drifted);
        drift.extend(stay.filter(|replica| !replica.busy).filter_map(|replica| replica_drift(view, workload, replica)));
        drift.extend(number(view, workload));
    }
    drift
}

/// Old replicas of a workload that changes and that do not run: a change may be held for days.
fn stopped<'a>(view: &'a View<'_>, workload: &'a Workload) -> impl Iterator<Item = Drift> {
    let old = view.standing(&workload.id, Standing::Old).filter(|replica| !replica.busy && !replica.completed);
    old.filter(|replica| matches!(replica.container.state, State::Exited(_) | State::Paused)).filter_map(|replica| {
        let since = replica.container.stopped_by_hand.or(replica.container.finished);
        Some(entry(view, replica.id, state_of(replica.container)?, Vec::new(), since))
    })
}

/// Networks, volumes and fronts that were made once.
fn ground(view: &View<'_>) -> Vec<Drift> {
    let desired = view.desired;
    let networks = desired.networks.values().filter(|wanted| !view.has_network(&wanted.host_name)).map(|network| &network.id);
    let volumes = desired.volumes.values().filter(|wanted| !view.has_volume(&wanted.host_name)).map(|volume| &volume.id);
    let fronts = desired.fronts.keys().filter(|id| view.front(id).is_none());
    let gone = networks.chain(volumes).chain(fronts).filter(|id| view.observed.record.applied.contains_key(id) && !view.is_taken(id));
    let mut drift: Vec<Drift> = gone.map(|id| entry(view, id, DriftKind::Missing, Vec::new(), None)).collect();
    for (id, fields) in made_otherwise(view) {
        drift.push(Drift { healed: false, ..entry(view, &id, DriftKind::Changed, fields, None) });
    }
    for front in desired.fronts.values().filter(|front| !view.is_busy(&front.id.to_string())) {
        let Some(container) = view.front(&front.id).filter(|container| container.unread.is_none()) else { continue };
        let mut lost = network::astray(front, container);
        if base::is_of_another_kind(view, front, container) {
            lost.clear();
        }
        let lost: Vec<DriftField> = lost.iter().flat_map(|astray| astray.fields(desired, &front.id)).collect();
        match state_of(container) {
            Some(kind) => drift.push(entry(view, &front.id, kind, Vec::new(), container.finished)),
            None if !lost.is_empty() => drift.push(entry(view, &front.id, DriftKind::Changed, lost, None)),
            None if view.is_changing(&front.id) => {}
            None => {
                let surplus = surplus_networks(container, |path| !front.networks.iter().any(|network| field::network(network) == *path));
                let fields = surplus.map(|(path, live)| {
                    let path = path::of_front(desired, &front.id, path);
                    DriftField { path, expected: None, actual: Some(live.value.clone()) }
                });
                let fields: Vec<DriftField> = fields.collect();
                if !fields.is_empty() {
                    // A new front would end the connections through this one; somebody may have meant it.
                    drift.push(Drift { healed: false, ..entry(view, &front.id, DriftKind::Changed, fields, None) });
                }
            }
        }
    }
    drift
}

/// Returns the networks and volumes of a Compose project that were made in another way than is wanted, by
/// whomever. The engine changes neither, and both are in use.
fn made_otherwise(view: &View<'_>) -> Vec<(ObjectId, Vec<DriftField>)> {
    let desired = view.desired;
    let networks = desired
        .networks
        .values()
        .filter(|network| !network.shared)
        .map(|network| (&network.id, &network.host_name, network.options.fields()));
    let volumes = desired.volumes.values().map(|volume| (&volume.id, &volume.host_name, volume.options.fields()));
    let differing = |(id, name, wanted): (&ObjectId, &String, BTreeMap<String, String>)| {
        let made = view.observed.live.made.get(&(id.clone(), name.clone()))?;
        // Without addresses of its author's a network has some, and options that only we set.
        let addresses = wanted.keys().any(|path| path.starts_with("ipam."));
        let counts = |path: &&String| (addresses || !path.starts_with("ipam.")) && !path.starts_with("driver_opts.com.docker.network.");
        let paths: BTreeSet<&String> = wanted.keys().chain(made.keys().filter(counts)).collect();
        let fields = paths.into_iter().filter(|path| wanted.get(*path) != made.get(*path));
        let fields = fields.map(|path| DriftField {
            path: path::of_project(id, path),
            expected: wanted.get(path).cloned(),
            actual: made.get(path).cloned(),
        });
        let fields: Vec<DriftField> = fields.collect();
        (!fields.is_empty()).then(|| (id.clone(), fields))
    };
    networks.chain(volumes).filter_map(differing).collect()
}

fn entry(view: &View<'_>, id: &ObjectId, what: DriftKind, fields: Vec<DriftField>, since: Option<Time>) -> Drift {
    let healed = view.heals() && view.hands_off(&id.workload()).is_none();
    Drift { object: id.to_string(), kind: id.kind.to_string(), what, fields, since, healed }
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
    if replica.completed {
        return None;
    }
    if let Some(what) = state_of(container) {
        let since = container.stopped_by_hand.or(container.finished);
        let drift = entry(view, replica.id, what, Vec::new(), since);
        let waits = container.stopped_by_hand.is_some_and(|since| view.now < since + view.desired.settings.heal_stopped);
        return Some(Drift { healed: drift.healed && !waits, ..drift });
    }
    let mut fields = unlike_in_place(container, workload);
    fields.extend(container.renamed().map(|name| DriftField {
        path: "Name".to_owned(),
        expected: Some(name.to_owned()),
        actual: Some(container.name.clone()),
    }));
    fields.extend(surplus(container, workload));
    let name = |network: &str| path::of(workload, "", &field::network(network));
    fields.extend(lost_networks(container, &workload.template.networks, name));
    let moved = moved_tag(view, container, workload);
    // Without pull policy Always a moved tag is reported and nothing more.
    let healed = !fields.is_empty() || replica.drifted;
    fields.extend(moved);
    let drift = entry(view, replica.id, DriftKind::Changed, fields, None);
    (!drift.fields.is_empty()).then_some(Drift { healed: drift.healed && healed, ..drift })
}

/// Tells whether a container is on a network, also while it does not run.
pub(super) fn is_connected(container: &Container, network: &str) -> bool {
    container.fields.contains_key(&field::network(network))
}

fn lost_networks(container: &Container, networks: &[String], path: impl Fn(&str) -> String) -> Vec<DriftField> {
    let lost = networks.iter().filter(|network| !is_connected(container, network));
    lost.map(|network| DriftField { path: path(network), expected: Some("connected".to_owned()), actual: None }).collect()
}

/// A tag that now names another image than the one that runs.
fn moved_tag(view: &View<'_>, container: &Container, workload: &Workload) -> Option<DriftField> {
    let wanted = workload.template.containers.first()?;
    let live = &view.observed.live;
    let id = live.images.get(&wanted.image)?;
    if *id == container.image_id {
        return None;
    }
    // A digest of a registry and an id look the same, so it is either two of the one or two of the other.
    let digests = live.digest(&wanted.image, id).zip(live.digest(&wanted.image, &container.image_id));
    let (new, old) = digests.unwrap_or((id, &container.image_id));
    let short = |digest: &str| digest.chars().take("sha256:".len() + 12).collect::<String>();
    Some(DriftField {
        path: path::of(workload, wanted.name.as_str(), field::IMAGE),
        expected: Some(format!("{} ({})", wanted.image, short(new))),
        actual: Some(short(old)),
    })
}

/// Too few or too many replicas.
fn number(view: &View<'_>, workload: &Workload) -> Option<Drift> {
    let current = view.standing(&workload.id, Standing::Current).count();
    let drifted = view.standing(&workload.id, Standing::Old).filter(|replica| replica.drifted).count();
    let wanted = workload.replicas as usize;
    let (what, count) = if current > wanted {
        (DriftKind::Extra, current)
    } else if current + drifted < wanted {
        (DriftKind::Missing, current + drifted)
    } else {
        return None;
    };
    let field = DriftField { path: path::replicas(workload), expected: Some(wanted.to_string()), actual: Some(count.to_string()) };
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
    let kept = |(id, _): (&ObjectId, _)| Held {
        object: id.to_string(),
        reason: "no longer in Git; `prune: false` keeps it".to_owned(),
        until: None,
    };
    let otherwise = |(id, _): (ObjectId, _)| {
        let (kind, user) = if id.kind == Kind::ComposeNetwork { ("network", "is in use") } else { ("volume", "holds data") };
        let reason = format!(
            "it was made in another way, and the engine changes no {kind} that {user}: give it another `name`, or remove it by hand"
        );
        Held { object: id.to_string(), reason, until: None }
    };
    let otherwise = made_otherwise(view).into_iter().map(otherwise);
    let gone = prune::gone(view).filter(|_| !view.desired.settings.prune);
    let used = network::gone(view).filter(|gone| view.desired.settings.prune && !gone.others.is_empty());
    let used = used.map(|gone| {
        let names: Vec<&str> = gone.others.iter().map(|container| container.name.as_str()).collect();
        Held { object: gone.id.to_string(), reason: format!("no longer in Git; `{}` is still on it", names.join("`, `")), until: None }
    });
    view.desired.workloads.values().filter(lost).map(held).chain(otherwise).chain(gone.map(kept)).chain(used).collect()
}

/// Returns the fields of a container that are changed in place and are not what its workload wants.
pub(super) fn unlike_in_place(container: &Container, workload: &Workload) -> Vec<DriftField> {
    match spec_of(container, workload) {
        Some((name, spec)) => {
            let mut fields = unlike(container, workload, &spec.in_place, name, None);
            let surplus = [field::PIDS, field::RETRIES].into_iter().filter(|path| !spec.in_place.contains_key(*path));
            fields.extend(surplus.filter_map(|path| surplus_field(container, workload, name, path)));
            fields
        }
        None => Vec::new(),
    }
}

/// Returns the fields of a container that need a new one and are not what its workload wants. It is
/// asked only where a hash says nothing. Secret values are taken as equal: the key may be another.
pub(super) fn unlike_fields(container: &Container, workload: &Workload) -> Vec<DriftField> {
    match spec_of(container, workload) {
        Some((name, spec)) => {
            let mut fields = unlike(container, workload, &spec.fields, name, None);
            fields.extend(unlike(container, workload, &workload.spec.replica, "", None));
            fields
        }
        None => Vec::new(),
    }
}

/// Returns all fields of a container that are not what its workload wants, also those that nobody asks
/// for any more: nothing in its workload's words, its image or the engine accounts for them.
pub(super) fn unlike_at_all(container: &Container, workload: &Workload) -> Vec<DriftField> {
    let Some((name, spec)) = spec_of(container, workload) else { return Vec::new() };
    let asked = |path: &String| {
        [&spec.fields, &spec.in_place, &workload.spec.replica, &workload.spec.ports].into_iter().any(|fields| fields.contains_key(path))
    };
    let surplus = container.fields.iter().filter(|(path, live)| !live.inherited && !asked(path)).map(|(path, _)| path);
    // The names that the engine adds are no difference.
    let surplus = surplus.filter(|path| !path.starts_with("aliases[")).filter_map(|path| surplus_field(container, workload, name, path));
    let mut fields = unlike_fields(container, workload);
    fields.extend(unlike(container, workload, &spec.in_place, name, None));
    fields.extend(surplus);
    fields
}

/// Returns what somebody put on a container and only a new one can undo: a limit, which Docker does not
/// take off, a network, a name on a network.
pub(super) fn surplus(container: &Container, workload: &Workload) -> Vec<DriftField> {
    let Some((name, spec)) = spec_of(container, workload) else { return Vec::new() };
    let limits = [field::MEMORY_LIMIT, field::MEMORY_REQUEST, field::CPU_LIMIT, field::CPU_WEIGHT, field::CORES];
    let limits = limits.into_iter().filter(|path| !spec.in_place.contains_key(*path));
    let mut fields: Vec<DriftField> = limits.filter_map(|path| surplus_field(container, workload, name, path)).collect();
    if workload.template.options.shares_network_of().is_some() {
        return fields;
    }
    let surplus = surplus_networks(container, |path| !workload.spec.replica.contains_key(path));
    fields.extend(surplus.filter_map(|(path, _)| surplus_field(container, workload, name, path)));
    if workload.id.kind == Kind::ComposeService {
        fields.extend(workload.template.networks.iter().filter_map(|network| names_field(container, workload, network)));
    }
    fields
}

/// Returns the networks that a container is on and that `is_surplus` says nobody asks for. It is asked of every
/// replica in every round, so nothing is put together that is not needed.
fn surplus_networks(container: &Container, is_surplus: impl Fn(&String) -> bool) -> impl Iterator<Item = (&String, &Field)> {
    let from_networks = container.fields.range::<str, _>((Bound::Included("networks["), Bound::Unbounded));
    from_networks.take_while(|(path, _)| path.starts_with("networks[")).filter(move |(path, _)| is_surplus(path))
}

/// Returns how the names of a container on a network differ, if it is on that network.
fn names_field(container: &Container, workload: &Workload, network: &str) -> Option<DriftField> {
    let path = field::aliases(network);
    let (wanted, live) = (workload.spec.replica.get(&path), container.fields.get(&path).map(|live| live.value.as_str()));
    // Most have no names of their own.
    if (wanted.is_none() && live.is_none()) || !is_connected(container, network) || same_names(wanted, live, container) {
        return None;
    }
    let expected = if let Some(FieldValue::Public(text)) = wanted { Some(text.clone()) } else { None };
    Some(DriftField { path: path::of(workload, "", &path), expected, actual: live.map(str::to_owned) })
}

/// Compares names on a network; the engine adds the host name to them.
fn same_names(wanted: Option<&FieldValue>, live: Option<&str>, container: &Container) -> bool {
    let names = |text: &str| serde_json::from_str::<BTreeSet<String>>(text).unwrap_or_default();
    let wanted = if let Some(FieldValue::Public(text)) = wanted { names(text) } else { BTreeSet::new() };
    let mut live = live.map(names).unwrap_or_default();
    if let Some(hostname) = container.fields.get(field::HOSTNAME).filter(|hostname| !wanted.contains(&hostname.value)) {
        live.remove(&hostname.value);
    }
    wanted == live
}

fn surplus_field(container: &Container, workload: &Workload, name: &str, path: &str) -> Option<DriftField> {
    let live = container.fields.get(path).filter(|live| !live.inherited)?;
    let hidden = path.starts_with("env[");
    let path = path::of(workload, name, path);
    Some(DriftField { expected: None, actual: Some(if hidden { "<not shown>".to_owned() } else { path::shown(&path, &live.value) }), path })
}

fn spec_of<'a>(container: &Container, workload: &'a Workload) -> Option<(&'a str, &'a crate::desired::ContainerSpec)> {
    let name = container.labels.as_ref().map_or("", |labels| labels.container.as_str());
    workload.spec.containers.iter().find(|(known, _)| known.as_str() == name).map(|(name, spec)| (name.as_str(), spec))
}

fn unlike(container: &Container, workload: &Workload, expected: &Fields, name: &str, key: Option<&Key>) -> Vec<DriftField> {
    let differs = |path: &String, value: &FieldValue| match (value, container.fields.get(path)) {
        (_, live) if path.starts_with("aliases[") => !same_names(Some(value), live.map(|live| live.value.as_str()), container),
        // Which container that is comes out elsewhere.
        (FieldValue::Public(text), Some(live)) if path == field::NETWORK_MODE && text.starts_with("service:") => {
            !live.value.starts_with("container:")
        }
        (FieldValue::Computed(_), Some(_)) => false,
        (FieldValue::Public(text) | FieldValue::Keyed(text), Some(live)) => *text != live.value,
        (FieldValue::Secret(digest), Some(live)) => key.is_some_and(|key| key.digest(live.value.as_bytes()) != *digest),
        (_, None) => true,
    };
    let unlike = expected.iter().filter(|(path, value)| differs(path, value));
    unlike
        .map(|(path, value)| {
            let public = matches!(value, FieldValue::Public(_) | FieldValue::Keyed(_));
            // What stands in a variable may be secret: only what Git says is shown.
            let hidden = !public || path.starts_with("env[");
            let live = container.fields.get(path);
            let path = path::of(workload, name, path);
            let expected = match value {
                FieldValue::Public(text) | FieldValue::Keyed(text) => path::shown(&path, text),
                _ => "<secret>".to_owned(),
            };
            let actual = live.map(|live| if hidden { "<not shown>".to_owned() } else { path::shown(&path, &live.value) });
            DriftField { path, expected: Some(expected), actual }
        })
        .collect()
}
