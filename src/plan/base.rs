//! What replicas stand on: networks, fronts, data volumes, delivered files and images.
//!
//! All of it is there before the first replica that needs it, and none of it interrupts anything, so
//! these steps wait for nothing but each other.

use std::collections::BTreeSet;

use crate::desired::{ContentId, MountSource, PullPolicy, Workload};
use crate::host::Step;
use crate::name::Kind;
use crate::observed::State;

use super::Change;
use super::draft::Draft;
use super::view::View;

/// Adds the steps for what is missing.
pub(super) fn plan(view: &View<'_>, changes: &[Change], draft: &mut Draft<'_>) {
    if !view.applies() {
        return;
    }
    networks_and_fronts(view, draft);
    for volume in view.desired.volumes.values() {
        if !view.observed.live.volumes.iter().any(|live| live.name == volume.host_name) {
            draft.step(Step::CreateVolume { volume: volume.id.clone() }, "it is missing");
        }
    }
    for workload in view.desired.workloads.values().filter(|workload| creates(view, workload)) {
        for content in contents(workload).into_iter().filter(|content| !has_content(view, content)) {
            draft.step(Step::Deliver { content: content.clone() }, format!("{} needs it", workload.id));
        }
        for (image, policy) in view.missing_images(workload, view.changes(&workload.id, changes)) {
            match policy {
                PullPolicy::Never => {
                    draft.hold(workload.id.to_string(), format!("image `{image}` is not on the host, and its pull policy is Never"), None)
                }
                _ => drop(draft.step(Step::Pull { image: image.to_owned() }, format!("{} needs it", workload.id))),
            }
        }
    }
    remove_unused_content(view, changes, draft);
}

fn networks_and_fronts(view: &View<'_>, draft: &mut Draft<'_>) {
    let live = &view.observed.live;
    let has_network = |name: &String| live.networks.iter().any(|network| network.name == *name);
    for network in view.desired.networks.values().filter(|network| !has_network(&network.host_name)) {
        draft.step(Step::CreateNetwork { network: network.id.clone() }, "it is missing");
    }
    for front in view.desired.fronts.values() {
        let key = front.id.to_string();
        let container = live.containers.iter().find(|container| container.labels.as_ref().is_some_and(|labels| labels.object == front.id));
        match container {
            None if !front.networks.iter().all(has_network) => draft.hold(key, "waits for its network", None),
            None => drop(draft.step(Step::CreateFront { front: front.id.clone() }, "it is missing")),
            Some(container) if matches!(container.state, State::Created | State::Exited(_)) => {
                draft.step(Step::Start { object: front.id.clone(), container: container.id.clone() }, "it does not run");
            }
            Some(container) if container.state == State::Paused => {
                draft.step(Step::Unpause { object: front.id.clone(), container: container.id.clone() }, "it is frozen");
            }
            Some(container) => {
                if let Some(network) = front.networks.iter().find(|name| container.address(name).is_none()) {
                    let step = Step::Connect { object: front.id.clone(), container: container.id.clone(), network: network.clone() };
                    draft.step(step, "it was taken off its network");
                }
            }
        }
    }
}

/// Returns what a new replica of a workload still waits for, or `None` if it can be created.
pub(super) fn missing(view: &View<'_>, workload: &Workload, changing: bool) -> Option<String> {
    let live = &view.observed.live;
    for network in &workload.template.networks {
        if !live.networks.iter().any(|known| known.name == *network) {
            return Some(format!("waits for network `{network}`"));
        }
    }
    if let Some((image, policy)) = view.missing_images(workload, changing).first() {
        return Some(match (view.observed.failures.get(&Step::Pull { image: (*image).to_owned() }.key()), policy) {
            (_, PullPolicy::Never) => format!("image `{image}` is not on the host, and its pull policy is Never"),
            (Some(failed), _) => format!("waits for image `{image}`: {}", failed.failure.message),
            (None, _) => format!("waits for image `{image}`"),
        });
    }
    if contents(workload).into_iter().any(|content| !has_content(view, content)) {
        return Some("waits for its files".to_owned());
    }
    for mount in workload.template.containers.iter().flat_map(|container| &container.mounts) {
        if let MountSource::Volume(id) = &mount.source
            && let Some(volume) = view.desired.volumes.get(id)
            && !live.volumes.iter().any(|known| known.name == volume.host_name)
        {
            return Some(format!("waits for volume `{}`", volume.host_name));
        }
    }
    for front in view.desired.fronts.values() {
        let running = |container: &&crate::observed::Container| container.labels.as_ref().is_some_and(|labels| labels.object == front.id);
        if !live.containers.iter().find(running).is_some_and(|container| container.is_running()) {
            return Some(format!("waits for front `{}`", front.host_name));
        }
    }
    None
}

/// Tells whether a workload may need new replicas.
fn creates(view: &View<'_>, workload: &Workload) -> bool {
    let current = view.standing(&workload.id, super::replica::Standing::Current).count();
    current + view.pending(&workload.id) < workload.replicas as usize
}

fn contents(workload: &Workload) -> BTreeSet<&ContentId> {
    let mounts = workload.template.containers.iter().flat_map(|container| &container.mounts);
    mounts.filter_map(|mount| if let MountSource::Content(id) = &mount.source { Some(id) } else { None }).collect()
}

fn has_content(view: &View<'_>, content: &ContentId) -> bool {
    content_volumes(view).any(|(id, _)| id == content.0)
}

/// Returns the application's content volumes: id and name on the host.
fn content_volumes<'a>(view: &'a View<'_>) -> impl Iterator<Item = (&'a str, &'a str)> {
    view.observed.live.volumes.iter().filter_map(|volume| {
        let labels = volume.labels.as_ref()?;
        let ours = labels.owner == view.desired.installation.owner && labels.application.as_ref() == Some(&view.desired.application);
        (ours && labels.object.kind == Kind::Content).then_some((labels.object.name.as_str(), volume.name.as_str()))
    })
}

/// Delivered files go when neither a container nor the desired state uses them, and not in the middle
/// of a change: a rollout that fails goes back to the old ones.
fn remove_unused_content(view: &View<'_>, changes: &[Change], draft: &mut Draft<'_>) {
    if !changes.is_empty() || view.all_replicas().any(|(_, replicas)| replicas.iter().any(|replica| replica.busy)) {
        return;
    }
    for (id, volume) in content_volumes(view) {
        let content = ContentId(id.to_owned());
        let mounted = view.observed.live.containers.iter().any(|container| container.volumes.contains(volume));
        if !mounted && !view.desired.contents.contains_key(&content) {
            draft.step(Step::RemoveContent { content, volume: volume.to_owned() }, "nothing uses it");
        }
    }
}
