//! An agent of its own behind a proxy: the real binary, its repository, its state folder, its owner and
//! addresses on the engine; and what the host has then, in words that are the same for every such world.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::proxy::Proxy;

/// How long anything may take before a test has failed.
pub const PATIENCE: Duration = Duration::from_secs(90);

const PROGRAM: &str = env!("CARGO_BIN_EXE_driftless");
const APPLICATION: &str = "fault";
/// A file that is there to leave no room.
const FILLER: &str = "filler";

/// An agent of its own behind a proxy, and its repository.
pub struct World {
    pub proxy: Proxy,
    owner: String,
    pool: Pool,
    dns: u16,
    engine: PathBuf,
    /// The network namespace that the agent runs in, if it is not this one.
    namespace: Option<String>,
    agent: Option<Child>,
    /// File systems that are in the way of others and go with this.
    mounts: Vec<PathBuf>,
    folder: TempDir,
}

/// A /16 that nobody else has while this exists.
struct Pool {
    second: u8,
    _lock: File,
}

/// Returns the socket of the engine that tests may use, which has the test image then, or `None` if they may not.
#[allow(clippy::print_stderr, reason = "whoever reads the test output wants to know what was not tested")]
pub async fn engine_or_skip() -> Option<PathBuf> {
    if std::env::var("DRIFTLESS_TEST_DOCKER").as_deref() != Ok("1") {
        eprintln!("skipped: needs a Docker engine; set DRIFTLESS_TEST_DOCKER=1");
        return None;
    }
    crate::engine::ensure_image(&bollard::Docker::connect_with_defaults().expect("a Docker engine")).await;
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    Some(PathBuf::from(host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock")))
}

/// Tells whether tests may take as long as they want.
pub fn is_long() -> bool {
    std::env::var("DRIFTLESS_LONG").as_deref() == Ok("1")
}

/// Runs a test that waits, beside the runtime.
pub async fn beside(test: impl FnOnce() + Send + 'static) {
    tokio::task::spawn_blocking(test).await.expect("no assertion fails");
}

impl World {
    /// Makes a world whose repository is empty; its agent does not run yet. `settings` are further lines
    /// of the Application's spec.
    pub fn new(engine: &Path, settings: &[&str]) -> World {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let owner = format!("test-fault-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = tempfile::tempdir().expect("a folder");
        let proxy = Proxy::new(folder.path(), engine);
        let dns = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port();
        let world = World {
            proxy,
            owner,
            pool: Pool::new(),
            dns,
            engine: engine.to_owned(),
            namespace: None,
            agent: None,
            mounts: Vec::new(),
            folder,
        };
        fs::create_dir(world.path("state")).expect("a folder");
        // The same key everywhere: names of delivered content are made with it.
        fs::write(world.path("state/key"), [7; 32]).expect("a key");
        let repository = world.path("repository");
        // The namespace is in the names of volumes.
        fs::write(world.path("application.yaml"), world.document(APPLICATION, &world.owner, settings)).expect("a file");
        fs::create_dir(&repository).expect("a folder");
        world.git(&["init", "--quiet", "--initial-branch=main"]);
        world
    }

    /// Adds another application of the same repository, in a namespace of its own.
    pub fn add(&self, name: &str, settings: &[&str]) {
        let path = self.path("application.yaml");
        let documents = fs::read_to_string(&path).expect("a file");
        let added = self.document(name, &format!("{}-{name}", self.owner), settings);
        fs::write(path, format!("{documents}---\n{added}")).expect("a file");
    }

    fn document(&self, name: &str, namespace: &str, settings: &[&str]) -> String {
        let spec: String = ["ref: main", "interval: 1h", "drain: 1s"].iter().chain(settings).map(|line| format!("\n  {line}")).collect();
        format!(
            "apiVersion: driftless.dev/v1\nkind: Application\nmetadata: {{ name: {name} }}\nspec:\n  repo: {}\n  namespace: {namespace}{spec}\n",
            self.path("repository").display(),
        )
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Returns the folder of what is published.
    pub fn published(&self) -> PathBuf {
        Path::new("/run/driftless").join(&self.owner)
    }

    /// Puts an empty file system of that size in the place of a folder, which is made if there is none.
    pub fn mount(&mut self, folder: &Path, size: &str) {
        fs::create_dir_all(folder).expect("a folder");
        let options = format!("size={size},mode=700");
        run("mount", &["-t".as_ref(), "tmpfs".as_ref(), "-o".as_ref(), options.as_ref(), "tmpfs".as_ref(), folder.as_os_str()]);
        self.mounts.push(folder.to_owned());
    }

    /// Shows a folder at another place, where it cannot be written.
    pub fn show_read_only(&mut self, folder: &Path, place: &Path) {
        fs::create_dir_all(place).expect("a folder");
        run("mount", &["--bind".as_ref(), folder.as_os_str(), place.as_os_str()]);
        self.mounts.push(place.to_owned());
        run("mount", &["-o".as_ref(), "remount,bind,ro".as_ref(), place.as_os_str()]);
    }

    fn git(&self, arguments: &[&str]) {
        // The same commits everywhere.
        let who = [("NAME", "test"), ("EMAIL", "test@example.org"), ("DATE", "2026-01-01T00:00:00Z")];
        let environment = who.iter().flat_map(|(field, value)| ["AUTHOR", "COMMITTER"].map(|role| (format!("GIT_{role}_{field}"), *value)));
        let output = Command::new("git").current_dir(self.path("repository")).args(arguments).envs(environment).output().expect("git");
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Replaces what is in the repository.
    pub fn commit(&self, file: &str, text: &str) {
        let path = self.path("repository").join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "test"]);
    }

    /// Returns the commit that the repository has now.
    pub fn revision(&self) -> String {
        let output = Command::new("git").current_dir(self.path("repository")).args(["rev-parse", "HEAD"]).output().expect("git");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Lets the agent fetch the repository from somewhere else than from its folder.
    pub fn fetch_from(&self, url: &str) {
        let path = self.path("application.yaml");
        let document = fs::read_to_string(&path).expect("a file");
        let repository = self.path("repository");
        fs::write(&path, document.replace(&repository.display().to_string(), url)).expect("a file");
    }

    /// Returns a command of this installation, with nothing else in its environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.program(PROGRAM);
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("DRIFTLESS_OWNER", &self.owner).env("DRIFTLESS_STATE", self.path("state")).env("DRIFTLESS_HOST", "box");
        command.env("DRIFTLESS_DOCKER", format!("unix://{}", self.proxy.socket.display()));
        command.env("DRIFTLESS_SOCKET", self.path("agent.sock")).env("DRIFTLESS_HTTP", "127.0.0.1:0");
        command.env("DRIFTLESS_DNS", format!("127.0.0.1:{}", self.dns));
        command.env("DRIFTLESS_NETWORK_POOL", format!("10.{}.0.0/16", self.pool.second));
        command.env("DRIFTLESS_LOG", "driftless=debug");
        command
    }

    /// Lets everything of this installation run in another network namespace.
    pub fn enter(&mut self, namespace: &str) {
        self.namespace = Some(namespace.to_owned());
    }

    /// Returns a command that runs a program where the agent runs.
    pub fn program(&self, program: &str) -> Command {
        let Some(namespace) = &self.namespace else { return Command::new(program) };
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{namespace}")).arg(program);
        command
    }

    /// Returns what a service of this application answers over HTTP, asked by its name, or why it does not.
    pub fn ask(&self, service: &str) -> Result<String, String> {
        let name = format!("{service}.{}.svc.cluster.local", self.owner);
        let said = |mut command: Command| {
            let output = command.output().expect("a command");
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
            if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
        };
        let mut dig = self.program("dig");
        dig.args(["+short", "+time=2", "+tries=1", "@127.0.0.1", "-p"]).arg(self.dns.to_string()).arg(&name);
        let address = said(dig)?;
        let mut curl = self.program("curl");
        curl.args(["--silent", "--show-error", "--max-time", "3"]).arg(format!("http://{address}/"));
        said(curl)
    }

    /// Waits until a service answers with this.
    pub fn wait_for_answer(&self, service: &str, text: &str) {
        let began = Instant::now();
        loop {
            let said = self.ask(service);
            if said.as_deref() == Ok(text) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "`{service}` answers `{text}`, not {said:?}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Starts the agent and returns at once.
    pub fn start(&mut self) {
        assert!(self.agent.is_none(), "one agent at a time");
        let log = File::options().create(true).append(true).open(self.path("agent.log")).expect("a file");
        let config = self.path("application.yaml");
        let mut command = self.command(&["agent", "--config"]);
        command.arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let agent = command.spawn().expect("the agent starts");
        self.proxy.watch(agent.id());
        self.agent = Some(agent);
    }

    /// Tells whether the agent runs; one that was killed is forgotten.
    pub fn is_running(&mut self) -> bool {
        let ended = self.agent.as_mut().is_some_and(|agent| agent.try_wait().expect("a child").is_some());
        if ended {
            self.agent = None;
        }
        self.agent.is_some()
    }

    /// Waits until the agent, which was killed, has ended.
    pub fn has_ended(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            agent.wait().expect("a child");
        }
    }

    /// Ends the agent at once.
    pub fn kill(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            let _ = agent.kill();
            let _ = agent.wait();
        }
    }

    /// Begins to apply what the repository has now; nobody waits for the end.
    pub fn begin_to_apply(&mut self) -> Child {
        self.until_it_answers().unwrap_or_else(|error| panic!("{error}"));
        let mut command = self.command(&["apply", APPLICATION]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a client")
    }

    /// Waits until the agent's log has this text.
    pub fn wait_for_log(&self, text: &str) {
        let began = Instant::now();
        while !fs::read_to_string(self.path("agent.log")).unwrap_or_default().contains(text) {
            assert!(began.elapsed() < PATIENCE, "the agent says `{text}`\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the agent answers; its socket is there as soon as it does.
    pub fn until_it_answers(&mut self) -> Result<(), String> {
        let began = Instant::now();
        while std::os::unix::net::UnixStream::connect(self.path("agent.sock")).is_err() {
            if !self.is_running() {
                return Err(format!("the agent has ended\n{}", self.log()));
            }
            assert!(began.elapsed() < PATIENCE, "the agent answers\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Starts an agent that has a file applied, and nothing else.
    pub fn running(engine: &Path, manifests: &str) -> World {
        let mut world = World::new(engine, &[]);
        world.commit("application.yaml", manifests);
        world.start();
        world.applied("as usual");
        world
    }

    /// Returns the ids of the containers of a workload.
    pub fn ids(&self, workload: &str) -> Vec<String> {
        let containers = self.objects("container", &["ls", "--all", "--quiet", "--no-trunc"]);
        let wanted = format!("Deployment/{workload}");
        let mine = containers.iter().filter(|it| it["Config"]["Labels"]["dev.driftless.workload"] == wanted.as_str());
        let mut ids: Vec<String> = mine.map(|it| it["Id"].as_str().unwrap_or_default().to_owned()).collect();
        ids.sort();
        ids
    }

    /// Applies what the repository has now, which must work and leave nothing to do.
    pub fn applied(&mut self, what: &str) {
        let outcome = self.apply();
        outcome.unwrap_or_else(|error| panic!("{what}: {error}\n{}", self.log()));
        self.assert_in_sync(what);
    }

    /// Applies what the repository has now by the agent, which must run or have been killed; returns what was
    /// said, or why it did not work. Gives up when the agent has ended.
    pub fn apply(&mut self) -> Result<String, String> {
        self.until_it_answers()?;
        let began = Instant::now();
        let mut command = self.command(&["apply", APPLICATION]);
        let mut client = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a client");
        let status = loop {
            if let Some(status) = client.try_wait().expect("a child") {
                break Some(status);
            }
            if began.elapsed() > PATIENCE {
                let _ = client.kill();
                let _ = client.wait();
                break None;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let mut said = String::new();
        let _ = client.stderr.take().expect("a pipe").read_to_string(&mut said);
        let _ = client.stdout.take().expect("a pipe").read_to_string(&mut said);
        match status {
            Some(status) if status.success() => Ok(said),
            Some(_) => Err(said),
            None => Err(format!("no end after {PATIENCE:?}\n{said}")),
        }
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("a command")
    }

    /// Fails unless a fresh look at everything finds nothing to do.
    pub fn assert_in_sync(&self, context: &str) {
        for command in ["plan", "drift"] {
            let output = self.run(&[command, APPLICATION, "--exit-code"]);
            let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success(), "{context}: `{command}` finds something to do:\n{said}\n{}", self.log());
        }
    }

    /// Returns the end of the agent's log.
    pub fn log(&self) -> String {
        let log = fs::read_to_string(self.path("agent.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(150)..].join("\n")
    }

    /// Returns what the host has of this installation, a line for each object, without what differs from
    /// world to world: owner, generated suffixes, ids, addresses, times, and the hash, which holds names of volumes.
    pub fn state(&self) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        let containers = self.objects("container", &["ls", "--all", "--quiet", "--no-trunc"]);
        lines.extend(containers.iter().map(|container| self.words(container, container_words)));
        let networks = self.objects("network", &["ls", "--quiet", "--no-trunc"]);
        lines.extend(networks.iter().map(|network| self.words(network, |it| json!([it["Name"], it["Driver"], it["Labels"]]))));
        let volumes = self.objects("volume", &["ls", "--quiet"]);
        lines.extend(volumes.iter().map(|volume| self.words(volume, |it| json!([it["Name"], it["Driver"], it["Labels"]]))));
        lines.sort();
        lines
    }

    /// Asks the engine itself about all objects of this owner.
    pub fn objects(&self, kind: &str, list: &[&str]) -> Vec<Value> {
        let filter = format!("label=dev.driftless.owner={}", self.owner);
        let listed = docker(&self.engine, &[&[kind], list, &["--filter", &filter]].concat());
        let ids: Vec<&str> = listed.split_whitespace().collect();
        if ids.is_empty() {
            return Vec::new();
        }
        let found = docker(&self.engine, &[&[kind, "inspect"], ids.as_slice()].concat());
        serde_json::from_str(&found).expect("JSON")
    }

    fn words(&self, object: &Value, words: impl Fn(&Value) -> Value) -> String {
        let text = words(object).to_string().replace(&self.owner, "OWNER");
        let of = object["Labels"]["dev.driftless.empty-dir-of"].as_str().and_then(|container| container.rsplit('_').next());
        match object["Config"]["Labels"]["dev.driftless.replica"].as_str().or(of).filter(|suffix| !suffix.is_empty()) {
            Some(suffix) => text.replace(suffix, "SUFFIX"),
            None => text,
        }
    }
}

/// Leaves no room on the file system of a folder.
pub fn fill(folder: &Path) {
    let mut file = File::create(folder.join(FILLER)).expect("a file");
    let error = loop {
        if let Err(error) = file.write_all(&[7; 4096]) {
            break error;
        }
    };
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull, "{error}");
}

/// Makes room again.
pub fn make_room(folder: &Path) {
    fs::remove_file(folder.join(FILLER)).expect("it was filled");
}

/// Runs Docker's client against an engine; returns what it printed.
pub fn docker(engine: &Path, arguments: &[&str]) -> String {
    let host = format!("unix://{}", engine.display());
    let output = Command::new("docker").args(["--host", &host]).args(arguments).output().expect("docker");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a program that must succeed.
pub fn run(program: &str, arguments: &[&OsStr]) {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn container_words(it: &Value) -> Value {
    let mut labels = it["Config"]["Labels"].clone();
    let all = labels.as_object_mut().expect("ours have labels");
    ["dev.driftless.hash", "com.docker.compose.config-hash"].iter().for_each(|label| drop(all.remove(*label)));
    let mounts = it["Mounts"].as_array().cloned().unwrap_or_default();
    let mut mounts: Vec<String> =
        mounts.iter().map(|mount| json!([mount["Destination"], mount["Type"], mount["Name"], mount["RW"]]).to_string()).collect();
    mounts.sort();
    let networks: Vec<&String> = it["NetworkSettings"]["Networks"].as_object().into_iter().flat_map(|networks| networks.keys()).collect();
    let config = &it["Config"];
    json!([
        it["Name"],
        it["State"]["Running"],
        config["Image"],
        config["Env"],
        config["Cmd"],
        labels,
        it["HostConfig"]["RestartPolicy"],
        mounts,
        networks
    ])
}

impl Pool {
    /// Takes one of 10.224.0.0/12.
    fn new() -> Pool {
        let folder = std::env::temp_dir().join("driftless-test-pools");
        fs::create_dir_all(&folder).expect("a folder");
        let began = Instant::now();
        loop {
            for second in 224..240 {
                let lock = File::options().create(true).append(true).open(folder.join(second.to_string())).expect("a file");
                if lock.try_lock().is_ok() {
                    return Pool { second, _lock: lock };
                }
            }
            assert!(began.elapsed() < PATIENCE, "no free network in 10.224.0.0/12");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill();
        self.proxy.set(None);
        self.mounts.iter().for_each(|place| drop(fs::remove_file(place.join(FILLER))));
        let _ = self.command(&["uninstall", "--containers"]).output();
        for place in self.mounts.drain(..) {
            let _ = Command::new("umount").arg("--lazy").arg(place).output();
        }
        let filter = format!("label=dev.driftless.owner={}", self.owner);
        // Should the agent's own way not have worked, or a test have ended in the middle.
        for (kind, list, remove) in [
            ("container", &["ls", "--all", "--quiet"][..], &["rm", "--force", "--volumes"][..]),
            ("network", &["ls", "--quiet"], &["rm"]),
            ("volume", &["ls", "--quiet"], &["rm"]),
        ] {
            let listed = docker(&self.engine, &[&[kind], list, &["--filter", &filter]].concat());
            let ids: Vec<&str> = listed.split_whitespace().collect();
            if !ids.is_empty() {
                docker(&self.engine, &[&[kind], remove, ids.as_slice()].concat());
            }
        }
        let _ = fs::remove_dir_all(self.published());
    }
}
