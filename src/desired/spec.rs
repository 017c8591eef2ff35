//! The canonical form of a template: fields by path. Everything that compares compares these.
//!
//! Every field is destructured without `..`, so a new one does not compile until somebody decides
//! where it belongs: into the hash (needs a new container), beside it (changed in place, or compared
//! with the engine), or nowhere (asked by the agent).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::hash::{ContentHash, FieldValue, Fields, Key};
use crate::name::Name;

use super::{Container, FieldRef, HostPort, Mount, MountSource, Options, Resources, Restart, Template, Text, field};

/// The canonical form of a template. Stored in the record under its hash, which is how a later plan
/// can say what changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Spec {
    /// What the replica as a whole needs a new container for.
    pub replica: Fields,
    /// Published ports: not in the hash, but a difference needs a new container.
    pub ports: Fields,
    /// Each container's own.
    pub containers: BTreeMap<Name, ContainerSpec>,
}

/// The canonical form of one container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// What needs a new container. These fields are the hash.
    pub fields: Fields,
    /// What is changed in place: resources and restart policy.
    pub in_place: Fields,
}

impl Spec {
    /// Returns the canonical form of a template. `volume` gives the name on the host of a data volume.
    pub fn new(template: &Template, restart: Restart, volume: impl Fn(&MountSource) -> String, key: &Key) -> Self {
        let Template { containers, networks, ports, empty_dirs, labels, annotations, hostname, grace, options } = template;
        let mut replica = Fields::new();
        let mut put = |path: String, text: String| drop(replica.insert(path, FieldValue::Public(text)));
        for network in networks {
            put(field::network(network), "connected".to_owned());
        }
        for (name, value) in labels {
            put(field::label(name), value.clone());
        }
        // Annotations reach a container only through fields that refer to them, which are resolved.
        let _ = annotations;
        for (name, empty_dir) in empty_dirs {
            if empty_dir.memory {
                put(format!("emptyDirs[{name}]"), format!("memory {}", empty_dir.size_limit.unwrap_or(0)));
            }
        }
        if let Some(hostname) = hostname {
            put(field::HOSTNAME.to_owned(), hostname.clone());
        }
        if grace.as_secs() != 30 {
            put(field::GRACE.to_owned(), grace.as_secs().to_string());
        }
        options.fields(&mut put);
        options.followed(&mut |path, digest| drop(replica.insert(path, FieldValue::Keyed(digest))));
        Spec {
            replica,
            ports: ports.iter().map(port_field).collect(),
            containers: containers
                .iter()
                .map(|container| (container.name.clone(), ContainerSpec::new(container, restart, options, &volume, key)))
                .collect(),
        }
    }

    /// Returns the hash of what needs a new container.
    pub fn hash(&self, key: &Key) -> ContentHash {
        let containers = self.containers.iter().map(|(name, container)| (name.as_str(), &container.fields));
        // A container may not be called `/`, so the replica's own group cannot be mistaken for one.
        ContentHash::of(std::iter::once(("/", &self.replica)).chain(containers), key)
    }
}

fn port_field(port: &HostPort) -> (String, FieldValue) {
    let HostPort { address, host_port, container_port, protocol } = port;
    let address = address.map(|address| address.to_string()).unwrap_or_default();
    (field::port(&format!("{address}:{host_port}/{}", protocol.as_str())), FieldValue::Public(container_port.to_string()))
}

impl ContainerSpec {
    fn new(container: &Container, restart: Restart, options: &Options, volume: &impl Fn(&MountSource) -> String, key: &Key) -> Self {
        let Container {
            name: _,
            image,
            pull: _,
            command,
            args,
            working_dir,
            env,
            mounts,
            named_ports: _,
            resources,
            user,
            groups,
            read_only,
            privileged,
            no_new_privileges,
            cap_add,
            cap_drop,
            tty,
            stdin,
            probes: _,
            post_start,
            pre_stop,
        } = container;
        let mut fields = Fields::new();
        let mut put = |path: &str, text: String| fields.insert(path.to_owned(), FieldValue::Public(text));
        put(field::IMAGE, image.clone());
        if let Some(dir) = working_dir {
            put(field::WORKING_DIR, dir.clone());
        }
        if let Some(user) = user {
            put(field::USER, user.clone());
        }
        if !groups.is_empty() {
            put(field::GROUPS, json(groups));
        }
        for (path, flag) in [
            (field::READ_ONLY, read_only),
            (field::PRIVILEGED, privileged),
            (field::NO_NEW_PRIVILEGES, no_new_privileges),
            (field::TTY, tty),
            (field::STDIN, stdin),
        ] {
            if *flag {
                put(path, "true".to_owned());
            }
        }
        for (path, list) in [(field::CAP_ADD, cap_add), (field::CAP_DROP, cap_drop)] {
            if !list.is_empty() {
                put(path, json(list));
            }
        }
        for (path, hook) in [(field::POST_START, post_start), (field::PRE_STOP, pre_stop)] {
            if let Some(hook) = hook {
                put(path, json(hook));
            }
        }
        for mount in mounts {
            let text = mount_value(mount, volume);
            let value = match &mount.source {
                MountSource::Content(_) => FieldValue::Keyed(text),
                _ => FieldValue::Public(text),
            };
            fields.insert(field::mount(&mount.target), value);
        }
        for (path, list) in [(field::COMMAND, command), (field::ARGS, args)] {
            if let Some(list) = list {
                fields.insert(path.to_owned(), list_value(list, key));
            }
        }
        for (name, value) in env {
            fields.insert(field::env(name), value.field_value(key));
        }
        ContainerSpec { fields, in_place: in_place(resources, restart, options) }
    }
}

fn in_place(resources: &Resources, restart: Restart, options: &Options) -> Fields {
    let Resources { cpu_limit, memory_limit, cpu_request, memory_request } = resources;
    let restart = match restart {
        Restart::Always => "always",
        Restart::OnFailure => "on-failure",
        Restart::No => "no",
    };
    let numbers = [
        (field::CPU_LIMIT, *cpu_limit),
        (field::MEMORY_LIMIT, *memory_limit),
        (field::CPU_WEIGHT, cpu_request.map(field::cpu_weight)),
        (field::MEMORY_REQUEST, *memory_request),
    ];
    let mut fields: Fields = numbers
        .into_iter()
        .filter_map(|(path, number)| Some((path.to_owned(), FieldValue::Public(number?.to_string()))))
        .chain([(field::RESTART.to_owned(), FieldValue::Public(restart.to_owned()))])
        .collect();
    options.in_place(&mut |path, text| drop(fields.insert(path, FieldValue::Public(text))));
    fields
}

/// Returns a list of texts as a JSON list; one secret item makes the whole list secret.
fn list_value(list: &[Text], key: &Key) -> FieldValue {
    let computed = |field: &FieldRef| format!("$({field})");
    let items: Vec<String> = list.iter().map(|item| item.resolve(computed).unwrap_or_default()).collect();
    let mut joined = Text::default();
    joined.0.extend(list.iter().flat_map(|item| item.0.iter().cloned()));
    match joined.field_value(key) {
        FieldValue::Public(_) | FieldValue::Keyed(_) => FieldValue::Public(json(&items)),
        FieldValue::Computed(_) if !joined.is_secret() => FieldValue::Computed(json(&items)),
        FieldValue::Computed(_) => FieldValue::Computed(format!("secret {}", key.digest(json(&items).as_bytes()))),
        FieldValue::Secret(_) => FieldValue::Secret(key.digest(json(&items).as_bytes())),
    }
}

fn mount_value(mount: &Mount, volume: &impl Fn(&MountSource) -> String) -> String {
    let Mount { target: _, source, sub_path, read_only } = mount;
    let mut text = match source {
        MountSource::Volume(_) => format!("volume {}", volume(source)),
        MountSource::Content(id) => format!("content {}", id.0),
        MountSource::External(name) => format!("volume {name}"),
        MountSource::EmptyDir(name) => format!("emptyDir {name}"),
        MountSource::Host { path, create: _ } => format!("host {path}"),
    };
    if let Some(sub_path) = sub_path {
        text.push('/');
        text.push_str(sub_path);
    }
    // Delivered content is always read-only; saying so must not change a hash.
    if *read_only && !matches!(source, MountSource::Content(_)) {
        text.push_str(" ro");
    }
    text
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("lists and plain structs become JSON")
}
