//! Compose projects of several files: `extends`, `include`, `label_file`.

use super::*;

fn workload<'a>(desired: &'a Desired, name: &str) -> &'a crate::desired::Workload {
    desired.workloads.values().find(|workload| workload.id.name.as_str() == name).expect("the service")
}

fn env(desired: &Desired, name: &str) -> String {
    let env = &workload(desired, name).template.containers[0].env;
    env.iter().map(|(name, value)| format!("{name}={}", value.resolve(|_| String::new()).expect("text"))).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_service_has_what_it_extends_and_its_own_wins() {
    let files = [
        (
            "compose.yaml",
            "services:
  web:
    extends: { file: common/base.yaml, service: app }
    environment: [B=2, C=3]
    command: [serve]
    expose: [81]
    labels: { own: 'yes', team: b }
  worker: { extends: web, command: [work] }
",
        ),
        (
            "common/base.yaml",
            "services:
  app:
    extends: { service: root }
    environment: { A: 1, B: 1 }
    command: [nothing]
    env_file: app.env
    volumes: ['./conf:/conf:ro', '../data:/data']
    label_file: app.labels
  root: { image: 'app:${TAG}', restart: always, expose: [80] }
  unused: { image: x, enviroment: {} }
",
        ),
        ("common/app.env", "D=4\n"),
        ("common/app.labels", "team=a\nfrom=file\n"),
        ("common/conf/a", "x"),
        (".env", "TAG=7\n"),
    ];
    let desired = good(&files);
    let web = workload(&desired, "web");
    assert_eq!((web.template.containers[0].image.as_str(), env(&desired, "web").as_str()), ("app:7", "A=1 B=2 C=3 D=4"));
    let labels: Vec<String> = web.template.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!((labels.join(" ").as_str(), web.restart), ("from=file own=yes team=b", crate::desired::Restart::Always));
    let mounts: Vec<&str> = web.template.containers[0].mounts.iter().map(|mount| mount.target.as_str()).collect();
    assert_eq!(mounts, ["/conf", "/data"]);
    assert!(
        matches!(&web.template.containers[0].mounts[1].source, crate::desired::MountSource::Host { path, .. } if path.ends_with("/shop/data"))
    );
    assert_eq!(env(&desired, "worker"), "A=1 B=2 C=3 D=4");
    assert_eq!(desired.workloads.len(), 2);
}

#[test]
fn an_included_project_is_part_of_the_whole_and_sees_its_own_variables() {
    let files = [
        (
            "compose.yaml",
            "include:
  - db/compose.yaml
  - { path: [more/a.yaml, more/b.yaml], env_file: more/vars }
services:
  web: { image: 'web:${TAG}', depends_on: [db], networks: [back] }
networks: { back: }
",
        ),
        (
            "db/compose.yaml",
            "name: ignored\nservices: { db: { image: 'db:${DB_TAG}-${TAG}', secrets: [p], networks: [back] } }\nsecrets: { p: { file: p.txt } }\nnetworks: { back: }\n",
        ),
        ("db/.env", "DB_TAG=3\nTAG=lost\n"),
        ("db/p.txt", "hunter2"),
        ("more/a.yaml", "services: { job: { image: 'job:${X}' } }\n"),
        ("more/b.yaml", "services: { job: { command: [go] } }\n"),
        ("more/vars", "X=9\n"),
        (".env", "TAG=7\n"),
    ];
    let desired = good(&files);
    let images: Vec<&str> = desired.workloads.values().map(|workload| workload.template.containers[0].image.as_str()).collect();
    assert_eq!((images, desired.contents.len()), (vec!["db:3-7", "job:9", "web:7"], 1));
}

#[test]
fn what_cannot_be_put_together_says_why() {
    for (files, expected) in [
        (
            vec![("compose.yaml", "services:\n  a: { extends: b }\n  b: { image: a, extends: { service: a } }\n")],
            vec![
                "compose.yaml:3:38: these services extend each other: `a` in `compose.yaml` -> `b` in `compose.yaml` -> `a` in `compose.yaml`",
            ],
        ),
        (
            vec![("compose.yaml", "services:\n  a: { extends: { service: bb } }\n  b: { image: a }\n")],
            vec!["compose.yaml:2:28: there is no service `bb` in `compose.yaml`", "did you mean `b`?"],
        ),
        (
            vec![("compose.yaml", "services:\n  a: { extends: { file: ../b.yaml, service: b } }\n")],
            vec!["compose.yaml:2:25: `../b.yaml` is outside of the application's folder"],
        ),
        (
            vec![("compose.yaml", "services:\n  a: { extends: { file: b.yaml, service: b, as: c } }\n")],
            vec![
                "compose.yaml:2:45: unknown field `as` of `extends`",
                "compose.yaml:2:25: there is no file `b.yaml` in the application's folder",
            ],
        ),
        (
            vec![
                ("compose.yaml", "services:\n  a: { extends: { file: b.yaml, service: b } }\n"),
                ("b.yaml", "services: { b: { imgae: x } }\n"),
            ],
            vec!["b.yaml:1:18: unknown field `services.a.imgae`"],
        ),
        (
            vec![
                ("compose.yaml", "include: [a.yaml]\nservices: { w: { image: w } }\n"),
                ("a.yaml", "include: [compose.yaml]\nservices: { v: { image: v } }\n"),
            ],
            vec!["a.yaml:1:11: these files include each other: `compose.yaml` -> `a.yaml` -> `compose.yaml`"],
        ),
        (
            vec![("compose.yaml", "include: [a.yaml]\nservices:\n  w: { image: w }\n"), ("a.yaml", "services: { w: { image: v } }\n")],
            vec!["a.yaml:1:13: `services.w` is also in `compose.yaml`, line 3, and differs"],
        ),
        (vec![("compose.yaml", "include: a.yaml\nservices: { w: { image: w } }\n")], vec!["compose.yaml:1:10: `include` must be a list"]),
        (
            vec![("compose.yaml", "include: [a.yaml, {}]\nservices: { w: { image: w } }\n"), ("a.yaml", "service: {}\n")],
            vec!["a.yaml:1:1: unknown field `service`", "compose.yaml:1:19: an item of `include` names no file"],
        ),
        (vec![("compose.yaml", "services: { w: { image: w, label_file: [no] } }\n")], vec!["compose.yaml:1:41: there is no file `no`"]),
    ] {
        let found = lines(&findings(&Tree::of(files.iter().copied())));
        for line in expected {
            assert!(found.contains(line), "{line}\n\n{found}");
        }
    }
}

#[test]
fn services_that_double_one_another_stop() {
    let mut text = "services:\n  s0: { image: a, environment: { A: 1 } }\n".to_owned();
    for index in 1..5_000 {
        text.push_str(&format!("  s{index}: {{ extends: s{}, environment: {{ A{index}: 1 }} }}\n", index - 1));
    }
    let found = lines(&findings(&Tree::of([("compose.yaml", text.as_str())])));
    assert!(found.contains("with what they extend, all services have more than 500000 values"), "{}", &found[..300.min(found.len())]);
    let text = (1..200).map(|index| format!("  s{index:03}: {{ extends: s{:03} }}\n", index + 1)).collect::<String>();
    let found = lines(&findings(&Tree::of([("compose.yaml", format!("services:\n{text}  s200: {{ image: a }}\n").as_str())])));
    assert!(found.contains("more than 100 services extend one another in a row"), "{found}");
    let files: Vec<(String, String)> =
        (0..150).map(|index| (format!("f{index}.yaml"), format!("include: [f{}.yaml]\n", index + 1))).collect();
    let mut tree = Tree::of(files.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    tree.files.extend(Tree::of([("compose.yaml", "include: [f0.yaml]\nservices: { a: { image: a } }\n")]).files);
    let found = lines(&findings(&tree));
    assert!(found.contains("the project has more than 100 files"), "{found}");
}
