//! Replicas' addresses: static, unique, and not used again at once.

use std::collections::BTreeSet;

use bollard::models::{ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HostConfig, NetworkingConfig};
use bollard::query_parameters::{CreateContainerOptions, StopContainerOptions};
use driftless::host::Step;
use driftless::name::{Name, ObjectId};
use driftless::observed::State;

use crate::engine::{Bench, IMAGE, docker_or_skip};

fn sibling(replica: &ObjectId, suffix: &str) -> ObjectId {
    replica.workload().with_replica(Name::try_from(suffix).expect("a name"))
}

#[tokio::test]
async fn a_freed_address_is_not_handed_out_at_once() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let replica = bench.add(&mut desired, bench.template());
    let network = bench.network().host_name;
    let mut seen = BTreeSet::new();
    for suffix in ["a", "b", "c"] {
        let replica = sibling(&replica, suffix);
        bench.run(Step::Create { replica: replica.clone() }, &desired).await;
        let live = bench.live(&replica).await;
        assert!(seen.insert(live.address(&network).expect("an address")), "{seen:?}");
        bench.run(Step::Stop { replica: replica.clone(), container: live.id.clone() }, &desired).await;
        bench.run(Step::Remove { object: replica, container: live.id }, &desired).await;
    }
}

#[tokio::test]
async fn replicas_created_at_once_get_different_addresses() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let replica = bench.add(&mut desired, bench.template());
    let replicas: Vec<ObjectId> = ["a", "b", "c", "d"].iter().map(|suffix| sibling(&replica, suffix)).collect();
    let steps = replicas.iter().map(|replica| bench.run(Step::Create { replica: replica.clone() }, &desired));
    futures_util::future::join_all(steps).await;
    let mut addresses = BTreeSet::new();
    for replica in &replicas {
        addresses.extend(bench.live(replica).await.address(&bench.network().host_name));
    }
    assert_eq!(addresses.len(), replicas.len());
}

#[tokio::test]
async fn a_stopped_replica_keeps_its_address() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let (first, second) = {
        let replica = bench.add(&mut desired, bench.template());
        (sibling(&replica, "a"), sibling(&replica, "b"))
    };
    let network = bench.network().host_name;
    bench.run(Step::Create { replica: first.clone() }, &desired).await;
    let before = bench.live(&first).await;
    let options = StopContainerOptions { t: Some(0), ..Default::default() };
    bench.engine.stop_container(&before.id, Some(options)).await.expect("stopped");
    let stopped = bench.live(&first).await;
    assert!(stopped.addresses.is_empty(), "an address is only true while the container runs");
    bench.run(Step::Create { replica: second.clone() }, &desired).await;
    bench.run(Step::Start { object: first.clone(), container: before.id.clone() }, &desired).await;
    let after = bench.live(&first).await;
    assert_eq!(after.address(&network), before.address(&network));
    assert_ne!(bench.live(&second).await.address(&network), before.address(&network));
}

#[tokio::test]
async fn an_address_that_somebody_took_is_left_to_them() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let replica = bench.add(&mut desired, bench.template());
    // The list of the network's containers shows it, so this also covers what is not running.
    let taken = "10".to_owned();
    let address = bench.installation.layout.network.addr().octets();
    let address = format!("{}.{}.0.{taken}", address[0], address[1]);
    squat(&bench, &address).await;
    bench.run(Step::Create { replica: replica.clone() }, &desired).await;
    let live = bench.live(&replica).await;
    assert_eq!(live.state, State::Running);
    assert_ne!(live.address(&bench.network().host_name).map(|address| address.to_string()), Some(address));
}

/// Starts a container of nobody's at an address of our range.
async fn squat(bench: &Bench, address: &str) {
    let endpoint = EndpointSettings {
        ipam_config: Some(EndpointIpamConfig { ipv4_address: Some(address.to_owned()), ..Default::default() }),
        ..Default::default()
    };
    let body = ContainerCreateBody {
        image: Some(IMAGE.to_owned()),
        labels: Some([("dev.driftless.owner".to_owned(), bench.installation.owner.to_string())].into()),
        host_config: Some(HostConfig { network_mode: Some(bench.network().host_name), ..Default::default() }),
        networking_config: Some(NetworkingConfig { endpoints_config: Some([(bench.network().host_name, endpoint)].into()) }),
        ..Default::default()
    };
    let options = CreateContainerOptions { name: Some(format!("{}-squatter", bench.installation.owner)), ..Default::default() };
    let created = bench.engine.create_container(Some(options), body).await.expect("created");
    bench.engine.start_container(&created.id, None::<bollard::query_parameters::StartContainerOptions>).await.expect("started");
}
