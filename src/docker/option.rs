//! What only Compose can ask of the engine, in the engine's words.

use bollard::models::{ContainerCreateBody, DeviceMapping, HealthConfig, HostConfig, HostConfigLogConfig, ResourcesUlimits};

use crate::desired::{Healthcheck, Options};

/// Adds options to what the engine is asked for.
pub(super) fn apply(options: &Options, body: &mut ContainerCreateBody) {
    let Options {
        container_name: _,
        aliases: _,
        network_mode,
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
        logging,
        tmpfs,
        no_copy: _,
        retries,
    } = options;
    body.domainname = domainname.clone();
    body.stop_signal = stop_signal.clone();
    body.healthcheck = healthcheck(health);
    let host = body.host_config.get_or_insert_default();
    fill(&mut host.network_mode, network_mode);
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
    let ulimit = |(name, range): (&String, &crate::desired::Range)| ResourcesUlimits {
        name: Some(name.clone()),
        soft: Some(range.soft),
        hard: Some(range.hard),
    };
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
