//! The status page in a real browser, and the metrics before Prometheus' own checker. The agent is a value.
//!
//! They need Chromium and promtool, so they run only with `DRIFTLESS_TEST_DOCKER=1`, as all that
//! `scripts/test` prepares the host for.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use driftless::agent::{Snapshot, Standing, View};
use driftless::http::{Options, Running, Server};
use driftless::metric::{Metric, Metrics};
use driftless::name::Name;
use driftless::store::Store;
use serde_json::{Value, json};
use tokio::sync::watch;

const PATIENCE: Duration = Duration::from_secs(60);

/// Tells whether the host is prepared for these tests.
#[allow(clippy::print_stderr, reason = "whoever reads the test output wants to know what was not tested")]
fn prepared() -> bool {
    let prepared = std::env::var("DRIFTLESS_TEST_DOCKER").as_deref() == Ok("1");
    if !prepared {
        eprintln!("skipped: needs Chromium and promtool; set DRIFTLESS_TEST_DOCKER=1");
    }
    prepared
}

/// A server with a page about one application.
struct Page {
    _server: Running,
    address: SocketAddr,
    snapshot: watch::Sender<Arc<Snapshot>>,
}

async fn page() -> Page {
    let options = Options { address: SocketAddr::from(([127, 0, 0, 1], 0)), hook_secret_file: None, api_token_file: None };
    let server = Server::bind(&options).await.expect("a free port");
    let address = server.address();
    let (snapshot, receiver) = watch::channel(Arc::new(shown("Progressing", "1 of 2 replicas serve")));
    let metrics = Arc::new(Metrics::default());
    metrics.count(Metric::Errors, &[("class", "user")]);
    metrics.time(Metric::Step, &[("action", "start")], Duration::from_millis(50));
    metrics.time(Metric::Fetch, &[("application", "shop")], Duration::from_millis(50));
    metrics.time(Metric::Reconcile, &[], Duration::from_millis(5));
    metrics.count(Metric::Hooks, &[("forge", "github"), ("result", "too large")]);
    let view = View { snapshot: receiver, store: Store::in_memory().expect("memory"), metrics, look: Arc::new(|_| {}) };
    Page { _server: server.start(view, None), address, snapshot }
}

fn shown(health: &str, message: &str) -> Snapshot {
    let workload = json!({"name": "shop/Deployment/web", "desired": 2, "ready": 1, "updated": 2, "available": 1, "health": health,
        "message": message, "settled": false});
    let drift = json!([{"object": "shop/Deployment/web/x7k2p", "kind": "Deployment", "what": "stopped", "fields": [],
        "since": "2026-01-02T03:04:05Z", "healed": true}]);
    let change = json!({"object": "shop/Deployment/web", "action": "recreate", "reason": "changed in Git", "fields": [
        {"path": "spec.template.spec.containers[web].image", "old": "example/web:1", "new": "example/web:2", "consequence": "recreates"}]});
    let status = json!({"name": "shop", "revision": "3f2a9c1", "head": "3f2a9c1", "sync": "OutOfSync", "health": health, "message": message,
        "rolledBack": false, "refused": false, "plan": "0a1b", "workloads": [workload], "held": [], "findings": [], "drift": 1});
    let plan = json!({"host": "box", "rounds": null, "refused": false, "rolledBack": null, "plan": {"application": "shop",
        "revision": "3f2a9c1", "id": "0a1b", "steps": [], "held": [], "deferred": [], "drift": drift, "findings": [], "workloads": [],
        "failed": null, "changes": [change]}});
    let standing = Standing {
        status: serde_json::from_value(status).expect("a status"),
        plan: Some(serde_json::from_value(plan).expect("a plan")),
        repository: "https://git.example/acme/shop.git".to_owned(),
        forge: None,
    };
    let applications = BTreeMap::from([(Name::try_from("shop").expect("a name"), Arc::new(standing))]);
    Snapshot { host: "box".to_owned(), looked: true, applications, ..Snapshot::default() }
}

/// A browser with one page open; it ends with this.
struct Browser {
    process: Child,
    page: TcpStream,
    asked: u64,
    _folder: tempfile::TempDir,
}

impl Browser {
    /// Opens a page, with further arguments for the browser.
    fn open(address: SocketAddr, arguments: &[&str]) -> Browser {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut process = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", folder.path().display()))
            .args(arguments)
            .arg(format!("http://{address}/"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("chromium");
        let told = BufReader::new(process.stderr.take().expect("it is piped"));
        let listens =
            |line: String| line.strip_prefix("DevTools listening on ws://").and_then(|rest| rest.split('/').next().map(str::to_owned));
        let debugger = told.lines().map_while(Result::ok).find_map(listens).expect("the browser listens");
        let debugger: SocketAddr = debugger.parse().expect("an address");
        let page = until("the page is open", || page_of(debugger, address));
        Browser { process, page: connect(debugger, &page), asked: 0, _folder: folder }
    }

    /// Evaluates an expression in the page.
    fn evaluate(&mut self, expression: &str) -> Value {
        let answer = self.call("Runtime.evaluate", &json!({ "expression": expression, "returnByValue": true, "awaitPromise": true }));
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.asked += 1;
        send(&mut self.page, &json!({ "id": self.asked, "method": method, "params": parameters }).to_string());
        loop {
            let answer: Value = serde_json::from_str(&receive(&mut self.page)).expect("JSON");
            if answer["id"] == self.asked {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    fn verdict(&mut self) -> String {
        self.evaluate("document.querySelector('#shop .verdict')?.textContent ?? ''").as_str().unwrap_or_default().to_owned()
    }

    /// Returns how bright the middle of a color is, from 0 to 255.
    fn brightness(&mut self, element: &str, property: &str) -> f64 {
        let color = self.evaluate(&format!("getComputedStyle(document.querySelector('{element}')).{property}"));
        let numbers: Vec<f64> = color
            .as_str()
            .unwrap_or_default()
            .split(|c: char| !c.is_ascii_digit() && c != '.')
            .filter_map(|part| part.parse().ok())
            .collect();
        assert!(numbers.len() >= 3, "{element} {property}: {color}");
        numbers[..3].iter().sum::<f64>() / 3.0
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the path of the debugger of an open page.
fn page_of(debugger: SocketAddr, address: SocketAddr) -> Option<String> {
    let listed: Value = serde_json::from_str(&get(debugger, "/json/list")).ok()?;
    let page = listed.as_array()?.iter().find(|page| page["url"].as_str().is_some_and(|url| url.contains(&address.to_string())))?;
    let url = page["webSocketDebuggerUrl"].as_str()?;
    url.strip_prefix("ws://").and_then(|rest| rest.split_once('/')).map(|(_, path)| format!("/{path}"))
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let _ = write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    // A server that keeps the connection open says first how much comes.
    let (mut length, mut head) = (None, 0);
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        answer.extend(&buffer[..read]);
        let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        if let Some(end) = text.find("\r\n\r\n") {
            head = end + 4;
            length = text[..end].lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        }
        if length.is_some_and(|length| answer.len() >= head + length) {
            break;
        }
    }
    String::from_utf8_lossy(&answer[head..]).into_owned()
}

/// Opens a WebSocket (RFC 6455).
fn connect(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("it listens");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an answer");
        answer.push(byte[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    stream
}

/// Sends a text; what clients send is masked, here with zeros.
fn send(stream: &mut TcpStream, text: &str) {
    let length = u16::try_from(text.len()).expect("a short text").to_be_bytes();
    let mut frame = vec![0x81, 0x80 | 126, length[0], length[1], 0, 0, 0, 0];
    frame.extend(text.as_bytes());
    stream.write_all(&frame).expect("it listens");
}

fn receive(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    loop {
        let mut head = [0; 2];
        stream.read_exact(&mut head).expect("an answer");
        let length = match head[1] & 0x7f {
            126 => {
                let mut more = [0; 2];
                stream.read_exact(&mut more).expect("an answer");
                u64::from(u16::from_be_bytes(more))
            }
            127 => {
                let mut more = [0; 8];
                stream.read_exact(&mut more).expect("an answer");
                u64::from_be_bytes(more)
            }
            short => u64::from(short),
        };
        let mut part = vec![0; usize::try_from(length).expect("it fits")];
        stream.read_exact(&mut part).expect("an answer");
        text.extend(part);
        if head[0] & 0x80 != 0 {
            return String::from_utf8(text).expect("a text");
        }
    }
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_follows_a_rollout_while_it_is_open() {
    if !prepared() {
        return;
    }
    let page = page().await;
    let address = page.address;
    tokio::task::spawn_blocking(move || {
        let mut browser = Browser::open(address, &[]);
        until("the page is there", || (browser.verdict() == "OutOfSync, Progressing").then_some(()));
        browser.evaluate("window.stays = true");
        page.snapshot.send_replace(Arc::new(shown("Degraded", "2 of 2 replicas <b>end</b>")));
        until("the page says it", || (browser.verdict() == "OutOfSync, Degraded").then_some(()));
        assert_eq!(browser.evaluate("window.stays"), true, "it was not loaded anew");
        assert_eq!(browser.evaluate("document.querySelectorAll('#shop b').length"), 0, "nothing that is shown is markup");
        let refused = browser.evaluate("fetch('https://example.org/').then(() => false, () => true)");
        assert_eq!(refused, true, "it asks nobody but the agent");
    })
    .await
    .expect("the browser");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_readable_in_light_and_dark_on_a_phone_and_without_its_script() {
    if !prepared() {
        return;
    }
    let page = page().await;
    let address = page.address;
    tokio::task::spawn_blocking(move || {
        let mut browser = Browser::open(address, &["--window-size=1280,1000"]);
        until("the page is there", || (browser.verdict() == "OutOfSync, Progressing").then_some(()));
        until("it is complete", || (browser.evaluate("document.readyState") == "complete").then_some(()));
        for (scheme, dark) in [("light", false), ("dark", true)] {
            browser.call("Emulation.setEmulatedMedia", &json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] }));
            let (ground, panel) = (browser.brightness("body", "backgroundColor"), browser.brightness("section", "backgroundColor"));
            for text in ["body", ".verdict", ".source", "th", "td"] {
                let ink = browser.brightness(text, "color");
                let seen = if dark { ink - ground.max(panel) } else { ground.min(panel) - ink };
                assert!(seen > 100.0, "{scheme}: {text} is {ink} on {ground} and {panel}");
            }
        }
        let metrics = json!({ "width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": true });
        browser.call("Emulation.setDeviceMetricsOverride", &metrics);
        let width = browser.evaluate("document.documentElement.scrollWidth");
        assert_eq!(width, 390, "the page itself does not scroll sideways");
        // A word that is cut in its middle cannot be read.
        let lines = browser.evaluate(
            "(() => { const name = document.createRange(); name.selectNodeContents(document.querySelector('td')); return name.getClientRects().length })()",
        );
        assert_eq!(lines, 1, "the name of the workload is on one line");

        browser.call("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
        browser.call("Page.reload", &json!({}));
        until("the page is there again", || {
            let found = browser
                .call("Runtime.evaluate", &json!({ "expression": "document.querySelector('main').innerText", "returnByValue": true }));
            let text = found["result"]["value"].as_str().unwrap_or_default().to_owned();
            ["shop", "OutOfSync, Progressing", "shop/Deployment/web/x7k2p", "example/web:2"]
                .iter()
                .all(|word| text.contains(word))
                .then_some(())
        });
    })
    .await
    .expect("the browser");
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_takes_the_metrics() {
    if !prepared() {
        return;
    }
    let page = page().await;
    let address = page.address;
    tokio::task::spawn_blocking(move || {
        let metrics = get(address, "/metrics");
        assert!(metrics.contains("driftless_application_health{"), "{metrics}");
        let mut checker = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("promtool");
        checker.stdin.take().expect("it is piped").write_all(metrics.as_bytes()).expect("it reads");
        let said = checker.wait_with_output().expect("it ends");
        let words = String::from_utf8_lossy(&said.stderr).into_owned() + &String::from_utf8_lossy(&said.stdout);
        assert!(said.status.success() && words.is_empty(), "{words}\n{metrics}");
    })
    .await
    .expect("promtool");
}
