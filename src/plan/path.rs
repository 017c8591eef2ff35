//! What a field is called in the manifest: the words that people see in a plan or as drift, and what a
//! change of it means for what runs.
//!
//! Inside, a field has one canonical name whatever the format (`desired::field`). Here alone that name
//! is turned into the path that its author knows; Docker's where a manifest has no word for it.

use crate::desired::{Desired, Workload, field};
use crate::name::{Kind, ObjectId};

/// A new container is needed.
pub(super) const RECREATES: &str = "recreates";
/// A new container is needed, and nothing serves until it is ready.
pub(super) const INTERRUPTS: &str = "recreates, interrupts";
/// The number of replicas changes.
pub(super) const SCALES: &str = "scales";
/// A live container is changed.
pub(super) const IN_PLACE: &str = "in place";
/// No container is touched.
pub(super) const TRAFFIC: &str = "traffic only";

/// Returns the path of a canonical field of a workload; `container` is empty for what the replica as a
/// whole has.
pub(super) fn of(workload: &Workload, container: &str, path: &str) -> String {
    match workload.id.kind {
        Kind::ComposeService => compose(workload, path),
        _ => kubernetes(container, path),
    }
}

/// Returns the path of a workload's number of replicas.
pub(super) fn replicas(workload: &Workload) -> String {
    match workload.id.kind {
        Kind::ComposeService => in_service(workload, "deploy.replicas", "deploy.replicas"),
        _ => "spec.replicas".to_owned(),
    }
}

/// Returns the path of a network that a front is on.
pub(super) fn of_front(desired: &Desired, front: &ObjectId, path: &str) -> String {
    let backend = desired.services.get(front).and_then(|service| service.backends.first());
    match backend.and_then(|backend| desired.workloads.get(&backend.workload)) {
        Some(workload) => of(workload, "", path),
        None => kubernetes("", path),
    }
}

/// Returns the path of a field of a network or volume.
pub(super) fn of_project(object: &ObjectId, path: &str) -> String {
    match object.kind {
        Kind::ComposeNetwork => format!("networks.{}.{path}", object.name),
        Kind::ComposeVolume => format!("volumes.{}.{path}", object.name),
        _ => path.to_owned(),
    }
}

/// Returns the path of a port of a service.
pub(super) fn of_port(service: &ObjectId, port: &str) -> String {
    match service.kind {
        Kind::Front => format!("services.{}.expose[{port}]", service.name),
        _ => format!("spec.ports[{port}]"),
    }
}

/// Tells whether a field is worth showing of a workload that is new as a whole.
pub(super) fn is_headline(path: &str) -> bool {
    !is_named_by_author(path) && ["].image", ".image", ".replicas", ".scale"].iter().any(|word| path.ends_with(word))
}

/// Returns a path without what all fields of a workload's container begin with.
pub(super) fn short(path: &str) -> &str {
    match path.strip_prefix("services.").and_then(|rest| rest.split_once('.')) {
        Some((_, rest)) => rest,
        None => path.rsplit_once("].").map_or(path, |(_, field)| field),
    }
}

/// Returns what a change of a field means for what runs; it is `removed` if it is no longer set.
pub(super) fn consequence(object: &ObjectId, path: &str, removed: bool) -> &'static str {
    let ends = |words: &[&str]| !is_named_by_author(path) && words.iter().any(|word| path.ends_with(word));
    let resource =
        path.contains("].resources.") || ends(&["s.memory", ".cpus", ".cpu_shares", ".mem_limit", ".mem_reservation", ".cpuset"]);
    let free = ends(&[field::RESTART, ".restart", ".restart_policy.condition", ".max_attempts", ".pids_limit", ".pids"]);
    match object.kind {
        // A front is made anew for its names and labels, and translates whatever ports there are.
        Kind::Front if path.contains(".expose[") => TRAFFIC,
        Kind::Front => RECREATES,
        Kind::Service => TRAFFIC,
        _ if ends(&[".replicas", ".scale"]) => SCALES,
        // A limit cannot be taken off a live container.
        _ if resource && removed => RECREATES,
        _ if resource || free => IN_PLACE,
        _ => RECREATES,
    }
}

/// Tells whether the last part of a path is a name of the author's own, which may look like anything.
fn is_named_by_author(path: &str) -> bool {
    [".environment.", ".labels."].iter().any(|map| path.contains(map))
}

/// Returns a field's value as people write it in its format.
pub(super) fn shown(path: &str, value: &str) -> String {
    if !path.starts_with("services.") {
        return field::shown(path, value);
    }
    if is_named_by_author(path) {
        return value.to_owned();
    }
    let Ok(number) = value.parse::<u64>() else { return value.to_owned() };
    match path.rsplit(['.', ']']).next().unwrap_or_default() {
        "memory" | "mem_limit" | "mem_reservation" | "shm_size" | "memswap_limit" => bytes(number),
        "cpus" if path.contains(".reservations.") => decimal(number as f64 / 1024.0),
        "cpus" => decimal(number as f64 / 1e9),
        "stop_grace_period" => format!("{number}s"),
        _ => value.to_owned(),
    }
}

fn bytes(number: u64) -> String {
    let units = [("t", 40), ("g", 30), ("m", 20), ("k", 10)];
    let fitting = units.into_iter().find(|(_, bits)| number > 0 && number.is_multiple_of(1 << bits));
    fitting.map_or_else(|| number.to_string(), |(unit, bits)| format!("{}{unit}", number >> bits))
}

/// Three digits are as fine as anybody writes shares of a core.
fn decimal(number: f64) -> String {
    format!("{:.3}", number).trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn kubernetes(container: &str, path: &str) -> String {
    let pod = "spec.template.spec";
    match path {
        field::HOSTNAME | field::GRACE | field::RESTART => format!("{pod}.{path}"),
        field::USER | field::GROUPS | field::READ_ONLY | field::PRIVILEGED | field::CAP_ADD | field::CAP_DROP => {
            format!("{pod}.containers[{container}].securityContext.{path}")
        }
        _ if path.starts_with("labels[") => format!("spec.template.metadata.{path}"),
        _ if path.starts_with("networks[") => network(path),
        _ if path.starts_with("ports[") => format!("{pod}.hostPorts{}", &path["ports".len()..]),
        _ if path.starts_with("emptyDirs[") => format!("{pod}.volumes{}", &path["emptyDirs".len()..]),
        _ if path.starts_with("mounts[") => format!("{pod}.containers[{container}].volumeMounts{}", &path["mounts".len()..]),
        _ => format!("{pod}.containers[{container}].{path}"),
    }
}

/// Docker's own path of what a container has on a network.
fn network(path: &str) -> String {
    match path.split_once('[') {
        Some(("aliases", rest)) => format!("NetworkSettings.Networks[{rest}.Aliases"),
        Some((_, rest)) => format!("NetworkSettings.Networks[{rest}"),
        None => path.to_owned(),
    }
}

fn in_service(workload: &Workload, path: &str, usual: &str) -> String {
    let written = workload.template.options.written.get(path).map_or(usual, String::as_str);
    format!("services.{}.{written}", workload.id.name)
}

fn compose(workload: &Workload, path: &str) -> String {
    let usual = match path {
        field::COMMAND => "entrypoint".to_owned(),
        field::ARGS => "command".to_owned(),
        field::WORKING_DIR => "working_dir".to_owned(),
        field::GROUPS => "group_add".to_owned(),
        field::READ_ONLY => "read_only".to_owned(),
        field::NO_NEW_PRIVILEGES => "security_opt".to_owned(),
        field::CAP_ADD => "cap_add".to_owned(),
        field::CAP_DROP => "cap_drop".to_owned(),
        field::STDIN => "stdin_open".to_owned(),
        field::GRACE => "stop_grace_period".to_owned(),
        field::MEMORY_LIMIT => "deploy.resources.limits.memory".to_owned(),
        field::CPU_LIMIT => "deploy.resources.limits.cpus".to_owned(),
        field::MEMORY_REQUEST => "deploy.resources.reservations.memory".to_owned(),
        field::CPU_WEIGHT => "deploy.resources.reservations.cpus".to_owned(),
        field::RESTART => "restart".to_owned(),
        field::RETRIES => "deploy.restart_policy.max_attempts".to_owned(),
        field::PIDS => "deploy.resources.limits.pids".to_owned(),
        _ => match path.strip_suffix(']').and_then(|path| path.split_once('[')) {
            Some(("env", name)) => format!("environment.{name}"),
            Some((map @ ("labels" | "sysctls" | "ulimits"), name)) => format!("{map}.{name}"),
            Some(("mounts", target)) => format!("volumes[{target}]"),
            Some(("nocopy", target)) => format!("volumes[{target}].nocopy"),
            // Of a network that the file does not name there is only Docker's word.
            Some(("networks" | "aliases", _)) if !workload.template.options.written.contains_key(path) => return network(path),
            _ => path.to_owned(),
        },
    };
    in_service(workload, path, &usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compose_values_are_shown_as_people_write_them() {
        for (path, value, text) in [
            ("services.web.deploy.resources.limits.memory", "134217728", "128m"),
            ("services.web.mem_limit", "1500", "1500"),
            ("services.web.deploy.resources.limits.cpus", "500000000", "0.5"),
            ("services.web.deploy.resources.reservations.cpus", "256", "0.25"),
            ("services.web.cpus", "2000000000", "2"),
            ("services.web.stop_grace_period", "10", "10s"),
            ("services.web.environment.memory", "1048576", "1048576"),
            ("spec.template.spec.containers[web].resources.limits.memory", "134217728", "128Mi"),
        ] {
            assert_eq!(shown(path, value), text, "{path}");
        }
    }

    #[test]
    fn a_short_path_is_the_part_that_differs() {
        assert_eq!(short("services.web.deploy.resources.limits.memory"), "deploy.resources.limits.memory");
        assert_eq!(short("spec.template.spec.containers[web].resources.limits.memory"), "resources.limits.memory");
        assert_eq!(short("spec.template.spec.restartPolicy"), "spec.template.spec.restartPolicy");
    }
}
