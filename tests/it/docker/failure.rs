//! Failures say who has to do something.

use driftless::desired::Text;
use driftless::host::{Class, Step};
use driftless::observed::State;

use crate::engine::docker_or_skip;

#[tokio::test]
async fn an_image_that_cannot_be_had_is_waited_for() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let image = "127.0.0.1:1/nobody/nothing:7";
    let failure = bench.docker.run(&Step::Pull { image: image.to_owned() }, &desired).await.expect_err("no registry");
    assert_eq!(failure.class, Class::Waiting, "{}", failure.message);
    assert!(failure.message.contains(image), "{}", failure.message);
    let mut template = bench.template();
    template.containers[0].image = image.to_owned();
    let replica = bench.add(&mut desired, template);
    let failure = bench.docker.run(&Step::Create { replica }, &desired).await.expect_err("no image");
    assert_eq!(failure.class, Class::Waiting, "{}", failure.message);
}

#[tokio::test]
async fn a_command_that_the_image_does_not_have_is_the_authors() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let mut template = bench.template();
    template.containers[0].command = Some(vec![Text::literal("/bin/nothing")]);
    let replica = bench.add(&mut desired, template);
    let failure = bench.docker.run(&Step::Create { replica: replica.clone() }, &desired).await.expect_err("no command");
    assert_eq!(failure.class, Class::User, "{}", failure.message);
    let live = bench.live(&replica).await;
    assert_eq!((live.state, live.started), (State::Created, None));
    bench.run(Step::Remove { object: replica, container: live.id }, &desired).await;
}

#[tokio::test]
async fn networks_that_overlap_say_which_flag_to_change() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut other = bench.installation.clone();
    other.owner = driftless::name::Name::try_from(format!("{}-b", other.owner)).expect("a name");
    let docker = driftless::docker::Docker::connect(None, &other).await.expect("the engine");
    let mut network = bench.network();
    network.host_name = format!("driftless-{}", other.owner);
    let mut desired = bench.desired();
    desired.installation = other;
    desired.networks.insert(network.id.clone(), network.clone());
    let failure = docker.run(&Step::CreateNetwork { network: network.id }, &desired).await.expect_err("overlaps");
    assert_eq!(failure.class, Class::User);
    assert!(failure.message.contains("--network-pool"), "{}", failure.message);
}
