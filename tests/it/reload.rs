//! Another configuration while the agent works: applications that come, go and change, and a configuration
//! with errors, which changes nothing but what is said.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::project::{APPLICATION, Project, container, docker};

const SHOP: &str = r#"
name: PROJECT
services:
  web:
    image: IMAGE
    command: [sleep, "1000000"]
    healthcheck: { disable: true }
    stop_signal: SIGKILL
    environment: { RELEASE: "1" }
"#;

impl Project {
    /// Writes the configuration: `shop`, and further documents.
    fn configure(&self, more: &str) {
        fs::write(self.path("application.yaml"), self.document(APPLICATION, "repo") + more).expect("a file");
    }

    /// Returns how an application stands; nothing is `null`.
    fn standing(&self, name: &str) -> Value {
        let report = self.json(&["status"]);
        report["applications"].as_array().into_iter().flatten().find(|status| status["name"] == name).cloned().unwrap_or_default()
    }

    /// Returns what is wrong with the configuration.
    fn wrong(&self) -> String {
        self.json(&["status"])["misconfigured"].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
    }

    /// Returns what the replicas were told to be.
    fn releases(&self) -> Vec<String> {
        let env = |id: &str| docker(&["inspect", "--format", "{{range .Config.Env}}{{println .}}{{end}}", id]);
        let release = |env: String| env.lines().find_map(|line| line.strip_prefix("RELEASE=")).unwrap_or_default().to_owned();
        self.replicas("web").into_iter().map(|replica| release(env(&replica.id))).collect()
    }
}

/// Returns a project that runs, and the document of another application beside it.
fn two() -> Option<(Project, String)> {
    let mut project = Project::new()?;
    project.write("compose.yaml", SHOP);
    project.write("../other/compose.yaml", &SHOP.replace("PROJECT", "PROJECT-other"));
    project.deploy();
    let other = project.document("other", "other");
    Some((project, other))
}

#[test]
fn applications_come_go_and_come_back_while_the_agent_works() {
    let Some((project, other)) = two() else { return };
    let (web, other_web) = (format!("{}-web-1", project.owner), format!("{}-other-web-1", project.owner));
    let before = container(&web);
    project.configure(&other);
    project.wait("the other one runs", |project| {
        let standing = project.standing("other");
        (&standing["sync"], &standing["health"]) == (&"Synced".into(), &"Healthy".into())
    });
    let added = container(&other_web);

    project.configure("");
    project.wait("it is an orphan", |project| {
        project.standing("other")["message"].as_str().is_some_and(|message| message.starts_with("orphaned"))
    });
    assert_eq!(container(&other_web), added, "what runs of it goes on");

    project.configure(&other);
    project.wait("it is kept again", |project| project.standing("other")["sync"] == "Synced");
    docker(&["rm", "-f", &other_web]);
    project.wait("it is healed", |project| {
        project.containers().get(&other_web).is_some_and(|now| *now != added) && project.standing("other")["health"] == "Healthy"
    });
    assert_eq!(container(&web), before, "the first one was not touched");
}

#[test]
fn a_configuration_with_errors_is_told_of_and_the_last_good_one_stays() {
    let Some((mut project, other)) = two() else { return };
    for (text, wrong) in
        [("intervall: 1s", "application.yaml:10:3: error: unknown field `spec.intervall`"), ("path: [", "application.yaml:1")]
    {
        let document = project.document(APPLICATION, "repo").replace("---", &format!("  {text}\n---"));
        fs::write(project.path("application.yaml"), document + &other).expect("a file");
        project.wait(wrong, |project| project.wrong().contains(wrong));
        assert_eq!(project.standing("other"), Value::Null, "it is taken whole or not at all");
        let output = project.command(&["status", "--exit-code"]).output().expect("the binary");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.starts_with("The configuration was refused; the last good one is in force:\n") && said.contains(wrong), "{said}");
        assert_eq!(output.status.code(), Some(1));
        // What is in force goes on.
        project.edit("compose.yaml", "RELEASE: \"", "RELEASE: \"1");
        project.converge();
    }
    assert_eq!(project.releases(), ["111"]);
    project.configure(&other);
    project.wait("it is right again", |project| project.wrong().is_empty() && project.standing("other")["health"] == "Healthy");
}

#[test]
fn a_changed_application_is_kept_as_its_new_document_says() {
    let Some((mut project, _)) = two() else { return };
    // Nobody hears of changes behind a link, but everybody hears a signal.
    fs::rename(project.path("application.yaml"), project.path("other/application.yaml")).expect("a file");
    std::os::unix::fs::symlink("other/application.yaml", project.path("application.yaml")).expect("a link");
    project.set("mode: observe");
    project.configure("");
    project.signal(Signal::HUP);
    project.wait("it is only observed", |project| {
        let refused = project.command(&["apply", APPLICATION]).output().expect("the binary");
        String::from_utf8_lossy(&refused.stderr).contains("is only observed")
    });
    let before = project.containers();
    docker(&["rm", "-f", &format!("{}-web-1", project.owner)]);
    project.wait("it is told", |project| project.json(&["drift", APPLICATION])["drift"][0]["healed"] == false);
    project.set("mode: auto");
    project.configure("");
    project.signal(Signal::HUP);
    project.wait("it is healed", Project::is_converged);
    assert_ne!(project.containers(), before);

    // Another folder: what it asks for is another.
    project.write("../repo/next/compose.yaml", &SHOP.replace("\"1\"", "\"2\""));
    project.converge();
    project.set("path: next");
    project.configure("");
    project.signal(Signal::HUP);
    project.wait("it is what the other folder asks for", |project| project.is_converged() && project.releases() == ["2"]);
}

const NOTHING: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: NAME, namespace: PROJECT }\n---\n";
const WEB: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: web, namespace: PROJECT }\nspec:\n  selector: { matchLabels: { app: web } }\n  \
                   template:\n    metadata: { labels: { app: web } }\n    spec: { containers: [{ name: web, image: IMAGE, imagePullPolicy: Never }] }\n";
const STAYS: &str = "---\napiVersion: v1\nkind: Service\nmetadata: { name: stays, namespace: PROJECT }\nspec: { selector: { app: none }, ports: [{ port: 80 }] }\n";

/// Between two repositories no commit is in both: without `prune: false` the giver, pushed first, would remove what
/// nobody wants yet.
#[test]
fn an_object_that_leaves_one_repository_first_waits_for_the_other_with_prune_false() {
    let Some(mut project) = Project::new() else { return };
    project.write("shop.yaml", &(NOTHING.replace("NAME", "a") + WEB + STAYS));
    project.write("../other/shop.yaml", &NOTHING.replace("NAME", "b"));
    project.deploy();
    let other = project.document("other", "other");
    project.set("prune: false");
    project.configure(&other);
    project.wait("the other one is known", |project| project.standing("other")["sync"] == "Synced");
    let before = project.containers();
    project.write("shop.yaml", &(NOTHING.replace("NAME", "a") + STAYS));
    project.wait("the giver keeps what it no longer has", |project| {
        let plan = project.json(&["plan", APPLICATION]);
        let deferred = plan["deferred"].as_array().into_iter().flatten();
        deferred.filter(|held| held["reason"].as_str().is_some_and(|reason| reason.contains("`prune: false` keeps it"))).count() == 1
    });
    project.write("../other/shop.yaml", &(NOTHING.replace("NAME", "b") + WEB));
    project.wait("the taker has it", |project| {
        let plan = project.json(&["plan", APPLICATION]);
        project.standing("other")["workloads"][0]["available"] == 1 && plan["deferred"].as_array().is_some_and(Vec::is_empty)
    });
    assert_eq!(project.containers(), before, "nothing was made anew");
}
