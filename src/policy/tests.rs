//! What policies come to on whole applications.

use std::path::Path;

use super::*;
use crate::desired::{Compose, Installation, Layout, Settings};
use crate::finding::Severity;
use crate::hash::Key;
use crate::manifest::{Context, Format};
use crate::name::Name;

fn name(text: &str) -> Name {
    Name::try_from(text).expect("a name")
}

fn context() -> Context {
    let layout = Layout::new("10.64.0.0/16".parse().expect("a network")).expect("wide enough");
    Context {
        application: name("shop"),
        revision: "r1".to_owned(),
        installation: Installation { owner: name("o1"), domain: "cluster.local".to_owned(), layout, key: Key::new([7; 32]) },
        settings: Settings::default(),
        namespace: name("shop"),
        format: Format::Auto,
    }
}

/// Returns what is found, as `severity rule file:line:column message`.
fn judge_in(context: &Context, files: &[(&str, &str)], policy: &Policy) -> Vec<String> {
    let findings = match build(&Tree::of(files.iter().copied()), context, policy) {
        Ok(desired) => desired.findings,
        Err(findings) => findings,
    };
    let line = |finding: &Finding| {
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        let Finding { rule, place, message, .. } = finding;
        format!("{severity} {rule} {}:{}:{} {message}", place.file.rsplit('/').next().unwrap_or_default(), place.line, place.column)
    };
    findings.iter().map(line).collect()
}

fn judge(files: &[(&str, &str)], policy: &Policy) -> Vec<String> {
    judge_in(&context(), files, policy)
}

/// A folder of rules that lives as long as the test.
fn own(files: &[(&str, &str)]) -> (tempfile::TempDir, Policy) {
    let folder = tempfile::tempdir().expect("a folder");
    for (file, text) in files {
        std::fs::write(folder.path().join(file), text).expect("a file");
    }
    let policy = Policy { enforce: Enforce::Privileged, folders: vec![folder.path().to_owned()], ..Policy::default() };
    (folder, policy)
}

/// A Deployment that nothing is wrong with, but for what is put in.
fn web(pod: &str, container: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  selector: {{ matchLabels: {{ app: web }} }}\n  template:\n    \
         metadata: {{ labels: {{ app: web }} }}\n    spec:\n{pod}      containers:\n        - name: web\n          image: web:1\n          \
         readinessProbe: {{ tcpSocket: {{ port: 80 }} }}\n          resources: {{ limits: {{ memory: 64Mi }} }}\n{container}"
    )
}

/// A second one, of another name.
fn other(container: &str) -> String {
    web("", container).replace("name: web\nspec", "name: other\nspec").replace("app: web", "app: other")
}

const PRIVILEGED: &str = "          securityContext: { privileged: true }\n";

#[test]
fn the_shipped_rules_pass_their_tests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let tested = test(&[folder]).expect("they are Rego");
    let failed = tested.cases.iter().filter(|case| case.outcome != Outcome::Passed);
    let failed: Vec<String> = failed.map(|case| format!("{} {:?} {:?}", case.name, case.outcome, case.printed)).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    for rule in SHIPPED {
        let file = format!("{}_test.rego", rule.id.replace('-', "_"));
        assert!(tested.cases.iter().any(|case| case.place.file.ends_with(&file)), "{} has no tests", rule.id);
    }
}

#[test]
fn every_shipped_rule_is_listed_and_every_listed_one_shipped() {
    let compiled: Vec<String> = shipped::rules().rules.iter().map(|rule| rule.id()).collect();
    let listed: Vec<String> = SHIPPED.iter().map(|rule| format!("policy/{}", rule.id)).collect();
    assert_eq!(compiled, listed);
    // With Conftest alone the names say what the baseline is.
    for (rule, listed) in shipped::rules().rules.iter().zip(SHIPPED) {
        assert_eq!(rule.denies, listed.baseline, "{}", listed.id);
    }
}

#[test]
fn the_documentation_lists_the_shipped_rules() {
    let row = |rule: &Shipped| format!("| `policy/{}` | {}| {} |", rule.id, if rule.baseline { "yes " } else { "" }, rule.finds);
    let text = include_str!("../../docs/policies.md");
    let written: Vec<&str> = text.lines().filter(|line| line.starts_with("| `policy/")).collect();
    assert_eq!(written, SHIPPED.iter().map(row).collect::<Vec<_>>());
}

#[test]
fn the_level_says_how_much_shipped_rules_weigh() {
    let manifest = web("", PRIVILEGED).replace("web:1", "web");
    let said = |enforce, fork, taken| {
        let policy = Policy { enforce, fork, taken, ..Policy::default() };
        judge(&[("web.yaml", &manifest)], &policy)
            .iter()
            .map(|line| line.split(':').next().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    let (image, privileged) = ("policy/image-tag web.yaml", "policy/privileged-container web.yaml");
    let (warns, denies) = (|rule| format!("warning {rule}"), |rule| format!("error {rule}"));
    assert_eq!(said(Enforce::Default, false, false), [warns(image), warns(privileged)]);
    assert_eq!(said(Enforce::Baseline, false, false), [warns(image), denies(privileged)]);
    assert_eq!(said(Enforce::Restricted, false, false), [denies(image), denies(privileged)]);
    assert_eq!(said(Enforce::Privileged, false, false), [] as [String; 0]);
    assert_eq!(said(Enforce::Default, true, false), [warns(image), denies(privileged)]);
    assert_eq!(said(Enforce::Privileged, true, false), [denies(privileged)]);
    assert_eq!(said(Enforce::Restricted, false, true), [warns(image), warns(privileged)]);
}

#[test]
fn findings_say_where() {
    let manifest = web("      hostNetwork: true\n      volumes: [{ name: a, hostPath: { path: /etc } }]\n", PRIVILEGED);
    let found = judge(&[("web.yaml", &manifest)], &Policy { enforce: Enforce::Baseline, ..Policy::default() });
    assert_eq!(
        found.iter().filter(|line| line.contains("policy/")).collect::<Vec<_>>(),
        [
            "error policy/host-namespace web.yaml:10:20 the pod shares the host's network",
            "error policy/host-path web.yaml:11:46 `/etc` of the host is outside of the folders for applications (/srv, /mnt, /media, /etc/localtime, /etc/timezone)",
            "error policy/privileged-container web.yaml:17:42 container `web` is privileged: it can do to the host whatever root can",
        ]
    );
}

#[test]
fn a_list_is_judged_item_by_item() {
    let item = web("", PRIVILEGED).replace('\n', "\n    ");
    let list = format!("apiVersion: v1\nkind: List\nitems:\n  - {}", item.trim_end());
    let found = judge(&[("list.yaml", &list)], &Policy { enforce: Enforce::Baseline, ..Policy::default() });
    assert_eq!(
        found,
        ["error policy/privileged-container list.yaml:18:46 container `web` is privileged: it can do to the host whatever root can"]
    );
}

const PROJECT: &str = "services:\n  web:\n    image: web:${TAG}\n    privileged: ${PRIVILEGED:-false}\n    deploy: { resources: { limits: { memory: 64m } } }\n    \
                       environment:\n      A_PASSWORD: ${A}\n      B_PASSWORD: plain\n";

#[test]
fn a_project_is_judged_as_it_is_deployed_and_secrets_as_they_are_written() {
    let env = "TAG=latest\nPRIVILEGED=true\nA=from-file\n";
    let over = "services:\n  web:\n    pid: host\n";
    let files = [("compose.yaml", PROJECT), ("compose.override.yaml", over), (".env", env)];
    assert_eq!(
        judge(&files, &Policy::default()),
        [
            "warning policy/host-namespace compose.override.yaml:3:10 service `web` shares the host's processes",
            "warning policy/image-tag compose.yaml:3:12 image `web:latest` has the tag `latest`: which version runs is not in Git",
            "warning policy/privileged-container compose.yaml:4:17 service `web` is privileged: it can do to the host whatever root can",
            "warning policy/plain-secret compose.yaml:8:19 variable `B_PASSWORD` is a secret in plain text",
        ]
    );
}

#[test]
fn a_line_with_a_secret_is_not_shown() {
    let found = build(&Tree::of([("compose.yaml", PROJECT), (".env", "TAG=1\nA=a\n")]), &context(), &Policy::default());
    let found = found.expect("it only warns").findings;
    let secret = found.iter().find(|finding| finding.rule == "policy/plain-secret").expect("it is found");
    assert_eq!(secret.place.length, 0);
}

#[test]
fn other_folders_of_the_host_can_be_allowed() {
    let manifest =
        web("      volumes: [{ name: a, hostPath: { path: /opt/shop } }, { name: b, hostPath: { path: /srv/data/shop/b } }]\n", "");
    let host_paths = |policy: &Policy| {
        let mut context = context();
        context.settings.compose = Compose { data_root: Some("/srv/data/shop".to_owned()), ..Compose::default() };
        judge_in(&context, &[("web.yaml", &manifest)], policy).iter().filter(|line| line.contains("host-path")).count()
    };
    assert_eq!(host_paths(&Policy { host_paths: Some(Vec::new()), ..Policy::default() }), 1);
    assert_eq!(host_paths(&Policy { host_paths: Some(vec!["/opt".to_owned()]), ..Policy::default() }), 0);
}

const LABEL: &str = "package main\nimport rego.v1\ndeny_team contains {\"msg\": msg, \"path\": \"metadata.name\"} if {\n  not input.metadata.labels.team\n  \
                     msg := sprintf(\"%s belongs to no team\", [input.metadata.name])\n}\nwarn contains \"be warned\" if input.kind == \"Deployment\"\n";

#[test]
fn own_rules_deny_and_warn_at_any_level() {
    let (_folder, policy) = own(&[("team.rego", LABEL), ("team_test.rego", "this is no Rego")]);
    assert_eq!(
        judge(&[("web.yaml", &web("", ""))], &policy),
        ["error policy/team web.yaml:4:9 web belongs to no team", "warning policy/warn web.yaml:4:9 be warned"]
    );
    let taken = Policy { taken: true, ..policy };
    assert_eq!(judge(&[("web.yaml", &web("", ""))], &taken)[1], "warning policy/team web.yaml:4:9 web belongs to no team");
}

#[test]
fn rules_from_before_rego_1_work() {
    let old = "package main\nviolation[{\"msg\": msg}] {\n  input.kind == \"Deployment\"\n  msg := \"old\"\n}\n";
    let (_folder, policy) = own(&[("old.rego", old)]);
    assert_eq!(judge(&[("web.yaml", &web("", ""))], &policy), ["error policy/violation web.yaml:4:9 old"]);
}

#[test]
fn packages_and_functions_are_found_through_imports() {
    let lib =
        "package lib.kubernetes\nimport rego.v1\nis_deployment(object) if object.kind == \"Deployment\"\nname := input.metadata.name\n";
    let main = "package main\nimport rego.v1\nimport data.lib.kubernetes as k\ndeny contains k.name if k.is_deployment(input)\n";
    let (_folder, policy) = own(&[("lib.rego", lib), ("main.rego", main)]);
    assert_eq!(judge(&[("web.yaml", &web("", ""))], &policy), ["error policy/deny web.yaml:4:9 web"]);
}

#[test]
fn rules_know_which_file_a_document_is_from() {
    let rule =
        "package main\nimport rego.v1\ndeny contains sprintf(\"%s in %s\", [data.conftest.file.name, data.conftest.file.dir]) if true\n";
    let (_folder, policy) = own(&[("file.rego", rule)]);
    let found = judge(&[("a/b/web.yaml", &web("", "")), ("top.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: { name: a }\n")], &policy);
    assert_eq!(found, ["error policy/deny web.yaml:4:9 web.yaml in a/b", "error policy/deny top.yaml:3:19 top.yaml in ."]);
}

#[test]
fn exceptions_count_for_own_and_shipped_rules_but_never_for_forks() {
    let except =
        "package main\nimport rego.v1\nexception contains [\"team\", \"privileged_container\"] if input.metadata.name == \"web\"\n";
    let (_folder, policy) = own(&[("team.rego", LABEL), ("except.rego", except)]);
    let policy = Policy { enforce: Enforce::Baseline, ..policy };
    let (web, other) = (web("", PRIVILEGED), other(PRIVILEGED));
    let denied = |policy: &Policy| {
        judge(&[("a.yaml", &web), ("b.yaml", &other)], policy).into_iter().filter(|line| line.starts_with("error")).collect::<Vec<_>>()
    };
    assert_eq!(denied(&policy).iter().filter(|line| line.contains("a.yaml")).count(), 0);
    assert_eq!(denied(&policy).len(), 2);
    let fork = denied(&Policy { fork: true, ..policy });
    assert!(fork[0].starts_with("error policy/privileged-container a.yaml"), "{fork:?}");
}

#[test]
fn a_rule_that_takes_too_long_is_stopped_and_denies() {
    let slow = "package main\nimport rego.v1\nwarn_slow contains \"never\" if {\n  some a in numbers.range(1, 30000)\n  some b in numbers.range(1, 30000)\n  a * b == -1\n}\n";
    let (_folder, policy) = own(&[("slow.rego", slow)]);
    let began = std::time::Instant::now();
    let (one, two) = (web("", ""), other(""));
    let found = judge(&[("a.yaml", &one), ("b.yaml", &two)], &policy);
    assert_eq!(
        found,
        ["error policy/slow a.yaml:4:9 the rule was stopped: it took longer than 1s for a document, or 10s for all (`warn_slow`)"],
        "it is not asked again"
    );
    assert!(began.elapsed() < std::time::Duration::from_secs(10));
}

#[test]
fn a_rule_that_cannot_answer_denies() {
    let endless = "package main\nimport rego.v1\nwarn_long contains \"never\" if count(numbers.range(1, 1000000000000)) > 0\n";
    let other = "package main\nimport rego.v1\ndeny_number contains 1 if true\n";
    let (_folder, policy) = own(&[("a.rego", endless), ("b.rego", other)]);
    assert_eq!(
        judge(&[("web.yaml", &web("", ""))], &policy),
        [
            "error policy/number web.yaml:4:9 it must say a text, or an object with a text as `msg` (`deny_number`)",
            "error policy/long web.yaml:4:9 the rule cannot be asked: a range of more than 1000000 numbers (`warn_long`)",
        ]
    );
}

#[test]
fn policies_that_cannot_be_read_deny_with_their_place() {
    let broken = "package main\nimport rego.v1\n\ndeny contains msg if {\n  msg := \n}\n";
    let twice = "package lib\nimport rego.v1\nf(x) := g(x)\ng(x) := f(x)\n";
    let (_folder, policy) = own(&[("broken.rego", broken)]);
    let found = judge(&[("web.yaml", &web("", ""))], &policy);
    assert_eq!(found, ["error policy/unreadable broken.rego:5:7 this is not Rego: expecting `}` while parsing set"]);
    let (_folder, policy) = own(&[("twice.rego", twice)]);
    let found = judge(&[("web.yaml", &web("", ""))], &policy);
    assert_eq!(found, ["error policy/unreadable twice.rego:3:1 the function `f` can come to call itself, which Rego forbids"]);
    let (folder, policy) = own(&[("readme.md", "nothing")]);
    let found = judge(&[("web.yaml", &web("", ""))], &policy);
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("there is no `*.rego` file in the folder of policies"), "{found:?}");
    drop(folder);
    let found = judge(&[("web.yaml", &web("", ""))], &policy);
    assert!(found[0].contains("No such file or directory"), "{found:?}");
    let taken = Policy { taken: true, ..policy };
    assert!(judge(&[("web.yaml", &web("", ""))], &taken)[0].starts_with("warning policy/unreadable"));
}

#[test]
fn values_of_secrets_are_not_given_to_rules() {
    let rule = "package main\nimport rego.v1\ndeny contains json.marshal(input) if input.kind == \"Secret\"\n";
    let (_folder, policy) = own(&[("secret.rego", rule)]);
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: { name: a }\nstringData: { password: canary-value }\n";
    let found = judge(&[("secret.yaml", secret)], &policy);
    assert!(found[0].contains("<secret>") && !found[0].contains("canary-value"), "{found:?}");
}

/// Whatever stands in a field, the shipped rules have an answer: one that cannot be asked would warn, and
/// keep silent about what it is there for.
#[test]
fn shipped_rules_cope_with_values_of_any_type() {
    let odd = ["~", "1", "x", "true", "[]", "[~]", "[1]", "{}", "{ a: ~ }", "{ a: 1 }", "[[]]", "[{}]"];
    let kubernetes = [
        "spec: ODD",
        "spec: { template: ODD }",
        "spec: { template: { spec: ODD } }",
        "spec: { template: { spec: { containers: ODD } } }",
        "spec: { template: { spec: { volumes: ODD, hostNetwork: ODD } } }",
        "spec: { template: { spec: { volumes: [{ hostPath: ODD }, { hostPath: { path: ODD } }] } } }",
        "spec: { template: { spec: { containers: [{ name: ODD, image: ODD, env: ODD, resources: ODD, securityContext: ODD, readinessProbe: ODD }] } } }",
        "spec: { template: { spec: { containers: [{ env: [{ name: ODD, value: ODD }], resources: { limits: ODD }, securityContext: { capabilities: { add: ODD } } }] } } }",
        "spec: { accessModes: ODD }",
        "data: ODD",
        "data: { password: ODD }",
        "metadata: ODD",
    ];
    let compose = [
        "services: ODD",
        "services: { web: ODD }",
        "volumes: ODD\nservices: {}",
        "volumes: { a: ODD }\nservices: { web: { volumes: ODD } }",
        "volumes: { a: { driver_opts: ODD } }\nservices: {}",
        "volumes: { a: { driver_opts: { device: ODD } } }\nservices: {}",
        "services: { web: { image: ODD, privileged: ODD, pid: ODD, cap_add: ODD, ports: ODD, healthcheck: ODD, environment: ODD, deploy: ODD, mem_limit: ODD } }",
        "services: { web: { ports: [a], healthcheck: { test: ODD, disable: ODD }, volumes: [{ source: ODD }, ODD], environment: { PASSWORD: ODD }, scale: ODD, deploy: { replicas: ODD } } }",
    ];
    for value in odd {
        let manifests = ["Deployment", "ConfigMap", "PersistentVolumeClaim", "Pod", "CronJob"].map(|kind| {
            kubernetes.iter().map(|body| format!("apiVersion: v1\nkind: {kind}\n{}\n---\n", body.replace("ODD", value))).collect::<String>()
        });
        let projects = compose.map(|body| body.replace("ODD", value));
        let files = manifests.iter().map(|text| ("odd.yaml", text)).chain(projects.iter().map(|text| ("compose.yaml", text)));
        for (file, text) in files {
            let found = judge(&[(file, text)], &Policy::default());
            let faults: Vec<&String> = found.iter().filter(|line| line.contains("the rule")).collect();
            assert!(faults.is_empty(), "{value}: {faults:#?}");
        }
    }
}
