//! Publishing and service addresses, on a small application.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use super::*;
use crate::desired::{
    Backend, Container, Desired, Front, Goal, Identity, Installation, Layout, OnFailure, Restart, Service, ServicePort, Settings, Spec,
    Strategy, Template, Workload,
};
use crate::finding::Place;
use crate::hash::Key;
use crate::name::{Kind, Name};
use crate::time::Time;

const HOLD: Duration = Duration::from_secs(10);

fn name(text: &str) -> Name {
    Name::try_from(text).expect("a name")
}

fn id(kind: Kind, text: &str) -> ObjectId {
    ObjectId::new(name("shop"), kind, name(text))
}

fn address(last: [u8; 2]) -> Ipv4Addr {
    Ipv4Addr::new(10, 64, last[0], last[1])
}

fn installation() -> Installation {
    let layout = Layout::new("10.64.0.0/16".parse().expect("a network")).expect("a /16");
    Installation { owner: name("abc"), domain: "cluster.local".to_owned(), layout, key: Key::new([7; 32]) }
}

fn workload(text: &str, replicas: u32) -> Workload {
    let container = Container::new(name("app"), "app:1");
    let template = Template {
        containers: vec![container],
        networks: vec!["driftless-abc".to_owned()],
        ports: Vec::new(),
        empty_dirs: BTreeMap::new(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        hostname: None,
        grace: Duration::from_secs(1),
        options: Default::default(),
    };
    let key = installation().key;
    let spec = Spec::new(&template, Restart::Always, |_| String::new(), &key);
    Workload {
        id: id(Kind::Deployment, text),
        place: Place::file("web.yaml"),
        replicas,
        identity: Identity::Generated,
        goal: Goal::Serving,
        strategy: Strategy::Recreate,
        exclusive: Vec::new(),
        dependencies: Vec::new(),
        min_ready: Duration::ZERO,
        delay: Duration::ZERO,
        settle: Duration::ZERO,
        deadline: None,
        paused: false,
        history_limit: 10,
        on_failure: OnFailure::Rollback,
        drain: Duration::ZERO,
        hash: spec.hash(&key),
        template,
        restart: Restart::Always,
        spec,
    }
}

fn service(text: &str, headless: bool) -> Service {
    let port = |name: &str, protocol, port| ServicePort { name: name.to_owned(), protocol, port };
    Service {
        id: id(Kind::Service, text),
        headless,
        publish_not_ready: false,
        address: None,
        ports: vec![port("http", Protocol::Tcp, 80), port("metrics", Protocol::Udp, 9)],
        backends: vec![Backend { workload: id(Kind::Deployment, "web"), targets: vec![Some(8080), None] }],
        hold: HOLD,
    }
}

fn desired(replicas: u32, services: Vec<Service>) -> Desired {
    let web = workload("web", replicas);
    let front = Front {
        id: ObjectId::new(name("abc"), Kind::Front, name("services")),
        host_name: "driftless-abc-front".to_owned(),
        networks: vec!["driftless-abc".to_owned()],
        shared: true,
        label: "services".to_owned(),
        aliases: Default::default(),
        labels: Default::default(),
    };
    Desired {
        application: name("shop"),
        revision: "r1".to_owned(),
        installation: installation(),
        settings: Settings::default(),
        workloads: BTreeMap::from([(web.id.clone(), web)]),
        services: services.into_iter().map(|service| (service.id.clone(), service)).collect(),
        networks: BTreeMap::new(),
        volumes: BTreeMap::new(),
        contents: BTreeMap::new(),
        logins: BTreeMap::new(),
        fronts: BTreeMap::from([(front.id.clone(), front)]),
        findings: Vec::new(),
    }
}

fn joined(suffix: &str, last: u8) -> (ObjectId, Joined) {
    let joined = Joined {
        container: format!("c-{suffix}"),
        started: Time(1),
        address: address([0, last]),
        addresses: BTreeMap::new(),
        generation: 0,
    };
    (id(Kind::Deployment, "web").with_replica(name(suffix)), joined)
}

/// Publishes one application.
struct Publisher {
    desired: Desired,
    addresses: BTreeMap<ObjectId, Ipv4Addr>,
    joined: BTreeMap<ObjectId, Joined>,
    left: BTreeMap<String, Left>,
    running: BTreeMap<ObjectId, Ipv4Addr>,
}

impl Publisher {
    fn new(desired: Desired) -> Self {
        let addresses = addresses(&desired, &BTreeMap::new(), |_| false);
        Publisher { desired, addresses, joined: BTreeMap::new(), left: BTreeMap::new(), running: BTreeMap::new() }
    }

    fn publish(&self, previous: Option<&Published>) -> Published {
        let Publisher { desired, addresses, joined, left, running } = self;
        let containers =
            BTreeMap::from([("driftless-abc-front".to_owned(), FrontContainer { id: "f00".to_owned(), addresses: BTreeMap::new() })]);
        publish(&[Application { desired, addresses, joined, left, running }], &installation(), &containers, previous, &[])
    }
}

#[test]
fn a_service_port_has_the_joined_replicas_that_have_its_target() {
    let mut publisher = Publisher::new(desired(2, vec![service("web", false)]));
    publisher.joined.extend([joined("b", 11), joined("a", 10)]);
    let published = publisher.publish(None);
    let [front] = published.fronts.as_slice() else { panic!("one front") };
    assert_eq!((front.name.as_str(), front.container.as_deref()), ("driftless-abc-front", Some("f00")));
    assert_eq!((front.address, front.dns), (address([0, 2]), true));
    let web = publisher.addresses[&id(Kind::Service, "web")];
    let http = front.port(Protocol::Tcp, web, 80).expect("the port");
    assert_eq!(http.targets, [SocketAddrV4::new(address([0, 10]), 8080), SocketAddrV4::new(address([0, 11]), 8080)]);
    assert_eq!(http.hold, HOLD);
    // The workload has no such named port.
    assert!(front.port(Protocol::Udp, web, 9).expect("the port").targets.is_empty());
}

#[test]
fn without_wanted_replicas_nothing_is_held() {
    let publisher = Publisher::new(desired(0, vec![service("web", false)]));
    assert!(publisher.publish(None).fronts[0].ports.iter().all(|port| port.hold.is_zero()));
    let nobody = Service { backends: Vec::new(), ..service("web", false) };
    let publisher = Publisher::new(desired(1, vec![nobody]));
    assert!(publisher.publish(None).fronts[0].ports.iter().all(|port| port.hold.is_zero()));
}

#[test]
fn a_generation_is_new_only_if_something_changed() {
    let mut publisher = Publisher::new(desired(2, vec![service("web", false)]));
    let first = publisher.publish(None);
    assert_eq!(first.generation, 1);
    assert_eq!(publisher.publish(Some(&first)), first);

    publisher.joined.extend([joined("a", 10)]);
    let second = publisher.publish(Some(&first));
    assert_eq!((second.generation, second.joined.values().next().map(|joined| joined.generation)), (2, Some(2)));
    // Neither the same replica without a number nor with its number is news.
    assert_eq!(publisher.publish(Some(&second)), second);
    publisher.joined = second.joined.clone();
    assert_eq!(publisher.publish(Some(&second)), second);

    publisher.joined.clear();
    let left = Left { addresses: [address([0, 10])].into(), generation: 0, at: Time(5), named: false };
    publisher.left.insert("c-a".to_owned(), left);
    let third = publisher.publish(Some(&second));
    assert_eq!((third.generation, third.left["c-a"].generation), (3, 3));
    assert_eq!(publisher.publish(Some(&third)), third);
}

#[test]
fn an_application_that_cannot_be_loaded_is_served_on_and_keeps_nobody_from_leaving() {
    let mut publisher = Publisher::new(desired(2, vec![service("web", false), service("names", true)]));
    publisher.joined.extend([joined("a", 10), joined("b", 11)]);
    let first = publisher.publish(None);
    let containers =
        BTreeMap::from([("driftless-abc-front".to_owned(), FrontContainer { id: "f00".to_owned(), addresses: BTreeMap::new() })]);
    let left = BTreeMap::new();
    let mut gone = Unloaded { joined: &publisher.joined, left: &left, record: None };
    let alone = |unloaded| publish(&[], &installation(), &containers, Some(&first), &[unloaded]);
    assert_eq!(alone(gone), first);

    // Another application goes on meanwhile; only who is still joined is led to.
    let rest = BTreeMap::from([joined("a", 10)]);
    gone.joined = &rest;
    let mut other = Publisher::new(desired(1, vec![Service { id: id(Kind::Service, "other"), ..service("other", false) }]));
    other.left.insert("c-x".to_owned(), Left { addresses: [].into(), generation: 0, at: Time(1), named: false });
    let application = Application {
        desired: &other.desired,
        addresses: &other.addresses,
        joined: &other.joined,
        left: &other.left,
        running: &other.running,
    };
    let second = publish(&[application], &installation(), &containers, Some(&first), &[gone]);
    assert_eq!((second.generation, second.left["c-x"].generation), (2, 2));
    let [front] = second.fronts.as_slice() else { panic!("one front") };
    let targets = |service: &str, addresses: &BTreeMap<ObjectId, Ipv4Addr>| {
        front.port(Protocol::Tcp, addresses[&id(Kind::Service, service)], 80).expect("the port").targets.clone()
    };
    assert_eq!(targets("web", &publisher.addresses), [SocketAddrV4::new(address([0, 10]), 8080)]);
    assert!(targets("other", &other.addresses).is_empty());
    assert!(matches!(second.zone.lookup("web-a.names.shop.svc.cluster.local", Question::A), Answer::Found(..)));
    assert!(!matches!(second.zone.lookup("web-b.names.shop.svc.cluster.local", Question::A), Answer::Found(..)));
}

#[test]
fn a_replica_that_started_anew_joins_in_a_new_generation() {
    let mut publisher = Publisher::new(desired(1, vec![service("web", false)]));
    publisher.joined.extend([joined("a", 10)]);
    let first = publisher.publish(None);
    publisher.joined.values_mut().for_each(|joined| joined.started = Time(2));
    let second = publisher.publish(Some(&first));
    assert_eq!(second.joined.values().next().map(|joined| joined.generation), Some(2));
}

#[test]
fn a_headless_service_names_its_joined_replicas_and_has_no_port() {
    let mut publisher = Publisher::new(desired(2, vec![service("web", true)]));
    publisher.joined.extend([joined("a", 10)]);
    publisher.running.extend([(id(Kind::Deployment, "web").with_replica(name("b")), address([0, 11]))]);
    let published = publisher.publish(None);
    assert!(publisher.addresses.is_empty() && published.fronts[0].ports.is_empty());
    let answers = |published: &Published, name: &str| match published.zone.lookup(name, Question::A) {
        Answer::Found(records, _) => records.into_iter().map(|record| record.data).collect(),
        _ => Vec::new(),
    };
    let (ten, eleven) = (Data::A(address([0, 10])), Data::A(address([0, 11])));
    for host in ["web.shop.svc.cluster.local", "10-64-0-10.web.shop.svc.cluster.local", "web-a.web.shop.svc.cluster.local"] {
        assert_eq!(answers(&published, host), std::slice::from_ref(&ten), "{host}");
    }
    publisher.desired.services.values_mut().for_each(|service| service.publish_not_ready = true);
    assert_eq!(answers(&publisher.publish(None), "web.shop.svc.cluster.local"), [ten, eleven]);
}

#[test]
fn a_service_keeps_its_address_and_finds_it_again_without_a_record() {
    let all: Vec<Service> = (0..50).map(|number| service(&format!("s{number}"), false)).collect();
    let desired = desired(1, all);
    let first = addresses(&desired, &BTreeMap::new(), |_| false);
    let distinct: BTreeSet<&Ipv4Addr> = first.values().collect();
    assert_eq!(distinct.len(), 50);
    assert!(distinct.iter().all(|address| desired.installation.layout.services().contains(*address)));
    assert_eq!(addresses(&desired, &BTreeMap::new(), |_| false), first);

    let (one, other) = (id(Kind::Service, "s1"), address([150, 1]));
    let known = BTreeMap::from([(one.clone(), other)]);
    assert_eq!(addresses(&desired, &known, |_| false)[&one], other);
    // Somebody else has what it would get.
    let moved = addresses(&desired, &BTreeMap::new(), |address| *address == first[&one]);
    assert_ne!(moved[&one], first[&one]);
}

#[test]
fn a_written_address_comes_first_if_it_is_in_the_range() {
    let mut desired = desired(1, vec![service("a", false), service("b", false)]);
    let (a, b) = (id(Kind::Service, "a"), id(Kind::Service, "b"));
    let wanted = address([140, 1]);
    desired.services.get_mut(&b).expect("b").address = Some(wanted);
    let known = BTreeMap::from([(a.clone(), wanted)]);
    let chosen = addresses(&desired, &known, |_| false);
    assert_eq!(chosen[&b], wanted);
    assert_ne!(chosen[&a], wanted);
    assert!(!may_move(&desired, &chosen));
    // Once who has it gives it up, it is its own.
    let without = addresses(&desired, &known, |address| *address == wanted);
    assert!(without.values().all(|address| *address != wanted) && may_move(&desired, &without));
    assert!(may_move(&desired, &BTreeMap::new()), "one without an address gets one when there is one");
    desired.services.get_mut(&b).expect("b").address = Some(Ipv4Addr::new(10, 96, 0, 1));
    assert!(desired.installation.layout.services().contains(&addresses(&desired, &BTreeMap::new(), |_| false)[&b]));
}

#[test]
fn a_published_file_of_another_version_is_told_from_a_broken_one() {
    let published = Publisher::new(desired(1, vec![service("web", false)])).publish(None);
    let bytes = serde_json::to_vec(&published).expect("JSON");
    assert_eq!(Published::parse(&bytes).expect("our own"), published);
    assert!(matches!(Published::parse(&bytes[..20]), Err(Unreadable::Parse(_))));
    assert!(matches!(Published::parse(br#"{"version":7,"future":true}"#), Err(Unreadable::Version(7))));
}
