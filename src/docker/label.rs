//! Our labels: what they are called, what is written, and how it is read back.
//!
//! Labels cannot change on a live container, so what may change stays out of them.

use std::collections::HashMap;

use crate::desired::{Care, Container, Desired, Front, Options, Workload};
use crate::hash::ContentHash;
use crate::name::{Kind, Name, ObjectId};
use crate::observed::Labels;

pub(super) const OWNER: &str = "dev.driftless.owner";
pub(super) const APPLICATION: &str = "dev.driftless.application";
const NAMESPACE: &str = "dev.driftless.namespace";
const WORKLOAD: &str = "dev.driftless.workload";
const REPLICA: &str = "dev.driftless.replica";
const CONTAINER: &str = "dev.driftless.container";
const HASH: &str = "dev.driftless.hash";
const CREATED_REVISION: &str = "dev.driftless.created-revision";
const FRONT: &str = "dev.driftless.front";
/// The id of what is not a replica.
pub(super) const OBJECT: &str = "dev.driftless.object";
/// The name that the author chose for a container.
pub(super) const NAME: &str = "dev.driftless.name";
/// The platform that the author asked for: the engine tells only what the image has.
pub(super) const PLATFORM: &str = "dev.driftless.platform";
/// The hardware addresses that the author asked for, as JSON: the engine tells them only while it runs.
pub(super) const MACS: &str = "dev.driftless.macs";
/// The services that a replica begins anew with, and the digests of what they asked for, as JSON.
pub(super) const FOLLOWS: &str = "dev.driftless.follows";
/// The author's driver of logs and its options, as JSON: the engine adds its own to them.
pub(super) const LOGGING: &str = "dev.driftless.logging";
/// The author's limit of memory and swap together: the engine tells it also where nobody asked.
pub(super) const SWAP: &str = "dev.driftless.memswap";
/// What the agent does for a replica, as JSON.
pub(super) const CARE: &str = "dev.driftless.care";
/// The hook after the start, as JSON: it runs again after every start by the agent.
pub(super) const POST_START: &str = "dev.driftless.post-start";
/// On a never-started container through which volumes are filled: what it is for.
pub(super) const STAGING: &str = "dev.driftless.staging";
/// On the volume of an emptyDir: its name in the manifest.
pub(super) const EMPTY_DIR: &str = "dev.driftless.empty-dir";
/// On the volume of an emptyDir: the name of the container it lives and dies with.
pub(super) const EMPTY_DIR_OF: &str = "dev.driftless.empty-dir-of";

/// Labels as the engine takes them.
pub(super) type Map = HashMap<String, String>;

/// Returns labels with these values.
pub(super) fn map<const N: usize>(pairs: [(&str, String); N]) -> Map {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Returns the labels of a replica's container: the author's, ours, and those that other tools read.
pub(super) fn replica(desired: &Desired, workload: &Workload, id: &ObjectId, container: &Container) -> Map {
    let mut labels: Map = workload.template.labels.clone().into_iter().collect();
    labels.extend(map([
        (OWNER, desired.installation.owner.to_string()),
        (APPLICATION, desired.application.to_string()),
        (NAMESPACE, id.namespace.to_string()),
        (WORKLOAD, format!("{}/{}", id.kind, id.name)),
        (REPLICA, id.replica.as_ref().map(Name::to_string).unwrap_or_default()),
        (CONTAINER, container.name.to_string()),
        (HASH, workload.hash.to_string()),
        (CREATED_REVISION, desired.revision.clone()),
        (CARE, json(&Care::new(workload, desired))),
        ("com.centurylinklabs.watchtower.enable", "false".to_owned()),
    ]));
    labels.extend(match id.kind {
        Kind::ComposeService => compose(workload, id),
        _ => map([
            ("io.kubernetes.pod.name", super::name::pod(id)),
            ("io.kubernetes.pod.namespace", id.namespace.to_string()),
            ("io.kubernetes.container.name", container.name.to_string()),
        ]),
    });
    let Options { container_name, platform, macs, memswap_limit, logging, follows, .. } = &workload.template.options;
    labels.extend(container_name.iter().map(|name| (NAME.to_owned(), name.clone())));
    labels.extend(platform.iter().map(|platform| (PLATFORM.to_owned(), platform.clone())));
    labels.extend(logging.iter().map(|logging| (LOGGING.to_owned(), json(logging))));
    labels.extend(memswap_limit.iter().map(|bytes| (SWAP.to_owned(), bytes.to_string())));
    if !macs.is_empty() {
        labels.insert(MACS.to_owned(), json(macs));
    }
    if !follows.is_empty() {
        labels.insert(FOLLOWS.to_owned(), json(follows));
    }
    if let Some(hook) = &container.post_start {
        labels.insert(POST_START.to_owned(), json(hook));
    }
    labels
}

/// Returns what `docker compose ls`, `ps` and `logs` look for. Networks and volumes do not carry them:
/// `docker compose down -v` would remove those.
fn compose(workload: &Workload, id: &ObjectId) -> Map {
    map([
        ("com.docker.compose.project", id.namespace.to_string()),
        ("com.docker.compose.service", id.name.to_string()),
        ("com.docker.compose.oneoff", "False".to_owned()),
        ("com.docker.compose.config-hash", workload.hash.to_string()),
        ("com.docker.compose.container-number", id.replica.as_ref().map(Name::to_string).unwrap_or_default()),
        ("com.docker.compose.project.config_files", workload.place.file.clone()),
    ])
}

/// Returns the labels of a front.
pub(super) fn front(desired: &Desired, front: &Front) -> Map {
    let mut labels: Map = front.labels.clone().into_iter().collect();
    labels.extend(object(&desired.installation.owner, (!front.shared).then_some(&desired.application), &front.id));
    labels.extend(map([
        (FRONT, front.label.clone()),
        (HASH, front.hash(&desired.installation.key).to_string()),
        (CREATED_REVISION, desired.revision.clone()),
        ("com.centurylinklabs.watchtower.enable", "false".to_owned()),
    ]));
    labels
}

/// Returns the labels of a network or volume.
pub(super) fn object(owner: &Name, application: Option<&Name>, id: &ObjectId) -> Map {
    let mut labels = map([(OWNER, owner.to_string()), (OBJECT, id.to_string())]);
    if let Some(application) = application {
        labels.extend(map([(APPLICATION, application.to_string()), (NAMESPACE, id.namespace.to_string())]));
    }
    labels
}

/// Tells whether a label is ours, or one that we add for other tools.
pub(super) fn is_added(name: &str) -> bool {
    name.starts_with("dev.driftless.")
        || name.starts_with("com.docker.compose.")
        || matches!(
            name,
            "io.kubernetes.pod.name"
                | "io.kubernetes.pod.namespace"
                | "io.kubernetes.container.name"
                | "com.centurylinklabs.watchtower.enable"
        )
}

/// Tells whether any of the labels is ours.
pub(super) fn is_marked(labels: &Map) -> bool {
    labels.keys().any(|name| name.starts_with("dev.driftless."))
}

/// Reads the labels of a container; `None` unless they are complete and well-formed.
pub(super) fn read_container(labels: &Map) -> Option<Labels> {
    if labels.contains_key(FRONT) {
        return read_object(labels).filter(Labels::is_front);
    }
    let (kind, workload) = labels.get(WORKLOAD)?.split_once('/')?;
    let object = ObjectId {
        namespace: name(labels, NAMESPACE)?,
        kind: Kind::parse(kind)?,
        name: Name::try_from(workload).ok()?,
        replica: Some(name(labels, REPLICA)?),
    };
    Some(Labels { application: Some(name(labels, APPLICATION)?), container: labels.get(CONTAINER)?.clone(), ..read(labels, object)? })
}

/// Returns the network or volume of a project that `docker compose` made this one for, if it did.
pub(super) fn of_project(labels: &Map) -> Option<ObjectId> {
    let project = name(labels, "com.docker.compose.project")?;
    let kinds = [("com.docker.compose.network", Kind::ComposeNetwork), ("com.docker.compose.volume", Kind::ComposeVolume)];
    kinds.into_iter().find_map(|(label, kind)| Some(ObjectId::new(project.clone(), kind, name(labels, label)?)))
}

/// Reads the labels of a network, a volume or a front; `None` if it is not ours.
pub(super) fn read_object(labels: &Map) -> Option<Labels> {
    read(labels, ObjectId::try_from(labels.get(OBJECT)?.clone()).ok()?)
}

fn read(labels: &Map, object: ObjectId) -> Option<Labels> {
    Some(Labels {
        owner: name(labels, OWNER)?,
        application: match labels.contains_key(APPLICATION) {
            true => Some(name(labels, APPLICATION)?),
            false => None,
        },
        object,
        container: String::new(),
        hash: labels.get(HASH).and_then(|text| ContentHash::try_from(text.clone()).ok()),
        created_revision: labels.get(CREATED_REVISION).cloned().unwrap_or_default(),
        front: labels.get(FRONT).cloned(),
    })
}

fn name(labels: &Map, label: &str) -> Option<Name> {
    Name::try_from(labels.get(label)?.as_str()).ok()
}

/// Writes a value as the JSON that a label carries.
pub(super) fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("plain structs become JSON")
}
