//! The life of an application on the simulated host: rollouts, scaling, failure, healing, pruning.
//!
//! Every turn of every test is watched: no plan is refused, and the floor of the test holds.

use std::collections::BTreeSet;
use std::time::Duration;

use driftless::desired::{Desired, PullPolicy, Resources, Strategy};
use driftless::host::{Class, Failure, Step};
use driftless::observed::{Record, State, Traffic};
use driftless::plan::{ChangeAction, DriftKind, Health};
use driftless::reconcile::Target;
use driftless::sim::{Behavior, Host, Run, Scene, Turn};
use driftless::time::Time;

use super::build::{Deployment, NETWORK, deployment, rolling, shop, workload};

const START: Time = Time(1_767_225_600_000);
const MINUTE: Duration = Duration::from_secs(60);

fn never_ready() -> Behavior {
    Behavior { ready_after: None, ..Behavior::default() }
}

fn run(desired: Desired) -> Run {
    Run::new(Host::new(Scene::default(), START), desired)
}

/// Runs to convergence and returns the turns; a refusal or a standstill is a failure.
fn settle(run: &mut Run) -> Vec<Turn> {
    let turns = run.converge(10 * MINUTE);
    for turn in &turns {
        assert!(turn.refused.is_empty(), "{:?}\n{}", turn.refused, words(&turns));
    }
    let plan = run.plan();
    assert!(plan.is_converged(), "not converged: {plan:#?}\n{}", words(&turns));
    turns
}

fn words(turns: &[Turn]) -> String {
    let line = |turn: &Turn| {
        let steps: Vec<String> = turn.steps.iter().map(ToString::to_string).collect();
        let held: Vec<String> = turn.plan.held.iter().map(|held| format!("{}: {}", held.object, held.reason)).collect();
        format!("{} {:?} | {} | {}", turn.at, turn.serving.iter().map(|(_, n)| n).collect::<Vec<_>>(), steps.join(", "), held.join("; "))
    };
    turns.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn least(turns: &[Turn], name: &str) -> usize {
    turns.iter().filter_map(|turn| turn.serving.iter().find(|(id, _)| *id == workload(name))).map(|(_, count)| *count).min().unwrap_or(0)
}

fn containers(run: &Run, name: &str) -> usize {
    run.host
        .read()
        .containers
        .iter()
        .filter(|container| container.labels.as_ref().is_some_and(|l| l.object.workload() == workload(name)))
        .count()
}

fn ids(run: &Run) -> BTreeSet<String> {
    run.host.read().containers.iter().map(|container| container.id.clone()).collect()
}

fn count(turns: &[Turn], wanted: impl Fn(&Step) -> bool) -> usize {
    turns.iter().flat_map(|turn| &turn.steps).filter(|step| wanted(step)).count()
}

fn web(image: &str, replicas: u32) -> Deployment {
    Deployment { replicas, ..deployment("web", image) }
}

#[test]
fn two_replicas_come_up_from_nothing_and_applying_again_does_nothing() {
    let mut run = run(shop("r1", [web("web:1", 2)]));
    let before = run.plan();
    assert!(before.changes.iter().all(|change| change.action == ChangeAction::Create));
    let turns = settle(&mut run);
    assert_eq!(containers(&run, "web"), 2);
    assert_eq!(run.reconciler().observed().record.healthy, ["r1"]);
    for turn in &turns {
        assert!(turn.plan.changes.iter().all(|change| before.changes.contains(change)), "{:#?}", turn.plan.changes);
    }
    assert!(settle(&mut run).is_empty());
    run.kill_agent();
    assert!(settle(&mut run).is_empty());
}

#[test]
fn a_roll_never_goes_below_what_must_serve() {
    let mut run = run(shop("r1", [web("web:1", 2)]));
    settle(&mut run);
    run.desired = shop("r2", [web("web:2", 2)]).into();
    let turns = settle(&mut run);
    assert_eq!(least(&turns, "web"), 2, "{}", words(&turns));
    assert_eq!(containers(&run, "web"), 2);
    assert!(run.host.read().containers.iter().all(|container| container.image != "web:1"));
}

#[test]
fn scaling_touches_nobody_else() {
    let mut run = run(shop("r1", [web("web:1", 2)]));
    settle(&mut run);
    let before = ids(&run);
    run.desired = shop("r2", [web("web:1", 4)]).into();
    let turns = settle(&mut run);
    assert!(ids(&run).is_superset(&before));
    assert_eq!((containers(&run, "web"), least(&turns, "web")), (4, 2));
    run.desired = shop("r3", [web("web:1", 1)]).into();
    let turns = settle(&mut run);
    assert_eq!(containers(&run, "web"), 1);
    assert!(least(&turns, "web") >= 1, "{}", words(&turns));
    run.desired = shop("r4", [web("web:1", 0)]).into();
    settle(&mut run);
    assert_eq!(containers(&run, "web"), 0);
}

fn database(image: &str) -> Deployment {
    Deployment { volume: Some("data".to_owned()), ..deployment("db", image) }
}

#[test]
fn a_replica_with_a_volume_stops_before_its_successor_starts() {
    let mut run = run(shop("r1", [database("db:1")]));
    settle(&mut run);
    run.desired = shop("r2", [database("db:2")]).into();
    let end = run.host.now() + 2 * MINUTE;
    while run.host.now() < end {
        let turn = run.turn();
        assert!(turn.refused.is_empty(), "{:?}", turn.refused);
        let live = run.host.read();
        let writers = live.containers.iter().filter(|container| container.may_run() && container.writes.contains("shop_data")).count();
        assert!(writers <= 1, "two writers: {:#?}", live.containers);
        run.pass(Duration::from_millis(100));
    }
    assert!(run.plan().is_converged());
    assert_eq!(containers(&run, "db"), 1);
}

#[test]
fn a_failed_rollout_goes_back_and_a_new_commit_goes_on() {
    let scene = Scene { behaviors: [("web:2".to_owned(), never_ready())].into(), ..Scene::default() };
    let mut run = Run::new(Host::new(scene, START), shop("r1", [web("web:1", 2)]));
    settle(&mut run);
    let good = run.desired.clone();
    let bad = shop("r2", [web("web:2", 2)]);
    run.desired = bad.clone().into();
    let turns = run.converge(2 * MINUTE);
    assert_eq!(least(&turns, "web"), 2);
    assert_eq!(run.plan().health(), Health::Degraded);
    let Target::RolledBack { revision, reason } = run.reconciler().target(&bad) else { panic!("not rolled back: {}", words(&turns)) };
    assert_eq!(revision, "r1");
    assert!(reason.contains("deadline"), "{reason}");
    run.desired = good;
    let turns = settle(&mut run);
    assert_eq!(least(&turns, "web"), 2);
    assert!(run.host.read().containers.iter().all(|container| container.image != "web:2"));
    // Another commit that asks for the same has failed, too; one that asks for something else has not.
    assert_ne!(run.reconciler().target(&shop("r3", [web("web:2", 2)])), Target::Head);
    let fixed = shop("r4", [web("web:3", 2)]);
    assert_eq!(run.reconciler().target(&fixed), Target::Head);
    run.desired = fixed.into();
    let turns = settle(&mut run);
    assert_eq!(least(&turns, "web"), 2);
}

#[test]
fn a_clock_that_is_set_neither_fails_a_rollout_nor_holds_it_up() {
    for by in [3_600_000, -3_600_000] {
        let slow = Behavior { ready_after: Some(Duration::from_secs(20)), ..Behavior::default() };
        let scene = Scene { behaviors: [("web:2".to_owned(), slow)].into(), ..Scene::default() };
        let mut run = Run::new(Host::new(scene, START), shop("r1", [web("web:1", 2)]));
        settle(&mut run);
        run.desired = shop("r2", [web("web:2", 2)]).into();
        run.converge(Duration::from_secs(5));
        run.set_clock(by);
        let turns = run.converge(2 * MINUTE);
        assert_eq!(run.reconciler().target(&run.desired), Target::Head, "{}", words(&turns));
        assert!(run.plan().is_converged() || by < 0, "{}", words(&turns));
        assert!(turns.is_empty() || least(&turns, "web") == 2, "{}", words(&turns));
        // Of a start that the new clock has not reached yet the simulated probes say nothing.
        run.converge(2 * 60 * MINUTE);
        assert!(run.plan().is_converged());
    }
}

#[test]
fn a_changed_probe_is_another_try() {
    let scene = Scene { behaviors: [("web:2".to_owned(), never_ready())].into(), ..Scene::default() };
    let mut run = Run::new(Host::new(scene, START), shop("r1", [web("web:1", 1)]));
    settle(&mut run);
    run.desired = shop("r2", [web("web:2", 1)]).into();
    run.converge(2 * MINUTE);
    assert_ne!(run.reconciler().target(&run.desired), Target::Head);
    let fixed = shop("r3", [Deployment { readiness: false, ..web("web:2", 1) }]);
    assert_eq!(run.reconciler().target(&fixed), Target::Head);
}

#[test]
fn a_missing_image_is_waited_for_while_the_old_replicas_serve() {
    for strategy in [rolling(1, 0), rolling(0, 1), Strategy::Recreate] {
        let asked = |image: &str| Deployment { strategy, ..web(image, 2) };
        let scene = Scene { missing: ["web:2".to_owned()].into(), ..Scene::default() };
        let mut run = Run::new(Host::new(scene, START), shop("r1", [asked("web:1")]));
        settle(&mut run);
        run.desired = shop("r2", [asked("web:2")]).into();
        let turns = run.converge(30 * MINUTE);
        assert_eq!(least(&turns, "web"), 2, "{strategy:?}");
        assert_eq!(run.serving(), [(workload("web"), 2)]);
        assert_ne!(run.plan().health(), Health::Degraded);
        assert_eq!(run.reconciler().target(&run.desired), Target::Head);
        assert!(count(&turns, |step| matches!(step, Step::Pull { .. })) < 60, "pulls in a tight loop");
        run.host.scene.missing.clear();
        settle(&mut run);
        assert_eq!(containers(&run, "web"), 2);
    }
}

#[test]
fn what_git_no_longer_has_goes_last() {
    let mut run = run(shop("r1", [web("web:1", 2), deployment("old", "old:1")]));
    settle(&mut run);
    run.desired = shop("r2", [web("web:2", 2)]).into();
    let turns = settle(&mut run);
    assert_eq!(containers(&run, "old"), 0);
    let first = |wanted: &dyn Fn(&Step) -> bool| turns.iter().position(|turn| turn.steps.iter().any(wanted)).expect("happens");
    let leaves = first(&|step| matches!(step, Step::Leave { replica, .. } if replica.workload() == workload("old")));
    let last_join = turns.iter().rposition(|turn| turn.steps.iter().any(|step| matches!(step, Step::Join { .. }))).expect("joins");
    assert!(leaves > last_join, "{}", words(&turns));
    assert!(run.plan().changes.is_empty());
}

#[test]
fn removing_everything_asks_first() {
    let mut run = run(shop("r1", [web("web:1", 2)]));
    settle(&mut run);
    run.desired = shop("r2", []).into();
    let turns = run.converge(MINUTE);
    assert_eq!(count(&turns, |step| matches!(step, Step::Leave { .. })), 0);
    assert!(run.plan().held.iter().any(|held| held.reason.contains("--prune-all")));
    run.reconciler_mut().record_mut().prune_all = Some("r2".to_owned());
    settle(&mut run);
    assert_eq!(containers(&run, "web"), 0);
}

#[test]
fn a_needed_port_is_freed_before_the_rest_is_pruned() {
    let port = |name: &str, image: &str| Deployment { host_port: Some(8080), ..deployment(name, image) };
    let mut run = run(shop("r1", [port("old", "old:1")]));
    settle(&mut run);
    run.desired = shop("r2", [port("new", "new:1")]).into();
    settle(&mut run);
    assert_eq!((containers(&run, "old"), containers(&run, "new")), (0, 1));
}

fn by_hand(run: &mut Run, change: impl FnOnce(&mut driftless::observed::Container)) -> String {
    let live = run.host.live_mut();
    let container = live.containers.iter_mut().find(|container| container.image.starts_with("web")).expect("a replica");
    change(container);
    container.id.clone()
}

#[test]
fn a_removed_replica_is_made_again_with_back_off() {
    let mut run = run(shop("r1", [web("web:1", 1)]));
    settle(&mut run);
    let mut delays = Vec::new();
    for _ in 0..5 {
        let gone = by_hand(&mut run, |_| {});
        run.host.live_mut().containers.retain(|container| container.id != gone);
        let removed = run.host.now();
        assert_eq!(run.plan().drift.iter().map(|drift| drift.what).collect::<Vec<_>>(), [DriftKind::Missing]);
        assert!(run.plan().changes.is_empty());
        let turns = settle(&mut run);
        let created = turns.iter().find(|turn| turn.steps.iter().any(|step| matches!(step, Step::Create { .. }))).expect("made again");
        delays.push(created.at.since(removed).as_secs());
    }
    assert_eq!(delays[0], 0);
    assert!(delays.windows(2).all(|pair| pair[0] <= pair[1]) && delays[4] >= 40, "{delays:?}");
}

#[test]
fn a_killed_replica_is_started_at_once() {
    let mut run = run(shop("r1", [web("web:1", 2)]));
    settle(&mut run);
    let before = ids(&run);
    by_hand(&mut run, |container| container.state = State::Exited(137));
    let killed = run.host.now();
    let drift = run.plan().drift;
    assert_eq!((drift[0].what, drift[0].healed), (DriftKind::Stopped, true));
    settle(&mut run);
    assert_eq!(ids(&run), before);
    assert!(run.host.now().since(killed) < Duration::from_secs(5));
}

#[test]
fn a_container_stopped_or_paused_by_hand_is_healed_after_a_while() {
    for state in [State::Exited(0), State::Paused] {
        let mut run = run(shop("r1", [web("web:1", 2)]));
        settle(&mut run);
        let stopped = run.host.now();
        by_hand(&mut run, |container| {
            container.state = state;
            container.stopped_by_hand = Some(stopped);
        });
        assert_eq!(run.plan().drift.len(), 1);
        let turns = run.converge(14 * MINUTE);
        assert_eq!(count(&turns, |step| matches!(step, Step::Start { .. } | Step::Unpause { .. })), 0);
        assert_eq!(run.serving(), [(workload("web"), 1)]);
        settle(&mut run);
        assert!(run.host.now().since(stopped) >= 15 * MINUTE);
        assert_eq!(run.serving(), [(workload("web"), 2)]);
    }
}

#[test]
fn resources_change_in_place() {
    let asked = |memory: u64| Deployment { resources: Resources { memory_limit: Some(memory), ..Resources::default() }, ..web("web:1", 2) };
    let mut run = run(shop("r1", [asked(64 << 20)]));
    settle(&mut run);
    let before = ids(&run);
    run.desired = shop("r2", [asked(128 << 20)]).into();
    assert_eq!(run.plan().changes.iter().map(|change| change.action).collect::<Vec<_>>(), [ChangeAction::Update]);
    let turns = settle(&mut run);
    assert_eq!(ids(&run), before);
    assert_eq!(least(&turns, "web"), 2);
    assert_eq!(count(&turns, |step| matches!(step, Step::Update { .. })), 2);
}

#[test]
fn a_limit_set_by_hand_is_drift_and_is_healed() {
    let mut run = run(shop("r1", [web("web:1", 2)]));
    settle(&mut run);
    by_hand(&mut run, |container| {
        let field = driftless::observed::Field { value: "67108864".to_owned(), inherited: false };
        container.fields.insert("resources.limits.memory".to_owned(), field);
    });
    let plan = run.plan();
    assert!(plan.changes.is_empty(), "{:#?}", plan.changes);
    assert_eq!((plan.drift[0].what, plan.drift[0].fields[0].actual.as_deref()), (DriftKind::Changed, Some("64Mi")));
    let turns = settle(&mut run);
    assert_eq!(least(&turns, "web"), 2);
    assert_eq!(containers(&run, "web"), 2);
}

#[test]
fn a_lost_network_is_connected_again() {
    let mut run = run(shop("r1", [web("web:1", 2)]));
    settle(&mut run);
    let before = ids(&run);
    by_hand(&mut run, |container| {
        container.addresses.clear();
        container.fields.remove(&driftless::desired::field::network(NETWORK));
    });
    assert_eq!(run.plan().drift.len(), 1);
    settle(&mut run);
    assert_eq!(ids(&run), before);
    assert_eq!(run.serving(), [(workload("web"), 2)]);
}

#[test]
fn a_removed_front_is_made_again() {
    let mut run = run(shop("r1", [web("web:1", 2)]));
    settle(&mut run);
    run.host.live_mut().containers.retain(|container| container.image != "pause");
    assert_eq!(run.plan().drift.iter().map(|drift| drift.what).collect::<Vec<_>>(), [DriftKind::Missing]);
    settle(&mut run);
    assert_eq!(run.host.read().containers.iter().filter(|container| container.image == "pause").count(), 1);
}

#[test]
fn an_engine_restart_recreates_nothing() {
    let mut run = run(shop("r1", [web("web:1", 2), database("db:1")]));
    settle(&mut run);
    let before = ids(&run);
    run.pass(20 * MINUTE);
    run.restart_engine();
    let turns = settle(&mut run);
    assert_eq!(ids(&run), before);
    assert_eq!(count(&turns, |step| matches!(step, Step::Create { .. })), 0);
    assert_eq!(run.serving(), [(workload("db"), 1), (workload("web"), 2)]);
}

#[test]
fn a_lost_record_recreates_nothing() {
    let mut run = run(shop("r1", [web("web:1", 2), database("db:1")]));
    settle(&mut run);
    let before = ids(&run);
    let mut run = Run::resumed(run.host.clone(), run.desired.clone(), Record::default(), Traffic::default());
    let turns = settle(&mut run);
    assert_eq!(ids(&run), before);
    assert_eq!(count(&turns, |step| !matches!(step, Step::Join { .. })), 0, "{}", words(&turns));
}

#[test]
fn an_always_pulled_image_whose_tag_moved_rolls() {
    let asked = Deployment { pull: PullPolicy::Always, ..web("web:1", 2) };
    let mut run = run(shop("r1", [asked.clone()]));
    settle(&mut run);
    run.host.live_mut().images.insert("web:1".to_owned(), "sha256:other".to_owned());
    assert_eq!(run.plan().drift.len(), 2);
    assert!(run.plan().changes.is_empty(), "{:#?}", run.plan().changes);
    let turns = settle(&mut run);
    assert_eq!(least(&turns, "web"), 2);
    assert!(run.host.read().containers.iter().filter(|c| c.image == "web:1").all(|c| c.image_id == "sha256:other"));
}

#[test]
fn a_late_call_of_a_killed_agent_does_not_make_a_second_writer() {
    for step in 0..20 {
        let mut run = run(shop("r1", [database("db:1")]));
        settle(&mut run);
        run.desired = shop("r2", [database("db:2")]).into();
        let advance = |run: &mut Run, turns: u64| {
            for _ in 0..turns {
                let turn = run.turn();
                assert!(turn.refused.is_empty(), "{:?}", turn.refused);
                run.pass(Duration::from_millis(100));
                let live = run.host.read();
                let writers =
                    live.containers.iter().filter(|container| container.may_run() && container.writes.contains("shop_data")).count();
                assert!(writers <= 1, "two writers after a kill at step {step}");
            }
        };
        advance(&mut run, step);
        run.kill_agent();
        run.desired = shop("r3", [database("db:1")]).into(); // Its image is there: nothing to wait for.
        advance(&mut run, 30);
        settle(&mut run);
    }
}

#[test]
fn a_container_with_our_labels_that_nobody_knows_is_reported_and_left_alone() {
    let mut run = run(shop("r1", [web("web:1", 1)]));
    settle(&mut run);
    // Somebody copied what is ours under another name, and removed the original.
    let renamed = by_hand(&mut run, |container| {
        container.name = "kept".to_owned();
        (container.labels, container.impostor) = (None, true);
    });
    settle(&mut run);
    assert_eq!(containers(&run, "web"), 1);
    assert!(run.host.read().container(&renamed).is_some_and(|container| container.is_running()));
    let findings = run.plan().findings;
    assert!(findings.iter().any(|finding| finding.rule == "impostor" && finding.message.contains("`kept`")), "{findings:?}");
}

#[test]
fn a_revision_that_the_host_refused_is_forgotten_when_another_is_kept() {
    let mut run = run(shop("r1", [web("web:1", 2)]));
    settle(&mut run);
    let old = run.desired.clone();
    run.desired = shop("r2", [web("web:2", 2)]).into();
    let step = loop {
        let turn = run.turn();
        if let Some(step) = turn.steps.iter().find(|step| matches!(step, Step::Create { .. })) {
            break step.clone();
        }
        run.pass(run.tick());
    };
    let (now, head) = (run.host.now(), run.desired.clone());
    for _ in 0..3 {
        let failure = Failure { class: Class::User, message: "no such device".to_owned() };
        let _ = run.reconciler_mut().finish(&step, Err(failure), &head, now);
    }
    assert_eq!(run.plan().failed.map(|failed| failed.reason), Some("no such device".to_owned()));
    run.desired = old;
    let plan = run.plan();
    assert!(plan.failed.is_none(), "{plan:#?}");
}

#[test]
fn a_mistyped_probe_rolls_like_any_change_and_takes_nothing_out() {
    let mut run = run(shop("r1", [Deployment { readiness: false, ..web("web:1", 2) }]));
    settle(&mut run);
    run.host.scene.behaviors.insert("web:1".to_owned(), Behavior { ready_after: Some(Duration::from_secs(1)), ..Behavior::default() });
    run.desired = shop("r2", [web("web:1", 2)]).into();
    let changes = run.plan().changes;
    assert_eq!(changes.iter().map(|change| change.action).collect::<Vec<_>>(), [ChangeAction::Recreate]);
    assert!(changes[0].fields.iter().any(|field| field.path.ends_with("readinessProbe")), "{changes:#?}");
    let turns = settle(&mut run);
    assert_eq!(least(&turns, "web"), 2);
    assert!(count(&turns, |step| matches!(step, Step::Create { .. })) == 2);
}

#[test]
fn going_back_to_nothing_is_not_covered_by_an_old_permission() {
    let mut run = run(shop("r1", [web("web:1", 1)]));
    settle(&mut run);
    let nothing = shop("r2", []);
    run.desired = nothing.clone().into();
    run.reconciler_mut().record_mut().prune_all = Some("r2".to_owned());
    settle(&mut run);
    assert_eq!(containers(&run, "web"), 0);
    run.desired = shop("r3", [web("web:1", 1)]).into();
    settle(&mut run);
    run.desired = nothing.into();
    run.converge(MINUTE);
    assert_eq!(containers(&run, "web"), 1);
}
