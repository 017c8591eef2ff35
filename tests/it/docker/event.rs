//! What the engine tells, and whose stop it was.

use std::time::Duration;

use bollard::query_parameters::StopContainerOptions;
use driftless::docker::Event;
use driftless::host::Step;
use driftless::observed::{Container, State};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use crate::engine::{Bench, docker_or_skip};

async fn next(events: &mut Receiver<Event>) -> Event {
    timeout(Duration::from_secs(20), events.recv()).await.expect("an event").expect("a listener")
}

/// Reads at each event until a container is as wanted.
async fn until(bench: &Bench, events: &mut Receiver<Event>, id: &str, wanted: impl Fn(&Container) -> bool) -> Container {
    loop {
        let live = bench.docker.read().await.expect("a snapshot");
        if let Some(container) = live.container(id).filter(|container| wanted(container)) {
            return container.clone();
        }
        next(events).await;
    }
}

#[tokio::test]
async fn every_change_is_told_and_nothing_old_is_read() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let replica = bench.add(&mut desired, bench.template());
    let mut events = bench.docker.events().await;
    assert_eq!(next(&mut events).await, Event::Connected);
    bench.run(Step::Create { replica: replica.clone() }, &desired).await;
    let id = bench.live(&replica).await.id;
    let running = until(&bench, &mut events, &id, |container| container.is_running()).await;
    bench
        .engine
        .restart_container(&id, Some(bollard::query_parameters::RestartContainerOptions { t: Some(0), signal: None }))
        .await
        .expect("restarted");
    until(&bench, &mut events, &id, |container| container.started > running.started && container.is_running()).await;
    let policy = bollard::models::RestartPolicy { name: Some(bollard::models::RestartPolicyNameEnum::NO), maximum_retry_count: None };
    let update = bollard::models::ContainerUpdateBody { restart_policy: Some(policy), ..Default::default() };
    bench.engine.update_container(&id, update).await.expect("changed");
    until(&bench, &mut events, &id, |container| container.fields["restartPolicy"].value == "no").await;
    // Taken off its network while it is stopped: of this the engine tells nothing.
    bench.engine.stop_container(&id, Some(StopContainerOptions { t: Some(0), signal: None })).await.expect("stopped");
    until(&bench, &mut events, &id, |container| matches!(container.state, State::Exited(_))).await;
    let request = bollard::models::NetworkDisconnectRequest { container: id.clone(), force: Some(true) };
    bench.engine.disconnect_network(&bench.network().host_name, request).await.expect("disconnected");
    let live = bench.docker.read().await.expect("a snapshot");
    let field = driftless::desired::field::network(&bench.network().host_name);
    assert!(!live.container(&id).expect("still there").fields.contains_key(&field));
}

#[tokio::test]
async fn a_stop_by_somebody_else_is_told_from_a_crash_and_from_our_own() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let replica = bench.add(&mut desired, bench.template());
    let mut events = bench.docker.events().await;
    assert_eq!(next(&mut events).await, Event::Connected);
    bench.run(Step::Create { replica: replica.clone() }, &desired).await;
    let id = bench.live(&replica).await.id;
    let is_down = |container: &Container| matches!(container.state, State::Exited(_));

    bench.engine.stop_container(&id, Some(StopContainerOptions { t: Some(0), signal: None })).await.expect("stopped");
    let by_hand = until(&bench, &mut events, &id, |container| is_down(container) && container.stopped_by_hand.is_some()).await;
    assert!(by_hand.stopped_by_hand >= by_hand.started);

    bench.run(Step::Start { object: replica.clone(), container: id.clone() }, &desired).await;
    let started = until(&bench, &mut events, &id, |container| container.is_running()).await;
    assert_eq!(started.stopped_by_hand, None);

    bench.engine.kill_container(&id, None::<bollard::query_parameters::KillContainerOptions>).await.expect("killed");
    let killed = until(&bench, &mut events, &id, is_down).await;
    assert_eq!(killed.stopped_by_hand, None, "a kill is not a stop");

    bench.run(Step::Start { object: replica.clone(), container: id.clone() }, &desired).await;
    until(&bench, &mut events, &id, |container| container.is_running()).await;
    bench.run(Step::Stop { replica: replica.clone(), container: id.clone() }, &desired).await;
    let ours = until(&bench, &mut events, &id, is_down).await;
    assert_eq!(ours.stopped_by_hand, None);

    bench.run(Step::Start { object: replica, container: id.clone() }, &desired).await;
    bench.engine.pause_container(&id).await.expect("paused");
    until(&bench, &mut events, &id, |container| container.state == State::Paused && container.stopped_by_hand.is_some()).await;
}
