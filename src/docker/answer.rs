//! What the engine's answers say, in our words.
//!
//! The engine has traps: a restarting container says that it runs, a stopped one may still show an
//! address, lists and inspections call the same thing by different names.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum, ContainerSummary, ContainerSummaryStateEnum, EndpointSettings, HostConfig,
    MountPoint, Network, PortSummaryTypeEnum,
};

use crate::desired::{HostPort, Protocol};
use crate::observed::{Labels, State};

use super::{label, name};

/// Returns what our labels say if the name is the one that we would have given, and whether the name
/// marks it as leaving.
pub(super) fn identify(marks: &label::Map, name: &str, id: &str) -> (Option<Labels>, bool) {
    let (base, marked) = name::without_mark(name, id);
    let expected = |labels: &Labels| marks.get(label::NAME).cloned().unwrap_or_else(|| name::expected(labels));
    (label::read_container(marks).filter(|labels| expected(labels) == base), marked)
}

/// Returns a network's subnets.
pub(super) fn subnets(network: &Network) -> Vec<String> {
    let configs = network.ipam.iter().filter_map(|ipam| ipam.config.as_ref()).flatten();
    configs.filter_map(|config| config.subnet.clone()).collect()
}

/// Returns what a listed container does.
pub(super) fn listed_state(listed: &ContainerSummary) -> State {
    match listed.state {
        Some(ContainerSummaryStateEnum::RUNNING | ContainerSummaryStateEnum::STOPPING) => State::Running,
        Some(ContainerSummaryStateEnum::PAUSED) => State::Paused,
        Some(ContainerSummaryStateEnum::RESTARTING) => State::Restarting,
        Some(ContainerSummaryStateEnum::EXITED) => {
            // The list says it only in words: `Exited (137) 3 minutes ago`.
            let status = listed.status.as_deref().unwrap_or_default();
            let code = status.split_once('(').and_then(|(_, rest)| rest.split_once(')')?.0.parse().ok());
            State::Exited(code.unwrap_or(0))
        }
        Some(ContainerSummaryStateEnum::REMOVING | ContainerSummaryStateEnum::DEAD) => State::Dead,
        _ => State::Created,
    }
}

/// Returns what an inspected container does.
pub(super) fn inspected_state(found: &ContainerInspectResponse) -> State {
    let Some(state) = &found.state else { return State::Created };
    match state.status {
        // A restarting container says that it runs, but has no process.
        Some(ContainerStateStatusEnum::RESTARTING) => State::Restarting,
        Some(ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::STOPPING) => State::Running,
        Some(ContainerStateStatusEnum::PAUSED) => State::Paused,
        Some(ContainerStateStatusEnum::EXITED) => {
            State::Exited(state.exit_code.and_then(|code| i32::try_from(code).ok()).unwrap_or_default())
        }
        Some(ContainerStateStatusEnum::REMOVING | ContainerStateStatusEnum::DEAD) => State::Dead,
        _ => State::Created,
    }
}

/// Returns a container's name.
pub(super) fn name_of(found: &ContainerInspectResponse) -> &str {
    found.name.as_deref().unwrap_or_default().trim_start_matches('/')
}

/// Returns what our labels on a container say, if its name is the one that we would have given.
pub(super) fn labels_of(found: &ContainerInspectResponse) -> Option<Labels> {
    let labels = found.config.as_ref()?.labels.as_ref()?;
    identify(labels, name_of(found), found.id.as_deref().unwrap_or_default()).0
}

/// Tells whether a container has a process, frozen or not.
pub(super) fn is_up(found: &ContainerInspectResponse) -> bool {
    matches!(inspected_state(found), State::Running | State::Paused)
        && found.state.as_ref().is_some_and(|state| state.pid.unwrap_or(0) != 0)
}

/// Tells whether a container has a process that is not frozen.
pub(super) fn is_running(found: &ContainerInspectResponse) -> bool {
    is_up(found) && inspected_state(found) == State::Running
}

/// Tells whether a container's process is frozen.
pub(super) fn is_paused(found: &ContainerInspectResponse) -> bool {
    inspected_state(found) == State::Paused
}

/// Tells whether a stop has anything to end: a process, or the engine's intent to start one again.
pub(super) fn has_process(found: &ContainerInspectResponse) -> bool {
    matches!(inspected_state(found), State::Running | State::Paused | State::Restarting)
}

/// Returns a container's restart policy as the engine calls it; none is `no`.
pub(super) fn restart_policy(found: &ContainerInspectResponse) -> String {
    let policy = found.host_config.as_ref().and_then(|config| config.restart_policy.as_ref()?.name);
    match policy.map(|policy| policy.to_string()) {
        Some(name) if !name.is_empty() => name,
        _ => "no".to_owned(),
    }
}

/// Reads a label that carries JSON.
pub(super) fn json_label<T: serde::de::DeserializeOwned>(found: &ContainerInspectResponse, label: &str) -> Option<T> {
    serde_json::from_str(found.config.as_ref()?.labels.as_ref()?.get(label)?).ok()
}

/// Returns one of a running container's addresses.
pub(super) fn any_address(found: &ContainerInspectResponse) -> Option<Ipv4Addr> {
    addresses_of(found.network_settings.as_ref().and_then(|settings| settings.networks.as_ref())).into_values().next()
}

/// Returns the addresses that an endpoint has or will have again.
pub(super) fn addresses(endpoint: &EndpointSettings) -> Vec<Ipv4Addr> {
    let fixed = endpoint.ipam_config.as_ref().and_then(|config| config.ipv4_address.as_deref());
    [fixed, endpoint.ip_address.as_deref()].into_iter().flatten().filter_map(|text| text.parse().ok()).collect()
}

/// Returns the addresses of some endpoints, by network.
pub(super) fn addresses_of(networks: Option<&HashMap<String, EndpointSettings>>) -> BTreeMap<String, Ipv4Addr> {
    let endpoints = networks.into_iter().flatten();
    endpoints.filter_map(|(name, endpoint)| Some((name.clone(), endpoint.ip_address.as_deref()?.parse().ok()?))).collect()
}

/// Returns the networks that a container is on, also while it does not run, and how.
pub(super) fn endpoints(found: &ContainerInspectResponse) -> impl Iterator<Item = (&String, &EndpointSettings)> {
    found.network_settings.iter().filter_map(|settings| settings.networks.as_ref()).flatten()
}

/// Returns the ports that a container asks the engine to publish.
pub(super) fn published(config: &HostConfig) -> BTreeSet<HostPort> {
    let bindings = config.port_bindings.iter().flatten();
    let ports = bindings.flat_map(|(port, bindings)| bindings.iter().flatten().map(move |binding| (port, binding)));
    ports
        .filter_map(|(port, binding)| {
            let (container_port, protocol) = self::port(port)?;
            let address = binding.host_ip.as_deref().filter(|address| !address.is_empty());
            Some(HostPort {
                address: address.map(str::parse).transpose().ok()?,
                host_port: binding.host_port.as_deref()?.parse().ok()?,
                container_port,
                protocol,
            })
        })
        .collect()
}

/// Returns a port as images and containers write it, `80/tcp`.
pub(super) fn port(text: &str) -> Option<(u16, Protocol)> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    Some((port.parse().ok()?, protocol_of(protocol)?))
}

/// Returns the ports that the engine publishes for a running container.
pub(super) fn listed_ports(listed: &ContainerSummary) -> BTreeSet<HostPort> {
    let ports = listed.ports.iter().flatten();
    ports
        .filter_map(|port| {
            let address = port.ip.as_deref().and_then(|address| address.parse::<Ipv4Addr>().ok());
            let protocol = match port.typ {
                Some(PortSummaryTypeEnum::TCP) => Protocol::Tcp,
                Some(PortSummaryTypeEnum::UDP) => Protocol::Udp,
                _ => return None,
            };
            let address = address.filter(|address| !address.is_unspecified());
            Some(HostPort { address, host_port: port.public_port?, container_port: port.private_port, protocol })
        })
        .collect()
}

fn protocol_of(word: &str) -> Option<Protocol> {
    match word {
        "tcp" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Udp),
        _ => None,
    }
}

/// Returns the names of mounted volumes.
pub(super) fn volume_names(mounts: &[MountPoint], only_written: bool) -> BTreeSet<String> {
    let volumes = mounts.iter().filter(|mount| mount.typ.as_deref() == Some("volume") && !(only_written && mount.rw == Some(false)));
    volumes.filter_map(|mount| mount.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_says_the_exit_code_in_words() {
        let listed = ContainerSummary {
            state: Some(ContainerSummaryStateEnum::EXITED),
            status: Some("Exited (137) 3 minutes ago".into()),
            ..ContainerSummary::default()
        };
        assert_eq!(listed_state(&listed), State::Exited(137));
    }
}
