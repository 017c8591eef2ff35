//! How long a plan takes: nothing to do for 100, 1,000 and 10,000 replicas, and a rollout of all of them.
//!
//! Each figure is the median of some runs, printed as a line: `plan nothing-to-do 10000 replicas: 12.3 ms`.

use std::time::{Duration, Instant};

use driftless::desired::Desired;
use driftless::observed::{Live, Observed};
use driftless::plan::{Claims, plan};
use driftless::sim::{Host, Run, Scene};
use driftless::time::Time;

#[path = "../tests/it/simulated/build.rs"]
#[allow(dead_code)]
mod build;

const RUNS: usize = 15;
/// Replicas of each workload, as on a large host.
const EACH: u32 = 10;

#[allow(clippy::print_stdout)]
fn main() {
    for replicas in [100, 1_000, 10_000] {
        let mut run = Run::new(Host::new(Scene::default(), Time(1_767_225_600_000)), application("r1", "web:1", replicas));
        run.converge(Duration::from_secs(600));
        assert!(run.plan().is_converged(), "the application came up");
        let live: Live = run.host.read();
        let mut reconciler = run.reconciler().clone();
        let now = run.host.now();
        let observed = Observed { live: live.clone(), ..reconciler.observed().clone() };
        let claims = Claims::default();
        println!("plan nothing-to-do {replicas} replicas: {}", median(|| drop(plan(&run.desired, &claims, &observed, now))));
        let mut copies: Vec<Live> = (0..RUNS).map(|_| live.clone()).collect();
        let round = || drop(reconciler.round(&run.desired, &run.claims, copies.pop().unwrap_or_default(), now));
        println!("round nothing-to-do {replicas} replicas: {}", median(round));
        let next = application("r2", "web:2", replicas);
        println!("plan rollout {replicas} replicas: {}", median(|| drop(plan(&next, &claims, &observed, now))));
    }
}

fn application(revision: &str, image: &str, replicas: u32) -> Desired {
    let workload = |number: u32| build::Deployment { replicas: EACH, ..build::deployment(&format!("web-{number}"), image) };
    build::shop(revision, (0..replicas / EACH).map(workload))
}

fn median(mut work: impl FnMut()) -> String {
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .collect();
    times.sort();
    format!("{:.1} ms", times[RUNS / 2].as_secs_f64() * 1_000.0)
}
