//! The kernel rules of a front, as text for `nft -f -`.
//!
//! One table of our own, replaced as a whole in one transaction, so no packet meets half of it and
//! connections that exist go on. Slot maps: the k-th replica of every service is in the k-th map, and
//! there is one chain per *number* of replicas, so the table's cost grows with the number of services
//! and not with its square. Only plain types: `typeof` maps crash older `nft`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::desired::Protocol;
use crate::traffic::{FrontPort, FrontState};

/// The port in a front where connections are held; nothing else runs there.
pub(super) const HOLD_PORT: u16 = 10_080;

/// Returns the kernel rules of a front.
///
/// A port with targets is translated to a random one. A TCP port without any is led to where
/// connections are held, unless its hold time is zero. Everything else meets the front itself, which
/// has no socket there, so the kernel refuses it at once: TCP by a reset, UDP by ICMP.
pub fn rules(front: &FrontState) -> String {
    let mut services = Vec::new();
    let mut slots: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    let mut counts = BTreeSet::new();
    let mut held = Vec::new();
    for port in &front.ports {
        let key = key(port);
        match port.targets.len() {
            0 if port.protocol == Protocol::Tcp && !port.hold.is_zero() => held.push(format!("{} . {}", port.address, port.port)),
            0 => {}
            count => {
                counts.insert(count);
                services.push(format!("{key} : goto pick-{count}"));
                for (slot, target) in port.targets.iter().enumerate() {
                    slots.entry(slot).or_default().push(format!("{key} : {} . {}", target.ip(), target.port()));
                }
            }
        }
    }
    // Both lines first: the second fails without the table that the first makes sure of.
    let mut text = "table ip driftless\ndelete table ip driftless\ntable ip driftless {\n".to_owned();
    named(&mut text, "map services", "ipv4_addr . inet_proto . inet_service : verdict", &services);
    for (slot, elements) in &slots {
        named(&mut text, &format!("map slot-{slot}"), "ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service", elements);
    }
    named(&mut text, "set held", "ipv4_addr . inet_service", &held);
    for slot in slots.keys() {
        chain(&mut text, &format!("to-slot-{slot}"), &[format!("dnat ip to ip daddr . meta l4proto . th dport map @slot-{slot}")]);
    }
    for count in counts {
        chain(&mut text, &format!("pick-{count}"), &[pick(count)]);
    }
    chain(&mut text, "nat_pre", &before_routing(front));
    chain(&mut text, "nat_post", &after_routing(front));
    text.push_str("}\n");
    text
}

fn key(port: &FrontPort) -> String {
    format!("{} . {} . {}", port.address, port.protocol.as_str(), port.port)
}

fn pick(count: usize) -> String {
    if count == 1 {
        return "goto to-slot-0".to_owned();
    }
    let slots: Vec<String> = (0..count).map(|slot| format!("{slot} : goto to-slot-{slot}")).collect();
    format!("numgen random mod {count} vmap {{ {} }}", slots.join(", "))
}

fn before_routing(front: &FrontState) -> Vec<String> {
    let mut lines = vec!["type nat hook prerouting priority dstnat".to_owned()];
    if front.dns {
        lines.push(format!("ip daddr {} meta l4proto {{ tcp, udp }} th dport 53 return", front.address));
    }
    lines.push("ip daddr . meta l4proto . th dport vmap @services".to_owned());
    lines.push(format!("ip daddr . tcp dport @held dnat ip to {}:{HOLD_PORT}", front.address));
    lines
}

fn after_routing(front: &FrontState) -> Vec<String> {
    let mut lines = vec!["type nat hook postrouting priority srcnat".to_owned()];
    if let Some((from, to)) = front.mapped {
        // One front address for all clients would run out of ports towards a busy replica.
        lines.push(format!("ct status dnat snat ip prefix to ip saddr map {{ {from} : {to} }}"));
    }
    lines.push("ct status dnat masquerade".to_owned());
    lines
}

fn named(text: &mut String, name: &str, kind: &str, elements: &[String]) {
    let _ = writeln!(text, "  {name} {{\n    type {kind}");
    if !elements.is_empty() {
        let _ = writeln!(text, "    elements = {{ {} }}", elements.join(", "));
    }
    text.push_str("  }\n");
}

fn chain(text: &mut String, name: &str, lines: &[String]) {
    let _ = writeln!(text, "  chain {name} {{");
    for line in lines {
        let _ = writeln!(text, "    {line};");
    }
    text.push_str("  }\n");
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddrV4};
    use std::time::Duration;

    use super::*;

    fn front(ports: Vec<FrontPort>) -> FrontState {
        FrontState {
            name: "front".to_owned(),
            container: None,
            address: Ipv4Addr::new(10, 64, 0, 2),
            local: Some("10.64.128.0/17".parse().expect("a network")),
            mapped: Some(("10.64.0.0/18".parse().expect("a network"), "10.64.192.0/18".parse().expect("a network"))),
            dns: true,
            ports,
        }
    }

    fn port(protocol: Protocol, port: u16, targets: &[u8]) -> FrontPort {
        FrontPort {
            address: Ipv4Addr::new(10, 64, 128, 7),
            protocol,
            port,
            targets: targets.iter().map(|last| SocketAddrV4::new(Ipv4Addr::new(10, 64, 0, *last), 8080)).collect(),
            hold: Duration::from_secs(10),
        }
    }

    #[test]
    fn ports_with_replicas_are_translated_and_tcp_ports_without_are_held() {
        let refused = FrontPort { hold: Duration::ZERO, ..port(Protocol::Tcp, 83, &[]) };
        let ports = vec![
            port(Protocol::Tcp, 80, &[10, 11]),
            port(Protocol::Tcp, 81, &[12]),
            port(Protocol::Tcp, 82, &[]),
            port(Protocol::Udp, 53, &[10, 11, 12]),
            port(Protocol::Udp, 54, &[]),
            refused,
        ];
        insta::assert_snapshot!(rules(&front(ports)), @r"
        table ip driftless
        delete table ip driftless
        table ip driftless {
          map services {
            type ipv4_addr . inet_proto . inet_service : verdict
            elements = { 10.64.128.7 . tcp . 80 : goto pick-2, 10.64.128.7 . tcp . 81 : goto pick-1, 10.64.128.7 . udp . 53 : goto pick-3 }
          }
          map slot-0 {
            type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
            elements = { 10.64.128.7 . tcp . 80 : 10.64.0.10 . 8080, 10.64.128.7 . tcp . 81 : 10.64.0.12 . 8080, 10.64.128.7 . udp . 53 : 10.64.0.10 . 8080 }
          }
          map slot-1 {
            type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
            elements = { 10.64.128.7 . tcp . 80 : 10.64.0.11 . 8080, 10.64.128.7 . udp . 53 : 10.64.0.11 . 8080 }
          }
          map slot-2 {
            type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
            elements = { 10.64.128.7 . udp . 53 : 10.64.0.12 . 8080 }
          }
          set held {
            type ipv4_addr . inet_service
            elements = { 10.64.128.7 . 82 }
          }
          chain to-slot-0 {
            dnat ip to ip daddr . meta l4proto . th dport map @slot-0;
          }
          chain to-slot-1 {
            dnat ip to ip daddr . meta l4proto . th dport map @slot-1;
          }
          chain to-slot-2 {
            dnat ip to ip daddr . meta l4proto . th dport map @slot-2;
          }
          chain pick-1 {
            goto to-slot-0;
          }
          chain pick-2 {
            numgen random mod 2 vmap { 0 : goto to-slot-0, 1 : goto to-slot-1 };
          }
          chain pick-3 {
            numgen random mod 3 vmap { 0 : goto to-slot-0, 1 : goto to-slot-1, 2 : goto to-slot-2 };
          }
          chain nat_pre {
            type nat hook prerouting priority dstnat;
            ip daddr 10.64.0.2 meta l4proto { tcp, udp } th dport 53 return;
            ip daddr . meta l4proto . th dport vmap @services;
            ip daddr . tcp dport @held dnat ip to 10.64.0.2:10080;
          }
          chain nat_post {
            type nat hook postrouting priority srcnat;
            ct status dnat snat ip prefix to ip saddr map { 10.64.0.0/18 : 10.64.192.0/18 };
            ct status dnat masquerade;
          }
        }
        ");
    }

    #[test]
    fn a_front_of_one_service_masquerades_all_clients() {
        let mut front = front(vec![port(Protocol::Tcp, 80, &[])]);
        front.ports[0].address = front.address;
        (front.local, front.mapped, front.dns) = (None, None, false);
        insta::assert_snapshot!(rules(&front), @r"
        table ip driftless
        delete table ip driftless
        table ip driftless {
          map services {
            type ipv4_addr . inet_proto . inet_service : verdict
          }
          set held {
            type ipv4_addr . inet_service
            elements = { 10.64.0.2 . 80 }
          }
          chain nat_pre {
            type nat hook prerouting priority dstnat;
            ip daddr . meta l4proto . th dport vmap @services;
            ip daddr . tcp dport @held dnat ip to 10.64.0.2:10080;
          }
          chain nat_post {
            type nat hook postrouting priority srcnat;
            ct status dnat masquerade;
          }
        }
        ");
    }
}
