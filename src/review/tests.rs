use super::*;
use crate::desired::{Installation, Layout, Settings};
use crate::finding::Place;
use crate::hash::Key;
use crate::manifest::{Context, Format, Tree, build};
use crate::name::Name;
use crate::plan::ChangeAction;

fn desired(files: &[(&str, &str)]) -> Desired {
    let name = Name::try_from("shop").expect("a name");
    let layout = Layout::new("10.64.0.0/16".parse().expect("a network")).expect("a /16");
    let context = Context {
        application: name.clone(),
        revision: "r".to_owned(),
        installation: Installation { owner: name.clone(), domain: "cluster.local".to_owned(), layout, key: Key::new([7; 32]) },
        settings: Settings::default(),
        namespace: name,
        format: Format::Auto,
    };
    build(&Tree::of(files.iter().copied()), &context).unwrap_or_else(|findings| panic!("{findings:?}"))
}

fn deployment(name: &str, image: &str, more: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: {name} }}\nspec:\n  replicas: 2\n  selector: {{ matchLabels: {{ app: {name} }} }}\n{more}  \
         template:\n    metadata: {{ labels: {{ app: {name} }} }}\n    spec: {{ containers: [{{ name: c, image: {image} }}] }}\n"
    )
}

#[test]
fn the_same_twice_changes_nothing() {
    let text = deployment("web", "web:1", "");
    let review = review(Some(&desired(&[("a.yaml", &text)])), &desired(&[("a.yaml", &text)]));
    assert_eq!((review.answer.plan.changes.len(), review.answer.rounds, review.unchanged), (0, Some(Vec::new()), 1));
    assert_eq!((review.caveats, review.interruptions), (Vec::new(), Vec::new()));
}

#[test]
fn a_rolling_update_interrupts_nothing_and_a_recreation_does() {
    let (before, after) = (deployment("web", "web:1", ""), deployment("web", "web:2", ""));
    let rolling = review(Some(&desired(&[("a.yaml", &before)])), &desired(&[("a.yaml", &after)]));
    assert_eq!(rolling.answer.plan.changes[0].action, ChangeAction::Recreate);
    assert_eq!(rolling.interruptions, []);
    let recreate = "  strategy: { type: Recreate }\n";
    let (before, after) = (deployment("web", "web:1", recreate), deployment("web", "web:2", recreate));
    let recreated = review(Some(&desired(&[("a.yaml", &before)])), &desired(&[("a.yaml", &after)]));
    let [interruption] = recreated.interruptions.as_slice() else { panic!("{:?}", recreated.interruptions) };
    assert!(interruption.millis.is_some_and(|millis| (1_000..10_000).contains(&millis)), "{interruption:?}");
    assert_eq!(interruption.reason, "it stops first, because its strategy is `Recreate`; its clients are refused meanwhile");
}

#[test]
fn warnings_that_were_there_before_are_only_counted() {
    let warned = |image: &str, more: &[(&str, usize)]| {
        let mut desired = desired(&[("a.yaml", &deployment("web", image, ""))]);
        let warning = |(message, line): &(&str, usize)| Finding::warning("rule", Place { line: *line, ..Place::file("a.yaml") }, *message);
        desired.findings = more.iter().map(warning).collect();
        desired
    };
    let base = warned("web:1", &[("old", 3), ("twice", 4)]);
    let head = warned("web:2", &[("new", 1), ("old", 4), ("twice", 5), ("twice", 6)]);
    let reviewed = application(&base.application.clone(), ".", Some(Ok(base)), Some(Ok(head)), true);
    let messages: Vec<&str> = reviewed.findings.iter().map(|finding| finding.message.as_str()).collect();
    assert_eq!((messages.as_slice(), reviewed.known), (["new", "twice"].as_slice(), 2));
}

#[test]
fn without_a_base_everything_is_new() {
    let head = desired(&[("a.yaml", &deployment("web", "web:1", ""))]);
    let review = review(None, &head);
    assert_eq!(
        review.answer.plan.changes.iter().filter(|change| change.action == ChangeAction::Create).count(),
        review.answer.plan.changes.len()
    );
    assert_eq!((review.unchanged, review.interruptions), (0, Vec::new()));
}

#[test]
fn a_service_and_its_front_are_one_object() {
    let compose = "services:\n  web: { image: \"web:1\", expose: [80], volumes: [\"data:/data\"] }\n  job: { image: \"job:1\" }\nvolumes: { data: {} }\n";
    let head = desired(&[("compose.yaml", compose)]);
    assert_eq!(review(None, &head).unchanged, 0);
    let next = desired(&[("compose.yaml", &compose.replace("job:1", "job:2"))]);
    // Services, the front of one of them, the volume, the network: all but one service stay.
    let reviewed = review(Some(&head), &next);
    assert_eq!((reviewed.answer.plan.changes.len(), reviewed.unchanged), (1, 4));
}

#[test]
fn what_somebody_else_makes_is_taken_to_be_there() {
    let compose = "services:\n  web:\n    image: web:1\n    volumes: [\"data:/data\"]\n    networks: [edge]\nvolumes: { data: { external: true } }\nnetworks: { edge: { external: true } }\n";
    let base = desired(&[("compose.yaml", compose)]);
    let review = review(Some(&base), &desired(&[("compose.yaml", &compose.replace("web:1", "web:2"))]));
    assert_eq!(review.caveats, Vec::<String>::new());
    assert_eq!(review.answer.plan.changes.len(), 1);
}
