use insta::assert_snapshot;
use serde_json::{Value, json};

use super::*;

fn answer(plan: Value, rest: Value) -> PlanAnswer {
    let mut whole = json!({"host": "box", "rounds": null, "refused": false, "rolledBack": null, "plan": {
        "application": "shop", "revision": "3f2a9c1d5e6f708192a3b4c5d6e7f8091a2b3c4d", "id": "0a1b2c3d4e5f", "changes": [], "steps": [],
        "held": [], "deferred": [], "drift": [], "findings": [], "workloads": [], "failed": null
    }});
    merge(&mut whole["plan"], plan);
    merge(&mut whole, rest);
    serde_json::from_value(whole).expect("an answer")
}

fn merge(into: &mut Value, from: Value) {
    for (key, value) in from.as_object().expect("an object") {
        into[key] = value.clone();
    }
}

fn workload(name: &str, desired: u32, available: u32) -> Value {
    json!({"name": format!("shop/Deployment/{name}"), "desired": desired, "ready": available, "updated": 0, "available": available,
        "health": "Progressing", "message": format!("0 of {desired} replicas are of this revision"), "settled": false})
}

fn rollout() -> PlanAnswer {
    let field =
        |path: &str, old: &str, new: &str, consequence: &str| json!({"path": path, "old": old, "new": new, "consequence": consequence});
    answer(
        json!({
            "changes": [
                {"object": "shop/Deployment/api", "action": "recreate", "reason": "changed in Git", "fields": [
                    field("spec.replicas", "2", "4", "scales"),
                    field("spec.template.spec.containers[api].env[GREETING]", "", "two\nlines", "recreates"),
                    field("spec.template.spec.containers[api].env[PASSWORD]", "<secret>", "<secret, changed>", "recreates"),
                    field("spec.template.spec.containers[api].image", "example/api:1", "example/api:2", "recreates"),
                ]},
                {"object": "shop/Deployment/web", "action": "update", "reason": "changed in Git", "fields": [
                    field("spec.replicas", "1", "2", "scales")
                ]},
                {"object": "shop/Deployment/old", "action": "remove", "reason": "no longer in Git", "fields": []},
                {"object": "shop/Service/web", "action": "create", "reason": "new in this revision", "fields": [
                    {"path": "spec.ports[80/tcp]", "old": null, "new": "web:8080", "consequence": "traffic only"}
                ]}
            ],
            "steps": [
                {"id": "pull:Image/example/api:2", "step": {"action": "pull", "image": "example/api:2"},
                 "object": "Image/example/api:2", "reason": "shop/Deployment/api needs it"},
                {"id": "create:shop/Deployment/web/x7k2p", "step": {"action": "create", "replica": "shop/Deployment/web/x7k2p"},
                 "object": "shop/Deployment/web/x7k2p", "reason": "wanted by this revision"}
            ],
            "held": [
                {"object": "shop/Deployment/api", "reason": "waits for image `example/api:2`", "until": null},
                {"object": "shop/Deployment/old", "reason": "no longer in Git; removed when shop/Deployment/api is healthy",
                 "until": "2026-01-02T03:04:05.678Z"}
            ],
            "findings": [
                {"rule": "no-probe", "severity": "warning", "file": "api.yaml", "line": 12, "column": 9,
                 "message": "container `api` has no readiness probe", "hint": "add `readinessProbe`"}
            ],
            "workloads": [workload("api", 4, 2), workload("web", 2, 1)]
        }),
        json!({}),
    )
}

fn with_rounds() -> PlanAnswer {
    let round = |at: u64, steps: &[&str], held: &[&str], api: usize, web: usize| json!({"at": at, "steps": steps, "held": held, "serving": [["shop/Deployment/api", api], ["shop/Deployment/web", web]]});
    let image = "shop/Deployment/api: waits for image `example/api:2`";
    let ready = "shop/Deployment/api: waits: 2 new replicas do not serve yet";
    let rounds = json!([
        round(0, &["pull example/api:2", "create shop/Deployment/web/x7k2p"], &[image], 2, 1),
        round(700, &["create shop/Deployment/api/b2", "create shop/Deployment/api/c3"], &[ready], 2, 1),
        round(1700, &["join shop/Deployment/api/b2", "join shop/Deployment/api/c3", "join shop/Deployment/web/x7k2p"], &[ready], 2, 1),
        round(1800, &["leave shop/Deployment/api/a1"], &["shop/Deployment/api/a1: drains"], 4, 2),
        round(620000, &[], &["shop/Deployment/api/a1: drains"], 4, 2),
    ]);
    PlanAnswer { rounds: serde_json::from_value(rounds).expect("rounds"), ..rollout() }
}

fn drifted() -> PlanAnswer {
    answer(
        json!({"drift": [
            {"object": "shop/Deployment/api/x7k2p", "kind": "Deployment", "what": "changed", "since": null, "healed": true, "fields": [
                {"path": "spec.template.spec.containers[api].resources.limits.memory", "expected": "64Mi", "actual": "128Mi"},
                {"path": "NetworkSettings.Networks[driftless-a]", "expected": "connected", "actual": null}
            ]},
            {"object": "shop/Deployment/web/b2", "kind": "Deployment", "what": "stopped", "since": "2026-01-02T03:04:05.678Z", "healed": true,
             "fields": []}
        ], "held": [{"object": "shop/Deployment/web/b2", "reason": "somebody stopped or paused it; healed after `healStopped`",
             "until": "2026-01-02T03:19:05Z"}]}),
        json!({}),
    )
}

#[test]
fn a_plan_reads_from_its_verdict_down() {
    assert_snapshot!(plan_text(&rollout(), Paint::Plain), @r#"
    shop at 3f2a9c1: 4 objects change, 1 created, 1 recreated, 1 scaled, 1 removed

    Changes
      * shop/Deployment/api  recreate  changed in Git
          spec.replicas                                     2 -> 4                          scales
          spec.template.spec.containers[api].env[GREETING]  "" -> two\nlines                recreates
          spec.template.spec.containers[api].env[PASSWORD]  <secret> -> <secret, changed>   recreates
          spec.template.spec.containers[api].image          example/api:1 -> example/api:2  recreates
      ~ shop/Deployment/web  scale     changed in Git
          spec.replicas  1 -> 2  scales
      - shop/Deployment/old  remove    no longer in Git
      + shop/Service/web     create    new in this revision
          spec.ports[80/tcp]  web:8080

    Now
      pull    example/api:2              shop/Deployment/api needs it
      create  shop/Deployment/web/x7k2p  wanted by this revision

    Held
      shop/Deployment/api  waits for image `example/api:2`
      shop/Deployment/old  no longer in Git; removed when shop/Deployment/api is healthy (until 2026-01-02 03:04:05 UTC)

    Findings: 1 warning
      api.yaml:12:9: warning[no-probe]: container `api` has no readiness probe
          hint: add `readinessProbe`

    Plan 0a1b2c3d4e5f
    "#);
}

#[test]
fn rounds_show_when_what_is_done_and_how_many_serve() {
    assert_snapshot!(plan_text(&with_rounds(), Paint::Plain), @r#"
    shop at 3f2a9c1: 4 objects change, 1 created, 1 recreated, 1 scaled, 1 removed; least available of shop/Deployment/api 2 of 2

    Changes
      * shop/Deployment/api  recreate  changed in Git
          spec.replicas                                     2 -> 4                          scales
          spec.template.spec.containers[api].env[GREETING]  "" -> two\nlines                recreates
          spec.template.spec.containers[api].env[PASSWORD]  <secret> -> <secret, changed>   recreates
          spec.template.spec.containers[api].image          example/api:1 -> example/api:2  recreates
      ~ shop/Deployment/web  scale     changed in Git
          spec.replicas  1 -> 2  scales
      - shop/Deployment/old  remove    no longer in Git
      + shop/Service/web     create    new in this revision
          spec.ports[80/tcp]  web:8080

    Rounds (simulated)
          0s  serving: api 2, web 1
              pull example/api:2
              create shop/Deployment/web/x7k2p
              held: shop/Deployment/api: waits for image `example/api:2`
       700ms  create shop/Deployment/api/b2
              create shop/Deployment/api/c3
              held: shop/Deployment/api: waits: 2 new replicas do not serve yet
        1.7s  join shop/Deployment/api/b2
              join shop/Deployment/api/c3
              join shop/Deployment/web/x7k2p
        1.8s  serving: api 4, web 2
              leave shop/Deployment/api/a1
              held: shop/Deployment/api/a1: drains
      10m20s  nothing more happens, and it has not converged
              held: shop/Deployment/api/a1: drains

    Least available
      shop/Deployment/api  2 of 2
      shop/Deployment/web  1 of 1

    Findings: 1 warning
      api.yaml:12:9: warning[no-probe]: container `api` has no readiness probe
          hint: add `readinessProbe`

    Plan 0a1b2c3d4e5f
    "#);
}

#[test]
fn a_plan_without_changes_says_so() {
    let mut lines = Vec::new();
    let held = json!({"held": [{"object": "shop/Deployment/web/a1", "reason": "drains: 1 connection is open", "until": null}]});
    for (plan, rest) in [
        (json!({}), json!({})),
        (held, json!({})),
        (json!({}), json!({"refused": true})),
        (json!({"revision": ""}), json!({"refused": true})),
        (json!({}), json!({"rolledBack": "no progress for 30s (the progress deadline)"})),
    ] {
        lines.push(plan_text(&answer(plan, rest), Paint::Plain));
    }
    assert_snapshot!(lines.join("--\n"), @r#"
    shop at 3f2a9c1: nothing to do
    --
    shop at 3f2a9c1: nothing changes in Git; 1 held

    Held
      shop/Deployment/web/a1  drains: 1 connection is open
    --
    shop at 3f2a9c1: the revision in Git is refused; nothing to do
    Its errors are below. This is the plan of the last good revision, 3f2a9c1
    --
    shop: the revision in Git is refused; nothing can be planned
    Its errors are below, and there is no earlier revision
    --
    shop at 3f2a9c1: RolledBack; nothing to do
    The revision in Git was rolled back: no progress for 30s (the progress deadline). This is the plan of an earlier healthy one, 3f2a9c1
    "#);
}

#[test]
fn drift_names_each_field() {
    assert_snapshot!(drift_text(&drifted(), Paint::Plain), @r#"
    shop at 3f2a9c1: 2 objects differ, being healed

      ~ shop/Deployment/api/x7k2p  changed, is being healed
          spec.template.spec.containers[api].resources.limits.memory  64Mi -> 128Mi
          NetworkSettings.Networks[driftless-a]                       connected -> (unset)
      ~ shop/Deployment/web/b2     stopped since 2026-01-02 03:04:05 UTC, is being healed

    Held
      shop/Deployment/web/b2  somebody stopped or paused it; healed after `healStopped` (until 2026-01-02 03:19:05 UTC)
    "#);
    assert_snapshot!(drift_text(&answer(json!({}), json!({})), Paint::Plain), @r#"
    shop at 3f2a9c1: no drift
    "#);
}

#[test]
fn colors_add_nothing_but_colors() {
    for answer in [rollout(), with_rounds(), drifted()] {
        for text in [plan_text, drift_text] {
            let colored = text(&answer, Paint::Ansi);
            assert!(colored.contains('\u{1b}'));
            let mut plain = String::new();
            for (index, part) in colored.split('\u{1b}').enumerate() {
                plain.push_str(if index == 0 { part } else { part.split_once('m').expect("an ANSI sequence").1 });
            }
            assert_eq!(plain, text(&answer, Paint::Plain));
        }
    }
}

#[test]
fn what_comes_from_outside_cannot_steer_a_terminal() {
    let evil = "\u{1b}[2J\r\u{202e}x";
    let answer = answer(
        json!({
            "changes": [{"object": "shop/Deployment/api", "action": "update", "reason": evil, "fields": [
                {"path": evil, "old": evil, "new": null, "consequence": "recreates"}
            ]}],
            "held": [{"object": "shop/Deployment/api", "reason": evil, "until": null}],
            "findings": [{"rule": "r", "severity": "error", "file": evil, "line": 1, "column": 1, "message": evil, "hint": evil}]
        }),
        json!({"rolledBack": evil, "rounds": [{"at": 0, "steps": [evil], "held": [evil], "serving": []}]}),
    );
    for text in [plan_text(&answer, Paint::Plain), plan_markdown(&answer)] {
        let bad = text.chars().find(|character| (character.is_control() && *character != '\n') || *character == '\u{202e}');
        assert_eq!(bad, None, "{text}");
    }
}

#[test]
fn status_shows_what_to_worry_about() {
    let status = |rest: Value| {
        let mut whole = json!({"name": "shop", "revision": "3f2a9c1d5e6f708192a3b4c5d6e7f8091a2b3c4d",
        "head": "3f2a9c1d5e6f708192a3b4c5d6e7f8091a2b3c4d", "sync": "Synced", "health": "Healthy", "message": "", "rolledBack": false,
        "refused": false, "plan": "0a1b2c3d4e5f", "held": [], "findings": [], "drift": 0, "workloads": [
            {"name": "shop/Deployment/api", "desired": 4, "ready": 4, "updated": 4, "available": 4, "health": "Healthy",
             "message": "4 of 4 replicas serve", "settled": true}
        ]});
        merge(&mut whole, rest);
        whole
    };
    let report = |applications: Vec<Value>| -> StatusReport {
        serde_json::from_value(json!({"version": 1, "host": "box", "applications": applications})).expect("a report")
    };
    let bad = status(json!({"name": "blog", "sync": "OutOfSync", "health": "Degraded", "rolledBack": true, "drift": 1,
        "head": "9c1f00dd5e6f708192a3b4c5d6e7f8091a2b3c4d", "message": "api ended 5 times without becoming ready",
        "workloads": [workload("api", 4, 2)],
        "held": [{"object": "shop/Deployment/api", "reason": "the rollout has failed and waits for a change", "until": null}],
        "findings": [{"rule": "no-probe", "severity": "warning", "file": "api.yaml", "line": 12, "column": 9,
            "message": "container `api` has no readiness probe", "hint": null}]}));
    assert_snapshot!(status_text(&report(vec![status(json!({}))]), Paint::Plain), @r#"
    shop at 3f2a9c1: Synced, Healthy
      WORKLOAD             DESIRED  READY  UPDATED  AVAILABLE  HEALTH
      shop/Deployment/api  4        4      4        4          Healthy
    "#);
    assert_snapshot!(status_text(&report(vec![status(json!({})), bad.clone()]), Paint::Plain), @r#"
    box: 1 of 2 applications are Synced and Healthy

    shop at 3f2a9c1: Synced, Healthy
      WORKLOAD             DESIRED  READY  UPDATED  AVAILABLE  HEALTH
      shop/Deployment/api  4        4      4        4          Healthy

    blog at 3f2a9c1: OutOfSync, Degraded, RolledBack from 9c1f00d
      api ended 5 times without becoming ready
      1 object drifts: see `driftless drift blog`
      WORKLOAD             DESIRED  READY  UPDATED  AVAILABLE  HEALTH
      shop/Deployment/api  4        2      0        2          Progressing  0 of 4 replicas are of this revision
      Held
        shop/Deployment/api  the rollout has failed and waits for a change
      Findings: 1 warning
        api.yaml:12:9: warning[no-probe]: container `api` has no readiness probe
    "#);
    assert_snapshot!(status_markdown(&report(vec![bad])), @r#"
    ### Status of `box`

    | application | revision | state | message |
    |---|---|---|---|
    | `blog` | `3f2a9c1` | OutOfSync, Degraded, RolledBack from 9c1f00d | api ended 5 times without becoming ready |

    | workload | desired | ready | updated | available | health | message |
    |---|---|---|---|---|---|---|
    | `shop/Deployment/api` | 4 | 2 | 0 | 2 | Progressing | 0 of 4 replicas are of this revision |

    | held | why | until |
    |---|---|---|
    | `shop/Deployment/api` | the rollout has failed and waits for a change |  |

    - `api.yaml:12:9`: **warning** container `api` has no readiness probe
    "#);
    assert_snapshot!(status_text(&report(vec![]), Paint::Plain), @r#"
    No application is configured.
    "#);
}

#[test]
fn markdown_fits_a_review() {
    assert_snapshot!(plan_markdown(&with_rounds()), @r#"
    ### Plan for `shop` at `3f2a9c1`

    4 objects change, 1 created, 1 recreated, 1 scaled, 1 removed; least available of shop/Deployment/api 2 of 2

    |  | object | action | why |
    |---|---|---|---|
    | `*` | `shop/Deployment/api` | recreate | changed in Git |
    | `~` | `shop/Deployment/web` | scale | changed in Git |
    | `-` | `shop/Deployment/old` | remove | no longer in Git |
    | `+` | `shop/Service/web` | create | new in this revision |

    <details><summary>Fields</summary>

    | object | field | old | new | consequence |
    |---|---|---|---|---|
    | `shop/Deployment/api` | `spec.replicas` | `2` | `4` | scales |
    | `shop/Deployment/api` | `spec.template.spec.containers[api].env[GREETING]` | `""` | `two\nlines` | recreates |
    | `shop/Deployment/api` | `spec.template.spec.containers[api].env[PASSWORD]` | `<secret>` | `<secret, changed>` | recreates |
    | `shop/Deployment/api` | `spec.template.spec.containers[api].image` | `example/api:1` | `example/api:2` | recreates |
    | `shop/Deployment/web` | `spec.replicas` | `1` | `2` | scales |
    | `shop/Service/web` | `spec.ports[80/tcp]` | (unset) | `web:8080` | traffic only |

    </details>

    **Now**

    | step | object | why |
    |---|---|---|
    | pull | `example/api:2` | shop/Deployment/api needs it |
    | create | `shop/Deployment/web/x7k2p` | wanted by this revision |

    <details><summary>Rounds (simulated)</summary>

    | at | steps | serving | held |
    |---|---|---|---|
    | 0s | pull example/api:2<br>create shop/Deployment/web/x7k2p | `shop/Deployment/api` 2<br>`shop/Deployment/web` 1 | shop/Deployment/api: waits for image `example/api:2` |
    | 700ms | create shop/Deployment/api/b2<br>create shop/Deployment/api/c3 | `shop/Deployment/api` 2<br>`shop/Deployment/web` 1 | shop/Deployment/api: waits: 2 new replicas do not serve yet |
    | 1.7s | join shop/Deployment/api/b2<br>join shop/Deployment/api/c3<br>join shop/Deployment/web/x7k2p | `shop/Deployment/api` 2<br>`shop/Deployment/web` 1 | shop/Deployment/api: waits: 2 new replicas do not serve yet |
    | 1.8s | leave shop/Deployment/api/a1 | `shop/Deployment/api` 4<br>`shop/Deployment/web` 2 | shop/Deployment/api/a1: drains |
    | 10m20s |  | `shop/Deployment/api` 4<br>`shop/Deployment/web` 2 | shop/Deployment/api/a1: drains |

    </details>

    **Held**

    | held | why | until |
    |---|---|---|
    | `shop/Deployment/api` | waits for image `example/api:2` |  |
    | `shop/Deployment/old` | no longer in Git; removed when shop/Deployment/api is healthy | 2026-01-02 03:04:05 UTC |

    **Findings**

    - `api.yaml:12:9`: **warning** container `api` has no readiness probe (add `readinessProbe`)

    Plan `0a1b2c3d4e5f`
    "#);
    assert_snapshot!(drift_markdown(&drifted()), @"
    ### Drift for `shop` at `3f2a9c1`

    2 objects differ, being healed

    | object | what | since |  |
    |---|---|---|---|
    | `shop/Deployment/api/x7k2p` | changed |  | is being healed |
    | `shop/Deployment/web/b2` | stopped | 2026-01-02 03:04:05 UTC | is being healed |

    | object | field | expected | actual |
    |---|---|---|---|
    | `shop/Deployment/api/x7k2p` | `spec.template.spec.containers[api].resources.limits.memory` | `64Mi` | `128Mi` |
    | `shop/Deployment/api/x7k2p` | `NetworkSettings.Networks[driftless-a]` | `connected` | (unset) |

    **Held**

    | held | why | until |
    |---|---|---|
    | `shop/Deployment/web/b2` | somebody stopped or paused it; healed after `healStopped` | 2026-01-02 03:19:05 UTC |
    ");
}

#[test]
fn json_is_what_the_contract_pins() {
    let pretty = |line: String| serde_json::to_string_pretty(&serde_json::from_str::<Value>(&line).expect("JSON")).expect("JSON");
    assert_snapshot!(pretty(plan_json(&rollout())), @r#"
    {
      "application": "shop",
      "changes": [
        {
          "action": "recreate",
          "fields": [
            {
              "consequence": "scales",
              "new": "4",
              "old": "2",
              "path": "spec.replicas"
            },
            {
              "consequence": "recreates",
              "new": "two\nlines",
              "old": "",
              "path": "spec.template.spec.containers[api].env[GREETING]"
            },
            {
              "consequence": "recreates",
              "new": "<secret, changed>",
              "old": "<secret>",
              "path": "spec.template.spec.containers[api].env[PASSWORD]"
            },
            {
              "consequence": "recreates",
              "new": "example/api:2",
              "old": "example/api:1",
              "path": "spec.template.spec.containers[api].image"
            }
          ],
          "kind": "Deployment",
          "object": "shop/Deployment/api",
          "reason": "changed in Git"
        },
        {
          "action": "update",
          "fields": [
            {
              "consequence": "scales",
              "new": "2",
              "old": "1",
              "path": "spec.replicas"
            }
          ],
          "kind": "Deployment",
          "object": "shop/Deployment/web",
          "reason": "changed in Git"
        },
        {
          "action": "remove",
          "fields": [],
          "kind": "Deployment",
          "object": "shop/Deployment/old",
          "reason": "no longer in Git"
        },
        {
          "action": "create",
          "fields": [
            {
              "consequence": "traffic only",
              "new": "web:8080",
              "old": null,
              "path": "spec.ports[80/tcp]"
            }
          ],
          "kind": "Service",
          "object": "shop/Service/web",
          "reason": "new in this revision"
        }
      ],
      "deferred": [],
      "drift": [],
      "failed": null,
      "findings": [
        {
          "column": 9,
          "file": "api.yaml",
          "hint": "add `readinessProbe`",
          "line": 12,
          "message": "container `api` has no readiness probe",
          "rule": "no-probe",
          "severity": "warning"
        }
      ],
      "health": "Progressing",
      "held": [
        {
          "object": "shop/Deployment/api",
          "reason": "waits for image `example/api:2`",
          "until": null
        },
        {
          "object": "shop/Deployment/old",
          "reason": "no longer in Git; removed when shop/Deployment/api is healthy",
          "until": "2026-01-02T03:04:05.678Z"
        }
      ],
      "host": "box",
      "id": "0a1b2c3d4e5f",
      "refused": false,
      "revision": "3f2a9c1d5e6f708192a3b4c5d6e7f8091a2b3c4d",
      "rolledBack": null,
      "steps": [
        {
          "action": "pull",
          "id": "pull:Image/example/api:2",
          "object": "Image/example/api:2",
          "reason": "shop/Deployment/api needs it"
        },
        {
          "action": "create",
          "id": "create:shop/Deployment/web/x7k2p",
          "object": "shop/Deployment/web/x7k2p",
          "reason": "wanted by this revision"
        }
      ],
      "sync": "OutOfSync",
      "version": 1,
      "workloads": [
        {
          "available": 2,
          "desired": 4,
          "health": "Progressing",
          "message": "0 of 4 replicas are of this revision",
          "name": "shop/Deployment/api",
          "ready": 2,
          "settled": false,
          "updated": 0
        },
        {
          "available": 1,
          "desired": 2,
          "health": "Progressing",
          "message": "0 of 2 replicas are of this revision",
          "name": "shop/Deployment/web",
          "ready": 1,
          "settled": false,
          "updated": 0
        }
      ]
    }
    "#);
    assert_snapshot!(pretty(drift_json(&drifted())), @r#"
    {
      "application": "shop",
      "drift": [
        {
          "fields": [
            {
              "actual": "128Mi",
              "expected": "64Mi",
              "path": "spec.template.spec.containers[api].resources.limits.memory"
            },
            {
              "actual": null,
              "expected": "connected",
              "path": "NetworkSettings.Networks[driftless-a]"
            }
          ],
          "healed": true,
          "kind": "Deployment",
          "object": "shop/Deployment/api/x7k2p",
          "since": null,
          "what": "changed"
        },
        {
          "fields": [],
          "healed": true,
          "kind": "Deployment",
          "object": "shop/Deployment/web/b2",
          "since": "2026-01-02T03:04:05.678Z",
          "what": "stopped"
        }
      ],
      "healed": [],
      "host": "box",
      "revision": "3f2a9c1d5e6f708192a3b4c5d6e7f8091a2b3c4d",
      "version": 1
    }
    "#);
    assert_snapshot!(check_json(&rollout().plan.findings), @r#"
    {"version":1,"findings":[{"rule":"no-probe","severity":"warning","file":"api.yaml","line":12,"column":9,"message":"container `api` has no readiness probe","hint":"add `readinessProbe`"}]}
    "#);
}
