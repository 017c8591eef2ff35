//! The networks of a service: their names on the host, what it is called on them, whose it shares.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::field;
use crate::manifest::node::Located;

use super::lower::Lower;
use super::service::Service;
use super::unknown_name;

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
                self.sink.error("contradiction", name.span, "`networks` contradicts `network_mode`");
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
                self.sink.error("contradiction", mac.span, "`mac_address` contradicts `network_mode`");
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
            self.sink.error("contradiction", mac.span, format!("`mac_address` contradicts that of network `{first}`"));
        }
        macs
    }

    /// A replica in the network namespace of another has what that one has, and nothing of its own.
    pub(super) fn check_shared_network(&self, service: &Service) {
        let Some(name) = service.options.shares_network_of() else { return };
        let error = |message: String| self.sink.error("shared-network", service.span, message);
        match self.services.get(name) {
            None => {
                let message = format!("it shares the network of `{}`, and there is no such service", name.escape_debug());
                let name = Located { value: name.to_owned(), span: service.span };
                unknown_name("missing-service", &name, message, self.services.keys().copied(), self.sink);
            }
            Some(owner) if owner.replicas.as_ref().is_some_and(|replicas| replicas.value != 1) => {
                error(format!("it shares the network of `{name}`, which must have exactly one replica for that"));
            }
            Some(owner) if owner.options.network_mode.is_some() => {
                error(format!("it shares the network of `{name}`, which has none of its own: name the one whose network it is"));
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
                error(format!("`{attribute}` belongs to `{name}`, whose network it shares"));
            }
        }
    }
}
