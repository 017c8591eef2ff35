//! What the services of one project may not have in common, and may not wait for.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::HostPort;
use crate::manifest::node::Span;
use crate::manifest::sink::Sink;

use super::service::Service;

/// Services by name, those that are enabled.
type Services<'a> = BTreeMap<&'a str, &'a Service>;

/// Reports services that wait for each other, each circle once.
pub fn cycles(services: &Services<'_>, sink: &Sink) {
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for start in services.keys() {
        // The way from the first service to the one that is looked at, and what each of them still waits for. It
        // may be as long as there are services, so it stands on no stack of calls.
        let mut way: Vec<(&str, Vec<&str>)> = Vec::new();
        let mut at: BTreeMap<&str, usize> = BTreeMap::new();
        let mut next = Some(*start).filter(|name| done.insert(name));
        loop {
            if let Some(name) = next.take() {
                at.insert(name, way.len());
                way.push((name, waits_for(services, name)));
            }
            let Some((name, left)) = way.last_mut().map(|(name, left)| (*name, left)) else { break };
            match left.pop() {
                None => drop((way.pop(), at.remove(name))),
                Some(dependency) => match at.get(dependency) {
                    Some(from) => {
                        let circle: Vec<&str> = way[*from..].iter().map(|(name, _)| *name).chain([dependency]).collect();
                        report_circle(services, name, &circle, sink);
                    }
                    None => next = Some(dependency).filter(|name| done.insert(name)),
                },
            }
        }
    }
}

/// Returns the services that one waits for, the last by name first.
fn waits_for<'a>(services: &Services<'a>, name: &str) -> Vec<&'a str> {
    let Some(service) = services.get(name) else { return Vec::new() };
    let names = service.depends_on.iter().map(|dependency| dependency.name.value.as_str()).chain(service.options.shares_network_of());
    let names: BTreeSet<&str> = names.filter_map(|name| services.get_key_value(name)).map(|(name, _)| *name).collect();
    names.into_iter().rev().collect()
}

fn report_circle(services: &Services<'_>, last: &str, circle: &[&str], sink: &Sink) {
    let Some(service) = services.get(last) else { return };
    let written = service.depends_on.iter().find(|dependency| Some(&dependency.name.value.as_str()) == circle.last());
    let span = written.map_or(service.span, |dependency| dependency.name.span);
    let names: Vec<String> = circle.iter().map(|name| format!("`{name}`")).collect();
    let message = match circle {
        [name, _] => format!("`{name}` waits for itself, so that it can never start"),
        _ => format!("these services wait for each other, so that none can start: {}", names.join(" -> ")),
    };
    sink.error_with("dependency-cycle", span, message, "take one of them out of the other's `depends_on` or `network_mode`");
}

/// Reports what only one container of the host can have, and several services want: a name, a port.
pub fn shared(services: &Services<'_>, project: &str, sink: &Sink) {
    let fronts: BTreeMap<String, &str> = services.keys().map(|name| (format!("{project}-{name}"), *name)).collect();
    let mut named: BTreeMap<&str, &str> = BTreeMap::new();
    let mut ports: BTreeMap<(&'static str, u16), Vec<(&HostPort, &str)>> = BTreeMap::new();
    for (name, service) in services {
        for (what, written) in [("container_name", &service.options.container_name), ("hostname", &service.hostname)] {
            if let Some(written) = written.as_ref().filter(|written| services.contains_key(written.as_str())) {
                let message = format!("`{what}` `{written}` is also a service's name: it means the one replica then, ready or not");
                sink.warning("name-of-service", service.span, message, "leave it out");
            }
        }
        if let Some(written) = &service.options.container_name {
            let why = match (fronts.get(written), named.insert(written, name)) {
                (Some(other), _) => Some(format!("the front of `{other}` is called so")),
                (None, Some(other)) => Some(format!("`{other}` has it, too")),
                (None, None) => None,
            };
            if let Some(why) = why {
                let message = format!("the container name `{written}` can be had once, and {why}");
                sink.error_with("name-taken", service.span, message, "give each service a `container_name` of its own, or none");
            }
        }
        for (port, span) in service.ports.iter().filter(|(port, _)| port.host_port != 0) {
            let known = ports.entry((port.protocol.as_str(), port.host_port)).or_default();
            // Services share no port, whatever the addresses: which addresses the host has is not known.
            match known.iter().find(|(other, of)| of != name || *other != port && overlap(port, other)) {
                Some((_, other)) => report_port(port, *span, other, sink),
                None => known.push((port, name)),
            }
        }
    }
}

/// Tells whether two published ports of one number are the same socket of the host.
fn overlap(a: &HostPort, b: &HostPort) -> bool {
    a.address == b.address || a.address.is_none() || b.address.is_none()
}

fn report_port(port: &HostPort, span: Span, other: &str, sink: &Sink) {
    let message = format!("port {}/{} of the host can be had once, and `{other}` has it, too", port.host_port, port.protocol.as_str());
    sink.error_with("port-taken", span, message, "publish another port, or leave it out: services of one network reach each other by name");
}
