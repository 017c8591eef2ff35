//! A server on a loopback port, asked as browsers, forges and Prometheus ask; the agent is a value.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::*;
use crate::agent::{Snapshot, Standing, View};
use crate::name::Name;
use crate::store::{Event, Store};
use crate::time::Time;

const SECRET: &str = "a hook's secret";
const TOKEN: &str = "a reader's token";
const EVIL: &str = "<script>alert(1)</script>";

/// A server, what it shows, and whom a hook made it look at.
struct World {
    server: Running,
    address: SocketAddr,
    snapshot: watch::Sender<Arc<Snapshot>>,
    looked: Arc<Mutex<Vec<String>>>,
    called: Arc<Mutex<Vec<(String, u64)>>>,
}

/// Which secrets it has.
#[derive(Default)]
struct Secrets {
    hook: bool,
    token: bool,
}

async fn world(secrets: Secrets) -> World {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{text}\n")).unwrap();
        path
    };
    let options = Options {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        hook_secret_file: secrets.hook.then(|| file("hook", SECRET)),
        api_token_file: secrets.token.then(|| file("token", TOKEN)),
    };
    let server = Server::bind(&options).await.unwrap();
    let address = server.address();
    let store = Store::in_memory().unwrap();
    let event = Event { at: Time(0), revision: "3f2a9c1".into(), kind: "refused".into(), message: EVIL.into() };
    store.write(Vec::new(), vec![(name("shop"), event)]).await.unwrap();
    let (snapshot, receiver) = watch::channel(Arc::new(shown("Synced")));
    let looked = Arc::new(Mutex::new(Vec::new()));
    let called = Arc::new(Mutex::new(Vec::new()));
    let calls = called.clone();
    let call = Arc::new(move |name: &Name, number: u64| calls.lock().unwrap().push((name.to_string(), number)));
    let seen = looked.clone();
    let look = Arc::new(move |name: &Name| seen.lock().unwrap().push(name.to_string()));
    let view = View { snapshot: receiver, store, metrics: Arc::default(), look };
    World { server: server.start(view, Some(call)), address, snapshot, looked, called }
}

fn name(text: &str) -> Name {
    Name::try_from(text).unwrap()
}

fn shown(sync: &str) -> Snapshot {
    let standing = |application: &str, repository: &str| {
        let workload = json!({"name": format!("{application}/Deployment/web"), "desired": 2, "ready": 1, "updated": 1, "available": 1,
            "health": "Progressing", "message": EVIL, "settled": false});
        let drift = json!([{"object": "shop/Deployment/web/x7k2p", "kind": "Deployment", "what": "stopped", "fields": [], "since": null,
            "healed": true}]);
        let status = json!({"name": application, "revision": "3f2a9c1", "head": "3f2a9c1", "sync": sync, "health": "Healthy", "message": "",
            "rolledBack": false, "refused": false, "plan": "0a1b", "workloads": [workload], "held": [], "findings": [], "drift": 1});
        let plan = json!({"host": "box", "rounds": null, "refused": false, "rolledBack": null, "plan": {"application": application,
            "revision": "3f2a9c1", "id": "0a1b", "steps": [], "held": [], "deferred": [], "drift": drift, "findings": [], "workloads": [],
            "failed": null, "changes": [{"object": "shop/Deployment/web", "action": "update", "reason": "changed in Git", "fields": [
                {"path": "env[X]", "old": null, "new": EVIL, "consequence": "recreates"}]}]}});
        Standing {
            status: serde_json::from_value(status).unwrap(),
            plan: Some(serde_json::from_value(plan).unwrap()),
            repository: repository.to_owned(),
            forge: (application == "other").then(|| "Acme/Mirrored".to_owned()),
        }
    };
    let applications = [("shop", "https://git.example/acme/shop.git"), ("other", "/srv/other")];
    let applications = applications.map(|(application, repository)| (name(application), Arc::new(standing(application, repository))));
    Snapshot { host: "box".into(), looked: true, applications: BTreeMap::from(applications), ..Snapshot::default() }
}

/// An answer: its status, its head in lower case, its body.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl World {
    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[("Host", "localhost")], b"").await
    }

    async fn hook(&self, forge: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.send("POST", &format!("/hooks/{forge}"), &[&[("Host", "deploy.example")], headers].concat(), body).await
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("{method} {path} HTTP/1.1\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        // A server that has read enough may close before all is sent.
        let _ = stream.write_all(body).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer.as_str(), ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Answer { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    fn looked(&self) -> Vec<String> {
        std::mem::take(&mut self.looked.lock().unwrap())
    }
}

fn signature(body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

#[tokio::test]
async fn badges_are_for_everybody_and_never_kept() {
    let world = world(Secrets { token: true, ..Secrets::default() }).await;
    let svg = world.get("/badge/shop.svg").await;
    assert_eq!(svg.status, 200);
    for header in ["content-type: image/svg+xml", "cache-control: private, no-cache, no-store", "access-control-allow-origin: *"] {
        assert!(svg.head.contains(header), "{header} is not in {}", svg.head);
    }
    assert!(svg.body.contains(r#"role="img" aria-label="shop at 3f2a9c1: Synced, Healthy""#), "{}", svg.body);
    let badge = world.get("/badge/shop.json").await;
    assert!(badge.head.contains("content-type: application/json"));
    assert_eq!((badge.json()["message"].clone(), badge.json()["schemaVersion"].clone()), (json!("Synced, Healthy"), json!(1)));
    let unknown = world.get("/badge/%3Cscript%3E.svg").await;
    assert!(unknown.status == 200 && unknown.body.contains("not found") && !unknown.body.contains("<script>"), "{unknown:?}");
    assert_eq!(world.get("/badge/shop.png").await.status, 404);
}

#[tokio::test]
async fn without_a_token_only_this_host_reads_page_and_api() {
    let world = world(Secrets::default()).await;
    let asked = |headers: &'static [(&str, &str)]| world.send("GET", "/api/v1/applications", headers, b"");
    assert_eq!(asked(&[("Host", "localhost:8765")]).await.status, 200);
    assert_eq!(asked(&[("Host", "127.0.0.1")]).await.status, 200);
    assert_eq!(asked(&[("Host", "evil.example")]).await.status, 403);
    assert_eq!(asked(&[("Host", "localhost"), ("X-Forwarded-For", "10.0.0.1")]).await.status, 403);
    assert_eq!(world.send("GET", "/", &[("Host", "evil.example")], b"").await.status, 403);
}

#[tokio::test]
async fn with_a_token_only_who_shows_it_reads_page_and_api() {
    let world = world(Secrets { token: true, ..Secrets::default() }).await;
    for path in ["/", "/api/v1/applications", "/api/v1/applications/shop/plan", "/api/v1/events"] {
        let answer = world.get(path).await;
        assert!(answer.status == 401 && answer.head.contains("www-authenticate: basic"), "{path}: {answer:?}");
    }
    let basic = |pair: &str| format!("Basic {}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pair));
    for (credentials, status) in [
        (format!("Bearer {TOKEN}"), 200),
        (basic(&format!("anybody:{TOKEN}")), 200),
        ("Bearer wrong".to_owned(), 401),
        (basic("anybody:wrong"), 401),
        (TOKEN.to_owned(), 401),
        ("Basic %%%".to_owned(), 401),
    ] {
        let headers = [("Host", "deploy.example"), ("Authorization", credentials.as_str())];
        assert_eq!(world.send("GET", "/api/v1/applications", &headers, b"").await.status, status, "{credentials}");
    }
}

#[tokio::test]
async fn the_api_answers_what_the_commands_print() {
    let world = world(Secrets::default()).await;
    let all = world.get("/api/v1/applications").await.json();
    assert_eq!((&all["version"], &all["host"], all["applications"].as_array().map(Vec::len)), (&json!(1), &json!("box"), Some(2)));
    assert_eq!(world.get("/api/v1/applications/shop").await.json()["applications"][0]["name"], "shop");
    assert_eq!(world.get("/api/v1/applications/shop/plan").await.json()["changes"][0]["object"], "shop/Deployment/web");
    assert_eq!(world.get("/api/v1/applications/shop/drift").await.json()["drift"][0]["what"], "stopped");
    assert_eq!(world.get("/api/v1/applications/shop/history").await.json()["events"][0]["kind"], "refused");
    assert_eq!(world.get("/api/v1/applications/shop/history?limit=0").await.json()["events"], json!([]));
    for path in ["nobody", "nobody/plan", "nobody/history", "a%20b"] {
        let answer = world.get(&format!("/api/v1/applications/{path}")).await;
        assert!(answer.status == 404 && answer.json()["error"].is_string(), "{path}: {answer:?}");
    }
    assert_eq!(world.send("DELETE", "/api/v1/applications/shop", &[("Host", "localhost")], b"").await.status, 405);
    let wrong = vec!["a.yaml:1:2: error: <b>".to_owned()];
    assert!(world.get("/metrics").await.body.contains("\ndriftless_config_last_reload_successful 1\n"));
    world.snapshot.send_replace(Arc::new(Snapshot { misconfigured: wrong, ..shown("Synced") }));
    assert_eq!(world.get("/api/v1/applications/shop").await.json()["misconfigured"][0], "a.yaml:1:2: error: <b>");
    assert!(world.get("/").await.body.contains("in force.<br>a.yaml:1:2: error: &lt;b&gt;</p>"));
    assert!(world.get("/metrics").await.body.contains("\ndriftless_config_last_reload_successful 0\n"));
    world.snapshot.send_replace(Arc::new(Snapshot { away: Some("gone".into()), ..shown("Unknown") }));
    assert_eq!(world.get("/api/v1/applications/shop/plan").await.status, 503);
    assert_eq!(world.get("/healthz").await.status, 503);
}

#[tokio::test]
async fn events_come_at_once_and_with_every_change() {
    let world = world(Secrets::default()).await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut text = String::new();
    read_until(&mut stream, &mut text, "\"sync\":\"Synced\"").await;
    assert!(text.contains("event: status"), "{text}");
    world.snapshot.send_replace(Arc::new(shown("OutOfSync")));
    read_until(&mut stream, &mut text, "\"sync\":\"OutOfSync\"").await;
}

async fn read_until(stream: &mut TcpStream, text: &mut String, wanted: &str) {
    let mut buffer = [0; 4096];
    while !text.contains(wanted) {
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "the stream ended: {text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
}

#[tokio::test]
async fn the_page_shows_everything_and_runs_nothing_of_it() {
    let world = world(Secrets::default()).await;
    let page = world.get("/").await;
    assert!(page.status == 200 && page.head.contains("content-security-policy: default-src 'none'"), "{page:?}");
    for text in ["shop/Deployment/web", "Synced, Healthy", "env[X]", "stopped", "is being healed", "refused", "3f2a9c1", "acme/shop.git"] {
        assert!(page.body.contains(text), "`{text}` is not in {}", page.body);
    }
    assert!(!page.body.contains("<script>") && page.body.contains("&lt;script&gt;alert(1)"), "{}", page.body);
    assert!(world.get("/page.css").await.head.contains("content-type: text/css"));
    assert!(world.get("/page.js").await.head.contains("content-type: text/javascript"));
}

#[tokio::test]
async fn metrics_are_the_contracts() {
    let world = world(Secrets { hook: true, ..Secrets::default() }).await;
    world.hook("github", &[], b"{}").await;
    let metrics = world.get("/metrics").await;
    assert!(metrics.head.contains("content-type: text/plain; version=0.0.4"), "{}", metrics.head);
    for line in [
        r#"driftless_application_sync{application="shop",state="Synced"} 1"#,
        r#"driftless_application_sync{application="shop",state="OutOfSync"} 0"#,
        r#"driftless_application_health{application="shop",state="Healthy"} 1"#,
        r#"driftless_drift{application="shop",kind="Deployment"} 1"#,
        r#"driftless_hooks_total{forge="github",result="unsigned"} 1"#,
    ] {
        assert!(metrics.body.lines().any(|found| found == line), "{line} is not in\n{}", metrics.body);
    }
}

#[tokio::test]
async fn a_signed_hook_pokes_the_applications_of_its_repository() {
    let world = world(Secrets { hook: true, token: true }).await;
    let body = br#"{"repository": {"full_name": "acme/shop"}}"#;
    let (plain, prefixed) = (signature(body), format!("sha256={}", signature(body)));
    let answer = world.hook("github", &[("X-Hub-Signature-256", &prefixed)], body).await;
    assert_eq!((answer.status, answer.json()["applications"].clone(), world.looked()), (202, json!(["shop"]), vec!["shop".to_owned()]));
    assert_eq!(world.hook("gitea", &[("X-Gitea-Signature", &plain)], body).await.status, 202);
    assert_eq!(world.looked(), ["shop"]);
    let project = br#"{"project": {"path_with_namespace": "acme/shop"}}"#;
    assert_eq!(world.hook("gitlab", &[("X-Gitlab-Token", SECRET)], project).await.status, 202);
    assert_eq!(world.looked(), ["shop"]);
    assert_eq!(world.hook("generic", &[("X-Hub-Signature-256", &prefixed)], body).await.status, 202);
    assert_eq!(world.looked(), ["other", "shop"]);
    assert_eq!(*world.called.lock().unwrap(), []);
    let pull = br#"{"action": "opened", "number": 7, "pull_request": {"id": 1}, "repository": {"full_name": "acme/shop"}}"#;
    let signed = format!("sha256={}", signature(pull));
    assert_eq!(world.hook("github", &[("X-Hub-Signature-256", &signed)], pull).await.status, 202);
    assert_eq!((world.looked(), world.called.lock().unwrap().clone()), (vec!["shop".to_owned()], vec![("shop".to_owned(), 7)]));
    // A repository that is fetched from somewhere else is known by what its forge calls it.
    let mirrored = br#"{"repository": {"full_name": "acme/mirrored"}}"#;
    assert_eq!(world.hook("gitea", &[("X-Gitea-Signature", &signature(mirrored))], mirrored).await.status, 202);
    assert_eq!(world.looked(), ["other"]);
    let elsewhere = br#"{"repository": {"full_name": "acme/else"}}"#;
    let signed = format!("sha256={}", signature(elsewhere));
    assert_eq!(world.hook("github", &[("X-Hub-Signature-256", &signed)], elsewhere).await.status, 202);
    assert_eq!(world.looked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_hook_that_is_not_signed_well_does_nothing() {
    let world = world(Secrets { hook: true, ..Secrets::default() }).await;
    let body = br#"{"repository": {"full_name": "acme/shop"}}"#;
    let (plain, prefixed) = (signature(body), format!("sha256={}", signature(body)));
    for (forge, headers, sent, status) in [
        ("github", vec![], body.as_slice(), 401),
        ("github", vec![("X-Hub-Signature-256", plain.as_str())], body, 401),
        ("github", vec![("X-Hub-Signature-256", prefixed.as_str())], b"{}", 401),
        ("gitea", vec![("X-Gitea-Signature", "")], body, 401),
        ("gitlab", vec![("X-Gitlab-Token", "wrong")], body, 401),
        ("gitlab", vec![("X-Gitlab-Token", SECRET)], b"not JSON", 400),
        ("generic", vec![("X-Gitlab-Token", SECRET)], body, 401),
        ("cvs", vec![("X-Hub-Signature-256", prefixed.as_str())], body, 404),
    ] {
        assert_eq!(world.hook(forge, &headers, sent).await.status, status, "{forge} {headers:?}");
    }
    let long = vec![b' '; hook::LONGEST + 1];
    let head = format!("POST /hooks/github HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", long.len());
    assert_eq!(refused_early(world.address, &head, &long).await, 413);
    assert_eq!(world.send("GET", "/hooks/github", &[("Host", "x")], b"").await.status, 405);
    assert_eq!(world.looked(), Vec::<String>::new());
}

/// Sends a body in pieces and reads the answer meanwhile: the server need not take all of it.
async fn refused_early(address: SocketAddr, head: &str, body: &[u8]) -> u16 {
    let (mut reading, mut writing) = TcpStream::connect(address).await.unwrap().into_split();
    let bytes = [head.as_bytes(), body].concat();
    let sending = tokio::spawn(async move {
        let _ = writing.write_all(&bytes).await;
        writing
    });
    let mut answer = [0; 64];
    let count = reading.read(&mut answer).await.unwrap();
    drop(sending.await);
    String::from_utf8_lossy(&answer[..count]).split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn without_a_secret_there_are_no_hooks() {
    let world = world(Secrets::default()).await;
    let answer = world.hook("generic", &[("X-Hub-Signature-256", &format!("sha256={}", signature(b"")))], b"").await;
    assert!(answer.status == 404 && answer.body.contains("--hook-secret-file"), "{answer:?}");
    assert_eq!(world.looked(), Vec::<String>::new());
}

#[tokio::test]
async fn an_address_that_is_taken_is_an_error_with_a_way_out() {
    let world = world(Secrets::default()).await;
    let options = Options { address: world.address, hook_secret_file: None, api_token_file: None };
    let error = Server::bind(&options).await.unwrap_err();
    assert_eq!(error.to_string(), format!("failed to listen on {} for HTTP", world.address));
    assert!(error.hint().is_some_and(|hint| hint.contains("--http none")));
    let address = world.address;
    drop(world.server);
    // The address is free again once the server's task has gone.
    while Server::bind(&Options { address, ..options.clone() }).await.is_err() {
        tokio::task::yield_now().await;
    }
}
