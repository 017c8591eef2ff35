//! Several applications of one repository behind a real agent: one is refused and the others go on, an object
//! moves from one to another under load, one is taken out of the configuration.

use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use driftless::traffic::Published;
use serde_json::Value;

use super::server::{Server, World};
use crate::engine::{IMAGE, docker_or_skip};

const PROGRAM: &str = env!("CARGO_BIN_EXE_driftless");
const PATIENCE: Duration = Duration::from_secs(180);

/// An agent with a state folder, an owner and a network of its own; all of it is removed at the end.
struct Agent<'a> {
    world: &'a World,
    owner: String,
    pool: String,
    dns: String,
    child: Option<Child>,
}

impl<'a> Agent<'a> {
    fn new(world: &'a World) -> Self {
        let port = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port();
        // Pools of other tests end before 10.240.0.0.
        let second = 240 + std::process::id() % 8;
        let owner = format!("test-several-{}", std::process::id());
        Agent { world, owner, pool: format!("10.{second}.0.0/16"), dns: format!("127.0.0.1:{port}"), child: None }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).args(["--owner", &self.owner, "--network-pool", &self.pool, "--dns", &self.dns, "--http", "none"]);
        command.arg("--state").arg(self.world.path("state"));
        command
    }

    fn start(&mut self) {
        let config = self.world.path("config");
        let log = std::fs::File::options().create(true).append(true).open(self.world.path("log")).expect("a log");
        let mut command = self.command(&["agent", "--config", config.to_str().expect("text")]);
        self.child = Some(command.stderr(log).stdout(Stdio::null()).spawn().expect("the program"));
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.world.path("log")).unwrap_or_default()
    }

    /// Waits until an application stands as it should.
    fn wait(&self, what: &str, application: &str, stands: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let output = self.command(&["status", "-o", "json"]).output().expect("the program");
            let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            let mut all = status["applications"].as_array().cloned().unwrap_or_default();
            all.retain(|one| one["name"] == application);
            if let Some(one) = all.into_iter().find(|one| stands(one)) {
                return one;
            }
            assert!(began.elapsed() < PATIENCE, "{what}\n{status:#}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn published(&self) -> Published {
        let path = Path::new("/run/driftless").join(&self.owner).join("published.json");
        Published::parse(&std::fs::read(path).expect("the published state")).expect("it is ours")
    }

    /// Returns ids and applications of a workload's containers.
    fn containers(&self, workload: &str) -> Vec<String> {
        let mut command = Command::new("docker");
        command.args(["ps", "--no-trunc", "--format", "{{.ID}} {{.Label \"dev.driftless.application\"}}"]);
        command.args(["--filter", &format!("label=dev.driftless.owner={}", self.owner)]);
        let output = command.args(["--filter", &format!("name=_{workload}_")]).output().expect("docker");
        let mut lines: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

impl Drop for Agent<'_> {
    fn drop(&mut self) {
        self.stop();
        let _ = self.command(&["uninstall", "--containers"]).output();
        let label = format!("label=dev.driftless.owner={}", self.owner);
        for (list, remove) in [(&["ps", "-aq"][..], &["rm", "-f"][..]), (&["network", "ls", "-q"], &["network", "rm"])] {
            let found = Command::new("docker").args(list).args(["--filter", &label]).output().map(|output| output.stdout);
            for id in String::from_utf8_lossy(&found.unwrap_or_default()).lines() {
                let _ = Command::new("docker").args(remove).arg(id).output();
            }
        }
        let _ = std::fs::remove_dir_all(Path::new("/run/driftless").join(&self.owner));
    }
}

fn deployment(name: &str, replicas: u32, word: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: {name} }}\nspec:\n  replicas: {replicas}\n  \
         selector: {{ matchLabels: {{ app: {name} }} }}\n  template:\n    metadata: {{ labels: {{ app: {name} }} }}\n    spec:\n      \
         terminationGracePeriodSeconds: 1\n      containers:\n        - name: main\n          image: {IMAGE}\n          imagePullPolicy: Never\n          \
         command: [sh, -c, 'echo {word} > /srv/name; exec httpd -f -p 8080 -h /srv']\n          \
         readinessProbe: {{ tcpSocket: {{ port: 8080 }}, periodSeconds: 1 }}\n"
    )
}

const SERVICE: &str = "---\napiVersion: v1\nkind: Service\nmetadata: { name: web }\nspec: { selector: { app: web }, ports: [{ port: 80, targetPort: 8080 }] }\n";

/// Asks again and again, each time over a new connection.
struct Load {
    ends: Arc<AtomicBool>,
    asked: Arc<AtomicU32>,
    thread: std::thread::JoinHandle<Vec<String>>,
}

impl Load {
    fn start(address: SocketAddrV4) -> Load {
        let (ends, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let thread = std::thread::spawn({
            let (ends, asked) = (ends.clone(), asked.clone());
            move || {
                let mut failures = Vec::new();
                while !ends.load(Ordering::Relaxed) {
                    if let Err(error) = ask(address) {
                        failures.push(error.to_string());
                    }
                    asked.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(3));
                }
                failures
            }
        });
        Load { ends, asked, thread }
    }

    /// Returns how many asked, and what failed.
    fn end(self) -> (u32, Vec<String>) {
        self.ends.store(true, Ordering::Relaxed);
        let failures = self.thread.join().expect("no panic");
        (self.asked.load(Ordering::Relaxed), failures)
    }
}

fn ask(address: SocketAddrV4) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address.into(), Duration::from_secs(30))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(b"GET /name HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.contains(" 200 ") { Ok(()) } else { Err(std::io::Error::other(answer)) }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_moves_between_applications_under_load() {
    let Some(bench) = docker_or_skip().await else { return };
    drop(bench);
    tokio::task::spawn_blocking(moves).await.expect("no panic");
}

fn moves() {
    let world = World::new();
    let server = Server::start(&world.served());
    server.ask("x-access-token", "right");
    std::fs::create_dir(world.path("config")).expect("a folder");
    for (name, path, token) in [("front", "front", "right"), ("back", "back", "right"), ("broken", "back", "wrong")] {
        let token = world.file(&format!("token-{token}"), token);
        let document = format!(
            "apiVersion: driftless.dev/v1\nkind: Application\nmetadata: {{ name: {name} }}\nspec:\n  repo: {}\n  path: {path}\n  namespace: shop\n  \
             interval: 1s\n  auth: {{ tokenFile: {} }}\n",
            server.url("shop.git"),
            token.display()
        );
        world.file(&format!("config/{name}.yaml"), &document);
    }
    std::fs::create_dir_all(world.path("work/front")).expect("a folder");
    std::fs::write(world.path("work/front/web.yaml"), deployment("web", 2, "one") + SERVICE).expect("a file");
    std::fs::write(world.path("work/front/stay.yaml"), deployment("stay", 1, "stay")).expect("a file");
    let first = world.commit("back/db.yaml", &deployment("db", 1, "db"));

    let mut agent = Agent::new(&world);
    agent.start();
    let good = |revision: &str| {
        let revision = revision.to_owned();
        move |one: &Value| one["revision"] == revision.as_str() && one["sync"] == "Synced" && one["health"] == "Healthy"
    };
    agent.wait("the first application comes up", "front", good(&first));
    agent.wait("the second application comes up", "back", good(&first));
    let broken = agent.wait("the third is refused", "broken", |one| one["message"].as_str().is_some_and(|it| it.contains("refuses")));
    assert_eq!(broken["revision"], "", "{broken}");

    let port = agent.published().fronts[0].ports[0].clone();
    let address = SocketAddrV4::new(port.address, port.port);
    let before = agent.containers("web");
    assert_eq!(before.len(), 2);
    let load = Load::start(address);

    // The files move; nothing else does.
    world.git("work", &["mv", "front/web.yaml", "back/web.yaml"]);
    let second = world.commit("front/note.txt", "moved");
    let back = agent.wait("the second application has it", "back", |one| {
        good(&second)(one) && one["workloads"].as_array().is_some_and(|workloads| workloads.len() == 2)
    });
    agent.wait("the first goes on without", "front", good(&second));
    assert_eq!(agent.containers("web"), before, "no container was replaced: {back}");
    let now = agent.published().fronts[0].ports[0].clone();
    assert_eq!((now.address, now.targets.len()), (port.address, 2));
    assert!(agent.log().contains("an object is handed over"), "{}", agent.log());

    // Its next rollout gives its replicas the labels of the application that has it.
    let third = world.commit("back/web.yaml", &(deployment("web", 2, "two") + SERVICE));
    agent.wait("it is rolled", "back", good(&third));
    agent.wait("the other shows the commit, too", "front", good(&third));
    let (asked, failures) = load.end();
    assert!(asked > 50, "{asked}");
    assert_eq!(failures, [] as [String; 0], "of {asked}");
    // The last of the old ones still drains.
    let began = Instant::now();
    while !(agent.containers("web").len() == 2 && agent.containers("web").iter().all(|line| line.ends_with(" back"))) {
        assert!(began.elapsed() < PATIENCE, "{:?}", agent.containers("web"));
        std::thread::sleep(Duration::from_millis(100));
    }

    // It is taken out of the configuration: what runs goes on, and it is said so.
    let stay = agent.containers("stay");
    agent.stop();
    std::fs::remove_file(world.path("config/front.yaml")).expect("a file");
    agent.start();
    agent.wait("it is shown", "front", |one| one["message"].as_str().is_some_and(|it| it.starts_with("orphaned")));
    agent.wait("the other goes on", "back", good(&third));
    assert_eq!(agent.containers("stay"), stay);
    assert_eq!(agent.published().fronts[0].ports[0].address, port.address);
    ask(address).expect("it is served");
}
