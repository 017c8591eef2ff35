//! The agent is killed at the n-th call of a deployment, a rolling update, an update that stops first and
//! a prune, before or after the call's effect; or the call fails, breaks or comes late. Afterwards the
//! host must be as without that, and a full read must find nothing to do.
//!
//! One life of a world goes through all four, each with harm at a call of its own. By default some calls
//! are chosen by a fixed seed; with `DRIFTLESS_LONG=1` it is every one.

use std::panic::catch_unwind;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::proxy::{Counted, Fault, Harm};
use super::world::{World, engine_or_skip, is_long};

/// So many worlds live at once; the engine is not faster with more.
const AT_ONCE: usize = 3;
/// So many lives are tried by default for each kind of harm.
const SAMPLE: usize = 3;

/// What the repository has, one after the other.
struct Phase {
    name: &'static str,
    text: String,
}

/// A service with two replicas that is updated without a gap, one with a volume that stops first, and
/// one more that goes.
fn kubernetes() -> Vec<Phase> {
    let all = |page: u32, data: u32, extra: bool| {
        let mut text = web(page) + &db(data);
        if extra {
            text += &deployment("extra", 1, r#"["httpd", "-f", "-p", "8080"]"#, "", "");
        }
        text
    };
    vec![
        Phase { name: "deployment", text: all(1, 1, true) },
        Phase { name: "rolling update", text: all(2, 1, true) },
        Phase { name: "stop-first update", text: all(2, 2, true) },
        Phase { name: "prune", text: all(2, 2, false) },
    ]
}

fn web(page: u32) -> String {
    let mounts = "volumeMounts: [{ name: page, mountPath: /srv }, { name: scratch, mountPath: /scratch }]";
    let volumes = "volumes: [{ name: page, configMap: { name: page } }, { name: scratch, emptyDir: {} }]";
    let map = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: page }}\ndata: {{ index.html: 'page {page}' }}\n---\n");
    map + &deployment("web", 2, r#"["httpd", "-f", "-p", "8080", "-h", "/srv"]"#, mounts, volumes)
}

fn db(version: u32) -> String {
    let mounts = format!("env: [{{ name: VERSION, value: '{version}' }}]\n          volumeMounts: [{{ name: data, mountPath: /data }}]");
    let volumes = "volumes: [{ name: data, persistentVolumeClaim: { claimName: data } }]";
    let claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: { name: data }\nspec: { accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Mi } } }\n---\n";
    let command = r#"["sh", "-c", "echo $VERSION > /data/index.html; exec httpd -f -p 8080 -h /data"]"#;
    claim.to_owned() + &deployment("db", 1, command, &mounts, volumes)
}

fn deployment(name: &str, replicas: u32, command: &str, mounts: &str, volumes: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{ name: {name} }}
spec:
  replicas: {replicas}
  selector: {{ matchLabels: {{ app: {name} }} }}
  template:
    metadata: {{ labels: {{ app: {name} }} }}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: app
          image: {image}
          imagePullPolicy: Never
          command: {command}
          readinessProbe: {{ tcpSocket: {{ port: 8080 }}, periodSeconds: 1 }}
          {mounts}
      {volumes}
---
apiVersion: v1
kind: Service
metadata: {{ name: {name} }}
spec: {{ selector: {{ app: {name} }}, ports: [{{ port: 80, targetPort: 8080 }}] }}
---
",
        image = crate::engine::IMAGE,
    )
}

/// What a life without harm came to: after each phase the host, and how many calls it took.
struct Expected {
    state: Vec<String>,
    calls: usize,
}

fn undisturbed(engine: &Path, phases: &[Phase]) -> Vec<Expected> {
    let mut world = World::new(engine, &[]);
    let mut expected = Vec::new();
    for phase in phases {
        world.proxy.set(None);
        world.commit("application.yaml", &phase.text);
        if !world.is_running() {
            world.start();
        }
        world.apply().unwrap_or_else(|error| panic!("{} without harm: {error}\n{}", phase.name, world.log()));
        world.assert_in_sync(phase.name);
        expected.push(Expected { state: world.state(), calls: world.proxy.calls().len() });
    }
    expected
}

/// Lives through all phases with harm at one call of each.
fn live(engine: &Path, phases: &[Phase], expected: &[Expected], harm: Harm, at: &[usize], counted: Counted) -> usize {
    let mut world = World::new(engine, &[]);
    let mut harmed = 0;
    for ((phase, expected), at) in phases.iter().zip(expected).zip(at) {
        world.proxy.set(Some(Fault { harm, counted, at: *at, times: 1 }));
        world.commit("application.yaml", &phase.text);
        if !world.is_running() {
            world.start();
        }
        let applied = world.apply();
        let calls = world.proxy.harmed();
        let context = format!("{harm:?} at call {at} of the {} ({calls:?})", phase.name);
        // From here on nothing happens to it any more.
        world.proxy.set(None);
        let applied = match matches!(harm, Harm::KillBefore | Harm::KillAfter) && !calls.is_empty() {
            true => {
                world.has_ended();
                world.start();
                world.apply()
            }
            false => applied,
        };
        applied.unwrap_or_else(|error| panic!("{context}: {error}\n{}", world.log()));
        assert!(world.is_running(), "{context}: the agent has ended\n{}", world.log());
        world.assert_in_sync(&context);
        let state = world.state();
        let only =
            |one: &[String], other: &[String]| one.iter().filter(|line| !other.contains(line)).cloned().collect::<Vec<_>>().join("\n");
        let (more, less) = (only(&state, &expected.state), only(&expected.state, &state));
        assert!(state == expected.state, "{context}\nonly with it:\n{more}\nonly without it:\n{less}\n{}", world.log());
        harmed += calls.len();
    }
    harmed
}

/// Returns which call of each phase is harmed in each life.
fn places(seed: usize, expected: &[Expected]) -> Vec<Vec<usize>> {
    let most = expected.iter().map(|phase| phase.calls).max().unwrap_or(0);
    let lives: Vec<usize> = match is_long() {
        true => (0..most).collect(),
        // Steps of a fixed width from a fixed beginning, so that every part of a phase has its turn.
        false => (0..SAMPLE).map(|life| seed + life * most.div_ceil(SAMPLE)).collect(),
    };
    lives.iter().map(|life| expected.iter().map(|phase| life % phase.calls.max(1) + 1).collect()).collect()
}

/// Runs lives, some at once; returns how often harm was done, and what went wrong.
fn run_all(lives: Vec<(Harm, Vec<usize>, Counted)>, engine: &Path, phases: &[Phase], expected: &[Expected]) -> (usize, Vec<String>) {
    let (left, harmed, failed) = (Mutex::new(lives), AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = left.lock().expect("no thread dies with the lock").pop();
                    let Some((harm, at, counted)) = next else { return };
                    // One life tells nothing of another: all are tried.
                    match catch_unwind(|| live(engine, phases, expected, harm, &at, counted)) {
                        Ok(count) => drop(harmed.fetch_add(count, Ordering::Relaxed)),
                        Err(cause) => {
                            let cause = cause.downcast::<String>().map_or("it panicked".to_owned(), |text| *text);
                            failed.lock().expect("no thread dies with the lock").push(cause);
                        }
                    }
                }
            });
        }
    });
    (harmed.into_inner(), failed.into_inner().expect("no thread died with the lock"))
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stderr, reason = "how much was tried is part of the result")]
async fn whatever_happens_at_a_call_the_host_ends_the_same() {
    let Some(engine) = engine_or_skip() else { return };
    crate::engine::ensure_image(&bollard::Docker::connect_with_defaults().expect("a Docker engine")).await;
    tokio::task::spawn_blocking(move || {
        let phases = kubernetes();
        let expected = undisturbed(&engine, &phases);
        let kills = [Harm::KillBefore, Harm::KillAfter];
        let others = [Harm::Fail, Harm::Break, Harm::LoseAnswer, Harm::Delay(Duration::from_secs(2))];
        let mut lives = Vec::new();
        for (seed, harm) in others.into_iter().chain(kills).enumerate() {
            let lives_of = places(seed, &expected);
            // By default one life is enough for what is not a kill.
            let count = if is_long() || kills.contains(&harm) { lives_of.len() } else { 1 };
            lives.extend(lives_of.into_iter().take(count).map(|at| (harm, at, Counted::Changing)));
        }
        let (tried, calls) = (lives.len(), expected.iter().map(|phase| phase.calls).collect::<Vec<_>>());
        let (harmed, failed) = run_all(lives, &engine, &phases, &expected);
        eprintln!("{tried} lives over phases of {calls:?} changing calls, harm at {harmed} calls, {} failed", failed.len());
        assert!(failed.is_empty(), "{}", failed.join("\n\n"));
        assert!(harmed >= tried, "harm was done");
    })
    .await
    .expect("no life ends in a panic");
}
