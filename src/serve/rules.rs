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
