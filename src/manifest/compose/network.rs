//! The networks of a service: their names on the host, what it is called on them, whose it shares.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::desired::field;
use crate::manifest::cursor::{Cursor, Fields};
use crate::manifest::node::{Located, Value};

use super::lower::Lower;
use super::service::Service;
use super::{scalar, unknown_name};

/// Reads the addresses that a network shall have.
pub(super) fn ipam(fields: &mut Fields<'_>) -> Vec<BTreeMap<String, String>> {
    fields.only("driver", &Value::Text("default".to_owned()), "the engine gives the addresses");
    fields.refuse(&[("options", "the engine gives the addresses")]);
    let config = |config: Cursor<'_>| {
        config.fields(|fields| {
            let subnet = checked(fields, "subnet", "an IPv4 network", "10.1.2.0/24", |text| text.parse::<Ipv4Net>().ok());
            let within = |network: &Ipv4Net| subnet.as_ref().is_none_or(|(_, subnet)| subnet.contains(network));
            let range = checked(fields, "ip_range", "an IPv4 network within the subnet", "10.1.2.128/25", |text| {
                text.parse::<Ipv4Net>().ok().filter(within)
            });
            let gateway = checked(fields, "gateway", "an IPv4 address within the subnet", "10.1.2.1", |text| {
                text.parse::<Ipv4Addr>().ok().filter(|address| within(&Ipv4Net::from(*address)))
            });
            fields.refuse(&[("aux_addresses", "addresses cannot be kept free yet")]);
            let names = [("subnet", subnet.map(|it| it.0)), ("ip_range", range.map(|it| it.0)), ("gateway", gateway.map(|it| it.0))];
            names.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?))).collect()
        })
    };
    fields.items("config").into_iter().filter_map(config).collect()
}

/// Returns a text and what it means; one that means nothing is refused.
fn checked<T>(
    fields: &mut Fields<'_>,
    name: &'static str,
    wanted: &str,
    example: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Option<(String, T)> {
    let field = fields.get(name)?;
    let text = scalar::text(&field)?.value;
    let value = read(&text);
    if value.is_none() {
        field.error_with("bad-address", format!("is not {wanted}: `{}`", text.escape_debug()), format!("write it as `{example}`"));
    }
    Some((text, value?))
}

impl Lower<'_> {
    /// Returns a network's name on the host.
    pub(super) fn network_name(&self, name: &str) -> String {
        let project = &self.project.name;
        match self.project.networks.get(name) {
            Some(declared) if declared.external => declared.name.clone().unwrap_or_else(|| name.to_owned()),
            Some(declared) => declared.name.clone().unwrap_or_else(|| format!("{project}_{name}")),
            None => format!("{project}_{name}"),
        }
    }

    /// Returns the names on the host of a service's networks, each with further names of the service.
    pub(super) fn endpoints(&self, service: &Service) -> Vec<(String, BTreeSet<String>)> {
        if service.options.network_mode.is_some() {
            if let Some((name, _)) = service.networks.first() {
                self.sink.error_with("contradiction", name.span, "`networks` contradicts `network_mode`", "leave one of them out");
            }
            return Vec::new();
        }
        for (name, _) in &service.networks {
            if name.value != "default" && !self.project.networks.contains_key(&name.value) {
                let message = format!("there is no network `{}` in `networks` at the top", name.value.escape_debug());
                unknown_name("missing-network", name, message, self.project.networks.keys().map(String::as_str), self.sink);
            }
        }
        match service.networks.is_empty() {
            true => vec![(self.network_name("default"), BTreeSet::new())],
            false => service.networks.iter().map(|(name, endpoint)| (self.network_name(&name.value), endpoint.aliases.clone())).collect(),
        }
    }

    /// Returns what the file calls the networks of a service, which have other names on the host.
    pub(super) fn network_paths(&self, service: &Service) -> BTreeMap<String, String> {
        let names = service.networks.iter().map(|(name, _)| name.value.as_str()).chain(service.networks.is_empty().then_some("default"));
        let paths = |name: &str| {
            let host_name = self.network_name(name);
            let path = |below: &str| format!("networks.{name}{below}");
            [
                (field::network(&host_name), path("")),
                (field::aliases(&host_name), path(".aliases")),
                (field::mac(&host_name), path(".mac_address")),
            ]
        };
        names.flat_map(paths).collect()
    }

    /// Returns hardware addresses by the name on the host of the network; that of the service is for its first.
    pub(super) fn macs(&self, service: &Service) -> BTreeMap<String, String> {
        if service.options.network_mode.is_some() {
            if let Some(mac) = &service.mac {
                self.sink.error_with("contradiction", mac.span, "`mac_address` contradicts `network_mode`", "leave one of them out");
            }
            return BTreeMap::new();
        }
        let first = service.networks.first().map_or("default", |(name, _)| name.value.as_str());
        let mut macs: BTreeMap<String, String> = service
            .networks
            .iter()
            .filter_map(|(name, endpoint)| Some((self.network_name(&name.value), endpoint.mac.as_ref()?.value.clone())))
            .collect();
        if let Some(mac) = &service.mac
            && macs.insert(self.network_name(first), mac.value.clone()).is_some_and(|other| other != mac.value)
        {
            let message = format!("`mac_address` contradicts that of network `{first}`");
            self.sink.error_with("contradiction", mac.span, message, "leave one of them out");
        }
        macs
    }

    /// A replica in the network namespace of another has what that one has, and nothing of its own.
    pub(super) fn check_shared_network(&self, service: &Service) {
        let Some(name) = service.options.shares_network_of() else { return };
        let error = |message: String, hint: &str| self.sink.error_with("shared-network", service.span, message, hint);
        match self.services.get(name) {
            None => {
                let message = format!("it shares the network of `{}`, and there is no such service", name.escape_debug());
                let name = Located { value: name.to_owned(), span: service.span };
                unknown_name("missing-service", &name, message, self.services.keys().copied(), self.sink);
            }
            Some(owner) if owner.replicas.as_ref().is_some_and(|replicas| replicas.value != 1) => {
                let message = format!("it shares the network of `{name}`, which must have exactly one replica for that");
                error(message, "let that one have one replica, or put both on a network");
            }
            Some(owner) if owner.options.network_mode.is_some() => {
                let message = format!("it shares the network of `{name}`, which has none of its own");
                error(message, "name the one whose network it is");
            }
            Some(_) => {}
        }
        let options = &service.options;
        for (attribute, is_written) in [
            ("ports", !service.ports.is_empty()),
            ("expose", !service.expose.is_empty()),
            ("hostname", service.hostname.is_some()),
            ("domainname", options.domainname.is_some()),
            ("extra_hosts", !options.extra_hosts.is_empty()),
            ("dns", !options.dns.is_empty()),
            ("dns_search", !options.dns_search.is_empty()),
            ("dns_opt", !options.dns_options.is_empty()),
            ("uts", options.uts.is_some()),
        ] {
            if is_written {
                error(format!("`{attribute}` belongs to `{name}`, whose network it shares"), "write it there");
            }
        }
    }
}
