//! Tables re-derived from the Kubernetes DNS specification 1.1.0, section by section.

use super::*;
use crate::desired::Protocol;

fn port(name: &str, protocol: Protocol, port: u16) -> ServicePort {
    ServicePort { name: name.to_owned(), protocol, port }
}

fn endpoint(hosts: &[&str], last: u8, ports: &[Option<u16>]) -> Endpoint {
    Endpoint {
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        address: Ipv4Addr::new(10, 64, 1, last),
        ports: ports.to_vec(),
    }
}

fn zone() -> Zone {
    let service = |namespace: &str, name: &str| ZoneService {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        address: None,
        ports: Vec::new(),
        endpoints: Vec::new(),
    };
    let mut zone = Zone::empty("Cluster.Local.");
    zone.network = Some("10.64.0.0/16".parse().expect("network"));
    zone.nameserver = Some(Ipv4Addr::new(10, 64, 0, 2));
    zone.insert(ZoneService {
        address: Some(Ipv4Addr::new(10, 64, 128, 7)),
        ports: vec![port("http", Protocol::Tcp, 80), port("", Protocol::Tcp, 81), port("dns", Protocol::Udp, 53)],
        ..service("shop", "web")
    });
    zone.insert(ZoneService {
        ports: vec![port("sql", Protocol::Tcp, 5432), port("metrics", Protocol::Tcp, 9)],
        endpoints: vec![
            endpoint(&["10-64-1-1", "db-a"], 1, &[Some(5432), None]),
            endpoint(&["10-64-1-2", "db-b"], 2, &[Some(5432), None]),
            endpoint(&["main"], 3, &[Some(5433), None]),
        ],
        ..service("shop", "db")
    });
    zone.insert(ZoneService { ports: vec![port("http", Protocol::Tcp, 80)], ..service("shop", "empty") });
    zone.insert(service("idle", "none"));
    zone
}

/// Writes an answer as people do: records separated by ` / `, additional ones behind ` + `.
fn ask(name: &str, question: Question) -> String {
    let text = |records: &[ResourceRecord]| {
        let each = |record: &ResourceRecord| match &record.data {
            Data::A(address) => format!("{} {} A {address}", record.name, record.ttl),
            Data::Srv { weight, port, target } => format!("{} {} SRV 0 {weight} {port} {target}", record.name, record.ttl),
            Data::Ptr(target) => format!("{} {} PTR {target}", record.name, record.ttl),
            Data::Txt(text) => format!("{} {} TXT {text}", record.name, record.ttl),
            Data::Soa { nameserver, contact, serial } => format!("{} {} SOA {nameserver} {contact} {serial}", record.name, record.ttl),
            Data::Ns(target) => format!("{} {} NS {target}", record.name, record.ttl),
        };
        records.iter().map(each).collect::<Vec<_>>().join(" / ")
    };
    match zone().lookup(name, question) {
        Answer::Found(answers, additional) if additional.is_empty() => text(&answers),
        Answer::Found(answers, additional) => format!("{} + {}", text(&answers), text(&additional)),
        Answer::NoData(apex) => format!("no data {apex}"),
        Answer::NoName(apex) => format!("no name {apex}"),
        Answer::Outside => "outside".to_owned(),
    }
}

fn check(question: Question, rows: &[(&str, &str)]) {
    for (name, expected) in rows {
        assert_eq!(ask(name, question), *expected, "{name} {question:?}");
    }
}

#[test]
fn a_service_name_answers_its_address() {
    check(
        Question::A,
        &[
            ("web.shop.svc.cluster.local", "web.shop.svc.cluster.local 5 A 10.64.128.7"),
            ("WEB.Shop.svc.CLUSTER.local.", "web.shop.svc.cluster.local 5 A 10.64.128.7"),
            ("ns.dns.cluster.local", "ns.dns.cluster.local 5 A 10.64.0.2"),
            ("other.shop.svc.cluster.local", "no name cluster.local"),
            ("web.other.svc.cluster.local", "no name cluster.local"),
            ("host.web.shop.svc.cluster.local", "no name cluster.local"),
            ("cluster.localx", "outside"),
            ("notcluster.local", "outside"),
            ("example.org", "outside"),
        ],
    );
}

#[test]
fn a_headless_name_answers_its_ready_replicas_and_without_any_does_not_exist() {
    let all = "db.shop.svc.cluster.local 5 A 10.64.1.1 / db.shop.svc.cluster.local 5 A 10.64.1.2 / db.shop.svc.cluster.local 5 A 10.64.1.3";
    check(
        Question::A,
        &[
            ("db.shop.svc.cluster.local", all),
            ("10-64-1-2.db.shop.svc.cluster.local", "10-64-1-2.db.shop.svc.cluster.local 5 A 10.64.1.2"),
            ("DB-B.db.shop.svc.cluster.local", "db-b.db.shop.svc.cluster.local 5 A 10.64.1.2"),
            ("main.db.shop.svc.cluster.local", "main.db.shop.svc.cluster.local 5 A 10.64.1.3"),
            ("10-64-1-9.db.shop.svc.cluster.local", "no name cluster.local"),
            ("empty.shop.svc.cluster.local", "no name cluster.local"),
            ("_http._tcp.empty.shop.svc.cluster.local", "no name cluster.local"),
        ],
    );
}

#[test]
fn named_ports_have_srv_records() {
    check(
        Question::Srv,
        &[
            (
                "_http._tcp.web.shop.svc.cluster.local",
                "_http._tcp.web.shop.svc.cluster.local 5 SRV 0 100 80 web.shop.svc.cluster.local + web.shop.svc.cluster.local 5 A 10.64.128.7",
            ),
            (
                "_dns._udp.web.shop.svc.cluster.local",
                "_dns._udp.web.shop.svc.cluster.local 5 SRV 0 100 53 web.shop.svc.cluster.local + web.shop.svc.cluster.local 5 A 10.64.128.7",
            ),
            (
                "_sql._tcp.db.shop.svc.cluster.local",
                "_sql._tcp.db.shop.svc.cluster.local 5 SRV 0 33 5432 10-64-1-1.db.shop.svc.cluster.local \
                 / _sql._tcp.db.shop.svc.cluster.local 5 SRV 0 33 5432 10-64-1-2.db.shop.svc.cluster.local \
                 / _sql._tcp.db.shop.svc.cluster.local 5 SRV 0 33 5433 main.db.shop.svc.cluster.local \
                 + 10-64-1-1.db.shop.svc.cluster.local 5 A 10.64.1.1 / 10-64-1-2.db.shop.svc.cluster.local 5 A 10.64.1.2 \
                 / main.db.shop.svc.cluster.local 5 A 10.64.1.3",
            ),
            ("_http._udp.web.shop.svc.cluster.local", "no name cluster.local"),
            ("_._tcp.web.shop.svc.cluster.local", "no name cluster.local"),
            ("_metrics._tcp.db.shop.svc.cluster.local", "no name cluster.local"),
            ("_tcp.web.shop.svc.cluster.local", "no data cluster.local"),
            ("_udp.db.shop.svc.cluster.local", "no name cluster.local"),
            ("web.shop.svc.cluster.local", "no data cluster.local"),
        ],
    );
    check(Question::A, &[("_http._tcp.web.shop.svc.cluster.local", "no data cluster.local")]);
}

#[test]
fn addresses_have_names() {
    check(
        Question::Ptr,
        &[
            ("7.128.64.10.in-addr.arpa", "7.128.64.10.in-addr.arpa 5 PTR web.shop.svc.cluster.local"),
            ("1.1.64.10.in-addr.arpa", "1.1.64.10.in-addr.arpa 5 PTR 10-64-1-1.db.shop.svc.cluster.local"),
            ("3.1.64.10.IN-ADDR.arpa.", "3.1.64.10.in-addr.arpa 5 PTR main.db.shop.svc.cluster.local"),
            ("9.128.64.10.in-addr.arpa", "no name 64.10.in-addr.arpa"),
            ("128.64.10.in-addr.arpa", "no data 64.10.in-addr.arpa"),
            ("130.64.10.in-addr.arpa", "no name 64.10.in-addr.arpa"),
            ("64.10.in-addr.arpa", "no data 64.10.in-addr.arpa"),
            ("1.0.65.10.in-addr.arpa", "outside"),
            ("10.in-addr.arpa", "outside"),
            ("x.64.10.in-addr.arpa", "outside"),
        ],
    );
    check(Question::A, &[("7.128.64.10.in-addr.arpa", "no data 64.10.in-addr.arpa")]);
}

#[test]
fn the_version_is_text() {
    check(Question::Txt, &[("dns-version.cluster.local", "dns-version.cluster.local 28800 TXT 1.1.0")]);
    check(Question::A, &[("dns-version.cluster.local", "no data cluster.local"), ("x.dns-version.cluster.local", "no name cluster.local")]);
}

#[test]
fn names_between_existing_names_exist() {
    check(
        Question::A,
        &[
            ("cluster.local", "no data cluster.local"),
            ("svc.cluster.local", "no data cluster.local"),
            ("dns.cluster.local", "no data cluster.local"),
            ("shop.svc.cluster.local", "no data cluster.local"),
            ("idle.svc.cluster.local", "no data cluster.local"),
            ("sho.svc.cluster.local", "no name cluster.local"),
            ("pod.cluster.local", "no name cluster.local"),
        ],
    );
    check(
        Question::Other,
        &[("web.shop.svc.cluster.local", "no data cluster.local"), ("x.shop.svc.cluster.local", "no name cluster.local")],
    );
}

#[test]
fn the_zone_describes_itself() {
    check(Question::Soa, &[("cluster.local", "cluster.local 5 SOA ns.dns.cluster.local hostmaster.cluster.local 0")]);
    check(Question::Ns, &[("cluster.local", "cluster.local 5 NS ns.dns.cluster.local + ns.dns.cluster.local 5 A 10.64.0.2")]);
    assert_eq!(zone().soa("cluster.local", (1 << 32) + 3).data, zone().soa("cluster.local", 3).data);
}

#[test]
fn weights_are_shares_of_a_hundred_and_never_zero() {
    for (count, weight) in [(1, 100), (2, 50), (6, 16), (200, 1)] {
        let mut zone = Zone::empty("cluster.local");
        zone.insert(ZoneService {
            namespace: "a".to_owned(),
            name: "b".to_owned(),
            address: None,
            ports: vec![port("p", Protocol::Tcp, 1)],
            endpoints: (0..count).map(|last| endpoint(&[&format!("h{last}")], last, &[Some(1)])).collect(),
        });
        let Answer::Found(records, _) = zone.lookup("_p._tcp.b.a.svc.cluster.local", Question::Srv) else { panic!("{count}") };
        assert_eq!(records.len(), usize::from(count));
        assert!(records.iter().all(|record| matches!(record.data, Data::Srv { weight: given, .. } if given == weight)), "{count}");
    }
}
