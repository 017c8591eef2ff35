//! Service: a name and ports in front of replicas.

use std::net::Ipv4Addr;

use crate::desired::Protocol;
use crate::manifest::cursor::{Cursor, Fields};
use crate::manifest::node::{Located, Span, Value};

use super::selector::{self, Selector};

/// A Service as written.
#[derive(Debug, Clone)]
pub struct Service {
    /// The labels of the replicas behind it, and where that is written.
    pub selector: Located<Selector>,
    /// It has no address.
    pub headless: bool,
    /// The address its author wants.
    pub address: Option<Located<Ipv4Addr>>,
    /// Replicas that are not ready count, too.
    pub publish_not_ready: bool,
    /// Its ports.
    pub ports: Vec<Port>,
}

/// A port of a Service.
#[derive(Debug, Clone)]
pub struct Port {
    /// Its name; empty if it has none.
    pub name: String,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port that clients use.
    pub port: u16,
    /// The replica's port.
    pub target: PortRef,
    /// Where it is written.
    pub span: Span,
}

/// A replica's port, by number or name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortRef {
    /// By number.
    Number(u16),
    /// By the name that the container gives it.
    Name(Located<String>),
}

/// The only way in which a Service is reached.
const INSIDE: &str = "a Service is reached inside, by its name; to publish a port on the host, give the container's port a `hostPort`";
/// Protocols that are supported.
pub const PROTOCOLS: &[(&str, Protocol)] = &[("TCP", Protocol::Tcp), ("UDP", Protocol::Udp)];

/// Decodes a Service's `spec`.
pub fn decode(object: &mut Fields<'_>, span: Span) -> Option<Service> {
    object.require("spec")?.fields(|fields| {
        let text = |text: &str| Value::Text(text.to_owned());
        fields.only("type", &text("ClusterIP"), INSIDE);
        let (headless, address) = match fields.get("clusterIP") {
            Some(field) => cluster_ip(&field),
            None => (false, None),
        };
        let selector = match fields.get("selector") {
            Some(field) => Located { value: Selector { labels: selector::map(&field), expressions: Vec::new() }, span: field.span() },
            None => Located { value: Selector::default(), span },
        };
        if selector.value.is_empty() {
            let message = "a Service without a `selector` is not supported";
            fields.cursor().sink.error_with("unsupported-field", selector.span, message, "select the labels of a Deployment's template");
        }
        let ports: Vec<Port> = fields.items("ports").iter().filter_map(port).collect();
        if ports.is_empty() && !headless && fields.get("ports").is_none_or(|ports| ports.items().is_empty()) {
            fields.cursor().sink.error("missing-field", fields.cursor().span(), "`spec.ports` is missing");
        }
        check_ports(&ports, fields);
        let publish_not_ready = fields.flag("publishNotReadyAddresses");
        fields.only("sessionAffinity", &text("None"), "each connection goes to any ready replica");
        fields.only("internalTrafficPolicy", &text("Cluster"), "there is one host");
        fields.only("ipFamilyPolicy", &text("SingleStack"), "Services have one IPv4 address");
        for family in fields.items("ipFamilies").iter().filter(|family| family.node().as_text() != Some("IPv4")) {
            family.error("unsupported-value", "cannot be anything but `IPv4`");
        }
        fields.refuse(&[
            ("clusterIPs", "write one address as `clusterIP`, or leave it out"),
            ("externalIPs", INSIDE),
            ("externalName", "use the outside name itself"),
            ("externalTrafficPolicy", INSIDE),
            ("loadBalancerIP", INSIDE),
            ("loadBalancerClass", INSIDE),
            ("loadBalancerSourceRanges", INSIDE),
            ("allocateLoadBalancerNodePorts", INSIDE),
            ("healthCheckNodePort", INSIDE),
            ("sessionAffinityConfig", "each connection goes to any ready replica"),
            ("trafficDistribution", "there is one host"),
        ]);
        Service { selector, headless, address, publish_not_ready, ports }
    })
}

fn cluster_ip(field: &Cursor<'_>) -> (bool, Option<Located<Ipv4Addr>>) {
    let Some(text) = field.text() else { return (false, None) };
    match text.value.as_str() {
        "" => (false, None),
        "None" => (true, None),
        address => match address.parse() {
            Ok(value) => (false, Some(Located { value, span: text.span })),
            Err(_) => {
                field.error_with(
                    "bad-address",
                    format!("is not an IPv4 address: `{}`", address.escape_debug()),
                    "write an address, `None`, or leave it out",
                );
                (false, None)
            }
        },
    }
}

fn port(field: &Cursor<'_>) -> Option<Port> {
    field.fields(|fields| {
        let name = fields.get("name").and_then(|name| port_name(&name));
        let protocol = fields.choice("protocol", PROTOCOLS);
        let port = fields.require("port").and_then(|port| number(&port));
        let target = fields.get("targetPort").and_then(|target| port_ref(&target));
        fields.refuse(&[("nodePort", INSIDE), ("appProtocol", "connections are passed on as they are")]);
        let port = port?;
        let name = name.map(|name| name.value).unwrap_or_default();
        Some(Port { name, protocol, port, target: target.unwrap_or(PortRef::Number(port)), span: field.span() })
    })?
}

fn check_ports(ports: &[Port], fields: &Fields<'_>) {
    let sink = fields.cursor().sink;
    for (index, port) in ports.iter().enumerate() {
        if port.name.is_empty() && ports.len() > 1 {
            sink.error("missing-field", port.span, "a Service with several ports needs a `name` for each");
        }
        let before = &ports[..index];
        if !port.name.is_empty() && before.iter().any(|other| other.name == port.name) {
            sink.error("duplicate-name", port.span, format!("two ports are named `{}`", port.name));
        }
        if before.iter().any(|other| (other.port, other.protocol) == (port.port, port.protocol)) {
            sink.error("duplicate-port", port.span, format!("port {} is written twice", port.port));
        }
    }
}

/// Decodes a port's number.
pub fn number(field: &Cursor<'_>) -> Option<u16> {
    field.integer(1..=65535).and_then(|number| u16::try_from(number).ok())
}

/// Decodes a port's number or name.
pub fn port_ref(field: &Cursor<'_>) -> Option<PortRef> {
    match field.node().value {
        Value::Text(_) => port_name(field).map(PortRef::Name),
        _ => number(field).map(PortRef::Number),
    }
}

/// Decodes a port's name (RFC 6335, section 5.1, in lower case).
pub fn port_name(field: &Cursor<'_>) -> Option<Located<String>> {
    let text = field.text()?;
    let name = text.value.as_str();
    let characters = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let letter = name.bytes().any(|b| b.is_ascii_lowercase());
    if !characters || !letter || name.len() > 15 || name.contains("--") || name.starts_with('-') || name.ends_with('-') {
        field.error("bad-name", "must be a port's name: up to 15 lower-case letters, digits and single `-`, with at least one letter");
        return None;
    }
    Some(text)
}
