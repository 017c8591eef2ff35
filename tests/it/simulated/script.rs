//! Round scripts: commands in, and the exact text that users see out, in one text.
//!
//! A line that begins with `> ` is a command, `| ` adds lines to it, `#` is a remark; all else is output.
//! The commands are those of `Script::command`, each a few words that read like a sentence.

use std::sync::Arc;
use std::time::Duration;

use driftless::desired::{Mode, Protocol};
use driftless::finding::Finding;
use driftless::name::ObjectId;
use driftless::observed::{Claimed, Container, Field, Network, State, Volume};
use driftless::plan::claim::Thing;
use driftless::report::{ApplicationStatus, Paint, PlanAnswer, StatusReport, drift_text, findings_text, plan_text, status_text};
use driftless::sim::{Behavior, Fault, Run, Scene, Turn, rounds};
use driftless::time::{Time, format_duration, parse_duration};

use super::build::{name, workload};
use super::world::World;

/// The agent looks again this soon after it went back.
const SOON: Duration = Duration::from_millis(100);
/// `apply` gives up after so long.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Runs a script and returns it with the output that it has now.
pub fn run(script: &str) -> String {
    let mut world = World::new();
    let mut out = String::new();
    let mut lines = script.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with('#') {
            if !out.is_empty() && !out.ends_with("\n\n") && !out.lines().last().is_some_and(|last| last.starts_with('#')) {
                out.push('\n');
            }
            out.push_str(line);
            out.push('\n');
        }
        let Some(command) = line.strip_prefix("> ") else { continue };
        if !out.is_empty() && !out.ends_with("\n\n") && !out.lines().last().is_some_and(|last| last.starts_with('#')) {
            out.push('\n');
        }
        out.push_str(&format!("> {command}\n"));
        let mut input = String::new();
        while let Some(more) = lines.next_if(|next| next.starts_with('|')) {
            out.push_str(more);
            out.push('\n');
            input.push_str(more.strip_prefix("| ").unwrap_or(&more[1..]));
            input.push('\n');
        }
        out.push_str(&self::command(&mut world, command, &input));
    }
    out
}

/// Carries out one command and returns what it says.
pub fn command(world: &mut World, command: &str, input: &str) -> String {
    let words: Vec<&str> = command.split_whitespace().collect();
    match words.as_slice() {
        ["push", revision] => push(world, revision, input),
        ["push", revision, "with", ..] => {
            let edits = command.split_once(" with ").map_or("", |(_, edits)| edits);
            let edits = if input.is_empty() { edits.split(", ").collect() } else { input.lines().collect() };
            let manifests = edited(&world.manifests, edits);
            push(world, revision, &manifests)
        }
        ["plan"] => plan_text(&answer(world, false), Paint::Plain),
        ["plan", "--rounds"] => plan_text(&answer(world, true), Paint::Plain),
        ["drift"] => drift_text(&answer(world, false), Paint::Plain),
        ["status"] => {
            let report = StatusReport { version: 1, host: "host".to_owned(), misconfigured: Vec::new(), applications: vec![status(world)] };
            status_text(&report, Paint::Plain)
        }
        ["apply"] => work(world, PATIENCE, true),
        ["tick", time] => work(world, duration(time), false),
        ["rollback", to @ ..] => {
            let Some(head) = world.head.clone() else { return "nothing was pushed\n".to_owned() };
            match world.run.reconciler_mut().go_back(&head, to.last().copied()) {
                Ok(_) => String::new(),
                Err(error) => format!("{error}\n"),
            }
        }
        ["scale", name, count, "for", time] => {
            let (kept, now) = (world.run.desired.clone(), world.run.host.now());
            let count = count.parse().unwrap_or_else(|_| panic!("`{count}` is no number"));
            match world.run.reconciler_mut().scale(&workload(name), &kept, count, now + duration(time), now) {
                Ok(_) => String::new(),
                Err(error) => format!("{error}\n"),
            }
        }
        ["lose", "key"] => {
            Arc::make_mut(&mut world.run.desired).installation.key = driftless::hash::Key::new([8; 32]);
            let (revision, manifests) = (world.run.desired.revision.clone(), world.manifests.clone());
            push(world, &revision, &manifests)
        }
        words => {
            happen(world, words);
            String::new()
        }
    }
}

/// Lets something happen that says nothing.
fn happen(world: &mut World, words: &[&str]) {
    let revision = world.run.desired.revision.clone();
    match words {
        ["settings", settings @ ..] => settings.iter().for_each(|setting| set(world, setting)),
        ["image", image, behavior @ ..] => image_behaves(world, image, behavior),
        ["fault", object, fault] => {
            let fault = match *fault {
                "error" => Fault::Error,
                "lost" => Fault::Lost,
                "slow" => Fault::Slow,
                "vanish" => Fault::Vanish,
                other => panic!("`{other}` is no fault"),
            };
            world.run.host.scene.faults.insert((*object).to_owned(), fault);
        }
        ["by", "hand:", words @ ..] => by_hand(world, words),
        ["fronts", "cannot", "be", "entered"] => world.run.host.scene.no_fronts = Some("operation not permitted".to_owned()),
        ["kill", "agent"] => world.run.kill_agent(),
        ["restart", "engine"] => world.run.restart_engine(),
        ["lose", "record"] => world.lose_record(),
        ["hand", "over", "to", application] => world.hand_over(application),
        ["application", other, "has", thing @ ..] => claim(world, other, thing),
        ["application", other, "is", "gone"] => world.run.claims.things.retain(|_, holder| holder.as_str() != *other),
        ["clock", by] => {
            let (sign, by) = by.split_at(1);
            let millis = i64::try_from(duration(by).as_millis()).expect("it is short");
            world.run.set_clock(if sign == "-" { -millis } else { millis });
        }
        ["approve"] => world.run.reconciler_mut().record_mut().approved = Some(revision),
        ["permit", "pruning"] => world.run.reconciler_mut().record_mut().prune_all = Some(revision),
        ["suspend", rest @ ..] => {
            let now = world.run.host.now();
            world.run.reconciler_mut().suspend(rest.first().map(|name| workload(name)).as_ref(), &revision, now);
        }
        ["resume", rest @ ..] => {
            let now = world.run.host.now();
            world.run.reconciler_mut().resume(rest.first().map(|name| workload(name)).as_ref(), now);
        }
        ["end", "overrides"] => world.run.reconciler_mut().record_mut().overrides.clear(),
        ["retry"] => world.run.reconciler_mut().forgive(),
        ["calm"] => world.run.host.scene = Scene::default(),
        _ => panic!("`{}` is no command", words.join(" ")),
    }
}

/// Another application has something that only one can have.
fn claim(world: &mut World, other: &str, thing: &[&str]) {
    let object = |text: &str| ObjectId::try_from(text.to_owned()).expect("an object");
    let thing = match thing {
        ["port", port] => Thing::Port(Protocol::Tcp, port.parse().expect("a port")),
        ["object", id] => Thing::Object(object(id)),
        ["volume", volume] => Thing::Volume((*volume).to_owned()),
        ["name", dns] => Thing::Name((*dns).to_owned()),
        other => panic!("`{}` is nothing that only one can have", other.join(" ")),
    };
    world.run.claims.things.insert(thing, name(other));
}

/// Returns manifests with each `OLD -> NEW` carried out everywhere.
fn edited(manifests: &str, edits: Vec<&str>) -> String {
    edits.into_iter().fold(manifests.to_owned(), |manifests, edit| {
        let (old, new) = edit.split_once(" ->").unwrap_or_else(|| panic!("`{edit}` is not `OLD -> NEW`"));
        assert!(manifests.contains(old), "`{old}` is not in the manifests");
        manifests.replace(old, new.trim_start())
    })
}

fn push(world: &mut World, revision: &str, manifests: &str) -> String {
    match world.push(revision, manifests) {
        Ok(()) => String::new(),
        Err(findings) => refusal(&findings, manifests),
    }
}

fn refusal(findings: &[Finding], manifests: &str) -> String {
    findings_text(findings, &|_| Some(manifests), Paint::Plain)
}

fn set(world: &mut World, setting: &str) {
    let (key, value) = setting.split_once('=').unwrap_or_else(|| panic!("`{setting}` is not KEY=VALUE"));
    let settings = &mut world.settings;
    match key {
        "mode" => {
            settings.mode = match value {
                "auto" => Mode::Auto,
                "manual" => Mode::Manual,
                "observe" => Mode::Observe,
                other => panic!("`{other}` is no mode"),
            }
        }
        "selfHeal" => settings.self_heal = value == "true",
        "prune" => settings.prune = value == "true",
        other => panic!("`{other}` is no setting"),
    }
}

fn answer(world: &mut World, with_rounds: bool) -> PlanAnswer {
    world.keep();
    let plan = world.run.plan();
    let run: Run = world.run.clone();
    PlanAnswer {
        host: "host".to_owned(),
        plan,
        healed: Vec::new(),
        rounds: with_rounds.then(|| rounds(run)),
        refused: !world.refused.is_empty(),
        rolled_back: world.rolled_back().map(|(_, reason)| reason),
    }
}

fn status(world: &mut World) -> ApplicationStatus {
    world.keep();
    let plan = world.run.plan();
    let head = world.pushed.clone();
    let troubled = plan.workloads.iter().find(|workload| workload.health == plan.health());
    let message = match world.rolled_back() {
        Some((_, reason)) => reason,
        None => troubled.map_or(String::new(), |workload| workload.message.clone()),
    };
    ApplicationStatus {
        name: plan.application.clone(),
        revision: plan.revision.clone(),
        head,
        sync: plan.sync(),
        health: plan.health(),
        message,
        rolled_back: world.rolled_back().is_some(),
        refused: !world.refused.is_empty(),
        plan: plan.id.clone(),
        workloads: plan.workloads.clone(),
        held: plan.held.clone(),
        findings: world.refused.clone(),
        drift: plan.drift.len(),
    }
}

/// Lets the agent work for so long, or until nothing is left to do.
fn work(world: &mut World, limit: Duration, until_done: bool) -> String {
    let begin = world.run.host.now();
    let mut text = String::new();
    let mut back = world.rolled_back();
    loop {
        let turn = world.turn();
        let passed = turn.at.since(begin);
        for (index, step) in turn.steps.iter().enumerate() {
            text.push_str(&line(if index == 0 { Some(passed) } else { None }, &step.to_string()));
        }
        let now_back = world.rolled_back();
        if now_back != back
            && let Some((revision, reason)) = &now_back
        {
            text.push_str(&line(Some(passed), &format!("goes back to {revision}: {reason}")));
        }
        let went_back = now_back != back;
        back = now_back;
        if until_done && world.is_done(&turn) {
            text.push_str(&line(Some(passed), &format!("{:?}, {:?}", turn.plan.sync(), turn.plan.health())));
            return text;
        }
        if passed >= limit {
            text.push_str(&stands(&turn, passed));
            return text;
        }
        let tick = if went_back { SOON } else { world.run.tick() };
        for failure in world.pass(tick.min(limit - passed)) {
            text.push_str(&line(Some(world.run.host.now().since(begin)), &format!("failed: {failure}")));
        }
    }
}

fn stands(turn: &Turn, passed: Duration) -> String {
    let mut text = line(Some(passed), &format!("{:?}, {:?}", turn.plan.sync(), turn.plan.health()));
    for held in &turn.plan.held {
        text.push_str(&line(None, &format!("held: {}: {}", held.object, held.reason)));
    }
    text
}

fn line(time: Option<Duration>, words: &str) -> String {
    let time = time.map(|time| format_duration(Duration::from_millis(time.as_millis() as u64 / 100 * 100))).unwrap_or_default();
    format!("{time:>8}  {words}\n")
}

fn duration(text: &str) -> Duration {
    parse_duration(text).unwrap_or_else(|| panic!("`{text}` is no time"))
}

fn image_behaves(world: &mut World, image: &str, behavior: &[&str]) {
    if let ["exposes", port] = behavior {
        let port = port.parse().unwrap_or_else(|_| panic!("`{port}` is no port"));
        world.exposed.entry(image.to_owned()).or_default().insert((port, driftless::desired::Protocol::Tcp));
        return;
    }
    let scene = &mut world.run.host.scene;
    let known = scene.behaviors.entry(image.to_owned()).or_default();
    match behavior {
        ["is", "good"] => *known = Behavior::default(),
        ["is", "never", "ready"] => known.ready_after = None,
        ["is", "ready", "after", time] => known.ready_after = Some(duration(time)),
        ["ends", "after", time] => *known = Behavior { ready_after: None, exits_after: Some(duration(time)), ..*known },
        ["stops", "within", time] => known.stops_within = duration(time),
        ["is", "missing"] => drop(scene.missing.insert(image.to_owned())),
        ["is", "built"] => drop(scene.missing.remove(image)),
        ["moves"] => drop(world.run.host.live_mut().images.insert(image.to_owned(), "sha256:moved".to_owned())),
        other => panic!("{other:?} is no behaviour"),
    }
}

fn by_hand(world: &mut World, words: &[&str]) {
    let now = world.run.host.now();
    let stopped = |container: &mut Container, state: State, at: Option<Time>| {
        container.state = state;
        container.finished = Some(now);
        container.stopped_by_hand = at;
    };
    match words {
        ["run", foreign, rest @ ..] => return run_foreign(world, foreign, rest),
        ["remove", "front"] => return world.run.host.live_mut().containers.retain(|container| !is_front(container)),
        ["connect", "front", network] => {
            let connected = Field { value: "connected".to_owned(), inherited: false };
            for front in world.run.host.live_mut().containers.iter_mut().filter(|container| is_front(container)) {
                front.fields.insert(format!("networks[{network}]"), connected.clone());
            }
            return;
        }
        ["remove", "strangers"] => return world.run.host.live_mut().containers.retain(|container| container.labels.is_some()),
        ["remove", "network"] => return world.run.host.live_mut().networks.clear(),
        ["make", kind, name, made_for @ ..] => return make(world, kind, name, made_for.last()),
        _ => {}
    }
    let [verb, workload, rest @ ..] = words else { panic!("{words:?} cannot be done by hand") };
    let number = rest.first().map_or(1, |number| number.parse().unwrap_or(1));
    let Some(container) = world.replica(workload, number) else { return };
    match *verb {
        "stop" => stopped(container, State::Exited(0), Some(now)),
        "kill" => stopped(container, State::Exited(137), None),
        "pause" if container.state == State::Running => stopped(container, State::Paused, Some(now)),
        "pause" => {}
        "disconnect" => {
            container.addresses.clear();
            container.fields.retain(|path, _| !path.starts_with("networks["));
        }
        "connect" => {
            let network = rest.last().expect("a network");
            let connected = Field { value: "connected".to_owned(), inherited: false };
            drop(container.fields.insert(format!("networks[{network}]"), connected));
        }
        "limit" => {
            let field = Field { value: (64 << 20).to_string(), inherited: false };
            drop(container.fields.insert("resources.limits.memory".to_owned(), field));
        }
        "rename" => {
            let labels = container.labels.take().expect("it is ours");
            let name = std::mem::replace(&mut container.name, "renamed".to_owned());
            (container.claims, container.impostor) = (Some(Box::new(Claimed { labels, name })), true);
        }
        "remove" => {
            let id = container.id.clone();
            world.run.host.live_mut().containers.retain(|known| known.id != id);
        }
        other => panic!("`{other}` cannot be done by hand"),
    }
}

/// Makes a network or volume that is not ours, perhaps as `docker compose` makes it for a project.
fn make(world: &mut World, kind: &str, name: &str, made_for: Option<&&str>) {
    let made_for = made_for.map(|object| ObjectId::try_from((*object).to_owned()).expect("an object"));
    let live = world.run.host.live_mut();
    match kind {
        "network" => {
            live.networks.push(Network { id: name.to_owned(), name: name.to_owned(), labels: None, made_for, subnets: Vec::new() });
        }
        "volume" => live.volumes.push(Volume { name: name.to_owned(), labels: None, made_for, held: true }),
        other => panic!("`{other}` cannot be made by hand"),
    }
}

fn is_front(container: &Container) -> bool {
    container.labels.as_ref().is_some_and(|labels| labels.is_front())
}

/// Starts a container that is not ours, perhaps with a port of the host.
fn run_foreign(world: &mut World, name: &str, rest: &[&str]) {
    let port = match rest {
        ["at", "port", port] => port.parse().ok(),
        _ => None,
    };
    world.run.host.run_foreign(name, port);
}
