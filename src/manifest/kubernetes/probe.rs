//! Probes and lifecycle hooks: what is asked of a container, and what runs when it starts and stops.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::desired::{Action, Hook, Probe, Probes};
use crate::manifest::cursor::{Cursor, Fields};

use super::service::{PortRef, port_ref};

/// Named ports of the container, which probes and hooks may refer to.
type Ports = BTreeMap<String, u16>;

/// Decodes a container's three probes.
pub fn probes(fields: &mut Fields<'_>, ports: &Ports) -> Probes {
    Probes {
        startup: fields.get("startupProbe").and_then(|field| probe(&field, ports, true)),
        liveness: fields.get("livenessProbe").and_then(|field| probe(&field, ports, true)),
        readiness: fields.get("readinessProbe").and_then(|field| probe(&field, ports, false)),
    }
}

/// Decodes one probe. `once`: a single good answer must do (startup and liveness).
fn probe(field: &Cursor<'_>, ports: &Ports, once: bool) -> Option<Probe> {
    field.fields(|fields| {
        let action = action(fields, ports, false);
        let seconds = |number: Option<i64>, default: u64| Duration::from_secs(number.map_or(default, |number| number.unsigned_abs()));
        let count = |number: Option<i64>, default: u32| number.and_then(|number| u32::try_from(number).ok()).unwrap_or(default);
        let most = i64::from(i32::MAX);
        let initial_delay = seconds(fields.integer("initialDelaySeconds", 0..=most), 0);
        let period = seconds(fields.integer("periodSeconds", 1..=most), 10);
        let timeout = seconds(fields.integer("timeoutSeconds", 1..=most), 1);
        let success_threshold = match fields.get("successThreshold") {
            Some(field) if once => {
                if field.integer(1..=most).is_some_and(|number| number != 1) {
                    field.error("out-of-range", "must be 1 for liveness and startup probes");
                }
                1
            }
            Some(field) => count(field.integer(1..=most), 1),
            None => 1,
        };
        let failure_threshold = count(fields.integer("failureThreshold", 1..=most), 3);
        fields.refuse(&[("terminationGracePeriodSeconds", "the replica's own grace period counts")]);
        Some(Probe { action: action?, initial_delay, period, timeout, success_threshold, failure_threshold })
    })?
}

/// Decodes `lifecycle`: the hooks after the start and before the stop.
pub fn lifecycle(fields: &mut Fields<'_>, ports: &Ports) -> (Option<Hook>, Option<Hook>) {
    let Some(field) = fields.get("lifecycle") else { return (None, None) };
    let hook = |field: Option<Cursor<'_>>| field?.fields(|fields| action(fields, ports, true).map(Hook))?;
    let hooks = field.fields(|fields| {
        let hooks = (hook(fields.get("postStart")), hook(fields.get("preStop")));
        fields.refuse(&[("stopSignal", "the image says which signal stops it (`STOPSIGNAL`)")]);
        hooks
    });
    hooks.unwrap_or_default()
}

/// Decodes what a probe or hook does; exactly one of the ways is written.
fn action(fields: &mut Fields<'_>, ports: &Ports, hook: bool) -> Option<Action> {
    let exec = fields.get("exec");
    let http = fields.get("httpGet");
    let tcp = if hook { None } else { fields.get("tcpSocket") };
    let sleep = if hook { fields.get("sleep") } else { None };
    let errors = fields.cursor().sink.errors();
    if hook {
        fields.refuse(&[("tcpSocket", "it does nothing in a hook, also in Kubernetes")]);
    } else {
        fields.refuse(&[("grpc", "ask with `exec`, `httpGet` or `tcpSocket`")]);
    }
    let ways = [&exec, &http, &tcp, &sleep].into_iter().flatten().count();
    if ways == 0 && fields.cursor().sink.errors() > errors {
        return None;
    }
    if ways != 1 {
        let known = if hook { "`exec`, `httpGet`, `sleep`" } else { "`exec`, `httpGet`, `tcpSocket`" };
        let cursor = fields.cursor();
        cursor.sink.error("one-of", cursor.span(), format!("`{}` must have exactly one of {known}", cursor.path()));
        return None;
    }
    exec.and_then(|field| field.fields(command)?)
        .or_else(|| http.and_then(|field| field.fields(|fields| http_get(fields, ports))?))
        .or_else(|| tcp.and_then(|field| field.fields(|fields| tcp_socket(fields, ports))?))
        .or_else(|| sleep.and_then(|field| field.fields(seconds)?))
}

fn command(fields: &mut Fields<'_>) -> Option<Action> {
    let words: Vec<String> = fields.require("command")?.texts().into_iter().map(|text| text.value).collect();
    (!words.is_empty()).then_some(Action::Exec(words))
}

fn seconds(fields: &mut Fields<'_>) -> Option<Action> {
    let seconds = fields.require("seconds")?.integer(0..=i64::from(i32::MAX))?;
    Some(Action::Sleep(seconds.unsigned_abs()))
}

fn tcp_socket(fields: &mut Fields<'_>, ports: &Ports) -> Option<Action> {
    let host = host(fields);
    let port = port(fields, ports);
    Some(Action::Tcp { host, port: port? })
}

fn http_get(fields: &mut Fields<'_>, ports: &Ports) -> Option<Action> {
    let scheme = fields.choice("scheme", &[("HTTP", "http"), ("HTTPS", "https")]).to_owned();
    let host = host(fields);
    let port = port(fields, ports);
    let path = match fields.text("path").map(|text| text.value).filter(|path| !path.is_empty()) {
        Some(path) if path.starts_with('/') => path,
        Some(path) => format!("/{path}"),
        None => "/".to_owned(),
    };
    let headers = fields.items("httpHeaders").iter().filter_map(header).collect();
    Some(Action::Http { scheme, host, port: port?, path, headers })
}

fn header(field: &Cursor<'_>) -> Option<(String, String)> {
    field.fields(|fields| {
        let name = fields.require("name").and_then(|name| name.filled());
        let value = fields.require("value").and_then(|value| value.text());
        Some((name?.value, value?.value))
    })?
}

fn host(fields: &mut Fields<'_>) -> Option<String> {
    fields.text("host").map(|text| text.value).filter(|host| !host.is_empty())
}

fn port(fields: &mut Fields<'_>, ports: &Ports) -> Option<u16> {
    let field = fields.require("port")?;
    match port_ref(&field)? {
        PortRef::Number(number) => Some(number),
        PortRef::Name(name) => {
            let port = ports.get(&name.value);
            if port.is_none() {
                field.error("no-such-port", format!("names the port `{}`, which the container does not have", name.value));
            }
            port.copied()
        }
    }
}
