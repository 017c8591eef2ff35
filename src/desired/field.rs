//! The paths of fields in canonical form. What the manifests ask for and what the host has are
//! written with the same words, so that comparing them is comparing two maps.
//!
//! One place holds every word: a typo on one side would be drift for ever.

/// The image as written.
pub const IMAGE: &str = "image";
/// Replaces the image's entrypoint: a JSON list.
pub const COMMAND: &str = "command";
/// Replaces the image's command: a JSON list.
pub const ARGS: &str = "args";
/// The working folder.
pub const WORKING_DIR: &str = "workingDir";
/// `uid[:gid]` or a name.
pub const USER: &str = "user";
/// Further groups: a JSON list of numbers, sorted.
pub const GROUPS: &str = "groups";
/// `true` if the root file system is read-only.
pub const READ_ONLY: &str = "readOnlyRootFilesystem";
/// `true` if privileged.
pub const PRIVILEGED: &str = "privileged";
/// `true` if no privilege can be gained.
pub const NO_NEW_PRIVILEGES: &str = "noNewPrivileges";
/// Added capabilities: a JSON list, sorted.
pub const CAP_ADD: &str = "capabilities.add";
/// Dropped capabilities: a JSON list, sorted.
pub const CAP_DROP: &str = "capabilities.drop";
/// `true` if a terminal is allocated.
pub const TTY: &str = "tty";
/// `true` if standard input is kept open.
pub const STDIN: &str = "stdin";
/// Seconds between stop signal and kill.
pub const GRACE: &str = "terminationGracePeriodSeconds";
/// The host name, if the author gave one.
pub const HOSTNAME: &str = "hostname";
/// The hook after the start, as JSON.
pub const POST_START: &str = "lifecycle.postStart";
/// The hook before the stop signal, as JSON.
pub const PRE_STOP: &str = "lifecycle.preStop";
/// Bytes of memory that may be used.
pub const MEMORY_LIMIT: &str = "resources.limits.memory";
/// Billionths of a core that may be used.
pub const CPU_LIMIT: &str = "resources.limits.cpu";
/// Bytes of memory that are reserved.
pub const MEMORY_REQUEST: &str = "resources.requests.memory";
/// Docker's relative weight, from the reserved share of cores.
pub const CPU_WEIGHT: &str = "resources.requests.cpu";
/// Docker's restart policy: `always`, `on-failure`, `no`.
pub const RESTART: &str = "restartPolicy";

/// The name of the container, if the author gave one.
pub const CONTAINER_NAME: &str = "container_name";
/// `host`, `none`, `service:NAME`; of a live container `container:ID`.
pub const NETWORK_MODE: &str = "network_mode";
/// The platform of the image.
pub const PLATFORM: &str = "platform";
/// How many processes it may have.
pub const PIDS: &str = "pids_limit";
/// The cores that it may use.
pub const CORES: &str = "cpuset";
/// How often the engine restarts it after a failure.
pub const RETRIES: &str = "restart_retries";

/// An environment variable.
pub fn env(name: &str) -> String {
    format!("env[{name}]")
}

/// A mount, by its target. The value is `volume NAME`, `content ID`, `emptyDir NAME`, `host PATH`, with
/// `/SUBPATH` and ` ro` behind it.
pub fn mount(target: &str) -> String {
    format!("mounts[{target}]")
}

/// A label of the author's.
pub fn label(name: &str) -> String {
    format!("labels[{name}]")
}

/// A network, by its name on the host. The value is `connected`.
pub fn network(name: &str) -> String {
    format!("networks[{name}]")
}

/// Names that Docker's own resolver answers with the replica on a network, by the network's name on the
/// host: a JSON list, sorted.
pub fn aliases(network: &str) -> String {
    format!("aliases[{network}]")
}

/// What a service asks for that the replica begins anew with.
pub fn follows(service: &str) -> String {
    format!("depends_on[{service}]")
}

/// The hardware address on a network, by the network's name on the host.
pub fn mac(network: &str) -> String {
    format!("macs[{network}]")
}

/// A published port, by `HOST_ADDRESS:HOST_PORT/PROTOCOL`. The value is the replica's port.
pub fn port(host: &str) -> String {
    format!("ports[{host}]")
}

/// Converts billionths of a core into Docker's relative weight, as Kubernetes does: 1,024 for a whole
/// core, at least 2.
pub fn cpu_weight(nanos: u64) -> u64 {
    (nanos.saturating_mul(1024) / 1_000_000_000).max(2)
}

/// Returns a field's value as people write it: `128Mi` for bytes, `500m` for billionths of a core. Any
/// other value, and one that has no such form, stays as it is.
pub fn shown(path: &str, value: &str) -> String {
    let number = value.parse::<u64>().ok().filter(|number| *number > 0);
    match number {
        Some(bytes) if path.ends_with(MEMORY_LIMIT) || path.ends_with(MEMORY_REQUEST) => {
            let units = [("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)];
            let fitting = units.into_iter().find(|(_, bits)| bytes % (1 << bits) == 0);
            fitting.map_or_else(|| value.to_owned(), |(unit, bits)| format!("{}{unit}", bytes >> bits))
        }
        Some(nanos) if path.ends_with(CPU_LIMIT) => match (nanos % 1_000_000_000, nanos % 1_000_000) {
            (0, _) => (nanos / 1_000_000_000).to_string(),
            (_, 0) => format!("{}m", nanos / 1_000_000),
            _ => format!("{nanos}n"),
        },
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_shown_as_people_write_them() {
        let memory = format!("spec.template.spec.containers[web].{MEMORY_LIMIT}");
        for (value, text) in [("134217728", "128Mi"), ("1073741824", "1Gi"), ("1500", "1500"), ("0", "0")] {
            assert_eq!(shown(&memory, value), text);
        }
        for (value, text) in [("500000000", "500m"), ("2000000000", "2"), ("1", "1n")] {
            assert_eq!(shown(CPU_LIMIT, value), text);
        }
        assert_eq!(shown(IMAGE, "134217728"), "134217728");
    }
}
