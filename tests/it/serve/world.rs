//! A network with a front and replicas on a real engine, and a data path that serves them.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use driftless::desired::{Layout, Protocol, ServicePort};
use driftless::name::Name;
use driftless::serve::{self, Options};
use driftless::traffic::{Acknowledged, Endpoint, FrontPort, FrontState, Published, ZoneService};
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// The image that tests run: busybox and nothing else.
const IMAGE: &str = "driftless-test/serve:1";

/// How long a condition may take before a test has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A network with a front, and the data path that serves it.
pub struct World {
    pub layout: Layout,
    pub published: Published,
    pub options: Options,
    pub front: String,
    id: String,
    task: Mutex<Option<JoinHandle<()>>>,
    _state: TempDir,
}

/// Runs a program and returns what it printed; it must succeed.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Waits until a condition holds.
pub async fn wait(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Sends a line to an address over a new connection and returns the answer.
pub fn ask(address: SocketAddrV4) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address.into(), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /name HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.rsplit_once("\r\n\r\n") {
        Some((_, body)) => Ok(body.trim().to_owned()),
        None => Err(std::io::Error::other(format!("`{answer}` is no answer"))),
    }
}

impl World {
    /// Returns a world with a running front, or `None` if tests may not use an engine.
    #[allow(clippy::print_stderr, reason = "whoever reads the test output wants to know what was not tested")]
    pub async fn new() -> Option<World> {
        if std::env::var("DRIFTLESS_TEST_DOCKER").as_deref() != Ok("1") {
            eprintln!("skipped: needs a Docker engine; set DRIFTLESS_TEST_DOCKER=1");
            return None;
        }
        ensure_image();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let id = format!("serve-{}-{count}", std::process::id());
        let layout = make_network(&id).await;
        let front = start_front(&id, &layout);
        let state = tempfile::tempdir().expect("a folder");
        let port = std::net::UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port();
        let owner = Name::try_from(id.as_str()).expect("a name");
        let dns = SocketAddr::from(([127, 0, 0, 1], port));
        let resolv_conf = state.path().join("resolv.conf");
        let options =
            Options { owner, folder: state.path().join("run"), state: state.path().join("state"), dns, resolv_conf, detached: false };
        let mut published = Published::empty("cluster.local", 0);
        published.zone.network = Some(layout.network);
        published.fronts.push(FrontState {
            name: format!("{id}-front"),
            container: Some(front.clone()),
            address: layout.front(),
            local: Some(layout.local()),
            mapped: Some((layout.replicas(), layout.clients())),
            dns: true,
            ports: Vec::new(),
        });
        Some(World { layout, published, options, front, id, task: Mutex::new(None), _state: state })
    }

    /// Starts the data path in this process.
    pub fn serve(&self) {
        let options = self.options.clone();
        let task = tokio::spawn(async move { serve::run(options).await.expect("it serves until it is aborted") });
        *self.task.lock().expect("the lock") = Some(task);
    }

    /// Ends the data path, as a kill would.
    pub async fn end(&self) {
        let task = self.task.lock().expect("the lock").take();
        if let Some(task) = task {
            task.abort();
            let _ = task.await;
        }
    }

    /// Starts a replica that answers with its name at port 8080, and returns its address.
    pub fn replica(&self, name: &str, last: u8) -> Ipv4Addr {
        let octets = self.layout.network.addr().octets();
        let address = Ipv4Addr::new(octets[0], octets[1], 0, last);
        let command = format!("mkdir -p /srv && echo {name} > /srv/name && exec httpd -f -p 8080 -h /srv");
        self.container(name, &["--ip", &address.to_string()], &["sh", "-c", &command]);
        wait_accepts(SocketAddrV4::new(address, 8080));
        address
    }

    /// Starts a container on the network and returns its id.
    pub fn container(&self, name: &str, options: &[&str], command: &[&str]) -> String {
        let (label, name) = (format!("dev.driftless.test={}", self.id), format!("{}-{name}", self.id));
        let mut arguments = vec!["run", "-d", "--label", &label, "--name", &name, "--net", &self.id, "--init=false"];
        arguments.extend(options);
        arguments.push(IMAGE);
        arguments.extend(command);
        run("docker", &arguments)
    }

    /// Stops a replica or the front at once.
    pub fn kill(&self, name: &str) {
        run("docker", &["rm", "-f", &format!("{}-{name}", self.id)]);
    }

    /// Returns the address of the service at a place of the range.
    pub fn service(&self, last: u8) -> Ipv4Addr {
        let octets = self.layout.services().addr().octets();
        Ipv4Addr::new(octets[0], octets[1], octets[2], last)
    }

    /// Sets a port of the front.
    pub fn set(&mut self, address: Ipv4Addr, protocol: Protocol, port: u16, targets: &[SocketAddrV4], hold: Duration) {
        let ports = &mut self.published.fronts[0].ports;
        ports.retain(|other| (other.address, other.protocol, other.port) != (address, protocol, port));
        ports.push(FrontPort { address, protocol, port, targets: targets.to_vec(), hold });
    }

    /// Adds a service to the zone.
    pub fn name(&mut self, name: &str, address: Option<Ipv4Addr>, ports: &[(&str, u16)], endpoints: &[Ipv4Addr]) {
        let port = |(name, port): &(&str, u16)| ServicePort { name: (*name).to_owned(), protocol: Protocol::Tcp, port: *port };
        let endpoint = |address: &Ipv4Addr| Endpoint {
            hosts: vec![address.to_string().replace('.', "-")],
            address: *address,
            ports: ports.iter().map(|(_, port)| Some(*port)).collect(),
        };
        self.published.zone.insert(ZoneService {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            address,
            ports: ports.iter().map(port).collect(),
            endpoints: endpoints.iter().map(endpoint).collect(),
        });
    }

    /// Publishes the next generation without waiting.
    pub fn publish(&mut self) {
        self.published.generation += 1;
        serve::write_published(&self.options, &self.published).expect("the file is written");
        serve::write_fallback(&self.options, &self.published).expect("the copy is written");
    }

    /// Publishes the next generation and waits until it is acknowledged; returns how long that took.
    pub async fn publish_and_wait(&mut self) -> Duration {
        let began = Instant::now();
        self.publish();
        let generation = self.published.generation;
        wait(&format!("generation {generation} is acknowledged: {:?}", self.acknowledged()), || {
            self.acknowledged().is_some_and(|said| said.generation == generation)
        })
        .await;
        began.elapsed()
    }

    /// Returns what the data path says.
    pub fn acknowledged(&self) -> Option<Acknowledged> {
        serve::read_acknowledged(&self.options)
    }

    /// Returns the connections that were counted.
    pub fn connections(&self) -> BTreeMap<Ipv4Addr, u64> {
        self.acknowledged().map(|said| said.connections).unwrap_or_default()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().ok().and_then(|mut task| task.take()) {
            task.abort();
        }
        let label = format!("label=dev.driftless.test={}", self.id);
        let output = Command::new("docker").args(["ps", "-aq", "--filter", &label]).output();
        let ids = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        for id in ids.split_whitespace() {
            let _ = Command::new("docker").args(["rm", "-f", "-v", id]).output();
        }
        let _ = Command::new("docker").args(["network", "rm", &self.id]).output();
    }
}

/// Makes a network whose /16 nobody else has.
async fn make_network(id: &str) -> Layout {
    for attempt in 0..600 {
        let second = 216 + (attempt + std::process::id()) % 8;
        let layout = Layout::new(format!("10.{second}.0.0/16").parse().expect("a network")).expect("a /16");
        let (subnet, range, gateway) = (layout.network.to_string(), layout.automatic().to_string(), layout.gateway().to_string());
        let label = format!("dev.driftless.test={id}");
        let made = Command::new("docker")
            .args(["network", "create", "--label", &label, "--subnet", &subnet, "--ip-range", &range, "--gateway", &gateway, id])
            .output()
            .expect("docker");
        if made.status.success() {
            return layout;
        }
        let error = String::from_utf8_lossy(&made.stderr).into_owned();
        assert!(error.to_lowercase().contains("overlap"), "{error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no free network in 10.216.0.0/13");
}

fn start_front(id: &str, layout: &Layout) -> String {
    let (label, name, address) = (format!("dev.driftless.test={id}"), format!("{id}-front"), layout.front().to_string());
    let arguments = ["run", "-d", "--label", &label, "--name", &name, "--net", id, "--ip", &address, "--cap-drop", "ALL", IMAGE];
    run("docker", &[&arguments[..], &["sh", "-c", "trap exit TERM; while :; do sleep 0.1; done"]].concat())
}

fn wait_accepts(address: SocketAddrV4) {
    let began = Instant::now();
    while TcpStream::connect_timeout(&address.into(), Duration::from_secs(1)).is_err() {
        assert!(began.elapsed() < PATIENCE, "{address} accepts");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Builds the image from the static busybox of the host, if the engine does not have it.
fn ensure_image() {
    static ONCE: Mutex<bool> = Mutex::new(false);
    let mut done = ONCE.lock().expect("the lock");
    if *done {
        return;
    }
    *done = true;
    if Command::new("docker").args(["image", "inspect", IMAGE]).output().expect("docker").status.success() {
        return;
    }
    let busybox = std::fs::read("/bin/busybox").expect("tests need the package busybox-static");
    let mut layer = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(busybox.len() as u64);
    header.set_mode(0o755);
    layer.append_data(&mut header, "bin/busybox", busybox.as_slice()).expect("memory");
    for applet in ["sh", "sleep", "cat", "nc", "httpd", "wget", "mkdir", "echo", "nslookup"] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_mode(0o777);
        layer.append_link(&mut header, format!("bin/{applet}"), "/bin/busybox").expect("memory");
    }
    let layer = layer.into_inner().expect("memory");
    let mut import = Command::new("docker")
        .args(["import", "--change", "ENV PATH=/bin", "-", IMAGE])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("docker");
    import.stdin.take().expect("a pipe").write_all(&layer).expect("the engine reads the image");
    assert!(import.wait().expect("docker").success(), "the image is imported");
}
