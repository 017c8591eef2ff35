//! An engine of the tests' own that is stopped, killed and started at every stage of an update, also with the
//! agent down: what can be started is not made again, two containers never run on one data volume, names and
//! addresses return by themselves, and the update comes to its end.
//!
//! The engine has its own data, configuration and network namespace; the engine of the host is not touched.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::manifest::{db, web};
use super::proxy::{Counted, Fault, Harm};
use super::world::{PATIENCE, World, docker, engine_or_skip, is_long, run};

/// An engine of its own; it ends with everything it has when it is dropped.
struct Engine {
    folder: PathBuf,
    namespace: String,
    /// What runs its containers, which outlives it.
    containerd: Child,
    process: Option<Child>,
}

impl Engine {
    fn new(name: &str, live_restore: bool) -> Engine {
        // Sockets below it have paths of a hundred characters at most.
        let folder = PathBuf::from(format!("/run/{name}"));
        let namespace = name.to_owned();
        fs::create_dir(&folder).expect("a folder");
        run("ip", &["netns", "add", &namespace].map(OsStr::new));
        run("ip", &["-n", &namespace, "link", "set", "lo", "up"].map(OsStr::new));
        let mut containerd = Command::new("containerd");
        for (option, path) in [("root", "containerd"), ("state", "run"), ("address", "containerd.sock")] {
            containerd.arg(format!("--{option}={}", folder.join(path).display()));
        }
        let containerd = containerd.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("containerd");
        let mut engine = Engine { folder, namespace, containerd, process: None };
        let config = serde_json::json!({ "live-restore": live_restore, "log-driver": "json-file", "log-opts": { "max-size": "1m" } });
        fs::write(engine.path("daemon.json"), config.to_string()).expect("a file");
        engine.start();
        engine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    fn socket(&self) -> PathBuf {
        self.path("docker.sock")
    }

    /// Starts it and waits until it answers.
    fn start(&mut self) {
        let log = File::options().create(true).append(true).open(self.path("log")).expect("a file");
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.namespace)).arg("dockerd");
        for (option, path) in [("config-file", "daemon.json"), ("exec-root", "exec"), ("pidfile", "pid")] {
            command.arg(format!("--{option}={}", self.path(path).display()));
        }
        // Containers need a disk below them, and the folder below `/run` is none.
        command.arg(format!("--data-root={}", self.data().display()));
        command.arg(format!("--host=unix://{}", self.socket().display()));
        command.arg(format!("--containerd={}", self.path("containerd.sock").display()));
        self.process = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("dockerd"));
        let began = Instant::now();
        while docker(&self.socket(), &["version", "--format", "{{.Server.Version}}"]).trim().is_empty() {
            assert!(began.elapsed() < PATIENCE, "the engine answers: {}", fs::read_to_string(self.path("log")).unwrap_or_default());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn data(&self) -> PathBuf {
        Path::new("/var/tmp").join(&self.namespace)
    }

    /// Ends it: asks it to, or kills it.
    fn end(&mut self, signal: Signal) {
        let mut process = self.process.take().expect("it runs");
        let id = i32::try_from(process.id()).ok().and_then(Pid::from_raw).expect("a process");
        kill_process(id, signal).expect("it runs");
        process.wait().expect("a child");
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let containers = docker(&self.socket(), &["ps", "--all", "--quiet"]);
        let ids: Vec<&str> = containers.split_whitespace().collect();
        if !ids.is_empty() {
            docker(&self.socket(), &[&["rm", "--force", "--volumes"], ids.as_slice()].concat());
        }
        if self.process.is_some() {
            self.end(Signal::TERM);
        }
        let _ = self.containerd.kill();
        let _ = self.containerd.wait();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let places = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        for place in places.filter(|place| [self.data(), self.folder.clone()].iter().any(|folder| Path::new(place).starts_with(folder))) {
            let _ = Command::new("umount").args(["--lazy", place]).output();
        }
        let _ = Command::new("ip").args(["netns", "delete", &self.namespace]).output();
        let _ = fs::remove_dir_all(self.data());
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// When the engine ends: at a call whose line holds this.
const STAGES: [&str; 5] = [
    // Before a replica is made, and before it starts.
    "/containers/create?name=",
    "/start",
    // Before one leaves, before it stops, and when it was removed.
    "/update",
    "/stop?",
    "DELETE /volumes/",
];

/// One try: where, how the engine ends, and whether the agent ends with it.
#[derive(Debug, Clone, Copy)]
struct Try {
    stage: &'static str,
    signal: Signal,
    with_agent: bool,
}

fn tries() -> Vec<Try> {
    if !is_long() {
        return vec![
            Try { stage: STAGES[2], signal: Signal::TERM, with_agent: false },
            Try { stage: STAGES[1], signal: Signal::KILL, with_agent: true },
        ];
    }
    let ends = [(Signal::TERM, false), (Signal::KILL, false), (Signal::TERM, true), (Signal::KILL, true)];
    STAGES.iter().flat_map(|stage| ends.map(|(signal, with_agent)| Try { stage, signal, with_agent })).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_ends_at_any_stage_of_an_update_costs_nothing() {
    let Some(shared) = engine_or_skip().await else { return };
    tokio::task::spawn_blocking(move || {
        check(&shared, false);
        if is_long() {
            check(&shared, true);
        }
    })
    .await
    .expect("no assertion fails");
}

#[allow(clippy::print_stderr, reason = "how much was tried is part of the result")]
fn check(shared: &Path, live_restore: bool) {
    let mut engine = Engine::new(&format!("dl-test-{}-{}", std::process::id(), u8::from(live_restore)), live_restore);
    let image = engine.path("image.tar");
    docker(shared, &["save", "--output", &image.display().to_string(), crate::engine::IMAGE]);
    docker(&engine.socket(), &["load", "--input", &image.display().to_string()]);
    let mut world = World::new(&engine.socket(), &[]);
    world.enter(&engine.namespace);
    // Beside what is updated, something that is not.
    let still = || web(1, 0).replace("web", "still").replace("page", "still");
    let manifests = |number: u32| web(2, number) + &db(number) + &still();
    world.commit("application.yaml", &manifests(0));
    world.start();
    world.apply().unwrap_or_else(|error| panic!("{error}\n{}", world.log()));
    let tries = tries();
    for (number, one) in (1..).zip(&tries) {
        let context = format!("{one:?}, live restore {live_restore}");
        let before = world.ids("still");
        let watch = Watch::new(engine.socket(), format!("{}_data", world.owner()));
        disturb(&mut world, &mut engine, one, &manifests(number), &context);
        let writers = watch.end();
        assert!(writers <= 1, "{context}: {writers} containers ran on one volume");
        assert_eq!(world.ids("still"), before, "{context}: what Git did not change was made again\n{}", world.log());
        world.assert_in_sync(&context);
        world.wait_for_answer("web", &format!("page {number}"));
        world.wait_for_answer("db", &number.to_string());
    }
    eprintln!("the engine ended {} times, live restore {live_restore}", tries.len());
}

/// Begins an update, ends the engine at a stage of it, and lets everything come to its end.
fn disturb(world: &mut World, engine: &mut Engine, one: &Try, manifests: &str, context: &str) {
    world.proxy.set(Some(Fault { harm: Harm::Delay(PATIENCE), counted: Counted::Holding(one.stage), at: 1, times: usize::MAX }));
    world.commit("application.yaml", manifests);
    let mut client = world.begin_to_apply();
    let began = Instant::now();
    while world.proxy.harmed().is_empty() {
        assert!(began.elapsed() < PATIENCE, "{context}: the stage is reached\n{}", world.log());
        std::thread::sleep(Duration::from_millis(10));
    }
    if one.with_agent {
        world.kill();
    }
    engine.end(one.signal);
    world.proxy.set(None);
    engine.start();
    if one.with_agent {
        // Nobody is there but the data path.
        let old = world.ids("still");
        world.wait_for_answer("still", "still 0");
        assert_eq!(world.ids("still"), old);
        world.start();
    }
    let _ = client.kill();
    let _ = client.wait();
    world.apply().unwrap_or_else(|error| panic!("{context}: {error}\n{}", world.log()));
}

/// Looks again and again how many containers run with a volume.
struct Watch {
    over: Arc<AtomicBool>,
    most: Option<JoinHandle<usize>>,
}

impl Watch {
    fn new(socket: PathBuf, volume: String) -> Watch {
        let over = Arc::new(AtomicBool::new(false));
        let most = std::thread::spawn({
            let over = over.clone();
            move || {
                let mut most = 0;
                while !over.load(Ordering::Relaxed) {
                    let listed = docker(&socket, &["ps", "--quiet", "--filter", &format!("volume={volume}"), "--filter", "status=running"]);
                    most = most.max(listed.split_whitespace().count());
                    std::thread::sleep(Duration::from_millis(100));
                }
                most
            }
        });
        Watch { over, most: Some(most) }
    }

    /// Returns how many there were at most.
    fn end(mut self) -> usize {
        self.over.store(true, Ordering::Relaxed);
        self.most.take().expect("it ends once").join().expect("it only looks")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
