//! A first Application document.

use std::fs;
use std::process::Command;

use insta::assert_snapshot;

use super::Place;

const COMPOSE: &str = "services:\n  web:\n    image: example/web:1\n    ports: [\"8080:80\"]\n";

#[test]
fn a_folder_with_a_compose_file_is_enough() {
    let place = Place::new();
    place.write("compose.yaml", COMPOSE);
    assert_snapshot!(place.run(&["init", "--name", "shop"]), @"
    Wrote `.driftless.yaml`.
    ------- stderr -------
    warning[policy/no-readiness]: service `web` has no `healthcheck`: unless its image has one, that it runs is all that is known before it is given connections
     --> compose.yaml:2:3
      |
    2 |   web:
      |   ^^^
      |
      = hint: ask, as in `healthcheck: { test: [CMD, curl, --fail, http://127.0.0.1:8080/ready] }`

    warning[policy/no-memory-limit]: service `web` has no memory limit: a leak takes the memory of the whole host
     --> compose.yaml:2:3
      |
    2 |   web:
      |   ^^^
      |
      = hint: write one, as in `deploy: { resources: { limits: { memory: 128m } } }`

    2 warnings

    Next:
      driftless plan ./                         what would happen
      driftless agent --config .driftless.yaml  deploys it, and keeps it as Git says
    [exit status: 0]
    ");
    let text = fs::read_to_string(place.path(".driftless.yaml")).expect("it was written");
    assert_snapshot!(text.replace(&place.folder.path().display().to_string(), "$HERE"), @"
    # A Compose project, deployed by `driftless agent`. Every field: docs/reference.md, Application.
    apiVersion: driftless.dev/v1
    kind: Application
    metadata:
      name: shop
    spec:
      repo: $HERE
      mode: auto          # manual: changes wait for `driftless apply`; observe: only looks
    ");
    let checked = place.run(&["check", ".driftless.yaml"]);
    assert!(checked.starts_with("No errors, no warnings."), "{checked}");
    let again = place.run(&["check", "."]);
    assert!(!again.contains("driftless.yaml"), "the document is no manifest: {again}");
    assert_snapshot!(place.run(&["init", "--name", "shop"]), @"
    ------- stderr -------
    error: `.driftless.yaml` is there already and is not overwritten

    hint: choose another one with --file, or remove it
    [exit status: 2]
    ");
}

#[test]
fn a_clone_is_deployed_from_where_it_was_cloned_from() {
    let place = Place::new();
    place.write("shop/README.md", "a shop\n");
    place.write("shop/deploy/docker-compose.yml", COMPOSE);
    for arguments in [
        ["init", "--quiet", "--initial-branch=trunk", "."].as_slice(),
        &["remote", "add", "origin", "https://me:secret@git.example/acme/shop.git"],
        &["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "--allow-empty", "--message", "one"],
    ] {
        let done = Command::new("git").args(arguments).current_dir(place.path("shop")).status().expect("git");
        assert!(done.success(), "git {arguments:?}");
    }
    assert_snapshot!(place.run(&["init", "shop", "--file", "-"]), @"
    # A Compose project, deployed by `driftless agent`. Every field: docs/reference.md, Application.
    apiVersion: driftless.dev/v1
    kind: Application
    metadata:
      name: shop
    spec:
      repo: https://git.example/acme/shop.git
      ref: trunk
      path: deploy
      mode: auto          # manual: changes wait for `driftless apply`; observe: only looks
      # auth:             # if the repository is private
      #   tokenFile: /etc/driftless/token
    ------- stderr -------
    warning[policy/no-readiness]: service `web` has no `healthcheck`: unless its image has one, that it runs is all that is known before it is given connections
     --> shop/deploy/docker-compose.yml:2:3
      |
    2 |   web:
      |   ^^^
      |
      = hint: ask, as in `healthcheck: { test: [CMD, curl, --fail, http://127.0.0.1:8080/ready] }`

    warning[policy/no-memory-limit]: service `web` has no memory limit: a leak takes the memory of the whole host
     --> shop/deploy/docker-compose.yml:2:3
      |
    2 |   web:
      |   ^^^
      |
      = hint: write one, as in `deploy: { resources: { limits: { memory: 128m } } }`

    2 warnings

    Next:
      driftless plan shop/deploy     what would happen
      driftless agent --config FILE  deploys it, and keeps it as Git says
    [exit status: 0]
    ");
    assert_snapshot!(place.run(&["init", "shop/deploy", "--file", "-", "-o", "json"]), @r##"
    {"document":"# A Compose project, deployed by `driftless agent`. Every field: docs/reference.md, Application.\napiVersion: driftless.dev/v1\nkind: Application\nmetadata:\n  name: shop\nspec:\n  repo: https://git.example/acme/shop.git\n  ref: trunk\n  path: deploy\n  mode: auto          # manual: changes wait for `driftless apply`; observe: only looks\n  # auth:             # if the repository is private\n  #   tokenFile: /etc/driftless/token\n","file":null,"findings":[{"column":3,"file":"shop/deploy/docker-compose.yml","hint":"ask, as in `healthcheck: { test: [CMD, curl, --fail, http://127.0.0.1:8080/ready] }`","line":2,"message":"service `web` has no `healthcheck`: unless its image has one, that it runs is all that is known before it is given connections","rule":"policy/no-readiness","severity":"warning"},{"column":3,"file":"shop/deploy/docker-compose.yml","hint":"write one, as in `deploy: { resources: { limits: { memory: 128m } } }`","line":2,"message":"service `web` has no memory limit: a leak takes the memory of the whole host","rule":"policy/no-memory-limit","severity":"warning"}],"version":1}
    ------- stderr -------
    warning[policy/no-readiness]: service `web` has no `healthcheck`: unless its image has one, that it runs is all that is known before it is given connections
     --> shop/deploy/docker-compose.yml:2:3
      |
    2 |   web:
      |   ^^^
      |
      = hint: ask, as in `healthcheck: { test: [CMD, curl, --fail, http://127.0.0.1:8080/ready] }`

    warning[policy/no-memory-limit]: service `web` has no memory limit: a leak takes the memory of the whole host
     --> shop/deploy/docker-compose.yml:2:3
      |
    2 |   web:
      |   ^^^
      |
      = hint: write one, as in `deploy: { resources: { limits: { memory: 128m } } }`

    2 warnings

    Next:
      driftless plan shop/deploy     what would happen
      driftless agent --config FILE  deploys it, and keeps it as Git says
    [exit status: 0]
    "##);
}

#[test]
fn what_cannot_be_guessed_is_said() {
    let place = Place::new();
    place.write("none/README.md", "nothing\n");
    place.write("many/a/compose.yaml", COMPOSE);
    place.write("many/b/compose.yaml", COMPOSE);
    place.write("bad/compose.yaml", &COMPOSE.replace("image", "imgae"));
    assert_snapshot!(place.run(&["init", "none"]), @"
    ------- stderr -------
    error: `none` holds neither a Compose file nor Kubernetes manifests

    hint: name the folder that does, or begin with a `compose.yaml`
    [exit status: 2]
    ");
    assert_snapshot!(place.run(&["init", "many"]), @"
    ------- stderr -------
    error: several folders of `many` hold manifests, and each is an application of its own

    hint: choose one with --path: a, b
    [exit status: 2]
    ");
    assert_snapshot!(place.run(&["init", "many", "--path", "b", "--file", "b.yaml"]), @"
    Wrote `b.yaml`.
    ------- stderr -------
    warning[policy/no-readiness]: service `web` has no `healthcheck`: unless its image has one, that it runs is all that is known before it is given connections
     --> many/b/compose.yaml:2:3
      |
    2 |   web:
      |   ^^^
      |
      = hint: ask, as in `healthcheck: { test: [CMD, curl, --fail, http://127.0.0.1:8080/ready] }`

    warning[policy/no-memory-limit]: service `web` has no memory limit: a leak takes the memory of the whole host
     --> many/b/compose.yaml:2:3
      |
    2 |   web:
      |   ^^^
      |
      = hint: write one, as in `deploy: { resources: { limits: { memory: 128m } } }`

    2 warnings

    Next:
      driftless plan many/b            what would happen
      driftless agent --config b.yaml  deploys it, and keeps it as Git says
    [exit status: 0]
    ");
    assert_snapshot!(place.run(&["init", "bad", "--file", "bad.yaml"]), @"
    Wrote `bad.yaml`.
    ------- stderr -------
    warning[policy/no-readiness]: service `web` has no `healthcheck`: unless its image has one, that it runs is all that is known before it is given connections
     --> bad/compose.yaml:2:3
      |
    2 |   web:
      |   ^^^
      |
      = hint: ask, as in `healthcheck: { test: [CMD, curl, --fail, http://127.0.0.1:8080/ready] }`

    warning[policy/no-memory-limit]: service `web` has no memory limit: a leak takes the memory of the whole host
     --> bad/compose.yaml:2:3
      |
    2 |   web:
      |   ^^^
      |
      = hint: write one, as in `deploy: { resources: { limits: { memory: 128m } } }`

    error[unknown-field]: unknown field `services.web.imgae`
     --> bad/compose.yaml:3:5
      |
    3 |     imgae: example/web:1
      |     ^^^^^
      |
      = hint: did you mean `image`?

    1 error, 2 warnings

    The manifests have errors: look again with `driftless check ./bad`. Then:
      driftless plan ./bad               what would happen
      driftless agent --config bad.yaml  deploys it, and keeps it as Git says
    [exit status: 1]
    ");
    assert_snapshot!(place.run(&["init", "nowhere"]), @"
    ------- stderr -------
    error: failed to read `nowhere`
    cause: No such file or directory (os error 2)
    [exit status: 1]
    ");
    assert_snapshot!(place.run(&["init", "many/a", "--name", "My Shop"]), @"
    ------- stderr -------
    error: `My Shop` cannot be an application's name: it has `M` at position 1; only lower-case letters, digits and `-` are allowed, with a letter or digit at both ends

    hint: choose one with --name
    [exit status: 2]
    ");
}
