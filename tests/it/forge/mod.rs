//! Answers to pull requests, given to a forge that is played here: real HTTP, real Git, the real planner.

mod agent;
mod world;

use driftless::config::ForgeKind;
use driftless::forge::Client;
use driftless::git::Location;
use driftless::name::Name;
use serde_json::json;

use crate::remote::server::Server;
use world::{FakeForge, TOKEN, World, git};

const WEB: &str = "apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: web, image: example/web:1, readinessProbe: { tcpSocket: { port: 80 } }, resources: { limits: { memory: 64Mi } } }] }
";

#[tokio::test]
async fn a_pull_request_has_one_comment_that_is_edited_and_a_status() {
    for (kind, api, scheme) in [(ForgeKind::GitHub, "/api/v3", "Bearer"), (ForgeKind::Gitea, "/api/v1", "token")] {
        let forge = FakeForge::start().await;
        let mut world = World::new(kind, forge.address, &[("deploy/web.yaml", WEB)]);
        // One repository is on this host, the other behind a server.
        let server = Server::start(world.folder.path());
        if kind == ForgeKind::Gitea {
            world.application.location = Location::parse(&server.url("forge.git")).expect("a URL");
        }
        world.shows(&"a".repeat(40), json!({}));
        // What happens on `main` meanwhile is no part of the request.
        git(&world.path("work"), &["checkout", "-q", "-b", "change"]);
        git(&world.path("work"), &["checkout", "-q", "main"]);
        world.commit(&[("deploy/other.yaml", &WEB.replace("web", "other"))]);
        world.push("main");
        git(&world.path("work"), &["checkout", "-q", "change"]);
        let first = world.commit(&[("deploy/web.yaml", &WEB.replace("web:1", "web:2"))]);
        world.push("refs/pull/7/head");
        // What others say is not ours, even if it looks like it.
        forge.with(|known| {
            known.comments.extend([
                (901, 7, "nice".to_owned()),
                (902, 7, "<!-- driftless shop 0 -->".to_owned()),
                (903, 7, "+1".to_owned()),
            ])
        });
        forge.pull(7, &first, "acme/shop");
        let answering = world.answer();
        assert_eq!(
            forge.status(&first, "success").await,
            "box: shop: 1 object changes, 1 recreated; no interruption; 1 object drifts already"
        );
        let ours = |known: &mut world::Known| known.comments.iter().filter(|(id, _, _)| *id < 900).cloned().collect::<Vec<_>>();
        let comments = forge.with(ours);
        let [(id, 7, body)] = comments.as_slice() else { panic!("one comment: {comments:?}") };
        assert!(body.starts_with("<!-- driftless shop ") && body.len() < 65_536, "{body}");
        assert!(body.contains("`example/web:1` | `example/web:2`"), "{body}");
        assert!(body.contains("**On `box` now**") && body.contains("`shop/Deployment/web/x7k2p` | stopped"), "{body}");
        // A push is answered in the same comment; what has errors is refused.
        let second = world.commit(&[("deploy/web.yaml", &WEB.replace("image:", "imgae:"))]);
        world.push("refs/pull/7/head");
        forge.pull(7, &second, "acme/shop");
        assert_eq!(forge.status(&second, "failure").await, "box: 1 application refused; 1 error; 1 object drifts already");
        let comments = forge.with(ours);
        assert_eq!((comments.len(), comments[0].0), (1, *id));
        let folder = if kind == ForgeKind::GitHub { "blob" } else { "src/commit" };
        let link = format!("(http://{}/acme/shop/{folder}/{second}/deploy/web.yaml#L", forge.address);
        assert!(comments[0].2.contains(&link), "{}", comments[0].2);
        // Another agent of the same installation finds its comment; one that somebody removed is made anew.
        drop(answering);
        let _answering = world.answer();
        let third = world.commit(&[("deploy/web.yaml", &WEB.replace("replicas: 2", "replicas: 3"))]);
        world.push("refs/pull/7/head");
        forge.pull(7, &third, "acme/shop");
        forge.status(&third, "success").await;
        assert_eq!(forge.with(ours).len(), 1);
        forge.with(|known| known.comments.retain(|(id, _, _)| *id >= 900));
        let fourth = world.commit(&[("deploy/web.yaml", &WEB.replace("replicas: 2", "replicas: 4"))]);
        world.push("refs/pull/7/head");
        forge.pull(7, &fourth, "acme/shop");
        forge.status(&fourth, "success").await;
        assert_eq!(forge.with(ours).len(), 1);
        // What no longer touches the application says so.
        let fifth = world.commit(&[("deploy/web.yaml", WEB), ("README.md", "words")]);
        world.push("refs/pull/7/head");
        forge.pull(7, &fifth, "acme/shop");
        assert_eq!(forge.status(&fifth, "success").await, "box: not touched by this request");
        assert!(forge.with(ours)[0].2.contains("no longer touches application `shop`"));
        forge.with(|known| {
            assert!(known.calls.iter().all(|call| call.contains(&format!(" {api}/repos/acme/shop/"))), "{:?}", known.calls);
            assert!(known.tokens.iter().all(|token| *token == format!("{scheme} {TOKEN}")));
            assert!(!format!("{:?}{:?}", known.comments, known.statuses).contains(TOKEN));
        });
    }
}

#[tokio::test]
async fn a_hook_calls_for_an_answer_without_polling() {
    let forge = FakeForge::start().await;
    let mut world = World::new(ForgeKind::Gitea, forge.address, &[("deploy/web.yaml", WEB)]);
    world.application.interval = std::time::Duration::ZERO;
    let head = world.commit(&[("deploy/web.yaml", &WEB.replace("web:1", "web:2"))]);
    world.push("refs/pull/1/head");
    forge.pull(1, &head, "acme/shop");
    let answering = world.answer();
    let call = answering.call();
    call(&Name::try_from("other").expect("a name"), 1);
    call(&Name::try_from("shop").expect("a name"), 1);
    forge.status(&head, "success").await;
    forge.with(|known| assert!(!known.calls.iter().any(|call| call.ends_with("/pulls")), "{:?}", known.calls));
}

#[tokio::test]
async fn after_the_merge_the_status_says_what_became_of_it() {
    let forge = FakeForge::start().await;
    let world = World::new(ForgeKind::GitHub, forge.address, &[("deploy/web.yaml", WEB)]);
    let _answering = world.answer();
    let commit = |digit: &str| digit.repeat(40);
    let [one, two, three, four] = ["1", "2", "3", "4"].map(commit);
    world.shows(&one, json!({"health": "Progressing", "message": "web: 1 of 2 replicas serve"}));
    assert_eq!(forge.status(&one, "pending").await, "box: web: 1 of 2 replicas serve");
    world.shows(&one, json!({}));
    assert_eq!(forge.status(&one, "success").await, "box: Synced and Healthy");
    // What goes wrong later is no matter of the commit.
    world.shows(&one, json!({"health": "Degraded", "message": "web: ends again and again"}));
    world.shows(&two, json!({"revision": one, "sync": "OutOfSync"}));
    forge.status(&two, "pending").await;
    world
        .shows(&two, json!({"revision": one, "sync": "OutOfSync", "rolledBack": true, "message": "rolled back: web: no progress for 10s"}));
    assert_eq!(forge.status(&two, "failure").await, "box: rolled back: web: no progress for 10s");
    // One that is rolled over shares the fate of what rolled over it.
    world.shows(&three, json!({"revision": one, "sync": "OutOfSync"}));
    forge.status(&three, "pending").await;
    world.shows(&four, json!({}));
    forge.status(&four, "success").await;
    assert_eq!(forge.status(&three, "success").await, "box: rolled over by 4444444: box: Synced and Healthy");
    world.shows(&three, json!({"refused": true, "message": "refused: 1 error in the manifests"}));
    forge.with(|known| {
        let of_one: Vec<&str> = known.statuses.iter().filter(|(commit, _, _)| *commit == one).map(|(_, state, _)| state.as_str()).collect();
        assert_eq!(of_one, ["pending", "success"]);
    });
}

#[tokio::test]
async fn a_forge_that_is_away_is_caught_up_with() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let world = World::new(ForgeKind::Gitea, gone, &[("deploy/web.yaml", WEB)]);
    let _answering = world.answer();
    let head = world.commit(&[("deploy/web.yaml", &WEB.replace("web:1", "web:2"))]);
    world.push("refs/pull/3/head");
    let (one, two) = ("1".repeat(40), "2".repeat(40));
    world.shows(&one, json!({"health": "Progressing"}));
    world.shows(&one, json!({}));
    world.shows(&two, json!({"health": "Progressing"}));
    let forge = FakeForge::at(gone).await;
    forge.with(|known| known.broken = Some(502));
    forge.pull(3, &head, "acme/shop");
    forge.until("a call", |known| (known.calls.len() >= 2).then_some(())).await;
    forge.with(|known| known.broken = None);
    forge.status(&two, "pending").await;
    forge.status(&head, "success").await;
    forge.with(|known| {
        assert_eq!(known.comments.len(), 1);
        assert!(known.statuses.iter().all(|(commit, _, _)| *commit != one), "nobody needs what is past: {:?}", known.statuses);
    });
}

#[tokio::test]
async fn a_request_from_a_fork_sees_no_variables_and_nothing_of_the_host() {
    const COMPOSE: &str = "services:\n  web:\n    image: example/web:1\n    environment: { GREETING: \"${WORD:-nobody}\" }\n";
    let forge = FakeForge::start().await;
    let mut world = World::new(ForgeKind::Gitea, forge.address, &[("deploy/compose.yaml", COMPOSE)]);
    world.application.settings.compose.variables = [("WORD".to_owned(), "a-granted-word".to_owned())].into();
    world.shows(&"a".repeat(40), json!({}));
    let change = COMPOSE.replace("web:1", "web:2").replace("    environment", "    hostname: \"x-${WORD:-nobody}\"\n    environment");
    let head = world.commit(&[("deploy/compose.yaml", &change)]);
    world.push("refs/pull/1/head");
    world.push("refs/pull/2/head");
    forge.pull(1, &head, "acme/shop");
    forge.pull(2, &head, "mallory/shop");
    let _answering = world.answer();
    let body = async |number: u64| {
        forge.until("a comment", |known| known.comments.iter().find(|(_, of, _)| *of == number).map(|(_, _, body)| body.clone())).await
    };
    let (own, fork) = (body(1).await, body(2).await);
    assert!(own.contains("x-a-granted-word") && own.contains("drifts already") && !own.contains("another repository"), "{own}");
    assert!(fork.contains("x-nobody") && fork.contains("it is planned without variables and secrets"), "{fork}");
    assert!(!fork.contains("granted") && !fork.contains("drifts already") && !fork.contains("x7k2p"), "{fork}");
    assert!(!fork.contains("GREETING"), "what only it may not see is no change: {fork}");
}

/// Whoever may write to the repository is warned; whoever may not is refused, whatever the Application says.
#[tokio::test]
async fn a_request_from_a_fork_may_not_take_over_the_host() {
    const COMPOSE: &str = "services:\n  web:\n    image: example/web:1\n";
    let forge = FakeForge::start().await;
    let world = World::new(ForgeKind::Gitea, forge.address, &[("deploy/compose.yaml", COMPOSE)]);
    let own = world.commit(&[("deploy/compose.yaml", &format!("{COMPOSE}    privileged: true\n"))]);
    world.push("refs/pull/1/head");
    let other = world.commit(&[("deploy/compose.yaml", &format!("{COMPOSE}    privileged: true # please\n"))]);
    world.push("refs/pull/2/head");
    forge.pull(1, &own, "acme/shop");
    forge.pull(2, &other, "mallory/shop");
    let _answering = world.answer();
    forge.status(&own, "success").await;
    forge.status(&other, "failure").await;
    forge.with(|known| {
        let body =
            |number: u64| known.comments.iter().find(|(_, of, _)| *of == number).map(|(_, _, body)| body.clone()).unwrap_or_default();
        assert!(body(1).contains("**warning** service `web` is privileged"), "{}", body(1));
        assert!(body(2).contains("**error** service `web` is privileged"), "{}", body(2));
    });
}

#[tokio::test]
async fn what_a_forge_refuses_is_told_without_the_token() {
    let forge = FakeForge::start().await;
    let world = World::new(ForgeKind::GitHub, forge.address, &[("deploy/web.yaml", WEB)]);
    let settings = world.application.forge.clone().expect("it has one");
    let client = Client::new(&settings).expect("HTTPS can be spoken");
    let mut seen = Vec::new();
    for status in [401, 403, 500] {
        forge.with(|known| known.broken = Some(status));
        let error = client.pull(7).await.expect_err("it is refused");
        seen.push(format!("{error}|{}|{:?}", error.hint().unwrap_or_default(), error.class()));
        assert!(!format!("{error:?}").contains(TOKEN));
    }
    let address = format!("http://{}", forge.address);
    assert_eq!(
        seen.join("\n").replace(&address, "FORGE"),
        "failed to read pull request 7 at FORGE: it answers 401 Bad credentials|the token of `forge.tokenFile` is wrong or has expired|User\n\
         failed to read pull request 7 at FORGE: it answers 403 Bad credentials|the token of `forge.tokenFile` may not do that: it needs pull \
         requests, issues and commit statuses, or the forge's limit is reached|User\n\
         failed to read pull request 7 at FORGE: it answers 500 Bad credentials||Waiting"
    );
    std::fs::write(&settings.token_file, "two\nlines").expect("a file");
    assert!(client.pull(7).await.expect_err("no token").to_string().ends_with("it has characters that no token has"));
    std::fs::remove_file(&settings.token_file).expect("it is there");
    assert!(client.pull(7).await.expect_err("no token").to_string().starts_with("failed to read the forge's token from "));
}
