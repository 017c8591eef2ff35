//! A small forge on a loopback port, a repository behind it, and an agent that shows what the test says.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use driftless::agent::{Snapshot, Standing, View};
use driftless::config::{Application, Forge, ForgeKind};
use driftless::desired::{Installation, Layout};
use driftless::forge::{Answering, Options, start};
use driftless::git::Location;
use driftless::hash::Key;
use driftless::name::Name;
use driftless::store::Store;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub const TOKEN: &str = "a-token-that-nobody-may-see";

/// What a forge knows, and what it was asked.
#[derive(Debug, Default)]
pub struct Known {
    pub pulls: Vec<Value>,
    /// Id, request, text.
    pub comments: Vec<(u64, u64, String)>,
    /// Commit, state, description.
    pub statuses: Vec<(String, String, String)>,
    /// Method and path of each call.
    pub calls: Vec<String>,
    /// What each call showed as its token.
    pub tokens: Vec<String>,
    /// It answers nothing but this.
    pub broken: Option<u16>,
    next: u64,
}

/// A forge that answers as GitHub and Gitea do, as far as we ask.
pub struct FakeForge {
    pub known: Arc<Mutex<Known>>,
    pub address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Drop for FakeForge {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl FakeForge {
    pub async fn start() -> FakeForge {
        FakeForge::at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    pub async fn at(address: SocketAddr) -> FakeForge {
        let known = Arc::new(Mutex::new(Known::default()));
        let listener = tokio::net::TcpListener::bind(address).await.expect("an address");
        let address = listener.local_addr().expect("it has one");
        let router = Router::new().fallback(answer).with_state(known.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        FakeForge { known, address, serving }
    }

    pub fn with<T>(&self, look: impl FnOnce(&mut Known) -> T) -> T {
        look(&mut self.known.lock().expect("nobody panics with it"))
    }

    /// Opens a pull request, or says what its head is now.
    pub fn pull(&self, number: u64, head: &str, from: &str) {
        let side =
            |branch: &str, sha: &str, name: &str| json!({"ref": branch, "sha": sha, "repo": {"full_name": name, "default_branch": "main"}});
        let pull = json!({"number": number, "state": "open", "head": side("change", head, from), "base": side("main", "0", "acme/shop")});
        self.with(|known| {
            known.pulls.retain(|pull| pull["number"] != number);
            known.pulls.push(pull);
        });
    }

    /// Waits until something is so.
    pub async fn until<T>(&self, what: &str, mut look: impl FnMut(&mut Known) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = self.with(&mut look) {
                return found;
            }
            if began.elapsed() > Duration::from_secs(120) {
                panic!("{what} did not come: {:#?}", self.known.lock());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a commit has a status.
    pub async fn status(&self, commit: &str, state: &str) -> String {
        let wanted =
            |known: &mut Known| known.statuses.iter().rev().find(|(of, _, _)| of == commit).filter(|(_, is, _)| is == state).cloned();
        self.until(&format!("{state} of {commit}"), wanted).await.2
    }
}

async fn answer(State(known): State<Arc<Mutex<Known>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("a body");
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let path = parts.uri.path().to_owned();
    let mut known = known.lock().expect("nobody panics with it");
    known.calls.push(format!("{} {path}", parts.method));
    let token = parts.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    known.tokens.push(token);
    let refuse = |status: u16, message: &str| {
        (StatusCode::from_u16(status).expect("a status"), json!({ "message": message }).to_string()).into_response()
    };
    // Two to a page, whatever is asked for.
    let query = parts.uri.query().unwrap_or_default();
    let page: usize = query.split('&').find_map(|pair| pair.strip_prefix("page=")).and_then(|page| page.parse().ok()).unwrap_or(1);
    let paged = |all: Vec<Value>| json!(all.into_iter().skip((page - 1) * 2).take(2).collect::<Vec<_>>());
    if let Some(status) = known.broken {
        return refuse(status, "Bad credentials");
    }
    let Some((_, path)) = path.split_once("/repos/acme/shop/") else { return refuse(404, "Not Found") };
    let segments: Vec<&str> = path.split('/').collect();
    let number = |text: &str| text.parse::<u64>().unwrap_or_default();
    let value = match (parts.method.as_str(), segments.as_slice()) {
        ("GET", ["pulls"]) => paged(known.pulls.clone()),
        ("GET", ["pulls", id]) => match known.pulls.iter().find(|pull| pull["number"] == number(id)) {
            Some(pull) => pull.clone(),
            None => return refuse(404, "Not Found"),
        },
        ("GET", ["issues", id, "comments"]) => {
            let mine = known.comments.iter().filter(|(_, of, _)| *of == number(id));
            paged(mine.map(|(id, _, body)| json!({"id": id, "body": body})).collect())
        }
        ("POST", ["issues", id, "comments"]) => {
            known.next += 1;
            let comment = (known.next, number(id), body["body"].as_str().unwrap_or_default().to_owned());
            known.comments.push(comment);
            json!({"id": known.next, "body": body["body"]})
        }
        ("PATCH", ["issues", "comments", id]) => match known.comments.iter_mut().find(|(of, _, _)| *of == number(id)) {
            Some(comment) => {
                comment.2 = body["body"].as_str().unwrap_or_default().to_owned();
                json!({"id": comment.0, "body": comment.2})
            }
            None => return refuse(404, "Not Found"),
        },
        ("POST", ["statuses", commit]) => {
            let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
            assert_eq!(text("context"), "driftless/shop");
            assert!(text("description").chars().count() <= 140, "{body}");
            known.statuses.push(((*commit).to_owned(), text("state"), text("description")));
            json!({})
        }
        _ => return refuse(404, "Not Found"),
    };
    value.to_string().into_response()
}

/// A repository, an application of it, and what its agent shows.
pub struct World {
    pub folder: tempfile::TempDir,
    pub snapshot: watch::Sender<Arc<Snapshot>>,
    pub application: Application,
    view: View,
}

impl World {
    /// Makes a repository with one commit on `main`.
    pub fn new(kind: ForgeKind, address: SocketAddr, files: &[(&str, &str)]) -> World {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("token"), format!("{TOKEN}\n")).expect("a file");
        let location = Location::parse(&folder.path().join("forge.git").display().to_string()).expect("a path");
        let mut application = Application::new("shop", location).expect("a name");
        application.path = "deploy".to_owned();
        application.interval = Duration::from_millis(200);
        application.forge = Some(Forge {
            kind,
            url: format!("http://{address}"),
            repository: "acme/shop".to_owned(),
            token_file: folder.path().join("token"),
        });
        let (snapshot, receiver) = watch::channel(Arc::default());
        let view = View { snapshot: receiver, store: Store::in_memory().expect("memory"), metrics: Arc::default(), look: Arc::new(|_| {}) };
        let world = World { folder, snapshot, application, view };
        std::fs::create_dir(world.path("work")).expect("a folder");
        git(&world.folder.path().join("work"), &["init", "-q", "-b", "main"]);
        git(world.folder.path(), &["init", "-q", "--bare", "-b", "main", "forge.git"]);
        world.commit(files);
        world.push("main");
        world
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Commits files; returns the commit.
    pub fn commit(&self, files: &[(&str, &str)]) -> String {
        for (path, text) in files {
            let path = self.path("work").join(path);
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        }
        git(&self.path("work"), &["add", "-A"]);
        git(&self.path("work"), &["commit", "-q", "-m", "a change"]);
        git(&self.path("work"), &["rev-parse", "HEAD"])
    }

    /// Pushes what is checked out as a ref of the forge.
    pub fn push(&self, reference: &str) {
        let reference = if reference.starts_with("refs/") { reference.to_owned() } else { format!("refs/heads/{reference}") };
        git(&self.path("work"), &["push", "-q", "-f", "../forge.git", &format!("HEAD:{reference}")]);
    }

    /// Shows how the application stands.
    pub fn shows(&self, head: &str, change: Value) {
        let mut status = json!({"name": "shop", "revision": head, "head": head, "sync": "Synced", "health": "Healthy", "message": "",
            "rolledBack": false, "refused": false, "plan": "", "workloads": [], "held": [], "findings": [], "drift": 0});
        for (key, value) in change.as_object().expect("an object") {
            status[key] = value.clone();
        }
        let drift = json!([{"object": "shop/Deployment/web/x7k2p", "kind": "Deployment", "what": "stopped", "fields": [], "since": null, "healed": true}]);
        let plan = json!({"host": "box", "rounds": null, "refused": false, "rolledBack": null, "plan": {"application": "shop", "revision": head,
            "id": "1", "changes": [], "steps": [], "held": [], "deferred": [], "drift": drift, "findings": [], "workloads": [], "failed": null}});
        let standing = Standing {
            status: serde_json::from_value(status).expect("a status"),
            plan: Some(serde_json::from_value(plan).expect("a plan")),
            repository: String::new(),
            forge: None,
        };
        let name = Name::try_from("shop").expect("a name");
        let snapshot =
            Snapshot { host: "box".to_owned(), looked: true, applications: [(name, Arc::new(standing))].into(), ..Snapshot::default() };
        self.snapshot.send_replace(Arc::new(snapshot));
    }

    /// Begins to answer.
    pub fn answer(&self) -> Answering {
        let layout = Layout::new("10.64.0.0/16".parse().expect("a network")).expect("a /16");
        let owner = Name::try_from("tests").expect("a name");
        let options = Options {
            state: self.path("state"),
            installation: Installation { owner, domain: "cluster.local".to_owned(), layout, key: Key::new([7; 32]) },
            configured: watch::channel(Ok(vec![self.application.clone()])).1,
            hooks: false,
        };
        start(options, &self.view)
    }
}

pub fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"]).args(arguments);
    command.current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    let output = command.output().expect("git can be run");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
}
