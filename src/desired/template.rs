//! What a replica is: its containers and what they share.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::name::{Name, ObjectId};

use super::{ContentId, Options, Text};

/// What a replica is. Its containers share one network namespace, owned by the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The containers; today exactly one.
    pub containers: Vec<Container>,
    /// Names on the host of the networks it is on.
    pub networks: Vec<String>,
    /// Ports of the host that lead to the replica.
    pub ports: Vec<HostPort>,
    /// Folders that live and die with the replica, by name.
    pub empty_dirs: BTreeMap<Name, EmptyDir>,
    /// The author's labels.
    pub labels: BTreeMap<String, String>,
    /// The author's annotations, for fields that refer to them.
    pub annotations: BTreeMap<String, String>,
    /// The host name; by default the replica's own name.
    pub hostname: Option<String>,
    /// How long after the stop signal the replica is killed.
    pub grace: Duration,
    /// What only Compose can ask for.
    pub options: Options,
}

/// One container of a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its name within the replica.
    pub name: Name,
    /// The image as its author wrote it.
    pub image: String,
    /// When the image is pulled.
    pub pull: PullPolicy,
    /// Replaces the image's entrypoint (and drops its command).
    pub command: Option<Vec<Text>>,
    /// Replaces the image's command.
    pub args: Option<Vec<Text>>,
    /// The working folder; by default the image's.
    pub working_dir: Option<String>,
    /// Environment variables.
    pub env: BTreeMap<String, Text>,
    /// What is mounted, in the order of targets.
    pub mounts: Vec<Mount>,
    /// Named ports, for probes and services that refer to them.
    pub named_ports: BTreeMap<String, u16>,
    /// Limits and reservations.
    pub resources: Resources,
    /// `uid[:gid]`; by default the image's.
    pub user: Option<String>,
    /// Further groups of the main process.
    pub groups: Vec<u32>,
    /// The root file system is read-only.
    pub read_only: bool,
    /// All capabilities and devices.
    pub privileged: bool,
    /// No privilege can be gained by executing a file.
    pub no_new_privileges: bool,
    /// Added capabilities, upper case without `CAP_`, sorted.
    pub cap_add: Vec<String>,
    /// Dropped capabilities, likewise; may hold `ALL`.
    pub cap_drop: Vec<String>,
    /// A terminal is allocated.
    pub tty: bool,
    /// Standard input is kept open.
    pub stdin: bool,
    /// Health questions that the agent asks.
    pub probes: Probes,
    /// Runs right after the start; the container is killed if it fails.
    pub post_start: Option<Hook>,
    /// Runs before the stop signal, within the grace period.
    pub pre_stop: Option<Hook>,
}

impl Container {
    /// Returns a container that runs an image as the image says, and pulls it if the host does not have it.
    pub fn new(name: Name, image: impl Into<String>) -> Self {
        Container {
            name,
            image: image.into(),
            pull: PullPolicy::IfNotPresent,
            command: None,
            args: None,
            working_dir: None,
            env: BTreeMap::new(),
            mounts: Vec::new(),
            named_ports: BTreeMap::new(),
            resources: Resources::default(),
            user: None,
            groups: Vec::new(),
            read_only: false,
            privileged: false,
            no_new_privileges: false,
            cap_add: Vec::new(),
            cap_drop: Vec::new(),
            tty: false,
            stdin: false,
            probes: Probes::default(),
            post_start: None,
            pre_stop: None,
        }
    }
}

/// When an image is pulled (Kubernetes `imagePullPolicy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PullPolicy {
    /// Before every create.
    Always,
    /// If the host does not have it.
    IfNotPresent,
    /// Never; if the host does not have it, the replica waits.
    Never,
}

/// Which ends of a container the host answers with a restart (Docker's restart policy).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Every end.
    Always,
    /// Ends with a failure.
    OnFailure,
    /// None.
    No,
}

/// Limits and reservations; `None` where the author wrote none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resources {
    /// Billionths of a core that may be used.
    pub cpu_limit: Option<u64>,
    /// Bytes of memory that may be used.
    pub memory_limit: Option<u64>,
    /// Billionths of a core that are reserved; becomes a relative weight.
    pub cpu_request: Option<u64>,
    /// Bytes of memory that are reserved.
    pub memory_request: Option<u64>,
}

/// Something mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The absolute path in the container, without a trailing `/`.
    pub target: String,
    /// What is mounted.
    pub source: MountSource,
    /// The file or folder of the source that is mounted instead of the whole, relative.
    pub sub_path: Option<String>,
    /// It cannot be written.
    pub read_only: bool,
}

/// What can be mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountSource {
    /// A data volume.
    Volume(ObjectId),
    /// Delivered files.
    Content(ContentId),
    /// A volume that is not the application's, by its name on the host.
    External(String),
    /// A folder of the replica's own.
    EmptyDir(Name),
    /// A path of the host.
    Host {
        /// The absolute path.
        path: String,
        /// The folder is made if it does not exist.
        create: bool,
    },
}

/// A folder that lives and dies with its replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmptyDir {
    /// It is kept in memory instead of on disk.
    pub memory: bool,
    /// The most bytes it may hold; enforced in memory only.
    pub size_limit: Option<u64>,
}

/// A port of the host that leads to a replica.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HostPort {
    /// The host's address; `None` means all.
    pub address: Option<Ipv4Addr>,
    /// The host's port.
    pub host_port: u16,
    /// The replica's port.
    pub container_port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// Returns `tcp` or `udp`.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }
}

/// A field of a replica that its containers may ask for (Kubernetes downward API).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FieldRef {
    /// The replica's name.
    Name,
    /// The replica's namespace.
    Namespace,
    /// The replica's unique id.
    Uid,
    /// The replica's address.
    Address,
    /// The host's name.
    HostName,
    /// The host's address, as replicas reach it.
    HostAddress,
}

impl fmt::Display for FieldRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FieldRef::Name => "metadata.name",
            FieldRef::Namespace => "metadata.namespace",
            FieldRef::Uid => "metadata.uid",
            FieldRef::Address => "status.podIP",
            FieldRef::HostName => "spec.nodeName",
            FieldRef::HostAddress => "status.hostIP",
        })
    }
}

/// The three questions about a container's health.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Probes {
    /// Has it started? The others wait for this one.
    pub startup: Option<Probe>,
    /// Does it live? It is restarted if not.
    pub liveness: Option<Probe>,
    /// May it be given connections?
    pub readiness: Option<Probe>,
}

/// One question about a container's health (Kubernetes `Probe`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// How it is asked.
    pub action: Action,
    /// Time from the container's start to the first question.
    pub initial_delay: Duration,
    /// Time from question to question, at least one second.
    pub period: Duration,
    /// How long an answer may take, at least one second.
    pub timeout: Duration,
    /// So many good answers in a row turn it good.
    pub success_threshold: u32,
    /// So many bad answers in a row turn it bad.
    pub failure_threshold: u32,
}

/// What a probe or hook does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Runs a command in the container; exit code 0 is good.
    Exec(Vec<String>),
    /// Makes an HTTP GET request; a status from 200 to 399 is good.
    Http {
        /// `http` or `https`; certificates are not verified.
        scheme: String,
        /// The host to connect to; by default the replica's address.
        host: Option<String>,
        /// The port.
        port: u16,
        /// The path, beginning with `/`.
        path: String,
        /// Further headers.
        headers: Vec<(String, String)>,
    },
    /// Opens a TCP connection.
    Tcp {
        /// The host to connect to; by default the replica's address.
        host: Option<String>,
        /// The port.
        port: u16,
    },
    /// Waits so many seconds (hooks only).
    Sleep(u64),
}

/// What runs right after the start or before the stop signal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook(pub Action);
