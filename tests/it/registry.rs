//! A real registry, and the whole agent with images from it: what a tag named, images for another platform, and
//! the registry away.
//!
//! The engine talks plain HTTP to registries on the host's loopback, so none of these needs certificates.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use driftless::hash::sha256;
use serde_json::Value;

use crate::engine::{IMAGE, image_or_skip};
use crate::project::{APPLICATION, Project, docker as client};

pub const USER: &str = "deploy";
pub const PASSWORD: &str = "canary-password";

/// A registry that ends with the test.
pub struct Registry {
    process: Child,
    folder: tempfile::TempDir,
    /// As images name it.
    pub host: String,
}

impl Registry {
    /// Starts one; with `protected` it asks for `USER` and `PASSWORD`.
    pub fn start(protected: bool) -> Registry {
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
        let process = serve(&folder.path().join("config.yml"));
        let registry = Registry { process, folder, host: free.to_string() };
        registry.wait();
        registry
    }

    /// Starts it again after its end, with what it had.
    fn again(&mut self) {
        self.process = serve(&self.folder.path().join("config.yml"));
        self.wait();
    }

    fn wait(&self) {
        let began = Instant::now();
        while TcpStream::connect(&self.host).is_err() {
            assert!(began.elapsed() < Duration::from_secs(60), "the registry does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Puts an image that the engine has into the registry under a tag of its own, which the engine then forgets.
    fn put(&self, image: &str, tag: &str) -> String {
        let name = format!("{}/shop/web:{tag}", self.host);
        client(&["tag", image, &name]);
        client(&["push", "--quiet", &name]);
        client(&["image", "rm", &name]);
        name
    }

    pub fn end(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Returns a folder of settings of Docker's client, with a password for this registry if one is given.
    pub fn client(&self, name: &str, password: Option<&str>) -> PathBuf {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        let auth = password.map(|password| STANDARD.encode(format!("{USER}:{password}")));
        let auths = auth.map_or(serde_json::json!({}), |auth| serde_json::json!({ &self.host: { "auth": auth } }));
        std::fs::write(folder.join("config.json"), serde_json::json!({ "auths": auths }).to_string()).expect("a file");
        folder
    }

    /// Puts the test image into the registry under a name of its own, which the engine then forgets.
    pub fn push(&self, config: &Path) -> String {
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
        let reference = format!("reference={}/shop/*", self.host);
        let listed = Command::new("docker").args(["image", "ls", "--quiet", "--filter", &reference]).output();
        for id in String::from_utf8_lossy(&listed.map(|output| output.stdout).unwrap_or_default()).lines() {
            let names =
                Command::new("docker").args(["inspect", "--format", "{{join .RepoTags \" \"}} {{join .RepoDigests \" \"}}", id]).output();
            let names = String::from_utf8_lossy(&names.map(|output| output.stdout).unwrap_or_default()).into_owned();
            let mine: Vec<&str> = names.split_whitespace().filter(|name| name.starts_with(&self.host)).collect();
            let _ = Command::new("docker").args(["image", "rm"]).args(mine).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
}

fn serve(config: &Path) -> Child {
    let registry = Command::new("docker-registry").arg("serve").arg(config).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    registry.expect("tests need the package docker-registry")
}

pub fn docker(config: &Path, arguments: &[&str]) {
    let output = Command::new("docker").arg("--config").arg(config).args(arguments).output().expect("Docker's client");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

const SHOP: &str = r#"
name: PROJECT
services:
  web:
    image: REGISTRY
    command: [sleep, "1000000"]
    healthcheck: { disable: true }
    stop_signal: SIGKILL
"#;

/// Returns a registry and a project, which ends first: its containers hold images of the registry.
fn shop() -> Option<(Registry, Project)> {
    image_or_skip()?;
    Some((Registry::start(false), Project::new()?))
}

/// Returns the digest that the engine knows for a name.
fn digest(image: &str) -> String {
    let (repository, _) = image.rsplit_once(':').expect("a tag");
    let digests = client(&["image", "inspect", "--format", "{{range .RepoDigests}}{{println .}}{{end}}", image]);
    let mine = digests.lines().find_map(|line| line.strip_prefix(&format!("{repository}@")));
    mine.expect("it is known to the registry").to_owned()
}

fn history(project: &Project, kind: &str) -> Vec<String> {
    let events = project.json(&["history", APPLICATION])["events"].clone();
    let of_kind = events.as_array().into_iter().flatten().filter(|event| event["kind"] == kind);
    of_kind.map(|event| event["message"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_digest_that_a_tag_had_is_recorded_and_a_moved_tag_shows_both() {
    let Some((registry, mut project)) = shop() else { return };
    let image = registry.put(IMAGE, "1");
    project.write("compose.yaml", &SHOP.replace("REGISTRY", &image));
    project.deploy();
    let old = digest(&image);
    let images = serde_json::json!([{ "image": image, "digest": old }]);
    assert_eq!(project.status()["workloads"][0]["images"], images);
    let workload = format!("{}/service/web", project.owner);
    assert_eq!(history(&project, "image"), [format!("{workload}: {image} is {old}")]);

    // Somebody builds and pushes another one under the same tag.
    let mut build = Command::new("docker");
    build.args(["build", "--quiet", "--tag", &image, "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut build = build.spawn().expect("Docker's client");
    let file = format!("FROM {image}\nLABEL moved=yes\n");
    std::io::Write::write_all(&mut build.stdin.take().expect("a pipe"), file.as_bytes()).expect("it reads");
    assert!(build.wait().expect("it ends").success());
    client(&["push", "--quiet", &image]);
    let new = digest(&image);
    assert_ne!(old, new);
    let short = |digest: &str| digest[..19].to_owned();
    project.wait("both digests are shown", |project| {
        let drift = &project.json(&["drift", APPLICATION])["drift"][0];
        let field = &drift["fields"][0];
        drift["healed"] == false && field["expected"] == format!("{image} ({})", short(&new)) && field["actual"] == short(&old)
    });
    assert_eq!(project.status()["workloads"][0]["images"], images, "what runs is what was started");

    project.edit("compose.yaml", "    command:", "    pull_policy: always\n    command:");
    project.converge();
    assert_eq!(project.status()["workloads"][0]["images"][0]["digest"], new);
    assert_eq!(history(&project, "image")[0], format!("{workload}: {image} {old} -> {new}"));
}

#[test]
fn with_the_registry_away_what_runs_stays_and_others_go_on() {
    let Some((mut registry, mut project)) = shop() else { return };
    let (first, second) = (registry.put(IMAGE, "1"), registry.put(IMAGE, "2"));
    project.write("compose.yaml", &SHOP.replace("REGISTRY", &first));
    project.deploy();
    let before = project.replicas("web");
    registry.end();
    project.edit("compose.yaml", &first, &second);
    project.wait("it is said what is waited for", |project| {
        let status = project.status();
        let said = |value: &Value| value.as_str().is_some_and(|text| text.contains(&second) && text.contains("connection refused"));
        let held = |document: &Value| document["held"].as_array().into_iter().flatten().any(|held| said(&held["reason"]));
        let plan = project.json(&["plan", APPLICATION]);
        held(&status) && held(&plan) && said(&status["message"]) && plan["failed"] == Value::Null && status["sync"] == "OutOfSync"
    });
    assert_eq!(project.replicas("web"), before, "what runs stays");

    // Another application of the same agent is deployed meanwhile.
    project.write("../other/compose.yaml", &SHOP.replace("PROJECT", "PROJECT-other").replace("REGISTRY", "IMAGE"));
    let documents = project.document(APPLICATION, "repo") + &project.document("other", "other");
    std::fs::write(project.path("application.yaml"), documents).expect("a file");
    project.wait("the other one runs", |project| {
        let status = project.json(&["status"]);
        let other = status["applications"].as_array().into_iter().flatten().find(|one| one["name"] == "other").cloned();
        other.is_some_and(|other| (&other["sync"], &other["health"]) == (&"Synced".into(), &"Healthy".into()))
    });
    assert_eq!(project.replicas("web"), before, "what runs still stays");

    registry.again();
    project.wait("it goes on by itself", Project::is_converged);
    assert_ne!(project.replicas("web"), before);
    assert_eq!(project.status()["rolledBack"], false);
}

/// Gives the engine an image that is said to be for arm64, or for amd64 where that is its own.
fn load_foreign(name: &str) -> &'static str {
    let architecture = if cfg!(target_arch = "aarch64") { "amd64" } else { "arm64" };
    let layer = tar(&[("nothing", b"nothing")]);
    let config = serde_json::json!({
        "architecture": architecture, "os": "linux", "config": { "Cmd": ["/nothing"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", sha256(&layer))] },
    });
    let manifest = serde_json::json!([{ "Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"] }]);
    let (config, manifest) = (config.to_string(), manifest.to_string());
    let image = tar(&[("config.json", config.as_bytes()), ("layer.tar", &layer), ("manifest.json", manifest.as_bytes())]);
    let mut load =
        Command::new("docker").args(["load", "--quiet"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("Docker's client");
    std::io::Write::write_all(&mut load.stdin.take().expect("a pipe"), &image).expect("it reads");
    assert!(load.wait().expect("it ends").success());
    architecture
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, *bytes).expect("memory");
    }
    tar.into_inner().expect("memory")
}

#[test]
fn an_image_for_another_platform_is_told_with_both_and_the_running_version_stays() {
    let Some((registry, mut project)) = shop() else { return };
    project.write("compose.yaml", &SHOP.replace("REGISTRY", IMAGE));
    let local = project.tag();
    let foreign = load_foreign(&local);
    let pulled = registry.put(&local, "1");
    project.deploy();
    let own = if foreign == "arm64" { "amd64" } else { "arm64" };
    for (from, to) in [(IMAGE, local.as_str()), (local.as_str(), pulled.as_str())] {
        project.edit("compose.yaml", from, to);
        let wanted = format!("image `{to}` is for linux/{foreign}, and this engine runs linux/{own}: build it for that");
        project.wait("the rollout fails", |project| {
            let status = project.status();
            status["rolledBack"] == true
                && status["message"].as_str().is_some_and(|message| message.contains(&wanted))
                && status["health"] == "Healthy"
        });
        let images = docker_images(&project);
        assert_eq!(images, [IMAGE], "the running version stays");
    }
    // Somebody asks for a platform that the image does not have.
    project.edit("compose.yaml", &format!("image: {pulled}"), &format!("platform: linux/{foreign}\n    image: {IMAGE}"));
    project.wait("it is told", |project| {
        let wanted = format!("image `{IMAGE}` is for linux/{own}, and `platform` asks for linux/{foreign}");
        project.status()["message"].as_str().is_some_and(|message| message.contains(&wanted))
    });
}

/// Returns the images of the replicas that run.
fn docker_images(project: &Project) -> Vec<String> {
    project.replicas("web").iter().map(|replica| client(&["inspect", "--format", "{{.Config.Image}}", &replica.id])).collect()
}
