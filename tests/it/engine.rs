//! A place on a real engine for one test: an owner, a network and an image of its own, removed again
//! when it is dropped.
//!
//! Tests that need an engine run only with `DRIFTLESS_TEST_DOCKER=1`, because they make containers.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bollard::query_parameters::{
    ImportImageOptions, ListContainersOptions, ListNetworksOptions, ListVolumesOptions, RemoveContainerOptions, RemoveVolumeOptions,
};
use driftless::desired::{
    Container, Content, ContentFile, ContentId, Desired, Front, Goal, Identity, Installation, Layout, Network, OnFailure, Restart, Secret,
    Settings, Spec, Strategy, Template, Volume, Workload,
};
use driftless::docker::Docker;
use driftless::finding::Place;
use driftless::hash::{Key, sha256};
use driftless::host::Step;
use driftless::name::{Kind, Name, ObjectId};
use futures_util::TryStreamExt;

/// The image that tests run: busybox and nothing else.
pub const IMAGE: &str = "driftless-test/busybox:1";

/// One test's place on the engine.
pub struct Bench {
    /// The installation, with an owner and a /16 of its own.
    pub installation: Installation,
    /// The port under test; the shared network is there already.
    pub docker: Docker,
    /// The engine itself, for what other people do to it.
    pub engine: bollard::Docker,
}

/// Returns the engine, which has the test image; `None` if tests may not use one.
#[allow(clippy::print_stderr, reason = "whoever reads the test output wants to know what was not tested")]
async fn engine_or_skip() -> Option<bollard::Docker> {
    if std::env::var("DRIFTLESS_TEST_DOCKER").as_deref() != Ok("1") {
        eprintln!("skipped: needs a Docker engine; set DRIFTLESS_TEST_DOCKER=1");
        return None;
    }
    let engine = bollard::Docker::connect_with_defaults().expect("a Docker engine");
    let engine = engine.negotiate_version().await.expect("an engine that answers");
    ensure_image(&engine).await;
    Some(engine)
}

/// Makes sure that the engine has the test image; `None` if tests may not use an engine.
pub fn image_or_skip() -> Option<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(engine_or_skip()).map(drop)
}

/// Returns a place on the engine, or `None` if tests may not use one.
pub async fn docker_or_skip() -> Option<Bench> {
    let engine = engine_or_skip().await?;
    let owner = owner();
    for attempt in 0..600 {
        // All of 10.200.0.0/13; whoever makes the network first has it.
        let second = 200 + (attempt + std::process::id()) % 8;
        let layout = Layout::new(format!("10.{second}.0.0/16").parse().expect("a network")).expect("a /16");
        let installation = Installation { owner: owner.clone(), domain: "cluster.local".to_owned(), layout, key: Key::new([7; 32]) };
        let docker = Docker::connect(None, &installation).await.expect("the engine");
        let bench = Bench { installation, docker, engine: engine.clone() };
        let network = bench.network();
        match bench.docker.run(&Step::CreateNetwork { network: network.id.clone() }, &bench.desired()).await {
            Ok(()) => return Some(bench),
            Err(failure) => assert!(failure.message.contains("--network-pool"), "{failure:?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no free network in 10.200.0.0/13");
}

fn owner() -> Name {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
    let digest = sha256(format!("{} {count} {}", std::process::id(), time.as_nanos()).as_bytes());
    Name::try_from(format!("test-{}", &digest[..10])).expect("a name")
}

/// Builds the test image from the static busybox of the host, if the engine does not have it.
pub async fn ensure_image(engine: &bollard::Docker) {
    if engine.inspect_image(IMAGE).await.is_ok() {
        return;
    }
    let busybox = std::fs::read("/bin/busybox").expect("tests need the package busybox-static");
    let mut layer = tar::Builder::new(Vec::new());
    append(&mut layer, "bin/busybox", &busybox, 0o755);
    for applet in ["sh", "sleep", "cat", "ls", "nc", "httpd", "wget", "id", "touch", "env", "stat", "mkdir", "echo", "true", "false"] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_mode(0o777);
        layer.append_link(&mut header, format!("bin/{applet}"), "/bin/busybox").expect("memory");
    }
    let layer = layer.into_inner().expect("memory");
    let config = serde_json::json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": {
            "Env": ["PATH=/bin", "FROM_IMAGE=yes"],
            "Cmd": ["sleep", "1000000"],
            "WorkingDir": "/srv",
            "Labels": { "from.image": "yes" },
            "ExposedPorts": { "80/tcp": {} },
            "Healthcheck": { "Test": ["CMD", "false"] },
        },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", sha256(&layer))] },
    })
    .to_string();
    let mut image = tar::Builder::new(Vec::new());
    append(&mut image, "config.json", config.as_bytes(), 0o644);
    append(&mut image, "layer.tar", &layer, 0o644);
    let manifest = serde_json::json!([{ "Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"] }]).to_string();
    append(&mut image, "manifest.json", manifest.as_bytes(), 0o644);
    let body = bollard::body_full(image.into_inner().expect("memory").into());
    let loaded = engine.import_image(ImportImageOptions::default(), body, None);
    loaded.try_collect::<Vec<_>>().await.expect("the image loads");
}

fn append(tar: &mut tar::Builder<Vec<u8>>, path: &str, bytes: &[u8], mode: u32) {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    tar.append_data(&mut header, Path::new(path), bytes).expect("memory");
}

impl Bench {
    /// Returns the shared network.
    pub fn network(&self) -> Network {
        let owner = &self.installation.owner;
        let host_name = format!("driftless-{owner}");
        let name = Name::try_from(host_name.as_str()).expect("a name");
        Network { id: ObjectId::new(owner.clone(), Kind::Network, name), host_name, shared: true, options: Default::default() }
    }

    /// Returns the front of the shared network.
    pub fn front(&self) -> Front {
        let owner = &self.installation.owner;
        Front {
            id: ObjectId::new(owner.clone(), Kind::Front, Name::try_from("services").expect("a name")),
            host_name: format!("driftless-{owner}-front"),
            networks: vec![self.network().host_name],
            shared: true,
            label: "services".to_owned(),
            aliases: Default::default(),
            labels: Default::default(),
        }
    }

    /// Returns an application without workloads: network and front only.
    pub fn desired(&self) -> Desired {
        let (network, front) = (self.network(), self.front());
        Desired {
            application: Name::try_from("shop").expect("a name"),
            revision: "r1".to_owned(),
            installation: self.installation.clone(),
            settings: Settings::default(),
            workloads: BTreeMap::new(),
            services: BTreeMap::new(),
            networks: BTreeMap::from([(network.id.clone(), network)]),
            volumes: BTreeMap::new(),
            contents: BTreeMap::new(),
            logins: BTreeMap::new(),
            fronts: BTreeMap::from([(front.id.clone(), front)]),
            findings: Vec::new(),
        }
    }

    /// Returns a namespace that no other test uses.
    pub fn namespace(&self) -> Name {
        self.installation.owner.clone()
    }

    /// Returns an id in this test's namespace.
    pub fn id(&self, kind: Kind, name: &str) -> ObjectId {
        ObjectId::new(self.namespace(), kind, Name::try_from(name).expect("a name"))
    }

    /// Returns a replica's template: the test image, sleeping, on the shared network.
    pub fn template(&self) -> Template {
        Template {
            containers: vec![container()],
            networks: vec![self.network().host_name],
            ports: Vec::new(),
            empty_dirs: BTreeMap::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            hostname: None,
            grace: Duration::from_secs(1),
            options: Default::default(),
        }
    }

    /// Adds a workload `web` with this template and returns its first replica's id.
    pub fn add(&self, desired: &mut Desired, template: Template) -> ObjectId {
        let id = self.id(Kind::Deployment, "web");
        let volumes = desired.volumes.clone();
        let spec = Spec::new(
            &template,
            Restart::Always,
            |source| match source {
                driftless::desired::MountSource::Volume(id) => volumes[id].host_name.clone(),
                _ => String::new(),
            },
            &self.installation.key,
        );
        let workload = Workload {
            id: id.clone(),
            place: Place { file: "web.yaml".to_owned(), line: 1, column: 1, length: 1 },
            replicas: 1,
            identity: Identity::Generated,
            goal: Goal::Serving,
            strategy: Strategy::Recreate,
            exclusive: Vec::new(),
            dependencies: Vec::new(),
            min_ready: Duration::ZERO,
            delay: Duration::ZERO,
            settle: Duration::ZERO,
            deadline: None,
            paused: false,
            history_limit: 10,
            on_failure: OnFailure::Rollback,
            drain: Duration::ZERO,
            hash: spec.hash(&self.installation.key),
            template,
            restart: Restart::Always,
            spec,
        };
        desired.workloads.insert(id.clone(), workload);
        id.with_replica(Name::try_from("x7k2p").expect("a name"))
    }

    /// Adds a data volume.
    pub fn add_volume(&self, desired: &mut Desired, name: &str) -> ObjectId {
        let id = self.id(Kind::PersistentVolumeClaim, name);
        let host_name = format!("{}_{name}", self.namespace());
        desired.volumes.insert(id.clone(), Volume { id: id.clone(), host_name, single_writer: true, options: Default::default() });
        id
    }

    /// Adds content of some files.
    pub fn add_content(&self, desired: &mut Desired, files: &[(&str, &str)]) -> ContentId {
        let id = ContentId(sha256(format!("{files:?}").as_bytes()));
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), ContentFile { bytes: Secret::new(*text), mode: 0o644 })).collect();
        desired.contents.insert(id.clone(), Content { origin: "ConfigMap/app".to_owned(), files });
        id
    }

    /// Runs a step that must succeed.
    pub async fn run(&self, step: Step, desired: &Desired) {
        self.docker.run(&step, desired).await.unwrap_or_else(|failure| panic!("{step}: {failure:?}"));
    }

    /// Returns the live container of a replica or front; it must be there.
    pub async fn live(&self, id: &ObjectId) -> driftless::observed::Container {
        let live = self.docker.read().await.expect("a snapshot");
        let container = live.containers.into_iter().find(|container| container.labels.as_ref().is_some_and(|labels| labels.object == *id));
        container.unwrap_or_else(|| panic!("{id} is on the host"))
    }

    /// Runs a command in a container and returns what it printed.
    pub async fn output(&self, container: &str, command: &[&str]) -> String {
        let options = bollard::exec::CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command.to_vec()),
            ..Default::default()
        };
        let exec = self.engine.create_exec(container, options).await.expect("a command");
        let bollard::exec::StartExecResults::Attached { output, .. } = self.engine.start_exec(&exec.id, None).await.expect("a command")
        else {
            panic!("attached");
        };
        let lines: Vec<_> = output.try_collect().await.expect("output");
        lines.iter().map(ToString::to_string).collect()
    }
}

/// Returns a container of the test image.
pub fn container() -> Container {
    Container::new(Name::try_from("app").expect("a name"), IMAGE)
}

impl Drop for Bench {
    fn drop(&mut self) {
        let engine = self.engine.clone();
        let owner = self.installation.owner.clone();
        // A panicking test is in the middle of a runtime, so this needs one of its own.
        let cleaner = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(remove_all(&engine, &owner));
        });
        let _ = cleaner.join();
    }
}

/// Removes everything of an owner, data volumes too.
async fn remove_all(engine: &bollard::Docker, owner: &Name) {
    let filters = Some(HashMap::from([("label".to_owned(), vec![format!("dev.driftless.owner={owner}")])]));
    let options = ListContainersOptions { all: true, filters: filters.clone(), ..Default::default() };
    for container in engine.list_containers(Some(options)).await.unwrap_or_default() {
        let options = RemoveContainerOptions { v: true, force: true, ..Default::default() };
        let _ = engine.remove_container(&container.id.unwrap_or_default(), Some(options)).await;
    }
    let options = ListNetworksOptions { filters: filters.clone() };
    for network in engine.list_networks(Some(options)).await.unwrap_or_default() {
        let _ = engine.remove_network(&network.id.unwrap_or_default()).await;
    }
    let options = ListVolumesOptions { filters };
    for volume in engine.list_volumes(Some(options)).await.ok().and_then(|answer| answer.volumes).unwrap_or_default() {
        let _ = engine.remove_volume(&volume.name, None::<RemoveVolumeOptions>).await;
    }
}
