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

use super::manifest::{compose, db, deployment, web};
use super::proxy::{Counted, Fault, Harm};
use super::world::{World, engine_or_skip, is_long};

/// So many worlds live at once; the engine is not faster with more.
const AT_ONCE: usize = 3;
/// So many lives are tried by default for each kind of harm.
const SAMPLE: usize = 3;

/// What the repository has, one after the other.
struct Phase {
    name: &'static str,
    file: &'static str,
    text: String,
}

/// A service with two replicas that is updated without a gap, one with a volume that stops first, and
/// one more that goes.
fn phases(file: &'static str, text: impl Fn(u32, u32, bool) -> String) -> Vec<Phase> {
    let phase = |name, page, data, extra| Phase { name, file, text: text(page, data, extra) };
    vec![
        phase("deployment", 1, 1, true),
        phase("rolling update", 2, 1, true),
        phase("stop-first update", 2, 2, true),
        phase("prune", 2, 2, false),
    ]
}

fn kubernetes(page: u32, data: u32, extra: bool) -> String {
    let more = if extra { deployment("extra", 1, r#"["httpd", "-f", "-p", "8080"]"#, "", "") } else { String::new() };
    web(2, page) + &db(data) + &more
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
        world.commit(phase.file, &phase.text);
        if !world.is_running() {
            world.start();
        }
        world.apply().unwrap_or_else(|error| panic!("{} without harm: {error}\n{}", phase.name, world.log()));
        world.assert_in_sync(phase.name);
        expected.push(Expected { state: world.state(), calls: world.proxy.calls().len() });
    }
    expected
}

/// Lives through all phases with harm at one call of each; returns at how many it was done.
fn live(engine: &Path, phases: &[Phase], expected: &[Expected], harm: Harm, at: &[usize]) -> usize {
    let mut world = World::new(engine, &[]);
    let mut harmed = 0;
    for ((phase, expected), at) in phases.iter().zip(expected).zip(at) {
        world.proxy.set(Some(Fault { harm, counted: Counted::Changing, at: *at, times: 1 }));
        world.commit(phase.file, &phase.text);
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
        let times = |lines: &[String], line: &String| lines.iter().filter(|other| *other == line).count();
        let only = |one: &[String], other: &[String]| {
            one.iter().filter(|line| times(one, line) > times(other, line)).cloned().collect::<Vec<_>>().join("\n")
        };
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
fn run_all(lives: Vec<(Harm, Vec<usize>)>, engine: &Path, phases: &[Phase], expected: &[Expected]) -> (usize, Vec<String>) {
    let (left, harmed, failed) = (Mutex::new(lives), AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = left.lock().expect("no thread dies with the lock").pop();
                    let Some((harm, at)) = next else { return };
                    // One life tells nothing of another: all are tried.
                    match catch_unwind(|| live(engine, phases, expected, harm, &at)) {
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
async fn whatever_happens_at_a_call_the_host_ends_the_same() {
    let Some(engine) = engine_or_skip().await else { return };
    tokio::task::spawn_blocking(move || check(&engine, &phases("application.yaml", kubernetes))).await.expect("no life fails");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_a_compose_file_the_host_ends_the_same() {
    let Some(engine) = engine_or_skip().await.filter(|_| is_long()) else { return };
    tokio::task::spawn_blocking(move || check(&engine, &phases("compose.yaml", compose))).await.expect("no life fails");
}

#[allow(clippy::print_stderr, reason = "how much was tried is part of the result")]
fn check(engine: &Path, phases: &[Phase]) {
    let expected = undisturbed(engine, phases);
    let kills = [Harm::KillBefore, Harm::KillAfter];
    let others = [Harm::Fail, Harm::Break, Harm::LoseAnswer, Harm::Delay(Duration::from_secs(2))];
    let mut lives = Vec::new();
    for (seed, harm) in others.into_iter().chain(kills).enumerate() {
        let places = places(seed, &expected);
        // By default one life is enough for what is not a kill.
        let count = if is_long() || kills.contains(&harm) { places.len() } else { 1 };
        lives.extend(places.into_iter().take(count).map(|at| (harm, at)));
    }
    let (tried, calls) = (lives.len(), expected.iter().map(|phase| phase.calls).collect::<Vec<_>>());
    let (harmed, failed) = run_all(lives, engine, phases, &expected);
    eprintln!("{tried} lives over phases of {calls:?} changing calls, harm at {harmed} calls, {} failed", failed.len());
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    assert!(harmed >= tried, "harm was done");
}
