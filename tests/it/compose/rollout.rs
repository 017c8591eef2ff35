//! Updates under load: what others see who know nothing of driftless, by the names of Compose.

use std::collections::BTreeSet;

use crate::project::{Container, Project, container, long_or_skip};

/// Two replicas that serve, and one that cannot be doubled because it writes a volume.
const SHOP: &str = r#"
name: PROJECT
x-server: &server
  image: IMAGE
  command: [sh, -c, 'echo "$$NAME $$VERSION" > /srv/index.html; exec httpd -f -p 8080 -h /srv']
  healthcheck: { disable: true }
  stop_signal: SIGKILL
  expose: ["8080"]
services:
  web:
    <<: *server
    environment: { NAME: web, VERSION: 1 }
    deploy: { replicas: 2 }
  store:
    <<: *server
    environment: { NAME: store, VERSION: 1 }
    volumes: [data:/data]
volumes:
  data:
"#;

#[test]
fn an_update_under_load_loses_no_request_of_a_neighbour() {
    let Some(mut project) = Project::new() else { return };
    project.write("compose.yaml", SHOP);
    project.deploy();
    let before = ["web", "store"].map(|service| project.replicas(service));
    assert_eq!(before.each_ref().map(BTreeSet::len), [2, 1]);

    let web = project.client("web");
    let store = project.client("store");
    project.edit("compose.yaml", "VERSION: 1", "VERSION: 2");
    project.converge();
    project.wait("both are asked once more", |_| web.count("web 2") > 0 && store.count("store 2") > 0);
    let (web, store) = (web.stop(), store.stop());
    assert!(web["web 1"] > 0 && web["web 2"] > 0 && web.len() == 2, "{web:?}");
    assert!(store["store 1"] > 0 && store["store 2"] > 0 && store.len() == 2, "{store:?}");
    println!("answered: {web:?} {store:?}");

    let after = ["web", "store"].map(|service| project.replicas(service));
    assert_eq!(after.each_ref().map(BTreeSet::len), [2, 1]);
    let ids = |containers: &BTreeSet<Container>| containers.iter().map(|container| container.id.clone()).collect::<BTreeSet<_>>();
    assert!(before.iter().zip(&after).all(|(before, after)| ids(before).is_disjoint(&ids(after))), "all replicas are new");
    assert!(project.plan_is_empty());
}

#[test]
fn a_front_with_other_labels_is_back_under_its_name_and_replicas_stay() {
    let Some(mut project) = Project::new() else { return };
    let labelled = SHOP.replace("VERSION: 1 }\n    deploy", "VERSION: 1 }\n    labels: { traefik.enable: 'true' }\n    deploy");
    project.write("compose.yaml", &labelled);
    project.deploy();
    let (replicas, front) = (project.replicas("web"), container(&format!("{}-web", project.owner)));
    let web = project.client("web");
    let before = web.count("web 1");
    project.edit("compose.yaml", "traefik.enable: 'true'", "traefik.enable: 'false'");
    project.converge();
    let (new, known) = (container(&format!("{}-web", project.owner)), web.count("web 1"));
    assert_ne!(front.id, new.id);
    project.wait("it is asked once more", |_| web.count("web 1") > known + 10);
    let answers = web.end();
    let failed: usize = answers.iter().filter(|(answer, _)| answer.starts_with("failed")).map(|(_, count)| count).sum();
    println!("answered {} after {before}, failed {failed}: {answers:?}", answers["web 1"]);
    assert_eq!(project.replicas("web"), replicas, "a front's labels are not its replicas'");
    assert!(project.plan_is_empty());
}

#[test]
fn an_agent_that_is_killed_goes_on_where_it_was() {
    let Some(mut project) = long_or_skip().and_then(|()| Project::new()) else { return };
    project.write("compose.yaml", SHOP);
    project.deploy();
    let web = project.client("web");
    let store = project.client("store");
    project.edit("compose.yaml", "VERSION: 1", "VERSION: 2");
    project.wait("the new revision is seen in traffic", |_| web.count("web 2") > 0 || store.count("store 2") > 0);
    project.kill();
    project.deploy();
    project.wait("both are asked once more", |_| web.count("web 2") > 0 && store.count("store 2") > 0);
    web.stop();
    store.stop();
    let after = project.containers();
    assert_eq!(["web", "store"].map(|service| project.replicas(service).len()), [2, 1]);
    project.kill();
    project.start();
    project.wait("nothing is to be done after another start", Project::is_converged);
    assert_eq!(project.containers(), after);
}
