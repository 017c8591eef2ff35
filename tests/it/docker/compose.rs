//! What only Compose can ask for, on a real engine: it reads back in the same words, and what somebody
//! changes by hand is seen.

use std::sync::Arc;

use bollard::models::{ContainerUpdateBody, NetworkConnectRequest};
use driftless::desired::{Desired, Settings};
use driftless::hash::FieldValue;
use driftless::host::Step;
use driftless::manifest::{Context, Format, Tree, build};
use driftless::name::{Name, ObjectId};
use driftless::observed::{Container, Observed, Record};
use driftless::plan::{Claims, plan};

use crate::engine::{Bench, IMAGE, docker_or_skip};

/// Builds a project without fronts and makes its networks and volumes.
async fn project(bench: &Bench, services: &str) -> Desired {
    let mut settings = Settings::default();
    settings.compose.fronts = false;
    let context = Context {
        application: Name::try_from("shop").expect("a name"),
        revision: "r1".to_owned(),
        installation: bench.installation.clone(),
        settings,
        namespace: bench.namespace(),
        format: Format::Auto,
    };
    let text = services.replace("IMAGE", IMAGE);
    let desired = build(&Tree::of([("compose.yaml", text.as_str())]), &context).unwrap_or_else(|findings| panic!("{findings:?}"));
    for network in desired.networks.keys() {
        bench.run(Step::CreateNetwork { network: network.clone() }, &desired).await;
    }
    for volume in desired.volumes.keys() {
        bench.run(Step::CreateVolume { volume: volume.clone() }, &desired).await;
    }
    desired
}

async fn create(bench: &Bench, desired: &Desired, service: &str) -> (ObjectId, Container) {
    let workload = desired.workloads.keys().find(|id| id.name.as_str() == service).expect("the service");
    let replica = workload.with_replica(Name::try_from("1").expect("a name"));
    bench.run(Step::Create { replica: replica.clone() }, desired).await;
    let live = bench.live(&replica).await;
    (replica, live)
}

/// Returns the paths of what drifts.
async fn drift(bench: &Bench, desired: &Desired) -> Vec<String> {
    let observed = Observed { live: bench.docker.read().await.expect("a snapshot"), record: Record::default(), ..Observed::default() };
    let plan = plan(desired, &Claims::default(), &observed, observed.live.at);
    let fields = |fields: &[driftless::plan::DriftField]| fields.iter().map(|field| field.path.clone()).collect::<Vec<_>>();
    plan.drift.iter().flat_map(|drift| fields(&drift.fields)).collect()
}

#[tokio::test]
async fn every_option_that_is_asked_for_reads_back_and_no_other() {
    let Some(bench) = docker_or_skip().await else { return };
    let desired = project(
        &bench,
        "services:
  web:
    image: IMAGE
    restart: on-failure:4
    networks: { back: { aliases: [www, web-2] }, front: }
    hostname: page
    domainname: shop.example
    extra_hosts: ['b:10.9.9.9', 'a:10.9.9.8']
    dns: [9.9.9.9]
    dns_search: [shop.example]
    dns_opt: ['ndots:2']
    healthcheck: { test: [CMD, 'true'], interval: 7s, timeout: 3s, retries: 2, start_period: 1s }
    stop_signal: SIGUSR1
    stop_grace_period: 1s
    init: true
    security_opt: ['no-new-privileges:true']
    group_add: ['5', '7']
    ulimits: { nofile: { soft: 100, hard: 200 }, nproc: 50 }
    sysctls: { net.ipv4.ip_forward: 1 }
    shm_size: 32m
    devices: ['/dev/null:/dev/nil:r']
    ipc: shareable
    logging: { driver: json-file, options: { max-size: 1m } }
    tmpfs: ['/scratch:size=1m']
    volumes: [{ type: volume, source: data, target: /data, volume: { nocopy: true } }]
    pids_limit: 50
    cpuset: '0'
    cpu_shares: 300
    mem_limit: 64m
    memswap_limit: 128m
    oom_score_adj: 100
    cap_add: [NET_ADMIN]
    read_only: true
    depends_on: { other: { condition: service_started, restart: true } }
  other: { image: IMAGE, networks: [back] }
networks: { back: { internal: true, attachable: true, labels: { team: shop } }, front: }
volumes: { data: { labels: { team: shop } } }
",
    )
    .await;
    let (replica, live) = create(&bench, &desired, "web").await;
    let workload = &desired.workloads[&replica.workload()];
    let spec = workload.spec.containers.values().next().expect("web");
    let mut asked = workload.spec.replica.clone();
    asked.extend(spec.fields.clone());
    asked.extend(spec.in_place.clone());
    for (path, value) in &asked {
        let (FieldValue::Public(expected) | FieldValue::Keyed(expected)) = value else { panic!("{path} is not public") };
        let mut found = live.fields.get(path).map(|field| field.value.clone()).unwrap_or_default();
        if path.starts_with("aliases[") {
            // The engine adds the host name to the names.
            found = found.replace("\"page\",", "");
        }
        assert_eq!(found, *expected, "{path}");
    }
    let extra: Vec<_> = live.fields.iter().filter(|(path, field)| !field.inherited && !asked.contains_key(*path)).collect();
    assert!(extra.is_empty(), "{extra:?}");
    create(&bench, &desired, "other").await;
    assert_eq!(drift(&bench, &desired).await, [] as [&str; 0]);

    let other = bench.network().host_name;
    let request = NetworkConnectRequest { container: live.id.clone(), endpoint_config: None };
    bench.engine.connect_network(&other, request).await.expect("connected");
    let update = ContainerUpdateBody { pids_limit: Some(70), ..ContainerUpdateBody::default() };
    bench.engine.update_container(&live.id, update).await.expect("updated");
    let expected = ["services.web.pids_limit".to_owned(), format!("NetworkSettings.Networks[{other}]")];
    assert_eq!(drift(&bench, &desired).await, expected);
    bench.run(Step::Update { object: replica.clone(), container: live.id.clone() }, &desired).await;
    assert_eq!(drift(&bench, &desired).await, expected[1..]);
}

#[tokio::test]
async fn a_replica_that_asks_for_nothing_has_nothing_that_differs() {
    let Some(bench) = docker_or_skip().await else { return };
    let desired = project(&bench, "services: { web: { image: IMAGE, pid: host } }").await;
    let (_, live) = create(&bench, &desired, "web").await;
    let asked: Vec<&str> = live.fields.iter().filter(|(_, field)| !field.inherited).map(|(path, _)| path.as_str()).collect();
    let network = format!("{}_default", bench.namespace());
    let (aliases, network) = (format!("aliases[{network}]"), format!("networks[{network}]"));
    assert_eq!(asked, [aliases.as_str(), "image", &network, "pid", "restartPolicy", "terminationGracePeriodSeconds"]);
}

#[tokio::test]
async fn a_hardware_address_and_the_network_of_another_service_are_had() {
    let Some(bench) = docker_or_skip().await else { return };
    let desired = project(
        &bench,
        "services:
  vpn: { image: IMAGE, restart: always, mac_address: '02:42:0a:0b:0c:0d', stop_grace_period: 0s }
  app: { image: IMAGE, restart: always, network_mode: 'service:vpn', stop_grace_period: 0s }
",
    )
    .await;
    let desired = Arc::new(desired);
    let app =
        desired.workloads.keys().find(|id| id.name.as_str() == "app").expect("app").with_replica(Name::try_from("1").expect("a name"));
    let early = bench.docker.run(&Step::Create { replica: app }, &desired).await.expect_err("nobody's network");
    assert!(early.message.contains("the replica of `vpn`, whose network it shares, does not run"), "{}", early.message);
    let (vpn_id, vpn) = create(&bench, &desired, "vpn").await;
    let (_, app) = create(&bench, &desired, "app").await;
    for container in [&vpn.id, &app.id] {
        assert_eq!(bench.output(container, &["cat", "/sys/class/net/eth0/address"]).await.trim(), "02:42:0a:0b:0c:0d");
    }
    assert_eq!(app.fields["network_mode"].value, format!("container:{}", vpn.id));
    assert_eq!(drift(&bench, &desired).await, [] as [&str; 0]);
    // The namespace begins anew; its neighbour is left with one that is no more until it is restarted.
    bench.run(Step::Restart { object: vpn_id, container: vpn.id.clone() }, &desired).await;
    let observed = Observed { live: bench.docker.read().await.expect("a snapshot"), ..Observed::default() };
    let steps = plan(&desired, &Claims::default(), &observed, observed.live.at).steps;
    let restart = steps.iter().find(|step| matches!(step.step, Step::Restart { .. })).expect("a restart");
    assert_eq!(restart.reason, "the network that it shares began anew");
    bench.run(restart.step.clone(), &desired).await;
    assert_eq!(bench.output(&app.id, &["cat", "/sys/class/net/eth0/address"]).await.trim(), "02:42:0a:0b:0c:0d");
}
