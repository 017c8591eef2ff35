//! Checks across objects: selectors, ports of the host, volumes with one writer, service addresses.

use std::collections::BTreeMap;

use crate::desired::{Exclusive, HostPort, Workload};
use crate::manifest::sink::Sink;
use crate::name::{Name, ObjectId};

use super::deployment::Deployment;
use super::lower::volume_name;
use super::{Object, Objects};

/// Reports what objects do to one another.
pub fn check(objects: &Objects, workloads: &BTreeMap<ObjectId, Workload>, sink: &Sink) {
    selectors(objects, sink);
    host_ports(objects, sink);
    single_writers(objects, workloads, sink);
    addresses(objects, sink);
    for (id, object) in &objects.deployments {
        mount_targets(object, sink);
        let _ = id;
    }
    for (id, object) in &objects.claims {
        let name = volume_name(id);
        if name.len() > 255 {
            let message = format!("the volume would be called `{name}`, which is longer than 255 characters");
            sink.error("bad-name", object.span, message);
        }
    }
}

/// Returns the Deployments of a namespace whose templates have these labels.
pub fn selected<'a>(
    objects: &'a Objects,
    namespace: &Name,
    labels: &BTreeMap<String, String>,
) -> Vec<(&'a ObjectId, &'a Object<Deployment>)> {
    let has = |deployment: &Deployment| labels.iter().all(|(key, value)| deployment.template.labels.get(key) == Some(value));
    in_namespace(objects, namespace).filter(|(_, object)| has(&object.value)).collect()
}

fn in_namespace<'a>(objects: &'a Objects, namespace: &Name) -> impl Iterator<Item = (&'a ObjectId, &'a Object<Deployment>)> {
    let first = objects.deployments.keys().find(|id| id.namespace == *namespace);
    let range = first.map(|first| objects.deployments.range(first..));
    let namespace = namespace.clone();
    range.into_iter().flatten().take_while(move |(id, _)| id.namespace == namespace)
}

fn selectors(objects: &Objects, sink: &Sink) {
    for (id, object) in &objects.deployments {
        let selector = &object.value.selector;
        if selector.value.is_empty() {
            continue;
        }
        if !selector.value.matches(&object.value.template.labels) {
            let message = format!("the selector of Deployment `{}` does not match the labels of its own template", id.name);
            sink.error_with("selector-misses", selector.span, message, "give `spec.template.metadata.labels` the same labels");
            continue;
        }
        for (other, theirs) in in_namespace(objects, &id.namespace) {
            if other != id && selector.value.matches(&theirs.value.template.labels) {
                let message = format!("the selector of Deployment `{}` also matches the replicas of Deployment `{}`", id.name, other.name);
                sink.error_with("selector-overlaps", selector.span, message, "give each Deployment a label of its own and select it");
            }
        }
    }
}

fn host_ports(objects: &Objects, sink: &Sink) {
    let mut taken: Vec<(&ObjectId, &HostPort)> = Vec::new();
    for (id, object) in &objects.deployments {
        for port in &object.value.template.container.host_ports {
            let HostPort { address, host_port, container_port: _, protocol } = &port.value;
            if object.value.replicas.value > 1 {
                let message = format!("the host has port {host_port} only once, but `spec.replicas` is {}", object.value.replicas.value);
                sink.error_with("host-port", port.span, message, "let one replica have the port and put a Service in front of the others");
            }
            let clash = taken.iter().find(|(_, other)| {
                let apart = matches!((address, other.address), (Some(mine), Some(theirs)) if *mine != theirs);
                (other.host_port, other.protocol) == (*host_port, *protocol) && !apart
            });
            if let Some((other, _)) = clash {
                let message = match *other == id {
                    true => format!("port {host_port} of the host is written twice"),
                    false => format!("port {host_port} of the host is already taken by Deployment `{}/{}`", other.namespace, other.name),
                };
                sink.error("host-port", port.span, message);
            }
            taken.push((id, &port.value));
        }
    }
}

fn single_writers(objects: &Objects, workloads: &BTreeMap<ObjectId, Workload>, sink: &Sink) {
    const HINT: &str = "if it really may be shared, give the claim the access mode `ReadWriteMany`";
    let mut users: BTreeMap<&ObjectId, &ObjectId> = BTreeMap::new();
    for (id, workload) in workloads {
        let Some(object) = objects.deployments.get(id) else { continue };
        for exclusive in &workload.exclusive {
            let Exclusive::Volume(claim) = exclusive else { continue };
            if workload.replicas > 1 {
                let message =
                    format!("{} replicas cannot share the claim `{}`, which only one may use at a time", workload.replicas, claim.name);
                sink.error_with("single-writer", object.value.replicas.span, message, HINT);
            }
            if let Some(other) = users.insert(claim, id) {
                let message = format!(
                    "the claim `{}`, which only one replica may use at a time, is already used by Deployment `{}`",
                    claim.name, other.name
                );
                sink.error_with("single-writer", object.span, message, HINT);
            }
        }
    }
}

fn addresses(objects: &Objects, sink: &Sink) {
    let mut taken = BTreeMap::new();
    for (id, object) in &objects.services {
        let Some(address) = &object.value.address else { continue };
        if let Some(other) = taken.insert(address.value, id) {
            let message = format!("the address {} is already taken by Service `{}/{}`", address.value, other.namespace, other.name);
            sink.error("duplicate-address", address.span, message);
        }
    }
}

fn mount_targets(object: &Object<Deployment>, sink: &Sink) {
    let mounts = &object.value.template.container.mounts;
    for (index, mount) in mounts.iter().enumerate() {
        if mounts[..index].iter().any(|other| other.target.value == mount.target.value) {
            let message = format!("something is mounted at `{}` already", mount.target.value);
            sink.error("duplicate-mount", mount.target.span, message);
        }
    }
}
