//! What only Compose can ask of the engine, beyond what both formats have.
//!
//! Everything here has a default that asks for nothing and leaves no trace in a hash, so a template of
//! the other format does not know that it exists.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::field;

/// What only Compose can ask of the engine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// The container's name, instead of the one that follows from project, service and number.
    pub container_name: Option<String>,
    /// Names that Docker's own resolver answers with the replica, by the name on the host of the network.
    pub aliases: BTreeMap<String, BTreeSet<String>>,
    /// Who says at which ports it is reached.
    pub declares: Declares,
    /// `host` or `none`: the replica is on no network of the engine; `service:NAME`: it is in the network
    /// namespace of that service's replica.
    pub network_mode: Option<String>,
    /// Hardware addresses that it must have, by the name on the host of the network.
    pub macs: BTreeMap<String, String>,
    /// The domain name.
    pub domainname: Option<String>,
    /// Lines of `/etc/hosts`, `NAME:ADDRESS`, sorted.
    pub extra_hosts: Vec<String>,
    /// Resolvers.
    pub dns: Vec<String>,
    /// Search domains.
    pub dns_search: Vec<String>,
    /// Options of the resolver.
    pub dns_options: Vec<String>,
    /// Who asks for the replica's health.
    pub health: Healthcheck,
    /// The signal that asks it to stop; by default the image's.
    pub stop_signal: Option<String>,
    /// A small init process is its first.
    pub init: bool,
    /// Options of the engine's security modules, sorted.
    pub security_opt: Vec<String>,
    /// Further groups by name, sorted.
    pub group_names: Vec<String>,
    /// Limits of the process, soft and hard, by name.
    pub ulimits: BTreeMap<String, Range>,
    /// Kernel parameters of its namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Bytes of `/dev/shm`.
    pub shm_size: Option<u64>,
    /// Devices of the host, `HOST:CONTAINER:PERMISSIONS`, sorted.
    pub devices: Vec<String>,
    /// `host`: it sees the host's processes.
    pub pid: Option<String>,
    /// The engine's word for its shared memory.
    pub ipc: Option<String>,
    /// The platform of its image, `os/architecture[/variant]`.
    pub platform: Option<String>,
    /// `host`: it has the host's name.
    pub uts: Option<String>,
    /// How many processes it may have; `None` is as many as the engine allows.
    pub pids_limit: Option<u64>,
    /// The cores that it may use, such as `0-2,5`.
    pub cpuset: Option<String>,
    /// Bytes of memory and swap together, or -1 for as much as there is; by default its memory limit.
    pub memswap_limit: Option<i64>,
    /// How readily the kernel ends it when memory is short, from -1000 to 1000.
    pub oom_score_adj: Option<i64>,
    /// The control group that it is below.
    pub cgroup_parent: Option<String>,
    /// The engine's runtime.
    pub runtime: Option<String>,
    /// The driver that takes its output, and the driver's options.
    pub logging: Option<(String, BTreeMap<String, String>)>,
    /// Folders in memory by their path, each with the engine's options.
    pub tmpfs: BTreeMap<String, String>,
    /// Data volumes begin with the image's files at their path, except at these paths.
    pub no_copy: BTreeSet<String>,
    /// How often the engine restarts it after a failure; `None` is without end.
    pub retries: Option<u32>,
    /// Services that it begins anew with, each with the digest of what that one asks for: whoever follows is replaced
    /// when it is.
    pub follows: BTreeMap<String, String>,
    /// What its author calls a field, where that does not follow from the field alone: by canonical path,
    /// within the service. It is for people, and in no hash.
    pub written: BTreeMap<String, String>,
}

/// Who says at which ports a service is reached, which decides whether it has a front.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Declares {
    /// Its manifest, or nobody.
    #[default]
    Manifest,
    /// Its image alone. Nobody promises that anything listens there.
    Image,
    /// Its image may, which is known once the host has it. No replica is made before.
    Unknown,
}

/// A soft and a hard limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// What is in force.
    pub soft: i64,
    /// How far the process may raise it.
    pub hard: i64,
}

/// Who asks for a replica's health.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Healthcheck {
    /// The agent, by the template's probes; the image's own check is switched off.
    #[default]
    Agent,
    /// The engine, if the image says how.
    Image,
    /// Nobody.
    Nobody,
    /// The engine.
    Engine(HealthCheck),
}

/// A question that the engine asks (Docker `HEALTHCHECK`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HealthCheck {
    /// `CMD` or `CMD-SHELL` and the command; empty is the image's.
    pub test: Vec<String>,
    /// Milliseconds from answer to question; 0 is the image's, or 30 s. Likewise below.
    pub interval: u64,
    /// How long an answer may take.
    pub timeout: u64,
    /// How long bad answers do not count after the start.
    pub start_period: u64,
    /// So many bad answers in a row turn it bad.
    pub retries: u32,
}

/// How a network is made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkOptions {
    /// The driver; by default `bridge`.
    pub driver: Option<String>,
    /// The driver's options.
    pub driver_opts: BTreeMap<String, String>,
    /// Nothing outside of the host can be reached.
    pub internal: bool,
    /// Containers can be put on it by hand.
    pub attachable: bool,
    /// Its addresses, if their author chose them: subnet, range and gateway.
    pub ipam: Vec<BTreeMap<String, String>>,
    /// The author's labels.
    pub labels: BTreeMap<String, String>,
}

impl NetworkOptions {
    /// Returns what is asked for by path, in canonical form. Without addresses of its author's a network has
    /// some of ours, of which nobody asks for any in particular.
    pub fn fields(&self) -> BTreeMap<String, String> {
        let NetworkOptions { driver, driver_opts, internal, attachable, ipam, labels } = self;
        let mut fields = BTreeMap::new();
        fields.extend(driver.iter().filter(|driver| *driver != "bridge").map(|driver| ("driver".to_owned(), driver.clone())));
        fields.extend([("internal", internal), ("attachable", attachable)].into_iter().filter(|(_, flag)| **flag).map(flagged));
        fields.extend(driver_opts.iter().map(|(name, value)| (format!("driver_opts.{name}"), value.clone())));
        fields.extend(labels.iter().map(|(name, value)| (format!("labels.{name}"), value.clone())));
        for (index, config) in ipam.iter().enumerate() {
            fields.extend(config.iter().map(|(name, value)| (format!("ipam.config[{index}].{name}"), value.clone())));
        }
        fields
    }
}

fn flagged((name, _): (&str, &bool)) -> (String, String) {
    (name.to_owned(), "true".to_owned())
}

impl VolumeOptions {
    /// Returns what is asked for by path, in canonical form.
    pub fn fields(&self) -> BTreeMap<String, String> {
        let VolumeOptions { driver, driver_opts, labels } = self;
        let mut fields = BTreeMap::new();
        fields.extend(driver.iter().filter(|driver| *driver != "local").map(|driver| ("driver".to_owned(), driver.clone())));
        fields.extend(driver_opts.iter().map(|(name, value)| (format!("driver_opts.{name}"), value.clone())));
        fields.extend(labels.iter().map(|(name, value)| (format!("labels.{name}"), value.clone())));
        fields
    }
}

/// How a volume is made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VolumeOptions {
    /// The driver; by default `local`.
    pub driver: Option<String>,
    /// The driver's options.
    pub driver_opts: BTreeMap<String, String>,
    /// The author's labels.
    pub labels: BTreeMap<String, String>,
}

impl Options {
    /// Hands over the options that are set and that need a new container, by path, in canonical form.
    pub fn fields(&self, put: &mut impl FnMut(String, String)) {
        let Options {
            container_name,
            aliases,
            declares: _,
            network_mode,
            macs,
            domainname,
            extra_hosts,
            dns,
            dns_search,
            dns_options,
            health,
            stop_signal,
            init,
            security_opt,
            group_names,
            ulimits,
            sysctls,
            shm_size,
            devices,
            pid,
            ipc,
            platform,
            uts,
            pids_limit: _,
            cpuset: _,
            memswap_limit,
            oom_score_adj,
            cgroup_parent,
            runtime,
            logging,
            tmpfs,
            no_copy,
            retries: _,
            follows: _,
            written: _,
        } = self;
        for (network, names) in aliases.iter().filter(|(_, names)| !names.is_empty()) {
            put(field::aliases(network), json(names));
        }
        for (path, text) in [
            (field::CONTAINER_NAME, container_name),
            (field::NETWORK_MODE, network_mode),
            ("domainname", domainname),
            ("stop_signal", stop_signal),
            ("pid", pid),
            ("ipc", ipc),
            (field::PLATFORM, platform),
            ("uts", uts),
            ("cgroup_parent", cgroup_parent),
            ("runtime", runtime),
        ] {
            if let Some(text) = text {
                put(path.to_owned(), text.clone());
            }
        }
        for (path, list) in [
            ("extra_hosts", extra_hosts),
            ("dns", dns),
            ("dns_search", dns_search),
            ("dns_opt", dns_options),
            ("security_opt", security_opt),
            ("group_add", group_names),
            ("devices", devices),
        ] {
            if !list.is_empty() {
                put(path.to_owned(), json(list));
            }
        }
        match health {
            Healthcheck::Agent | Healthcheck::Image => {}
            Healthcheck::Nobody => put("healthcheck".to_owned(), "none".to_owned()),
            Healthcheck::Engine(check) => put("healthcheck".to_owned(), json(check)),
        }
        if *init {
            put("init".to_owned(), "true".to_owned());
        }
        for (name, range) in ulimits {
            put(format!("ulimits[{name}]"), format!("{}:{}", range.soft, range.hard));
        }
        for (name, value) in sysctls {
            put(format!("sysctls[{name}]"), value.clone());
        }
        if let Some(bytes) = shm_size {
            put("shm_size".to_owned(), bytes.to_string());
        }
        if let Some(logging) = logging {
            put("logging".to_owned(), json(logging));
        }
        for (path, options) in tmpfs {
            put(field::mount(path), format!("tmpfs {options}").trim_end().to_owned());
        }
        for path in no_copy {
            put(format!("nocopy[{path}]"), "true".to_owned());
        }
        for (network, mac) in macs {
            put(field::mac(network), mac.clone());
        }
        for (path, number) in [("memswap_limit", memswap_limit), ("oom_score_adj", oom_score_adj)] {
            if let Some(number) = number {
                put(path.to_owned(), number.to_string());
            }
        }
    }

    /// Hands over the digests of what it begins anew with: they are keyed, as those of secrets are.
    pub fn followed(&self, put: &mut impl FnMut(String, String)) {
        self.follows.iter().for_each(|(service, digest)| put(field::follows(service), digest.clone()));
    }

    /// Hands over the options that are set and that are changed on a live container.
    pub fn in_place(&self, put: &mut impl FnMut(String, String)) {
        for (path, number) in [(field::RETRIES, self.retries.map(u64::from)), (field::PIDS, self.pids_limit)] {
            if let Some(number) = number {
                put(path.to_owned(), number.to_string());
            }
        }
        if let Some(cores) = &self.cpuset {
            put(field::CORES.to_owned(), cores.clone());
        }
    }

    /// Returns the service in the network namespace of whose replica this one is.
    pub fn shares_network_of(&self) -> Option<&str> {
        self.network_mode.as_deref()?.strip_prefix("service:")
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("lists and plain structs become JSON")
}
