//! `review` in a clone: Git against Git, without agent, engine or network.

use std::process::Command;

use insta::assert_snapshot;
use serde_json::Value;

use super::{Place, seen};

const WEB: &str = "apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers:
        - name: web
          image: example/web:1
          readinessProbe: { tcpSocket: { port: 80 } }
          resources: { limits: { memory: 64Mi } }
          env: [{ name: GREETING, value: hello }]
          envFrom: [{ secretRef: { name: web } }]
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec:
  selector: { app: web }
  ports: [{ port: 80, targetPort: 8080 }]
---
apiVersion: v1
kind: Secret
metadata: { name: web }
stringData: { PASSWORD: hunter2 }
";

const OLD: &str = "apiVersion: apps/v1
kind: Deployment
metadata: { name: old }
spec:
  selector: { matchLabels: { app: old } }
  template:
    metadata: { labels: { app: old } }
    spec: { containers: [{ name: old, image: example/old:1, readinessProbe: { tcpSocket: { port: 80 } }, resources: { limits: { memory: 64Mi } } }] }
";

const DATABASE: &str = "apiVersion: apps/v1
kind: Deployment
metadata: { name: db }
spec:
  strategy: { type: Recreate }
  selector: { matchLabels: { app: db } }
  template:
    metadata: { labels: { app: db } }
    spec: { containers: [{ name: db, image: example/db:1, readinessProbe: { tcpSocket: { port: 80 } }, resources: { limits: { memory: 64Mi } } }] }
";

impl Place {
    fn git(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"]).args(arguments);
        command.current_dir(self.path("repo")).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
        command.env("GIT_AUTHOR_DATE", "2026-01-01T00:00:00Z").env("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z");
        let output = command.output().expect("git can be run");
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
    }

    /// Makes a repository with a first commit on `main`, and goes on to branch `change`.
    fn repository(&self, files: &[(&str, &str)]) {
        std::fs::create_dir_all(self.path("repo")).expect("a folder");
        self.git(&["init", "-q", "-b", "main"]);
        self.commit(files);
        self.git(&["checkout", "-q", "-b", "change"]);
    }

    fn commit(&self, files: &[(&str, &str)]) {
        files.iter().for_each(|(path, text)| self.write(&format!("repo/{path}"), text));
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "a change"]);
    }

    fn review(&self, arguments: &[&str]) -> String {
        let output = self.command(&[&["review", "--repo", "repo"], arguments].concat()).output().expect("it can be run");
        let text = seen(&output, self.folder.path());
        let short = |revision: &str| self.git(&["rev-parse", "--short=7", revision]);
        text.replace(&short("main"), "BASE").replace(&short("HEAD"), "HEAD")
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.command(&[&["review", "--repo", "repo", "-o", "json"], arguments].concat()).output().expect("it can be run");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

#[test]
fn a_change_is_shown_as_a_comment() {
    let place = Place::new();
    place.repository(&[("deploy/web.yaml", WEB), ("deploy/old.yaml", OLD), ("deploy/db.yaml", DATABASE)]);
    // What happens on the branch that it goes to is no part of the change.
    place.git(&["checkout", "-q", "main"]);
    place.commit(&[("deploy/other.yaml", &OLD.replace("old", "other"))]);
    place.git(&["checkout", "-q", "change"]);
    std::fs::remove_file(place.path("repo/deploy/old.yaml")).expect("it is there");
    let web = WEB
        .replace("web:1", "web:2")
        .replace("hello", "a|`b` <b>@ada</b>")
        .replace("hunter2", "hunter3")
        .replace("replicas: 2", "replicas: 3");
    place.commit(&[("deploy/web.yaml", &web), ("deploy/db.yaml", &DATABASE.replace("db:1", "db:2"))]);
    let base = place.git(&["merge-base", "main", "change"]);
    let text =
        place.review(&["main", "change", "--path", "deploy", "--name", "shop", "--exit-code", "--link", "https://git.example/a/blob/1/"]);
    assert_snapshot!(text.replace(&base[..7], "BASE"), @r#"
    **shop: 3 objects change, 2 recreated, 1 removed; interrupts shop/Deployment/db for about 1.4s**

    | application | created | changed | removed | unchanged | least available | findings |
    |---|---|---|---|---|---|---|
    | `shop` |  | 2 | 1 | 1 | 0 of 1 (`shop/Deployment/db`) |  |

    <details open><summary><b>shop</b>: 3 objects change, 2 recreated, 1 removed</summary>

    - **Interrupts** `shop/Deployment/db` for about 1.4s: it stops first, because its strategy is `Recreate`; its clients are refused meanwhile

    | object | field | old | new | consequence |
    |---|---|---|---|---|
    | `*` `shop/Deployment/db` | | | | **recreate**: changed in Git; interrupts its only replica until the new replica is ready |
    | `shop/Deployment/db` | `spec.template.spec.containers[db].image` | `example/db:1` | `example/db:2` | recreates, interrupts |
    | `*` `shop/Deployment/web` | | | | **recreate**: changed in Git |
    | `shop/Deployment/web` | `spec.replicas` | `2` | `3` | scales |
    | `shop/Deployment/web` | `spec.template.spec.containers[web].env[GREETING]` | `hello` | `a\|'b' <b>@ada</b>` | recreates |
    | `shop/Deployment/web` | `spec.template.spec.containers[web].env[PASSWORD]` | `<secret>` | `<secret, changed>` | recreates |
    | `shop/Deployment/web` | `spec.template.spec.containers[web].image` | `example/web:1` | `example/web:2` | recreates |
    | `-` `shop/Deployment/old` | | | | **remove**: no longer in Git |

    <details><summary>Rollout: 17 rounds in 4.4s</summary>

    | at | steps | serving | waits |
    |---|---|---|---|
    | 0s | pull example/db:2<br>pull example/web:2 | `shop/Deployment/db` 1<br>`shop/Deployment/web` 2 | shop/Deployment/db: the old replicas stay: waits for image `example/db:2`<br>shop/Deployment/old: no longer in Git; removed when shop/Deployment/db is healthy<br>shop/Deployment/web: waits for image `example/web:2` |
    | 1s | leave shop/Deployment/db<br>create shop/Deployment/web (2 times) |  |  |
    | 1.2s | stop shop/Deployment/db | `shop/Deployment/db` 0 | shop/Deployment/web: waits: 2 new replicas do not serve yet |
    | 1.3s | create shop/Deployment/db |  |  |
    | 1.4s | remove shop/Deployment/db |  | shop/Deployment/web: is not ready yet (2 times) |
    | 2.3s | join shop/Deployment/web (2 times) |  | shop/Deployment/db: is not ready yet |
    | 2.4s | leave shop/Deployment/web | `shop/Deployment/web` 4 |  |
    | 2.5s | create shop/Deployment/web |  |  |
    | 2.6s | join shop/Deployment/db<br>stop shop/Deployment/web | `shop/Deployment/web` 3 | shop/Deployment/web: waits: 1 new replica does not serve yet |
    | 2.8s | remove shop/Deployment/web | `shop/Deployment/db` 1 | shop/Deployment/old: no longer in Git; removed when shop/Deployment/web is healthy |
    | 3.8s | join shop/Deployment/web |  |  |
    | 3.9s | leave shop/Deployment/web | `shop/Deployment/web` 4 |  |
    | 4s | leave shop/Deployment/old |  |  |
    | 4.1s | stop shop/Deployment/web | `shop/Deployment/web` 3 |  |
    | 4.2s | stop shop/Deployment/old |  |  |
    | 4.3s | remove shop/Deployment/web |  |  |
    | 4.4s | remove shop/Deployment/old |  |  |

    </details>

    Plan `187e753b6250`

    </details>

    From `BASE` to `HEAD`. The rollout is simulated; figures of time are the simulator's.
    ------- stderr -------
    [exit status: 3]
    "#);
    let report = place.json(&["main", "--path", "deploy", "--name", "shop"]);
    assert_eq!((report["base"].as_str(), report["applications"][0]["plan"]["application"].as_str()), (Some(base.as_str()), Some("shop")));
    assert_eq!(report["applications"][0]["plan"]["changes"].as_array().map(Vec::len), Some(3));
    assert!(!report.to_string().contains("hunter"), "secrets never leave");
    let again = place.json(&["main", "--path", "deploy", "--name", "shop"]);
    assert_eq!(report["applications"][0]["plan"]["id"], again["applications"][0]["plan"]["id"]);
}

#[test]
fn only_what_the_change_touches_is_shown() {
    let place = Place::new();
    let application = |name: &str, repo: &str| {
        format!("apiVersion: driftless.dev/v1\nkind: Application\nmetadata: {{ name: {name} }}\nspec: {{ repo: {repo}, path: {name} }}\n")
    };
    let repo = "https://git.example/acme/shop.git";
    place.repository(&[
        ("apps/a.yaml", &application("one", repo)),
        ("apps/b.yaml", &application("two", "..")),
        ("apps/c.yaml", &application("far", "https://git.example/acme/other")),
        ("one/web.yaml", WEB),
        ("two/old.yaml", OLD),
    ]);
    place.git(&["remote", "add", "origin", "git@git.inside:Acme/shop"]);
    place.commit(&[("README.md", "words"), ("one/notes.txt", "more words")]);
    assert_snapshot!(place.review(&["main", "-o", "text"]), @r#"
    BASE..HEAD: nothing changes

    one (one): nothing changes on the host

    2 objects unchanged

    1 application not touched
    ------- stderr -------
    [exit status: 0]
    "#);
    // A new application, one that goes, and one whose manifests have errors.
    std::fs::remove_file(place.path("repo/apps/b.yaml")).expect("it is there");
    place.commit(&[
        ("apps/d.yaml", &application("three", repo)),
        ("three/old.yaml", &OLD.replace("old", "new")),
        ("one/web.yaml", &WEB.replace("image:", "imgae:")),
    ]);
    assert_snapshot!(place.review(&["main"]), @r#"
    **1 application refused; three: 3 objects change, 3 created; 1 error**

    | application | created | changed | removed | unchanged | least available | findings |
    |---|---|---|---|---|---|---|
    | `one` |  |  |  |  |  | 1 error |
    | `three` | 3 |  |  | 0 |  |  |
    | `two` |  |  |  |  |  |  |

    <details open><summary><b>one</b>: refused: 1 error</summary>

    **Findings**

    - `one/web.yaml:12:11`: **error** unknown field `spec.template.spec.containers[0].imgae` (did you mean `image`?)

    </details>

    <details><summary><b>three</b>: 3 objects change, 3 created</summary>

    | object | field | old | new | consequence |
    |---|---|---|---|---|
    | `+` `tests/Network/driftless-tests` | | | | **create**: new in this revision |
    | `+` `tests/Front/services` | | | | **create**: new in this revision |
    | `+` `three/Deployment/new` | | | | **create**: new in this revision |
    | `three/Deployment/new` | `spec.replicas` |  | `1` |  |
    | `three/Deployment/new` | `spec.template.spec.containers[new].image` |  | `example/new:1` |  |

    <details><summary>Rollout: 4 rounds in 2.3s</summary>

    | at | steps | serving | waits |
    |---|---|---|---|
    | 0s | create tests/Network/driftless-tests<br>pull example/new:1 | `three/Deployment/new` 0 | tests/Front/services: waits for its network<br>three/Deployment/new: waits for network `driftless-tests` |
    | 100ms | create tests/Front/services |  | three/Deployment/new: waits for image `example/new:1` |
    | 1s | create three/Deployment/new |  |  |
    | 2.3s | join three/Deployment/new |  |  |

    </details>

    Plan `7042c1948bae`

    </details>

    <details open><summary><b>two</b>: left as it is</summary>

    Its Application is removed: what runs is left as it is, and driftless no longer looks after it.

    </details>

    From `BASE` to `HEAD`. The rollout is simulated; figures of time are the simulator's.
    ------- stderr -------
    [exit status: 1]
    "#);
    let config = application("one", repo);
    place.write("one.yaml", &config);
    let report = place.json(&["main", "--config", "one.yaml"]);
    assert_eq!((report["applications"].as_array().map(Vec::len), report["refused"].as_bool()), (Some(1), Some(true)));
}

#[test]
fn what_cannot_be_compared_is_said() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("plain")).expect("a folder");
    assert_snapshot!(place.run(&["review", "main", "--repo", "plain"]), @r#"
    ------- stderr -------
    error: failed to find a Git repository in `plain`
    cause: could not find repository at 'plain'; class=Repository (6); code=NotFound (-3)

    hint: run it in a clone, or name one with --repo
    [exit status: 1]
    "#);
    place.repository(&[("web.yaml", WEB)]);
    assert_snapshot!(place.run(&["review", "mian", "--repo", "repo"]), @r#"
    ------- stderr -------
    error: failed to find `mian` in repository `$HERE/repo`

    hint: did you mean `main`?
    [exit status: 1]
    "#);
    place.git(&["checkout", "-q", "--orphan", "stranger"]);
    place.git(&["commit", "-q", "-m", "alone"]);
    assert_snapshot!(place.run(&["review", "main", "--repo", "repo"]), @r#"
    ------- stderr -------
    error: failed to find a commit that `main` and `HEAD` have in common

    hint: a shallow clone has too little history: in CI, check out all of it (`fetch-depth: 0`)
    [exit status: 1]
    "#);
    assert_snapshot!(place.run(&["review", "change", "change", "--repo", "repo", "--live"]), @r#"
    **nothing changes**

    From `acccae4` to `acccae4`. 1 application not touched. The rollout is simulated; figures of time are the simulator's.
    ------- stderr -------
    [exit status: 0]
    "#);
}

#[test]
fn a_running_agent_tells_what_drifts_already() {
    let place = Place::new();
    place.repository(&[("web.yaml", OLD)]);
    place.commit(&[("web.yaml", &OLD.replace("old:1", "old:2"))]);
    let agent = place.agent(&[
        r#"{"answer":"plan","host":"box","refused":false,"rolledBack":null,"rounds":null,"plan":{"application":"repo","revision":"3f2a9c1","id":"1",
            "failed":null,"changes":[],"held":[],"deferred":[],"findings":[],"workloads":[],"steps":[],"drift":[{"object":"repo/Deployment/old/x7k2p",
            "kind":"Deployment","what":"changed","since":null,"healed":false,"fields":[{"path":"spec.replicas","expected":"1","actual":"2"}]}]}}"#
            .replace('\n', "")
            .as_str(),
        r#"{"answer":"done","exit_code":0,"message":""}"#,
    ]);
    assert_snapshot!(place.review(&["main", "--live"]), @r#"
    **repo: 1 object changes, 1 recreated; no interruption; 1 object drifts already**

    | application | created | changed | removed | unchanged | least available | findings |
    |---|---|---|---|---|---|---|
    | `repo` |  | 1 |  | 0 | 1 of 1 (`repo/Deployment/old`) |  |

    <details><summary><b>repo</b>: 1 object changes, 1 recreated</summary>

    **On `box` now**: at `3f2a9c1`, and this drifts already:

    | object | what | field | expected | actual |
    |---|---|---|---|---|
    | `repo/Deployment/old/x7k2p` | changed | `spec.replicas` | `1` | `2` |

    | object | field | old | new | consequence |
    |---|---|---|---|---|
    | `*` `repo/Deployment/old` | | | | **recreate**: changed in Git |
    | `repo/Deployment/old` | `spec.template.spec.containers[old].image` | `example/old:1` | `example/old:2` | recreates |

    <details><summary>Rollout: 6 rounds in 2.8s</summary>

    | at | steps | serving | waits |
    |---|---|---|---|
    | 0s | pull example/old:2 | `repo/Deployment/old` 1 | repo/Deployment/old: waits for image `example/old:2` |
    | 1s | create repo/Deployment/old |  |  |
    | 2.3s | join repo/Deployment/old |  | repo/Deployment/old: waits: 1 new replica does not serve yet |
    | 2.4s | leave repo/Deployment/old | `repo/Deployment/old` 2 |  |
    | 2.6s | stop repo/Deployment/old | `repo/Deployment/old` 1 |  |
    | 2.8s | remove repo/Deployment/old |  |  |

    </details>

    Plan `eb24369e4041`

    </details>

    From `BASE` to `HEAD`. The rollout is simulated; figures of time are the simulator's.
    ------- stderr -------
    [exit status: 0]
    "#);
    assert_eq!(agent.join().expect("it ends"), r#"{"command":"drift","application":"repo","files":false}"#);
}
