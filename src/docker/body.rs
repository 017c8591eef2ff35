//! What is asked of the engine when a container is created: values only, no calls.
//!
//! The engine keeps most of what it is sent as it is sent, so everything is sent in one canonical
//! form; `field` reads it back.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use bollard::models::{
    ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions, NetworkingConfig, PortBinding, PortMap, RestartPolicy,
    RestartPolicyNameEnum,
};

use crate::desired::{Container, Desired, FieldRef, Front, HostPort, Installation, MountSource, Resources, Restart, Text, Workload, field};
use crate::hash::sha256;
use crate::host::Class;
use crate::name::{Kind, Name, ObjectId};

use super::error::Error;
use super::{label, name, network, option, pause};

/// What is known of the host when a replica is created.
pub(super) struct Place<'a> {
    /// The replica's static address, on the shared network.
    pub(super) address: Option<Ipv4Addr>,
    /// The host's resolvers.
    pub(super) resolvers: &'a [Ipv4Addr],
    /// The container whose network namespace it shares.
    pub(super) shares: Option<&'a str>,
    /// The host's name.
    pub(super) host_name: &'a str,
    /// Where the engine keeps the volumes of which only a part is mounted, by name.
    pub(super) mountpoints: &'a HashMap<String, String>,
}

/// A replica that is to be created.
pub(super) struct Replica<'a> {
    pub(super) desired: &'a Desired,
    pub(super) workload: &'a Workload,
    pub(super) id: &'a ObjectId,
    pub(super) container: &'a Container,
}

impl Replica<'_> {
    /// Returns the container's name.
    pub(super) fn name(&self) -> String {
        self.workload.template.options.container_name.clone().unwrap_or_else(|| name::replica(self.id))
    }

    /// Returns the name of the volume behind a mount, if there is one.
    pub(super) fn volume(&self, source: &MountSource) -> Option<String> {
        match source {
            MountSource::Volume(id) => self.desired.volumes.get(id).map(|volume| volume.host_name.clone()),
            MountSource::Content(id) => Some(name::content(&self.desired.installation.owner, &self.desired.application, id)),
            MountSource::EmptyDir(dir) => Some(name::empty_dir(&self.name(), dir)),
            MountSource::External(name) => Some(name.clone()),
            MountSource::Host { .. } => None,
        }
    }

    /// Returns what the engine is asked for.
    pub(super) fn body(&self, place: &Place<'_>) -> Result<ContainerCreateBody, Error> {
        let template = &self.workload.template;
        let first = template.networks.first();
        let shared = first.is_some_and(|network| network::is_shared(self.desired, network));
        let endpoint = |first: &String| match place.address {
            Some(address) => network::endpoint(Some(address), None),
            None => network::project_endpoint(&template.options, first),
        };
        let endpoints = first.map(|first| HashMap::from([(first.clone(), endpoint(first))]));
        let env: Result<Vec<String>, Error> =
            self.container.env.iter().map(|(name, value)| Ok(format!("{name}={}", self.resolve(value, place)?))).collect();
        // Docker names a container's host by its id, as people know it from Compose.
        let own_name = (self.id.kind != Kind::ComposeService).then(|| name::host(self.id));
        let mut body = ContainerCreateBody {
            hostname: template.hostname.clone().or(own_name),
            user: self.container.user.clone(),
            tty: Some(self.container.tty),
            open_stdin: Some(self.container.stdin),
            env: Some(env?),
            entrypoint: self.list(self.container.command.as_deref(), place)?,
            cmd: self.list(self.container.args.as_deref(), place)?,
            image: Some(self.container.image.clone()),
            working_dir: self.container.working_dir.clone(),
            labels: Some(label::replica(self.desired, self.workload, self.id, self.container)),
            stop_timeout: i64::try_from(template.grace.as_secs()).ok(),
            exposed_ports: Some(template.ports.iter().map(port_key).collect()),
            host_config: Some(self.host_config(place, shared)?),
            networking_config: Some(NetworkingConfig { endpoints_config: endpoints }),
            ..ContainerCreateBody::default()
        };
        option::apply(&template.options, &mut body);
        Ok(body)
    }

    fn host_config(&self, place: &Place<'_>, shared: bool) -> Result<HostConfig, Error> {
        let Container { groups, read_only, privileged, no_new_privileges, cap_add, cap_drop, resources, .. } = self.container;
        let (mounts, binds) = self.mounts(place)?;
        let Limits { nano_cpus, memory, cpu_shares, memory_reservation } = Limits::new(resources);
        Ok(HostConfig {
            network_mode: match place.shares {
                Some(container) => Some(format!("container:{container}")),
                None => self.workload.template.networks.first().cloned(),
            },
            restart_policy: Some(restart_policy(self.workload.restart)),
            port_bindings: Some(port_bindings(&self.workload.template.ports)),
            mounts: Some(mounts),
            binds: Some(binds),
            nano_cpus,
            memory,
            // Kubernetes knows no swap; without this Docker would allow as much again.
            memory_swap: memory,
            cpu_shares,
            memory_reservation,
            group_add: Some(groups.iter().map(u32::to_string).collect()),
            readonly_rootfs: Some(*read_only),
            privileged: Some(*privileged),
            security_opt: no_new_privileges.then(|| vec!["no-new-privileges:true".to_owned()]),
            cap_add: Some(cap_add.clone()),
            cap_drop: Some(cap_drop.clone()),
            dns: shared.then(|| dns(&self.desired.installation, place.resolvers)),
            dns_search: shared.then(|| search(&self.desired.installation, &self.id.namespace)),
            dns_options: shared.then(|| vec!["ndots:5".to_owned()]),
            ..HostConfig::default()
        })
    }

    /// Returns mounts, and those that only the older form can say: a folder that is made if missing.
    fn mounts(&self, place: &Place<'_>) -> Result<(Vec<Mount>, Vec<String>), Error> {
        let (mut mounts, mut binds) = (Vec::new(), Vec::new());
        for mount in &self.container.mounts {
            let read_only = mount.read_only || matches!(mount.source, MountSource::Content(_));
            let bind = |source: String, create: bool, mounts: &mut Vec<Mount>, binds: &mut Vec<String>| match create {
                true => binds.push(format!("{source}:{}{}", mount.target, if read_only { ":ro" } else { "" })),
                false => mounts.push(engine_mount(MountType::BIND, source, &mount.target, read_only)),
            };
            match (&mount.source, self.volume(&mount.source), &mount.sub_path) {
                (MountSource::Host { path, create }, _, None) => bind(path.clone(), *create, &mut mounts, &mut binds),
                (MountSource::Host { path, create }, _, Some(sub_path)) => {
                    bind(format!("{}/{sub_path}", path.trim_end_matches('/')), *create, &mut mounts, &mut binds);
                }
                (_, Some(volume), None) => {
                    // The image's files at that path are copied into an empty volume only where people know it so.
                    let copies = self.id.kind == Kind::ComposeService && !self.workload.template.options.no_copy.contains(&mount.target);
                    let options = MountVolumeOptions { no_copy: Some(!copies), ..MountVolumeOptions::default() };
                    let volume = engine_mount(MountType::VOLUME, volume, &mount.target, read_only);
                    mounts.push(Mount { volume_options: Some(options), ..volume });
                }
                (source, Some(volume), Some(sub_path)) => {
                    let mountpoint = place.mountpoints.get(&volume).ok_or_else(|| {
                        Error::refused(Class::Host, "create", self.name(), format!("the folder of volume `{volume}` is not known"))
                    })?;
                    let create = !matches!(source, MountSource::Content(_));
                    bind(format!("{mountpoint}/{sub_path}"), create, &mut mounts, &mut binds);
                }
                (source, None, _) => {
                    let reason = format!("{source:?} is not part of the application");
                    return Err(Error::refused(Class::Internal, "create", self.name(), reason));
                }
            }
        }
        Ok((mounts, binds))
    }

    fn list(&self, list: Option<&[Text]>, place: &Place<'_>) -> Result<Option<Vec<String>>, Error> {
        list.map(|list| list.iter().map(|text| self.resolve(text, place)).collect()).transpose()
    }

    fn resolve(&self, text: &Text, place: &Place<'_>) -> Result<String, Error> {
        text.resolve(|field| self.lookup(*field, place)).map_err(|_| {
            Error::refused(Class::User, "create", self.name(), "a secret in its environment or command is not UTF-8; mount it as a file")
        })
    }

    fn lookup(&self, field: FieldRef, place: &Place<'_>) -> String {
        match field {
            FieldRef::Name => name::pod(self.id),
            FieldRef::Namespace => self.id.namespace.to_string(),
            FieldRef::Uid => uid(&format!("{} {} {}", self.desired.installation.owner, self.id, self.workload.hash)),
            FieldRef::Address => place.address.map(|address| address.to_string()).unwrap_or_default(),
            FieldRef::HostName => place.host_name.to_owned(),
            FieldRef::HostAddress => self.desired.installation.layout.gateway().to_string(),
        }
    }
}

/// Returns what the engine is asked for when a front is created.
pub(super) fn front(desired: &Desired, front: &Front) -> ContainerCreateBody {
    let first = front.networks.first();
    let shared = first.is_some_and(|network| network::is_shared(desired, network));
    let address = shared.then(|| desired.installation.layout.front());
    ContainerCreateBody {
        image: Some(pause::IMAGE.to_owned()),
        labels: Some(label::front(desired, front)),
        host_config: Some(HostConfig {
            network_mode: first.cloned(),
            restart_policy: Some(restart_policy(Restart::Always)),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
            readonly_rootfs: Some(true),
            sysctls: Some(HashMap::from([("net.ipv4.ip_forward".to_owned(), "1".to_owned())])),
            ..HostConfig::default()
        }),
        networking_config: Some(NetworkingConfig {
            endpoints_config: first.map(|first| HashMap::from([(first.clone(), network::endpoint(address, front.aliases.get(first)))])),
        }),
        ..ContainerCreateBody::default()
    }
}

/// Limits in the engine's words.
pub(super) struct Limits {
    pub(super) nano_cpus: Option<i64>,
    pub(super) memory: Option<i64>,
    pub(super) cpu_shares: Option<i64>,
    pub(super) memory_reservation: Option<i64>,
}

impl Limits {
    pub(super) fn new(resources: &Resources) -> Self {
        let Resources { cpu_limit, memory_limit, cpu_request, memory_request } = *resources;
        let number = |value: Option<u64>| value.map(|value| i64::try_from(value).unwrap_or(i64::MAX));
        Limits {
            nano_cpus: number(cpu_limit),
            memory: number(memory_limit),
            cpu_shares: number(cpu_request.map(field::cpu_weight)),
            memory_reservation: number(memory_request),
        }
    }
}

/// Returns a restart policy in the engine's words.
pub(super) fn restart_policy(restart: Restart) -> RestartPolicy {
    let name = match restart {
        Restart::Always => RestartPolicyNameEnum::ALWAYS,
        Restart::OnFailure => RestartPolicyNameEnum::ON_FAILURE,
        Restart::No => RestartPolicyNameEnum::NO,
    };
    RestartPolicy { name: Some(name), maximum_retry_count: None }
}

fn engine_mount(kind: MountType, source: String, target: &str, read_only: bool) -> Mount {
    Mount { typ: Some(kind), source: Some(source), target: Some(target.to_owned()), read_only: Some(read_only), ..Mount::default() }
}

/// The front first; the host's own resolvers answer for other names at once should nothing answer there.
fn dns(installation: &Installation, resolvers: &[Ipv4Addr]) -> Vec<String> {
    // The C library asks three at most.
    let upstream = resolvers.iter().take(2).copied();
    std::iter::once(installation.layout.front()).chain(upstream).map(|address| address.to_string()).collect()
}

fn search(installation: &Installation, namespace: &Name) -> Vec<String> {
    let domain = &installation.domain;
    vec![format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.clone()]
}

fn port_key(port: &HostPort) -> String {
    format!("{}/{}", port.container_port, port.protocol.as_str())
}

fn port_bindings(ports: &[HostPort]) -> PortMap {
    let mut bindings = PortMap::new();
    for port in ports {
        let binding = PortBinding { host_ip: port.address.map(|address| address.to_string()), host_port: Some(port.host_port.to_string()) };
        bindings.entry(port_key(port)).or_default().get_or_insert_default().push(binding);
    }
    bindings
}

/// Returns an id in the form of a UUID that follows from a text.
fn uid(text: &str) -> String {
    let digest = sha256(text.as_bytes());
    format!("{}-{}-{}-{}-{}", &digest[..8], &digest[8..12], &digest[12..16], &digest[16..20], &digest[20..32])
}
