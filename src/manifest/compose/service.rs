//! A service, as written: every attribute of the specification is asked for by name here or refused by
//! the table in `attribute`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::desired::{Condition, HostPort, Options, Protocol, PullPolicy, Resources, Restart, field};
use crate::manifest::cursor::{Cursor, Fields};
use crate::manifest::image;
use crate::manifest::node::{Located, Span, Value};

use super::attribute::{self, DEPENDENCY, DEPLOY, ENDPOINT, SERVICE};
use super::label::{self, Wishes};
use super::update::Update;
use super::volume::{self, Reference, Volume};
use super::{option, port, scalar, update};

/// A service, as written.
pub struct Service {
    /// Where its name is written.
    pub span: Span,
    /// The image.
    pub image: String,
    /// When the image is pulled.
    pub pull: PullPolicy,
    /// Replaces the image's entrypoint.
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the image's command.
    pub command: Option<Vec<String>>,
    /// Variables; without a value they come from those that interpolation sees.
    pub environment: Vec<(Located<String>, Option<String>)>,
    /// Files with variables.
    pub env_files: Vec<EnvFile>,
    /// What is mounted.
    pub volumes: Vec<Volume>,
    /// Configs.
    pub configs: Vec<Reference>,
    /// Secrets.
    pub secrets: Vec<Reference>,
    /// Networks in order.
    pub networks: Vec<(Located<String>, Endpoint)>,
    /// The hardware address on the first network, and where it is written.
    pub mac: Option<Located<String>>,
    /// Services that come first.
    pub depends_on: Vec<Dependency>,
    /// How many replicas, and where that is written.
    pub replicas: Option<Located<u32>>,
    /// How replicas are replaced.
    pub update: Update,
    /// Limits and reservations.
    pub resources: Resources,
    /// What the host does when it ends.
    pub restart: Restart,
    /// Published ports.
    pub ports: Vec<(HostPort, Span)>,
    /// Ports that others on its networks use.
    pub expose: BTreeSet<(u16, Protocol)>,
    /// The author's labels.
    pub labels: BTreeMap<String, String>,
    /// What its labels ask of driftless.
    pub wishes: Wishes,
    /// Profiles, one of which must be enabled.
    pub profiles: Vec<String>,
    /// The user.
    pub user: Option<String>,
    /// Further groups by number.
    pub groups: Vec<u32>,
    /// The working folder.
    pub working_dir: Option<String>,
    /// The host name.
    pub hostname: Option<String>,
    /// Time from the stop signal to the kill.
    pub grace: Duration,
    /// The root file system is read-only.
    pub read_only: bool,
    /// All capabilities and devices.
    pub privileged: bool,
    /// A terminal is allocated.
    pub tty: bool,
    /// Standard input is kept open.
    pub stdin: bool,
    /// Added capabilities.
    pub cap_add: Vec<String>,
    /// Dropped capabilities.
    pub cap_drop: Vec<String>,
    /// What only Compose can ask for.
    pub options: Options,
}

/// A service on a network, as written.
#[derive(Default)]
pub struct Endpoint {
    /// Further names of the service.
    pub aliases: BTreeSet<String>,
    /// Its hardware address, and where that is written.
    pub mac: Option<Located<String>>,
}

/// A file with variables.
pub struct EnvFile {
    /// Its path, and where that is written.
    pub path: Located<String>,
    /// It must be there.
    pub required: bool,
    /// It is taken as it is, without interpolation.
    pub raw: bool,
}

/// A service that comes first.
pub struct Dependency {
    /// Its name.
    pub name: Located<String>,
    /// What must be true of it.
    pub condition: Condition,
    /// It must exist.
    pub required: bool,
    /// The service is replaced when that one is.
    pub restart: bool,
}

/// Decodes a service.
pub fn decode(field: &Cursor<'_>) -> Option<Service> {
    field.fields(|fields| {
        let (image, pull) = image_and_pull(fields);
        let deploy = deploy(fields);
        let (labels, wishes) = label::read(fields);
        let (groups, group_names) = groups(fields);
        let mut options = option::read(fields);
        options.pids_limit = limit(fields, "pids_limit").or(deploy.pids);
        options.written = written(fields, deploy.restart.is_some());
        let (restart, retries) = restart(fields, deploy.restart);
        options.retries = retries;
        options.group_names = group_names;
        options.tmpfs = volume::tmpfs(fields);
        let in_memory = options.tmpfs.keys().map(|target| (field::mount(target), format!("tmpfs[{target}]")));
        options.written.extend(in_memory);
        let service = Service {
            span: field.span(),
            image,
            pull,
            entrypoint: fields.get("entrypoint").and_then(|field| scalar::command(&field)),
            command: fields.get("command").and_then(|field| scalar::command(&field)),
            environment: scalar::pairs_of(fields, "environment"),
            env_files: env_files(fields),
            volumes: fields.items("volumes").iter().filter_map(volume::decode).collect(),
            configs: fields.items("configs").iter().filter_map(volume::reference).collect(),
            secrets: fields.items("secrets").iter().filter_map(volume::reference).collect(),
            networks: networks(fields),
            mac: fields.get("mac_address").and_then(|field| mac(&field)),
            depends_on: dependencies(fields),
            replicas: replicas(fields, deploy.replicas),
            update: deploy.update,
            resources: resources(fields, deploy.resources),
            restart,
            ports: fields.items("ports").iter().flat_map(port::published).collect(),
            expose: fields.items("expose").iter().flat_map(port::exposed).collect(),
            labels,
            wishes,
            profiles: scalar::texts_of(fields, "profiles"),
            user: scalar::text_of(fields, "user"),
            groups,
            working_dir: working_dir(fields),
            hostname: scalar::text_of(fields, "hostname"),
            grace: fields.get("stop_grace_period").and_then(|field| scalar::duration(&field)).unwrap_or(Duration::from_secs(10)),
            read_only: scalar::flag_of(fields, "read_only"),
            privileged: scalar::flag_of(fields, "privileged"),
            tty: scalar::flag_of(fields, "tty"),
            stdin: scalar::flag_of(fields, "stdin_open"),
            cap_add: capabilities(fields, "cap_add"),
            cap_drop: capabilities(fields, "cap_drop"),
            options,
        };
        build(fields, &service);
        close(fields, SERVICE);
        service
    })
}

/// Returns the names of fields that can be written in two places, where the less usual one was chosen.
fn written(fields: &mut Fields<'_>, deploys_restart: bool) -> BTreeMap<String, String> {
    let other = [
        (field::MEMORY_LIMIT, "mem_limit"),
        (field::MEMORY_REQUEST, "mem_reservation"),
        (field::CPU_LIMIT, "cpus"),
        (field::CPU_WEIGHT, "cpu_shares"),
        (field::PIDS, "pids_limit"),
        ("deploy.replicas", "scale"),
    ];
    let mut written: BTreeMap<String, String> =
        other.into_iter().filter(|(_, name)| fields.get(name).is_some()).map(|(path, name)| (path.to_owned(), name.to_owned())).collect();
    if deploys_restart && fields.get("restart").is_none() {
        written.insert(field::RESTART.to_owned(), "deploy.restart_policy.condition".to_owned());
    }
    written
}

/// Refuses and ignores what a table says, and extension fields.
pub fn close(fields: &mut Fields<'_>, table: &[attribute::Attribute]) {
    fields.refuse(&attribute::refused(table));
    fields.ignore(&attribute::ignored(table));
    fields.ignore_where(|name| name.starts_with("x-"));
    fields.say_of_unknown("the Compose specification has no such attribute here; names that begin with `x-` are yours");
}

fn build(fields: &mut Fields<'_>, service: &Service) {
    if let Some(build) = fields.get("build").filter(|_| !service.image.is_empty()) {
        let message = format!("`{}` is not built here: the image `{}` must come from elsewhere", build.path(), service.image);
        build.sink.note("not-built", build.span(), message);
    }
}

fn image_and_pull(fields: &mut Fields<'_>) -> (String, PullPolicy) {
    let builds = fields.get("build");
    let field = match (fields.get("image"), builds) {
        (None, Some(build)) => {
            build.error_with(
                "unsupported-field",
                "is not supported without `image`: images are built elsewhere",
                "push the image to a registry, and name it as `image`",
            );
            None
        }
        (None, None) => fields.require("image"),
        (image, _) => image,
    };
    let image = field.and_then(|field| {
        let text = scalar::text(&field)?.value;
        match image::parse(&text) {
            Ok(_) => Some(text),
            Err(problem) => {
                field.error_with("bad-image", format!("is no image reference: `{}`", text.escape_debug()), problem);
                None
            }
        }
    });
    let words = [
        ("missing", PullPolicy::IfNotPresent),
        ("if_not_present", PullPolicy::IfNotPresent),
        ("always", PullPolicy::Always),
        ("never", PullPolicy::Never),
    ];
    (image.unwrap_or_default(), fields.choice("pull_policy", &words))
}

fn working_dir(fields: &mut Fields<'_>) -> Option<String> {
    let field = fields.get("working_dir")?;
    let text = scalar::text(&field)?.value;
    if !text.starts_with('/') {
        field.error_with("bad-path", format!("must be an absolute path, but is `{}`", text.escape_debug()), "begin it with `/`");
    }
    Some(text)
}

fn env_files(fields: &mut Fields<'_>) -> Vec<EnvFile> {
    let Some(field) = fields.get("env_file") else { return Vec::new() };
    let short = |path: Located<String>| EnvFile { path, required: true, raw: false };
    let Value::List(_) = field.node().value else { return scalar::text(&field).map(short).into_iter().collect() };
    let read = |item: &Cursor<'_>| match &item.node().value {
        Value::Map(_) => item.fields(|fields| {
            let path = fields.require("path").and_then(|path| scalar::text(&path));
            let required = fields.get("required").and_then(|field| scalar::flag(&field)).unwrap_or(true);
            let raw = fields.choice("format", &[("", false), ("raw", true)]);
            path.map(|path| EnvFile { path, required, raw })
        })?,
        _ => scalar::text(item).map(short),
    };
    field.items().iter().filter_map(read).collect()
}

fn networks(fields: &mut Fields<'_>) -> Vec<(Located<String>, Endpoint)> {
    let Some(field) = fields.get("networks") else { return Vec::new() };
    if let Value::List(_) = field.node().value {
        return scalar::texts(&field).into_iter().map(|name| (name, Endpoint::default())).collect();
    }
    let read = |(name, written): (&Located<String>, Cursor<'_>)| {
        let mut endpoint = Endpoint::default();
        if !written.node().is_null() {
            written.fields(|fields| {
                endpoint.aliases.extend(scalar::texts_of(fields, "aliases"));
                endpoint.mac = fields.get("mac_address").and_then(|field| mac(&field));
                close(fields, ENDPOINT);
            });
        }
        (name.clone(), endpoint)
    };
    field.entries().into_iter().map(read).collect()
}

/// Returns a hardware address in the engine's form: six pairs of digits with colons between.
fn mac(field: &Cursor<'_>) -> Option<Located<String>> {
    let text = scalar::text(field)?;
    let value = text.value.to_ascii_lowercase().replace('-', ":");
    let pairs: Vec<&str> = value.split(':').collect();
    let valid = pairs.len() == 6 && pairs.iter().all(|pair| pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit()));
    if !valid {
        field.error_with(
            "bad-address",
            format!("is no hardware address: `{}`", text.value.escape_debug()),
            "write it as `02:42:ac:11:00:02`",
        );
        return None;
    }
    Some(Located { value, span: text.span })
}

fn dependencies(fields: &mut Fields<'_>) -> Vec<Dependency> {
    let Some(field) = fields.get("depends_on") else { return Vec::new() };
    if let Value::List(_) = field.node().value {
        let started = |name| Dependency { name, condition: Condition::Started, required: true, restart: false };
        return scalar::texts(&field).into_iter().map(started).collect();
    }
    let words = [
        ("service_started", Condition::Started),
        ("service_healthy", Condition::Healthy),
        ("service_completed_successfully", Condition::Completed),
    ];
    let read = |(name, entry): (&Located<String>, Cursor<'_>)| {
        let mut dependency = Dependency { name: name.clone(), condition: Condition::Started, required: true, restart: false };
        if !entry.node().is_null() {
            entry.fields(|fields| {
                dependency.condition = fields.choice("condition", &words);
                dependency.required = fields.get("required").and_then(|field| scalar::flag(&field)).unwrap_or(true);
                dependency.restart = scalar::flag_of(fields, "restart");
                close(fields, DEPENDENCY);
            });
        }
        dependency
    };
    field.entries().into_iter().map(read).collect()
}

/// What `deploy` says.
#[derive(Default)]
struct Deploy {
    replicas: Option<Located<u32>>,
    update: Update,
    resources: Resources,
    pids: Option<u64>,
    restart: Option<(Restart, Option<u32>)>,
}

fn deploy(fields: &mut Fields<'_>) -> Deploy {
    let Some(field) = fields.get("deploy") else { return Deploy::default() };
    let decode = |fields: &mut Fields<'_>| {
        fields.only("mode", &Value::Text("replicated".to_owned()), "on one host every mode comes to a number: write `replicas`");
        let (resources, pids) = fields.get("resources").and_then(|field| field.fields(deploy_resources)).unwrap_or_default();
        let deploy = Deploy {
            replicas: count(fields, "replicas"),
            update: update::read(fields),
            resources,
            pids,
            restart: fields.get("restart_policy").and_then(|field| field.fields(update::restart_policy)),
        };
        close(fields, DEPLOY);
        deploy
    };
    field.fields(decode).unwrap_or_default()
}

pub(super) fn count(fields: &mut Fields<'_>, name: &'static str) -> Option<Located<u32>> {
    let field = fields.get(name)?;
    let value = u32::try_from(scalar::integer(&field, 0..=10_000)?).ok()?;
    Some(Located { value, span: field.node().span })
}

fn replicas(fields: &mut Fields<'_>, deploy: Option<Located<u32>>) -> Option<Located<u32>> {
    let scale = count(fields, "scale");
    match (&scale, &deploy) {
        (Some(scale), Some(deploy)) if scale.value != deploy.value => {
            let message = "`scale` contradicts `deploy.replicas`";
            fields.cursor().sink.error_with("contradiction", scale.span, message, "leave one of them out");
        }
        _ => {}
    }
    scale.or(deploy)
}

fn restart(fields: &mut Fields<'_>, deploy: Option<(Restart, Option<u32>)>) -> (Restart, Option<u32>) {
    let Some(field) = fields.get("restart") else { return deploy.unwrap_or((Restart::No, None)) };
    let Some(text) = scalar::text(&field) else { return (Restart::No, None) };
    let (word, retries) = match text.value.split_once(':') {
        Some((word, retries)) => (word, Some(retries.parse::<u32>())),
        None => (text.value.as_str(), None),
    };
    match (word, retries) {
        ("no" | "false", None) => (Restart::No, None),
        ("always" | "unless-stopped", None) => (Restart::Always, None),
        ("on-failure", None) => (Restart::OnFailure, None),
        ("on-failure", Some(Ok(retries))) => (Restart::OnFailure, (retries > 0).then_some(retries)),
        _ => {
            let message =
                format!("cannot be `{}`; supported: `no`, `always`, `unless-stopped`, `on-failure[:N]`", text.value.escape_debug());
            field.error("unsupported-value", message);
            (Restart::No, None)
        }
    }
}

/// Returns limits and reservations, and how many processes there may be.
fn deploy_resources(fields: &mut Fields<'_>) -> (Resources, Option<u64>) {
    const DEVICES: &str = "devices cannot be reserved yet";
    let mut pids = None;
    let mut part = |name| {
        let decode = |fields: &mut Fields<'_>| {
            let part =
                (fields.get("cpus").and_then(|field| scalar::cores(&field)), fields.get("memory").and_then(|field| scalar::bytes(&field)));
            if name == "limits" {
                pids = limit(fields, "pids");
            }
            fields.refuse(&[("devices", DEVICES), ("generic_resources", DEVICES)]);
            part
        };
        fields.get(name).and_then(|field| field.fields(decode)).unwrap_or_default()
    };
    let ((cpu_limit, memory_limit), (cpu_request, memory_request)) = (part("limits"), part("reservations"));
    (Resources { cpu_limit, memory_limit, cpu_request, memory_request }, pids)
}

/// Returns a limit of which -1 and 0 mean that there is none.
fn limit(fields: &mut Fields<'_>, name: &'static str) -> Option<u64> {
    let number = fields.get(name).and_then(|field| scalar::integer(&field, -1..=i64::from(u32::MAX)))?;
    u64::try_from(number).ok().filter(|number| *number > 0)
}

/// Returns the share of cores that Docker's relative weight stands for: the least that comes to it again.
fn share(weight: i64) -> Option<u64> {
    let weight = u64::try_from(weight).ok().filter(|weight| *weight > 0)?;
    Some((weight * 1_000_000_000).div_ceil(1024))
}

fn resources(fields: &mut Fields<'_>, deploy: Resources) -> Resources {
    Resources {
        cpu_limit: fields.get("cpus").and_then(|field| scalar::cores(&field)).or(deploy.cpu_limit),
        memory_limit: fields.get("mem_limit").and_then(|field| scalar::bytes(&field)).or(deploy.memory_limit),
        cpu_request: fields.get("cpu_shares").and_then(|field| share(scalar::integer(&field, 0..=1 << 18)?)).or(deploy.cpu_request),
        memory_request: fields.get("mem_reservation").and_then(|field| scalar::bytes(&field)).or(deploy.memory_request),
    }
}

/// Returns further groups: as numbers if all of them are, otherwise by name, so that one field has them.
fn groups(fields: &mut Fields<'_>) -> (Vec<u32>, Vec<String>) {
    let groups = scalar::texts_of(fields, "group_add");
    match groups.iter().map(|group| group.parse()).collect() {
        Ok(numbers) => (sorted(numbers), Vec::new()),
        Err(std::num::ParseIntError { .. }) => (Vec::new(), sorted(groups)),
    }
}

pub(super) fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort();
    list.dedup();
    list
}

fn capabilities(fields: &mut Fields<'_>, name: &'static str) -> Vec<String> {
    let upper = scalar::texts_of(fields, name).into_iter().map(|name| name.to_uppercase());
    sorted(upper.map(|name| name.strip_prefix("CAP_").map(str::to_owned).unwrap_or(name)).collect())
}
