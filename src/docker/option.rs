//! What only Compose can ask of the engine, in the engine's words, and back.

use std::collections::{BTreeMap, BTreeSet};

use bollard::models::{
    ContainerConfig, ContainerCreateBody, DeviceMapping, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig, ImageConfig,
    ResourcesUlimits,
};

use crate::desired::{Declares, HealthCheck, Healthcheck, Options, Range};

use super::label;

/// Adds options to what the engine is asked for.
pub(super) fn apply(options: &Options, body: &mut ContainerCreateBody) {
    let Options {
        container_name: _,
        aliases: _,
        declares: _,
        network_mode,
        macs: _,
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
        platform: _,
        uts,
        pids_limit,
        cpuset,
        memswap_limit,
        oom_score_adj,
        cgroup_parent,
        runtime,
        logging,
        tmpfs,
        no_copy: _,
        retries,
        follows: _,
        written: _,
    } = options;
    body.domainname = domainname.clone();
    body.stop_signal = stop_signal.clone();
    body.healthcheck = healthcheck(health);
    let host = body.host_config.get_or_insert_default();
    if options.shares_network_of().is_none() {
        fill(&mut host.network_mode, network_mode);
    }
    fill(&mut host.uts_mode, uts);
    fill(&mut host.cpuset_cpus, cpuset);
    fill(&mut host.cgroup_parent, cgroup_parent);
    fill(&mut host.runtime, runtime);
    host.pids_limit = pids_limit.and_then(|number| i64::try_from(number).ok());
    host.oom_score_adj = *oom_score_adj;
    host.memory_swap = memswap_limit.or(host.memory_swap);
    fill(&mut host.pid_mode, pid);
    fill(&mut host.ipc_mode, ipc);
    for (list, more) in [
        (&mut host.extra_hosts, extra_hosts),
        (&mut host.dns, dns),
        (&mut host.dns_search, dns_search),
        (&mut host.dns_options, dns_options),
        (&mut host.security_opt, security_opt),
        (&mut host.group_add, group_names),
    ] {
        if !more.is_empty() {
            list.get_or_insert_default().extend(more.iter().cloned());
        }
    }
    if *init {
        host.init = Some(true);
    }
    host.shm_size = shm_size.and_then(|bytes| i64::try_from(bytes).ok());
    host.tmpfs = (!tmpfs.is_empty()).then(|| tmpfs.clone().into_iter().collect());
    host.sysctls = (!sysctls.is_empty()).then(|| sysctls.clone().into_iter().collect());
    let ulimit =
        |(name, range): (&String, &Range)| ResourcesUlimits { name: Some(name.clone()), soft: Some(range.soft), hard: Some(range.hard) };
    host.ulimits = (!ulimits.is_empty()).then(|| ulimits.iter().map(ulimit).collect());
    host.devices = (!devices.is_empty()).then(|| devices.iter().map(|device| device_mapping(device)).collect());
    if let Some((driver, config)) = logging {
        let config = config.clone().into_iter().collect();
        host.log_config = Some(HostConfigLogConfig { typ: Some(driver.clone()).filter(|driver| !driver.is_empty()), config: Some(config) });
    }
    add_retries(*retries, host);
}

fn fill(field: &mut Option<String>, value: &Option<String>) {
    if value.is_some() {
        field.clone_from(value);
    }
}

fn add_retries(retries: Option<u32>, host: &mut HostConfig) {
    if let (Some(retries), Some(policy)) = (retries, &mut host.restart_policy) {
        policy.maximum_retry_count = Some(i64::from(retries));
    }
}

fn device_mapping(device: &str) -> DeviceMapping {
    let mut parts = device.splitn(3, ':').map(str::to_owned);
    DeviceMapping { path_on_host: parts.next(), path_in_container: parts.next(), cgroup_permissions: parts.next() }
}

/// Returns the engine's health check; `None` leaves the image's.
fn healthcheck(health: &Healthcheck) -> Option<HealthConfig> {
    let nothing = || Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() });
    match health {
        // The agent asks the manifest's probes, and the image's own check is not known to Kubernetes.
        Healthcheck::Agent | Healthcheck::Nobody => nothing(),
        Healthcheck::Image => None,
        Healthcheck::Engine(check) => {
            let nanos = |millis: u64| i64::try_from(millis.saturating_mul(1_000_000)).ok().filter(|nanos| *nanos > 0);
            Some(HealthConfig {
                test: (!check.test.is_empty()).then(|| check.test.clone()),
                interval: nanos(check.interval),
                timeout: nanos(check.timeout),
                start_period: nanos(check.start_period),
                retries: (check.retries > 0).then_some(i64::from(check.retries)),
                ..HealthConfig::default()
            })
        }
    }
}

/// The engine's own size of `/dev/shm`.
const SHM: u64 = 64 << 20;

/// Reads back what a container was asked for beyond what both formats have. What its image or the engine
/// adds is in it, too; `usual` returns that alone.
pub(super) fn read(config: &ContainerConfig, host: &HostConfig, networks: &[(&String, &EndpointSettings)], id: &str) -> Options {
    let empty = label::Map::new();
    let labels = config.labels.as_ref().unwrap_or(&empty);
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let sorted = |mut list: Vec<String>| {
        list.sort();
        list
    };
    let number = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok()).filter(|number| *number > 0);
    let (numbers, names) = groups(host);
    let policy = host.restart_policy.as_ref().and_then(|policy| policy.maximum_retry_count);
    Options {
        container_name: labels.get(label::NAME).cloned(),
        aliases: networks.iter().map(|(network, endpoint)| ((*network).clone(), aliases(endpoint, id))).collect(),
        declares: Declares::default(),
        network_mode: host.network_mode.clone().filter(|mode| matches!(mode.as_str(), "host" | "none") || mode.starts_with("container:")),
        macs: labels.get(label::MACS).and_then(|macs| serde_json::from_str(macs).ok()).unwrap_or_default(),
        domainname: text(&config.domainname),
        extra_hosts: sorted(list(&host.extra_hosts)),
        dns: list(&host.dns),
        dns_search: list(&host.dns_search),
        dns_options: list(&host.dns_options),
        health: health(config.healthcheck.as_ref()),
        stop_signal: text(&config.stop_signal),
        init: host.init == Some(true),
        security_opt: security(host),
        group_names: if numbers.is_empty() { names } else { Vec::new() },
        ulimits: host.ulimits.iter().flatten().filter_map(ulimit).collect(),
        sysctls: host.sysctls.clone().unwrap_or_default().into_iter().collect(),
        shm_size: number(host.shm_size),
        devices: sorted(host.devices.iter().flatten().map(device).collect()),
        pid: text(&host.pid_mode),
        ipc: text(&host.ipc_mode),
        platform: labels.get(label::PLATFORM).cloned(),
        uts: text(&host.uts_mode),
        pids_limit: number(host.pids_limit),
        cpuset: text(&host.cpuset_cpus),
        // What the engine makes of a memory limit alone is not told from what was asked for.
        memswap_limit: labels.get(label::SWAP).and_then(|swap| swap.parse().ok()),
        oom_score_adj: host.oom_score_adj.filter(|score| *score != 0),
        cgroup_parent: text(&host.cgroup_parent),
        runtime: text(&host.runtime),
        logging: labels.get(label::LOGGING).and_then(|logging| serde_json::from_str(logging).ok()),
        tmpfs: host.tmpfs.clone().unwrap_or_default().into_iter().collect(),
        no_copy: no_copy(host),
        retries: number(policy).and_then(|number| u32::try_from(number).ok()),
        follows: labels.get(label::FOLLOWS).and_then(|follows| serde_json::from_str(follows).ok()).unwrap_or_default(),
        written: BTreeMap::new(),
    }
}

/// Returns what a container has that asks for nothing.
pub(super) fn usual(read: &Options, image: &ImageConfig) -> Options {
    Options {
        health: health(image.healthcheck.as_ref()),
        stop_signal: image.stop_signal.clone().or_else(|| Some("SIGTERM".to_owned())),
        shm_size: Some(SHM),
        // Which of the two is the engine's own setting.
        ipc: read.ipc.clone().filter(|ipc| matches!(ipc.as_str(), "private" | "shareable")),
        runtime: read.runtime.clone().filter(|runtime| runtime == "runc"),
        ..Options::default()
    }
}

/// Returns further groups as numbers, or all of them by name if one is no number.
pub(super) fn groups(host: &HostConfig) -> (Vec<u32>, Vec<String>) {
    let mut names = host.group_add.clone().unwrap_or_default();
    match names.iter().map(|group| group.parse()).collect::<Result<Vec<u32>, _>>() {
        Ok(mut numbers) => {
            numbers.sort_unstable();
            (numbers, Vec::new())
        }
        Err(_) => {
            names.sort();
            (Vec::new(), names)
        }
    }
}

/// The engine adds the container's short id to its names.
pub(super) fn aliases(endpoint: &EndpointSettings, id: &str) -> BTreeSet<String> {
    endpoint.aliases.iter().flatten().filter(|alias| !(alias.len() == 12 && id.starts_with(alias.as_str()))).cloned().collect()
}

/// The engine adds `label=disable` where a label would be in the way.
fn security(host: &HostConfig) -> Vec<String> {
    let is_host = |mode: &Option<String>| mode.as_deref() == Some("host");
    let added = host.privileged == Some(true) || is_host(&host.pid_mode) || is_host(&host.ipc_mode);
    let mut options: Vec<String> = host
        .security_opt
        .iter()
        .flatten()
        .filter(|option| !(added && matches!(option.as_str(), "label=disable" | "label:disable")))
        .cloned()
        .collect();
    options.sort();
    options
}

fn health(config: Option<&HealthConfig>) -> Healthcheck {
    let Some(config) = config else { return Healthcheck::Image };
    let test = config.test.clone().unwrap_or_default();
    if test.first().is_some_and(|word| word == "NONE") {
        return Healthcheck::Nobody;
    }
    let millis = |nanos: Option<i64>| nanos.and_then(|nanos| u64::try_from(nanos / 1_000_000).ok()).unwrap_or(0);
    let check = HealthCheck {
        test,
        interval: millis(config.interval),
        timeout: millis(config.timeout),
        start_period: millis(config.start_period),
        retries: config.retries.and_then(|retries| u32::try_from(retries).ok()).unwrap_or(0),
    };
    if check == HealthCheck::default() { Healthcheck::Image } else { Healthcheck::Engine(check) }
}

fn ulimit(ulimit: &ResourcesUlimits) -> Option<(String, Range)> {
    Some((ulimit.name.clone()?, Range { soft: ulimit.soft?, hard: ulimit.hard? }))
}

fn device(device: &DeviceMapping) -> String {
    let parts = [&device.path_on_host, &device.path_in_container, &device.cgroup_permissions];
    parts.map(|part| part.as_deref().unwrap_or_default()).join(":")
}

fn no_copy(host: &HostConfig) -> BTreeSet<String> {
    let is_bare = |mount: &&bollard::models::Mount| mount.volume_options.as_ref().is_some_and(|options| options.no_copy == Some(true));
    host.mounts.iter().flatten().filter(is_bare).filter_map(|mount| mount.target.clone()).collect()
}
