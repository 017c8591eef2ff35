//! Properties of random worlds: commits, faults, kills and meddling in any order.
//!
//! `World` watches every turn. When the faults are over the world must converge, and what it converged to
//! must be right and stay so. A world is a round script made from a seed, so one that fails prints a
//! script that repeats it. `DRIFTLESS_WORLDS=N` runs more of them, `DRIFTLESS_SEED=N` one.

use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use driftless::host::Step;
use driftless::observed::Volume;

use super::script;
use super::world::World;

const WORLDS: u64 = 1_000;
const HEALS: Duration = Duration::from_secs(601);
const LONGEST: Duration = Duration::from_secs(2 * 3600);

#[test]
fn random_worlds_converge_and_nothing_breaks_on_the_way() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds: Vec<u64> = match number("DRIFTLESS_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("DRIFTLESS_WORLDS").unwrap_or(WORLDS)).collect(),
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let failed: Vec<(u64, String)> = std::thread::scope(|scope| {
        let share = |first: usize| seeds.iter().copied().skip(first).step_by(threads).collect::<Vec<u64>>();
        let run = |seeds: Vec<u64>| seeds.into_iter().filter_map(|seed| Some((seed, check(seed).err()?))).collect::<Vec<_>>();
        let handles: Vec<_> = (0..threads).map(|first| (share(first), run)).map(|(seeds, run)| scope.spawn(move || run(seeds))).collect();
        handles.into_iter().flat_map(|handle| handle.join().expect("worlds are caught")).collect()
    });
    let summary: Vec<String> =
        failed.iter().map(|(seed, cause)| format!("seed {seed}: {}", cause.lines().next().unwrap_or_default())).collect();
    assert!(failed.is_empty(), "{} of {} worlds:\n{}\n\n{}", failed.len(), seeds.len(), summary.join("\n"), failed[0].1);
}

/// Runs one world; some of them twice, because the same seed gives the same bytes.
fn check(seed: u64) -> Result<(), String> {
    let first = live(seed)?;
    match seed.is_multiple_of(16) && first != live(seed)? {
        true => Err("gave other bytes the second time".to_owned()),
        false => Ok(()),
    }
}

/// Runs one world and returns all that it said, or why it failed and a script that repeats it.
fn live(seed: u64) -> Result<String, String> {
    let (mut told, mut said) = (String::new(), String::new());
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut random = Random(seed);
        let mut world = World::new();
        let mut tell = |world: &mut World, command: String, input: String| {
            let _ = writeln!(told, "> {command}");
            input.lines().for_each(|line| told.push_str(&format!("| {line}\n")));
            said.push_str(&script::command(world, &command, &input));
        };
        let mut wanted = vec![Wanted::random(&mut random, 0)];
        tell(&mut world, "push r0".to_owned(), manifests(&wanted));
        for event in 1..=random.up_to(14) {
            let (command, input) = happen(&mut random, &mut wanted, event);
            tell(&mut world, command, input);
            let time = ["100ms", "200ms", "400ms", "1s", "2s", "5s", "30s", "90s"][random.below(8) as usize];
            tell(&mut world, format!("tick {time}"), String::new());
        }
        tell(&mut world, "calm".to_owned(), String::new());
        tell(&mut world, "by hand: remove strangers".to_owned(), String::new());
        tell(&mut world, "permit pruning".to_owned(), String::new());
        tell(&mut world, "resume".to_owned(), String::new());
        // Their time is the host's clock, which may have been set back.
        tell(&mut world, "end overrides".to_owned(), String::new());
        rests(&mut world);
    }));
    outcome.map(|()| said).map_err(|cause| {
        let words = cause.downcast_ref::<String>().cloned().or_else(|| cause.downcast_ref::<&str>().map(ToString::to_string));
        format!("{}\n\n{told}> apply\n", words.unwrap_or_default())
    })
}

/// Converges, and then stays as it is.
fn rests(world: &mut World) {
    let end = world.run.host.now() + LONGEST;
    loop {
        let turn = world.turn();
        if world.is_done(&turn) {
            break;
        }
        assert!(world.run.host.now() < end, "does not converge: {:#?}", turn.plan);
        world.pass(world.run.tick());
    }
    is_right(world);
    for _ in 0..20 {
        assert_eq!(steps(world), [], "does not stay converged");
    }
    // What was healed is remembered for a while.
    world.pass(HEALS);
    for _ in 0..3 {
        assert_eq!(steps(world), [], "does not stay converged");
    }
    assert!(world.is_at_rest(), "is not at rest: {:#?}\n{:#?}", world.run.plan(), world.run.reconciler().observed().record);
    world.run.kill_agent();
    for _ in 0..20 {
        assert_eq!(steps(world), [], "another agent does something else");
    }
    world.run.restart_engine();
    for _ in 0..50 {
        let done = steps(world);
        assert!(done.iter().all(|step| matches!(step, Step::Withdraw { .. } | Step::Join { .. })), "after an engine restart: {done:?}");
    }
    is_right(world);
}

fn steps(world: &mut World) -> Vec<Step> {
    let turn = world.turn();
    world.pass(Duration::from_millis(200));
    turn.steps
}

/// What runs is what is wanted, and nothing else of ours.
fn is_right(world: &World) {
    let desired = &world.run.desired;
    let live = world.run.host.read();
    let observed = world.run.reconciler().observed();
    let mut replicas = 0;
    for workload in desired.workloads.values() {
        let containers: Vec<_> =
            live.containers.iter().filter(|it| it.labels.as_ref().is_some_and(|labels| labels.object.workload() == workload.id)).collect();
        assert_eq!(containers.len(), workload.replicas as usize, "replicas of {}", workload.id);
        for container in &containers {
            let labels = container.labels.as_ref().expect("filtered");
            assert_eq!(labels.hash.as_ref(), Some(&workload.hash), "{}", container.name);
            assert!(container.is_running(), "{} does not run", container.name);
            let joined = observed.traffic.joined.get(&labels.object).map(|joined| joined.started);
            assert_eq!(joined, container.started, "{} has not joined", container.name);
        }
        replicas += containers.len();
    }
    assert_eq!(observed.traffic.joined.len(), replicas);
    let ours = live.containers.iter().filter(|container| container.labels.is_some()).count();
    assert_eq!(ours, replicas + desired.fronts.len(), "containers of ours");
    // Files of an application that handed everything over are for that one to remove.
    let of_ours = |volume: &&Volume| volume.labels.as_ref().is_some_and(|labels| labels.application.as_ref() == Some(&world.application));
    let contents = live.volumes.iter().filter(|volume| volume.name.starts_with("content_")).filter(of_ours).count();
    assert!(contents <= desired.contents.len(), "delivered files that nothing uses");
    assert_eq!(observed.record.begun.len(), 0);
}

/// Returns something that happens.
fn happen(random: &mut Random, wanted: &mut Vec<Wanted>, event: u64) -> (String, String) {
    let one = wanted[random.below(wanted.len() as u64) as usize].clone();
    let plain = |command: String| (command, String::new());
    let number = random.up_to(3);
    match random.below(26) {
        0..=6 => {
            change(random, wanted);
            (format!("push r{event}"), manifests(wanted))
        }
        7..=9 => {
            let object =
                [format!("shop/Deployment/{}/*", one.name), "Image/*".to_owned(), "*".to_owned()][random.below(3) as usize].clone();
            plain(format!("fault {object} {}", ["error", "lost", "slow", "vanish"][random.below(4) as usize]))
        }
        10..=13 => {
            let verb = ["stop", "kill", "pause", "remove", "disconnect", "limit"][random.below(6) as usize];
            plain(format!("by hand: {verb} {} {number}", one.name))
        }
        14 => plain(format!("by hand: {}", ["remove front", "run stranger", "run stranger at port 8081"][random.below(3) as usize])),
        15 | 16 => plain("kill agent".to_owned()),
        17 => plain("restart engine".to_owned()),
        18 => plain("lose record".to_owned()),
        19 => plain(format!("hand over to store{event}")),
        20 | 21 => plain(format!("clock {}", ["+3s", "-3s", "+10m", "-10m"][random.below(4) as usize])),
        22 => plain(["suspend".to_owned(), format!("suspend {}", one.name)][random.below(2) as usize].clone()),
        23 => plain(["resume".to_owned(), format!("resume {}", one.name), "rollback".to_owned()][random.below(3) as usize].clone()),
        24 => plain(format!("scale {} {} for {}", one.name, random.below(5), ["5s", "1m"][random.below(2) as usize])),
        _ => {
            let image = format!("shop/{}:{}", one.name, random.below(4));
            let behavior = ["is never ready", "ends after 2s", "is missing", "is ready after 5s", "moves"][random.below(5) as usize];
            plain(format!("image {image} {behavior}"))
        }
    }
}

/// Changes something in what Git has.
fn change(random: &mut Random, wanted: &mut Vec<Wanted>) {
    let index = random.below(wanted.len() as u64) as usize;
    let count = wanted.len();
    let one = &mut wanted[index];
    match random.below(9) {
        0..=2 => one.image = random.below(4),
        3 => one.replicas = random.below(5),
        4 => one.memory = Some(64 + random.below(2) * 64).filter(|_| random.below(3) > 0),
        5 => one.content = Some(random.below(3)).filter(|_| random.below(3) > 0),
        6 => one.shape = Shape::random(random),
        7 if count > 1 => drop(wanted.remove(index)),
        _ if count < 3 => {
            let free = (0..3).find(|number| wanted.iter().all(|known| known.name != NAMES[*number as usize])).unwrap_or(0);
            wanted.push(Wanted::random(random, free));
        }
        _ => one.image += 1,
    }
    wanted.sort_by_key(|one| one.name);
    for one in wanted.iter_mut().filter(|one| matches!(one.shape, Shape::Volume | Shape::Port)) {
        one.replicas = one.replicas.min(1);
    }
}

const NAMES: [&str; 3] = ["a", "b", "c"];

/// A Deployment in what Git has.
#[derive(Debug, Clone)]
struct Wanted {
    name: &'static str,
    image: u64,
    replicas: u64,
    memory: Option<u64>,
    content: Option<u64>,
    probe: bool,
    service: Option<bool>,
    shape: Shape,
}

/// How a Deployment is replaced.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Rolling(u64, u64),
    Recreate,
    Volume,
    Port,
}

impl Shape {
    fn random(random: &mut Random) -> Self {
        match random.below(6) {
            0 => Shape::Recreate,
            1 => Shape::Volume,
            2 => Shape::Port,
            _ => {
                let surge = random.below(3);
                Shape::Rolling(surge, random.below(3).max(u64::from(surge == 0)))
            }
        }
    }
}

impl Wanted {
    fn random(random: &mut Random, name: u64) -> Self {
        let shape = Shape::random(random);
        let most = if matches!(shape, Shape::Volume | Shape::Port) { 1 } else { 4 };
        Wanted {
            name: NAMES[name as usize],
            image: random.below(3),
            replicas: random.up_to(most),
            memory: Some(64).filter(|_| random.below(2) == 0),
            content: Some(0).filter(|_| random.below(2) == 0),
            probe: random.below(3) > 0,
            service: [None, Some(false), Some(true)][random.below(3) as usize],
            shape,
        }
    }

    fn yaml(&self) -> String {
        let Wanted { name, image, replicas, .. } = self;
        let mut text = String::new();
        if let Some(content) = self.content {
            let _ = write!(text, "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name} }}\ndata: {{ key: \"{content}\" }}\n---\n");
        }
        if matches!(self.shape, Shape::Volume) {
            let spec = "{ accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Gi } } }";
            let _ = write!(text, "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{ name: {name} }}\nspec: {spec}\n---\n");
        }
        if let Some(headless) = self.service {
            let address = if headless { "clusterIP: None, " } else { "" };
            let spec = format!("{{ {address}selector: {{ app: {name} }}, ports: [{{ port: 80, targetPort: 8080 }}] }}");
            let _ = write!(text, "apiVersion: v1\nkind: Service\nmetadata: {{ name: {name} }}\nspec: {spec}\n---\n");
        }
        let strategy = match self.shape {
            Shape::Rolling(surge, unavailable) => format!("{{ rollingUpdate: {{ maxSurge: {surge}, maxUnavailable: {unavailable} }} }}"),
            Shape::Recreate => "{ type: Recreate }".to_owned(),
            Shape::Volume | Shape::Port => "{ rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } }".to_owned(),
        };
        let port = if matches!(self.shape, Shape::Port) {
            format!(", hostPort: {}", 8080 + u32::from(name.as_bytes()[0] - b'a'))
        } else {
            String::new()
        };
        let mut container = format!("{{ name: main, image: \"shop/{name}:{image}\", ports: [{{ containerPort: 8080{port} }}]");
        if self.probe {
            container.push_str(", readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 }");
        }
        if let Some(memory) = self.memory {
            let _ = write!(container, ", resources: {{ limits: {{ memory: {memory}Mi }} }}");
        }
        let (mut mounts, mut volumes) = (Vec::new(), Vec::new());
        if self.content.is_some() {
            mounts.push("{ name: files, mountPath: /files }".to_owned());
            volumes.push(format!("{{ name: files, configMap: {{ name: {name} }} }}"));
        }
        if matches!(self.shape, Shape::Volume) {
            mounts.push("{ name: data, mountPath: /data }".to_owned());
            volumes.push(format!("{{ name: data, persistentVolumeClaim: {{ claimName: {name} }} }}"));
        }
        let _ = write!(container, ", volumeMounts: [{}] }}", mounts.join(", "));
        let volumes = volumes.join(", ");
        let _ = write!(
            text,
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: {name} }}\nspec:\n  replicas: {replicas}\n  progressDeadlineSeconds: 30\n  \
             selector: {{ matchLabels: {{ app: {name} }} }}\n  strategy: {strategy}\n  template:\n    metadata: {{ labels: {{ app: {name} }} }}\n    \
             spec:\n      volumes: [{volumes}]\n      containers: [{container}]\n---\n"
        );
        text
    }
}

fn manifests(wanted: &[Wanted]) -> String {
    wanted.iter().map(Wanted::yaml).collect()
}

/// A sequence of numbers that a seed determines (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number from 0 to one less than `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// Returns a number from 1 to `end`.
    fn up_to(&mut self, end: u64) -> u64 {
        1 + self.below(end)
    }
}
