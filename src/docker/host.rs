//! What the machine itself says: its resolvers and the size of packets that it can send.
//!
//! With an engine on another machine these are the agent's own, which is the best there is.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;

/// Returns the resolvers that the host asks, as far as replicas can reach them: IPv4, not on loopback.
pub(super) fn resolvers() -> Vec<Ipv4Addr> {
    // Where a local stub is asked, systemd keeps the real resolvers in a second file.
    let files = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];
    let read = files.iter().map(|file| parse_resolvers(&std::fs::read_to_string(file).unwrap_or_default()));
    read.into_iter().find(|found| !found.is_empty()).unwrap_or_default()
}

fn parse_resolvers(text: &str) -> Vec<Ipv4Addr> {
    let words = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let addresses = words.filter_map(|rest| rest.trim().parse::<IpAddr>().ok());
    addresses
        .filter_map(|address| match address {
            IpAddr::V4(address) if !address.is_loopback() && !address.is_unspecified() => Some(address),
            _ => None,
        })
        .collect()
}

/// Returns the largest packet of the interface with the default route.
pub(super) fn mtu() -> Option<u32> {
    let interface = parse_default_route(&std::fs::read_to_string("/proc/net/route").ok()?)?;
    std::fs::read_to_string(format!("/sys/class/net/{interface}/mtu")).ok()?.trim().parse().ok()
}

/// Returns the networks that the host has routes to.
pub(super) fn routes() -> Vec<Ipv4Net> {
    parse_routes(&std::fs::read_to_string("/proc/net/route").unwrap_or_default())
}

fn parse_routes(text: &str) -> Vec<Ipv4Net> {
    let number = |hexadecimal: &str| Some(Ipv4Addr::from(u32::from_str_radix(hexadecimal, 16).ok()?.swap_bytes()));
    let route = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        Ipv4Net::with_netmask(number(columns.get(1)?)?, number(columns.get(7)?)?).ok()
    };
    // The default route leads everywhere.
    text.lines().skip(1).filter_map(route).filter(|net| net.prefix_len() > 0).collect()
}

fn parse_default_route(text: &str) -> Option<String> {
    let routes = text.lines().skip(1).filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let metric: u32 = columns.get(6)?.parse().ok()?;
        (columns.get(1)? == &"00000000" && columns.get(7)? == &"00000000").then(|| (metric, (*columns[0]).to_owned()))
    });
    routes.min().map(|(_, interface)| interface)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_on_loopback_are_no_use_to_replicas() {
        let text = "# made by hand\nnameserver 127.0.0.53\nnameserver 10.1.2.3\nnameserver ::1\nsearch example.org\n";
        assert_eq!(parse_resolvers(text), [Ipv4Addr::new(10, 1, 2, 3)]);
    }

    #[test]
    fn the_default_route_with_the_lowest_metric_counts() {
        let text = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
                    eth1\t00000000\t0100000A\t0003\t0\t0\t200\t00000000\t0\t0\t0\n\
                    eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
                    eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        assert_eq!(parse_default_route(text), Some("eth0".to_owned()));
        assert_eq!(parse_routes(text), ["10.0.0.0/24".parse().expect("network")]);
    }
}
