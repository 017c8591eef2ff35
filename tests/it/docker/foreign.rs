//! What is not ours is shown and left alone.

use std::collections::{BTreeSet, HashMap};

use bollard::models::{ContainerCreateBody, Ipam, IpamConfig, NetworkCreateRequest, VolumeCreateRequest};
use bollard::query_parameters::CreateContainerOptions;
use driftless::desired::{Network, NetworkOptions};
use driftless::host::{Class, Step};
use driftless::name::{Kind, Name, ObjectId};
use driftless::observed::Observed;
use driftless::plan::{Claims, foreign, plan};
use driftless::time::Time;
use ipnet::Ipv4Net;

use crate::engine::{IMAGE, docker_or_skip};

#[tokio::test]
async fn a_name_that_somebody_else_has_is_refused() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let replica = bench.add(&mut desired, bench.template());
    let name = format!("{}_web_x7k2p", bench.namespace());
    let labels = [("dev.driftless.owner".to_owned(), bench.installation.owner.to_string())];
    let body = ContainerCreateBody { image: Some(IMAGE.to_owned()), labels: Some(labels.clone().into()), ..Default::default() };
    let options = CreateContainerOptions { name: Some(name.clone()), ..Default::default() };
    bench.engine.create_container(Some(options), body).await.expect("created");
    let failure = bench.docker.run(&Step::Create { replica }, &desired).await.expect_err("taken");
    assert_eq!(failure.class, Class::User);
    assert!(failure.message.contains("is not ours"), "{}", failure.message);
    let live = bench.docker.read().await.expect("a snapshot");
    let found = live.containers.iter().find(|container| container.name == name).expect("shown");
    assert!(found.impostor && found.labels.is_none());

    let data = bench.add_volume(&mut desired, "data");
    let request = VolumeCreateRequest { name: Some(desired.volumes[&data].host_name.clone()), ..Default::default() };
    bench.engine.create_volume(request).await.expect("created");
    let failure = bench.docker.run(&Step::CreateVolume { volume: data.clone() }, &desired).await.expect_err("taken");
    assert_eq!(failure.class, Class::User);
    let name = &desired.volumes[&data].host_name;
    bench.engine.remove_volume(name, None::<bollard::query_parameters::RemoveVolumeOptions>).await.expect("removed");
}

#[tokio::test]
async fn a_volume_that_docker_compose_made_for_this_project_is_used() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let mut data = bench.add_volume(&mut desired, "data");
    let mut volume = desired.volumes.remove(&data).expect("added");
    data.kind = Kind::ComposeVolume;
    volume.id = data.clone();
    let name = volume.host_name.clone();
    desired.volumes.insert(data.clone(), volume);
    let step = Step::CreateVolume { volume: data };
    for (project, used) in [("another".to_owned(), false), (bench.namespace().to_string(), true)] {
        let labels = [("com.docker.compose.project".to_owned(), project), ("com.docker.compose.volume".to_owned(), "data".to_owned())];
        let request = VolumeCreateRequest { name: Some(name.clone()), labels: Some(labels.into()), ..Default::default() };
        bench.engine.create_volume(request).await.expect("created");
        let done = bench.docker.run(&step, &desired).await;
        bench.engine.remove_volume(&name, None::<bollard::query_parameters::RemoveVolumeOptions>).await.expect("removed");
        assert_eq!(done.is_ok(), used, "{done:?}");
    }
}

#[tokio::test]
async fn a_network_that_docker_compose_made_for_this_project_is_used() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let id = ObjectId::new(bench.namespace(), Kind::ComposeNetwork, Name::try_from("back").expect("a name"));
    let name = format!("{}_back", bench.namespace());
    let network = Network { id: id.clone(), host_name: name.clone(), shared: false, options: NetworkOptions::default() };
    desired.networks.insert(id.clone(), network);
    let step = Step::CreateNetwork { network: id.clone() };
    let subnet: Vec<Ipv4Net> = bench.installation.layout.pool.subnets(24).expect("longer").skip(300).take(1).collect();
    for (project, used) in [(None, false), (Some("another".to_owned()), false), (Some(bench.namespace().to_string()), true)] {
        let labels = project.map(|project| {
            HashMap::from([
                ("com.docker.compose.project".to_owned(), project),
                ("com.docker.compose.network".to_owned(), "back".to_owned()),
            ])
        });
        let config = subnet.iter().map(|subnet| IpamConfig { subnet: Some(subnet.to_string()), ..Default::default() }).collect();
        let ipam = Some(Ipam { config: Some(config), ..Default::default() });
        let request = NetworkCreateRequest { name: name.clone(), labels, ipam, ..Default::default() };
        bench.engine.create_network(request).await.expect("created");
        let live = bench.docker.read().await;
        let done = bench.docker.run(&step, &desired).await;
        bench.engine.remove_network(&name).await.expect("removed");
        assert_eq!(done.is_ok(), used, "{done:?}");
        let live = live.expect("a snapshot");
        let findings = plan(&desired, &Claims::default(), &Observed { live, ..Observed::default() }, Time::default()).findings;
        let foreign = findings.iter().filter(|finding| finding.rule == foreign::RULE && finding.message.contains(&name)).count();
        assert_eq!(foreign, usize::from(!used), "{findings:?}");
    }
}

#[tokio::test]
async fn a_copy_of_a_replica_is_an_impostor() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let replica = bench.add(&mut desired, bench.template());
    bench.run(Step::Create { replica: replica.clone() }, &desired).await;
    let ours = bench.live(&replica).await;
    let labels = bench.engine.inspect_container(&ours.id, None).await.expect("there").config.and_then(|config| config.labels);
    let name = format!("{}-copy", bench.installation.owner);
    let body = ContainerCreateBody { image: Some(IMAGE.to_owned()), labels, ..Default::default() };
    let options = CreateContainerOptions { name: Some(name.clone()), ..Default::default() };
    bench.engine.create_container(Some(options), body).await.expect("created");
    let live = bench.docker.read().await.expect("a snapshot");
    let copy = live.containers.iter().find(|container| container.name == name).expect("shown");
    assert!(copy.impostor && copy.labels.is_none());
    assert_eq!(bench.live(&replica).await.id, ours.id);
}

#[tokio::test]
async fn a_container_that_is_not_ours_is_not_changed_even_if_a_step_says_so() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let replica = bench.add(&mut desired, bench.template());
    let name = format!("{}-foreign", bench.installation.owner);
    let body = ContainerCreateBody { image: Some(IMAGE.to_owned()), ..Default::default() };
    let options = CreateContainerOptions { name: Some(name), ..Default::default() };
    let container = bench.engine.create_container(Some(options), body).await.expect("created").id;
    let steps = [
        Step::Start { object: replica.clone(), container: container.clone() },
        Step::Restart { object: replica.clone(), container: container.clone() },
        Step::Unpause { object: replica.clone(), container: container.clone() },
        Step::Update { object: replica.clone(), container: container.clone() },
        Step::Leave { replica: replica.clone(), container: container.clone() },
        Step::Stop { replica: replica.clone(), container: container.clone() },
        Step::Remove { object: replica, container: container.clone() },
    ];
    for step in steps {
        let failure = bench.docker.run(&step, &desired).await.expect_err("not ours");
        assert_eq!(failure.class, Class::Internal, "{}", failure.message);
    }
    let options = bollard::query_parameters::RemoveContainerOptions::default();
    bench.engine.remove_container(&container, Some(options)).await.expect("untouched");
}

#[tokio::test]
async fn uninstalling_removes_fronts_and_if_asked_everything_but_data() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let data = bench.add_volume(&mut desired, "data");
    let content = bench.add_content(&mut desired, &[("a", "1")]);
    let replica = bench.add(&mut desired, bench.template());
    bench.run(Step::CreateFront { front: bench.front().id }, &desired).await;
    bench.run(Step::CreateVolume { volume: data.clone() }, &desired).await;
    bench.run(Step::Deliver { content }, &desired).await;
    bench.run(Step::Create { replica: replica.clone() }, &desired).await;
    let owners = bench.docker.owners().await.expect("owners");
    assert!(owners.contains(&bench.installation.owner), "{owners:?}");

    let removed = bench.docker.uninstall(false).await.expect("removed");
    assert_eq!(removed.fronts, [bench.front().host_name]);
    assert!(removed.containers.is_empty());
    assert!(bench.live(&replica).await.is_running());

    let removed = bench.docker.uninstall(true).await.expect("removed");
    assert_eq!(removed.networks, [bench.network().host_name]);
    let live = bench.docker.read().await.expect("a snapshot");
    let own = live.volumes.iter().filter(|volume| volume.labels.as_ref().is_some_and(|labels| labels.owner == bench.installation.owner));
    let left: BTreeSet<&str> = own.map(|volume| volume.name.as_str()).collect();
    assert_eq!(left, BTreeSet::from([desired.volumes[&data].host_name.as_str()]));
    assert_eq!(bench.docker.uninstall(true).await.expect("nothing to do"), driftless::docker::Removed::default());
}
