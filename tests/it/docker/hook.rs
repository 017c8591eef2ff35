//! Commands in containers, and the hooks after a start and before a stop.

use std::time::{Duration, Instant};

use driftless::desired::{Action, Hook, Mount, MountSource, Text};
use driftless::docker::Error;
use driftless::host::{Class, Step};

use crate::engine::docker_or_skip;

fn command(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[tokio::test]
async fn a_command_returns_its_exit_code_and_a_slow_one_ends_the_wait() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let mut template = bench.template();
    template.containers[0].args = Some(["sh", "-c", "echo one; echo two; exec sleep 1000"].map(Text::literal).to_vec());
    let replica = bench.add(&mut desired, template);
    bench.run(Step::Create { replica: replica.clone() }, &desired).await;
    let id = bench.live(&replica).await.id;
    let limit = Duration::from_secs(10);
    assert_eq!(bench.docker.exec(&id, &command(&["sh", "-c", "exit 3"]), limit).await.expect("run"), 3);
    assert_eq!(bench.docker.logs_tail(&id, 1).await.expect("output"), "two\n");
    let begun = Instant::now();
    let slow = bench.docker.exec(&id, &command(&["sleep", "1000"]), Duration::from_millis(300)).await;
    assert!(matches!(slow, Err(Error::TimedOut { .. })));
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_hook_after_the_start_that_fails_fails_the_step() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let mut template = bench.template();
    template.containers[0].post_start = Some(Hook(Action::Exec(command(&["false"]))));
    let replica = bench.add(&mut desired, template);
    let failure = bench.docker.run(&Step::Create { replica: replica.clone() }, &desired).await.expect_err("the hook fails");
    assert_eq!(failure.class, Class::User);
    assert!(failure.message.contains("exit code 1"), "{}", failure.message);
}

#[tokio::test]
async fn the_hook_before_the_stop_runs_within_the_grace_period() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let data = bench.add_volume(&mut desired, "data");
    let mut template = bench.template();
    let mount = Mount { target: "/data".into(), source: MountSource::Volume(data.clone()), sub_path: None, read_only: false };
    template.containers[0].mounts = vec![mount];
    template.containers[0].pre_stop = Some(Hook(Action::Exec(command(&["touch", "/data/stopping"]))));
    let replica = bench.add(&mut desired, template.clone());
    bench.run(Step::CreateVolume { volume: data }, &desired).await;
    bench.run(Step::Create { replica: replica.clone() }, &desired).await;
    let id = bench.live(&replica).await.id;
    bench.run(Step::Stop { replica: replica.clone(), container: id.clone() }, &desired).await;
    bench.run(Step::Start { object: replica.clone(), container: id.clone() }, &desired).await;
    assert_eq!(bench.output(&id, &["ls", "/data"]).await, "stopping\n");
}

#[tokio::test]
async fn a_hook_that_takes_too_long_does_not_keep_the_container() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let mut template = bench.template();
    template.containers[0].pre_stop = Some(Hook(Action::Exec(command(&["sleep", "1000"]))));
    template.grace = Duration::from_secs(1);
    let replica = bench.add(&mut desired, template);
    bench.run(Step::Create { replica: replica.clone() }, &desired).await;
    let id = bench.live(&replica).await.id;
    let begun = Instant::now();
    bench.run(Step::Stop { replica, container: id }, &desired).await;
    // One second for the hook, and the least that is left for the signal: as long as the grace period was.
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}
