//! What other people's tools see of a project: `docker compose ls`, `ps` and `logs`, and the labels that
//! they go by.

use std::process::Command;

use serde_json::Value;

use crate::project::{Project, docker};

const SHOP: &str = r#"
name: PROJECT
services:
  web:
    image: IMAGE
    command: [sh, -c, 'echo "hello of web"; exec httpd -f -p 8080 -h /srv']
    healthcheck: { disable: true }
    stop_signal: SIGKILL
    expose: ["8080"]
    deploy: { replicas: 2 }
  named:
    image: IMAGE
    command: [sleep, "1000000"]
    healthcheck: { disable: true }
    stop_signal: SIGKILL
    container_name: PROJECT-by-name
"#;

#[test]
fn compose_itself_finds_the_project_and_its_fronts_are_not_in_its_way() {
    let Some(mut project) = Project::new() else { return };
    project.write("compose.yaml", SHOP);
    project.deploy();
    labels(&project);
    addresses(&project);
    let Some(compose) = compose() else { return };
    let owner = project.owner.clone();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&compose[0]);
        let output = command.args(&compose[1..]).args(arguments).output().expect("Compose");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let listed: Value = serde_json::from_str(&run(&["ls", "--format", "json"])).expect("JSON");
    let entry = listed.as_array().into_iter().flatten().find(|entry| entry["Name"] == owner.as_str());
    assert_eq!(entry.map(|entry| &entry["Status"]), Some(&Value::from("running(3)")), "{listed}");
    let shown = run(&["-p", &owner, "ps", "--format", "{{.Service}} {{.Name}}"]);
    let mut shown: Vec<&str> = shown.lines().collect();
    shown.sort_unstable();
    assert_eq!(shown, [format!("named {owner}-by-name"), format!("web {owner}-web-1"), format!("web {owner}-web-2")]);
    let logs = run(&["-p", &owner, "logs", "web"]);
    assert_eq!(logs.lines().filter(|line| line.ends_with("hello of web")).count(), 2, "{logs}");
}

/// What Compose goes by, so that this is looked at also where there is no Compose.
fn labels(project: &Project) {
    let labels =
        |name: &str| -> Value { serde_json::from_str(&docker(&["inspect", "--format", "{{json .Config.Labels}}", name])).expect("JSON") };
    let owner = &project.owner;
    for (name, service, number) in
        [(format!("{owner}-web-1"), "web", "1"), (format!("{owner}-web-2"), "web", "2"), (format!("{owner}-by-name"), "named", "1")]
    {
        let labels = labels(&name);
        for (label, value) in [
            ("project", owner.as_str()),
            ("service", service),
            ("container-number", number),
            ("oneoff", "False"),
            ("project.config_files", "compose.yaml"),
        ] {
            assert_eq!(labels[format!("com.docker.compose.{label}")], value, "{name} {label}");
        }
        assert!(labels["com.docker.compose.config-hash"].as_str().is_some_and(|hash| !hash.is_empty()), "{name}");
    }
    // What `docker compose down -v` would remove, and what it must not count.
    let front = labels(&format!("{owner}-web")).to_string();
    let network = docker(&["network", "inspect", "--format", "{{json .Labels}}", &format!("{owner}_default")]);
    assert!(![front, network].iter().any(|labels| labels.contains("com.docker.compose.")));
}

/// Networks of projects have addresses of ours and Docker chooses from them: only the network of Kubernetes
/// has static ones.
fn addresses(project: &Project) {
    let subnet = docker(&["network", "inspect", "--format", "{{(index .IPAM.Config 0).Subnet}}", &format!("{}_default", project.owner)]);
    let subnet: ipnet::Ipv4Net = subnet.parse().expect("a network");
    let pool: ipnet::Ipv4Net = project.pool().parse().expect("a network");
    let kubernetes = pool.subnets(16).expect("it is wider").next().expect("a first half");
    assert!(pool.contains(&subnet) && !kubernetes.contains(&subnet), "{subnet} is in {pool} beside {kubernetes}");
    for name in ["web", "web-1", "by-name"] {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{json .IPAMConfig}}{{end}}";
        let found = docker(&["inspect", "--format", format, &format!("{}-{name}", project.owner)]);
        let (address, asked) = found.split_once(' ').expect("two fields");
        assert!(subnet.contains(&address.parse::<std::net::Ipv4Addr>().expect("an address")), "{name}: {address}");
        assert!(!asked.contains("IPv4Address"), "{name}: {asked}");
    }
}

/// Returns the words for Compose, if there is version 2 of it.
#[allow(clippy::print_stderr, reason = "whoever reads the test output wants to know what was not tested")]
fn compose() -> Option<Vec<String>> {
    let found = [&["docker", "compose"][..], &["docker-compose"]].into_iter().find(|words| {
        let version = Command::new(words[0]).args(&words[1..]).args(["version", "--short"]).output();
        version.is_ok_and(|output| output.status.success() && !output.stdout.starts_with(b"1."))
    });
    if found.is_none() {
        eprintln!("not tested: `docker compose` itself, because there is no Compose of version 2");
    }
    found.map(|words| words.iter().map(|&word| word.to_owned()).collect())
}
