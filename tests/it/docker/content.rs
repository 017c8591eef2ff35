//! Delivered files are there as a whole or not at all.

use bollard::models::{ContainerCreateBody, HostConfig, Mount as EngineMount, MountType, MountVolumeOptions, VolumeCreateRequest};
use bollard::query_parameters::CreateContainerOptions;
use driftless::desired::{Mount, MountSource};
use driftless::host::Step;
use driftless::name::Kind;
use driftless::observed::Live;

use crate::engine::{Bench, docker_or_skip};

/// Returns the content that this test's installation has; others use the engine, too.
fn delivered(live: &Live, bench: &Bench) -> Vec<String> {
    let labels = live.volumes.iter().filter_map(|volume| volume.labels.as_ref());
    let own = labels.filter(|labels| labels.owner == bench.installation.owner);
    own.filter(|labels| labels.object.kind == Kind::Content).map(|labels| labels.object.name.to_string()).collect()
}

#[tokio::test]
async fn content_shows_only_when_it_is_complete() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let content = bench.add_content(&mut desired, &[("a", "1"), ("deep/b", "2")]);
    let volume = format!("driftless_{}_shop_{}", bench.installation.owner, &content.0[..24]);
    // What an agent leaves that dies in the middle: the container through which it filled the volume.
    let labels = [
        ("dev.driftless.owner", bench.installation.owner.to_string()),
        ("dev.driftless.application", "shop".to_owned()),
        ("dev.driftless.namespace", "shop".to_owned()),
        ("dev.driftless.object", format!("shop/Content/{}", content.0)),
    ];
    let mut labels: std::collections::HashMap<String, String> = labels.map(|(name, value)| (name.to_owned(), value)).into();
    let mount = EngineMount {
        typ: Some(MountType::VOLUME),
        source: Some(volume.clone()),
        target: Some("/content".to_owned()),
        volume_options: Some(MountVolumeOptions { labels: Some(labels.clone()), ..Default::default() }),
        ..Default::default()
    };
    labels.insert("dev.driftless.staging".to_owned(), volume.clone());
    let body = ContainerCreateBody {
        image: Some(crate::engine::IMAGE.to_owned()),
        labels: Some(labels),
        host_config: Some(HostConfig { mounts: Some(vec![mount]), ..Default::default() }),
        ..Default::default()
    };
    let options = CreateContainerOptions { name: Some(format!("{volume}-filling")), ..Default::default() };
    bench.engine.create_container(Some(options), body).await.expect("created");
    let live = bench.docker.read().await.expect("a snapshot");
    assert!(delivered(&live, &bench).is_empty());
    assert!(!live.containers.iter().any(|container| container.name.starts_with(&volume)), "it is nobody's replica");

    bench.run(Step::Deliver { content: content.clone() }, &desired).await;
    let live = bench.docker.read().await.expect("a snapshot");
    assert_eq!(delivered(&live, &bench), std::slice::from_ref(&content.0));
    assert!(!live.containers.iter().any(|container| container.name.starts_with(&volume)));
    bench.run(Step::Deliver { content }, &desired).await;
}

#[tokio::test]
async fn delivered_content_stays_without_a_replica_and_goes_when_told() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let content = bench.add_content(&mut desired, &[("a", "1")]);
    let mut template = bench.template();
    let mount = Mount { target: "/etc/app".into(), source: MountSource::Content(content.clone()), sub_path: None, read_only: true };
    template.containers[0].mounts = vec![mount];
    template.containers[0].read_only = true;
    let replica = bench.add(&mut desired, template);
    bench.run(Step::Deliver { content: content.clone() }, &desired).await;
    bench.run(Step::Create { replica: replica.clone() }, &desired).await;
    let live = bench.live(&replica).await;
    let volume = live.volumes.first().expect("mounted").clone();
    assert!(live.writes.is_empty());
    assert_eq!(bench.output(&live.id, &["cat", "/etc/app/a"]).await, "1");
    assert!(bench.engine.inspect_container(&format!("{volume}-staged"), None).await.is_err(), "the replica holds it now");

    bench.run(Step::Leave { replica: replica.clone(), container: live.id.clone() }, &desired).await;
    bench.run(Step::Stop { replica: replica.clone(), container: live.id.clone() }, &desired).await;
    bench.run(Step::Remove { object: replica, container: live.id }, &desired).await;
    assert_eq!(delivered(&bench.docker.read().await.expect("a snapshot"), &bench), std::slice::from_ref(&content.0));
    for _ in 0..2 {
        bench.run(Step::RemoveContent { content: content.clone(), volume: volume.clone() }, &desired).await;
    }
    assert!(delivered(&bench.docker.read().await.expect("a snapshot"), &bench).is_empty());
}

#[tokio::test]
async fn a_replica_is_not_given_an_empty_volume_for_one_that_has_gone() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let data = bench.add_volume(&mut desired, "data");
    let mut template = bench.template();
    let mount = Mount { target: "/data".into(), source: MountSource::Volume(data.clone()), sub_path: None, read_only: false };
    template.containers[0].mounts = vec![mount];
    let replica = bench.add(&mut desired, template);
    // The plan saw the volume; somebody removed it before the replica was created.
    let failure = bench.docker.run(&Step::Create { replica: replica.clone() }, &desired).await.expect_err("refused");
    assert!(failure.message.contains("has gone"), "{}", failure.message);
    let name = &desired.volumes[&data].host_name;
    assert!(bench.engine.inspect_volume(name).await.is_err(), "nothing is left behind");

    // Somebody's own volume of the name is neither mounted nor removed.
    let request = bollard::models::VolumeCreateRequest { name: Some(name.clone()), ..Default::default() };
    bench.engine.create_volume(request).await.expect("created");
    let failure = bench.docker.run(&Step::Create { replica: replica.clone() }, &desired).await.expect_err("refused");
    assert_eq!(failure.class, driftless::host::Class::User, "{}", failure.message);
    bench.engine.remove_volume(name, None::<bollard::query_parameters::RemoveVolumeOptions>).await.expect("it is still there");
    bench.run(Step::CreateVolume { volume: data }, &desired).await;
    bench.run(Step::Create { replica: replica.clone() }, &desired).await;
    assert_eq!(bench.live(&replica).await.writes.len(), 1);
}

#[tokio::test]
async fn an_empty_dir_goes_with_its_replica() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let dir = driftless::name::Name::try_from("scratch").expect("a name");
    let mut template = bench.template();
    template.empty_dirs.insert(dir.clone(), driftless::desired::EmptyDir { memory: false, size_limit: None });
    let mount = Mount { target: "/scratch".into(), source: MountSource::EmptyDir(dir), sub_path: None, read_only: false };
    template.containers[0].mounts = vec![mount];
    let replica = bench.add(&mut desired, template);
    bench.run(Step::Create { replica: replica.clone() }, &desired).await;
    let live = bench.live(&replica).await;
    let volume = live.volumes.first().expect("mounted").clone();
    bench.run(Step::Leave { replica: replica.clone(), container: live.id.clone() }, &desired).await;
    bench.run(Step::Stop { replica: replica.clone(), container: live.id.clone() }, &desired).await;
    bench.run(Step::Remove { object: replica, container: live.id }, &desired).await;
    assert!(bench.engine.inspect_volume(&volume).await.is_err());
}

#[tokio::test]
async fn a_volume_without_the_container_that_was_to_fill_it_is_filled() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let content = bench.add_content(&mut desired, &[("a", "1")]);
    let volume = format!("driftless_{}_shop_{}", bench.installation.owner, &content.0[..24]);
    // What an engine leaves that ends in the middle of a `create`.
    let labels = [
        ("dev.driftless.owner", bench.installation.owner.to_string()),
        ("dev.driftless.application", "shop".to_owned()),
        ("dev.driftless.namespace", "shop".to_owned()),
        ("dev.driftless.object", format!("shop/Content/{}", content.0)),
    ];
    let labels = labels.map(|(name, value)| (name.to_owned(), value)).into();
    let request = VolumeCreateRequest { name: Some(volume.clone()), labels: Some(labels), ..Default::default() };
    bench.engine.create_volume(request).await.expect("created");
    let held = async || {
        let live = bench.docker.read().await.expect("a snapshot");
        live.volumes.iter().find(|known| known.name == volume).map(|known| known.held)
    };
    assert_eq!(held().await, Some(false));
    bench.run(Step::Deliver { content: content.clone() }, &desired).await;
    assert_eq!(held().await, Some(true));
    let mountpoint = bench.engine.inspect_volume(&volume).await.expect("there").mountpoint;
    assert_eq!(std::fs::read_to_string(format!("{mountpoint}/a")).expect("delivered"), "1");
}
