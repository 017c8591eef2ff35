//! A replica's life, step by step, each step tried twice.

use bollard::query_parameters::CreateContainerOptions;
use driftless::desired::{Front, Network, NetworkOptions};
use driftless::host::Step;
use driftless::name::{Kind, Name, ObjectId};
use driftless::observed::State;

use crate::engine::docker_or_skip;

#[tokio::test]
async fn a_front_with_other_labels_takes_the_place_of_the_old_one() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let object = |kind| ObjectId::new(bench.namespace(), kind, Name::try_from("web").expect("a name"));
    let network = format!("{}_web", bench.namespace());
    let (id, host_name) = (object(Kind::ComposeNetwork), network.clone());
    let options = NetworkOptions::default();
    desired.networks.insert(id.clone(), Network { id: id.clone(), host_name, shared: false, options });
    bench.run(Step::CreateNetwork { network: id }, &desired).await;
    let front = Front {
        id: object(Kind::Front),
        host_name: format!("{}-web", bench.namespace()),
        networks: vec![network.clone()],
        shared: false,
        label: "web".to_owned(),
        aliases: [(network.clone(), ["web".to_owned()].into())].into(),
        labels: Default::default(),
    };
    let step = Step::CreateFront { front: front.id.clone() };
    let mut containers = Vec::new();
    for round in ["1", "1", "2", "3"] {
        let labels = [("traefik.round".to_owned(), round.to_owned())].into();
        desired.fronts.insert(front.id.clone(), Front { labels, ..front.clone() });
        if round == "3" {
            // What a crash left of an earlier try is in nobody's way.
            let left = format!("{}-next", front.host_name);
            let options = CreateContainerOptions { name: Some(left.clone()), ..Default::default() };
            let found = bench.engine.inspect_container(&front.host_name, None).await.expect("there");
            let body = bollard::models::ContainerCreateBody {
                image: found.image,
                labels: found.config.and_then(|config| config.labels),
                ..Default::default()
            };
            bench.engine.create_container(Some(options), body).await.expect("left");
        }
        bench.run(step.clone(), &desired).await;
        let live = bench.live(&front.id).await;
        assert_eq!((live.name.as_str(), live.state), (front.host_name.as_str(), State::Running));
        assert!(live.addresses.contains_key(&network));
        containers.push(live.id);
    }
    assert!(containers[0] == containers[1] && containers[1] != containers[2] && containers[2] != containers[3], "{containers:?}");
    let live = bench.docker.read().await.expect("a snapshot");
    assert_eq!(live.containers.iter().filter(|container| container.name.starts_with(&front.host_name)).count(), 1);
}

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
