//! A container of a template, as written.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::desired::{FieldRef, Hook, HostPort, Probes, PullPolicy, Resources};
use crate::manifest::cursor::{Cursor, Fields};
use crate::manifest::image;
use crate::manifest::node::{Located, Span, Value};
use crate::name::{self, Kind, Name};

use super::meta::checked;
use super::security::{self, Security};
use super::service::{self, PROTOCOLS};
use super::volume::{self, VolumeMount};
use super::{probe, resource};

/// A container as written.
pub struct Container {
    /// Its name within the replica.
    pub name: Name,
    /// The image.
    pub image: String,
    /// When the image is pulled.
    pub pull: PullPolicy,
    /// Replaces the image's entrypoint.
    pub command: Option<Vec<Located<String>>>,
    /// Replaces the image's command.
    pub args: Option<Vec<Located<String>>>,
    /// The working folder.
    pub working_dir: Option<String>,
    /// Where variables come from as a whole, in order.
    pub env_from: Vec<EnvFrom>,
    /// Variables, in order.
    pub env: Vec<Variable>,
    /// Ports of the host that lead to it, and where they are written.
    pub host_ports: Vec<Located<HostPort>>,
    /// Named ports.
    pub named_ports: BTreeMap<String, u16>,
    /// Limits and reservations.
    pub resources: Resources,
    /// What is mounted.
    pub mounts: Vec<VolumeMount>,
    /// Users and rights.
    pub security: Security,
    /// Health questions.
    pub probes: Probes,
    /// Runs right after the start.
    pub post_start: Option<Hook>,
    /// Runs before the stop signal.
    pub pre_stop: Option<Hook>,
    /// A terminal is allocated.
    pub tty: bool,
    /// Standard input is kept open.
    pub stdin: bool,
}

/// All values of a ConfigMap or Secret as variables.
pub struct EnvFrom {
    /// What goes before each key.
    pub prefix: String,
    /// ConfigMap or Secret.
    pub kind: Kind,
    /// Its name.
    pub name: Located<String>,
    /// It need not exist.
    pub optional: bool,
}

/// A variable.
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Where its value comes from.
    pub source: VariableSource,
    /// Where it is written.
    pub span: Span,
}

/// Where a variable's value comes from.
pub enum VariableSource {
    /// It is written down.
    Value(String),
    /// From a key of a ConfigMap or Secret.
    Key {
        /// ConfigMap or Secret.
        kind: Kind,
        /// The object's name.
        name: Located<String>,
        /// The key.
        key: Located<String>,
        /// It need not exist.
        optional: bool,
    },
    /// From a field of the replica.
    Field(FieldRef),
    /// From a label of the template.
    Label(String),
    /// From an annotation of the template.
    Annotation(String),
}

/// Decodes a container.
pub fn decode(field: &Cursor<'_>) -> Option<Container> {
    field.fields(|fields| {
        let name = fields.require("name").and_then(|name| checked(&name, name::dns_label));
        let (image, pull) = image_and_pull(fields);
        // An empty list is no list, as in Kubernetes.
        let command = fields.get("command").map(|field| field.texts()).filter(|words| !words.is_empty());
        let args = fields.get("args").map(|field| field.texts()).filter(|words| !words.is_empty());
        let working_dir = fields.get("workingDir").and_then(|field| working_dir(&field));
        let ports: Vec<Port> = fields.items("ports").iter().filter_map(port).collect();
        let named_ports = named(&ports, fields);
        let (post_start, pre_stop) = probe::lifecycle(fields, &named_ports);
        let container = Container {
            name: name.clone().unwrap_or_else(|| Name::try_from("container").expect("a valid name")),
            image,
            pull,
            command,
            args,
            working_dir,
            env_from: fields.items("envFrom").iter().filter_map(env_from).collect(),
            env: fields.items("env").iter().filter_map(variable).collect(),
            host_ports: ports.into_iter().filter_map(|port| port.host).collect(),
            resources: resource::decode(fields),
            mounts: fields.items("volumeMounts").iter().filter_map(volume::mount).collect(),
            security: security::container(fields),
            probes: probe::probes(fields, &named_ports),
            named_ports,
            post_start,
            pre_stop,
            tty: fields.flag("tty"),
            stdin: fields.flag("stdin"),
        };
        refuse(fields);
        container
    })
}

fn refuse(fields: &mut Fields<'_>) {
    const MESSAGES: &str = "write what matters to the log";
    fields.only("stdinOnce", &Value::Bool(false), "standard input stays open");
    fields.only("terminationMessagePath", &Value::Text("/dev/termination-log".to_owned()), MESSAGES);
    fields.only("terminationMessagePolicy", &Value::Text("File".to_owned()), MESSAGES);
    fields.refuse(&[
        ("volumeDevices", "volumes are folders"),
        ("resizePolicy", "cpu and memory are changed in place"),
        ("restartPolicy", "a container is restarted whenever it ends"),
        ("restartPolicyRules", "a container is restarted whenever it ends"),
    ]);
}

fn image_and_pull(fields: &mut Fields<'_>) -> (String, PullPolicy) {
    let image = fields.require("image").and_then(|field| {
        let text = field.filled()?;
        match image::parse(&text.value) {
            Ok(reference) => Some((text.value.clone(), matches!((reference.tag, reference.digest), (Some("latest"), _) | (None, false)))),
            Err(problem) => {
                field.error_with("bad-image", format!("is no image reference: `{}`", text.value.escape_debug()), problem);
                None
            }
        }
    });
    let (image, latest) = image.unwrap_or_default();
    let default = if latest { PullPolicy::Always } else { PullPolicy::IfNotPresent };
    let words = [("Always", PullPolicy::Always), ("IfNotPresent", PullPolicy::IfNotPresent), ("Never", PullPolicy::Never)];
    let pull = if fields.get("imagePullPolicy").is_some() { fields.choice("imagePullPolicy", &words) } else { default };
    (image, pull)
}

fn working_dir(field: &Cursor<'_>) -> Option<String> {
    let text = field.text()?.value;
    if !text.is_empty() && (!text.starts_with('/') || text.contains(char::is_control)) {
        field.error("bad-path", format!("must be an absolute path, but is `{}`", text.escape_debug()));
        return None;
    }
    Some(text).filter(|text| !text.is_empty())
}

/// A port as written.
struct Port {
    name: Option<Located<String>>,
    number: u16,
    host: Option<Located<HostPort>>,
}

fn port(field: &Cursor<'_>) -> Option<Port> {
    field.fields(|fields| {
        let name = fields.get("name").and_then(|name| service::port_name(&name));
        let number = fields.require("containerPort").and_then(|port| service::number(&port));
        let protocol = fields.choice("protocol", PROTOCOLS);
        let address = fields.get("hostIP").and_then(|field| host_ip(&field));
        let host = fields.get("hostPort").and_then(|field| {
            let port = field.integer(0..=65535)?;
            // 0 means none, as in Kubernetes.
            u16::try_from(port).ok().filter(|port| *port != 0).map(|port| Located { value: port, span: field.span() })
        });
        // A stand-in keeps the name known, so that references to it are not reported as well.
        let number = number.unwrap_or(1);
        let host = host.map(|host| {
            let address = address.filter(|address| !address.is_unspecified());
            host.map(|host_port| HostPort { address, host_port, container_port: number, protocol })
        });
        Some(Port { name, number, host })
    })?
}

fn host_ip(field: &Cursor<'_>) -> Option<Ipv4Addr> {
    let text = field.text()?.value;
    if text.is_empty() {
        return None;
    }
    let address = text.parse().ok();
    if address.is_none() {
        field.error("bad-address", format!("is not an IPv4 address: `{}`", text.escape_debug()));
    }
    address
}

fn named(ports: &[Port], fields: &Fields<'_>) -> BTreeMap<String, u16> {
    let mut named = BTreeMap::new();
    for port in ports {
        if let Some(name) = &port.name
            && named.insert(name.value.clone(), port.number).is_some()
        {
            fields.cursor().sink.error("duplicate-name", name.span, format!("two ports are named `{}`", name.value));
        }
    }
    named
}

fn env_from(field: &Cursor<'_>) -> Option<EnvFrom> {
    field.fields(|fields| {
        let prefix = fields.get("prefix").and_then(|field| {
            let text = field.text()?;
            (text.value.is_empty() || is_variable(&field, &text.value)).then_some(text.value)
        });
        let read = |fields: &mut Fields<'_>| (fields.require("name").and_then(|name| name.filled()), fields.flag("optional"));
        let config_map = fields.get("configMapRef").map(|source| (Kind::ConfigMap, source));
        let secret = fields.get("secretRef").map(|source| (Kind::Secret, source));
        if config_map.is_some() == secret.is_some() {
            field.error("one-of", "must have exactly one of `configMapRef`, `secretRef`");
        }
        let (kind, source) = config_map.or(secret)?;
        let (name, optional) = source.fields(read)?;
        Some(EnvFrom { prefix: prefix.unwrap_or_default(), kind, name: name?, optional })
    })?
}

fn variable(field: &Cursor<'_>) -> Option<Variable> {
    field.fields(|fields| {
        let name = fields.require("name").and_then(|name| {
            let text = name.text()?;
            is_variable(&name, &text.value).then_some(text)
        });
        let value = fields.text("value");
        let from = fields.get("valueFrom");
        let source = match (value, from) {
            (Some(_), Some(from)) => {
                from.error("one-of", "cannot stand beside `value`");
                None
            }
            (value, None) => Some(VariableSource::Value(value.map(|value| value.value).unwrap_or_default())),
            (None, Some(from)) => from.fields(|fields| variable_source(fields))?,
        };
        let name = name?;
        Some(Variable { name: name.value, source: source?, span: name.span })
    })?
}

/// Checks a variable's name: printable ASCII without `=`, as Kubernetes has it since 1.34.
fn is_variable(field: &Cursor<'_>, name: &str) -> bool {
    let good = !name.is_empty() && name.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'=');
    if !good {
        field.error("bad-name", format!("is not the name of a variable: `{}`", name.escape_debug()));
    }
    good
}

fn variable_source(fields: &mut Fields<'_>) -> Option<VariableSource> {
    let mut found = Vec::new();
    for (word, kind) in [("configMapKeyRef", Kind::ConfigMap), ("secretKeyRef", Kind::Secret)] {
        if let Some(source) = fields.get(word) {
            let read = |fields: &mut Fields<'_>| {
                let name = fields.require("name").and_then(|name| name.filled());
                let key = fields.require("key").and_then(|key| key.filled());
                let optional = fields.flag("optional");
                Some(VariableSource::Key { kind, name: name?, key: key?, optional })
            };
            found.push(source.fields(read).flatten());
        }
    }
    if let Some(source) = fields.get("fieldRef") {
        let read = |fields: &mut Fields<'_>| {
            fields.only("apiVersion", &Value::Text("v1".to_owned()), "fields have the names of `v1`");
            field_ref(&fields.require("fieldPath")?)
        };
        found.push(source.fields(read).flatten());
    }
    let errors = fields.cursor().sink.errors();
    fields.refuse(&[
        ("resourceFieldRef", "write the number as the variable's `value`"),
        ("fileKeyRef", "write the value, or take it from a ConfigMap or Secret"),
    ]);
    if found.len() != 1 && fields.cursor().sink.errors() == errors {
        let cursor = fields.cursor();
        let message = format!("`{}` must have exactly one of `configMapKeyRef`, `secretKeyRef`, `fieldRef`", cursor.path());
        cursor.sink.error("one-of", cursor.span(), message);
    }
    found.into_iter().next().flatten()
}

fn field_ref(field: &Cursor<'_>) -> Option<VariableSource> {
    let text = field.filled()?.value;
    let subscript = |name: &str| Some(text.strip_prefix(name)?.strip_prefix("['")?.strip_suffix("']")?.to_owned());
    let known = match text.as_str() {
        "metadata.name" => Some(FieldRef::Name),
        "metadata.namespace" => Some(FieldRef::Namespace),
        "metadata.uid" => Some(FieldRef::Uid),
        "status.podIP" | "status.podIPs" => Some(FieldRef::Address),
        "spec.nodeName" => Some(FieldRef::HostName),
        "status.hostIP" | "status.hostIPs" => Some(FieldRef::HostAddress),
        _ => None,
    };
    let source = known
        .map(VariableSource::Field)
        .or_else(|| subscript("metadata.labels").map(VariableSource::Label))
        .or_else(|| subscript("metadata.annotations").map(VariableSource::Annotation));
    if source.is_none() {
        field.error_with(
            "unsupported-value",
            format!("cannot be `{}`", text.escape_debug()),
            "supported: metadata.name, metadata.namespace, metadata.uid, metadata.labels['KEY'], metadata.annotations['KEY'], spec.nodeName, status.hostIP, status.podIP",
        );
    }
    source
}
