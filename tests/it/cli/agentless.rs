//! Commands where no agent runs and no engine answers.

use std::io;
use std::process::Stdio;

use insta::assert_snapshot;

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
          ports: [{ containerPort: 8080 }]
          readinessProbe: { tcpSocket: { port: 8080 } }
          resources: { limits: { memory: 64Mi } }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec:
  selector: { app: web }
  ports: [{ port: 80, targetPort: 8080 }]
";

#[test]
fn a_wrong_flag_is_a_usage_error() {
    let place = Place::new();
    assert_snapshot!(place.run(&["plan", "--round"]), @r#"
    ------- stderr -------
    error: unexpected argument '--round' found

      tip: a similar argument exists: '--rounds'

    Usage: driftless plan --rounds [APP|PATH]

    For more information, try '--help'.
    [exit status: 2]
    "#);
    assert_snapshot!(place.run(&["plan", "shop", "--name", "other"]), @r#"
    ------- stderr -------
    error: `--name` says how a PATH is deployed, and no PATH is given

    hint: a PATH has a slash, as in `./deploy`; applications of an agent have these settings in their Application
    [exit status: 2]
    "#);
    assert_snapshot!(place.run(&["--log", "=nonsense=", "status"]), @r#"
    ------- stderr -------
    error: invalid value `=nonsense=` for `--log`: invalid filter directive

    hint: write a level, as in `debug`, or levels by module, as in `info,driftless::git=debug`
    [exit status: 2]
    "#);
    assert_snapshot!(place.run(&["agent"]), @r#"
    ------- stderr -------
    error: failed to find out what to deploy: neither --config nor --repo was given

    hint: name a repository with --repo, or a file of Application documents with --config
    [exit status: 2]
    "#);
}

#[test]
fn a_path_that_is_not_there_is_named() {
    let place = Place::new();
    assert_snapshot!(place.run(&["check", "nowhere"]), @r#"
    ------- stderr -------
    error: failed to read `nowhere`
    cause: No such file or directory (os error 2)
    [exit status: 1]
    "#);
    assert_snapshot!(place.run(&["plan", "./nowhere"]), @r#"
    ------- stderr -------
    error: failed to read `./nowhere`
    cause: No such file or directory (os error 2)
    [exit status: 1]
    "#);
}

#[test]
fn bad_manifests_are_shown_with_their_lines() {
    let place = Place::new();
    place.write("deploy/web.yaml", &WEB.replace("replicas: 2", "replicas: two").replace("image:", "imgae:"));
    assert_snapshot!(place.run(&["check", "deploy"]), @r#"
    error[wrong-type]: `spec.replicas` must be a whole number, but is the text `two`
     --> deploy/web.yaml:5:13
      |
    5 |   replicas: two
      |             ^^^

    error[unknown-field]: unknown field `spec.template.spec.containers[0].imgae`
      --> deploy/web.yaml:12:11
       |
    12 |           imgae: example/web:1
       |           ^^^^^
       |
       = hint: did you mean `image`?

    2 errors
    ------- stderr -------
    [exit status: 1]
    "#);
    assert_snapshot!(place.run(&["check", "deploy/web.yaml", "-o", "json"]), @r#"
    {"version":1,"findings":[{"rule":"wrong-type","severity":"error","file":"deploy/web.yaml","line":5,"column":13,"message":"`spec.replicas` must be a whole number, but is the text `two`","hint":null},{"rule":"unknown-field","severity":"error","file":"deploy/web.yaml","line":12,"column":11,"message":"unknown field `spec.template.spec.containers[0].imgae`","hint":"did you mean `image`?"}]}
    ------- stderr -------
    [exit status: 1]
    "#);
    assert_snapshot!(place.run(&["check", "deploy", "-o", "markdown"]), @r#"
    2 errors

    - `deploy/web.yaml:5:13`: **error** `spec.replicas` must be a whole number, but is the text `two`
    - `deploy/web.yaml:12:11`: **error** unknown field `spec.template.spec.containers[0].imgae` (did you mean `image`?)
    ------- stderr -------
    [exit status: 1]
    "#);
    assert_snapshot!(place.run(&["plan", "./deploy"]), @r#"
    ------- stderr -------
    error[wrong-type]: `spec.replicas` must be a whole number, but is the text `two`
     --> deploy/web.yaml:5:13
      |
    5 |   replicas: two
      |             ^^^

    error[unknown-field]: unknown field `spec.template.spec.containers[0].imgae`
      --> deploy/web.yaml:12:11
       |
    12 |           imgae: example/web:1
       |           ^^^^^
       |
       = hint: did you mean `image`?

    2 errors

    error: failed to plan `./deploy`: its manifests have errors
    [exit status: 1]
    "#);
}

#[test]
fn good_manifests_are_good() {
    let place = Place::new();
    place.write("deploy/web.yaml", WEB);
    assert_snapshot!(place.run(&["check", "deploy", "./deploy"]), @r#"
    No errors, no warnings.
    ------- stderr -------
    [exit status: 0]
    "#);
    assert_snapshot!(place.run(&["check", "deploy", "-o", "json"]), @r#"
    {"version":1,"findings":[]}
    ------- stderr -------
    [exit status: 0]
    "#);
}

#[test]
fn check_leaves_nothing_behind() {
    let place = Place::new();
    place.write("deploy/web.yaml", WEB);
    place.run(&["check", "deploy"]);
    let left: Vec<_> = std::fs::read_dir(place.path(".")).expect("a folder").map(|entry| entry.expect("an entry").file_name()).collect();
    assert_eq!(left, ["deploy"]);
}

#[test]
fn a_folder_is_planned_without_an_engine() {
    let place = Place::new();
    place.write("deploy/web.yaml", WEB);
    let text = place.run(&["plan", "./deploy", "--name", "shop", "--rounds"]);
    // Suffixes of replicas are drawn from the revision, so they are the same everywhere.
    assert_snapshot!(text, @r#"
    shop at folder-cad0f24dff55: 4 objects change, 4 created

    Changes
      + tests/Network/driftless-tests  create    new in this revision
      + tests/Front/services           create    new in this revision
      + shop/Deployment/web            create    new in this revision
          spec.replicas                             2
          spec.template.spec.containers[web].image  example/web:1
      + shop/Service/web               create    new in this revision
          spec.ports[80/tcp]  web:8080

    Rounds (simulated)
          0s  serving: web 0
              create tests/Network/driftless-tests
              pull example/web:1
              held: shop/Deployment/web: waits for network `driftless-tests`
              held: tests/Front/services: waits for its network
       100ms  create tests/Front/services
              held: shop/Deployment/web: waits for image `example/web:1`
          1s  create shop/Deployment/web/l6pl5
              create shop/Deployment/web/ms9dl
        2.3s  join shop/Deployment/web/l6pl5
              join shop/Deployment/web/ms9dl

    Plan 5604fa709496
    ------- stderr -------
    warning: failed to reach Docker at `unix://$HERE/no/docker.sock`: No such file or directory (os error 2); this is the plan for a host that has nothing
    [exit status: 0]
    "#);
    assert!(place.run(&["plan", "./deploy", "--exit-code"]).ends_with("[exit status: 3]"));
}

#[test]
fn without_an_engine_nothing_is_applied() {
    let place = Place::new();
    place.write("deploy/web.yaml", WEB);
    assert_snapshot!(place.run(&["apply", "./deploy"]), @r#"
    ------- stderr -------
    error: failed to reach the Docker engine
    cause: failed to reach Docker at `unix://$HERE/no/docker.sock`
    cause: No such file or directory (os error 2)

    hint: is Docker installed and running? `--docker URL` or DOCKER_HOST names another one
    [exit status: 1]
    "#);
    assert_snapshot!(place.run(&["agent", "--repo", "deploy"]), @r#"
    ------- stderr -------
    error: failed to reach the Docker engine
    cause: failed to reach Docker at `unix://$HERE/no/docker.sock`
    cause: No such file or directory (os error 2)

    hint: is Docker installed and running? `--docker URL` or DOCKER_HOST names another one
    [exit status: 1]
    "#);
    assert_snapshot!(place.run(&["uninstall"]), @r#"
    ------- stderr -------
    error: failed to reach Docker at `unix://$HERE/no/docker.sock`
    cause: No such file or directory (os error 2)

    hint: is Docker installed and running? `--docker URL` or DOCKER_HOST names another one
    [exit status: 1]
    "#);
}

#[test]
fn without_an_agent_the_next_command_is_named() {
    let place = Place::new();
    place.write("shop/web.yaml", WEB);
    assert_snapshot!(place.run(&["status"]), @r#"
    ------- stderr -------
    error: failed to ask the agent: none answers on socket `$HERE/state/agent.sock`

    hint: start `driftless agent`, name its socket with --socket, or give status the applications with `--config PATH`
    [exit status: 1]
    "#);
    assert_snapshot!(place.run(&["plan", "shop"]), @r#"
    ------- stderr -------
    error: failed to ask the agent: none answers on socket `$HERE/state/agent.sock`

    hint: if `shop` is a folder, write `./shop`
    [exit status: 1]
    "#);
    assert_snapshot!(place.run(&["retry", "blog"]), @r#"
    ------- stderr -------
    error: failed to ask the agent: none answers on socket `$HERE/state/agent.sock`

    hint: start `driftless agent`, name its socket with --socket, or give retry the applications with `--config PATH`
    [exit status: 1]
    "#);
}

#[test]
fn application_documents_are_checked_like_manifests() {
    let place = Place::new();
    place.write("apps/shop.yaml", "apiVersion: driftless.dev/v1\nkind: Application\nmetadata: { name: shop }\nspec: { rpeo: /srv/shop }\n");
    assert_snapshot!(place.run(&["status", "--config", "apps"]), @r#"
    ------- stderr -------
    error[unknown-field]: unknown field `spec.rpeo`
     --> apps/shop.yaml:4:9
      |
    4 | spec: { rpeo: /srv/shop }
      |         ^^^^
      |
      = hint: did you mean `repo`?

    1 error

    error: failed to read the applications of `apps`
    [exit status: 1]
    "#);
}

#[test]
fn the_data_path_waits_for_its_owner() {
    let place = Place::new();
    assert_snapshot!(seen(&place.command(&["serve"]).env_remove("DRIFTLESS_OWNER").output().expect("it runs"), place.folder.path()), @r#"
    ------- stderr -------
    error: failed to tell which installation this is: state folder `$HERE/state` knows none

    hint: start `driftless agent` first, or name the installation with --owner
    [exit status: 1]
    "#);
    assert_snapshot!(place.run(&["serve", "--stop"]), @r#"
    It does not run.
    ------- stderr -------
    [exit status: 0]
    "#);
}

#[test]
fn colors_are_for_terminals_and_for_who_asks() {
    let place = Place::new();
    place.write("deploy/web.yaml", &WEB.replace("image:", "imgae:"));
    let colored = |variables: &[(&str, &str)]| {
        let output = place.command(&["check", "deploy"]).envs(variables.iter().copied()).output().expect("it runs");
        output.stdout.contains(&0x1b)
    };
    assert!(!colored(&[]));
    assert!(colored(&[("CLICOLOR_FORCE", "1")]));
    assert!(!colored(&[("CLICOLOR_FORCE", "0")]));
    assert!(!colored(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let place = Place::new();
    place.write("deploy/web.yaml", WEB);
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    let output = place.command(&["check", "deploy"]).stdout(Stdio::from(writer)).output().expect("it runs");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn an_address_for_http_that_is_taken_ends_the_agent_with_a_way_out() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("an address");
    let address = taken.local_addr().expect("an address").to_string();
    let seen = place.run(&["agent", "--repo", "deploy", "--http", &address]).replace(&address, "ADDRESS");
    assert_snapshot!(seen, @r"
    ------- stderr -------
    error: failed to listen on ADDRESS for HTTP
    cause: Address already in use (os error 98)

    hint: name another address with `--http`, or switch it off with `--http none`
    [exit status: 1]
    ");
    assert_snapshot!(place.run(&["agent", "--repo", "deploy", "--hook-secret-file", "nowhere"]), @r"
    ------- stderr -------
    error: failed to read secret file `nowhere`
    cause: No such file or directory (os error 2)

    hint: the agent must be able to read it
    [exit status: 1]
    ");
}

#[test]
fn application_documents_are_checked_as_such() {
    let place = Place::new();
    let good = "apiVersion: driftless.dev/v1\nkind: Application\nmetadata: { name: shop }\nspec: { repo: https://git.example/shop.git }\n";
    place.write("good.yaml", good);
    place.write("bad.yaml", &good.replace("repo:", "repos:"));
    assert_snapshot!(place.run(&["check", "good.yaml"]), @"
    No errors, no warnings.
    ------- stderr -------
    [exit status: 0]
    ");
    assert_snapshot!(place.run(&["check", "bad.yaml"]), @"
    error[unknown-field]: unknown field `spec.repos`
     --> bad.yaml:4:9
      |
    4 | spec: { repos: https://git.example/shop.git }
      |         ^^^^^
      |
      = hint: did you mean `repo`?

    1 error
    ------- stderr -------
    [exit status: 1]
    ");
}

#[test]
fn completions_know_the_commands_of_the_shell_that_is_asked_for() {
    let place = Place::new();
    for (shell, words) in [("bash", "complete -F _driftless"), ("zsh", "#compdef driftless"), ("fish", "complete -c driftless")] {
        let script = place.run(&["completions", shell]);
        assert!(script.contains(words) && script.contains("rollback") && script.ends_with("[exit status: 0]"), "{shell}: {script}");
    }
    assert!(place.run(&["completions", "tcsh"]).contains("write bash, zsh or fish"));
}

#[test]
fn flags_say_what_only_compose_files_look_at() {
    let place = Place::new();
    place.write("secrets/password", "canary");
    place.write(
        "shop/compose.yaml",
        "services:\n  web: &web\n    image: example/web:1\n    environment: { WHO: '${WHO:?}' }\n    secrets: [password]\n  tools:\n    <<: *web\n    \
         profiles: [tools]\nsecrets:\n  password: { external: true }\n",
    );
    let flags = ["--secrets-folder", "secrets", "--variables", "WHO=me", "--profiles", "tools"];
    let seen = place.run(&[&["plan", "./shop"], &flags[..]].concat());
    assert!(seen.contains("+ shop/service/tools") && seen.ends_with("[exit status: 0]") && !seen.contains("canary"), "{seen}");
    let seen = place.run(&[&["plan", "./shop"], &flags[2..]].concat());
    assert!(seen.contains("password") && seen.ends_with("[exit status: 1]"), "{seen}");
    let seen = place.run(&[&["plan", "./shop"], &flags[..4]].concat());
    assert!(!seen.contains("shop/service/tools"), "{seen}");
}
