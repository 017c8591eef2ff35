//! A running agent that keeps a good application beside all that are meant to hurt.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::attack::{Attack, What, attacks, commit, good};
use super::{CANARY, DEEP, MOST_MEMORY, PATIENCE, engine, harm, peak};

/// An agent with an engine that has nothing.
struct Agent {
    folder: TempDir,
    owner: String,
    dns: String,
    process: Option<Child>,
    changes: Receiver<String>,
}

impl Agent {
    fn new() -> Agent {
        let folder = tempfile::tempdir().expect("a folder");
        let dns = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").to_string();
        let changes = engine::play(&folder.path().join("docker.sock"));
        fs::create_dir(folder.path().join("config")).expect("a folder");
        Agent { folder, owner: format!("test-hostile-{}", std::process::id()), dns, process: None, changes }
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.folder.path().join(path)
    }

    /// Adds an application: a folder of the repository.
    fn add(&self, name: &str, repository: &str) {
        let document = format!(
            "apiVersion: driftless.dev/v1\nkind: Application\nmetadata: {{ name: {name} }}\nspec: {{ repo: {}, ref: main, path: {name}, mode: observe, interval: 1h }}\n",
            self.path(repository).display()
        );
        fs::write(self.path("config").join(format!("{name}.yaml")), document).expect("a file");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_driftless"));
        command.args(arguments).current_dir(self.folder.path()).env_clear().env(CANARY.0, CANARY.1).env("DRIFTLESS_HOST", "box");
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("DRIFTLESS_STATE", self.path("state"));
        command.env("DRIFTLESS_OWNER", &self.owner).env("DRIFTLESS_DNS", &self.dns).env("DRIFTLESS_HTTP", "127.0.0.1:0");
        command.env("DRIFTLESS_DOCKER", format!("unix://{}", self.path("docker.sock").display()));
        command
    }

    fn start(&mut self) {
        let log = File::create(self.path("log")).expect("a file");
        let mut command = self.command(&["agent", "--config", "config", "--log", "debug"]);
        self.process = Some(command.stdout(Stdio::null()).stderr(log).spawn().expect("the agent"));
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().expect("a command");
        for said in [&output.stdout, &output.stderr] {
            assert_eq!(harm(said), None, "{arguments:?}");
        }
        output
    }

    /// Waits until all applications stand as they should; returns how.
    fn wait(&self, what: &str, stand: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let output = self.run(&["status", "-o", "json"]);
            let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            if status["applications"].as_array().is_some_and(|all| !all.is_empty() && all.iter().all(&stand)) {
                return status;
            }
            assert!(began.elapsed() < 3 * PATIENCE, "{what}: {status:#}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Asks over HTTP.
    fn get(&self, path: &str) -> Vec<u8> {
        let log = self.log();
        let address = log.rsplit("HTTP is answered address=").next().and_then(|rest| rest.split_whitespace().next()).expect("it is logged");
        let mut stream = TcpStream::connect(address).expect("the agent");
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).expect("a request");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        answer
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        let _ = self.command(&["serve", "--stop"]).output();
        let _ = fs::remove_dir_all(Path::new("/run/driftless").join(&self.owner));
    }
}

#[test]
fn an_agent_refuses_each_and_goes_on_with_the_others() {
    let mut agent = Agent::new();
    let attacks = attacks();
    let folders = || attacks.iter().map(|it| (it.name, it.files.as_slice()));
    let first = [("web.yaml".to_owned(), What::Text(good(1)))];
    commit(&agent.path("repository"), folders().chain([("good", first.as_slice())]), 0);
    // A clone of it would take a stack without end, so the repository is refused as a whole.
    commit(&agent.path("deep"), [("good", first.as_slice())].into_iter(), DEEP);
    attacks.iter().map(|it| it.name).chain(["good"]).for_each(|name| agent.add(name, "repository"));
    agent.add("deep", "deep");
    agent.start();
    let is_right = |name: &Value| name == "good" || attacks.iter().any(|it| name == it.name && it.said.is_empty());
    let ends = |one: &Value| match is_right(&one["name"]) {
        true => one["sync"] != "Unknown" && one["refused"] == false,
        false => one["refused"] == true || one["message"].as_str().is_some_and(|message| message != "not looked at yet"),
    };
    let status = agent.wait("all are looked at", ends);
    for one in status["applications"].as_array().into_iter().flatten() {
        let known = attacks.iter().find(|it| one["name"] == it.name);
        let Some(attack) = known else { continue };
        // Places are within the application's folder here.
        let told = one.to_string().replace("\\\\", "\\");
        let unsaid: Vec<&str> = attack.unsaid(&told).filter(|line| !line.starts_with(attack.name)).collect();
        assert!(unsaid.is_empty(), "{} is told {unsaid:?}: {told}", attack.name);
    }
    look(&agent, &attacks);

    // While the others are refused, the good one is followed.
    let second = [("web.yaml".to_owned(), What::Text(good(2)))];
    let revision = commit(&agent.path("repository"), folders().chain([("good", second.as_slice())]), 0);
    agent.wait("the next commit is seen", |one| one["name"] != "good" || one["revision"] == revision.as_str());
    look(&agent, &attacks);
    let most = peak(agent.process.as_ref().expect("it runs").id()).expect("it still runs");
    // It fetches a repository as a whole, and reads and checks several revisions.
    assert!(most < 2 * MOST_MEMORY, "the agent takes {most} KiB");
    assert_eq!(agent.changes.try_iter().collect::<Vec<_>>(), [] as [String; 0], "an observer changes nothing");
}

/// Looks at all that is said of all applications.
fn look(agent: &Agent, attacks: &[Attack]) {
    for command in ["status", "drift", "history", "plan"] {
        for format in ["text", "json", "markdown"] {
            agent.run(&[command, "-o", format]);
        }
    }
    for name in attacks.iter().map(|it| it.name).chain(["deep"]) {
        agent.run(&["status", name]);
    }
    for name in ["escapes", "links", "deep"] {
        assert_eq!(agent.run(&["apply", name]).status.code(), Some(1), "{name}");
    }
    assert_eq!(harm(agent.log().as_bytes()), None, "the log");
    for path in ["/", "/metrics", "/api/v1/applications", "/api/v1/applications/escapes/history", "/badge/escapes.svg"] {
        let answer = agent.get(path);
        assert!(answer.starts_with(b"HTTP/1.0 200") || answer.starts_with(b"HTTP/1.1 200"), "{path}: {}", String::from_utf8_lossy(&answer));
        let body = answer.windows(4).position(|it| it == b"\r\n\r\n").map_or(answer.as_slice(), |at| &answer[at + 4..]);
        assert_eq!(harm(body), None, "{path}");
    }
}
