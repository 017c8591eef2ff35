//! What rolls what: every byte that a replica is made of replaces its users and nobody else, and what
//! means the same makes no call at all.

use std::collections::BTreeSet;
use std::fs;

use crate::project::{APPLICATION, Project, long_or_skip};

/// One service for each way to be given bytes, and one that is given none.
const SHOP: &str = r#"
name: PROJECT
x-idle: &idle
  image: IMAGE
  command: [sleep, "1000000"]
  healthcheck: { disable: true }
  stop_signal: SIGKILL
services:
  variables:
    <<: *idle
    env_file: [shop.env]
  config:
    <<: *idle
    configs: [app]
  secret:
    <<: *idle
    secrets: [password]
  file:
    <<: *idle
    volumes: [./etc:/etc/app:ro]
  plain:
    <<: *idle
    environment: { GREETING: hello, EMPTY: "" }
    labels: { team: a }
    mem_limit: 64m
    cap_add: [NET_ADMIN, CHOWN]
    networks: [default]
    restart: unless-stopped
    stop_grace_period: 2s
    volumes: [data:/data]
configs:
  app: { file: ./app.conf }
secrets:
  password: { file: ./password }
volumes:
  data:
"#;

/// Which file is changed, and the only service that uses it.
const BYTES: &[(&str, &str)] =
    &[("shop.env", "variables"), ("app.conf", "config"), ("password", "secret"), ("etc/one.conf", "file"), ("etc/deep/two.conf", "file")];

/// Other ways to write what `SHOP` says.
const SAME: &[(&str, &str)] = &[
    (r#"[sleep, "1000000"]"#, "sleep 1000000"),
    ("{ GREETING: hello, EMPTY: \"\" }", "[EMPTY=, GREETING=hello]"),
    ("labels: { team: a }", "labels: [team=a]"),
    ("mem_limit: 64m", "deploy: { resources: { limits: { memory: 65536k } } }"),
    ("[NET_ADMIN, CHOWN]", "[CHOWN, NET_ADMIN]"),
    ("networks: [default]", "networks: { default: }"),
    ("restart: unless-stopped", "restart: always"),
    ("stop_grace_period: 2s", "stop_grace_period: 2000ms"),
    ("volumes: [data:/data]", "volumes: [{ type: volume, source: data, target: /data }]"),
    ("env_file: [shop.env]", "env_file: [{ path: shop.env, required: true }]"),
    ("configs: [app]", "configs: [{ source: app, target: /app }]"),
    ("secrets: [password]", "secrets: [{ source: password }]"),
    ("./etc:/etc/app:ro", "./etc/:/etc/app:ro"),
    ("GREETING: hello", "GREETING: \"${UNSET:-hello}\""),
    ("  plain:\n", "  # nobody else\n  plain:\n"),
    ("{ disable: true }", "{ test: [NONE] }"),
];

fn shop() -> Option<Project> {
    let mut project = Project::new()?;
    project.write("compose.yaml", SHOP);
    for (path, _) in BYTES {
        project.write(path, "KEY=1\n");
    }
    project.deploy();
    Some(project)
}

/// Returns the services of which a replica is another one than before.
fn rolled(project: &mut Project, change: impl FnOnce(&Project)) -> BTreeSet<String> {
    let before = project.containers();
    change(project);
    project.converge();
    let after = project.containers();
    let new = after.iter().filter(|(name, container)| before.get(*name) != Some(container)).map(|(name, _)| name);
    let prefix = format!("{}-", project.owner);
    let service = |name: &String| Some(name.strip_prefix(&prefix)?.rsplit_once('-')?.0.to_owned());
    assert_eq!(before.len(), after.len(), "{before:?} {after:?}");
    new.filter_map(service).collect()
}

#[test]
fn a_changed_byte_replaces_its_users_and_another_spelling_nobody() {
    let Some(mut project) = shop() else { return };
    for (path, service) in BYTES {
        let rolled = rolled(&mut project, |project| project.write(path, "KEY=2\n"));
        assert_eq!(rolled, [(*service).to_owned()].into(), "{path}");
    }
    let (containers, steps) = (project.containers(), project.steps());
    for (old, new) in SAME.iter().filter(|(old, _)| *old != "GREETING: hello") {
        project.edit("compose.yaml", old, new);
    }
    project.converge();
    assert_eq!(project.steps(), steps, "no call was made\n{}", project.scene());

    // Nothing of it is in the state folder alone.
    project.kill();
    fs::remove_dir_all(project.path("state")).expect("the state folder");
    project.start();
    project.wait("nothing is to be done with a lost state folder", Project::is_converged);
    assert_eq!(project.containers(), containers);
}

#[test]
fn each_spelling_alone_makes_no_call() {
    let Some(mut project) = long_or_skip().and_then(|()| shop()) else { return };
    let (containers, steps) = (project.containers(), project.steps());
    for (old, new) in SAME {
        project.edit("compose.yaml", old, new);
        project.converge();
        assert_eq!(project.steps(), steps, "{old} -> {new}\n{}", project.scene());
        project.write("compose.yaml", SHOP);
        project.converge();
    }
    for _ in 0..3 {
        let applied = project.command(&["apply", APPLICATION]).output().expect("the binary");
        assert!(applied.status.success());
    }
    assert_eq!((project.containers(), project.steps()), (containers, steps));
}
