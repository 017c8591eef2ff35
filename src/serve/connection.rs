//! Connections through a front, as the kernel's table of its namespace has them.
//!
//! What a rule translated has the replica as the source of its replies. TCP connections of a replica
//! that left are counted and go on; UDP flows that no rule would make any more are deleted, because
//! the kernel would send a client that never pauses to a replica that is gone for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};

use crate::desired::Protocol;
use crate::traffic::FrontState;

use super::netlink;

/// Counts the TCP connections to some addresses, in the calling thread's namespace.
pub(super) fn count(addresses: &BTreeSet<Ipv4Addr>) -> io::Result<BTreeMap<Ipv4Addr, u64>> {
    Ok(count_in(&read()?, addresses))
}

/// Deletes UDP flows that the front's rules would not make, in the calling thread's namespace.
pub(super) fn forget(front: &FrontState) -> io::Result<()> {
    for flow in stale(&read()?, front) {
        netlink::delete_udp(flow.client, flow.service)?;
    }
    Ok(())
}

fn read() -> io::Result<String> {
    fs::read_to_string("/proc/thread-self/net/nf_conntrack")
}

/// One line of the kernel's table: who asked whom, and who answers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Flow {
    protocol: Protocol,
    /// It is not over: a connection that is just beginning counts as well.
    open: bool,
    client: SocketAddrV4,
    service: SocketAddrV4,
    replica: SocketAddrV4,
}

fn flow(line: &str) -> Option<Flow> {
    let mut words = line.split_ascii_whitespace();
    let (family, _, protocol) = (words.next()?, words.next()?, words.next()?);
    let protocol = [Protocol::Tcp, Protocol::Udp].into_iter().find(|candidate| candidate.as_str() == protocol)?;
    if family != "ipv4" {
        return None;
    }
    let open = words.any(|word| matches!(word, "SYN_SENT" | "SYN_RECV" | "ESTABLISHED" | "FIN_WAIT" | "CLOSE_WAIT"));
    let values = |key: &'static str| line.split_ascii_whitespace().filter_map(move |word| word.strip_prefix(key));
    let address = |key: &'static str, index: usize| values(key).nth(index)?.parse::<Ipv4Addr>().ok();
    let port = |key: &'static str, index: usize| values(key).nth(index)?.parse::<u16>().ok();
    Some(Flow {
        protocol,
        open,
        client: SocketAddrV4::new(address("src=", 0)?, port("sport=", 0)?),
        service: SocketAddrV4::new(address("dst=", 0)?, port("dport=", 0)?),
        replica: SocketAddrV4::new(address("src=", 1)?, port("sport=", 1)?),
    })
}

fn count_in(table: &str, addresses: &BTreeSet<Ipv4Addr>) -> BTreeMap<Ipv4Addr, u64> {
    let mut counts: BTreeMap<Ipv4Addr, u64> = addresses.iter().map(|address| (*address, 0)).collect();
    let translated = |flow: &Flow| flow.protocol == Protocol::Tcp && flow.open && flow.service.ip() != flow.replica.ip();
    for flow in table.lines().filter_map(flow).filter(translated) {
        if let Some(count) = counts.get_mut(flow.replica.ip()) {
            *count += 1;
        }
    }
    counts
}

fn stale(table: &str, front: &FrontState) -> Vec<Flow> {
    // On several networks it has an address on each, and all of them are in its ports.
    let own = |address: Ipv4Addr| front.address == address || front.ports.iter().any(|port| port.address == address);
    let ours = |address: Ipv4Addr| own(address) || front.local.is_some_and(|local| local.contains(&address));
    let stale = |flow: &Flow| {
        let port = front.port(Protocol::Udp, *flow.service.ip(), flow.service.port());
        match port.map_or(&[][..], |port| &port.targets) {
            // Nobody to lead it to: it belongs to the front itself, where DNS may answer.
            [] => flow.replica != flow.service,
            targets => !targets.contains(&flow.replica),
        }
    };
    table.lines().filter_map(flow).filter(|flow| flow.protocol == Protocol::Udp && ours(*flow.service.ip()) && stale(flow)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::FrontPort;

    #[test]
    fn translated_tcp_connections_that_are_not_over_count() {
        let table = "\
ipv4     2 tcp      6 431999 ESTABLISHED src=10.64.0.20 dst=10.64.128.7 sport=40000 dport=80 src=10.64.0.10 dst=10.64.192.20 sport=8080 dport=40000 [ASSURED] mark=0 zone=0 use=2
ipv4     2 tcp      6 119 SYN_SENT src=10.64.0.20 dst=10.64.128.7 sport=40009 dport=80 [UNREPLIED] src=10.64.0.10 dst=10.64.192.20 sport=8080 dport=40009 mark=0 zone=0 use=2
ipv4     2 tcp      6 431999 ESTABLISHED src=10.64.0.21 dst=10.64.128.7 sport=40001 dport=80 src=10.64.0.11 dst=10.64.192.21 sport=8080 dport=40001 [ASSURED] mark=0 zone=0 use=2
ipv4     2 tcp      6 100 TIME_WAIT src=10.64.0.20 dst=10.64.128.7 sport=40002 dport=80 src=10.64.0.10 dst=10.64.192.20 sport=8080 dport=40002 [ASSURED] mark=0 zone=0 use=2
ipv4     2 tcp      6 431999 ESTABLISHED src=10.64.0.2 dst=10.64.0.10 sport=40003 dport=8080 src=10.64.0.10 dst=10.64.0.2 sport=8080 dport=40003 [ASSURED] mark=0 zone=0 use=2
ipv4     2 udp      17 29 src=10.64.0.20 dst=10.64.128.7 sport=40004 dport=53 src=10.64.0.10 dst=10.64.192.20 sport=53 dport=40004 mark=0 zone=0 use=2
ipv4     2 icmp     1 29 src=10.64.0.20 dst=10.64.128.7 type=8 code=0 id=1 src=10.64.128.7 dst=10.64.0.20 type=0 code=0 id=1 mark=0 use=2
";
        let (asked, idle) = (Ipv4Addr::new(10, 64, 0, 10), Ipv4Addr::new(10, 64, 0, 12));
        assert_eq!(count_in(table, &[asked, idle].into()), [(asked, 2), (idle, 0)].into());
    }

    #[test]
    fn udp_flows_that_no_rule_would_make_are_stale() {
        let (kept, empty) = (Ipv4Addr::new(10, 64, 128, 7), Ipv4Addr::new(10, 64, 128, 8));
        let elsewhere = Ipv4Addr::new(10, 80, 0, 2);
        let port = |address, targets: &[SocketAddrV4]| FrontPort {
            address,
            protocol: Protocol::Udp,
            port: 53,
            targets: targets.to_vec(),
            hold: std::time::Duration::ZERO,
        };
        let front = FrontState {
            name: "front".to_owned(),
            container: None,
            address: Ipv4Addr::new(10, 64, 0, 2),
            local: Some("10.64.128.0/17".parse().expect("a network")),
            mapped: None,
            dns: true,
            ports: vec![port(kept, &[SocketAddrV4::new(Ipv4Addr::new(10, 64, 0, 10), 5353)]), port(empty, &[]), port(elsewhere, &[])],
        };
        let line = |client: u16, service: &str, replica: &str, port: u16| {
            format!(
                "ipv4     2 udp      17 29 src=10.64.0.20 dst={service} sport={client} dport=53 [UNREPLIED] \
                 src={replica} dst=10.64.192.20 sport={port} dport={client} mark=0 use=2\n"
            )
        };
        let table = [
            line(1, "10.64.128.7", "10.64.0.10", 5353),
            line(2, "10.64.128.7", "10.64.0.11", 5353),
            line(3, "10.64.128.7", "10.64.128.7", 53),
            line(4, "10.64.128.8", "10.64.128.8", 53),
            line(5, "10.64.128.8", "10.64.0.10", 5353),
            line(6, "10.64.128.9", "10.64.0.10", 5353),
            line(7, "10.64.0.2", "10.64.0.2", 53),
            line(8, "192.0.2.1", "192.0.2.7", 53),
            line(9, "10.80.0.2", "10.80.0.10", 5353),
        ]
        .concat();
        let clients: Vec<u16> = stale(&table, &front).iter().map(|flow| flow.client.port()).collect();
        assert_eq!(clients, [2, 3, 5, 6, 9]);
    }
}
