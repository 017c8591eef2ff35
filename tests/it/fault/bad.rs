//! What keeps one application from coming up: it is said of what and what to do, `apply` ends, and another
//! application of the same agent goes on.

use std::net::TcpListener;
use std::path::Path;

use super::manifest::{compose, deployment};
use super::world::{World, docker, engine_or_skip};

/// Something that is in the way, and goes when it is dropped.
struct Obstacle<'a> {
    engine: &'a Path,
    remove: Vec<String>,
    _port: Option<TcpListener>,
}

impl Drop for Obstacle<'_> {
    fn drop(&mut self) {
        let arguments: Vec<&str> = self.remove.iter().map(String::as_str).collect();
        if !arguments.is_empty() {
            docker(self.engine, &arguments);
        }
    }
}

/// One kind of bad: the file, what is put in its way, and what has to be said.
struct Bad {
    name: &'static str,
    file: &'static str,
    text: String,
    said: Vec<String>,
}

fn service(more: &str) -> String {
    format!(
        "services:\n  web:\n    image: {}\n    pull_policy: never\n    command: [httpd, -f, -p, '8080']\n    stop_grace_period: 1s\n    healthcheck: {{ disable: true }}\n    {more}\n",
        crate::engine::IMAGE
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_way_of_one_application_is_named_and_the_other_goes_on() {
    let Some(engine) = engine_or_skip().await else { return };
    tokio::task::spawn_blocking(move || {
        let mut wrong = Vec::new();
        for kind in ["port", "foreign port", "volume", "container", "suspended"] {
            wrong.extend(check(&engine, kind).err().map(|error| format!("{kind}: {error}")));
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    })
    .await
    .expect("no assertion fails");
}

/// Puts something in the way; returns it with what follows from it.
fn put<'a>(engine: &'a Path, owner: &str, kind: &'static str) -> (Obstacle<'a>, Bad) {
    let image = crate::engine::IMAGE;
    let free = TcpListener::bind("0.0.0.0:0").expect("a free port");
    let port = free.local_addr().expect("an address").port();
    let mut obstacle = Obstacle { engine, remove: Vec::new(), _port: None };
    let (text, said) = match kind {
        "port" => {
            obstacle._port = Some(free);
            (service(&format!("ports: ['{port}:80']")), vec![format!("{port}"), "in use".to_owned()])
        }
        "foreign port" => {
            drop(free);
            let name = format!("{owner}-foreign");
            let publish = format!("{port}:80");
            docker(engine, &["run", "--detach", "--name", &name, "--publish", &publish, image, "sleep", "100000"]);
            obstacle.remove = ["rm", "--force", &name].map(str::to_owned).to_vec();
            (
                service(&format!("ports: ['{port}:80']")),
                vec![format!("`{name}`, which is not ours to stop"), format!("has port {port}/tcp of the host")],
            )
        }
        "volume" => {
            let name = format!("{owner}_data");
            docker(engine, &["volume", "create", &name]);
            obstacle.remove = ["volume", "rm", &name].map(str::to_owned).to_vec();
            (compose(1, 1, false), vec![name, "is not ours".to_owned(), "external: true".to_owned()])
        }
        "container" => {
            let name = format!("{owner}-foreign");
            docker(engine, &["create", "--name", &name, image, "sleep", "100000"]);
            obstacle.remove = ["rm", "--force", &name].map(str::to_owned).to_vec();
            (service(&format!("container_name: {name}")), vec![name, "is there and is not ours".to_owned()])
        }
        _ => (service("hostname: a"), vec!["is suspended".to_owned(), "driftless resume fault".to_owned()]),
    };
    (obstacle, Bad { name: kind, file: "bad/compose.yaml", text, said })
}

fn check(engine: &Path, kind: &'static str) -> Result<(), String> {
    let mut world = World::new(engine, &["path: bad"]);
    world.add("good", &["path: good"]);
    let owner = world.owner().to_owned();
    let (_obstacle, bad) = put(engine, &owner, kind);
    let good = |number: u32| {
        deployment("web", 1, r#"["httpd", "-f", "-p", "8080"]"#, &format!("env: [{{ name: NUMBER, value: '{number}' }}]"), "")
    };
    if bad.name == "suspended" {
        world.commit(bad.file, &service("hostname: b"));
    } else {
        world.commit(bad.file, &bad.text);
    }
    world.commit("good/web.yaml", &good(1));
    world.start();
    if bad.name == "suspended" {
        world.apply()?;
        world.run(&["suspend", "fault"]);
        world.commit(bad.file, &bad.text);
    }
    let ended = |world: &World, name: &str| {
        let output = world.run(&["apply", name, "--wait", "5s"]);
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    world.until_it_answers()?;
    let (code, said) = ended(&world, "fault");
    if code != Some(1) || bad.said.iter().any(|part| !said.contains(part)) {
        return Err(format!("it ends with {code:?} and says {said}, not {:?}\n{}", bad.said, world.log()));
    }
    for number in [1, 2] {
        world.commit("good/web.yaml", &good(number));
        let (code, said) = ended(&world, "good");
        if code != Some(0) {
            return Err(format!("the good one ends with {code:?}: {said}\n{}", world.log()));
        }
    }
    Ok(())
}
