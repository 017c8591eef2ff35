//! Checks across objects: selectors, ports of the host, volumes with one writer, service addresses.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::desired::{Exclusive, HostPort, Workload};
use crate::manifest::cursor::nearest;
use crate::manifest::sink::Sink;
use crate::name::ObjectId;

use super::deployment::Deployment;
use super::index::{Entry, Index};
use super::lower::volume_name;
use super::service::{PortRef, Service};
use super::{Object, Objects};

/// Reports what objects do to one another.
pub fn check(objects: &Objects, index: &Index<'_>, workloads: &BTreeMap<ObjectId, Workload>, sink: &Sink) {
    selectors(objects, index, sink);
    host_ports(objects, sink);
    single_writers(objects, workloads, sink);
    addresses(objects, sink);
    for object in objects.deployments.values() {
        mount_targets(object, sink);
    }
    for (id, object) in &objects.claims {
        let name = volume_name(id);
        if name.len() > 255 {
            let message = format!("the volume would be called `{name}`, which is longer than 255 characters");
            sink.error("bad-name", object.span, message);
        }
    }
}

fn selectors(objects: &Objects, index: &Index<'_>, sink: &Sink) {
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
        for (other, _) in index.selected(&id.namespace, &selector.value).into_iter().filter(|(other, _)| *other != id) {
            let message = format!("the selector of Deployment `{}` also matches the replicas of Deployment `{}`", id.name, other.name);
            sink.error_with("selector-overlaps", selector.span, message, "give each Deployment a label of its own and select it");
        }
    }
}

fn host_ports(objects: &Objects, sink: &Sink) {
    let mut taken: BTreeMap<_, Vec<(&ObjectId, &HostPort)>> = BTreeMap::new();
    for (id, object) in &objects.deployments {
        for port in &object.value.template.container.host_ports {
            let HostPort { address, host_port, container_port: _, protocol } = &port.value;
            if object.value.replicas.value > 1 {
                let message = format!("the host has port {host_port} only once, but `spec.replicas` is {}", object.value.replicas.value);
                sink.error_with("host-port", port.span, message, "let one replica have the port and put a Service in front of the others");
            }
            let others = taken.entry((host_port, protocol)).or_default();
            let apart = |theirs: Option<Ipv4Addr>| matches!((address, theirs), (Some(mine), Some(theirs)) if *mine != theirs);
            if let Some((other, _)) = others.iter().find(|(_, other)| !apart(other.address)) {
                let message = match *other == id {
                    true => format!("port {host_port} of the host is written twice"),
                    false => format!("port {host_port} of the host is already taken by Deployment `{}/{}`", other.namespace, other.name),
                };
                sink.error("host-port", port.span, message);
            }
            others.push((id, &port.value));
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

/// Reports named target ports that no container behind a Service has.
pub fn service_ports(service: &Service, selected: &[Entry<'_>], sink: &Sink) {
    for port in &service.ports {
        let PortRef::Name(name) = &port.target else { continue };
        let named = || selected.iter().flat_map(|(_, deployment)| deployment.value.template.container.named_ports.keys());
        if selected.is_empty() || named().any(|known| *known == name.value) {
            continue;
        }
        let message = format!("no container behind this Service has a port named `{}`", name.value);
        match nearest(&name.value, named().map(String::as_str)) {
            Some(near) => sink.error_with("no-such-port", name.span, message, format!("did you mean `{near}`?")),
            None => sink.error("no-such-port", name.span, message),
        }
    }
}

/// Reports an address that is not one of those for Services.
pub fn service_address(service: &Service, pool: Ipv4Net, sink: &Sink) {
    if let Some(address) = service.address.as_ref().filter(|address| !pool.contains(&address.value)) {
        let message = format!("the address {} is not one that Services can have", address.value);
        sink.error_with("bad-address", address.span, message, format!("choose one of {pool}, or leave it out"));
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
