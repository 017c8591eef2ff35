//! Which addresses the installation's network has.
//!
//! A network that was made before keeps them; otherwise it is the first /16 of the pool that neither
//! the engine nor the host's routes use. Another installation's pool is never shared.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::desired::Layout;
use crate::name::Name;
use crate::observed::{Labels, Live, Network};

/// Why no addresses can be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Overlap {
    /// Another installation on the same engine has a part of the pool.
    #[error("network pool {pool} overlaps {subnet}, which installation `{owner}` on this engine uses")]
    Owner {
        /// The pool.
        pool: Ipv4Net,
        /// The other's network.
        subnet: Ipv4Net,
        /// The other.
        owner: Name,
    },
    /// Every /16 of the pool is used by something else.
    #[error("network pool {pool} has no free /16: all of it is in the host's routes or Docker's networks")]
    Full {
        /// The pool.
        pool: Ipv4Net,
    },
}

/// Chooses the addresses of the installation's network from the pool.
pub(super) fn choose(pool: Ipv4Net, owner: &Name, live: &Live, routes: &[Ipv4Net]) -> Result<Layout, Overlap> {
    let ours = || owned(live).filter(|(labels, ..)| labels.owner == *owner);
    let own_name = format!("driftless-{owner}");
    if let Some(layout) = ours().find(|(_, network, _)| network.name == own_name).and_then(|(.., subnet)| Layout::new(subnet)) {
        return Ok(layout);
    }
    if let Some((labels, _, subnet)) = owned(live).find(|(labels, _, subnet)| labels.owner != *owner && overlap(pool, *subnet)) {
        return Err(Overlap::Owner { pool, subnet, owner: labels.owner.clone() });
    }
    let used: Vec<Ipv4Net> = live
        .networks
        .iter()
        .flat_map(|network| network.subnets.iter().filter_map(|subnet| subnet.parse().ok()))
        .chain(routes.iter().copied())
        .collect();
    let free =
        pool.subnets(pool.prefix_len().max(16)).ok().and_then(|mut parts| parts.find(|part| !used.iter().any(|net| overlap(*net, *part))));
    free.and_then(Layout::new).ok_or(Overlap::Full { pool })
}

/// Returns the networks of all installations on the engine, with their subnets.
fn owned(live: &Live) -> impl Iterator<Item = (&Labels, &Network, Ipv4Net)> {
    let labelled = live.networks.iter().filter_map(|network| Some((network.labels.as_ref()?, network)));
    labelled.flat_map(|(labels, network)| network.subnets.iter().filter_map(move |subnet| Some((labels, network, subnet.parse().ok()?))))
}

fn overlap(one: Ipv4Net, other: Ipv4Net) -> bool {
    one.contains(&other) || other.contains(&one)
}

/// Returns the host's routes but the default one.
pub(super) fn routes() -> Vec<Ipv4Net> {
    // Without the file (not Linux, no /proc) only the engine's own networks are known.
    parse_routes(&std::fs::read_to_string("/proc/net/route").unwrap_or_default())
}

fn parse_routes(text: &str) -> Vec<Ipv4Net> {
    let address = |field: &str| u32::from_str_radix(field, 16).ok().map(|number| Ipv4Addr::from(number.swap_bytes()));
    let route = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let net = Ipv4Net::with_netmask(address(fields.get(1)?)?, address(fields.get(7)?)?).ok()?;
        (net.prefix_len() > 0).then(|| net.trunc())
    };
    text.lines().skip(1).filter_map(route).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{Kind, ObjectId};

    fn name(text: &str) -> Name {
        Name::try_from(text).expect("a name")
    }

    fn network(host_name: &str, owner: Option<&str>, subnet: &str) -> Network {
        let labels = owner.map(|owner| Labels {
            owner: name(owner),
            application: None,
            object: ObjectId::new(name(owner), Kind::Network, name(host_name)),
            container: String::new(),
            hash: None,
            created_revision: String::new(),
            front: None,
        });
        Network { id: host_name.to_owned(), name: host_name.to_owned(), labels, made_for: None, subnets: vec![subnet.to_owned()] }
    }

    fn chosen(pool: &str, networks: Vec<Network>, routes: &[&str]) -> Result<String, Overlap> {
        let routes: Vec<Ipv4Net> = routes.iter().map(|route| route.parse().expect("a network")).collect();
        let live = Live { networks, ..Live::default() };
        choose(pool.parse().expect("a network"), &name("me"), &live, &routes).map(|layout| layout.network.to_string())
    }

    #[test]
    fn the_first_free_part_of_the_pool_is_taken() {
        assert_eq!(chosen("10.64.0.0/12", vec![], &[]), Ok("10.64.0.0/16".into()));
        assert_eq!(chosen("10.64.0.0/12", vec![network("x", None, "10.64.3.0/24")], &["10.65.0.0/16"]), Ok("10.66.0.0/16".into()));
        assert!(matches!(chosen("10.64.0.0/16", vec![], &["10.0.0.0/8"]), Err(Overlap::Full { .. })));
    }

    #[test]
    fn a_network_that_was_made_before_keeps_its_addresses() {
        let own = network("driftless-me", Some("me"), "10.70.0.0/16");
        assert_eq!(chosen("10.64.0.0/12", vec![own], &["10.70.0.0/16"]), Ok("10.70.0.0/16".into()));
    }

    #[test]
    fn another_installation_never_shares_its_pool() {
        let other = network("driftless-you", Some("you"), "10.70.0.0/16");
        let refused = chosen("10.64.0.0/12", vec![other], &[]);
        assert!(matches!(refused, Err(Overlap::Owner { owner, .. }) if owner == name("you")));
    }

    #[test]
    fn routes_are_read_as_the_kernel_writes_them() {
        let text = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
                    eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                    docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        assert_eq!(parse_routes(text), vec!["172.17.0.0/16".parse::<Ipv4Net>().expect("a network")]);
    }
}
