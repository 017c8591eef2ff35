//! What changes on a live container, and what cannot.

use driftless::desired::{Desired, Resources, Spec, field};
use driftless::host::{Class, Step};
use driftless::name::ObjectId;

use crate::engine::{Bench, docker_or_skip};

/// Asks for other resources.
fn set(bench: &Bench, desired: &mut Desired, replica: &ObjectId, resources: Resources) {
    let workload = desired.workloads.get_mut(&replica.workload()).expect("added");
    workload.template.containers[0].resources = resources;
    workload.spec = Spec::new(&workload.template, workload.restart, |_| String::new(), &bench.installation.key);
}

#[tokio::test]
async fn resources_change_in_place_and_read_back() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let replica = bench.add(&mut desired, bench.template());
    let memory = |bytes| Resources { memory_limit: Some(bytes), ..Resources::default() };
    set(&bench, &mut desired, &replica, memory(64 << 20));
    bench.run(Step::Create { replica: replica.clone() }, &desired).await;
    let before = bench.live(&replica).await;
    let more = Resources { cpu_limit: Some(300_000_000), cpu_request: Some(500_000_000), ..memory(256 << 20) };
    for resources in [more, Resources { cpu_limit: Some(200_000_000), ..memory(32 << 20) }] {
        set(&bench, &mut desired, &replica, resources);
        bench.run(Step::Update { object: replica.clone(), container: before.id.clone() }, &desired).await;
        let live = bench.live(&replica).await;
        assert_eq!(live.started, before.started);
        for (path, value) in &desired.workloads[&replica.workload()].spec.containers.values().next().expect("one").in_place {
            let found = live.fields.get(path).map(|field| driftless::hash::FieldValue::Public(field.value.clone()));
            assert_eq!(found.as_ref(), Some(value), "{path}");
        }
    }
    let weight = bench.live(&replica).await.fields[field::CPU_WEIGHT].clone();
    assert!(weight.inherited, "a weight that is no longer asked for is the default again: {weight:?}");
}

#[tokio::test]
async fn a_limit_cannot_be_removed() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let replica = bench.add(&mut desired, bench.template());
    set(&bench, &mut desired, &replica, Resources { memory_limit: Some(64 << 20), ..Resources::default() });
    bench.run(Step::Create { replica: replica.clone() }, &desired).await;
    let live = bench.live(&replica).await;
    set(&bench, &mut desired, &replica, Resources::default());
    let failure = bench.docker.run(&Step::Update { object: replica, container: live.id }, &desired).await.expect_err("refused");
    assert_eq!(failure.class, Class::User);
    assert!(failure.message.contains("a memory limit cannot be taken off a live container"), "{}", failure.message);
}

#[tokio::test]
async fn a_restart_policy_that_somebody_changed_is_put_back() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let replica = bench.add(&mut desired, bench.template());
    bench.run(Step::Create { replica: replica.clone() }, &desired).await;
    let live = bench.live(&replica).await;
    let policy = bollard::models::RestartPolicy { name: Some(bollard::models::RestartPolicyNameEnum::NO), maximum_retry_count: None };
    let update = bollard::models::ContainerUpdateBody { restart_policy: Some(policy), ..Default::default() };
    bench.engine.update_container(&live.id, update).await.expect("changed");
    let changed = bench.live(&replica).await;
    assert_eq!(changed.fields[field::RESTART].value, "no");
    assert!(!changed.leaving, "leaving is both: the policy and the name");
    bench.run(Step::Update { object: replica.clone(), container: live.id }, &desired).await;
    assert_eq!(bench.live(&replica).await.fields[field::RESTART].value, "always");
}

#[tokio::test]
async fn a_container_that_was_taken_off_its_network_gets_its_address_back() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let replica = bench.add(&mut desired, bench.template());
    let front = bench.front().id;
    bench.run(Step::CreateFront { front: front.clone() }, &desired).await;
    bench.run(Step::Create { replica: replica.clone() }, &desired).await;
    let network = bench.network().host_name;
    for object in [replica, front] {
        let before = bench.live(&object).await;
        let request = bollard::models::NetworkDisconnectRequest { container: before.id.clone(), force: None };
        bench.engine.disconnect_network(&network, request).await.expect("disconnected");
        let taken_off = bench.live(&object).await;
        assert!(!taken_off.fields.contains_key(&field::network(&network)));
        let step = Step::Connect { object: object.clone(), container: before.id.clone(), network: network.clone() };
        bench.run(step.clone(), &desired).await;
        bench.run(step, &desired).await;
        assert_eq!(bench.live(&object).await.address(&network), before.address(&network));
    }
}

#[tokio::test]
async fn a_restart_keeps_the_container_and_its_address() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let replica = bench.add(&mut desired, bench.template());
    bench.run(Step::Create { replica: replica.clone() }, &desired).await;
    let before = bench.live(&replica).await;
    bench.run(Step::Restart { object: replica.clone(), container: before.id.clone() }, &desired).await;
    let after = bench.live(&replica).await;
    assert_eq!((&after.id, &after.addresses), (&before.id, &before.addresses));
    assert!(after.started > before.started);
}

#[tokio::test]
async fn a_frozen_container_is_resumed() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let replica = bench.add(&mut desired, bench.template());
    bench.run(Step::Create { replica: replica.clone() }, &desired).await;
    let live = bench.live(&replica).await;
    bench.engine.pause_container(&live.id).await.expect("paused");
    assert_eq!(bench.live(&replica).await.state, driftless::observed::State::Paused);
    let step = Step::Unpause { object: replica.clone(), container: live.id.clone() };
    bench.run(step.clone(), &desired).await;
    bench.run(step, &desired).await;
    assert!(bench.live(&replica).await.is_running());
}
