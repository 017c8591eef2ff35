//! What a service asks of the engine and nobody else looks at: name, resolver, health, limits, devices.

use std::collections::BTreeMap;

use crate::desired::{HealthCheck, Healthcheck, Options, Range};
use crate::manifest::cursor::{Cursor, Fields};
use crate::manifest::node::{Located, Value};

use super::attribute::HEALTHCHECK;
use super::scalar;
use super::service::{close, sorted};

/// Reads what is passed on to the engine.
pub fn read(fields: &mut Fields<'_>) -> Options {
    let hosts = |(name, address): (Located<String>, Option<String>)| match address {
        Some(address) => format!("{}:{address}", name.value),
        // The older form has a colon between them.
        None => name.value,
    };
    let text = |(name, value): (Located<String>, Option<String>)| (name.value, value.unwrap_or_default());
    Options {
        container_name: container_name(fields),
        network_mode: network_mode(fields),
        domainname: scalar::text_of(fields, "domainname"),
        extra_hosts: sorted(scalar::pairs_of(fields, "extra_hosts").into_iter().map(hosts).collect()),
        dns: scalar::texts_of(fields, "dns"),
        dns_search: scalar::texts_of(fields, "dns_search"),
        dns_options: scalar::texts_of(fields, "dns_opt"),
        health: fields.get("healthcheck").and_then(|field| field.fields(healthcheck)).unwrap_or(Healthcheck::Image),
        stop_signal: scalar::text_of(fields, "stop_signal"),
        init: scalar::flag_of(fields, "init"),
        security_opt: sorted(scalar::texts_of(fields, "security_opt")),
        ulimits: ulimits(fields),
        sysctls: scalar::pairs_of(fields, "sysctls").into_iter().map(text).collect(),
        shm_size: fields.get("shm_size").and_then(|field| scalar::bytes(&field)),
        devices: devices(fields),
        pid: mode(fields, "pid", &["host"], &[]),
        uts: mode(fields, "uts", &["host"], &[]),
        cpuset: scalar::text_of(fields, "cpuset"),
        memswap_limit: memswap_limit(fields),
        oom_score_adj: fields.get("oom_score_adj").and_then(|field| scalar::integer(&field, -1000..=1000)).filter(|score| *score != 0),
        cgroup_parent: scalar::text_of(fields, "cgroup_parent"),
        runtime: scalar::text_of(fields, "runtime"),
        ipc: mode(fields, "ipc", &["host", "private", "shareable", "none"], &[]),
        platform: scalar::text_of(fields, "platform"),
        logging: logging(fields),
        ..Options::default()
    }
}

/// A service's network namespace may be shared; only one that is here can be looked after.
fn network_mode(fields: &mut Fields<'_>) -> Option<String> {
    let shared = fields.get("network_mode").and_then(|field| scalar::text(&field)).filter(|text| text.value.starts_with("service:"));
    match shared {
        Some(text) => Some(text.value),
        None => {
            let mode = mode(fields, "network_mode", &["host", "none", "service:NAME"], &["bridge"]);
            if let Some(field) = fields.get("network_mode").filter(|_| mode.is_none()) {
                let message = format!("`{}`: the service is on the project's own network, not on the engine's `bridge`", field.path());
                field.sink.warning("ignored", field.node().span, message, "leave it out: on `bridge` nobody finds a service by its name");
            }
            mode
        }
    }
}

/// Returns bytes of memory and swap together; -1 is as much as there is.
fn memswap_limit(fields: &mut Fields<'_>) -> Option<i64> {
    let field = fields.get("memswap_limit")?;
    match scalar::text(&field)?.value.as_str() {
        "-1" => Some(-1),
        _ => scalar::bytes(&field).and_then(|bytes| i64::try_from(bytes).ok()).filter(|bytes| *bytes > 0),
    }
}

fn container_name(fields: &mut Fields<'_>) -> Option<String> {
    let field = fields.get("container_name")?;
    let text = scalar::text(&field)?.value;
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if text.len() < 2 || !text.starts_with(|c: char| c.is_ascii_alphanumeric()) || !text.chars().all(valid) {
        let hint = "use two or more letters, digits, `_`, `.` and `-`, and begin with a letter or digit";
        field.error_with("bad-name", format!("is no name that the engine takes: `{}`", text.escape_debug()), hint);
    }
    Some(text)
}

/// Returns one of some words; those of `ordinary` ask for nothing.
fn mode(fields: &mut Fields<'_>, name: &'static str, words: &[&str], ordinary: &[&str]) -> Option<String> {
    let field = fields.get(name)?;
    let text = scalar::text(&field)?.value;
    if ordinary.contains(&text.as_str()) {
        return None;
    }
    if !words.contains(&text.as_str()) {
        let known = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        let message = format!("cannot be `{}`; supported: {known}", text.escape_debug());
        match text.starts_with("service:") || text.starts_with("container:") {
            true => field.error_with("unsupported-value", message, "only the network of a service of the file can be shared"),
            false => field.error("unsupported-value", message),
        }
    }
    Some(text)
}

fn healthcheck(fields: &mut Fields<'_>) -> Healthcheck {
    let disabled = scalar::flag_of(fields, "disable");
    let test = match fields.get("test") {
        None => Vec::new(),
        Some(field) => match &field.node().value {
            Value::List(_) => {
                let words: Vec<String> = scalar::texts(&field).into_iter().map(|word| word.value).collect();
                if !matches!(words.first().map(String::as_str), Some("NONE" | "CMD" | "CMD-SHELL") | None) {
                    let hint = "put `CMD` before a command and its arguments, or `CMD-SHELL` before a line for a shell";
                    field.error_with("unsupported-value", "must begin with `CMD`, `CMD-SHELL` or `NONE`", hint);
                }
                words
            }
            _ => scalar::text(&field).map(|text| vec!["CMD-SHELL".to_owned(), text.value]).unwrap_or_default(),
        },
    };
    let mut time = |name| {
        let duration = fields.get(name).and_then(|field| scalar::duration(&field)).unwrap_or_default();
        u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
    };
    let (interval, timeout, start_period) = (time("interval"), time("timeout"), time("start_period"));
    let retries = fields.get("retries").and_then(|field| scalar::integer(&field, 0..=i64::from(u16::MAX))).unwrap_or(0);
    close(fields, HEALTHCHECK);
    match disabled || test.first().is_some_and(|word| word == "NONE") {
        true => Healthcheck::Nobody,
        false => {
            let retries = u32::try_from(retries).unwrap_or(0);
            let check = HealthCheck { test, interval, timeout, start_period, retries };
            if check == HealthCheck::default() { Healthcheck::Image } else { Healthcheck::Engine(check) }
        }
    }
}

fn ulimits(fields: &mut Fields<'_>) -> BTreeMap<String, Range> {
    let Some(field) = fields.get("ulimits") else { return BTreeMap::new() };
    const ALL: std::ops::RangeInclusive<i64> = -1..=i64::MAX;
    let read = |(name, entry): (&Located<String>, Cursor<'_>)| {
        let range = match &entry.node().value {
            Value::Map(_) => entry.fields(|fields| {
                let soft = fields.require("soft").and_then(|field| scalar::integer(&field, ALL));
                let hard = fields.require("hard").and_then(|field| scalar::integer(&field, ALL));
                Some(Range { soft: soft?, hard: hard? })
            })?,
            _ => scalar::integer(&entry, ALL).map(|both| Range { soft: both, hard: both }),
        };
        Some((name.value.clone(), range?))
    };
    field.entries().into_iter().filter_map(read).collect()
}

/// Devices as `HOST:CONTAINER:PERMISSIONS`.
fn devices(fields: &mut Fields<'_>) -> Vec<String> {
    let read = |item: Cursor<'_>| {
        let (host, container, permissions) = match &item.node().value {
            Value::Map(_) => item.fields(|fields| {
                let source = fields.require("source").and_then(|field| scalar::text(&field))?.value;
                Some((source, scalar::text_of(fields, "target"), scalar::text_of(fields, "permissions")))
            })??,
            _ => {
                let text = scalar::text(&item)?.value;
                let mut parts = text.splitn(3, ':').map(str::to_owned);
                (parts.next().unwrap_or_default(), parts.next(), parts.next())
            }
        };
        if !host.starts_with('/') {
            item.error_with("bad-path", format!("names no device: `{}`", host.escape_debug()), "write it as `/dev/NAME[:/dev/NAME[:rwm]]`");
        }
        Some(format!("{host}:{}:{}", container.unwrap_or_else(|| host.clone()), permissions.unwrap_or_else(|| "rwm".to_owned())))
    };
    sorted(fields.items("devices").into_iter().filter_map(read).collect())
}

fn logging(fields: &mut Fields<'_>) -> Option<(String, BTreeMap<String, String>)> {
    let field = fields.get("logging")?;
    field.fields(|fields| {
        let driver = scalar::text_of(fields, "driver").unwrap_or_default();
        let options = scalar::pairs_of(fields, "options");
        (driver, options.into_iter().map(|(name, value)| (name.value, value.unwrap_or_default())).collect())
    })
}
