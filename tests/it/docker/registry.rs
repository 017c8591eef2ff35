//! Images from a real registry: with and without credentials, and while it is away.

use std::path::Path;

use driftless::desired::Secret;
use driftless::docker::Docker;
use driftless::host::{Class, Failure, Step};

use crate::engine::{Bench, docker_or_skip};
use crate::registry::{PASSWORD, Registry, docker};

async fn pull(bench: &Bench, docker: &Docker, image: &str) -> Result<(), Failure> {
    docker.run(&Step::Pull { image: image.to_owned() }, &bench.desired()).await
}

#[tokio::test]
async fn an_image_is_pulled_and_one_that_is_gone_is_waited_for() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut registry = Registry::start(false);
    let config = registry.client("none", None);
    let image = registry.push(&config);
    let docker = bench.docker.clone().with_config(config);
    pull(&bench, &docker, &image).await.expect("it is there");
    bench.engine.inspect_image(&image).await.expect("the engine has it");
    let failure = pull(&bench, &docker, &image.replace(":1", ":2")).await.expect_err("nobody pushed it");
    assert_eq!(failure.class, Class::Waiting);
    assert!(failure.message.contains("manifest") && failure.message.contains(":2"), "{}", failure.message);
    registry.end();
    let failure = pull(&bench, &docker, &image).await.expect_err("nobody answers");
    assert_eq!(failure.class, Class::Waiting);
    assert!(failure.message.contains("connection refused") && failure.message.contains(&registry.host), "{}", failure.message);
    bench.engine.inspect_image(&image).await.expect("what is here stays");
}

#[tokio::test]
async fn credentials_are_those_of_dockers_client_and_are_never_shown() {
    let Some(bench) = docker_or_skip().await else { return };
    let registry = Registry::start(true);
    let good = registry.client("good", Some(PASSWORD));
    let image = registry.push(&good);
    let host = &registry.host;
    let with = |folder| bench.docker.clone().with_config(folder);
    for (folder, reason) in [
        (
            registry.client("none", None),
            format!("registry `{host}` asks for credentials, and neither `imagePullSecrets` nor Docker's `config.json` has any for it"),
        ),
        (
            registry.client("wrong", Some("canary-wrong")),
            format!("registry `{host}` refuses the credentials that Docker's `config.json` has"),
        ),
    ] {
        let failure = pull(&bench, &with(folder), &image).await.expect_err("nobody comes in");
        assert_eq!(failure.class, Class::Waiting);
        assert!(failure.message.contains(&reason), "{}", failure.message);
        assert!(!failure.message.contains("canary"), "{}", failure.message);
    }
    // What the application brings along comes before what the host has.
    let login = |folder: &Path| Secret::new(std::fs::read(folder.join("config.json")).expect("it was written"));
    let mut desired = bench.desired();
    desired.logins = [(image.clone(), vec![login(&registry.client("wrong", Some("canary-wrong")))])].into();
    let step = Step::Pull { image: image.clone() };
    let failure = with(good.clone()).run(&step, &desired).await.expect_err("they are wrong");
    assert!(failure.message.contains("refuses the credentials that `imagePullSecrets` has"), "{}", failure.message);
    desired.logins = [(image.clone(), vec![Secret::new("{}"), login(&good)])].into();
    with(registry.client("none", None)).run(&step, &desired).await.expect("these are right");
    docker(&good, &["image", "rm", &image]);
    pull(&bench, &with(good), &image).await.expect("these are right, too");
    let found = bench.engine.inspect_image(&image).await.expect("the engine has it");
    assert!(!serde_json::to_string(&found).expect("JSON").contains("canary"));
}
