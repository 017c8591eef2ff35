//! The rules that driftless brings along, compiled in.

use std::sync::OnceLock;

use super::rules::Rules;

/// A rule that driftless brings along.
#[derive(Debug)]
pub struct Shipped {
    /// Its name in findings, after `policy/`.
    pub id: &'static str,
    /// It keeps an application from taking over the host: one of the baseline.
    pub baseline: bool,
    /// What it finds, for the documentation.
    pub finds: &'static str,
    file: &'static str,
    text: &'static str,
}

macro_rules! shipped {
    ($id:literal, $baseline:literal, $file:literal, $finds:literal) => {
        Shipped { id: $id, baseline: $baseline, finds: $finds, file: $file, text: include_str!(concat!("../../policies/", $file)) }
    };
}

/// The rules that driftless brings along, the baseline first.
pub const SHIPPED: &[Shipped] = &[
    shipped!("privileged-container", true, "privileged_container.rego", "a privileged container, or one with all capabilities"),
    shipped!("host-namespace", true, "host_namespace.rego", "the host's network, processes, shared memory, name, users or control groups"),
    shipped!("docker-socket", true, "docker_socket.rego", "the socket of a container engine, or a folder that holds it"),
    shipped!("host-path", true, "host_path.rego", "a path of the host outside of the allowed folders"),
    shipped!("image-tag", false, "image_tag.rego", "an image without a tag, or with `latest`, and without a digest"),
    shipped!("no-readiness", false, "no_readiness.rego", "no `readinessProbe`; no `healthcheck` although ports are declared"),
    shipped!("no-memory-limit", false, "no_memory_limit.rego", "a container without a memory limit"),
    shipped!("plain-secret", false, "plain_secret.rego", "a password, key or token among variables or in a ConfigMap"),
    shipped!("shared-volume", false, "shared_volume.rego", "a data volume that several replicas write"),
];

/// Returns the shipped rules, ready to be asked.
pub(super) fn rules() -> &'static Rules {
    static RULES: OnceLock<Rules> = OnceLock::new();
    RULES.get_or_init(|| {
        let library = ("workload.rego", include_str!("../../policies/workload.rego"));
        let files = SHIPPED.iter().map(|rule| (rule.file, rule.text)).chain([library]);
        let files: Vec<(String, String)> = files.map(|(file, text)| (format!("policies/{file}"), text.to_owned())).collect();
        Rules::compile(&files).expect("tests compile them")
    })
}

/// Tells whether a rule is one of the baseline.
pub(super) fn is_baseline(id: &str) -> bool {
    SHIPPED.iter().any(|rule| rule.baseline && id.strip_prefix("policy/") == Some(rule.id))
}
