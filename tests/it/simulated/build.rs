//! Desired states put together in code, for tests that need no manifest.
//!
//! It gives each value the default that a Kubernetes manifest would give it, and hashes as the loader
//! does. It checks nothing: a test that asks for nonsense gets it.

use std::collections::BTreeMap;
use std::time::Duration;

use driftless::desired::{
    Action, Amount, Backend, Container, Content, ContentId, Desired, Exclusive, Front, Goal, HostPort, Identity, Installation, Layout,
    Mount, MountSource, Network, OnFailure, Probe, Probes, Protocol, PullPolicy, Resources, Restart, Service, ServicePort, Settings, Spec,
    Strategy, Template, Text, Volume, Workload,
};
use driftless::finding::Place;
use driftless::hash::Key;
use driftless::name::{Kind, Name, ObjectId};

/// What a test asks of a Deployment; the rest is as in a manifest that says nothing.
#[derive(Debug, Clone)]
pub struct Deployment {
    pub name: String,
    pub image: String,
    pub pull: PullPolicy,
    pub replicas: u32,
    pub strategy: Strategy,
    pub env: Vec<(String, Text)>,
    pub content: Option<String>,
    pub volume: Option<String>,
    pub host_port: Option<u16>,
    pub readiness: bool,
    pub min_ready: Duration,
    pub deadline: Duration,
    pub paused: bool,
    pub on_failure: OnFailure,
    pub resources: Resources,
    pub grace: Duration,
    /// Its service; every workload has one unless this is `None`.
    pub service: Option<ServiceKind>,
}

/// How a Deployment is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceKind {
    Address,
    Headless,
}

/// Returns a Deployment with one replica and a readiness probe, rolled with surge 1 and unavailable 0.
pub fn deployment(name: &str, image: &str) -> Deployment {
    Deployment {
        name: name.to_owned(),
        image: image.to_owned(),
        pull: PullPolicy::IfNotPresent,
        replicas: 1,
        strategy: rolling(1, 0),
        env: Vec::new(),
        content: None,
        volume: None,
        host_port: None,
        readiness: true,
        min_ready: Duration::ZERO,
        deadline: Duration::from_secs(60),
        paused: false,
        on_failure: OnFailure::Rollback,
        resources: Resources::default(),
        grace: Duration::from_secs(30),
        service: Some(ServiceKind::Address),
    }
}

/// Returns a strategy in numbers of replicas.
pub fn rolling(surge: u32, unavailable: u32) -> Strategy {
    Strategy::Rolling { surge: Amount::Count(surge), unavailable: Amount::Count(unavailable) }
}

/// Returns what the application `shop` asks for at a revision.
pub fn shop(revision: &str, deployments: impl IntoIterator<Item = Deployment>) -> Desired {
    application("shop", revision, deployments)
}

/// Returns what an application asks for at a revision; its namespace has its name.
pub fn application(application: &str, revision: &str, deployments: impl IntoIterator<Item = Deployment>) -> Desired {
    let owner = name("o1");
    let network = ObjectId::new(owner.clone(), Kind::Network, name("driftless-o1"));
    let front = ObjectId::new(owner.clone(), Kind::Front, name("services"));
    let mut desired = Desired {
        application: name(application),
        revision: revision.to_owned(),
        installation: Installation {
            owner,
            domain: "cluster.local".to_owned(),
            layout: Layout::new("10.64.0.0/16".parse().expect("a network")).expect("a /16"),
            key: Key::new([7; 32]),
        },
        settings: Settings::default(),
        workloads: BTreeMap::new(),
        services: BTreeMap::new(),
        networks: BTreeMap::from([(
            network.clone(),
            Network { id: network, host_name: NETWORK.to_owned(), shared: true, options: Default::default() },
        )]),
        volumes: BTreeMap::new(),
        contents: BTreeMap::new(),
        logins: BTreeMap::new(),
        fronts: BTreeMap::from([(
            front.clone(),
            Front {
                id: front,
                host_name: "driftless-o1-front".to_owned(),
                networks: vec![NETWORK.to_owned()],
                shared: true,
                label: "services".to_owned(),
                aliases: Default::default(),
                labels: Default::default(),
            },
        )]),
        findings: Vec::new(),
    };
    for deployment in deployments {
        add(&mut desired, deployment);
    }
    desired
}

/// The network of all replicas.
pub const NETWORK: &str = "driftless-o1";

/// Returns a checked name.
pub fn name(text: &str) -> Name {
    Name::try_from(text).expect("a name")
}

/// Returns the id of a Deployment of the application `shop`.
pub fn workload(text: &str) -> ObjectId {
    ObjectId::new(name("shop"), Kind::Deployment, name(text))
}

fn add(desired: &mut Desired, asked: Deployment) {
    let namespace = name(desired.application.as_str());
    let id = ObjectId::new(namespace.clone(), Kind::Deployment, name(&asked.name));
    let mut mounts = Vec::new();
    let mut exclusive: Vec<Exclusive> = asked.host_port.map(|port| Exclusive::HostPort(Protocol::Tcp, port)).into_iter().collect();
    if let Some(volume) = &asked.volume {
        let volume_id = ObjectId::new(namespace.clone(), Kind::PersistentVolumeClaim, name(volume));
        let host_name = format!("{namespace}_{volume}");
        desired
            .volumes
            .insert(volume_id.clone(), Volume { id: volume_id.clone(), host_name, single_writer: true, options: Default::default() });
        exclusive.push(Exclusive::Volume(volume_id.clone()));
        mounts.push(Mount { target: "/data".to_owned(), source: MountSource::Volume(volume_id), sub_path: None, read_only: false });
    }
    if let Some(content) = &asked.content {
        let content_id = ContentId(desired.installation.key.digest(content.as_bytes())[..16].to_owned());
        let origin = format!("ConfigMap/{}", asked.name);
        desired.contents.insert(content_id.clone(), Content { origin, files: BTreeMap::new() });
        mounts.push(Mount { target: "/etc/app".to_owned(), source: MountSource::Content(content_id), sub_path: None, read_only: true });
    }
    mounts.sort_by(|a, b| a.target.cmp(&b.target));
    if let Some(kind) = asked.service {
        let service = service(&id, kind, desired.settings.hold);
        desired.services.insert(service.id.clone(), service);
    }
    let template = template(&asked, mounts);
    let key = &desired.installation.key;
    let volumes = &desired.volumes;
    let volume = |source: &MountSource| match source {
        MountSource::Volume(id) => volumes.get(id).map(|volume| volume.host_name.clone()).unwrap_or_default(),
        _ => String::new(),
    };
    let spec = Spec::new(&template, Restart::Always, volume, key);
    let hash = spec.hash(key);
    let workload = Workload {
        id: id.clone(),
        place: Place::default(),
        replicas: asked.replicas,
        identity: Identity::Generated,
        goal: Goal::Serving,
        strategy: asked.strategy,
        exclusive,
        dependencies: Vec::new(),
        min_ready: asked.min_ready,
        delay: Duration::ZERO,
        settle: desired.settings.settle,
        deadline: Some(asked.deadline),
        paused: asked.paused,
        history_limit: 10,
        on_failure: asked.on_failure,
        drain: desired.settings.drain,
        template,
        restart: Restart::Always,
        spec,
        hash,
    };
    desired.workloads.insert(id, workload);
}

fn template(asked: &Deployment, mounts: Vec<Mount>) -> Template {
    let port = asked.host_port.map(|host_port| HostPort { address: None, host_port, container_port: 8080, protocol: Protocol::Tcp });
    Template {
        containers: vec![container(asked, mounts)],
        networks: vec![NETWORK.to_owned()],
        ports: port.into_iter().collect(),
        empty_dirs: BTreeMap::new(),
        labels: BTreeMap::from([("app".to_owned(), asked.name.clone())]),
        annotations: BTreeMap::new(),
        hostname: None,
        grace: asked.grace,
        options: Default::default(),
    }
}

fn container(asked: &Deployment, mounts: Vec<Mount>) -> Container {
    let readiness = asked.readiness.then(|| Probe {
        action: Action::Tcp { host: None, port: 8080 },
        initial_delay: Duration::ZERO,
        period: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        success_threshold: 1,
        failure_threshold: 3,
    });
    Container {
        pull: asked.pull,
        env: asked.env.iter().cloned().collect(),
        mounts,
        resources: asked.resources,
        probes: Probes { readiness, ..Probes::default() },
        ..Container::new(name("main"), asked.image.clone())
    }
}

fn service(workload: &ObjectId, kind: ServiceKind, hold: Duration) -> Service {
    Service {
        id: ObjectId { kind: Kind::Service, ..workload.clone() },
        headless: kind == ServiceKind::Headless,
        publish_not_ready: false,
        address: None,
        ports: vec![ServicePort { name: "http".to_owned(), protocol: Protocol::Tcp, port: 80 }],
        backends: vec![Backend { workload: workload.clone(), targets: vec![Some(8080)] }],
        hold,
    }
}
