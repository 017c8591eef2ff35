//! Which attributes of the Compose specification are done, and why the others are not.
//!
//! This table is the source: decoders refuse from it, and `docs/compose.md` is made of it.

use Standing::{Done, Ignored, Part, Refused};

/// What becomes of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It does what the specification says.
    Done,
    /// It may be written and means nothing here; why.
    Ignored(&'static str),
    /// Some values do what the specification says, others are an error: which do, and why.
    Part(&'static str),
    /// It is an error; why.
    Refused(&'static str),
}

/// An attribute and what becomes of it.
pub type Attribute = (&'static str, Standing);

const WINDOWS: &str = "containers run on Linux";
const BLOCK: &str = "limits of disks are not supported yet";
const CPU: &str = "write `deploy.resources` instead";
const STACK: &str = "services are kept by driftless, not by Swarm";
const RATIO: &str = "0: a replica that does not become ready fails its update";
const SAME: &str = "the value of `update_config`, as which a rollback goes";
const OLD: &str = "it is a leftover of links; services of one network find each other by name";

/// Attributes at the top of a file.
pub const TOP: &[Attribute] = &[
    ("version", Ignored("the specification has no versions any more")),
    ("name", Done),
    ("services", Done),
    ("networks", Done),
    ("volumes", Done),
    ("configs", Done),
    ("secrets", Done),
    ("include", Done),
    ("models", Refused("models are not supported")),
];

/// Attributes of a service.
pub const SERVICE: &[Attribute] = &[
    ("annotations", Refused("the engine's API knows them only since version 1.43")),
    ("attach", Ignored("it is about the terminal of `docker compose up`")),
    ("blkio_config", Refused(BLOCK)),
    ("build", Ignored("images are built elsewhere; `image` names the result")),
    ("cap_add", Done),
    ("cap_drop", Done),
    ("cgroup", Refused("the engine's own setting counts")),
    ("cgroup_parent", Done),
    ("command", Done),
    ("configs", Done),
    ("container_name", Done),
    ("cpu_count", Refused(CPU)),
    ("cpu_percent", Refused(CPU)),
    ("cpu_period", Refused(CPU)),
    ("cpu_quota", Refused(CPU)),
    ("cpu_rt_period", Refused(CPU)),
    ("cpu_rt_runtime", Refused(CPU)),
    ("cpu_shares", Done),
    ("cpus", Done),
    ("cpuset", Done),
    ("credential_spec", Refused(WINDOWS)),
    ("depends_on", Done),
    ("deploy", Done),
    ("develop", Ignored("it is about a developer's machine")),
    ("device_cgroup_rules", Refused("name the devices in `devices`")),
    ("devices", Done),
    ("dns", Done),
    ("dns_opt", Done),
    ("dns_search", Done),
    ("domainname", Done),
    ("entrypoint", Done),
    ("env_file", Done),
    ("environment", Done),
    ("expose", Done),
    ("extends", Done),
    ("external_links", Refused(OLD)),
    ("extra_hosts", Done),
    ("gpus", Refused("graphics processors are not supported yet")),
    ("group_add", Done),
    ("healthcheck", Done),
    ("hostname", Done),
    ("image", Done),
    ("init", Done),
    ("ipc", Done),
    ("isolation", Refused(WINDOWS)),
    ("label_file", Done),
    ("labels", Done),
    ("links", Refused(OLD)),
    ("logging", Done),
    ("mac_address", Done),
    ("mem_limit", Done),
    ("mem_reservation", Done),
    ("mem_swappiness", Refused("the host's own setting counts")),
    ("memswap_limit", Done),
    ("models", Refused("models are not supported")),
    ("network_mode", Done),
    ("networks", Done),
    ("oom_kill_disable", Refused("the host's own setting counts")),
    ("oom_score_adj", Done),
    ("pid", Done),
    ("pids_limit", Done),
    ("platform", Done),
    ("ports", Done),
    ("post_start", Refused("hooks are not supported in Compose files yet")),
    ("pre_stop", Refused("hooks are not supported in Compose files yet")),
    ("privileged", Done),
    ("profiles", Done),
    ("provider", Refused("services that are not containers are not supported")),
    ("pull_policy", Done),
    ("read_only", Done),
    ("restart", Done),
    ("runtime", Done),
    ("scale", Done),
    ("secrets", Done),
    ("security_opt", Done),
    ("shm_size", Done),
    ("stdin_open", Done),
    ("stop_grace_period", Done),
    ("stop_signal", Done),
    ("storage_opt", Refused("the engine's own setting counts")),
    ("sysctls", Done),
    ("tmpfs", Done),
    ("tty", Done),
    ("ulimits", Done),
    ("use_api_socket", Refused("mount the socket as a volume if it must be")),
    ("user", Done),
    ("userns_mode", Refused("the engine's own setting counts")),
    ("uts", Done),
    ("volumes", Done),
    ("volumes_from", Refused("name the volumes")),
    ("working_dir", Done),
];

/// Attributes of `deploy`.
pub const DEPLOY: &[Attribute] = &[
    ("endpoint_mode", Refused("a front has the service's address")),
    ("labels", Ignored("they are for a service of Swarm; `labels` of the service are for its containers")),
    ("mode", Done),
    ("placement", Refused(STACK)),
    ("replicas", Done),
    ("resources", Done),
    ("restart_policy", Done),
    ("rollback_config", Done),
    ("update_config", Done),
];

/// Attributes of `deploy.update_config`.
pub const UPDATE: &[Attribute] = &[
    ("delay", Done),
    ("failure_action", Done),
    ("max_failure_ratio", Part(RATIO)),
    ("monitor", Done),
    ("order", Done),
    ("parallelism", Done),
];

/// Attributes of `deploy.rollback_config`.
pub const ROLLBACK: &[Attribute] = &[
    ("delay", Part(SAME)),
    ("failure_action", Part("`pause`: after a rollback that fails nothing is tried by itself")),
    ("max_failure_ratio", Part(RATIO)),
    ("monitor", Part(SAME)),
    ("order", Part(SAME)),
    ("parallelism", Part(SAME)),
];

/// Attributes of `deploy.restart_policy`.
pub const RESTART: &[Attribute] = &[
    ("condition", Done),
    ("delay", Part("0: the engine waits by itself, longer from restart to restart")),
    ("max_attempts", Done),
    ("window", Part("0: whether a replica is ready decides")),
];

/// Attributes of a service's entry in `depends_on`.
pub const DEPENDENCY: &[Attribute] = &[("condition", Done), ("required", Done), ("restart", Done)];

/// Attributes of `healthcheck`.
pub const HEALTHCHECK: &[Attribute] = &[
    ("disable", Done),
    ("interval", Done),
    ("retries", Done),
    ("start_interval", Refused("the engine's API knows it only since version 1.44")),
    ("start_period", Done),
    ("test", Done),
    ("timeout", Done),
];

/// Attributes of a service's entry in `networks`.
pub const ENDPOINT: &[Attribute] = &[
    ("aliases", Done),
    ("driver_opts", Refused("endpoints have no options yet")),
    ("gw_priority", Refused("the engine chooses the default route")),
    ("interface_name", Refused("the engine names the interfaces")),
    ("ipv4_address", Refused("two replicas of an update would have the same one; use the service's name")),
    ("ipv6_address", Refused("addresses are IPv4")),
    ("link_local_ips", Refused("the engine chooses the addresses")),
    ("mac_address", Done),
    ("priority", Refused("networks are connected in the order in which they are written")),
];

/// Attributes of a network.
pub const NETWORK: &[Attribute] = &[
    ("attachable", Done),
    ("driver", Done),
    ("driver_opts", Done),
    ("enable_ipv4", Refused("addresses are IPv4")),
    ("enable_ipv6", Refused("addresses are IPv4")),
    ("external", Done),
    ("internal", Done),
    ("ipam", Done),
    ("labels", Done),
    ("name", Done),
];

/// Attributes of a volume.
pub const VOLUME: &[Attribute] = &[("driver", Done), ("driver_opts", Done), ("external", Done), ("labels", Done), ("name", Done)];

/// Attributes of a config or secret.
pub const FILE: &[Attribute] = &[
    ("content", Done),
    ("driver", Refused(STACK)),
    ("driver_opts", Refused(STACK)),
    ("environment", Refused("it would be a variable of whoever deploys; use `content` or `file`")),
    ("external", Done),
    ("file", Done),
    ("labels", Refused("a file on the host carries no labels")),
    ("name", Done),
    ("template_driver", Refused(STACK)),
];

#[cfg(test)]
/// All tables, each with the place that its attributes have.
pub const ALL: &[(&str, &[Attribute])] = &[
    ("top level", TOP),
    ("services.NAME", SERVICE),
    ("services.NAME.deploy", DEPLOY),
    ("services.NAME.deploy.update_config", UPDATE),
    ("services.NAME.deploy.rollback_config", ROLLBACK),
    ("services.NAME.deploy.restart_policy", RESTART),
    ("services.NAME.depends_on.NAME", DEPENDENCY),
    ("services.NAME.healthcheck", HEALTHCHECK),
    ("services.NAME.networks.NAME", ENDPOINT),
    ("networks.NAME", NETWORK),
    ("volumes.NAME", VOLUME),
    ("configs.NAME, secrets.NAME", FILE),
];

/// Returns the attributes of a table that are refused, each with the reason.
pub fn refused(table: &[Attribute]) -> Vec<(&'static str, &'static str)> {
    let reason = |(name, standing): &Attribute| if let Refused(reason) = standing { Some((*name, *reason)) } else { None };
    table.iter().filter_map(reason).collect()
}

/// Returns the names of the attributes of a table that mean nothing here.
pub fn ignored(table: &[Attribute]) -> Vec<&'static str> {
    table.iter().filter(|(_, standing)| matches!(standing, Ignored(_))).map(|(name, _)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_this_table() {
        let mut text = String::new();
        for (place, table) in ALL {
            text.push_str(&format!("\n### {place}\n\n| attribute | |\n|---|---|\n"));
            for (name, standing) in *table {
                let words = match standing {
                    Done => "done".to_owned(),
                    Ignored(why) => format!("ignored: {why}"),
                    Part(what) => format!("in part: {what}"),
                    Refused(why) => format!("refused: {why}"),
                };
                text.push_str(&format!("| `{name}` | {words} |\n"));
            }
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/compose.md");
        let page = std::fs::read_to_string(path).expect("docs/compose.md");
        let (_, table) = page.split_once("<!-- table -->\n").expect("the mark before the table");
        assert_eq!(table, text, "docs/compose.md must end with this table");
    }
}
