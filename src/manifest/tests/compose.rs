//! Compose files, whole: the example, what wins over what, and every kind of mistake with its place.

use std::collections::BTreeSet;

use super::*;
use crate::desired::{
    Amount, Condition, Declares, Dependency, Exclusive, External, MountSource, Protocol, Restart, Secret, Strategy, Workload,
};

const EXAMPLE: [(&str, &str); 5] = [
    ("compose.yaml", include_str!("../../../examples/repo/compose/compose.yaml")),
    (".env", include_str!("../../../examples/repo/compose/.env")),
    ("entry/nginx.conf", include_str!("../../../examples/repo/compose/entry/nginx.conf")),
    ("postgres/postgresql.conf", include_str!("../../../examples/repo/compose/postgres/postgresql.conf")),
    ("postgres/init/schema.sql", include_str!("../../../examples/repo/compose/postgres/init/schema.sql")),
];

fn workload<'a>(desired: &'a Desired, name: &str) -> &'a Workload {
    desired.workloads.values().find(|workload| workload.id.name.as_str() == name).expect("the service")
}

fn found(text: &str) -> String {
    lines(&findings(&Tree::of([("compose.yaml", text)])))
}

#[test]
fn the_example_is_a_project_with_fronts() {
    let desired = good(&EXAMPLE);
    assert_eq!(desired.findings, []);
    let ids = |ids: Vec<&crate::name::ObjectId>| ids.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!(ids(desired.workloads.keys().collect()), "shop/service/entry shop/service/postgres shop/service/rest");
    assert_eq!(ids(desired.fronts.keys().collect()), "shop/Front/entry shop/Front/postgres shop/Front/rest");
    assert_eq!(
        ids(desired.networks.keys().chain(desired.volumes.keys()).collect()),
        "shop/network/back shop/network/front shop/volume/data"
    );
    let rest = workload(&desired, "rest");
    assert_eq!(rest.strategy, Strategy::Rolling { surge: Amount::Count(1), unavailable: Amount::Count(0) });
    assert_eq!((rest.replicas, rest.restart, rest.template.networks.join(" ")), (2, Restart::Always, "shop_front shop_back".to_owned()));
    let exclusive = |name| workload(&desired, name).exclusive.clone();
    assert!(matches!(exclusive("postgres").as_slice(), [Exclusive::Volume(id)] if id.to_string() == "shop/volume/data"));
    assert!(matches!(exclusive("entry").as_slice(), [Exclusive::HostPort(_, 8080)]));
}

#[test]
fn a_delivered_file_is_in_the_hash_of_those_who_mount_it_and_of_nobody_else() {
    let before = good(&EXAMPLE);
    let mut files = EXAMPLE;
    files[2].1 = "events {}";
    let after = good(&files);
    let changed: BTreeSet<&str> = before
        .workloads
        .iter()
        .filter(|(id, workload)| after.workloads[*id].hash != workload.hash)
        .map(|(id, _)| id.name.as_str())
        .collect();
    assert_eq!(changed, BTreeSet::from(["entry"]));
}

#[test]
fn without_fronts_the_name_is_on_the_replicas() {
    let service =
        |label: &str| format!("services: {{ web: {{ image: a:1, expose: [80], labels: {{ traefik.enable: 'true', {label} }} }} }}");
    let with = good(&[("compose.yaml", &service(""))]);
    let front = with.fronts.values().next().expect("a front");
    assert_eq!((front.aliases["shop_default"].contains("web"), front.labels.len()), (true, 1));
    assert!(workload(&with, "web").template.options.aliases.is_empty() && workload(&with, "web").template.labels.is_empty());
    let without = good(&[("compose.yaml", &service("driftless.dev/front: 'false'"))]);
    assert!(without.fronts.is_empty() && without.services.is_empty());
    let web = workload(&without, "web");
    assert!(web.template.options.aliases["shop_default"].contains("web") && web.template.labels.len() == 1);
    assert_eq!(web.strategy, Strategy::Rolling { surge: Amount::Count(0), unavailable: Amount::Count(1) });
}

#[test]
fn what_an_image_declares_makes_a_front_once_it_is_known() {
    let with = |exposed: &[(&str, &[u16])]| {
        let mut context = context();
        let ports = |ports: &[u16]| ports.iter().map(|port| (*port, Protocol::Tcp)).collect();
        context.settings.compose.exposed = exposed.iter().map(|(image, list)| ((*image).to_owned(), ports(list))).collect();
        let text = "services: { web: { image: a:1 }, own: { image: a:1, expose: [81] }, off: { image: a:1, labels: { driftless.dev/front: 'false' } } }";
        build(&Tree::of([("compose.yaml", text)]), &context).expect("good")
    };
    let declares = |desired: &Desired, name: &str| workload(desired, name).template.options.declares;
    let unknown = with(&[]);
    assert_eq!(unknown.unknown_images().into_iter().collect::<Vec<_>>(), ["a:1"]);
    assert_eq!((declares(&unknown, "web"), declares(&unknown, "own")), (Declares::Unknown, Declares::Manifest));
    assert_eq!((declares(&unknown, "off"), unknown.fronts.len()), (Declares::Manifest, 1));
    let nothing = with(&[("a:1", &[])]);
    assert_eq!((declares(&nothing, "web"), nothing.fronts.len()), (Declares::Manifest, 1));
    let some = with(&[("a:1", &[80])]);
    assert_eq!((declares(&some, "web"), some.fronts.len(), some.unknown_images().len()), (Declares::Image, 2, 0));
    let web = some.services.values().find(|service| service.id.name.as_str() == "web").expect("a service");
    assert_eq!(web.ports.iter().map(|port| port.port).collect::<Vec<_>>(), [80]);
    assert!(some.targeted_ports_by_workload()[&workload(&some, "web").id].is_empty(), "nobody promises that anything listens there");
}

#[test]
fn the_override_and_env_files_win_in_their_order() {
    let desired = good(&[
        (
            "compose.yml",
            "services: { web: { image: 'a:${TAG-1}', env_file: [one.env, { path: none.env, required: false }], environment: [C=$TAG] } }",
        ),
        ("compose.override.yml", "services: { web: { environment: { D: 4, E: } } }"),
        (".env", "TAG=2\nE=e\n"),
        ("one.env", "B=1\nC=1\n"),
    ]);
    let container = &workload(&desired, "web").template.containers[0];
    let env: Vec<String> =
        container.env.iter().map(|(name, value)| format!("{name}={}", value.resolve(|_| String::new()).expect("text"))).collect();
    assert_eq!((container.image.as_str(), env.join(" ").as_str()), ("a:2", "B=1 C=2 D=4 E=e"));
}

#[test]
fn what_is_in_the_repository_is_delivered_and_what_is_not_is_a_folder_of_the_host() {
    let text = "services: { web: { image: a:1, volumes: ['./conf/a.txt:/a.txt:ro', './data:/data', '/srv:/srv'] } }";
    let desired = good(&[("compose.yaml", text), ("conf/a.txt", "x")]);
    let mounts = &workload(&desired, "web").template.containers[0].mounts;
    assert!(matches!(&mounts[0].source, MountSource::Content(_)) && mounts[0].sub_path.as_deref() == Some("a.txt"));
    let host = |at: usize| match &mounts[at].source {
        MountSource::Host { path, .. } => path.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!((host(1).as_str(), host(2).as_str()), ("/var/lib/driftless/data/shop/data", "/srv"));
}

#[test]
fn every_mistake_is_named_with_its_place() {
    let text = "services:
  web:
    imge: a
    image: 'Bad Image'
    privileged: perhaps
    cpu_quota: 5
    network_mode: container:db
    depends_on: [dp]
    volumes: [dat:/data, /only]
    ports: ['80:80/sctp']
    deploy: { replicas: x, placement: {} , update_config: { max_failure_ratio: 0.5 } }
  db:
    build: .
  loop-a: { image: a, depends_on: [loop-b] }
  loop-b: { image: a, depends_on: [loop-a], environment: { A: '${X:?no X}', B: '$' } }
volumes: { data: }
";
    let found = found(text);
    for line in [
        "compose.yaml:3:5: unknown field `services.web.imge` -> did you mean `image`?",
        "compose.yaml:4:12: `services.web.image` is no image reference: `Bad Image`",
        "compose.yaml:5:17: `services.web.privileged` must be true or false, but is",
        "compose.yaml:6:5: `services.web.cpu_quota` is not supported -> write `deploy.resources` instead",
        "compose.yaml:7:19: `services.web.network_mode` cannot be `container:db`; supported: `host`, `none`, `service:NAME`",
        "compose.yaml:8:18: `services.web.depends_on[0]`: depends on `dp`, and there is no such service -> did you mean `db`?",
        "compose.yaml:9:15: `services.web.volumes[0]`: there is no volume `dat` in `volumes` at the top -> did you mean `data`?",
        "compose.yaml:9:26: `services.web.volumes[1]` is a volume without a name, which is not supported",
        "compose.yaml:10:13: `services.web.ports[0]` has the protocol `sctp`; supported: `tcp`, `udp`",
        "`services.web.deploy.replicas` must be a whole number, but is",
        "`services.web.deploy.update_config.max_failure_ratio` is supported with the value 0 only, but is `0.5`",
        "compose.yaml:13:12: `services.db.build` is not supported without `image`: images are built elsewhere",
        "these services wait for each other, so that none can start: `loop-a` -> `loop-b` -> `loop-a`",
        "the variable `X` is required: no X",
        "a `$` is followed by no name",
    ] {
        assert!(found.contains(line), "{line}\n\n{found}");
    }
}

#[test]
fn the_network_of_another_service_comes_with_all_that_belongs_to_it() {
    let good = good(&[(
        "compose.yaml",
        "services: { vpn: { image: a:1, expose: [80] }, app: { image: b:1, network_mode: 'service:vpn', deploy: { replicas: 2 } } }",
    )]);
    let app = workload(&good, "app");
    assert_eq!(app.strategy, Strategy::Rolling { surge: Amount::Count(0), unavailable: Amount::Count(1) });
    assert!(app.template.networks.is_empty() && good.fronts.len() == 1);
    assert_eq!(app.dependencies, [Dependency { workload: workload(&good, "vpn").id.clone(), condition: Condition::Started }]);
    let found = found(
        "services:
  two: { image: a, deploy: { replicas: 2 } }
  app: { image: b, network_mode: 'service:two', hostname: x, ports: ['80:80'], dns: 1.1.1.1 }
  far: { image: b, network_mode: 'service:twoo' }
  next: { image: b, network_mode: 'service:app' }
",
    );
    for line in [
        "compose.yaml:3:3: `services.app`: it shares the network of `two`, which must have exactly one replica for that",
        "compose.yaml:3:3: `services.app`: `hostname` belongs to `two`, whose network it shares",
        "compose.yaml:3:3: `services.app`: `ports` belongs to `two`, whose network it shares",
        "compose.yaml:3:3: `services.app`: `dns` belongs to `two`, whose network it shares",
        "compose.yaml:4:3: `services.far`: it shares the network of `twoo`, and there is no such service -> did you mean `two`?",
        "compose.yaml:5:3: `services.next`: it shares the network of `app`, which has none of its own -> name the one whose network it is",
    ] {
        assert!(found.contains(line), "{line}\n\n{found}");
    }
}

#[test]
fn what_can_be_passed_on_is() {
    let desired = good(&[(
        "compose.yaml",
        "services:
  web:
    image: a:1
    pids_limit: 100
    cpuset: 0-1
    cpu_shares: 512
    memswap_limit: -1
    oom_score_adj: -500
    uts: host
    cgroup_parent: m
    runtime: runc
    group_add: [audio, 7]
    networks: { back: { mac_address: '02:42:ac:11:00:03' }, front: }
    depends_on: { db: { condition: service_started, restart: false, required: false } }
    deploy:
      update_config: { order: start-first, delay: 5s, monitor: 10s, max_failure_ratio: 0 }
      rollback_config: { order: start-first, parallelism: 1, monitor: 10s, failure_action: pause, max_failure_ratio: 0 }
      restart_policy: { condition: on-failure, max_attempts: 3, delay: 0s, window: 0s }
networks: { back: , front: }
",
    )]);
    let web = workload(&desired, "web");
    let options = &web.template.options;
    assert_eq!((options.pids_limit, options.cpuset.as_deref(), options.memswap_limit), (Some(100), Some("0-1"), Some(-1)));
    assert_eq!((options.oom_score_adj, options.uts.as_deref(), options.retries), (Some(-500), Some("host"), Some(3)));
    assert_eq!(crate::desired::field::cpu_weight(web.template.containers[0].resources.cpu_request.expect("shares")), 512);
    assert_eq!(options.group_names, ["7", "audio"]);
    assert_eq!(options.macs, [("shop_back".to_owned(), "02:42:ac:11:00:03".to_owned())].into());
    assert_eq!(web.exclusive, [Exclusive::Mac("02:42:ac:11:00:03".to_owned())]);
    assert_eq!((web.delay.as_secs(), web.strategy), (10, Strategy::Rolling { surge: Amount::Count(0), unavailable: Amount::Count(1) }));
    let found = found(
        "services:
  web:
    image: a
    mac_address: here
    deploy:
      rollback_config: { order: start-first, parallelism: 2, delay: 1s, failure_action: continue }
      restart_policy: { delay: 5s, window: 1m }
  db: { image: a, network_mode: host, mac_address: '02:42:ac:11:00:03' }
",
    );
    for line in [
        "compose.yaml:4:18: `services.web.mac_address` is no hardware address: `here`",
        "`services.web.deploy.rollback_config.order` differs from `update_config` -> a rollback goes as `update_config` says",
        "`services.web.deploy.rollback_config.parallelism` differs from `update_config`",
        "`services.web.deploy.rollback_config.delay` differs from `update_config`",
        "`services.web.deploy.rollback_config.failure_action` is supported with the value `pause` only",
        "`services.web.deploy.restart_policy.delay` is supported with the value 0 only, but is `5s`",
        "`services.web.deploy.restart_policy.window` is supported with the value 0 only, but is `1m`",
        "compose.yaml:8:52: `services.db.mac_address`: `mac_address` contradicts `network_mode`",
    ] {
        assert!(found.contains(line), "{line}\n\n{found}");
    }
}

#[test]
fn external_files_come_from_the_folder_of_the_host() {
    let text = "services: { web: { image: a:1, secrets: [db], configs: [app] } }
secrets: { db: { external: true, name: db-2 } }
configs: { app: { external: true } }
";
    let with = |external: External| {
        let mut context = context();
        context.settings.compose.external = external;
        build(&Tree::of([("compose.yaml", text)]), &context)
    };
    let folder = |files: &[(&str, Result<&str, &str>)]| External::Folder {
        path: "/etc/secrets".to_owned(),
        files: files.iter().map(|(name, file)| ((*name).to_owned(), file.map(Secret::new).map_err(str::to_owned))).collect(),
    };
    let hash = |password: &str| {
        let desired = with(folder(&[("db-2", Ok(password)), ("app", Ok("x"))])).expect("good");
        assert!(!format!("{desired:?}").contains(password), "a secret is printed");
        assert_eq!(desired.contents.len(), 2);
        workload(&desired, "web").hash.clone()
    };
    assert_eq!(hash("hunter2"), hash("hunter2"));
    assert_ne!(hash("hunter2"), hash("hunter3"));
    let refused = |external| lines(&with(external).expect_err("refused"));
    assert_eq!(
        refused(folder(&[("db", Ok("x")), ("app", Err("permission denied"))])),
        "compose.yaml:2:12: `secrets.db`: secret `db-2` is external, and there is no file `/etc/secrets/db-2` -> there, each config and secret \
         that is not in the repository is one file\n\
         compose.yaml:3:12: `configs.app`: config `app` is external, and `/etc/secrets/app` cannot be read: permission denied -> let \
         the user who runs driftless read it\n"
    );
    assert!(refused(External::Nowhere).contains("names no folder for it -> write `secretsFolder: FOLDER` in the Application"));
    let unknown = with(External::Unknown).expect("only looked at");
    assert!(lines(&unknown.findings).contains("note: `secrets.db`: secret `db-2` is external: whether the host has it is not known here"));
}

#[test]
fn the_environment_of_this_process_is_not_seen() {
    assert!(std::env::var_os("PATH").is_some());
    assert!(found("services: { web: { image: 'a:$PATH' } }").contains("the variable `PATH` is not set"));
}

#[test]
fn two_formats_in_one_folder_are_an_error() {
    let found = findings(&Tree::of([("compose.yaml", "services: { web: { image: a } }"), ("a.yaml", "apiVersion: v1\nkind: Secret\n")]));
    assert_eq!(
        lines(&found).lines().next(),
        Some(
            "a.yaml: a Kubernetes manifest stands beside a Compose file -> keep the two formats in folders of their own, or write `format` in the Application"
        )
    );
}
