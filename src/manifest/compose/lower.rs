//! A project, as written, to the desired state: references looked up, defaults applied.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::desired;
use crate::desired::{
    Amount, Backend, Condition, Container, Content, ContentId, Declares, Dependency, Desired, Exclusive, Front, Goal, Identity,
    MountSource, Network, Probes, Protocol, ServicePort, Spec, Strategy, Template, Text, Volume, Workload,
};
use crate::manifest::node::{Located, Span};
use crate::manifest::sink::Sink;
use crate::manifest::{Context, Tree};
use crate::name::{Kind, Name, ObjectId};

use super::mount::{self, Mounts};
use super::service::Service;
use super::{MOST_BYTES, Project, check, env, label, unknown_name};

/// Variables of one file.
type Variables = Rc<BTreeMap<String, String>>;

/// Lowers a project.
pub fn lower(project: &Project, variables: &BTreeMap<String, String>, tree: &Tree, context: &Context, sink: &Sink) -> Desired {
    let settings = &context.settings.compose;
    let default_root = format!("/var/lib/driftless/data/{}", context.application);
    let data_root = settings.data_root.as_deref().unwrap_or(&default_root);
    let mounts = Mounts {
        project,
        tree,
        sink,
        key: &context.installation.key,
        data_root,
        external: &settings.external,
        delivered: RefCell::default(),
        left: Cell::new(MOST_BYTES),
    };
    let enabled = |service: &Service| service.profiles.is_empty() || service.profiles.iter().any(|it| settings.profiles.contains(it));
    let services: BTreeMap<&str, &Service> =
        project.services.iter().filter(|(_, service)| enabled(service)).map(|(name, service)| (name.value.as_str(), service)).collect();
    if services.is_empty()
        && let Some((name, _)) = project.services.first()
    {
        sink.warning("nothing", name.span, "no service is enabled", "enable a profile of theirs with `profiles`");
    }
    let mut lower = Lower {
        written: project.services.iter().map(|(name, _)| name.value.as_str()).collect(),
        project,
        variables,
        tree,
        context,
        sink,
        mounts,
        services,
        writers: BTreeMap::new(),
        env_files: RefCell::default(),
        left: Cell::new(MOST_BYTES),
        contents: BTreeMap::new(),
    };
    lower.count_writers();
    check::cycles(&lower.services, sink);
    check::shared(&lower.services, project.name.as_str(), sink);
    lower.all()
}

/// What a project is lowered with.
pub(super) struct Lower<'a> {
    pub(super) project: &'a Project,
    variables: &'a BTreeMap<String, String>,
    tree: &'a Tree,
    context: &'a Context,
    pub(super) sink: &'a Sink,
    mounts: Mounts<'a>,
    pub(super) services: BTreeMap<&'a str, &'a Service>,
    /// Names of all services, enabled or not.
    written: BTreeSet<&'a str>,
    /// How many replicas write each volume.
    writers: BTreeMap<String, u32>,
    /// Files with variables that were read before, by path and whether they are taken as they are.
    env_files: RefCell<BTreeMap<(String, bool), Variables>>,
    /// Bytes of variables that services may still have.
    left: Cell<usize>,
    contents: BTreeMap<ContentId, Content>,
}

impl Lower<'_> {
    fn all(&mut self) -> Desired {
        let (mut workloads, mut fronts, mut services) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut used = BTreeSet::new();
        for (name, service) in self.services.clone() {
            let Some(id) = self.id(Kind::ComposeService, name) else { continue };
            let front = self.front(name, service);
            let workload = self.workload(&id, service, front.is_some());
            used.extend(workload.template.networks.iter().cloned());
            if let Some(front) = front {
                services.insert(front.id.clone(), self.service(&front, &id, service));
                fronts.insert(front.id.clone(), front);
            }
            workloads.insert(id, workload);
        }
        self.follow(&mut workloads);
        let Context { application, revision, installation, settings, .. } = self.context;
        Desired {
            application: application.clone(),
            revision: revision.clone(),
            installation: installation.clone(),
            settings: settings.clone(),
            workloads,
            services,
            networks: self.networks(&used),
            volumes: self.volumes(),
            contents: std::mem::take(&mut self.contents),
            fronts,
            logins: BTreeMap::new(),
            findings: Vec::new(),
        }
    }

    fn id(&self, kind: Kind, name: &str) -> Option<ObjectId> {
        Some(ObjectId::new(self.project.name.clone(), kind, Name::try_from(name).ok()?))
    }

    /// How many replicas write a volume decides whether an update must stop the old one first.
    fn count_writers(&mut self) {
        for service in self.services.values() {
            let replicas = service.replicas.as_ref().map_or(1, |replicas| replicas.value);
            let names: BTreeSet<&String> = service
                .volumes
                .iter()
                .filter(|volume| !volume.read_only)
                .filter_map(|volume| if let super::volume::Source::Named { name, .. } = &volume.source { Some(&name.value) } else { None })
                .collect();
            for name in names {
                *self.writers.entry(name.clone()).or_default() += replicas;
            }
        }
    }

    /// Returns the ports that others on its networks use: what the file says, otherwise what its image
    /// declares, and who said so.
    fn declared_ports(&self, service: &Service) -> (BTreeSet<(u16, Protocol)>, Declares) {
        let published = service.ports.iter().map(|(port, _)| (port.container_port, port.protocol));
        let written: BTreeSet<(u16, Protocol)> = published.chain(service.expose.iter().copied()).collect();
        if !written.is_empty() || !self.may_have_front(service) {
            return (written, Declares::Manifest);
        }
        match self.context.settings.compose.exposed.get(&service.image) {
            None => (written, Declares::Unknown),
            Some(ports) if ports.is_empty() => (written, Declares::Manifest),
            Some(ports) => (ports.clone(), Declares::Image),
        }
    }

    fn may_have_front(&self, service: &Service) -> bool {
        service.wishes.front.unwrap_or(self.context.settings.compose.fronts) && service.options.network_mode.is_none()
    }

    /// Returns the front of a service that declares a port.
    fn front(&self, name: &str, service: &Service) -> Option<Front> {
        if !self.may_have_front(service) || self.declared_ports(service).0.is_empty() {
            return None;
        }
        let endpoints = self.endpoints(service);
        let aliases = |(network, mut aliases): (String, BTreeSet<String>)| {
            aliases.insert(name.to_owned());
            (network, aliases)
        };
        Some(Front {
            id: self.id(Kind::Front, name)?,
            host_name: format!("{}-{name}", self.project.name),
            networks: endpoints.iter().map(|(network, _)| network.clone()).collect(),
            shared: false,
            label: name.to_owned(),
            aliases: endpoints.into_iter().map(aliases).collect(),
            labels: service.labels.iter().filter(|(name, _)| label::is_for_proxies(name)).map(|(k, v)| (k.clone(), v.clone())).collect(),
        })
    }

    fn service(&self, front: &Front, workload: &ObjectId, service: &Service) -> desired::Service {
        let ports: Vec<(u16, Protocol)> = self.declared_ports(service).0.into_iter().collect();
        desired::Service {
            id: front.id.clone(),
            headless: false,
            publish_not_ready: false,
            address: None,
            ports: ports.iter().map(|(port, protocol)| ServicePort { name: String::new(), protocol: *protocol, port: *port }).collect(),
            backends: vec![Backend { workload: workload.clone(), targets: ports.iter().map(|(port, _)| Some(*port)).collect() }],
            hold: service.wishes.hold.unwrap_or(self.context.settings.hold),
        }
    }

    fn workload(&mut self, id: &ObjectId, service: &Service, has_front: bool) -> Workload {
        let settings = &self.context.settings;
        let found = self.mounts.of(service);
        let replicas = service.replicas.as_ref().map_or(1, |replicas| replicas.value);
        let exclusive = self.exclusive(service, &found, replicas);
        let template = self.template(id, service, found, has_front);
        self.check_shared_network(service);
        let alone = service.options.container_name.is_some() || service.options.network_mode.as_deref().is_some_and(|mode| mode != "none");
        if replicas > 1 && (service.options.container_name.is_some() || exclusive.iter().any(|it| !matches!(it, Exclusive::Volume(_)))) {
            let span = service.replicas.as_ref().map_or(service.span, |replicas| replicas.span);
            let message = "several replicas cannot have one `container_name`, one `mac_address`, or one port of the host";
            self.sink.error_with("not-several", span, message, "leave that out, or run one replica");
        }
        let stop_first = !exclusive.is_empty() || alone;
        if stop_first && service.update.start_first == Some(true) {
            self.sink.warning(
                "stops-first",
                service.span,
                "an update of this service stops the old replica first, although `order` says `start-first`",
                "a container name, a hardware address, a port of the host, a network namespace and a volume with one writer can be had once",
            );
        }
        let start_first = !stop_first && service.update.start_first.unwrap_or(has_front);
        let at_once = service.update.parallelism.map_or(1, |count| if count == 0 { replicas.max(1) } else { count });
        let (surge, unavailable) = if start_first { (at_once, 0) } else { (0, at_once) };
        let key = &self.context.installation.key;
        let spec = self.spec(&template, service.restart);
        Workload {
            id: id.clone(),
            place: self.sink.place(service.span),
            replicas,
            identity: Identity::Ordinal,
            goal: Goal::Serving,
            strategy: Strategy::Rolling { surge: Amount::Count(surge), unavailable: Amount::Count(unavailable) },
            exclusive,
            dependencies: self.dependencies(service),
            min_ready: std::time::Duration::ZERO,
            delay: service.update.delay,
            settle: service.wishes.settle.unwrap_or(settings.settle),
            deadline: (!settings.deadline.is_zero()).then_some(settings.deadline),
            paused: false,
            history_limit: 10,
            on_failure: service.wishes.on_failure.or(service.update.on_failure).unwrap_or(settings.on_failure),
            drain: service.wishes.drain.unwrap_or(settings.drain),
            hash: spec.hash(key),
            template,
            restart: service.restart,
            spec,
        }
    }

    /// Notes in each service what those ask for that it begins anew with, in the order in which they depend on one
    /// another: what is noted is a part of what the next asks for.
    fn follow(&self, workloads: &mut BTreeMap<ObjectId, Workload>) {
        let key = &self.context.installation.key;
        let followed = |service: &Service| -> BTreeSet<String> {
            let names = service.depends_on.iter().filter(|dependency| dependency.restart).map(|dependency| dependency.name.value.clone());
            names.filter(|name| self.services.contains_key(name.as_str())).collect()
        };
        let mut left: BTreeMap<&str, BTreeSet<String>> = self.services.iter().map(|(name, service)| (*name, followed(service))).collect();
        let mut followers: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        left.iter().for_each(|(name, all)| all.iter().for_each(|one| followers.entry(one.clone()).or_default().push(name)));
        let mut free: Vec<&str> = left.iter().filter(|(_, all)| all.is_empty()).map(|(name, _)| *name).collect();
        let mut digests: BTreeMap<String, String> = BTreeMap::new();
        while let Some(name) = free.pop() {
            let Some((id, service)) = self.id(Kind::ComposeService, name).zip(self.services.get(name)) else { continue };
            let Some(workload) = workloads.get_mut(&id) else { continue };
            let noted = followed(service).into_iter().filter_map(|one| Some((one.clone(), digests.get(&one)?.clone())));
            workload.template.options.follows = noted.collect();
            if !workload.template.options.follows.is_empty() {
                workload.spec = self.spec(&workload.template, workload.restart);
                workload.hash = workload.spec.hash(key);
            }
            if let Some(followers) = followers.get(name) {
                let asked = format!("{} {:?}", workload.hash, workload.spec.ports);
                digests.insert(name.to_owned(), key.digest(asked.as_bytes()).chars().take(16).collect());
                for follower in followers {
                    let all = left.get_mut(follower).map(|all| (all.remove(name), all.is_empty()));
                    free.extend(all.filter(|(_, done)| *done).map(|_| *follower));
                }
            }
        }
    }

    fn spec(&self, template: &Template, restart: desired::Restart) -> Spec {
        let volume = |source: &MountSource| match source {
            MountSource::Volume(id) => self.volume_name(id.name.as_str()),
            _ => String::new(),
        };
        Spec::new(template, restart, volume, &self.context.installation.key)
    }

    /// Returns what only one replica can have: ports of the host, and volumes that one replica writes.
    fn exclusive(&self, service: &Service, found: &mount::Found, replicas: u32) -> Vec<Exclusive> {
        let ports = service.ports.iter().filter(|(port, _)| port.host_port != 0);
        let ports = ports.map(|(port, _)| Exclusive::HostPort(port.protocol, port.host_port));
        let alone = |id: &&ObjectId| replicas == 1 && self.writers.get(id.name.as_str()) == Some(&1);
        let volumes = found.writes.iter().filter(alone).cloned().map(Exclusive::Volume);
        let all: BTreeSet<Exclusive> = ports.chain(volumes).chain(self.macs(service).into_values().map(Exclusive::Mac)).collect();
        all.into_iter().collect()
    }

    fn template(&mut self, id: &ObjectId, service: &Service, found: mount::Found, has_front: bool) -> Template {
        let endpoints = self.endpoints(service);
        let mut options = service.options.clone();
        options.tmpfs.extend(found.memory);
        options.no_copy = found.no_copy;
        options.written.extend(found.written);
        options.written.extend(self.network_paths(service));
        options.macs = self.macs(service);
        options.declares = self.declared_ports(service).1;
        // Where there is a front, it has the names.
        if !has_front {
            let own = |(network, mut aliases): (String, BTreeSet<String>)| {
                aliases.insert(id.name.to_string());
                (network, aliases)
            };
            options.aliases = endpoints.iter().cloned().map(own).collect();
        }
        self.contents.extend(found.contents);
        let mut ports: Vec<_> = service.ports.iter().map(|(port, _)| port.clone()).collect();
        ports.sort();
        ports.dedup();
        let words = |words: &Option<Vec<String>>| Some(words.as_ref()?.iter().map(Text::literal).collect());
        let container = Container {
            name: id.name.clone(),
            image: service.image.clone(),
            pull: service.pull,
            command: words(&service.entrypoint),
            args: words(&service.command),
            working_dir: service.working_dir.clone(),
            env: self.environment(service),
            mounts: found.mounts,
            named_ports: BTreeMap::new(),
            resources: service.resources,
            user: service.user.clone(),
            groups: service.groups.clone(),
            read_only: service.read_only,
            privileged: service.privileged,
            no_new_privileges: false,
            cap_add: service.cap_add.clone(),
            cap_drop: service.cap_drop.clone(),
            tty: service.tty,
            stdin: service.stdin,
            probes: Probes::default(),
            post_start: None,
            pre_stop: None,
        };
        Template {
            containers: vec![container],
            networks: endpoints.into_iter().map(|(network, _)| network).collect(),
            ports,
            empty_dirs: BTreeMap::new(),
            labels: service
                .labels
                .iter()
                .filter(|(k, _)| !(has_front && label::is_for_proxies(k)))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
            annotations: BTreeMap::new(),
            hostname: service.hostname.clone(),
            grace: service.grace,
            options,
        }
    }

    /// What `environment` says wins over `env_file`, and a later file over an earlier one.
    fn environment(&self, service: &Service) -> BTreeMap<String, Text> {
        let mut values = BTreeMap::new();
        for file in &service.env_files {
            let Some(path) = mount::within(&file.path.value) else {
                let message = format!("`{}` is outside of the application's folder", file.path.value.escape_debug());
                self.sink.error_with("bad-path", file.path.span, message, "put the file into the folder");
                continue;
            };
            if !file.required && !self.tree.files.contains_key(&path) {
                continue;
            }
            let read = self.env_file(path, file.raw, file.path.span);
            if !self.takes(read.iter(), file.path.span) {
                return BTreeMap::new();
            }
            values.extend(read.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        for (name, value) in &service.environment {
            match value.as_ref().or_else(|| self.variables.get(&name.value)) {
                Some(value) => drop(values.insert(name.value.clone(), value.clone())),
                None => drop(values.remove(&name.value)),
            }
        }
        values.into_iter().map(|(name, value)| (name, Text::literal(value))).collect()
    }

    fn env_file(&self, path: String, raw: bool, span: Span) -> Variables {
        if let Some(known) = self.env_files.borrow().get(&(path.clone(), raw)) {
            return known.clone();
        }
        let read = match env::file(self.tree, &path, span, self.sink) {
            None => BTreeMap::new(),
            Some(text) if raw => {
                text.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
            }
            Some(text) => env::read(text, env::number(self.tree, &path).unwrap_or_default(), self.variables, self.sink),
        };
        let read = Rc::new(read);
        self.env_files.borrow_mut().insert((path, raw), read.clone());
        read
    }

    /// Counts variables that a service has; many services with one large file would not fit into memory.
    fn takes<'v>(&self, values: impl Iterator<Item = (&'v String, &'v String)>, span: Span) -> bool {
        let bytes: usize = values.map(|(name, value)| name.len() + value.len()).sum();
        let left = self.left.get().checked_sub(bytes);
        if left.is_none() {
            let message = format!("the variables of all services have more than {} MiB together", MOST_BYTES >> 20);
            self.sink.error_with("too-large", span, message, "mount the file instead");
        }
        self.left.set(left.unwrap_or(0));
        left.is_some()
    }

    fn dependencies(&self, service: &Service) -> Vec<Dependency> {
        let known = |name: &Located<String>| self.written.contains(name.value.as_str());
        let mut dependencies = Vec::new();
        for dependency in &service.depends_on {
            let name = &dependency.name;
            if self.services.contains_key(name.value.as_str()) {
                let id = self.id(Kind::ComposeService, &name.value);
                dependencies.extend(id.map(|workload| Dependency { workload, condition: dependency.condition }));
            } else if dependency.required {
                if known(name) {
                    let message = format!("depends on `{}`, whose profile is not enabled", name.value);
                    self.sink.error_with("missing-service", name.span, message, "enable the profile, or write `required: false`");
                    continue;
                }
                let message = format!("depends on `{}`, and there is no such service", name.value.escape_debug());
                unknown_name("missing-service", name, message, self.services.keys().copied(), self.sink);
            }
        }
        let owner = service.options.shares_network_of().filter(|name| self.services.contains_key(name));
        if let Some(workload) = owner.and_then(|name| self.id(Kind::ComposeService, name))
            && !dependencies.iter().any(|dependency| dependency.workload == workload)
        {
            dependencies.push(Dependency { workload, condition: Condition::Started });
        }
        dependencies.sort();
        dependencies
    }

    fn networks(&self, used: &BTreeSet<String>) -> BTreeMap<ObjectId, Network> {
        let names = self.project.networks.keys().map(String::as_str).chain(["default"]);
        let network = |name: &str| {
            let declared = self.project.networks.get(name);
            let host_name = self.network_name(name);
            let wanted = used.contains(&host_name) && !declared.is_some_and(|declared| declared.external);
            let id = self.id(Kind::ComposeNetwork, name)?;
            let options = declared.map(|declared| declared.options.clone()).unwrap_or_default();
            wanted.then_some((id.clone(), Network { id, host_name, shared: false, options }))
        };
        names.filter_map(network).collect()
    }

    fn volume_name(&self, name: &str) -> String {
        let declared = self.project.volumes.get(name).and_then(|declared| declared.name.clone());
        declared.unwrap_or_else(|| format!("{}_{name}", self.project.name))
    }

    fn volumes(&self) -> BTreeMap<ObjectId, Volume> {
        let volume = |(name, declared): (&String, &super::Declared<desired::VolumeOptions>)| {
            let Some(id) = self.id(Kind::ComposeVolume, name) else {
                let message = format!("`{}` is no name of a volume", name.escape_debug());
                self.sink.error_with("bad-name", declared.span, message, "use letters, digits, `-`, `_` and `.`");
                return None;
            };
            let single_writer = self.writers.get(name) == Some(&1);
            let volume = Volume { id: id.clone(), host_name: self.volume_name(name), single_writer, options: declared.options.clone() };
            (!declared.external).then_some((id, volume))
        };
        self.project.volumes.iter().filter_map(volume).collect()
    }
}
