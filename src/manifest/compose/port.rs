//! `ports` and `expose`: every form, expanded to single ports.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use crate::desired::{HostPort, Protocol};
use crate::manifest::cursor::Cursor;
use crate::manifest::node::{Span, Value};

use super::scalar;

/// So many ports may a range have: each is a rule of its own.
const WIDEST: u16 = 1000;

/// Decodes an item of `ports`: `[[ADDRESS:]HOST:]PORT[/PROTOCOL]`, or a map.
pub fn published(cursor: &Cursor<'_>) -> Vec<(HostPort, Span)> {
    let span = cursor.node().span;
    let ports = match &cursor.node().value {
        Value::Map(_) => long(cursor),
        _ => scalar::text(cursor).and_then(|text| report(cursor, short(&text.value))),
    };
    ports.unwrap_or_default().into_iter().map(|port| (port, span)).collect()
}

/// Decodes an item of `expose`: `PORT[-PORT][/PROTOCOL]`.
pub fn exposed(cursor: &Cursor<'_>) -> BTreeSet<(u16, Protocol)> {
    let read = |text: &str| {
        let (ports, protocol) = protocol(text)?;
        let (first, last) = range(ports)?;
        Ok((first..=last).map(|port| (port, protocol)).collect())
    };
    scalar::text(cursor).and_then(|text| report(cursor, read(&text.value))).unwrap_or_default()
}

fn report<T>(cursor: &Cursor<'_>, result: Result<T, String>) -> Option<T> {
    result.map_err(|problem| cursor.error("bad-port", problem)).ok()
}

fn protocol(text: &str) -> Result<(&str, Protocol), String> {
    match text.split_once('/') {
        None => Ok((text, Protocol::Tcp)),
        Some((ports, "tcp")) => Ok((ports, Protocol::Tcp)),
        Some((ports, "udp")) => Ok((ports, Protocol::Udp)),
        Some((_, other)) => Err(format!("has the protocol `{}`; supported: `tcp`, `udp`", other.escape_debug())),
    }
}

fn range(text: &str) -> Result<(u16, u16), String> {
    let port = |text: &str| match text.trim().parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("has no port from 1 to 65535: `{}`", text.escape_debug())),
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    match last.checked_sub(first) {
        Some(width) if width < WIDEST => Ok((first, last)),
        Some(_) => Err(format!("is a range of more than {WIDEST} ports")),
        None => Err("is a range that ends before it begins".to_owned()),
    }
}

fn address(text: &str) -> Result<Option<Ipv4Addr>, String> {
    match text.trim_matches(['[', ']']).parse() {
        Ok(IpAddr::V4(address)) if address.is_unspecified() => Ok(None),
        Ok(IpAddr::V4(address)) => Ok(Some(address)),
        Ok(IpAddr::V6(_)) => Err("has an IPv6 address of the host, which is not supported yet".to_owned()),
        Err(_) => Err(format!("has no address of the host before the port: `{}`", text.escape_debug())),
    }
}

fn short(text: &str) -> Result<Vec<HostPort>, String> {
    let (text, protocol) = protocol(text)?;
    let (before, container) = text.rsplit_once(':').map_or((None, text), |(before, port)| (Some(before), port));
    let (host, address_text) = match before {
        None => ("", None),
        // An address in brackets has colons of its own.
        Some(before) => match before.rfind(':').filter(|_| !before.ends_with(']')) {
            Some(at) => (&before[at + 1..], Some(&before[..at])),
            None if before.ends_with(']') || before.contains('.') => ("", Some(before)),
            None => (before, None),
        },
    };
    let address = address_text.map_or(Ok(None), address)?;
    ports(address, host, container, protocol)
}

fn ports(address: Option<Ipv4Addr>, host: &str, container: &str, protocol: Protocol) -> Result<Vec<HostPort>, String> {
    let (first, last) = range(container)?;
    let host_first = match host {
        // The engine chooses one.
        "" | "0" => None,
        host => {
            let (host_first, host_last) = range(host)?;
            if host_last - host_first != last - first {
                return Err("must have as many ports of the host as of the container, or none of the host".to_owned());
            }
            Some(host_first)
        }
    };
    let port = |port: u16| HostPort {
        address,
        host_port: host_first.map_or(0, |host_first| host_first + (port - first)),
        container_port: port,
        protocol,
    };
    Ok((first..=last).map(port).collect())
}

fn long(cursor: &Cursor<'_>) -> Option<Vec<HostPort>> {
    cursor.fields(|fields| {
        let target = fields.require("target").and_then(|field| scalar::text(&field));
        let published = scalar::text_of(fields, "published").unwrap_or_default();
        let host_ip = scalar::text_of(fields, "host_ip");
        let word = scalar::text_of(fields, "protocol").unwrap_or_else(|| "tcp".to_owned());
        // Both mean the same without Swarm.
        fields.choice("mode", &[("ingress", ()), ("host", ())]);
        fields.ignore(&["name", "app_protocol"]);
        let read = || {
            let (_, protocol) = protocol(&format!("0/{word}"))?;
            let address = host_ip.as_deref().map_or(Ok(None), address)?;
            ports(address, &published, &target.as_ref().map_or_else(String::new, |target| target.value.clone()), protocol)
        };
        target.as_ref()?;
        report(cursor, read())
    })?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        let line = |port: &HostPort| {
            let address = port.address.map(|address| format!("{address}:")).unwrap_or_default();
            format!("{address}{}:{}/{}", port.host_port, port.container_port, port.protocol.as_str())
        };
        match short(text) {
            Ok(ports) => ports.iter().map(line).collect::<Vec<_>>().join(" "),
            Err(problem) => problem,
        }
    }

    /// The Compose specification, "Ports", short syntax.
    #[test]
    fn every_short_form_is_read() {
        for (text, expected) in [
            ("3000", "0:3000/tcp"),
            ("3000-3001", "0:3000/tcp 0:3001/tcp"),
            ("8000:8001", "8000:8001/tcp"),
            ("9090-9091:8080-8081", "9090:8080/tcp 9091:8081/tcp"),
            ("127.0.0.1:8001:8001", "127.0.0.1:8001:8001/tcp"),
            ("127.0.0.1::5000", "127.0.0.1:0:5000/tcp"),
            ("0.0.0.0:53:53/udp", "53:53/udp"),
            ("6060:6060/udp", "6060:6060/udp"),
            ("127.0.0.1:5000-5001:5000-5001", "127.0.0.1:5000:5000/tcp 127.0.0.1:5001:5001/tcp"),
            ("[::1]:80:80", "has an IPv6 address of the host, which is not supported yet"),
            ("80:80/sctp", "has the protocol `sctp`; supported: `tcp`, `udp`"),
            ("8000-8005:80", "must have as many ports of the host as of the container, or none of the host"),
            ("web:80", "has no port from 1 to 65535: `web`"),
            ("0", "has no port from 1 to 65535: `0`"),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
