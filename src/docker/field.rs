//! Reads a live container back into fields in canonical form, so that comparing it with what was
//! asked for is comparing two maps.
//!
//! What comes from the image or is the engine's own default is marked as inherited: nobody asked for
//! it, so it is no difference that nobody asks for it now.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{ContainerConfig, ContainerInspectResponse, EndpointSettings, HostConfig, ImageConfig, MountPoint, Volume};

use crate::desired::{Care, Options, field};
use crate::name::Kind;
use crate::observed::{Field, Labels};

use super::{answer, label, name, option};

/// The volumes of the host, as mounts refer to them.
pub(super) struct Volumes<'a> {
    by_name: HashMap<&'a str, &'a Volume>,
    by_folder: HashMap<&'a str, &'a Volume>,
    /// EmptyDirs in memory, each with its limit, by the name of their container.
    in_memory: HashMap<&'a str, Vec<(&'a str, u64)>>,
}

impl<'a> Volumes<'a> {
    pub(super) fn new(volumes: &'a [Volume]) -> Self {
        let mut in_memory: HashMap<&str, Vec<(&str, u64)>> = HashMap::new();
        for volume in volumes.iter().filter(|volume| volume.options.get("type").is_some_and(|kind| kind == "tmpfs")) {
            let size = volume.options.get("o").and_then(|options| options.strip_prefix("size=")?.parse().ok()).unwrap_or(0);
            if let (Some(container), Some(dir)) = (volume.labels.get(label::EMPTY_DIR_OF), volume.labels.get(label::EMPTY_DIR)) {
                in_memory.entry(container).or_default().push((dir, size));
            }
        }
        Volumes {
            by_name: volumes.iter().map(|volume| (volume.name.as_str(), volume)).collect(),
            by_folder: volumes.iter().map(|volume| (volume.mountpoint.as_str(), volume)).collect(),
            in_memory,
        }
    }

    /// Returns the volume that a path of the host lies in, and the path within it.
    pub(super) fn behind<'p>(&self, path: &'p str) -> Option<(&'a Volume, &'p str)> {
        let folders = path.match_indices('/').map(|(index, _)| path.split_at(index));
        folders.rev().find_map(|(folder, rest)| Some((*self.by_folder.get(folder)?, rest.trim_start_matches('/'))))
    }

    /// Returns the words for a volume.
    fn words(&self, volume: &str) -> String {
        let Some(known) = self.by_name.get(volume) else { return format!("volume {volume}") };
        if let Some(dir) = known.labels.get(label::EMPTY_DIR) {
            return format!("emptyDir {dir}");
        }
        match label::read_object(&known.labels) {
            Some(labels) if labels.object.kind == Kind::Content => format!("content {}", labels.object.name),
            _ => format!("volume {volume}"),
        }
    }
}

struct Fields(BTreeMap<String, Field>);

impl Fields {
    fn put(&mut self, path: impl Into<String>, value: impl Into<String>, inherited: bool) {
        self.0.insert(path.into(), Field { value: value.into(), inherited });
    }

    fn flag(&mut self, path: &str, value: Option<bool>) {
        if value == Some(true) {
            self.put(path, "true", false);
        }
    }

    fn list(&mut self, path: &str, list: Option<&Vec<String>>) {
        if let Some(list) = list.filter(|list| !list.is_empty()) {
            let mut sorted = list.clone();
            sorted.sort();
            self.put(path, label::json(&sorted), false);
        }
    }

    fn number(&mut self, path: &str, value: Option<i64>, inherited: Option<i64>) {
        if let Some(value) = value.filter(|value| *value > 0) {
            self.put(path, value.to_string(), Some(value) == inherited);
        }
    }
}

/// Returns the fields of a container of ours.
pub(super) fn fields(
    found: &ContainerInspectResponse,
    labels: &Labels,
    image: &ImageConfig,
    volumes: &Volumes<'_>,
) -> BTreeMap<String, Field> {
    let mut fields = Fields(BTreeMap::new());
    let empty = (ContainerConfig::default(), HostConfig::default());
    let config = found.config.as_ref().unwrap_or(&empty.0);
    let host = found.host_config.as_ref().unwrap_or(&empty.1);
    own_fields(&mut fields, config, labels, found.id.as_deref().unwrap_or_default());
    process_fields(&mut fields, config, image);
    host_fields(&mut fields, host);
    let networks: Vec<(&String, &EndpointSettings)> =
        found.network_settings.iter().filter_map(|settings| settings.networks.as_ref()).flatten().collect();
    match labels.object.kind {
        Kind::ComposeService => {
            option_fields(&mut fields, option::read(config, host, &networks, found.id.as_deref().unwrap_or_default()), image)
        }
        Kind::Front => {
            for (network, endpoint) in &networks {
                let names = option::aliases(endpoint, found.id.as_deref().unwrap_or_default());
                if !names.is_empty() {
                    fields.put(field::aliases(network), label::json(&names), false);
                }
            }
            no_new_privileges(&mut fields, host);
        }
        _ => no_new_privileges(&mut fields, host),
    }
    for mount in found.mounts.iter().flatten() {
        mount_field(&mut fields, mount, image, volumes);
    }
    for (dir, size) in volumes.in_memory.get(name::expected(labels).as_str()).into_iter().flatten() {
        fields.put(format!("emptyDirs[{dir}]"), format!("memory {size}"), false);
    }
    // The host's own network is no network of the engine.
    for (network, _) in networks.into_iter().filter(|(name, _)| !matches!(name.as_str(), "host" | "none")) {
        fields.put(field::network(network), "connected", false);
    }
    for port in answer::published(host) {
        let address = port.address.map(|address| address.to_string()).unwrap_or_default();
        let path = field::port(&format!("{address}:{}/{}", port.host_port, port.protocol.as_str()));
        fields.put(path, port.container_port.to_string(), false);
    }
    fields.put(field::RESTART, answer::restart_policy(found), false);
    fields.0
}

/// What is read from our own labels, or only shown if it is not what we give by default.
fn own_fields(fields: &mut Fields, config: &ContainerConfig, labels: &Labels, id: &str) {
    let written = config.labels.as_ref();
    if let Some(hook) = written.and_then(|labels| labels.get(label::POST_START)) {
        fields.put(field::POST_START, hook.clone(), false);
    }
    let care = written.and_then(|labels| serde_json::from_str::<Care>(labels.get(label::CARE)?).ok());
    if let Some(hook) = care.and_then(|care| care.pre_stop) {
        fields.put(field::PRE_STOP, label::json(&hook), false);
    }
    if let Some(hostname) = &config.hostname
        && *hostname != name::host(&labels.object)
        && !found_name(hostname, id)
    {
        fields.put(field::HOSTNAME, hostname.clone(), false);
    }
    if let Some(seconds) = config.stop_timeout.filter(|seconds| *seconds != 30) {
        fields.put(field::GRACE, seconds.to_string(), false);
    }
}

/// Without a host name of its own a container is called by its id.
fn found_name(hostname: &str, id: &str) -> bool {
    hostname.len() == 12 && id.starts_with(hostname)
}

fn process_fields(fields: &mut Fields, config: &ContainerConfig, image: &ImageConfig) {
    fields.put(field::IMAGE, config.image.clone().unwrap_or_default(), false);
    for (path, list, inherited) in [(field::COMMAND, &config.entrypoint, &image.entrypoint), (field::ARGS, &config.cmd, &image.cmd)] {
        if let Some(list) = list {
            fields.put(path, label::json(list), Some(list) == inherited.as_ref());
        }
    }
    for (path, text, inherited) in [(field::WORKING_DIR, &config.working_dir, &image.working_dir), (field::USER, &config.user, &image.user)]
    {
        if let Some(text) = text.as_ref().filter(|text| !text.is_empty()) {
            fields.put(path, text.clone(), Some(text) == inherited.as_ref());
        }
    }
    let inherited: Vec<&String> = image.env.iter().flatten().collect();
    for variable in config.env.iter().flatten() {
        // Without `=` a variable of the image is taken away, and so it is not there.
        let Some((name, value)) = variable.split_once('=') else { continue };
        fields.put(field::env(name), value, inherited.contains(&variable));
    }
    let inherited = image.labels.as_ref();
    for (name, value) in config.labels.iter().flatten().filter(|(name, _)| !label::is_added(name)) {
        fields.put(field::label(name), value.clone(), inherited.and_then(|labels| labels.get(name)) == Some(value));
    }
    fields.flag(field::TTY, config.tty);
    fields.flag(field::STDIN, config.open_stdin);
}

fn host_fields(fields: &mut Fields, host: &HostConfig) {
    let (groups, _) = option::groups(host);
    if !groups.is_empty() {
        fields.put(field::GROUPS, label::json(&groups), false);
    }
    fields.flag(field::READ_ONLY, host.readonly_rootfs);
    fields.flag(field::PRIVILEGED, host.privileged);
    fields.list(field::CAP_ADD, host.cap_add.as_ref());
    fields.list(field::CAP_DROP, host.cap_drop.as_ref());
    fields.number(field::CPU_LIMIT, host.nano_cpus, None);
    fields.number(field::MEMORY_LIMIT, host.memory, None);
    fields.number(field::MEMORY_REQUEST, host.memory_reservation, None);
    // The weight of a container without any; a live one cannot go back to having none.
    fields.number(field::CPU_WEIGHT, host.cpu_shares, Some(1024));
}

fn no_new_privileges(fields: &mut Fields, host: &HostConfig) {
    let options = host.security_opt.iter().flatten();
    let no_new = options.into_iter().any(|option| matches!(option.as_str(), "no-new-privileges" | "no-new-privileges:true"));
    fields.flag(field::NO_NEW_PRIVILEGES, Some(no_new));
}

/// What only Compose can ask for, in the words of what is asked for.
fn option_fields(fields: &mut Fields, found: Options, image: &ImageConfig) {
    let written = |options: &Options| {
        let mut map = BTreeMap::new();
        let mut put = |path, value| drop(map.insert(path, value));
        options.fields(&mut put);
        options.followed(&mut put);
        options.in_place(&mut put);
        map
    };
    let usual = written(&option::usual(&found, image));
    for (path, value) in written(&found) {
        let inherited = usual.get(&path) == Some(&value);
        fields.put(path, value, inherited);
    }
}

fn mount_field(fields: &mut Fields, mount: &MountPoint, image: &ImageConfig, volumes: &Volumes<'_>) {
    let Some(target) = &mount.destination else { return };
    let source = mount.source.as_deref().unwrap_or_default();
    let mut value = match (mount.typ.as_deref(), &mount.name) {
        (Some("volume"), Some(volume)) => volumes.words(volume),
        (Some("bind"), _) => match volumes.behind(source) {
            Some((volume, sub_path)) => format!("{}/{sub_path}", volumes.words(&volume.name)),
            None => format!("host {source}"),
        },
        (kind, _) => format!("{} {source}", kind.unwrap_or_default()).trim_end().to_owned(),
    };
    if mount.rw == Some(false) && !value.starts_with("content ") {
        value.push_str(" ro");
    }
    // The image asks for a volume there, so the engine made one without a name.
    let inherited = image.volumes.iter().flatten().any(|volume| volume == target)
        && mount.name.as_ref().is_some_and(|name| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()));
    fields.put(field::mount(target), value, inherited);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{Name, ObjectId};

    fn labels() -> Labels {
        Labels {
            owner: Name::try_from("test").expect("name"),
            application: Name::try_from("shop").ok(),
            object: ObjectId::try_from("shop/Deployment/web/a".to_owned()).expect("id"),
            container: "web".to_owned(),
            hash: None,
            created_revision: String::new(),
            front: None,
        }
    }

    fn strings(list: &[&str]) -> Option<Vec<String>> {
        Some(list.iter().map(|text| (*text).to_owned()).collect())
    }

    fn inherited(fields: &BTreeMap<String, Field>, path: &str) -> Option<(String, bool)> {
        fields.get(path).map(|field| (field.value.clone(), field.inherited))
    }

    #[test]
    fn what_the_image_says_is_inherited_and_what_we_say_is_not() {
        let image = ImageConfig {
            env: strings(&["PATH=/bin", "LANG=C"]),
            cmd: strings(&["sh"]),
            working_dir: Some("/srv".into()),
            ..ImageConfig::default()
        };
        let config = ContainerConfig {
            image: Some("web:1".into()),
            env: strings(&["LANG=de", "PATH=/bin"]),
            cmd: strings(&["sh"]),
            working_dir: Some("/srv".into()),
            user: Some("7".into()),
            hostname: Some("web-a".into()),
            stop_timeout: Some(30),
            ..ContainerConfig::default()
        };
        let found = ContainerInspectResponse { config: Some(config), ..ContainerInspectResponse::default() };
        let fields = fields(&found, &labels(), &image, &Volumes::new(&[]));
        assert_eq!(inherited(&fields, "env[PATH]"), Some(("/bin".into(), true)));
        assert_eq!(inherited(&fields, "env[LANG]"), Some(("de".into(), false)));
        assert_eq!(inherited(&fields, "args"), Some((r#"["sh"]"#.into(), true)));
        assert_eq!(inherited(&fields, "workingDir"), Some(("/srv".into(), true)));
        assert_eq!(inherited(&fields, "user"), Some(("7".into(), false)));
        assert_eq!(inherited(&fields, "hostname"), None);
        assert_eq!(inherited(&fields, "terminationGracePeriodSeconds"), None);
    }

    #[test]
    fn a_bind_into_a_volume_is_a_part_of_it() {
        let volume = Volume { name: "data".into(), mountpoint: "/var/lib/docker/volumes/data/_data".into(), ..Volume::default() };
        let volumes = [volume];
        let volumes = Volumes::new(&volumes);
        let found = volumes.behind("/var/lib/docker/volumes/data/_data/etc/app.conf");
        assert_eq!(found.map(|(volume, path)| (volume.name.as_str(), path)), Some(("data", "etc/app.conf")));
        assert!(volumes.behind("/var/lib/docker/volumes/data/_database").is_none());
    }
}
