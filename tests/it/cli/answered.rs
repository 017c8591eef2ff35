//! Commands that an agent answers.

use insta::assert_snapshot;

use super::Place;

const DONE: &str = r#"{"answer": "done", "exit_code": 0, "message": ""}"#;
const PLAN: &str = r#"{"answer": "plan", "host": "box", "refused": false, "rolledBack": null, "rounds": null, "plan": {"application": "shop",
"revision": "3f2a9c1", "id": "0a1b2c3d4e5f", "failed": null, "steps": [], "held": [], "deferred": [], "findings": [], "workloads": [],
"changes": [{"object": "shop/Deployment/web", "action": "update", "reason": "changed in Git", "fields": [{"path": "spec.replicas",
"old": "1", "new": "2", "consequence": "scales"}]}], "drift": [{"object": "shop/Deployment/api/x7k2p", "kind": "Deployment",
"what": "stopped", "since": null, "healed": false, "fields": []}]}}"#;
const REFUSED: &str =
    r#"{"answer": "error", "class": "user", "messages": ["there is no application `shpo`", "a cause"], "hint": "known are: shop"}"#;
const BUG: &str = r#"{"answer": "error", "class": "internal", "messages": ["the plan was refused by the audit"], "hint": null}"#;

/// Runs a command against an agent that says these lines; returns what was asked and what is seen.
fn talk(arguments: &[&str], answers: &[&str]) -> String {
    let place = Place::new();
    let answers: Vec<String> = answers.iter().map(|answer| answer.replace('\n', "")).collect();
    let agent = place.agent(&answers.iter().map(String::as_str).collect::<Vec<_>>());
    let seen = place.run(arguments);
    format!("{}\n{seen}", agent.join().expect("the agent answers"))
}

#[test]
fn a_plan_is_asked_for_and_shown() {
    assert_snapshot!(talk(&["plan", "shop", "--exit-code"], &[PLAN, DONE]), @r#"
    {"command":"plan","application":"shop","rounds":false}
    shop at 3f2a9c1: 1 object changes, 1 scaled; 1 object differs

    Changes
      ~ shop/Deployment/web  scale     changed in Git
          spec.replicas  1 -> 2  scales

    Drift
      ~ shop/Deployment/api/x7k2p  stopped, only reported

    Plan 0a1b2c3d4e5f
    ------- stderr -------
    [exit status: 3]
    "#);
    assert_snapshot!(talk(&["drift", "--exit-code"], &[PLAN, DONE]), @r#"
    {"command":"drift","application":null,"files":false}
    shop at 3f2a9c1: 1 object differs, only reported
    1 object of the plan still to be applied, which is not drift: see `driftless plan`

      ~ shop/Deployment/api/x7k2p  stopped, only reported
    ------- stderr -------
    [exit status: 3]
    "#);
    assert_snapshot!(talk(&["drift", "-o", "json"], &[PLAN, PLAN, DONE]), @r#"
    {"command":"drift","application":null,"files":false}
    {"version":1,"host":"box","application":"shop","revision":"3f2a9c1","drift":[{"object":"shop/Deployment/api/x7k2p","kind":"Deployment","what":"stopped","fields":[],"since":null,"healed":false}],"healed":[]}
    {"version":1,"host":"box","application":"shop","revision":"3f2a9c1","drift":[{"object":"shop/Deployment/api/x7k2p","kind":"Deployment","what":"stopped","fields":[],"since":null,"healed":false}],"healed":[]}
    ------- stderr -------
    [exit status: 0]
    "#);
}

#[test]
fn one_application_that_cannot_be_planned_does_not_hide_another() {
    assert_snapshot!(talk(&["plan"], &[REFUSED, PLAN, DONE]), @r#"
    {"command":"plan","application":null,"rounds":false}
    shop at 3f2a9c1: 1 object changes, 1 scaled; 1 object differs

    Changes
      ~ shop/Deployment/web  scale     changed in Git
          spec.replicas  1 -> 2  scales

    Drift
      ~ shop/Deployment/api/x7k2p  stopped, only reported

    Plan 0a1b2c3d4e5f
    ------- stderr -------
    error: there is no application `shpo`
    cause: a cause

    hint: known are: shop
    [exit status: 1]
    "#);
}

#[test]
fn a_refusal_has_causes_and_a_hint() {
    assert_snapshot!(talk(&["retry", "shpo"], &[REFUSED]), @r#"
    {"command":"retry","application":"shpo"}
    ------- stderr -------
    error: there is no application `shpo`
    cause: a cause

    hint: known are: shop
    [exit status: 1]
    "#);
}

#[test]
fn a_bug_of_ours_is_told_from_a_mistake_of_the_users() {
    assert_snapshot!(talk(&["plan"], &[BUG]), @r#"
    {"command":"plan","application":null,"rounds":false}
    ------- stderr -------
    error: the plan was refused by the audit
    [exit status: 70]
    "#);
}

#[test]
fn an_apply_shows_what_happens_and_how_it_ends() {
    let progress = [
        r#"{"answer": "progress", "event": "started", "step": "pull example/web:2"}"#,
        r#"{"answer": "progress", "event": "done", "step": "pull example/web:2", "millis": 1234}"#,
        r#"{"answer": "progress", "event": "failed", "step": "create shop/Deployment/web/x", "message": "the disk is full"}"#,
        r#"{"answer": "progress", "event": "workload", "object": "shop/Deployment/web", "message": "Progressing: 0 of 2 replicas serve"}"#,
        r#"{"answer": "progress", "event": "note", "message": "a note"}"#,
    ];
    let bad = r#"{"answer": "done", "exit_code": 1, "message": "shop: rolled back: no progress for 10s (the progress deadline)"}"#;
    let good = r#"{"answer": "done", "exit_code": 0, "message": "shop is Synced and Healthy at 3f2a9c1"}"#;
    assert_snapshot!(talk(&["apply", "shop", "--plan", "0a1b2c3d4e5f"], &[progress.as_slice(), &[bad]].concat()), @r#"
    {"command":"apply","application":"shop","plan":"0a1b2c3d4e5f","prune_all":false,"wait":300}
    shop: rolled back: no progress for 10s (the progress deadline)
    ------- stderr -------
    begin   pull example/web:2
    done    pull example/web:2 (1.2s)
    failed  create shop/Deployment/web/x: the disk is full
    state   shop/Deployment/web Progressing: 0 of 2 replicas serve
    note    a note
    [exit status: 1]
    "#);
    assert_snapshot!(talk(&["apply"], &[good]), @r#"
    {"command":"apply","application":null,"plan":null,"prune_all":false,"wait":300}
    shop is Synced and Healthy at 3f2a9c1
    ------- stderr -------
    [exit status: 0]
    "#);
    assert_snapshot!(talk(&["apply", "-o", "json"], &[good]), @r#"
    {"command":"apply","application":null,"plan":null,"prune_all":false,"wait":300}
    {"exitCode":0,"message":"shop is Synced and Healthy at 3f2a9c1","version":1}
    ------- stderr -------
    [exit status: 0]
    "#);
}

#[test]
fn an_agent_that_goes_away_is_no_success() {
    assert_snapshot!(talk(&["status"], &[]), @r#"
    {"command":"status","application":null,"watch":false}
    ------- stderr -------
    error: failed to hear the agent out: it ended before its last word

    hint: what it had begun goes on once it runs again; look with `driftless status`
    [exit status: 1]
    "#);
    assert_snapshot!(talk(&["apply"], &[]), @r#"
    {"command":"apply","application":null,"plan":null,"prune_all":false,"wait":300}
    ------- stderr -------
    error: failed to hear the agent out: it ended before its last word

    hint: what it had begun goes on once it runs again; look with `driftless status`
    [exit status: 1]
    "#);
    assert_snapshot!(talk(&["status"], &[r#"{"answer": "riddle"}"#]), @r#"
    {"command":"status","application":null,"watch":false}
    ------- stderr -------
    error: failed to understand the agent's answer
    cause: unknown variant `riddle`, expected one of `plan`, `status`, `history`, `patch`, `progress`, `done`, `error` at line 1 column 19

    hint: the agent may be of another version: restart it
    [exit status: 1]
    "#);
}

const STATUS: &str = r#"{"answer": "status", "version": 1, "host": "box", "applications": [{"name": "shop", "revision": "3f2a9c1",
"head": "3f2a9c1", "sync": "Synced", "health": "Healthy", "message": "", "rolledBack": false, "refused": false, "plan": "0a1b",
"workloads": [], "held": [], "findings": [], "drift": 0}]}"#;

#[test]
fn a_badge_is_asked_for_and_a_line_to_paste_is_not() {
    assert_snapshot!(talk(&["badge", "shop", "-o", "json"], &[STATUS, DONE]), @r##"
    {"command":"status","application":"shop","watch":false}
    {"schemaVersion":1,"label":"shop","message":"Synced, Healthy","color":"#0b612a","isError":false}
    ------- stderr -------
    [exit status: 0]
    "##);
    let svg = talk(&["badge", "shop"], &[STATUS, DONE]);
    assert!(svg.contains("<svg ") && svg.ends_with("</svg>\n------- stderr -------\n[exit status: 0]"), "{svg}");
    assert_snapshot!(Place::new().run(&["badge", "shop", "-o", "markdown", "--http", "127.0.0.1:8765"]), @r"
    [![shop](http://127.0.0.1:8765/badge/shop.svg)](http://127.0.0.1:8765/)
    ------- stderr -------
    [exit status: 0]
    ");
    assert_snapshot!(Place::new().run(&["badge", "shop", "-o", "markdown", "--http", "none"]), @r"
    ------- stderr -------
    error: with `--http none` nobody serves the badge

    hint: say with --url where it is served
    [exit status: 2]
    ");
}

#[test]
fn a_history_is_asked_for_and_shown() {
    let history = r#"{"answer": "history", "version": 1, "host": "box", "application": "shop", "events": [
{"at": "2026-01-02T03:04:05Z", "revision": "3f2a9c1", "kind": "healthy", "message": ""}]}"#;
    assert_snapshot!(talk(&["history", "shop"], &[history, DONE]), @r#"
    {"command":"history","application":"shop","limit":20}
    shop
      2026-01-02 03:04:05 UTC  3f2a9c1  healthy
    ------- stderr -------
    [exit status: 0]
    "#);
    assert_snapshot!(talk(&["history", "--limit", "1", "-o", "json"], &[history, DONE]), @r#"
    {"command":"history","application":null,"limit":1}
    {"version":1,"host":"box","application":"shop","events":[{"at":"2026-01-02T03:04:05Z","revision":"3f2a9c1","kind":"healthy","message":""}]}
    ------- stderr -------
    [exit status: 0]
    "#);
}

#[test]
fn what_a_person_decides_is_passed_on_word_for_word() {
    let done = r#"{"answer": "done", "exit_code": 0, "message": "shop/Deployment/web is suspended"}"#;
    assert_snapshot!(talk(&["suspend", "shop/web"], &[done]), @r#"
    {"command":"suspend","application":"shop","workload":"web"}
    shop/Deployment/web is suspended
    ------- stderr -------
    [exit status: 0]
    "#);
    assert_snapshot!(talk(&["resume", "shop", "-o", "markdown"], &[done]), @r#"
    {"command":"resume","application":"shop","workload":null}
    - shop/Deployment/web is suspended
    ------- stderr -------
    [exit status: 0]
    "#);
    assert_snapshot!(talk(&["rollback", "shop", "--to", "3f2a"], &[REFUSED]), @r#"
    {"command":"rollback","application":"shop","to":"3f2a","wait":300}
    ------- stderr -------
    error: there is no application `shpo`
    cause: a cause

    hint: known are: shop
    [exit status: 1]
    "#);
    assert_snapshot!(talk(&["scale", "shop/web", "6", "--until", "2026-01-02T18:00:00Z"], &[done]), @r#"
    {"command":"scale","application":"shop","workload":"web","replicas":6,"until":"2026-01-02T18:00:00Z"}
    shop/Deployment/web is suspended
    ------- stderr -------
    [exit status: 0]
    "#);
    assert_snapshot!(Place::new().run(&["scale", "shop", "6"]), @"
    ------- stderr -------
    error: `shop` names no workload

    hint: write APP/WORKLOAD, as in `shop/web`
    [exit status: 2]
    ");
    assert_snapshot!(Place::new().run(&["scale", "shop/web", "6", "--until", "tomorrow"]), @"
    ------- stderr -------
    error: `tomorrow` is neither a duration nor a time

    hint: write it as in `--until 2h`, or `--until 2026-01-02T18:00:00Z`
    [exit status: 2]
    ");
}

#[test]
fn a_patch_is_data_and_what_to_do_with_it_is_not() {
    let patch = r#"{"answer": "patch", "file": "deploy/app.yaml", "patch": "--- a/deploy/app.yaml\n+++ b/deploy/app.yaml\n@@ -1,1 +1,1 @@\n-replicas: 2\n+replicas: 3\n"}"#;
    assert_snapshot!(talk(&["scale", "shop/web", "3"], &[patch, DONE]), @r#"
    {"command":"scale","application":"shop","workload":"web","replicas":3,"until":null}
    --- a/deploy/app.yaml
    +++ b/deploy/app.yaml
    @@ -1,1 +1,1 @@
    -replicas: 2
    +replicas: 3
    ------- stderr -------
    Nothing was changed. In a clone of the repository: pipe this to `git apply`, commit `deploy/app.yaml`, push.
    [exit status: 0]
    "#);
    assert_snapshot!(talk(&["scale", "shop/web", "3", "-o", "json"], &[patch, DONE]), @r#"
    {"command":"scale","application":"shop","workload":"web","replicas":3,"until":null}
    {"file":"deploy/app.yaml","patch":"--- a/deploy/app.yaml\n+++ b/deploy/app.yaml\n@@ -1,1 +1,1 @@\n-replicas: 2\n+replicas: 3\n","version":1}
    ------- stderr -------
    Nothing was changed. In a clone of the repository: pipe this to `git apply`, commit `deploy/app.yaml`, push.
    [exit status: 0]
    "#);
}

#[test]
fn what_happens_is_watched_line_by_line_and_judged_once() {
    let begins =
        STATUS.replace("\"Healthy\"", "\"Progressing\"").replace("\"message\": \"\"", "\"message\": \"web: 0 of 1 replicas serve\"");
    let watched = talk(&["status", "--watch"], &[&begins, &begins, STATUS]);
    let lines: Vec<&str> = watched.lines().filter_map(|line| line.split_once(" UTC  ").map(|(_, rest)| rest)).collect();
    assert_eq!(
        lines,
        ["shop at 3f2a9c1: Synced, Progressing; web: 0 of 1 replicas serve", "shop at 3f2a9c1: Synced, Healthy"],
        "{watched}"
    );
    assert!(watched.starts_with(r#"{"command":"status","application":null,"watch":true}"#), "{watched}");
    assert!(
        watched.contains("it ended before its last word") && watched.ends_with("[exit status: 1]"),
        "an agent that ends is told: {watched}"
    );
    for (status, code) in [
        (STATUS.to_owned(), 0),
        (begins, 3),
        (STATUS.replace("\"Synced\"", "\"OutOfSync\""), 3),
        (STATUS.replace("\"Healthy\"", "\"Suspended\""), 0),
        (STATUS.replace("\"Healthy\"", "\"Degraded\""), 1),
        (STATUS.replace("\"rolledBack\": false", "\"rolledBack\": true"), 1),
        (STATUS.replace("\"refused\": false", "\"refused\": true"), 1),
    ] {
        let seen = talk(&["status", "--exit-code"], &[&status, DONE]);
        assert!(seen.ends_with(&format!("[exit status: {code}]")), "{status}: {seen}");
        assert!(talk(&["status"], &[&status, DONE]).ends_with("[exit status: 0]"), "without it: 0");
    }
}
