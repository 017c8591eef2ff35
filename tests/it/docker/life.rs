//! A replica's life, step by step, each step tried twice.

use driftless::host::Step;
use driftless::observed::State;

use crate::engine::docker_or_skip;

#[tokio::test]
async fn every_step_of_a_life_can_be_taken_twice() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let replica = bench.add(&mut desired, bench.template());
    let front = bench.front().id;
    let twice = async |step: Step| {
        bench.run(step.clone(), &desired).await;
        bench.run(step, &desired).await;
    };
    twice(Step::CreateNetwork { network: bench.network().id }).await;
    twice(Step::CreateFront { front: front.clone() }).await;
    let live = bench.live(&front).await;
    assert_eq!(live.address(&bench.network().host_name), Some(bench.installation.layout.front()));
    assert_eq!(live.labels.and_then(|labels| labels.front), Some("services".to_owned()));

    twice(Step::Create { replica: replica.clone() }).await;
    let created = bench.live(&replica).await;
    assert_eq!(created.state, State::Running);
    let address = created.address(&bench.network().host_name).expect("an address");
    assert!(bench.installation.layout.replicas().contains(&address));
    let container = created.id;

    twice(Step::Leave { replica: replica.clone(), container: container.clone() }).await;
    let leaving = bench.live(&replica).await;
    assert!(leaving.leaving && leaving.state == State::Running);
    assert_eq!(leaving.address(&bench.network().host_name), Some(address));

    twice(Step::Stop { replica: replica.clone(), container: container.clone() }).await;
    let stopped = bench.live(&replica).await;
    assert!(matches!(stopped.state, State::Exited(_)));
    assert_eq!(stopped.stopped_by_hand, None);
    assert!(!stopped.may_run());

    twice(Step::Remove { object: replica.clone(), container }).await;
    let live = bench.docker.read().await.expect("a snapshot");
    assert!(!live.containers.iter().any(|container| container.labels.as_ref().is_some_and(|labels| labels.object == replica)));
}
