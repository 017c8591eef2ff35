//! Single changes by hand, of both formats: each is reported as what it is, at its object and field, with
//! old and new; `observe` touches nothing, `auto` brings everything back, and neighbours notice nothing.
//!
//! The changes of a table are made one after the other on one host, each on an object of its own, so
//! that the report must be exactly the sum of those made so far.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::engine::IMAGE;
use crate::project::{APPLICATION, Project, container, docker, long_or_skip};

/// A change by hand, and what the report says about it.
struct ByHand {
    /// Arguments of the engine's client. `WEB` stands for the next replica's container, `P` for the project.
    commands: &'static [&'static str],
    /// The object, without the project; `WEB` stands for the replica.
    object: &'static str,
    what: &'static str,
    /// Path, expected, actual; empty is nothing.
    field: Option<(&'static str, &'static str, &'static str)>,
}

const fn by_hand(
    commands: &'static [&'static str],
    object: &'static str,
    what: &'static str,
    field: Option<(&'static str, &'static str, &'static str)>,
) -> ByHand {
    ByHand { commands, object, what, field }
}

const COMPOSE: &str = r#"
name: PROJECT
services:
  web:
    image: IMAGE
    command: [sleep, "1000000"]
    healthcheck: { disable: true }
    stop_signal: SIGKILL
    networks: { default: { aliases: [www] } }
    mem_limit: 64m
    cpus: 0.5
    restart: unless-stopped
    deploy: { replicas: REPLICAS }
  moved:
    image: PROJECT:1
    command: [sleep, "1000000"]
    healthcheck: { disable: true }
    stop_signal: SIGKILL
  x1: &front
    image: IMAGE
    healthcheck: { disable: true }
    expose: ["8080"]
    deploy: { replicas: 0 }
  x2: *front
  x3: *front
  x4: *front
  x5: *front
  x6:
    <<: *front
    networks: [spare]
    volumes: [spare:/data]
networks: { spare: }
volumes: { spare: }
"#;

/// Of each kind of object one.
const COMPOSE_SOME: &[ByHand] = &[
    by_hand(&["update --memory 96m --memory-swap 96m WEB"], "WEB", "changed", Some(("services.web.mem_limit", "64m", "96m"))),
    by_hand(&["network disconnect P_default WEB"], "WEB", "changed", Some(("services.web.networks.default", "connected", ""))),
    by_hand(&["stop -t 1 WEB"], "WEB", "stopped", None),
    by_hand(&["stop P-x1"], "Front/x1", "stopped", None),
    by_hand(&["rm -f P-x2"], "Front/x2", "missing", None),
    by_hand(
        &["network disconnect P_default P-x3", "network connect P_default P-x3"],
        "Front/x3",
        "changed",
        Some(("services.x3.networks.default.aliases", "x3", "")),
    ),
    by_hand(&["volume rm P_spare"], "volume/spare", "missing", None),
];

/// The rest.
const COMPOSE_MORE: &[ByHand] = &[
    by_hand(&["update --cpus 0.25 WEB"], "WEB", "changed", Some(("services.web.cpus", "0.5", "0.25"))),
    by_hand(&["update --restart no WEB"], "WEB", "changed", Some(("services.web.restart", "always", "no"))),
    by_hand(
        &["update --memory-reservation 32m WEB"],
        "WEB",
        "changed",
        Some(("services.web.deploy.resources.reservations.memory", "", "32m")),
    ),
    by_hand(&["network connect bridge WEB"], "WEB", "changed", Some(("NetworkSettings.Networks[bridge]", "", "connected"))),
    by_hand(
        &["network disconnect P_default WEB", "network connect --alias web P_default WEB"],
        "WEB",
        "changed",
        // The names of the service are its front's.
        Some(("services.web.networks.default.aliases", "", "[\"web\"]")),
    ),
    by_hand(&["kill WEB"], "WEB", "stopped", None),
    by_hand(&["pause WEB"], "WEB", "paused", None),
    by_hand(&["pause P-x4"], "Front/x4", "paused", None),
    by_hand(&["network disconnect P_default P-x5"], "Front/x5", "changed", Some(("services.x5.networks.default", "connected", ""))),
    by_hand(&["rm -f P-x6", "network rm P_spare"], "network/spare", "missing", None),
];

const KUBERNETES: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: PROJECT }
spec:
  replicas: REPLICAS
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: web
          image: IMAGE
          imagePullPolicy: Never
          resources: { limits: { memory: 64Mi, cpu: 500m }, requests: { memory: 32Mi, cpu: 100m } }
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: spare, namespace: PROJECT }
spec:
  accessModes: [ReadWriteOnce]
  resources: { requests: { storage: 1Gi } }
"#;

const KUBERNETES_ALL: &[ByHand] = &[
    by_hand(
        &["update --memory 96m --memory-swap 96m WEB"],
        "WEB",
        "changed",
        Some(("spec.template.spec.containers[web].resources.limits.memory", "64Mi", "96Mi")),
    ),
    by_hand(
        &["update --cpus 0.25 WEB"],
        "WEB",
        "changed",
        Some(("spec.template.spec.containers[web].resources.limits.cpu", "500m", "250m")),
    ),
    by_hand(
        &["update --memory-reservation 16m WEB"],
        "WEB",
        "changed",
        Some(("spec.template.spec.containers[web].resources.requests.memory", "32Mi", "16Mi")),
    ),
    by_hand(
        &["update --cpu-shares 512 WEB"],
        "WEB",
        "changed",
        Some(("spec.template.spec.containers[web].resources.requests.cpu", "102", "512")),
    ),
    by_hand(&["update --restart no WEB"], "WEB", "changed", Some(("spec.template.spec.restartPolicy", "always", "no"))),
    by_hand(&["network disconnect driftless-P WEB"], "WEB", "changed", Some(("NetworkSettings.Networks[driftless-P]", "connected", ""))),
    by_hand(&["network connect bridge WEB"], "WEB", "changed", Some(("NetworkSettings.Networks[bridge]", "", "connected"))),
    by_hand(&["stop -t 1 WEB"], "WEB", "stopped", None),
    by_hand(&["kill WEB"], "WEB", "stopped", None),
    by_hand(&["pause WEB"], "WEB", "paused", None),
    by_hand(&["volume rm P_spare"], "PersistentVolumeClaim/spare", "missing", None),
];

#[test]
fn changes_of_every_kind_are_reported_exactly_and_healed() {
    let Some(mut project) = Project::new() else { return };
    play(&mut project, ("compose.yaml", COMPOSE), COMPOSE_SOME);
}

#[test]
fn all_changes_of_compose_objects_are_reported_exactly_and_healed() {
    let Some(mut project) = long_or_skip().and_then(|()| Project::new()) else { return };
    play(&mut project, ("compose.yaml", COMPOSE), COMPOSE_MORE);
}

#[test]
fn all_changes_of_kubernetes_objects_are_reported_exactly_and_healed() {
    let Some(mut project) = long_or_skip().and_then(|()| Project::new()) else { return };
    play(&mut project, ("shop.yaml", KUBERNETES), KUBERNETES_ALL);
}

#[test]
fn a_replica_that_goes_is_reported_by_the_number_and_made_again() {
    let Some(mut project) = long_or_skip().and_then(|()| Project::new()) else { return };
    docker(&["tag", IMAGE, &project.tag()]);
    project.write("compose.yaml", &COMPOSE.replace("REPLICAS", "1"));
    project.deploy();
    observe(&mut project);
    let web = names(&project, "web").remove(0);
    carry_out(&project, &["rm -f WEB"], &web);
    let wanted = entry(&project, "service/web", "missing", Some(("services.web.deploy.replicas", "1", "0")));
    project.wait("the report has it", |project| report(project) == [wanted.clone()].into());
    heal(&mut project);
}

#[test]
fn a_replica_that_was_renamed_is_given_its_name_back_also_if_nobody_saw_it() {
    let Some(mut project) = Project::new() else { return };
    docker(&["tag", IMAGE, &project.tag()]);
    project.write("compose.yaml", &COMPOSE.replace("REPLICAS", "1"));
    project.deploy();
    observe(&mut project);
    let web = names(&project, "web").remove(0);
    let before = container(&web);
    let other = format!("{}-other", project.owner);
    let wanted = entry(&project, &replica(&web)[project.owner.len() + 1..], "changed", Some(("Name", &web, &other)));
    // Once while an agent looks, and once while none does: the engine's id tells who it is.
    carry_out(&project, &["rename WEB P-other"], &web);
    project.wait("the report has it", |project| report(project) == [wanted.clone()].into());
    heal(&mut project);
    assert_eq!(container(&web), before);
    project.kill();
    carry_out(&project, &["rename WEB P-other"], &web);
    project.start();
    project.wait("it has its name back", |project| project.containers().contains_key(&web) && project.is_converged());
    assert_eq!(container(&web), before);
}

#[test]
fn a_moved_tag_is_reported_and_healed_only_by_pull_policy_always() {
    let Some(mut project) = long_or_skip().and_then(|()| Project::new()) else { return };
    let tag = project.tag();
    docker(&["tag", IMAGE, &tag]);
    project.write("compose.yaml", &COMPOSE.replace("REPLICAS", "1"));
    project.deploy();
    let before = project.containers();
    docker(&["tag", "driftless/pause:1", &tag]);
    project.wait("the report has the moved tag", |project| {
        let drift = project.json(&["drift", APPLICATION])["drift"].clone();
        let entry = &drift[0];
        let image = &entry["fields"][0];
        drift.as_array().is_some_and(|drift| drift.len() == 1)
            && entry["object"] == format!("{}/service/moved/1", project.owner)
            && entry["healed"] == false
            && image["path"] == "services.moved.image"
            && image["expected"].as_str().is_some_and(|expected| expected.starts_with(&tag))
            && image["actual"].as_str().is_some_and(|actual| !actual.is_empty())
    });
    assert_eq!(project.containers(), before);
    docker(&["tag", IMAGE, &tag]);
    project.wait("the tag is back", Project::is_converged);
}

#[test]
fn kernel_rules_of_a_front_that_somebody_flushed_are_back_and_it_is_told() {
    let Some(mut project) = Project::new() else { return };
    docker(&["tag", IMAGE, &project.tag()]);
    project.write("compose.yaml", &COMPOSE.replace("REPLICAS", "1"));
    project.deploy();
    let before = project.containers();
    let front = format!("{}-x1", project.owner);
    project.wait("its rules are loaded", |project| rules(project, "x1", &["list", "table", "ip", "driftless"]));
    assert!(rules(&project, "x1", &["flush", "ruleset"]));
    let object = format!("{}/Front/x1", project.owner);
    project.wait("it is told", |project| {
        let healed = project.json(&["drift", APPLICATION])["healed"].clone();
        let of_front = |entry: &&Value| entry["object"] == object && entry["fields"][0]["path"] == "kernel rules";
        healed.as_array().into_iter().flatten().filter(of_front).count() == 1
    });
    assert!(rules(&project, "x1", &["list", "table", "ip", "driftless"]), "they are back");
    assert_eq!(project.containers(), before, "{front} was replaced");
    project.wait("nothing is left to do", Project::is_converged);
}

/// Runs `nft` where a front is; returns whether it succeeded.
fn rules(project: &Project, front: &str, arguments: &[&str]) -> bool {
    let pid = docker(&["inspect", "--format", "{{.State.Pid}}", &format!("{}-{front}", project.owner)]);
    let output = std::process::Command::new("nsenter").args(["-t", &pid, "-n", "nft"]).args(arguments).output();
    output.expect("the package util-linux").status.success()
}

/// Makes the changes, one after the other, and lets them be healed.
fn play(project: &mut Project, (file, manifests): (&str, &str), changes: &[ByHand]) {
    docker(&["tag", IMAGE, &project.tag()]);
    let replicas = changes.iter().filter(|change| change.object == "WEB").count();
    project.write(file, &manifests.replace("REPLICAS", &replicas.to_string()));
    project.deploy();
    let network = if file == "compose.yaml" { format!("{}_default", project.owner) } else { format!("driftless-{}", project.owner) };
    let neighbour = project.foreign("neighbour", &network, "sleep 1000000");
    let neighbour = (container(&neighbour), neighbour);
    observe(project);

    let mut webs = names(project, "web");
    let mut expected = BTreeSet::new();
    for change in changes {
        let web = if change.object == "WEB" { webs.remove(0) } else { String::new() };
        carry_out(project, change.commands, &web);
        let object = match change.object {
            "WEB" => replica(&web),
            object => format!("{}/{object}", project.owner),
        };
        if change.commands.iter().any(|command| command.starts_with("rm -f P-x6")) {
            // Its front has to go before a network can.
            expected.insert(entry_of(format!("{}/Front/x6", project.owner), "missing", None));
        }
        expected.insert(entry_of(
            object,
            change.what,
            change.field.map(|(path, old, new)| (named(project, path), old.to_owned(), new.to_owned())),
        ));
        let touched = project.containers();
        let mut last = BTreeSet::new();
        project.wait(&format!("the report has {:?}", change.commands), |project| {
            last = report(project);
            last.is_superset(&expected)
        });
        assert_eq!(last, expected, "{:?}", change.commands);
        assert_eq!(project.containers(), touched, "mode observe has changed something");
    }
    heal(project);
    assert_eq!(container(&neighbour.1), neighbour.0, "a neighbour was touched");
}

/// Starts the agent again so that it only looks.
fn observe(project: &mut Project) {
    project.kill();
    project.set("mode: observe");
    project.start();
    project.wait("nothing is reported before anything is changed", |project| {
        report(project).is_empty() && project.status()["sync"] == "Synced"
    });
}

/// Starts the agent again so that it heals, and waits until it has.
fn heal(project: &mut Project) {
    let steps = project.steps();
    project.kill();
    project.set("mode: auto");
    project.set("healStopped: 0s");
    project.start();
    project.wait("everything is healed", Project::is_converged);
    assert!(project.steps() > steps, "nothing was healed");
}

fn carry_out(project: &Project, commands: &[&str], web: &str) {
    for command in commands {
        let words: Vec<String> = command.split(' ').map(|word| named(project, &word.replace("WEB", web))).collect();
        docker(&words.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

/// Puts the project's name in the place of `P`.
fn named(project: &Project, text: &str) -> String {
    let text = text.replace("P_", &format!("{}_", project.owner)).replace("P-", &format!("{}-", project.owner));
    text.replace("driftless-P", &format!("driftless-{}", project.owner))
}

/// An entry of the report: object, what, and its fields with old and new.
type Entry = (String, String, Vec<(String, String, String)>);

fn entry_of(object: String, what: &str, field: Option<(String, String, String)>) -> Entry {
    (object, what.to_owned(), field.into_iter().collect())
}

fn entry(project: &Project, object: &str, what: &str, field: Option<(&str, &str, &str)>) -> Entry {
    let field = field.map(|(path, old, new)| (path.to_owned(), old.to_owned(), new.to_owned()));
    entry_of(format!("{}/{object}", project.owner), what, field)
}

/// Returns what `driftless drift` says.
fn report(project: &Project) -> BTreeSet<Entry> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let field = |field: &Value| (text(&field["path"]), text(&field["expected"]), text(&field["actual"]));
    let entry = |drift: &Value| {
        let fields = drift["fields"].as_array().map(Vec::as_slice).unwrap_or_default();
        (text(&drift["object"]), text(&drift["what"]), fields.iter().map(field).collect())
    };
    let drift = project.json(&["drift", APPLICATION])["drift"].clone();
    drift.as_array().map(Vec::as_slice).unwrap_or_default().iter().map(entry).collect()
}

/// Returns the names of the containers of a workload's replicas.
fn names(project: &Project, workload: &str) -> Vec<String> {
    let of = |name: &String| {
        let label = "{{index .Config.Labels \"dev.driftless.workload\"}}";
        docker(&["inspect", "--format", label, name]).rsplit_once('/').is_some_and(|(_, name)| name == workload)
    };
    project.containers().into_keys().filter(of).collect()
}

/// Returns the object of a replica's container.
fn replica(container: &str) -> String {
    let label = |name: &str| docker(&["inspect", "--format", &format!("{{{{index .Config.Labels \"dev.driftless.{name}\"}}}}"), container]);
    format!("{}/{}/{}", label("namespace"), label("workload"), label("replica"))
}
