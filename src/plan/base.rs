//! What replicas stand on: networks, fronts, data volumes, delivered files and images.
//!
//! All of it is there before the first replica that needs it, and none of it interrupts anything, so
//! these steps wait for nothing but each other.

use std::collections::BTreeSet;

use crate::desired::{Condition, ContentId, Declares, Dependency, Desired, Front, MountSource, PullPolicy, Workload};
use crate::hash::Match;
use crate::host::Step;
use crate::name::{Kind, ObjectId};
use crate::observed::{Container, State, Volume};

use super::claim::{self, Thing};
use super::draft::Draft;
use super::foreign;
use super::network::{self, Astray};
use super::replica::Standing;
use super::status;
use super::view::{View, unread};

/// Adds the steps for what is missing.
pub(super) fn plan(view: &View<'_>, draft: &mut Draft<'_>) {
    if view.application_suspended().is_some() {
        return;
    }
    for service in view.desired.services.keys() {
        if let Some(obstacle) = claim::service_obstacle(service, view.claims) {
            draft.hold(service.to_string(), obstacle, None);
        }
    }
    let has = |thing: Thing| view.claims.holder(&thing).is_none();
    let fronts = view.desired.fronts.values().filter(|front| has(Thing::Container(front.host_name.clone())));
    for front in fronts.filter(|front| claim::service_obstacle(&front.id, view.claims).is_none()) {
        plan_front(view, front, draft);
    }
    if !view.applies() {
        return;
    }
    foreign::plan(view, draft);
    let networks = view.desired.networks.values().filter(|network| !view.has_network(&network.host_name) && !view.is_taken(&network.id));
    for network in networks.filter(|network| has(Thing::Network(network.host_name.clone()))) {
        draft.step(Step::CreateNetwork { network: network.id.clone() }, "it is missing");
    }
    let volumes = view.desired.volumes.values().filter(|volume| !view.has_volume(&volume.host_name) && !view.is_taken(&volume.id));
    for volume in volumes.filter(|volume| has(Thing::Volume(volume.host_name.clone()))) {
        draft.step(Step::CreateVolume { volume: volume.id.clone() }, "it is missing");
    }
    let free = |workload: &&Workload| claim::obstacle(view.desired, workload, view.claims).is_none();
    for workload in view.desired.workloads.values().filter(|workload| creates(view, workload)).filter(free) {
        for content in contents(workload).into_iter().filter(|content| !has_content(view, content)) {
            draft.step(Step::Deliver { content: content.clone() }, format!("{} needs it", workload.id));
        }
        if workload.template.options.declares == Declares::Unknown {
            let front = ObjectId::new(workload.id.namespace.clone(), Kind::Front, workload.id.name.clone());
            draft.hold(front.to_string(), "whether it is needed is known once the image is there: it may declare ports", None);
        }
        for (image, policy) in view.missing_images(workload, view.is_changing(&workload.id)) {
            match policy {
                PullPolicy::Never => draft.hold(workload.id.to_string(), never(image), None),
                _ => drop(draft.step(Step::Pull { image: image.to_owned() }, format!("{} needs it", workload.id))),
            }
        }
    }
    remove_unwanted_fronts(view, draft);
    remove_unused_content(view, draft);
    clear_debris(view, draft);
}

/// Adds the step of a front. One that ended is started in every mode: it holds addresses that are in use.
fn plan_front(view: &View<'_>, front: &Front, draft: &mut Draft<'_>) {
    let key = front.id.to_string();
    let object = front.id.clone();
    let (step, reason) = match view.front(&front.id) {
        None if !view.applies() => return,
        None if !front.networks.iter().all(|network| view.has_network(network)) => return draft.hold(key, "waits for its network", None),
        None => (Step::CreateFront { front: object }, "it is missing".to_owned()),
        Some(container) => {
            if let Some(unread) = unread(container) {
                return draft.hold(key, unread, None);
            }
            let id = container.id.clone();
            let astray = network::astray(front, container);
            // Back onto a network at once: it holds addresses that are in use. The rest is healing.
            let astray = astray.into_iter().find(|astray| matches!(astray, Astray::Lost(_)) || view.heals());
            if view.applies() && is_of_another_kind(view, front, container) {
                if front.networks.iter().all(|network| view.has_network(network)) {
                    draft.step(Step::CreateFront { front: object }, "its names or labels changed; connections through the old one end");
                } else {
                    draft.hold(key, "waits for its network", None);
                }
                return;
            }
            match (container.state, astray) {
                (State::Created | State::Exited(_), _) => (Step::Start { object, container: id }, "it does not run".to_owned()),
                (State::Paused, _) => (Step::Unpause { object, container: id }, "it is frozen".to_owned()),
                (_, Some(astray)) => astray.step(object, id),
                (_, None) => {
                    if let Some(error) = view.observed.traffic.front_errors.get(&front.host_name) {
                        draft.hold(key, format!("`serve` cannot use it: {error}"), None);
                    }
                    return;
                }
            }
        }
    };
    match view.heal_due(&key, 1) {
        Some(due) => draft.hold(key, "changed by hand again; backs off", Some(due)),
        None => drop(draft.step(step, reason)),
    }
}

/// Tells whether a front was made with other names or labels. The shared one has none.
pub(super) fn is_of_another_kind(view: &View<'_>, front: &Front, container: &Container) -> bool {
    let made = container.labels.as_ref().and_then(|labels| labels.hash.as_ref());
    !front.shared && made.is_some_and(|made| front.hash(&view.desired.installation.key).compare(made) == Match::Different)
}

/// Adds the steps for fronts that no service has any more. They go after the replicas behind them, or
/// when those have the names themselves.
fn remove_unwanted_fronts(view: &View<'_>, draft: &mut Draft<'_>) {
    let desired = view.desired;
    if !desired.settings.prune {
        return;
    }
    for (id, container) in view.fronts() {
        let ours = container
            .labels
            .as_ref()
            .is_some_and(|labels| labels.owner == desired.installation.owner && labels.application.as_ref() == Some(&desired.application));
        let workload = ObjectId::new(id.namespace.clone(), Kind::ComposeService, id.name.clone());
        let settled = match desired.workloads.get(&workload) {
            Some(workload) => status::is_settled(view, workload),
            None => view.replicas(&workload).is_empty(),
        };
        if ours && !desired.fronts.contains_key(id) && settled && container.unread.is_none() {
            draft.step(Step::Remove { object: id.clone(), container: container.id.clone() }, "no service has it any more");
        }
    }
}

fn never(image: &str) -> String {
    format!("image `{image}` is not on the host, and its pull policy is Never")
}

/// Returns what a new replica of a workload still waits for, or `None` if it can be created.
pub(super) fn missing(view: &View<'_>, workload: &Workload) -> Option<String> {
    if let Some(network) = workload.template.networks.iter().find(|network| !view.has_network(network)) {
        return Some(format!("waits for network `{network}`"));
    }
    if let Some((image, policy)) = view.missing_images(workload, view.is_changing(&workload.id)).first() {
        return Some(match (view.observed.failures.get(&Step::Pull { image: (*image).to_owned() }.key()), policy) {
            (_, PullPolicy::Never) => never(image),
            (Some(failed), _) => format!("waits for its image: {}", failed.failure.message),
            (None, _) => format!("waits for image `{image}`"),
        });
    }
    if workload.template.options.declares == Declares::Unknown {
        return Some("waits until its image was looked at".to_owned());
    }
    if contents(workload).into_iter().any(|content| !has_content(view, content)) {
        return Some("waits for its files".to_owned());
    }
    for mount in workload.template.containers.iter().flat_map(|container| &container.mounts) {
        if let MountSource::Volume(id) = &mount.source
            && let Some(volume) = view.desired.volumes.get(id)
            && !view.has_volume(&volume.host_name)
        {
            return Some(format!("waits for volume `{}`", volume.host_name));
        }
        if let MountSource::External(name) = &mount.source
            && !view.has_volume(name)
        {
            return Some(format!("waits for volume `{name}`, which is external: somebody else has to make it"));
        }
    }
    if let Some(reason) = workload.dependencies.iter().find_map(|dependency| unmet(view, dependency)) {
        return Some(reason);
    }
    let down = |front: &&Front| !view.front(&front.id).is_some_and(|container| container.is_running());
    view.desired.fronts.values().find(down).map(|front| format!("waits for front `{}`", front.host_name))
}

/// Returns what a dependency still waits for.
fn unmet(view: &View<'_>, dependency: &Dependency) -> Option<String> {
    let name = &dependency.workload.name;
    let replicas = || view.standing(&dependency.workload, Standing::Current).filter(|replica| !replica.busy);
    let (met, words) = match dependency.condition {
        Condition::Started => (replicas().any(|replica| replica.container.is_running() || replica.completed), "to have started"),
        Condition::Healthy => (replicas().any(|replica| replica.ready_since.is_some() || replica.serving), "to be healthy"),
        Condition::Completed => (replicas().next().is_some() && replicas().all(|replica| replica.completed), "to have completed"),
    };
    (!met).then(|| format!("waits for `{name}` {words}"))
}

/// Tells whether a workload may need new replicas.
fn creates(view: &View<'_>, workload: &Workload) -> bool {
    let current = view.standing(&workload.id, Standing::Current).count();
    view.hands_off(&workload.id).is_none() && current + view.pending(&workload.id) < workload.replicas as usize
}

fn contents(workload: &Workload) -> BTreeSet<&ContentId> {
    let mounts = workload.template.containers.iter().flat_map(|container| &container.mounts);
    mounts.filter_map(|mount| if let MountSource::Content(id) = &mount.source { Some(id) } else { None }).collect()
}

fn has_content(view: &View<'_>, content: &ContentId) -> bool {
    !view.is_busy(&Step::Deliver { content: content.clone() }.key())
        && content_volumes(view).any(|(id, volume)| id == content.0 && volume.held)
}

/// Returns the application's content volumes, and their ids.
fn content_volumes<'a>(view: &'a View<'_>) -> impl Iterator<Item = (&'a str, &'a Volume)> {
    view.observed.live.volumes.iter().filter_map(|volume| {
        let labels = volume.labels.as_ref()?;
        let ours = labels.owner == view.desired.installation.owner && labels.application.as_ref() == Some(&view.desired.application);
        (ours && labels.object.kind == Kind::Content).then_some((labels.object.name.as_str(), volume))
    })
}

/// Delivered files go when neither a container nor the desired state uses them, and not in the middle
/// of a change: a rollout that fails goes back to the old ones.
fn remove_unused_content(view: &View<'_>, draft: &mut Draft<'_>) {
    if view.is_changing_at_all() || view.all_replicas().any(|(_, replicas)| replicas.iter().any(|replica| replica.busy)) {
        return;
    }
    for (id, volume) in content_volumes(view) {
        let content = ContentId(id.to_owned());
        let mounted = view.observed.live.containers.iter().any(|container| container.volumes.contains(&volume.name));
        if !mounted && !view.desired.contents.contains_key(&content) {
            draft.step(Step::RemoveContent { content, volume: volume.name.clone() }, "nothing uses it");
        }
    }
}

/// What was left behind goes when nothing is being done: it may still be in the making.
fn clear_debris(view: &View<'_>, draft: &mut Draft<'_>) {
    if !view.observed.in_flight.is_empty() {
        return;
    }
    let Desired { installation, application, .. } = view.desired;
    let mine = view.observed.live.debris.iter().filter(|debris| debris.owner == installation.owner && debris.application == *application);
    let wanted = |content: &ContentId| view.desired.contents.contains_key(content);
    let mine = mine.filter(|debris| !debris.content.as_ref().is_some_and(wanted));
    for debris in mine {
        draft.step(Step::Clear { debris: debris.name.clone() }, "a step that was cut short left it behind");
    }
}
