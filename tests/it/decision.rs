//! What a person decides, carried out on a real engine: going back, hands off, another number. For both
//! formats, through the agent and the commands that ask it.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::project::{APPLICATION, Container, Project, container, docker};

/// One application in two formats.
struct Format {
    file: &'static str,
    text: &'static str,
    /// How the container of a replica is called begins so.
    prefix: &'static str,
    /// The workload's object without the project.
    object: &'static str,
    /// Where its number of replicas stands.
    replicas: &'static str,
}

const COMPOSE: Format = Format {
    file: "compose.yaml",
    text: r#"
name: PROJECT
services:
  web: &web
    image: IMAGE
    command: [sleep, "1000000"]
    healthcheck: { disable: true }
    stop_signal: SIGKILL
    environment: { RELEASE: "1" }
    deploy:
      replicas: 2
  other:
    <<: *web
    deploy: { replicas: 1 }
"#,
    prefix: "-web-",
    object: "service/web",
    replicas: "services.web.deploy.replicas",
};

const KUBERNETES: Format = Format {
    file: "shop.yaml",
    text: r#"
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: PROJECT }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{ name: web, image: IMAGE, imagePullPolicy: Never, env: [{ name: RELEASE, value: "1" }] }]
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: other, namespace: PROJECT }
spec:
  selector: { matchLabels: { app: other } }
  template:
    metadata: { labels: { app: other } }
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{ name: other, image: IMAGE, imagePullPolicy: Never, env: [{ name: OTHER, value: "1" }] }]
"#,
    prefix: "_web_",
    object: "Deployment/web",
    replicas: "spec.replicas",
};

impl Format {
    /// Deploys it; `None` if tests may not use an engine.
    fn deploy(&self) -> Option<Project> {
        let mut project = Project::new()?;
        project.write(self.file, self.text);
        project.deploy();
        Some(project)
    }

    /// Returns the workload as an argument: application and object.
    fn target(&self, project: &Project) -> String {
        format!("{APPLICATION}/{}/{}", project.owner, self.object)
    }

    /// Returns what each replica of the workload was told to be.
    fn releases(&self, project: &Project) -> Vec<String> {
        let of = |container: Container| {
            let env = docker(&["inspect", "--format", "{{range .Config.Env}}{{println .}}{{end}}", &container.id]);
            env.lines().find_map(|line| line.strip_prefix("RELEASE=")).unwrap_or_default().to_owned()
        };
        self.replicas(project).into_iter().map(of).collect()
    }

    fn replicas(&self, project: &Project) -> BTreeSet<Container> {
        let prefix = format!("{}{}", project.owner, self.prefix);
        project
            .containers()
            .into_iter()
            .filter(|(name, _)| name.starts_with(&prefix) && !name.contains("-leaving-"))
            .map(|it| it.1)
            .collect()
    }
}

/// Runs a command that must end with this code; returns what it printed.
fn ends(project: &Project, code: i32, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = project.command(arguments).output().expect("the binary");
    let text = String::from_utf8_lossy(&stdout).into_owned();
    assert_eq!(status.code(), Some(code), "{arguments:?}: {text}{}\n{}", String::from_utf8_lossy(&stderr), project.scene());
    text
}

/// Returns the kinds of what happened, newest first.
fn history(project: &Project) -> Vec<String> {
    let events = project.json(&["history", APPLICATION])["events"].clone();
    events.as_array().expect("a list").iter().map(|event| event["kind"].as_str().expect("a kind").to_owned()).collect()
}

fn is_running(container: &str) -> bool {
    docker(&["inspect", "--format", "{{.State.Running}}", container]) == "true"
}

fn drift(project: &Project) -> Vec<Value> {
    project.json(&["drift", APPLICATION])["drift"].as_array().cloned().unwrap_or_default()
}

#[test]
fn a_compose_application_goes_back_and_stays_until_git_asks_for_something_else() {
    goes_back(&COMPOSE);
}

#[test]
fn a_kubernetes_application_goes_back_and_stays_until_git_asks_for_something_else() {
    goes_back(&KUBERNETES);
}

fn goes_back(format: &Format) {
    let Some(mut project) = format.deploy() else { return };
    let first = project.status()["revision"].clone();
    let message = ends(&project, 1, &["rollback", APPLICATION]);
    assert_eq!(message, "", "nothing was healthy before");
    project.edit(format.file, "\"1\"", "\"2\"");
    project.converge();
    assert_eq!(format.releases(&project), ["2", "2"]);

    let message = ends(&project, 0, &["rollback", APPLICATION]);
    assert!(message.starts_with(&format!("{APPLICATION} is back at ")), "{message}");
    let is_back = |project: &Project| {
        let status = project.status();
        status["rolledBack"] == true && status["revision"] == first && status["head"] != first && status["health"] == "Healthy"
    };
    assert!(is_back(&project), "{}", project.scene());
    assert_eq!(format.releases(&project), ["1", "1"]);
    assert_eq!(history(&project).iter().filter(|kind| *kind == "rolled back").count(), 1);

    // It is a decision, so it outlives the agent; and what is kept is healed.
    project.kill();
    project.start();
    project.wait("it is still back", is_back);
    let before = format.replicas(&project);
    docker(&["rm", "-f", &before.first().expect("a replica").id]);
    project.wait("it is healed", |project| format.replicas(project).len() == 2 && is_back(project));
    assert_eq!(format.releases(&project), ["1", "1"]);

    project.edit(format.file, "\"2\"", "\"3\"");
    project.converge();
    assert_eq!(format.releases(&project), ["3", "3"]);
    assert_eq!(project.status()["rolledBack"], false);
}

#[test]
fn a_suspended_compose_application_is_left_alone_until_it_is_resumed() {
    is_left_alone(&COMPOSE);
}

#[test]
fn a_suspended_kubernetes_application_is_left_alone_until_it_is_resumed() {
    is_left_alone(&KUBERNETES);
}

fn is_left_alone(format: &Format) {
    let Some(mut project) = format.deploy() else { return };
    let workload = format.target(&project);
    // A workload: its neighbour goes on being kept.
    ends(&project, 0, &["suspend", &workload]);
    kill_one(&project, format);
    let stopped = format.replicas(&project);
    let other = project.containers().into_keys().find(|name| name.contains("other")).expect("a replica of the other");
    let killed = container(&other);
    docker(&["kill", &other]);
    project.wait("the other is started", |_| container(&other) != killed && is_running(&other));
    assert_eq!(format.replicas(&project), stopped, "a suspended one was started");
    ends(&project, 0, &["resume", &workload]);
    project.wait("what was killed is started", Project::is_converged);

    // All of it, also over a restart of the agent: a new revision waits, and nothing is healed.
    ends(&project, 0, &["suspend", APPLICATION]);
    let kept = project.status()["revision"].clone();
    project.edit(format.file, "\"1\"", "\"3\"");
    kill_one(&project, format);
    let before = project.containers();
    project.kill();
    project.start();
    project.wait("it is told what waits", |project| {
        let status = project.status();
        status["health"] == "Suspended" && status["revision"] == kept && status["head"] != kept && drift(project).len() == 1
    });
    assert_eq!(drift(&project)[0]["healed"], false);
    assert_eq!(project.containers(), before, "something was changed");
    ends(&project, 0, &["resume", APPLICATION]);
    project.converge();
    assert_eq!(format.releases(&project), ["3", "3"]);
    let history = history(&project);
    let count = |kind: &str| history.iter().filter(|known| *known == kind).count();
    assert_eq!((count("suspended"), count("resumed")), (2, 2), "{history:?}");
}

/// Kills a replica, and waits until that is known and nobody mends it.
fn kill_one(project: &Project, format: &Format) {
    let replica = format.replicas(project).pop_first().expect("a replica");
    docker(&["kill", &replica.id]);
    project.wait("it is known that one does not run", |project| {
        let drift = drift(project);
        drift.iter().any(|drift| drift["what"] == "stopped" && drift["healed"] == false)
    });
}

#[test]
fn another_number_of_compose_replicas_is_a_patch_or_ends_by_itself() {
    is_scaled(&COMPOSE);
}

#[test]
fn another_number_of_kubernetes_replicas_is_a_patch_or_ends_by_itself() {
    is_scaled(&KUBERNETES);
}

fn is_scaled(format: &Format) {
    let Some(mut project) = format.deploy() else { return };
    let workload = format.target(&project);
    let steady = format.replicas(&project);

    // For a while: it holds, is drift that nobody mends, and outlives the agent.
    ends(&project, 0, &["scale", &workload, "3", "--until", "1h"]);
    let holds = |project: &Project| {
        let drift = drift(project);
        let (entry, status) = (drift.first().unwrap_or(&Value::Null), project.status());
        let field = &entry["fields"][0];
        drift.len() == 1
            && entry["object"] == format!("{}/{}", project.owner, format.object)
            && (&entry["what"], &entry["healed"]) == (&"changed".into(), &false.into())
            && (&field["path"], &field["expected"]) == (&format.replicas.into(), &"2".into())
            && field["actual"].as_str().is_some_and(|actual| actual.starts_with("3, an override until "))
            && (&status["sync"], &status["health"]) == (&"OutOfSync".into(), &"Healthy".into())
            && format.replicas(project).len() == 3
    };
    project.wait("the override holds", holds);
    assert!(format.replicas(&project).is_superset(&steady), "others were touched");
    project.kill();
    project.start();
    project.wait("the override still holds", holds);

    // It ends by itself.
    ends(&project, 0, &["scale", &workload, "3", "--until", "2s"]);
    project.wait("it is over", |project| project.is_converged() && format.replicas(project).len() == 2);
    assert!(history(&project).iter().filter(|kind| *kind == "scaled").count() >= 2);

    // For good: nothing happens but a patch, and Git decides.
    let before = project.containers();
    let patch = ends(&project, 0, &["scale", &workload, "4"]);
    assert_eq!((project.containers(), project.is_converged()), (before, true));
    let mut apply = std::process::Command::new("git");
    apply.args(["apply", "-"]).current_dir(project.path("repo")).stdin(Stdio::piped());
    let mut apply = apply.spawn().expect("git");
    apply.stdin.take().expect("a pipe").write_all(patch.as_bytes()).expect("git reads it");
    assert!(apply.wait().expect("git").success(), "{patch}");
    project.converge();
    assert_eq!(format.replicas(&project).len(), 4);
}
