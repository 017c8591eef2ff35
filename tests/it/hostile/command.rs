//! `check` and `review` on what is meant to hurt.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use super::attack::{Attack, What, attacks, commit, good, write};
use super::{CANARY, DEEP, MOST_MEMORY, PATIENCE, harm, peak};

/// Runs a command to its end; notes what is wrong with how it ran.
fn run(what: &str, folder: &Path, arguments: &[&str], wrong: &mut Vec<String>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftless"));
    command.args(arguments).current_dir(folder).env_clear().env(CANARY.0, CANARY.1).env("DRIFTLESS_STATE", folder.join("state"));
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    // Into files: pipes would have to be read meanwhile.
    let said = |name: &str| File::create(folder.join(name)).expect("a file");
    let began = Instant::now();
    let mut child = command.stdout(said("stdout")).stderr(said("stderr")).spawn().expect("the program");
    let mut most = 0;
    let status = loop {
        most = most.max(peak(child.id()).unwrap_or(0));
        if began.elapsed() > PATIENCE || most > 4 * MOST_MEMORY {
            let _ = child.kill();
        }
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let took = began.elapsed();
    let read = |name: &str| fs::read(folder.join(name)).expect("a file");
    let output = Output { status, stdout: read("stdout"), stderr: read("stderr") };
    if output.status.code().is_none_or(|code| code > 1) {
        wrong.push(format!("{what}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    if most > MOST_MEMORY || took > PATIENCE {
        wrong.push(format!("{what} takes {} MiB and {took:.1?}", most >> 10));
    }
    let said = [&output.stdout, &output.stderr];
    wrong.extend(said.iter().filter_map(|said| harm(said)).map(|harm| format!("{what} {harm}")));
    output
}

/// Returns all that was said, as one line for each finding.
fn findings(output: &Output) -> String {
    let Ok(checked) = serde_json::from_slice::<serde_json::Value>(&output.stdout) else {
        return String::from_utf8_lossy(&output.stderr).into_owned();
    };
    let line = |it: &serde_json::Value| {
        let place = |name: &str| it[name].as_u64().filter(|number| *number > 0).map(|number| format!(":{number}")).unwrap_or_default();
        format!(
            "{}{}{}: {}\n",
            it["file"].as_str().unwrap_or_default(),
            place("line"),
            place("column"),
            it["message"].as_str().unwrap_or_default()
        )
    };
    checked["findings"].as_array().into_iter().flatten().map(line).collect()
}

/// Returns the beginning of a text: some have thousands of lines.
fn beginning(text: &str) -> String {
    text.chars().take(3_000).collect()
}

#[test]
fn check_refuses_each_with_its_place() {
    let mut wrong = Vec::new();
    for attack in attacks() {
        let Attack { name, files, said } = &attack;
        let folder = tempfile::tempdir().expect("a folder");
        write(&folder.path().join(name), files);
        for format in attack.formats() {
            let output = run(&format!("`check` of {name} as {format}"), folder.path(), &["check", name, "-o", format], &mut wrong);
            let found = findings(&output);
            if output.status.code() != Some(i32::from(!said.is_empty())) {
                wrong.push(format!("{name} as {format} ends with {}: {}", output.status, beginning(&found)));
            }
            if *format == "json" {
                wrong.extend(attack.unsaid(&found).map(|line| format!("{name} is told `{line}`:\n{}", beginning(&found))));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn review_refuses_each_and_says_nothing_raw() {
    let folder = tempfile::tempdir().expect("a folder");
    let repository = folder.path().join("repository");
    let first = [("web.yaml".to_owned(), What::Text(good(1)))];
    let base = commit(&repository, [("good", first.as_slice())].into_iter(), 0);
    let attacks = attacks();
    let second = [("web.yaml".to_owned(), What::Text(good(2)))];
    let folders = attacks.iter().map(|it| (it.name, it.files.as_slice())).chain([("good", second.as_slice())]);
    let head = commit(&repository, folders, DEEP);
    let mut wrong = Vec::new();
    let named = attacks.iter().map(|it| (it.name, it.formats()));
    for (name, formats) in named.chain(["good", "deep", "."].map(|name| (name, &["text"][..]))) {
        let is_good = attacks.iter().any(|it| it.name == name && it.said.is_empty()) || name == "good";
        for format in formats {
            let arguments = ["review", &base, &head, "--repo", "repository", "--path", name, "--name", "hostile", "-o", format];
            let output = run(&format!("`review` of {name} as {format}"), folder.path(), &arguments, &mut wrong);
            if output.status.code() != Some(i32::from(!is_good)) {
                let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
                wrong.push(format!("{name} as {format} ends with {}: {}", output.status, beginning(&said)));
            }
        }
    }
    // Nothing says which folder it is about: documents of applications are looked for.
    run("`review` of all", folder.path(), &["review", &base, &head, "--repo", "repository"], &mut wrong);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
