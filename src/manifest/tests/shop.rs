//! A three-tier application comes out as it was written.

use std::time::Duration;

use crate::desired::{Action, Amount, Exclusive, FieldRef, MountSource, Part, PullPolicy, Strategy, Text, Workload};
use crate::hash::FieldValue;
use crate::name::ObjectId;

use super::*;

const SHOP: &str = include_str!("shop.yaml");

fn id(text: &str) -> ObjectId {
    ObjectId::try_from(text.to_owned()).expect("valid id")
}

fn workload(desired: &Desired, name: &str) -> Workload {
    desired.workloads[&id(&format!("shop/Deployment/{name}"))].clone()
}

#[test]
fn a_database_is_exclusive_and_stops_first() {
    let desired = good(&[("shop.yaml", SHOP)]);
    let db = workload(&desired, "db");
    assert_eq!(db.strategy, Strategy::Recreate);
    assert_eq!(db.exclusive, [Exclusive::Volume(id("shop/PersistentVolumeClaim/data"))]);
    assert_eq!(db.template.grace, Duration::from_secs(60));
    let container = &db.template.containers[0];
    assert_eq!(container.args.as_deref(), Some(&[Text::literal("-c"), Text::literal("max_connections=50")][..]));
    assert_eq!(container.mounts[0].target, "/var/lib/postgresql");
    assert!(container.env["URL"].is_secret());
    let url = container.env["URL"].resolve(|_| String::new());
    assert_eq!(url.as_deref(), Ok("postgres://app:hunter2-not-shown@db"));
    let volume = &desired.volumes[&id("shop/PersistentVolumeClaim/data")];
    assert_eq!((volume.host_name.as_str(), volume.single_writer), ("shop_data", true));
}

#[test]
fn a_service_resolves_its_ports_and_backends() {
    let desired = good(&[("shop.yaml", SHOP)]);
    let api = &desired.services[&id("shop/Service/api")];
    assert_eq!((api.headless, api.hold, api.ports[0].port), (false, Duration::from_secs(10), 80));
    assert_eq!(api.backends[0].workload, id("shop/Deployment/api"));
    assert_eq!(api.backends[0].targets, [Some(8000)]);
    let db = &desired.services[&id("shop/Service/db")];
    assert_eq!((db.headless, db.hold, db.ports[0].name.as_str()), (true, Duration::from_secs(30), "sql"));
    assert_eq!(desired.networks[&id("home/Network/driftless-home")].host_name, "driftless-home");
    assert_eq!(desired.fronts[&id("home/Front/services")].host_name, "driftless-home-front");
}

#[test]
fn a_template_has_everything_that_was_written() {
    let desired = good(&[("shop.yaml", SHOP)]);
    let api = workload(&desired, "api");
    assert_eq!(api.strategy, Strategy::Rolling { surge: Amount::Count(1), unavailable: Amount::Count(0) });
    assert_eq!((api.min_ready, api.drain, api.history_limit), (Duration::from_secs(1), Duration::from_secs(3), 10));
    assert_eq!(api.deadline, Some(Duration::from_secs(600)));
    let container = &api.template.containers[0];
    assert_eq!(container.pull, PullPolicy::Always);
    assert_eq!(container.user.as_deref(), Some("1000:1000"));
    assert!(container.read_only && container.no_new_privileges && !container.privileged);
    assert_eq!(container.resources.cpu_limit, Some(500_000_000));
    assert_eq!(container.resources.memory_request, Some(128 << 20));
    assert_eq!(container.env["DB_HOST"], Text::literal("db"));
    assert_eq!(container.env["POD"], Text(vec![Part::Field(FieldRef::Name)]));
    assert_eq!(container.env["NOTE"], Text::literal("from-git"));
    assert!(container.env["SECRET_password"].is_secret());
    assert!(!container.env.contains_key("MAYBE"));
    let liveness = container.probes.liveness.as_ref().expect("written");
    assert!(matches!(&liveness.action, Action::Http { port: 8000, path, .. } if path == "/healthz"));
    assert_eq!(container.probes.startup.as_ref().expect("written").failure_threshold, 30);
    let MountSource::Content(content) = &container.mounts[0].source else { panic!("files are mounted first") };
    let file = &desired.contents[content].files["motd/greeting"];
    assert_eq!((file.bytes.expose(), file.mode), (&b"Hello\nthere\n"[..], 0o440));
}

#[test]
fn secret_values_are_nowhere_in_what_prints() {
    let desired = good(&[("shop.yaml", SHOP)]);
    let printed = format!("{desired:?}");
    assert!(!printed.contains("hunter2"), "{printed}");
    let db = workload(&desired, "db");
    let fields = &db.spec.containers.values().next().expect("one container").fields;
    assert!(matches!(fields["env[URL]"], FieldValue::Secret(_)));
}

#[test]
fn the_size_of_a_claim_is_noted_as_not_enforced() {
    let desired = good(&[("shop.yaml", SHOP)]);
    assert_eq!(lines(&desired.findings), "shop.yaml:33:7: note: the size of a volume is not enforced: it may grow as far as the disk\n");
}
