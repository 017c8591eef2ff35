//! https and http: tokens, passwords, netrc, certificates.

use driftless::git::Auth;
use driftless::host::Class;

use super::server::{Server, World};
use super::{servers_or_skip, source, told};

/// A secret that must not be seen anywhere.
const CANARY: &str = "canary-5f1d";

#[tokio::test]
async fn a_token_is_read_at_each_fetch_and_never_told() {
    let world = World::new();
    let server = Server::start(&world.served());
    server.ask("x-access-token", CANARY);
    let token = world.file("token", "an-old-one\n");
    let url = server.url("shop.git");
    let auth = Auth { token_file: Some(token.clone()), ..Auth::default() };
    let source = source(&world, &url, auth);

    let error = source.fetch("main").await.unwrap_err();
    assert_eq!(error.class(), Class::User);
    assert!(server.asked() <= 3, "a credential that was refused is not tried again and again");
    let replaced = [(url.as_str(), "URL"), (token.to_str().unwrap(), "TOKEN")];
    let mut texts = vec![told("refused", &error, &replaced)];

    // The file is rotated: no restart is needed.
    world.file("token", &format!("{CANARY}\n"));
    let head = world.git("work", &["rev-parse", "HEAD"]);
    assert_eq!(source.fetch("main").await.unwrap().id, head);

    world.file("token", "\n");
    texts.push(told("an empty file", &source.fetch("main").await.unwrap_err(), &replaced));
    std::fs::remove_file(&token).unwrap();
    texts.push(told("no file", &source.fetch("main").await.unwrap_err(), &replaced));
    insta::assert_snapshot!("tokens", texts.join("\n"));

    // Nothing of it is in what is kept, or can be printed.
    world.file("token", &format!("{CANARY}x\n"));
    let error = source.fetch("main").await.unwrap_err();
    assert!(!format!("{error:?} {}", told("", &error, &[])).contains(CANARY));
    assert!(!format!("{source:?}").contains(CANARY));
    let found = std::process::Command::new("grep").args(["-r", CANARY]).arg(world.path("state")).output().unwrap();
    assert!(found.stdout.is_empty(), "{}", String::from_utf8_lossy(&found.stdout));
}

#[tokio::test]
async fn a_user_and_password_are_shown() {
    let world = World::new();
    let server = Server::start(&world.served());
    server.ask("deployer", CANARY);
    let auth = Auth {
        username_file: Some(world.file("user", "deployer\n")),
        password_file: Some(world.file("password", CANARY)),
        ..Auth::default()
    };
    let source = source(&world, &server.url("shop.git"), auth);
    let first = source.fetch("main").await.unwrap().id;
    let second = world.commit("app.yaml", "two");
    assert_ne!(first, second);
    assert_eq!(source.fetch("main").await.unwrap().id, second);
    assert_eq!(source.tree(&second, ".").await.unwrap().files.len(), 1);
}

#[tokio::test]
async fn many_refs_are_one_question() {
    let world = World::new();
    let first = world.git("work", &["rev-parse", "HEAD"]);
    world.git("work", &["tag", "--annotate", "v1", "--message", "first"]);
    world.git("work", &["push", "--quiet", "origin", "v1"]);
    let second = world.commit("app.yaml", "two");
    let server = Server::start(&world.served());
    let source = source(&world, &server.url("shop.git"), Auth::default());
    let references = ["main", "v1", "", "nothing"].map(str::to_owned);
    let found = source.fetch_all(references.into()).await.unwrap();
    assert_eq!(server.asked(), 1);
    assert_eq!((&found["main"].as_ref().unwrap().id, &found[""].as_ref().unwrap().id), (&second, &second));
    assert_eq!(found["v1"].as_ref().unwrap().id, first);
    assert_eq!(found["nothing"].as_ref().unwrap_err().class(), Class::User);
    assert_eq!(source.fetch(&first[..7]).await.unwrap().id, first);
}

#[tokio::test]
async fn a_server_that_asks_and_one_that_has_no_such_repository_are_told_apart() {
    let world = World::new();
    let server = Server::start(&world.served());
    let url = server.url("nothing.git");
    let error = source(&world, &url, Auth::default()).fetch("main").await.unwrap_err();
    let nothing = told("no such repository", &error, &[(&url, "URL")]);
    server.ask("deployer", CANARY);
    let url = server.url("shop.git");
    let error = source(&world, &url, Auth::default()).fetch("main").await.unwrap_err();
    insta::assert_snapshot!("asked", format!("{nothing}\n{}", told("credentials are asked for", &error, &[(&url, "URL")])));
}

#[tokio::test]
async fn a_certificate_must_verify() {
    if !servers_or_skip() {
        return;
    }
    let world = World::new();
    let (certificate, key) = (world.path("certificate.pem"), world.path("key.pem"));
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ])
        .args(["-addext", "subjectAltName=DNS:localhost", "-out"])
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key)
        .output()
        .expect("openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let server = Server::start_tls(&world.served(), &certificate, &key);
    server.ask("x-access-token", CANARY);
    let auth = Auth { token_file: Some(world.file("token", CANARY)), ..Auth::default() };
    let url = server.url("shop.git");
    let error = source(&world, &url, auth).fetch("main").await.unwrap_err();
    assert_eq!((error.class(), server.asked()), (Class::User, 0), "nothing was sent");
    insta::assert_snapshot!("certificate", told("a certificate that nobody signed", &error, &[(&url, "URL")]));

    // Who names the certificate is let in: the environment is read once, by a process of its own.
    let token = world.path("token");
    let check = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["remote::http::fetches_with_the_certificate_of_the_environment", "--exact", "--ignored", "--nocapture"])
        .env("SSL_CERT_FILE", &certificate)
        .env("DRIFTLESS_TEST_URL", &url)
        .env("DRIFTLESS_TEST_TOKEN", &token)
        .output()
        .unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
    assert!(server.asked() > 0);
}

#[tokio::test]
#[ignore = "run by another test, with its environment"]
async fn fetches_with_the_certificate_of_the_environment() {
    let (Ok(url), Ok(token)) = (std::env::var("DRIFTLESS_TEST_URL"), std::env::var("DRIFTLESS_TEST_TOKEN")) else { return };
    let world = World::new();
    let auth = Auth { token_file: Some(token.into()), ..Auth::default() };
    source(&world, &url, auth).fetch("main").await.unwrap();
}

#[tokio::test]
#[ignore = "run by another test, with its environment"]
async fn fetches_with_netrc() {
    let Ok(url) = std::env::var("DRIFTLESS_TEST_URL") else { return };
    let world = World::new();
    source(&world, &url, Auth::default()).fetch("main").await.unwrap();
}

#[tokio::test]
async fn netrc_is_looked_up_when_no_file_is_named() {
    let world = World::new();
    let server = Server::start(&world.served());
    server.ask("deployer", CANARY);
    let fetch = |netrc: &std::path::Path| {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["remote::http::fetches_with_netrc", "--exact", "--ignored"]).env("NETRC", netrc);
        command.env("DRIFTLESS_TEST_URL", server.url("shop.git")).output().unwrap()
    };
    let right = world.file("netrc", &format!("machine 127.0.0.1 login deployer password {CANARY}\n"));
    let done = fetch(&right);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    let wrong = fetch(&world.file("other", &format!("machine git.example login deployer password {CANARY}\n")));
    assert!(!wrong.status.success());
}
