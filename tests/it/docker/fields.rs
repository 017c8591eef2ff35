//! What was asked for reads back in the same words, so that a converged replica has no difference.

use std::collections::BTreeMap;
use std::time::Duration;

use driftless::desired::{Action, EmptyDir, FieldRef, Hook, HostPort, Mount, MountSource, Part, Protocol, Resources, Text};
use driftless::hash::FieldValue;
use driftless::host::Step;
use driftless::name::Name;

use crate::engine::{container, docker_or_skip};

fn mount(target: &str, source: MountSource) -> Mount {
    Mount { target: target.to_owned(), source, sub_path: None, read_only: false }
}

#[tokio::test]
async fn every_field_that_is_asked_for_reads_back_and_no_other() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let data = bench.add_volume(&mut desired, "data");
    let content = bench.add_content(&mut desired, &[("app.conf", "a = 1"), ("sub/other.conf", "b = 2")]);
    let dir = |name: &str| Name::try_from(name).expect("a name");
    let mut app = container();
    app.command = Some(vec![Text::literal("/bin/sleep")]);
    app.args = Some(vec![Text::literal("1000")]);
    app.working_dir = Some("/tmp".to_owned());
    app.user = Some("1000:1001".to_owned());
    app.groups = vec![5, 7];
    app.read_only = true;
    app.no_new_privileges = true;
    app.cap_add = vec!["CHOWN".to_owned(), "NET_ADMIN".to_owned()];
    app.cap_drop = vec!["ALL".to_owned()];
    app.stdin = true;
    app.env = BTreeMap::from([
        ("PLAIN".to_owned(), Text::literal("a b=c")),
        ("FROM_IMAGE".to_owned(), Text::literal("no")),
        ("PASSWORD".to_owned(), Text::secret("hunter2")),
        ("ADDRESS".to_owned(), Text(vec![Part::Field(FieldRef::Address)])),
    ]);
    app.resources = Resources {
        cpu_limit: Some(500_000_000),
        memory_limit: Some(64 << 20),
        cpu_request: Some(250_000_000),
        memory_request: Some(32 << 20),
    };
    app.mounts = vec![
        mount("/data", MountSource::Volume(data.clone())),
        Mount { read_only: true, ..mount("/data-ro", MountSource::Volume(data.clone())) },
        Mount { sub_path: Some("deep/down".to_owned()), ..mount("/deep", MountSource::Volume(data)) },
        mount("/etc/app", MountSource::Content(content.clone())),
        Mount { sub_path: Some("app.conf".to_owned()), ..mount("/etc/one.conf", MountSource::Content(content.clone())) },
        mount("/scratch", MountSource::EmptyDir(dir("scratch"))),
        mount("/memory", MountSource::EmptyDir(dir("memory"))),
        Mount { read_only: true, ..mount("/host", MountSource::Host { path: "/etc".to_owned(), create: false }) },
    ];
    app.pre_stop = Some(Hook(Action::Sleep(0)));
    app.post_start = Some(Hook(Action::Exec(vec!["true".to_owned()])));
    let mut template = bench.template();
    template.containers = vec![app];
    template.labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
    template.empty_dirs = BTreeMap::from([
        (dir("scratch"), EmptyDir { memory: false, size_limit: None }),
        (dir("memory"), EmptyDir { memory: true, size_limit: Some(1 << 20) }),
    ]);
    template.ports = vec![HostPort { address: None, host_port: 0, container_port: 8080, protocol: Protocol::Tcp }];
    template.ports[0].host_port = 28_471;
    template.grace = Duration::from_secs(3);
    let replica = bench.add(&mut desired, template);
    bench.run(Step::CreateFront { front: bench.front().id }, &desired).await;
    for volume in desired.volumes.keys() {
        bench.run(Step::CreateVolume { volume: volume.clone() }, &desired).await;
    }
    bench.run(Step::Deliver { content }, &desired).await;
    bench.run(Step::Create { replica: replica.clone() }, &desired).await;

    let live = bench.live(&replica).await;
    let workload = &desired.workloads[&replica.workload()];
    let spec = &workload.spec.containers[&Name::try_from("app").expect("a name")];
    let mut asked = workload.spec.replica.clone();
    asked.extend(workload.spec.ports.clone());
    asked.extend(spec.fields.clone());
    asked.extend(spec.in_place.clone());
    for (path, value) in &asked {
        let found = live.fields.get(path).map(|field| field.value.clone());
        let expected = match value {
            FieldValue::Public(text) | FieldValue::Keyed(text) => text.clone(),
            FieldValue::Secret(digest) => {
                assert_eq!(found.map(|value| bench.installation.key.digest(value.as_bytes())), Some(digest.clone()), "{path}");
                continue;
            }
            FieldValue::Computed(_) => live.address(&bench.network().host_name).expect("an address").to_string(),
        };
        assert_eq!(found, Some(expected), "{path}");
    }
    let extra: Vec<_> = live.fields.iter().filter(|(path, field)| !field.inherited && !asked.contains_key(*path)).collect();
    assert!(extra.is_empty(), "{extra:?}");
    assert!(live.fields["env[PATH]"].inherited);
    assert!(live.fields["labels[from.image]"].inherited);
    assert_eq!(live.published.iter().collect::<Vec<_>>(), workload.template.ports.iter().collect::<Vec<_>>());
    let labels = live.labels.expect("ours");
    assert_eq!(labels.hash.as_ref(), Some(&workload.hash));
    assert_eq!(labels.created_revision, "r1");
    assert_eq!(live.care, Some(driftless::desired::Care::new(workload, &desired)));

    assert_eq!(bench.output(&live.id, &["cat", "/etc/app/app.conf", "/etc/one.conf", "/etc/app/sub/other.conf"]).await, "a = 1a = 1b = 2");
    assert_eq!(bench.output(&live.id, &["touch", "/scratch/a", "/memory/a"]).await, "", "emptyDirs are open to every user");
}

#[tokio::test]
async fn what_nobody_asked_for_is_inherited() {
    let Some(bench) = docker_or_skip().await else { return };
    let mut desired = bench.desired();
    let replica = bench.add(&mut desired, bench.template());
    bench.run(Step::Create { replica: replica.clone() }, &desired).await;
    let live = bench.live(&replica).await;
    let asked: Vec<_> = live.fields.iter().filter(|(_, field)| !field.inherited).map(|(path, _)| path.clone()).collect();
    let network = format!("networks[{}]", bench.network().host_name);
    assert_eq!(asked, ["image", network.as_str(), "restartPolicy", "terminationGracePeriodSeconds"]);
    assert_eq!(live.fields["args"].value, r#"["sleep","1000000"]"#);
}
