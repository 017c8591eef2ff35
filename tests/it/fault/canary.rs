//! A secret value that is changed twice: it reaches its replica, and nothing else of what driftless says,
//! writes or names, but the mirror of the repository.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use super::manifest::deployment;
use super::world::{World, engine_or_skip};

/// What each value holds, and its beginning in base64.
const MARKS: [&str; 2] = ["canary-4711", "Y2FuYXJ5LTQ3MT"];

fn manifests(number: u32) -> String {
    let secret = format!("apiVersion: v1\nkind: Secret\nmetadata: {{ name: key }}\nstringData: {{ key: canary-4711-{number} }}\n---\n");
    let mounts = "env: [{ name: KEY, valueFrom: { secretKeyRef: { name: key, key: key } } }]\n          volumeMounts: [{ name: key, mountPath: /key }]";
    let volumes = "volumes: [{ name: key, secret: { secretName: key } }]";
    secret + &deployment("web", 1, r#"["httpd", "-f", "-p", "8080"]"#, mounts, volumes)
}

fn clean(what: &str, said: &[u8]) {
    for mark in MARKS {
        let found = said.windows(mark.len()).position(|window| window == mark.as_bytes());
        let near = found.map(|at| String::from_utf8_lossy(&said[at.saturating_sub(200)..(at + 40).min(said.len())]).into_owned());
        assert!(near.is_none(), "{what} holds the secret: {near:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_nowhere_but_where_it_belongs() {
    let Some(engine) = engine_or_skip().await else { return };
    tokio::task::spawn_blocking(move || {
        let mut world = World::new(&engine, &[]);
        for number in 1..=3 {
            world.commit("application.yaml", &manifests(number));
            if !world.is_running() {
                world.start();
                world.wait_for_log("HTTP is answered address=");
            }
            look(&world);
            let outcome = world.apply();
            let said = outcome.unwrap_or_else(|error| panic!("{error}\n{}", world.log()));
            clean("apply", said.as_bytes());
            look(&world);
            let env = world.objects("container", &["ls", "--quiet"]).iter().map(|it| it["Config"]["Env"].to_string()).collect::<String>();
            assert!(env.contains(&format!("canary-4711-{number}")), "it reaches its replica: {env}");
        }
        assert!(world.log().contains("Synced and Healthy"));
    })
    .await
    .expect("no assertion fails");
}

/// Looks at all that is said, written and named.
fn look(world: &World) {
    for command in ["plan", "status", "drift", "history"] {
        for format in ["text", "json", "markdown"] {
            let output = world.run(&[command, "-o", format]);
            clean(&format!("{command} -o {format}"), &[output.stdout, output.stderr].concat());
        }
    }
    let log = fs::read(world.path("agent.log")).expect("a log");
    clean("the log", &log);
    let log = String::from_utf8_lossy(&log).into_owned();
    let address = log.rsplit("HTTP is answered address=").next().and_then(|rest| rest.split_whitespace().next()).expect("it is logged");
    for path in ["/", "/metrics", "/api/v1/applications", "/api/v1/applications/fault/plan", "/api/v1/applications/fault/history"] {
        let mut stream = TcpStream::connect(address).expect("the agent");
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).expect("a request");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        assert!(answer.starts_with(b"HTTP/1.0 200") || answer.starts_with(b"HTTP/1.1 200"), "{path}: {}", String::from_utf8_lossy(&answer));
        clean(path, &answer);
    }
    for container in world.objects("container", &["ls", "--all", "--quiet"]) {
        clean("a container", format!("{} {} {}", container["Name"], container["Config"]["Labels"], container["Config"]["Cmd"]).as_bytes());
    }
    for kind in ["network", "volume"] {
        let objects: String = world.objects(kind, &["ls", "--quiet"]).iter().map(ToString::to_string).collect();
        clean(kind, objects.as_bytes());
    }
    files(&world.path("state"));
    files(&world.published());
}

/// Looks into all files of a folder but the mirrors, whose bytes are packed anyway.
fn files(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && entry.file_name() != "git" {
            files(&path);
        } else if let Ok(bytes) = fs::read(&path) {
            clean(&path.display().to_string(), &bytes);
        }
    }
}
