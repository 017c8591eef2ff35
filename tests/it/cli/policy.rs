//! Policies as people see them: what a rule finds, rules that cannot be read, and tests of rules.

use insta::assert_snapshot;

use super::Place;

const POD: &str = "services:
  web:
    image: example/web:1
    privileged: true
    deploy: { resources: { limits: { memory: 64m } } }
";

#[test]
fn a_denial_has_its_line_and_the_level_decides() {
    let place = Place::new();
    place.write("deploy/compose.yaml", POD);
    assert_snapshot!(place.run(&["check", "deploy", "--enforce", "baseline"]), @r#"
    error[policy/privileged-container]: service `web` is privileged: it can do to the host whatever root can
     --> deploy/compose.yaml:4:17
      |
    4 |     privileged: true
      |                 ^^^^
      |
      = hint: leave it out, and add the one capability that is needed in `cap_add`

    1 error
    ------- stderr -------
    [exit status: 1]
    "#);
    assert!(place.run(&["check", "deploy"]).contains("warning[policy/privileged-container]"));
    assert!(place.run(&["check", "deploy", "--enforce", "privileged"]).starts_with("No errors, no warnings."));
    // What is refused is neither planned nor applied.
    for command in ["plan", "apply"] {
        let refused = place.run(&[command, "./deploy", "--enforce", "baseline"]);
        assert!(refused.contains("error[policy/privileged-container]") && refused.ends_with("[exit status: 1]"), "{refused}");
    }
}

#[test]
fn a_policy_that_is_no_rego_refuses_with_its_place() {
    let place = Place::new();
    place.write("deploy/compose.yaml", POD);
    place.write("rules/team.rego", "package main\n\nimport rego.v1\n\ndeny contains msg if {\n\tmsg := \n}\n");
    assert_snapshot!(place.run(&["--policies", "rules", "check", "deploy"]), @r#"
    error[policy/unreadable]: this is not Rego: expecting `}` while parsing set
     --> $HERE/rules/team.rego:6:9
      |
    6 |     msg := 
      |            ^
      |
      = hint: mend the rule, and try it with `driftless policy test`; until then nothing new is applied

    warning[policy/privileged-container]: service `web` is privileged: it can do to the host whatever root can
     --> deploy/compose.yaml:4:17
      |
    4 |     privileged: true
      |                 ^^^^
      |
      = hint: leave it out, and add the one capability that is needed in `cap_add`

    1 error, 1 warning
    ------- stderr -------
    [exit status: 1]
    "#);
    assert_snapshot!(place.run(&["policy", "test", "rules"]), @r#"
    ------- stderr -------
    error[policy/unreadable]: this is not Rego: expecting `}` while parsing set
     --> rules/team.rego:6:9
      |
    6 |     msg := 
      |            ^
      |
      = hint: mend the rule, and try it with `driftless policy test`; until then nothing new is applied

    1 error

    error: failed to read the policies of `rules`
    [exit status: 1]
    "#);
    assert_snapshot!(place.run(&["--policies", "nowhere", "check", "deploy", "--enforce", "privileged"]), @r#"
    error[policy/unreadable]: the policies in `$HERE/nowhere` cannot be read: No such file or directory (os error 2)
    --> $HERE/nowhere
     = hint: check `--policies` and the Application's `policy.folders`; without its policies nothing new is applied

    1 error
    ------- stderr -------
    [exit status: 1]
    "#);
}

#[test]
fn tests_of_policies_are_run() {
    let place = Place::new();
    place.write("policies/team.rego", "package main\n\nimport rego.v1\n\ndeny_team contains \"no team\" if not input.team\n");
    place.write(
        "policies/team_test.rego",
        "package main\n\nimport rego.v1\n\ntest_no_team if count(deny_team) == 1 with input as {}\n\n\
         test_a_team if {\n\tprint(\"denied:\", deny_team)\n\tcount(deny_team) == 7 with input as {\"team\": \"a\"}\n}\n\n\
         test_unknown if nowhere(1)\n\ntodo_test_more if false\n",
    );
    assert_snapshot!(place.run(&["policy", "test"]), @r#"
    failed test_a_team (policies/team_test.rego:7)
        policies/team_test.rego:8: denied: {"no team"}
    failed test_unknown (policies/team_test.rego:12)
        could not find function nowhere
    skipped todo_test_more (policies/team_test.rego:14)
    1 passed, 2 failed, 1 skipped
    ------- stderr -------
    [exit status: 1]
    "#);
    assert_snapshot!(place.run(&["--policies", "policies", "policy", "test", "-o", "json"]), @r#"
    {"version":1,"passed":1,"failed":2,"tests":[{"package":"main","name":"test_no_team","file":"policies/team_test.rego","line":5,"result":"passed","message":null,"printed":[]},{"package":"main","name":"test_a_team","file":"policies/team_test.rego","line":7,"result":"failed","message":null,"printed":["policies/team_test.rego:8: denied: {\"no team\"}"]},{"package":"main","name":"test_unknown","file":"policies/team_test.rego","line":12,"result":"broken","message":"could not find function nowhere","printed":[]},{"package":"main","name":"todo_test_more","file":"policies/team_test.rego","line":14,"result":"skipped","message":null,"printed":[]}]}
    ------- stderr -------
    [exit status: 1]
    "#);
    assert_snapshot!(place.run(&["policy", "test", "policies", "-o", "markdown"]), @r#"
    1 passed, 2 failed, 1 skipped

    - `policies/team_test.rego:7`: **failed** `test_a_team`
    - `policies/team_test.rego:12`: **broken** `test_unknown`
    ------- stderr -------
    [exit status: 1]
    "#);
    place.write("empty/team.rego", "package main\n");
    assert_snapshot!(place.run(&["policy", "test", "empty"]), @r#"
    ------- stderr -------
    error: failed to find a test in `empty`

    hint: write rules `test_…` into files that end with `_test.rego`
    [exit status: 1]
    "#);
}
