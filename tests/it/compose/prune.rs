//! Networks that Git no longer has go with the last container on them, and never a data volume.

use crate::project::{APPLICATION, Project, docker};

const SHOP: &str = r#"
name: PROJECT
x-idle: &idle
  image: IMAGE
  command: [sleep, "1000000"]
  healthcheck: { disable: true }
  stop_signal: SIGKILL
services:
  web:
    <<: *idle
    networks: [front, side]
networks:
  front:
  side:
"#;

const OLD: &str = "
  old:
    <<: *idle
    networks: [back]
    volumes: [data:/data]
networks:
  back:
";

#[test]
fn a_network_goes_when_nobody_is_on_it_any_more() {
    let Some(mut project) = Project::new() else { return };
    project.write("compose.yaml", &(SHOP.replace("\nnetworks:\n  front", &format!("{OLD}  front")) + "volumes: { data: }\n"));
    project.deploy();
    let name = |name: &str| format!("{}_{name}", project.owner);
    let (side, back, data) = (name("side"), name("back"), name("data"));
    let networks = || docker(&["network", "ls", "--format", "{{.Name}}"]);
    let has = |network: &str| networks().lines().any(|known| known == network);
    assert!(has(&side) && has(&back));
    let neighbour = project.foreign("neighbour", &side, "sleep 1000000");

    project.write("compose.yaml", &SHOP.replace("[front, side]", "[front]").replace("  side:\n", ""));
    project.converge();
    project.wait("the network that nobody uses has gone", |_| !has(&back));
    assert!(has(&side), "somebody else is on it");
    let deferred = project.json(&["plan", APPLICATION])["deferred"].to_string();
    assert!(deferred.contains("/network/side") && deferred.contains(&neighbour), "{deferred}");

    docker(&["rm", "-f", &neighbour]);
    project.wait("it goes with the last one on it", |_| !has(&side));
    assert!(docker(&["volume", "ls", "--format", "{{.Name}}"]).lines().any(|volume| volume == data), "data stays");
}
