//! The names that DNS answers, after the Kubernetes DNS specification, version 1.1.0.
//!
//! One immutable value; `lookup` is a pure function of it. It knows no wire format and forwards
//! nothing: a name that is not ours is `Outside`. A name with a service address always answers it,
//! ready replicas or not; a headless name without endpoints does not exist.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::desired::ServicePort;

/// Seconds that an answer may be kept; negative ones as well.
const TTL: u32 = 5;

/// Seconds that the version of the specification may be kept (section 2.2 of the specification).
const VERSION_TTL: u32 = 28_800;

/// The names that DNS answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Zone {
    /// The zone's name in lower case, without a final dot.
    pub domain: String,
    /// The network whose addresses are ours to name; others are forwarded unless a service has them.
    pub network: Option<Ipv4Net>,
    /// The address of the zone's name server, `ns.dns.<domain>`.
    pub nameserver: Option<Ipv4Addr>,
    /// Services by `<namespace>/<name>`.
    services: BTreeMap<String, ZoneService>,
    /// Full names by address.
    pointers: BTreeMap<Ipv4Addr, BTreeSet<String>>,
}

/// A service as DNS knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ZoneService {
    /// Its namespace or project.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its address; a headless one has none.
    pub address: Option<Ipv4Addr>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// Of a headless one, the replicas behind it.
    pub endpoints: Vec<Endpoint>,
}

/// A replica behind a headless service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Its host names below the service; the first is the one that SRV and PTR records name.
    pub hosts: Vec<String>,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its port for each port of the service.
    pub ports: Vec<Option<u16>>,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// An IPv4 address.
    A,
    /// Host and port of a service.
    Srv,
    /// The name of an address.
    Ptr,
    /// Text.
    Txt,
    /// The zone itself.
    Soa,
    /// The zone's name servers.
    Ns,
    /// Something that no name of ours has.
    Other,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Records, and records that help to use them.
    Found(Vec<ResourceRecord>, Vec<ResourceRecord>),
    /// The name exists in the zone with this name, but has nothing of what is asked.
    NoData(String),
    /// The name does not exist in the zone with this name.
    NoName(String),
    /// The name is in no zone of ours.
    Outside,
}

/// A resource record (RFC 1035, section 3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceRecord {
    /// Its name, without a final dot.
    pub name: String,
    /// Seconds that it may be kept.
    pub ttl: u32,
    /// What it says.
    pub data: Data,
}

/// What a resource record says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Data {
    /// An address.
    A(Ipv4Addr),
    /// Host and port of a service, with priority 0.
    Srv {
        /// Its share of clients among those of one name.
        weight: u16,
        /// The port.
        port: u16,
        /// The host.
        target: String,
    },
    /// The name of an address.
    Ptr(String),
    /// Text.
    Txt(String),
    /// The zone.
    Soa {
        /// Its name server.
        nameserver: String,
        /// Its contact, `hostmaster.<domain>`.
        contact: String,
        /// Its version.
        serial: u32,
    },
    /// A name server.
    Ns(String),
}

impl Zone {
    /// Returns a zone without names.
    pub fn empty(domain: &str) -> Self {
        let domain = domain.trim_end_matches('.').to_ascii_lowercase();
        Zone { domain, network: None, nameserver: None, services: BTreeMap::new(), pointers: BTreeMap::new() }
    }

    /// Returns all services, in the order of their names.
    pub fn services(&self) -> impl Iterator<Item = &ZoneService> {
        self.services.values()
    }

    /// Returns the full names of all services, in order.
    pub fn names(&self) -> Vec<String> {
        self.services.values().map(|service| format!("{}.{}.svc.{}", service.name, service.namespace, self.domain)).collect()
    }

    /// Adds a service; of two with one name the first stays.
    pub fn insert(&mut self, service: ZoneService) {
        let key = format!("{}/{}", service.namespace, service.name).to_ascii_lowercase();
        if self.services.contains_key(&key) {
            return;
        }
        let name = self.service_name(&service);
        if let Some(address) = service.address {
            self.pointers.entry(address).or_default().insert(name.clone());
        }
        for endpoint in &service.endpoints {
            if let Some(host) = endpoint.hosts.first() {
                self.pointers.entry(endpoint.address).or_default().insert(format!("{host}.{name}").to_ascii_lowercase());
            }
        }
        self.services.insert(key, service);
    }

    /// Answers a question about a name; case and a final dot do not matter.
    pub fn lookup(&self, name: &str, question: Question) -> Answer {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let Some(labels) = labels_below(&name, &self.domain) else {
            return self.lookup_pointer(&name, question);
        };
        let found = match labels.as_slice() {
            [] => Some(self.apex(&self.domain, question)),
            ["dns-version"] => Some(match question {
                Question::Txt => vec![ResourceRecord { name: name.clone(), ttl: VERSION_TTL, data: Data::Txt("1.1.0".to_owned()) }],
                _ => Vec::new(),
            }),
            ["dns"] => Some(Vec::new()),
            ["dns", "ns"] => self.nameserver.map(|address| only(question == Question::A, &name, Data::A(address))),
            ["svc"] => Some(Vec::new()),
            ["svc", namespace] => self.has_namespace(namespace).then(Vec::new),
            ["svc", namespace, service, rest @ ..] => {
                let service = self.services.get(&format!("{namespace}/{service}"));
                service.and_then(|service| self.lookup_service(service, rest, &name, question))
            }
            _ => None,
        };
        self.answer(found, &self.domain)
    }

    /// Returns the record that describes the zone; it comes with every negative answer (RFC 2308).
    pub fn soa(&self, apex: &str, serial: u64) -> ResourceRecord {
        let serial = u32::try_from(serial % (1 << 32)).expect("smaller than 2^32");
        let (nameserver, contact) = (format!("ns.dns.{}", self.domain), format!("hostmaster.{}", self.domain));
        ResourceRecord { name: apex.to_owned(), ttl: TTL, data: Data::Soa { nameserver, contact, serial } }
    }

    fn answer(&self, found: Option<Vec<ResourceRecord>>, apex: &str) -> Answer {
        match found {
            None => Answer::NoName(apex.to_owned()),
            Some(answers) if answers.is_empty() => Answer::NoData(apex.to_owned()),
            Some(answers) => {
                let additional = self.additional(&answers);
                Answer::Found(answers, additional)
            }
        }
    }

    /// Returns the records of the zone's own name. The SOA's serial is filled in by who knows it.
    fn apex(&self, apex: &str, question: Question) -> Vec<ResourceRecord> {
        match question {
            Question::Soa => vec![self.soa(apex, 0)],
            Question::Ns => only(self.nameserver.is_some(), apex, Data::Ns(format!("ns.dns.{}", self.domain))),
            _ => Vec::new(),
        }
    }

    /// Returns the records of a name at or below a service; `None` if there is no such name. `rest`
    /// are the labels below the service, the nearest first.
    fn lookup_service(&self, service: &ZoneService, rest: &[&str], name: &str, question: Question) -> Option<Vec<ResourceRecord>> {
        if service.address.is_none() && service.endpoints.is_empty() {
            return None;
        }
        let is_a = question == Question::A;
        match rest {
            [] => match service.address {
                Some(address) => Some(only(is_a, name, Data::A(address))),
                None => Some(unique(is_a, name, service.endpoints.iter().map(|endpoint| Data::A(endpoint.address)))),
            },
            [protocol @ ("_tcp" | "_udp")] => service
                .ports
                .iter()
                .any(|port| !port.name.is_empty() && port.protocol.as_str() == &protocol[1..] && !self.srv(service, port).is_empty())
                .then(Vec::new),
            [protocol @ ("_tcp" | "_udp"), port] => {
                let wanted = port.strip_prefix('_')?;
                let port = service.ports.iter().find(|port| {
                    !port.name.is_empty() && port.name.eq_ignore_ascii_case(wanted) && port.protocol.as_str() == &protocol[1..]
                })?;
                let targets = self.srv(service, port);
                let weight = u16::try_from(100 / targets.len().max(1)).unwrap_or(100).max(1);
                let data = targets.into_iter().map(|(port, target)| Data::Srv { weight, port, target });
                let records = unique(true, name, data);
                (!records.is_empty()).then(|| if question == Question::Srv { records } else { Vec::new() })
            }
            [host] => {
                let hosts =
                    || service.endpoints.iter().filter(|endpoint| endpoint.hosts.iter().any(|name| name.eq_ignore_ascii_case(host)));
                hosts().next()?;
                Some(unique(is_a, name, hosts().map(|endpoint| Data::A(endpoint.address))))
            }
            _ => None,
        }
    }

    /// Returns ports and hosts behind a named port (section 2.3.2 and 2.4.2 of the specification).
    fn srv(&self, service: &ZoneService, port: &ServicePort) -> BTreeSet<(u16, String)> {
        let name = self.service_name(service);
        if service.address.is_some() {
            return [(port.port, name)].into();
        }
        let index = service.ports.iter().position(|candidate| candidate == port);
        let target = |endpoint: &Endpoint| {
            let target = endpoint.ports.get(index?).copied().flatten()?;
            Some((target, format!("{}.{name}", endpoint.hosts.first()?.to_ascii_lowercase())))
        };
        service.endpoints.iter().filter_map(target).collect()
    }

    /// Returns the addresses of hosts that answers name.
    fn additional(&self, answers: &[ResourceRecord]) -> Vec<ResourceRecord> {
        let hosts: BTreeSet<&str> = answers
            .iter()
            .filter_map(|record| match &record.data {
                Data::Srv { target, .. } | Data::Ns(target) => Some(target.as_str()),
                _ => None,
            })
            .collect();
        let addresses = |host: &&str| match self.lookup(host, Question::A) {
            Answer::Found(records, _) => records,
            _ => Vec::new(),
        };
        hosts.iter().flat_map(addresses).collect()
    }

    fn lookup_pointer(&self, name: &str, question: Question) -> Answer {
        let Some(octets) = labels_below(name, "in-addr.arpa") else { return Answer::Outside };
        let Some(octets) = octets.iter().map(|octet| octet.parse::<u8>().ok()).collect::<Option<Vec<u8>>>() else {
            return Answer::Outside;
        };
        if octets.len() > 4 {
            return Answer::Outside;
        }
        let names = <[u8; 4]>::try_from(octets.as_slice()).ok().and_then(|octets| self.pointers.get(&Ipv4Addr::from(octets)));
        let ours = self.network.map(|network| network.network().octets()[..usize::from(network.prefix_len() / 8)].to_vec());
        let apex = match ours.filter(|ours| !ours.is_empty() && octets.starts_with(ours)) {
            Some(ours) => reverse_name(&ours),
            None if names.is_some() => name.to_owned(),
            None => return Answer::Outside,
        };
        if let Some(names) = names {
            let data = names.iter().cloned().map(Data::Ptr);
            return self.answer(Some(unique(question == Question::Ptr, name, data)), &apex);
        }
        let found = match name == apex {
            true => Some(self.apex(&apex, question)),
            false => self.pointers.keys().any(|address| address.octets().starts_with(&octets)).then(Vec::new),
        };
        self.answer(found, &apex)
    }

    fn has_namespace(&self, namespace: &str) -> bool {
        let prefix = format!("{namespace}/");
        self.services.range(prefix.clone()..).next().is_some_and(|(key, _)| key.starts_with(&prefix))
    }

    fn service_name(&self, service: &ZoneService) -> String {
        format!("{}.{}.svc.{}", service.name, service.namespace, self.domain).to_ascii_lowercase()
    }
}

/// Returns the labels of a name below a zone, the nearest first; `None` if it is not in the zone.
fn labels_below<'a>(name: &'a str, zone: &str) -> Option<Vec<&'a str>> {
    let rest = name.strip_suffix(zone)?;
    match rest.strip_suffix('.') {
        Some(rest) => Some(rest.split('.').rev().collect()),
        None if rest.is_empty() => Some(Vec::new()),
        None => None,
    }
}

fn reverse_name(octets: &[u8]) -> String {
    octets.iter().rev().map(|octet| format!("{octet}.")).collect::<String>() + "in-addr.arpa"
}

fn only(asked: bool, name: &str, data: Data) -> Vec<ResourceRecord> {
    unique(asked, name, [data])
}

/// Returns a record for each value, once; none if something else was asked.
fn unique(asked: bool, name: &str, data: impl IntoIterator<Item = Data>) -> Vec<ResourceRecord> {
    if !asked {
        return Vec::new();
    }
    let data: BTreeSet<Data> = data.into_iter().collect();
    data.into_iter().map(|data| ResourceRecord { name: name.to_owned(), ttl: TTL, data }).collect()
}

#[cfg(test)]
mod tests;
