//! One project in a plain folder, an agent that keeps it, and what other people do beside it. All of it
//! goes when it is dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use driftless::hash::sha256;
use serde_json::Value;
use tempfile::TempDir;

use crate::engine::{IMAGE, image_or_skip};

/// How long a condition may take before a test has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// The application's name in every test.
pub const APPLICATION: &str = "shop";

/// A project, and an agent of its own.
pub struct Project {
    /// The owner on labels, and the project's name.
    pub owner: String,
    folder: TempDir,
    place: Place,
    agent: Option<Child>,
    /// The revision that was last converged to.
    head: String,
    settings: Vec<String>,
}

/// A /15 and a port that no other test has. The listener is the lock.
struct Place {
    pool: String,
    dns: String,
    _lock: TcpListener,
}

/// A container, and which of its starts it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Container {
    pub id: String,
    pub started: String,
}

impl Project {
    /// Returns an empty project, or `None` if tests may not use the engine.
    pub fn new() -> Option<Project> {
        image_or_skip()?;
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (count, time) = (COUNT.fetch_add(1, Ordering::Relaxed), std::time::SystemTime::now());
        let digest = sha256(format!("{} {count} {time:?}", std::process::id()).as_bytes());
        let project = Project {
            owner: format!("test-{}", &digest[..10]),
            folder: tempfile::tempdir().expect("a folder"),
            place: Place::take(),
            agent: None,
            head: String::new(),
            settings: ["interval: 1s", "settle: 0s", "drain: 2s", "hold: 60s"].map(str::to_owned).into(),
        };
        fs::create_dir(project.path("repo")).expect("a folder");
        Some(project)
    }

    /// Returns the addresses that networks of this installation may have.
    pub fn pool(&self) -> &str {
        &self.place.pool
    }

    /// Returns a name of an image that is this test's own.
    pub fn tag(&self) -> String {
        format!("{}:1", self.owner)
    }

    /// Returns a path in this test's own folder; the project is in `repo`.
    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Writes a file of the project. `PROJECT` and `IMAGE` stand for what they are in this test.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.path("repo").join(path);
        fs::create_dir_all(path.parent().expect("it has a parent")).expect("a folder");
        fs::write(path, text.replace("PROJECT", &self.owner).replace("IMAGE", IMAGE)).expect("a file");
    }

    /// Replaces a text in a file of the project; it must be there.
    pub fn edit(&self, path: &str, old: &str, new: &str) {
        let text = fs::read_to_string(self.path("repo").join(path)).expect("a file");
        assert!(text.contains(old), "{path} has no `{old}`");
        self.write(path, &text.replace(old, new));
    }

    /// Sets fields of the Application's `spec`, one a line; the agent sees them at its next start.
    pub fn set(&mut self, line: &str) {
        let name = line.split(':').next().expect("a name").to_owned();
        self.settings.retain(|known| !known.starts_with(&format!("{name}:")));
        self.settings.push(line.to_owned());
    }

    /// Returns a command with this installation's environment and nothing else of ours.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_driftless"));
        command.args(arguments).current_dir(self.folder.path());
        command.env("DRIFTLESS_OWNER", &self.owner).env("DRIFTLESS_STATE", self.path("state")).env("DRIFTLESS_HTTP", "none");
        command.env("DRIFTLESS_NETWORK_POOL", &self.place.pool).env("DRIFTLESS_DNS", &self.place.dns).env("NO_COLOR", "1");
        command
    }

    /// Returns the Application document of a folder beside the project's own.
    pub fn document(&self, name: &str, folder: &str) -> String {
        let (repo, spec) = (self.path(folder), self.settings.iter().map(|line| format!("  {line}\n")).collect::<String>());
        format!(
            "apiVersion: driftless.dev/v1\nkind: Application\nmetadata: {{ name: {name} }}\nspec:\n  repo: {}\n{spec}---\n",
            repo.display()
        )
    }

    /// Sends a signal to the agent.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let agent = self.agent.as_ref().expect("the agent was started");
        let id = rustix::process::Pid::from_child(agent);
        rustix::process::kill_process(id, signal).expect("it runs");
    }

    /// Starts the agent and waits until it answers.
    pub fn start(&mut self) {
        fs::write(self.path("application.yaml"), self.document(APPLICATION, "repo")).expect("a file");
        let log = fs::File::options().create(true).append(true).open(self.path("agent.log")).expect("a log");
        let config = self.path("application.yaml");
        let mut agent = self.command(&["agent", "--config", &config.display().to_string()]);
        self.agent = Some(agent.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("the binary"));
        self.wait("the agent answers", |project| project.command(&["status"]).output().expect("the binary").status.success());
    }

    /// Ends the agent at once, as a power failure would.
    pub fn kill(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            agent.kill().expect("it runs");
            agent.wait().expect("it ends");
        }
    }

    /// Starts the agent and waits until the project runs.
    pub fn deploy(&mut self) {
        self.start();
        self.converge();
    }

    /// Waits until a revision that is newer than the last one runs, all of it, with nothing left to do.
    pub fn converge(&mut self) {
        let before = self.head.clone();
        self.wait("a newer revision was seen", |project| {
            let status = project.status();
            status["head"].as_str().is_some_and(|head| !head.is_empty() && head != before)
        });
        self.wait("it converges", Project::is_converged);
        self.head = self.status()["head"].as_str().unwrap_or_default().to_owned();
    }

    /// Tells whether the newest revision runs, all of it, with nothing left to do.
    pub fn is_converged(&self) -> bool {
        let status = self.status();
        let runs = status["revision"] == status["head"] && status["sync"] == "Synced" && status["health"] == "Healthy";
        // A step under way is no longer in the plan.
        runs && status["rolledBack"] == false && self.plan_is_empty() && !self.names().contains("-leaving-")
    }

    /// Tells whether nothing is to be done and nothing is waited for.
    pub fn plan_is_empty(&self) -> bool {
        let plan = self.json(&["plan", APPLICATION]);
        ["changes", "steps", "held", "drift"].iter().all(|part| plan[part].as_array().is_some_and(Vec::is_empty))
    }

    /// Returns how the application stands.
    pub fn status(&self) -> Value {
        self.json(&["status", APPLICATION])["applications"][0].clone()
    }

    /// Runs a command that says something as JSON; nothing is `null`.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.command(&[arguments, &["-o", "json"]].concat()).output().expect("the binary");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().next().map_or(Value::Null, |line| serde_json::from_str(line).expect("JSON"))
    }

    fn names(&self) -> String {
        docker(&["ps", "-a", "--filter", &format!("label=dev.driftless.owner={}", self.owner), "--format", "{{.Names}}"])
    }

    /// Returns all containers of this installation, by name.
    pub fn containers(&self) -> BTreeMap<String, Container> {
        let listed = self.names();
        // Those through which files are delivered come and go.
        let stays = |name: &&str| !name.starts_with("driftless_");
        // Whoever is renamed or removed meanwhile is not there under this name.
        listed.lines().filter(stays).filter_map(|name| Some((name.to_owned(), find(name)?))).collect()
    }

    /// Returns the containers of a service's replicas that stay, sorted.
    pub fn replicas(&self, service: &str) -> BTreeSet<Container> {
        let prefix = format!("{}-{service}-", self.owner);
        self.containers().into_iter().filter(|(name, _)| name.starts_with(&prefix) && !name.contains("-leaving-")).map(|it| it.1).collect()
    }

    /// Returns how many steps the agent has taken.
    pub fn steps(&self) -> usize {
        let log = fs::read_to_string(self.path("agent.log")).unwrap_or_default();
        log.lines().filter(|line| line.contains(" step=")).count()
    }

    /// Starts a container that nobody but this test knows, on a network of the host; returns its name.
    pub fn foreign(&self, name: &str, network: &str, script: &str) -> String {
        let name = format!("{}-foreign-{name}", self.owner);
        let label = format!("test.driftless={}", self.owner);
        let run = ["run", "-d", "--name", &name, "--label", &label, "--net", network, "--no-healthcheck", IMAGE, "sh", "-c", script];
        docker(&run);
        name
    }

    /// Starts a client in a container of its own that asks a service at port 8080 all the time, each time
    /// looking its name up anew and on a new connection.
    pub fn client(&self, service: &str) -> Client {
        // The static `wget` cannot look up names, and dies of `-T`; the last word of the answer is the address. What
        // was open through a front that is replaced is never answered: who asks gives up, as everybody does.
        let ask = format!(
            "for address in $(busybox nslookup -type=a {service} 2>&1); do :; done; \
             busybox timeout 10 busybox wget -q -O - http://$address:8080/ 2>/error || echo \"failed: $address $(cat /error)\""
        );
        let network = format!("{}_default", self.owner);
        let name = self.foreign(service, &network, &format!("trap 'touch /stop' TERM; until [ -e /stop ]; do {ask}; done"));
        let container = container(&name);
        let client = Client { name, container };
        self.wait("the client is answered", |_| !client.lines().is_empty());
        client
    }

    /// Waits until a condition holds.
    pub fn wait(&self, what: &str, mut condition: impl FnMut(&Project) -> bool) {
        let began = Instant::now();
        while !condition(self) {
            assert!(began.elapsed() < PATIENCE, "waited too long until {what}\n{}", self.scene());
            sleep(Duration::from_millis(50));
        }
    }

    /// Returns what a person would look at first if something is wrong.
    pub fn scene(&self) -> String {
        let text = |output: Output| String::from_utf8_lossy(&output.stdout).into_owned();
        let said = [["status", APPLICATION], ["plan", APPLICATION], ["drift", APPLICATION]]
            .map(|it| text(self.command(&it).output().expect("it runs")));
        let owner = format!("label=dev.driftless.owner={}", self.owner);
        let containers = docker(&["ps", "-a", "--filter", &owner, "--format", "{{.Names}} {{.Status}}"]);
        let foreign = docker(&["ps", "-aq", "--filter", &format!("label=test.driftless={}", self.owner)]);
        let clients: String = foreign.lines().map(|id| docker(&["logs", "--tail", "3", id]) + "\n").collect();
        let log = fs::read_to_string(self.path("agent.log")).unwrap_or_default();
        let log: Vec<&str> = log.lines().rev().take(60).collect();
        let log: Vec<&str> = log.into_iter().rev().collect();
        format!("{}\n{containers}\n{clients}\n{}", said.join("\n"), log.join("\n"))
    }
}

/// A container that asks a URL all the time.
pub struct Client {
    name: String,
    /// The very start of the container.
    pub container: Container,
}

impl Client {
    fn lines(&self) -> Vec<String> {
        docker(&["logs", &self.name]).lines().map(str::to_owned).collect()
    }

    /// Returns how often something was answered until now.
    pub fn count(&self, answer: &str) -> usize {
        self.lines().iter().filter(|line| *line == answer).count()
    }

    /// Ends it and returns how often each answer came. A request that failed is a failed test.
    pub fn stop(self) -> BTreeMap<String, usize> {
        let answers = self.end();
        assert!(!answers.keys().any(|answer| answer.starts_with("failed")), "requests failed: {answers:?}");
        answers
    }

    /// Ends it and returns how often each answer came, and each failure.
    pub fn end(self) -> BTreeMap<String, usize> {
        assert_eq!(container(&self.name), self.container, "somebody touched the client");
        docker(&["stop", "-t", "150", &self.name]);
        let mut answers = BTreeMap::new();
        for line in self.lines() {
            *answers.entry(line).or_default() += 1;
        }
        answers
    }
}

impl Place {
    fn take() -> Place {
        let began = Instant::now();
        loop {
            // Pools of other tests are beside 10.208.0.0/13.
            for index in 0u16..4 {
                if let Ok(lock) = TcpListener::bind(("127.0.0.1", 18_208 + index)) {
                    let (pool, dns) = (format!("10.{}.0.0/15", 208 + 2 * index), format!("127.0.0.1:{}", 18_308 + index));
                    return Place { pool, dns, _lock: lock };
                }
            }
            assert!(began.elapsed() < 10 * PATIENCE, "no free pool in 10.208.0.0/13");
            sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        self.kill();
        let quiet = |arguments: &[&str]| {
            let output = Command::new("docker").args(arguments).output();
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
        };
        let (owner, test) = (format!("label=dev.driftless.owner={}", self.owner), format!("label=test.driftless={}", self.owner));
        let remove = |label: &str, kind: &[&str]| {
            for id in quiet(&[&kind[..1], &["ls", "-q", "--filter", label]].concat()).split_whitespace() {
                quiet(&[kind, &[id]].concat());
            }
        };
        for label in [&owner, &test] {
            for id in quiet(&["ps", "-aq", "--filter", label]).split_whitespace() {
                quiet(&["rm", "-f", "-v", id]);
            }
        }
        let _ = self.command(&["uninstall"]).output();
        for label in [&owner, &test] {
            remove(label, &["network", "rm"]);
            remove(label, &["volume", "rm"]);
        }
        quiet(&["image", "rm", &self.tag()]);
        let _ = fs::remove_dir_all(format!("/run/driftless/{}", self.owner));
    }
}

/// Says whether tests may take their time: `DRIFTLESS_LONG=1`, as `scripts/test --long` sets it.
#[allow(clippy::print_stderr, reason = "whoever reads the test output wants to know what was not tested")]
pub fn long_or_skip() -> Option<()> {
    let long = std::env::var("DRIFTLESS_LONG").as_deref() == Ok("1");
    if !long {
        eprintln!("skipped: takes long; set DRIFTLESS_LONG=1");
    }
    long.then_some(())
}

/// Runs the engine's client, which must succeed; returns what it printed.
pub fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("the package docker-cli");
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    // Both: a container's standard error is printed there.
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Returns a container as it is now; it must be there.
pub fn container(name: &str) -> Container {
    find(name).unwrap_or_else(|| panic!("there is no container `{name}`"))
}

fn find(name: &str) -> Option<Container> {
    let output = Command::new("docker")
        .args(["inspect", "--format", "{{.Id}} {{.State.StartedAt}}", name])
        .output()
        .expect("the package docker-cli");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() || error.contains("No such object"), "docker inspect {name}: {error}");
    let found = String::from_utf8_lossy(&output.stdout);
    let (id, started) = found.trim().split_once(' ')?;
    Some(Container { id: id.to_owned(), started: started.to_owned() })
}
