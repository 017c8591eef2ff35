//! The architecture as a table: which room may name which, and which foreign crate lives where.
//!
//! It is read from the sources by splitting at `crate::`, so no alias can hide an arrow. Tests inside a
//! room may use whatever they like.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of the core from the ground up, and what each may name.
const CORE: &[(&str, &[&str])] = &[
    ("name", &[]),
    ("time", &[]),
    ("finding", &[]),
    ("hash", &[]),
    ("desired", &["finding", "hash", "name"]),
    ("manifest", &["desired", "finding", "hash", "name", "time"]),
    ("host", &["desired", "name"]),
    ("observed", &["desired", "hash", "host", "name", "time"]),
    ("plan", &["desired", "finding", "hash", "host", "name", "observed", "time"]),
    ("reconcile", &["desired", "hash", "host", "name", "observed", "plan", "time"]),
    ("traffic", &["desired", "finding", "hash", "name", "observed", "time"]),
    ("report", &["finding", "name", "observed", "plan", "time"]),
    ("sim", &["desired", "hash", "host", "name", "observed", "plan", "reconcile", "report", "time"]),
    ("review", &["desired", "finding", "name", "plan", "report", "sim", "time"]),
];

/// The rooms of the shell, and what each may name of the shell; the whole core is open to all of them.
const SHELL: &[(&str, &[&str])] = &[
    ("docker", &["metric"]),
    ("metric", &[]),
    ("git", &[]),
    ("policy", &[]),
    ("probe", &[]),
    ("store", &[]),
    ("serve", &[]),
    ("config", &["git", "policy"]),
    ("agent", &["config", "docker", "git", "metric", "policy", "probe", "serve", "store"]),
    ("http", &["agent", "git", "metric", "store"]),
    ("forge", &["agent", "config", "git", "policy"]),
    ("cli", &["agent", "config", "docker", "forge", "git", "http", "policy", "serve"]),
];

/// Foreign crates, and the only room that names each.
const CRATES: &[(&str, &str)] = &[
    ("axum", "http"),
    ("bollard", "docker"),
    ("git2", "git"),
    ("hickory", "serve"),
    ("regorus", "policy"),
    ("rusqlite", "store"),
    ("saphyr", "manifest"),
    ("clap", "cli config"),
];

/// What the core has no need of: it is handed the time, the bytes and the settings.
const OUTSIDE: &[&str] =
    &["SystemTime::now", "Instant::now", "std::fs", "std::env", "std::net::Tcp", "std::process", "std::thread", "tokio"];

#[test]
fn a_room_names_only_rooms_below_it() {
    let core: BTreeSet<&str> = CORE.iter().map(|(room, _)| *room).collect();
    let mut wrong = Vec::new();
    for (room, below) in CORE.iter().chain(SHELL) {
        let is_core = core.contains(room);
        for (file, text) in sources(room) {
            for named in rooms_named(&text).into_iter().filter(|named| named != room) {
                let allowed = below.contains(&named.as_str()) || (!is_core && core.contains(named.as_str()));
                if !allowed {
                    wrong.push(format!("{} names `{named}`, which `{room}` may not", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_has_every_room() {
    let listed: BTreeSet<String> = CORE.iter().chain(SHELL).map(|(room, _)| (*room).to_owned()).collect();
    let entries = fs::read_dir(folder("src")).expect("the sources").map(|entry| entry.expect("an entry").path());
    let rooms: BTreeSet<String> = entries.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    let rooms: BTreeSet<String> = rooms.into_iter().filter(|room| room != "lib" && room != "main").collect();
    assert_eq!(listed, rooms);
}

#[test]
fn foreign_crates_stay_in_their_rooms() {
    let mut wrong = Vec::new();
    for (room, _) in CORE.iter().chain(SHELL) {
        for (file, text) in sources(room) {
            for (name, _) in CRATES.iter().filter(|(_, homes)| !homes.split(' ').any(|home| home == *room)) {
                if code(&text).any(|line| line.contains(&format!("{name}::")) || line.contains(&format!("{name}_"))) {
                    wrong.push(format!("{} names `{name}`", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_core_looks_at_nothing_by_itself() {
    let mut wrong = Vec::new();
    for (room, _) in CORE {
        for (file, text) in sources(room) {
            for outside in OUTSIDE.iter().filter(|outside| code(&text).any(|line| line.contains(**outside))) {
                wrong.push(format!("{} names `{outside}`", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Manifests become a desired state in one place, so that policies see all of them.
#[test]
fn the_shell_builds_through_policies() {
    let mut wrong = Vec::new();
    for (room, _) in SHELL.iter().filter(|(room, _)| *room != "policy") {
        for (file, text) in sources(room) {
            let code: String = code(&text).collect::<Vec<_>>().join(" ");
            let named = code.split("manifest::").skip(1).map(|rest| rest.split(';').next().unwrap_or_default());
            let words = |text: &str| text.split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_owned).collect::<Vec<_>>();
            let first = |text: &str| {
                if text.starts_with('{') {
                    words(text.split('}').next().unwrap_or_default())
                } else {
                    words(text).into_iter().take(1).collect()
                }
            };
            if named.flat_map(first).any(|word| word == "build" || word == "judged") {
                wrong.push(format!("{} builds manifests without asking policies: use `policy::build`", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_of_tests_is_listed() {
    let main = fs::read_to_string(folder("tests/it/main.rs")).expect("the list");
    for entry in fs::read_dir(folder("tests/it")).expect("the tests") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a name");
        assert!(name == "main" || main.contains(&format!("mod {name};")), "tests/it/{name} is not in tests/it/main.rs");
    }
}

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Returns the sources of a room without its tests.
fn sources(room: &str) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder(&format!("src/{room}")), folder(&format!("src/{room}.rs"))];
    while let Some(path) = open.pop() {
        let is_test = path.file_stem().is_some_and(|stem| stem == "tests");
        if is_test || !path.exists() {
            continue;
        }
        if path.is_dir() {
            open.extend(fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source");
            let text = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
            found.insert(path, text);
        }
    }
    assert!(!found.is_empty(), "there is no room `{room}`");
    found
}

/// Returns the lines that are no comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

fn rooms_named(text: &str) -> BTreeSet<String> {
    let code: Vec<&str> = code(text).collect();
    let code = code.join("\n");
    let named = code.split("crate::").skip(1).map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default());
    let named: BTreeSet<String> = named.map(str::to_owned).collect();
    assert!(!named.contains(""), "`use crate::{{…}}` hides arrows: one room per `use`");
    named
}
