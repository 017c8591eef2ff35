//! Credentials of registries: `imagePullSecrets` and the Secrets that they name.

use super::{Tree, findings, good, lines};

const WEB: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: web }\nspec:\n  selector: { matchLabels: { app: web } }\n  template:\n    \
                   metadata: { labels: { app: web } }\n    spec:\n      imagePullSecrets: [{ name: registry }]\n      \
                   containers: [{ name: web, image: \"ghcr.io/a/web:1\" }]\n";

fn secret(key: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{ name: registry }}\ntype: kubernetes.io/dockerconfigjson\nstringData:\n  {key}: '{value}'\n"
    )
}

#[test]
fn credentials_belong_to_images_and_not_to_replicas() {
    let built = |value: &str| good(&[("web.yaml", WEB), ("secret.yaml", &secret(".dockerconfigjson", value))]);
    let (one, two) = (built("{\"auths\":{}}"), built("{\"auths\":{\"ghcr.io\":{}}}"));
    let logins = one.logins.get("ghcr.io/a/web:1").expect("the image has credentials");
    assert_eq!(logins.iter().map(|login| login.expose().to_vec()).collect::<Vec<_>>(), [b"{\"auths\":{}}".to_vec()]);
    assert!(!format!("{one:?}").contains("auths"), "they are never printed");
    let hashes = |desired: &crate::desired::Desired| desired.workloads.values().map(|workload| workload.hash.clone()).collect::<Vec<_>>();
    assert_eq!(hashes(&one), hashes(&two), "another password replaces nothing");
}

#[test]
fn a_secret_that_is_missing_or_holds_something_else_is_an_error() {
    let found = findings(&Tree::of([("web.yaml", WEB)]));
    assert!(lines(&found).contains("web.yaml:9:34: ") && lines(&found).contains("`registry`"), "{}", lines(&found));
    let found = findings(&Tree::of([("web.yaml", WEB), ("secret.yaml", secret("password", "canary").as_str())]));
    let expected = "web.yaml:9:34: Secret `registry` has no key `.dockerconfigjson`, which holds the credentials of registries";
    assert!(lines(&found).contains(expected) && !lines(&found).contains("canary"), "{}", lines(&found));
}
