//! An engine that is too old, or goes away in the middle: played by a few lines on a socket.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;

use driftless::desired::{Desired, Installation, Layout, Settings};
use driftless::docker::{Docker, Error};
use driftless::hash::Key;
use driftless::host::{Class, Step};
use driftless::name::{Kind, Name, ObjectId};

fn installation() -> Installation {
    let layout = Layout::new("10.64.0.0/16".parse().expect("a network")).expect("a /16");
    Installation { owner: Name::try_from("test").expect("a name"), domain: "cluster.local".into(), layout, key: Key::new([7; 32]) }
}

/// Answers so many requests, one per connection, and goes away.
fn engine(socket: &Path, api: &'static str, answers: usize) {
    let listener = UnixListener::bind(socket).expect("a socket");
    std::thread::spawn(move || {
        let mut left = answers;
        while left > 0 {
            let Ok((mut connection, _)) = listener.accept() else { return };
            let mut request = [0; 4096];
            // The first connection only asks whether the socket may be opened.
            if connection.read(&mut request).unwrap_or(0) == 0 {
                continue;
            }
            let body = format!(r#"{{"ApiVersion":"{api}","Name":"host"}}"#);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = connection.write_all(format!("{head}{body}").as_bytes());
            left -= 1;
        }
    });
}

#[tokio::test]
async fn an_engine_that_is_too_old_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("docker.sock");
    engine(&socket, "1.40", 1);
    let url = format!("unix://{}", socket.display());
    match Docker::connect(Some(&url), &installation()).await {
        Err(error @ Error::TooOld { .. }) => {
            assert_eq!(error.class(), Class::User);
            assert!(error.to_string().contains("it speaks API 1.40"), "{error}");
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it is too old"),
    }
}

#[tokio::test]
async fn an_engine_that_goes_away_in_the_middle_is_the_hosts() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("docker.sock");
    engine(&socket, "1.41", 2);
    let url = format!("unix://{}", socket.display());
    let docker = Docker::connect(Some(&url), &installation()).await.expect("it answers twice");
    let error = docker.read().await.expect_err("it went away");
    assert_eq!(error.class(), Class::Host, "{error}");
    let desired = Desired {
        application: Name::try_from("shop").expect("a name"),
        revision: "r1".into(),
        installation: installation(),
        settings: Settings::default(),
        workloads: BTreeMap::new(),
        services: BTreeMap::new(),
        networks: BTreeMap::new(),
        volumes: BTreeMap::new(),
        contents: BTreeMap::new(),
        logins: BTreeMap::new(),
        fronts: BTreeMap::new(),
        findings: Vec::new(),
    };
    let object = ObjectId::new(Name::try_from("shop").expect("a name"), Kind::Deployment, Name::try_from("web").expect("a name"));
    let replica = object.with_replica(Name::try_from("a").expect("a name"));
    let step = Step::Leave { replica, container: "0123456789ab".into() };
    let failure = docker.run(&step, &desired).await.expect_err("it went away");
    assert_eq!(failure.class, Class::Host);
    assert!(failure.message.starts_with("failed to inspect `0123456789ab`: "), "{}", failure.message);
}
