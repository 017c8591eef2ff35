//! The agent itself, from a hook to the status of what was merged, with a real engine.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};

use driftless::config::ForgeKind;
use driftless::hash::Key;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::world::{FakeForge, World};
use crate::engine::{Bench, IMAGE, docker_or_skip};

const SECRET: &[u8; 32] = b"a hook's secret of 32 characters";

/// A running agent; it and its data path end with it.
struct Agent {
    process: Child,
    address: SocketAddr,
    environment: Vec<(&'static str, String)>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = self.command(&["serve", "--stop"]).stdout(Stdio::null()).status();
        let owner = self.environment.iter().find(|(name, _)| *name == "DRIFTLESS_OWNER").map(|(_, owner)| owner.clone());
        let _ = std::fs::remove_dir_all(std::path::Path::new("/run/driftless").join(owner.expect("it has one")));
    }
}

impl Agent {
    fn start(world: &World, bench: &Bench) -> Agent {
        let free = || TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
        let dns = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
        let address = free();
        std::fs::write(world.path("hook"), SECRET).expect("a file");
        let forge = world.application.forge.as_ref().expect("it has one");
        let document = json!({"apiVersion": "driftless.dev/v1", "kind": "Application", "metadata": {"name": "shop"}, "spec": {
            "repo": world.path("forge.git"), "path": "deploy", "interval": "0s",
            "forge": {"kind": "gitea", "url": forge.url, "repository": forge.repository, "tokenFile": "token"}}});
        std::fs::write(world.path("shop.yaml"), document.to_string()).expect("a file");
        let environment = vec![
            ("DRIFTLESS_STATE", world.path("agent").display().to_string()),
            ("DRIFTLESS_OWNER", bench.installation.owner.to_string()),
            ("DRIFTLESS_NETWORK_POOL", bench.installation.layout.network.to_string()),
            ("DRIFTLESS_HTTP", address.to_string()),
            ("DRIFTLESS_DNS", dns.to_string()),
            ("DRIFTLESS_HOST", "box".to_owned()),
            ("DRIFTLESS_HOOK_SECRET_FILE", world.path("hook").display().to_string()),
        ];
        let log = std::fs::File::create(world.path("log")).expect("a file");
        let mut agent = Agent { process: Command::new("true").spawn().expect("it runs"), address, environment };
        let config = world.path("shop.yaml").display().to_string();
        let _ = agent.process.wait();
        agent.process = agent.command(&["agent", "--config", &config]).stdout(Stdio::null()).stderr(log).spawn().expect("it starts");
        agent
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_driftless"));
        command.args(arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Calls the hook of pull requests, as Gitea does.
    async fn hook(&self, number: u64) {
        let body = json!({"action": "opened", "number": number, "pull_request": {}, "repository": {"full_name": "acme/shop"}});
        let body = body.to_string();
        let head = format!(
            "POST /hooks/gitea HTTP/1.1\r\nHost: localhost\r\nX-Gitea-Signature: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            Key::new(*SECRET).digest(body.as_bytes()),
            body.len()
        );
        let mut stream = TcpStream::connect(self.address).await.expect("the agent answers HTTP");
        stream.write_all(head.as_bytes()).await.expect("it listens");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 202") && answer.contains("shop"), "{answer}");
    }
}

fn manifest(command: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: web }}\nspec:\n  selector: {{ matchLabels: {{ app: web }} }}\n  template:\n    \
         metadata: {{ labels: {{ app: web }} }}\n    spec:\n      terminationGracePeriodSeconds: 0\n      containers:\n        \
         - {{ name: web, image: \"{IMAGE}\", imagePullPolicy: Never, command: {command} }}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_answers_a_request_and_says_what_became_of_the_merge() {
    let Some(bench) = docker_or_skip().await else { return };
    let forge = FakeForge::start().await;
    let world = World::new(ForgeKind::Gitea, forge.address, &[("deploy/web.yaml", &manifest("[sleep, \"100000\"]"))]);
    // Its repository is known to hooks by the last parts of its path.
    let agent = Agent::start(&world, &bench);
    let first = super::world::git(&world.path("work"), &["rev-parse", "HEAD"]);
    forge.status(&first, "success").await;
    // A request, answered by a hook alone.
    let good = world.commit(&[("deploy/web.yaml", &manifest("[sleep, \"200000\"]"))]);
    world.push("refs/pull/4/head");
    forge.pull(4, &good, "acme/shop");
    agent.hook(4).await;
    let description = forge.status(&good, "success").await;
    assert!(description.starts_with("box: shop: 1 object changes, 1 recreated"), "{description}");
    let comments = forge.with(|known| known.comments.clone());
    let [(_, 4, body)] = comments.as_slice() else { panic!("one comment: {comments:?}") };
    assert!(body.contains("sleep 200000") || body.contains("200000"), "{body}");
    assert!(body.contains("**On `box` now**"), "{body}");
    // Merged as it is: the same commit is pending while it rolls.
    world.push("main");
    forge.status(&good, "pending").await;
    assert_eq!(forge.status(&good, "success").await, "box: Synced and Healthy");
    let bad = world.commit(&[("deploy/web.yaml", &manifest("[\"false\"]"))]);
    world.push("main");
    let reason = forge.status(&bad, "failure").await;
    assert!(reason.contains("ended") || reason.contains("rolled back"), "{reason}");
    let of_bad = |known: &mut super::world::Known| {
        let of = known.statuses.iter().filter(|(commit, _, _)| *commit == bad);
        of.clone()
            .any(|(_, _, text)| text.starts_with("box: rolled back: web: "))
            .then(|| of.map(|(_, state, _)| state.clone()).collect::<Vec<_>>())
    };
    let states = forge.until("a rollback", of_bad).await;
    assert!(states.iter().all(|state| state != "success") && states[0] == "pending", "{states:?}");
}
