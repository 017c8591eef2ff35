//! Objects as written to the desired state: references resolved, defaults applied.
//!
//! It always returns a state, also of objects with errors, so that every check runs; whoever calls
//! looks at the sink before using it.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::{
    self, Backend, Container, Content, ContentId, Desired, EmptyDir, Exclusive, Front, Goal, Identity, Mount, MountSource, Network,
    Options, Restart, Secret, ServicePort, Spec, Template, Text, Volume, Workload,
};
use crate::manifest::Context;
use crate::manifest::cursor::nearest;
use crate::manifest::node::Located;
use crate::manifest::sink::Sink;
use crate::name::{Kind, Name, ObjectId};

use super::deployment::{self, Deployment};
use super::env::Scope;
use super::index::{Entry, Index};
use super::security::Security;
use super::service::{Port, PortRef, Service};
use super::volume::{Source, VolumeMount};
use super::{Object, Objects, check, content};

/// Kubernetes means "never" by the largest number.
const NEVER: u64 = i32::MAX as u64;

/// Lowers all objects.
pub fn lower(objects: &Objects, context: &Context, sink: &Sink) -> Desired {
    let lower = Lower { objects, index: Index::new(objects), context, sink };
    let mut contents = BTreeMap::new();
    let workload = |(id, object): Entry<'_>| (id.clone(), lower.workload(id, object, &mut contents));
    let workloads: BTreeMap<_, _> = objects.deployments.iter().map(workload).collect();
    let services: BTreeMap<_, _> = objects.services.iter().map(|(id, object)| (id.clone(), lower.service(id, object))).collect();
    check::check(objects, &lower.index, &workloads, sink);
    let (networks, fronts) = match workloads.is_empty() && services.is_empty() {
        true => Default::default(),
        false => shared(&context.installation.owner),
    };
    Desired {
        application: context.application.clone(),
        revision: context.revision.clone(),
        installation: context.installation.clone(),
        settings: context.settings.clone(),
        workloads,
        services,
        networks,
        volumes: objects.claims.iter().map(|(id, object)| (id.clone(), volume(id, object.value.single_writer))).collect(),
        contents,
        fronts,
        logins: lower.logins(),
        findings: Vec::new(),
    }
}

/// Returns what all applications of an installation share: the network, and the front of all Services.
fn shared(owner: &Name) -> (BTreeMap<ObjectId, Network>, BTreeMap<ObjectId, Front>) {
    let host_name = format!("driftless-{owner}");
    let id = |kind, name: &str| ObjectId::new(owner.clone(), kind, Name::try_from(name).expect("a valid name"));
    let network = Network { id: id(Kind::Network, &host_name), host_name: host_name.clone(), shared: true, options: Default::default() };
    let front = Front {
        id: id(Kind::Front, "services"),
        host_name: format!("{host_name}-front"),
        networks: vec![host_name],
        shared: true,
        label: "services".to_owned(),
        aliases: BTreeMap::new(),
        labels: BTreeMap::new(),
    };
    ([(network.id.clone(), network)].into(), [(front.id.clone(), front)].into())
}

fn volume(id: &ObjectId, single_writer: bool) -> Volume {
    Volume { id: id.clone(), host_name: volume_name(id), single_writer, options: Default::default() }
}

/// The name on the host of a claim's volume.
pub fn volume_name(claim: &ObjectId) -> String {
    format!("{}_{}", claim.namespace, claim.name)
}

/// What lowering looks at.
struct Lower<'a> {
    objects: &'a Objects,
    index: Index<'a>,
    context: &'a Context,
    sink: &'a Sink,
}

impl Lower<'_> {
    fn workload(&self, id: &ObjectId, object: &Object<Deployment>, contents: &mut BTreeMap<ContentId, Content>) -> Workload {
        let Lower { objects, index: _, context, sink } = self;
        let scope = Scope { objects, namespace: &id.namespace, sink };
        let Object { span, wishes, value: written } = object;
        let settings = &context.settings;
        let key = &context.installation.key;
        let mut build =
            Build { scope, context, template: &written.template, contents, exclusive: BTreeSet::new(), empty_dirs: BTreeMap::new() };
        let template = build.template();
        let exclusive = build.exclusive.into_iter().collect();
        let spec = Spec::new(&template, Restart::Always, volume_of_source, key);
        let hash = spec.hash(key);
        let deadline = written.deadline.unwrap_or(settings.deadline);
        Workload {
            id: id.clone(),
            place: scope.sink.place(*span),
            replicas: written.replicas.value,
            identity: Identity::Generated,
            goal: Goal::Serving,
            strategy: written.strategy,
            exclusive,
            dependencies: Vec::new(),
            min_ready: written.min_ready,
            delay: std::time::Duration::ZERO,
            settle: wishes.settle.unwrap_or(settings.settle),
            deadline: (deadline.as_secs() < NEVER).then_some(deadline),
            paused: written.paused,
            history_limit: written.history_limit,
            on_failure: wishes.on_failure.unwrap_or(settings.on_failure),
            drain: wishes.drain.unwrap_or(settings.drain),
            template,
            restart: Restart::Always,
            spec,
            hash,
        }
    }

    /// Returns the credentials of registries by the images that are pulled with them.
    fn logins(&self) -> BTreeMap<String, Vec<Secret>> {
        const KEY: &str = ".dockerconfigjson";
        let mut logins: BTreeMap<String, Vec<Secret>> = BTreeMap::new();
        for (id, object) in &self.objects.deployments {
            let scope = Scope { objects: self.objects, namespace: &id.namespace, sink: self.sink };
            let template = &object.value.template;
            for name in &template.pull_secrets {
                let Some(data) = scope.data(Kind::Secret, name, false) else { continue };
                match data.entries.get(KEY) {
                    Some(entry) => logins.entry(template.container.image.clone()).or_default().push(Secret::new(entry.bytes.clone())),
                    None => {
                        let message = format!("Secret `{}` has no key `{KEY}`, which holds the credentials of registries", name.value);
                        let hint = "make it of the type `kubernetes.io/dockerconfigjson`, with the `config.json` of Docker's client";
                        self.sink.error_with("missing-key", name.span, message, hint);
                    }
                }
            }
        }
        logins
    }

    fn service(&self, id: &ObjectId, object: &Object<Service>) -> desired::Service {
        let Lower { objects, index, context, sink } = self;
        let Object { span: _, wishes, value: written } = object;
        let selected = match written.selector.value.is_empty() {
            true => Vec::new(),
            false => index.selected(&id.namespace, &written.selector.value),
        };
        if selected.is_empty() && !written.selector.value.is_empty() && !objects.incomplete {
            let message = format!("Service `{}` selects nothing: no Deployment in namespace `{}` has these labels", id.name, id.namespace);
            sink.warning("selects-nothing", written.selector.span, message, "its name answers, but connections are refused");
        }
        let backends = selected.iter().map(|entry| backend(*entry, written)).collect();
        check::service_ports(written, &selected, sink);
        check::service_address(written, context.installation.layout.services(), sink);
        let port = |port: &Port| ServicePort { name: port.name.clone(), protocol: port.protocol, port: port.port };
        desired::Service {
            id: id.clone(),
            headless: written.headless,
            publish_not_ready: written.publish_not_ready,
            address: written.address.as_ref().map(|address| address.value),
            ports: written.ports.iter().map(port).collect(),
            backends,
            hold: wishes.hold.unwrap_or(context.settings.hold),
        }
    }
}

fn volume_of_source(source: &MountSource) -> String {
    match source {
        MountSource::Volume(id) => volume_name(id),
        _ => String::new(),
    }
}

/// A volume whose references are looked up.
enum Resolved {
    Content(Content),
    EmptyDir(EmptyDir),
    Claim { id: ObjectId, read_only: bool, single_writer: bool },
    Host { path: String, create: bool },
}

/// A template in the making.
struct Build<'a> {
    scope: Scope<'a>,
    context: &'a Context,
    template: &'a deployment::Template,
    contents: &'a mut BTreeMap<ContentId, Content>,
    exclusive: BTreeSet<Exclusive>,
    empty_dirs: BTreeMap<Name, EmptyDir>,
}

impl Build<'_> {
    fn template(&mut self) -> Template {
        let deployment::Template { labels, annotations, container, volumes: _, security: _, grace, pull_secrets: _ } = self.template;
        let mut ports: Vec<desired::HostPort> = container.host_ports.iter().map(|port| port.value.clone()).collect();
        ports.sort();
        ports.dedup();
        self.exclusive.extend(ports.iter().map(|port| Exclusive::HostPort(port.protocol, port.host_port)));
        let container = self.container();
        Template {
            containers: vec![container],
            networks: vec![format!("driftless-{}", self.context.installation.owner)],
            ports,
            empty_dirs: std::mem::take(&mut self.empty_dirs),
            labels: labels.clone(),
            annotations: annotations.clone(),
            hostname: None,
            grace: *grace,
            options: Options::default(),
        }
    }

    fn container(&mut self) -> Container {
        let written = &self.template.container;
        let env = self.scope.variables(written, self.template);
        let expand = |words: &Option<Vec<Located<String>>>| -> Option<Vec<Text>> {
            Some(words.as_ref()?.iter().filter_map(|word| self.scope.argument(word, &env)).collect())
        };
        let (command, args) = (expand(&written.command), expand(&written.args));
        let volumes: BTreeMap<&Name, Resolved> =
            self.template.volumes.iter().filter_map(|volume| Some((&volume.name, self.resolve(volume)?))).collect();
        let mut mounts: Vec<Mount> = written.mounts.iter().filter_map(|mount| self.mount(mount, &volumes)).collect();
        mounts.sort_by(|a, b| a.target.cmp(&b.target));
        let (user, groups) = self.identity(&self.template.security, &written.security);
        Container {
            name: written.name.clone(),
            image: written.image.clone(),
            pull: written.pull,
            command,
            args,
            working_dir: written.working_dir.clone(),
            env,
            mounts,
            named_ports: written.named_ports.clone(),
            resources: written.resources,
            user,
            groups,
            read_only: written.security.read_only,
            privileged: written.security.privileged,
            no_new_privileges: written.security.no_new_privileges,
            cap_add: written.security.cap_add.clone(),
            cap_drop: written.security.cap_drop.clone(),
            tty: written.tty,
            stdin: written.stdin,
            probes: written.probes.clone(),
            post_start: written.post_start.clone(),
            pre_stop: written.pre_stop.clone(),
        }
    }

    /// Returns what a mount means, if its volume exists.
    fn mount(&mut self, mount: &VolumeMount, volumes: &BTreeMap<&Name, Resolved>) -> Option<Mount> {
        let sink = self.scope.sink;
        let Some((name, volume)) = volumes.iter().find(|(name, _)| name.as_str() == mount.name.value) else {
            let message = format!("there is no volume `{}` in `volumes`", mount.name.value.escape_debug());
            match nearest(&mount.name.value, volumes.keys().map(|name| name.as_str())) {
                Some(name) => sink.error_with("missing-volume", mount.name.span, message, format!("did you mean `{name}`?")),
                None => sink.error("missing-volume", mount.name.span, message),
            }
            return None;
        };
        let (mut read_only, name) = (mount.read_only, (*name).clone());
        let source = match volume {
            Resolved::Content(content) => {
                let id = content::id(content, &self.context.installation.key);
                self.contents.entry(id.clone()).or_insert_with(|| content.clone());
                MountSource::Content(id)
            }
            Resolved::EmptyDir(empty_dir) => {
                self.empty_dirs.insert(name.clone(), *empty_dir);
                MountSource::EmptyDir(name)
            }
            Resolved::Claim { id, read_only: always, single_writer } => {
                read_only |= always;
                if *single_writer {
                    self.exclusive.insert(Exclusive::Volume(id.clone()));
                }
                MountSource::Volume(id.clone())
            }
            Resolved::Host { path, create } => MountSource::Host { path: path.clone(), create: *create },
        };
        Some(Mount { target: mount.target.value.clone(), source, sub_path: mount.sub_path.clone(), read_only })
    }

    /// Looks up what a volume refers to; also of volumes that nothing mounts, as Kubernetes does.
    fn resolve(&self, volume: &super::volume::Volume) -> Option<Resolved> {
        let scope = self.scope;
        Some(match &volume.source {
            Source::Data(data) => Resolved::Content(scope.content(data, volume.span)),
            Source::EmptyDir(empty_dir) => Resolved::EmptyDir(*empty_dir),
            Source::Host { path, create } => Resolved::Host { path: path.clone(), create: *create },
            Source::Claim { name, read_only } => {
                let id = scope.id(Kind::PersistentVolumeClaim, name)?;
                let claim = scope.objects.claims.get(&id);
                if claim.is_none() {
                    scope.missing(&id, name.span);
                }
                Resolved::Claim { id, read_only: *read_only, single_writer: claim.is_some_and(|claim| claim.value.single_writer) }
            }
        })
    }

    /// Returns the user and the further groups; what the container says wins over the replica.
    fn identity(&self, replica: &Security, container: &Security) -> (Option<String>, Vec<u32>) {
        let sink = self.scope.sink;
        let user = container.user.or(replica.user);
        let group = container.group.as_ref().or(replica.group.as_ref());
        if let (None, Some(group)) = (user, group) {
            sink.error_with("unsupported-field", group.span, "`runAsGroup` is not supported without `runAsUser`", "write both");
        }
        let non_root = container.non_root.as_ref().or(replica.non_root.as_ref());
        if let Some(non_root) = non_root.filter(|non_root| non_root.value) {
            match user {
                Some(0) => sink.error("contradiction", non_root.span, "`runAsNonRoot` contradicts `runAsUser: 0`"),
                Some(_) => {}
                None => {
                    let message = "`runAsNonRoot` is not enforced without `runAsUser`: whom the image runs as is not known here";
                    sink.warning("not-enforced", non_root.span, message, "write `runAsUser`");
                }
            }
        }
        let user = user.map(|user| match group {
            Some(group) => format!("{user}:{}", group.value),
            None => user.to_string(),
        });
        (user, replica.groups.clone())
    }
}

fn backend((workload, deployment): Entry<'_>, service: &Service) -> Backend {
    let named = &deployment.value.template.container.named_ports;
    let target = |port: &Port| match &port.target {
        PortRef::Number(number) => Some(*number),
        PortRef::Name(name) => named.get(&name.value).copied(),
    };
    Backend { workload: workload.clone(), targets: service.ports.iter().map(target).collect() }
}
