//! Images from a real registry: with and without credentials, and while it is away.
//!
//! The engine talks plain HTTP to registries on the host's loopback, so none of these needs certificates.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use driftless::desired::Secret;
use driftless::docker::Docker;
use driftless::host::{Class, Failure, Step};

use crate::engine::{Bench, IMAGE, docker_or_skip};

const USER: &str = "deploy";
const PASSWORD: &str = "canary-password";

/// A registry that ends with the test.
struct Registry {
    process: Child,
    folder: tempfile::TempDir,
    /// As images name it.
    host: String,
}

impl Registry {
    /// Starts one; with `protected` it asks for `USER` and `PASSWORD`.
    fn start(protected: bool) -> Registry {
        let folder = tempfile::tempdir().expect("a folder");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let auth = match protected {
            false => String::new(),
            true => {
                let made = Command::new("htpasswd").args(["-Bbc", &path("users"), USER, PASSWORD]).stderr(Stdio::null()).status();
                assert!(made.expect("tests need the package apache2-utils").success());
                format!("auth: {{ htpasswd: {{ realm: test, path: {} }} }}\n", path("users"))
            }
        };
        let config = format!(
            "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: {} }} }}\nhttp: {{ addr: {free} }}\n{auth}",
            path("images")
        );
        std::fs::write(path("config.yml"), config).expect("a file");
        let process =
            Command::new("docker-registry").args(["serve", &path("config.yml")]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let registry = Registry { process: process.expect("tests need the package docker-registry"), folder, host: free.to_string() };
        let began = Instant::now();
        while TcpStream::connect(free).is_err() {
            assert!(began.elapsed() < Duration::from_secs(60), "the registry does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        registry
    }

    fn end(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Returns a folder of settings of Docker's client, with a password for this registry if one is given.
    fn client(&self, name: &str, password: Option<&str>) -> std::path::PathBuf {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        let auth = password.map(|password| STANDARD.encode(format!("{USER}:{password}")));
        let auths = auth.map_or(serde_json::json!({}), |auth| serde_json::json!({ &self.host: { "auth": auth } }));
        std::fs::write(folder.join("config.json"), serde_json::json!({ "auths": auths }).to_string()).expect("a file");
        folder
    }

    /// Puts the test image into the registry under a name of its own, which the engine then forgets.
    fn push(&self, config: &Path) -> String {
        let image = format!("{}/shop/web:1", self.host);
        docker(config, &["tag", IMAGE, &image]);
        docker(config, &["push", "--quiet", &image]);
        docker(config, &["image", "rm", &image]);
        image
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.end();
        let image = format!("{}/shop/web:1", self.host);
        let _ = Command::new("docker").args(["image", "rm", &image]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

fn docker(config: &Path, arguments: &[&str]) {
    let output = Command::new("docker").arg("--config").arg(config).args(arguments).output().expect("Docker's client");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

async fn pull(bench: &Bench, docker: &Docker, image: &str) -> Result<(), Failure> {
    docker.run(&Step::Pull { image: image.to_owned() }, &bench.desired()).await
}

#[tokio::test]
async fn an_image_is_pulled_and_one_that_is_gone_is_waited_for() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut registry = Registry::start(false);
    let config = registry.client("none", None);
    let image = registry.push(&config);
    let docker = bench.docker.clone().with_config(config);
    pull(&bench, &docker, &image).await.expect("it is there");
    bench.engine.inspect_image(&image).await.expect("the engine has it");
    let failure = pull(&bench, &docker, &image.replace(":1", ":2")).await.expect_err("nobody pushed it");
    assert_eq!(failure.class, Class::Waiting);
    assert!(failure.message.contains("manifest") && failure.message.contains(":2"), "{}", failure.message);
    registry.end();
    let failure = pull(&bench, &docker, &image).await.expect_err("nobody answers");
    assert_eq!(failure.class, Class::Waiting);
    assert!(failure.message.contains("connection refused") && failure.message.contains(&registry.host), "{}", failure.message);
    bench.engine.inspect_image(&image).await.expect("what is here stays");
}

#[tokio::test]
async fn credentials_are_those_of_dockers_client_and_are_never_shown() {
    let Some(bench) = docker_or_skip().await else { return };
    let registry = Registry::start(true);
    let good = registry.client("good", Some(PASSWORD));
    let image = registry.push(&good);
    let host = &registry.host;
    let with = |folder| bench.docker.clone().with_config(folder);
    for (folder, reason) in [
        (
            registry.client("none", None),
            format!("registry `{host}` asks for credentials, and neither `imagePullSecrets` nor Docker's `config.json` has any for it"),
        ),
        (
            registry.client("wrong", Some("canary-wrong")),
            format!("registry `{host}` refuses the credentials that Docker's `config.json` has"),
        ),
    ] {
        let failure = pull(&bench, &with(folder), &image).await.expect_err("nobody comes in");
        assert_eq!(failure.class, Class::Waiting);
        assert!(failure.message.contains(&reason), "{}", failure.message);
        assert!(!failure.message.contains("canary"), "{}", failure.message);
    }
    // What the application brings along comes before what the host has.
    let login = |folder: &Path| Secret::new(std::fs::read(folder.join("config.json")).expect("it was written"));
    let mut desired = bench.desired();
    desired.logins = [(image.clone(), vec![login(&registry.client("wrong", Some("canary-wrong")))])].into();
    let step = Step::Pull { image: image.clone() };
    let failure = with(good.clone()).run(&step, &desired).await.expect_err("they are wrong");
    assert!(failure.message.contains("refuses the credentials that `imagePullSecrets` has"), "{}", failure.message);
    desired.logins = [(image.clone(), vec![Secret::new("{}"), login(&good)])].into();
    with(registry.client("none", None)).run(&step, &desired).await.expect("these are right");
    docker(&good, &["image", "rm", &image]);
    pull(&bench, &with(good), &image).await.expect("these are right, too");
    let found = bench.engine.inspect_image(&image).await.expect("the engine has it");
    assert!(!serde_json::to_string(&found).expect("JSON").contains("canary"));
}
