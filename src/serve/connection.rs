//! Established connections through a front, counted by the replica's address.
//!
//! The kernel's own table of the front's namespace is read; what was translated has the replica as the
//! source of its replies.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::Ipv4Addr;

/// Counts the established TCP connections to some addresses in the calling thread's namespace.
pub(super) fn count(addresses: &BTreeSet<Ipv4Addr>) -> io::Result<BTreeMap<Ipv4Addr, u64>> {
    Ok(parse(&fs::read_to_string("/proc/thread-self/net/nf_conntrack")?, addresses))
}

/// A line holds the addresses of both directions: those of the client first, those of the replies
/// second. If the replica is not the one that the client asked for, the flow was translated.
fn parse(text: &str, addresses: &BTreeSet<Ipv4Addr>) -> BTreeMap<Ipv4Addr, u64> {
    let mut counts: BTreeMap<Ipv4Addr, u64> = addresses.iter().map(|address| (*address, 0)).collect();
    for line in text.lines().filter(|line| line.starts_with("ipv4 ") && line.contains(" tcp ") && line.contains(" ESTABLISHED ")) {
        let values = |key: &'static str| line.split(' ').filter_map(move |word| word.strip_prefix(key)?.parse::<Ipv4Addr>().ok());
        let (asked, replies) = (values("dst=").next(), values("src=").nth(1));
        if let Some(replies) = replies
            && asked != Some(replies)
            && let Some(count) = counts.get_mut(&replies)
        {
            *count += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_established_translated_tcp_flows_to_asked_addresses_count() {
        let text = "\
ipv4     2 tcp      6 431999 ESTABLISHED src=10.64.0.20 dst=10.64.128.7 sport=40000 dport=80 src=10.64.0.10 dst=10.64.192.20 sport=8080 dport=40000 [ASSURED] mark=0 zone=0 use=2
ipv4     2 tcp      6 431999 ESTABLISHED src=10.64.0.21 dst=10.64.128.7 sport=40001 dport=80 src=10.64.0.11 dst=10.64.192.21 sport=8080 dport=40001 [ASSURED] mark=0 zone=0 use=2
ipv4     2 tcp      6 100 TIME_WAIT src=10.64.0.20 dst=10.64.128.7 sport=40002 dport=80 src=10.64.0.10 dst=10.64.192.20 sport=8080 dport=40002 [ASSURED] mark=0 zone=0 use=2
ipv4     2 tcp      6 431999 ESTABLISHED src=10.64.0.2 dst=10.64.0.10 sport=40003 dport=8080 src=10.64.0.10 dst=10.64.0.2 sport=8080 dport=40003 [ASSURED] mark=0 zone=0 use=2
ipv4     2 udp      17 29 src=10.64.0.20 dst=10.64.128.7 sport=40004 dport=53 src=10.64.0.10 dst=10.64.192.20 sport=53 dport=40004 mark=0 zone=0 use=2
";
        let (asked, idle) = (Ipv4Addr::new(10, 64, 0, 10), Ipv4Addr::new(10, 64, 0, 12));
        assert_eq!(parse(text, &[asked, idle].into()), [(asked, 1), (idle, 0)].into());
    }
}
