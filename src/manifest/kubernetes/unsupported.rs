//! What Kubernetes has and driftless does not: refused by name, so that nothing is silently ignored.

use crate::manifest::cursor::Fields;
use crate::manifest::node::{Located, Value};
use crate::manifest::sink::Sink;

const ONE_HOST: &str = "there is one host, nothing to choose from";
const NAMESPACES: &str = "a replica has namespaces of its own";
const ACCOUNT: &str = "there is no Kubernetes API that an account could be for";
const DNS: &str = "replicas ask the front, which knows all Services";

/// Refuses the fields of a replica that are not supported.
pub fn replica(fields: &mut Fields<'_>) {
    let text = |text: &str| Value::Text(text.to_owned());
    fields.only("restartPolicy", &text("Always"), "a Deployment's replicas are always restarted, also in Kubernetes");
    fields.only("dnsPolicy", &text("ClusterFirst"), DNS);
    fields.only("schedulerName", &text("default-scheduler"), ONE_HOST);
    fields.only("serviceAccountName", &text("default"), ACCOUNT);
    fields.only("serviceAccount", &text("default"), ACCOUNT);
    fields.only("automountServiceAccountToken", &Value::Bool(false), ACCOUNT);
    fields.only("hostNetwork", &Value::Bool(false), NAMESPACES);
    fields.only("hostPID", &Value::Bool(false), NAMESPACES);
    fields.only("hostIPC", &Value::Bool(false), NAMESPACES);
    fields.only("hostUsers", &Value::Bool(true), "the engine decides about user namespaces");
    fields.only("shareProcessNamespace", &Value::Bool(false), NAMESPACES);
    fields.only("setHostnameAsFQDN", &Value::Bool(false), "the host name is the replica's name");
    if let Some(field) = fields.get("enableServiceLinks")
        && field.flag() == Some(true)
    {
        field.sink.note("not-enforced", field.span(), "no variables are set for Services; use their names");
    }
    fields.refuse(&[
        ("initContainers", "a replica has one container for now; let the container's own start do it"),
        ("ephemeralContainers", "a replica has one container for now"),
        ("nodeName", ONE_HOST),
        ("nodeSelector", ONE_HOST),
        ("affinity", ONE_HOST),
        ("tolerations", ONE_HOST),
        ("topologySpreadConstraints", ONE_HOST),
        ("schedulingGates", ONE_HOST),
        ("priority", ONE_HOST),
        ("priorityClassName", ONE_HOST),
        ("preemptionPolicy", ONE_HOST),
        ("activeDeadlineSeconds", "a Deployment's replicas run until they are replaced"),
        ("dnsConfig", DNS),
        ("hostAliases", "use a Service's name"),
        ("hostname", "the host name is the replica's name"),
        ("hostnameOverride", "the host name is the replica's name"),
        ("subdomain", "use a headless Service"),
        ("os", "containers run on Linux"),
        ("overhead", "the engine decides how containers run"),
        ("readinessGates", "use a `readinessProbe`"),
        ("resourceClaims", "devices are not supported"),
        ("resources", "write `resources` in the container"),
        ("runtimeClassName", "the engine decides how containers run"),
        ("workloadRef", ONE_HOST),
    ]);
}

/// Kinds of Kubernetes and its neighbours that people write, with what to do instead.
const KINDS: &[(&str, &str)] = &[
    ("APIService", ""),
    ("Application", "an Application is given to the agent: `driftless agent --config FILE`"),
    ("Certificate", ""),
    ("ClusterRole", ACCOUNT),
    ("ClusterRoleBinding", ACCOUNT),
    ("ControllerRevision", ""),
    ("CronJob", ""),
    ("CustomResourceDefinition", ""),
    ("DaemonSet", "with one host, a Deployment of one replica does the same"),
    ("EndpointSlice", ""),
    ("Endpoints", ""),
    ("ExternalSecret", ""),
    ("Gateway", ""),
    ("HTTPRoute", ""),
    ("HelmRelease", "render it: `helm template NAME CHART > deploy.yaml`"),
    ("HorizontalPodAutoscaler", ""),
    ("Ingress", "publish a port of the entry with `hostPort`"),
    ("IngressClass", ""),
    ("IngressRoute", ""),
    ("Issuer", ""),
    ("ClusterIssuer", ""),
    ("Job", ""),
    ("Kustomization", "render it: `kustomize build FOLDER > deploy.yaml`"),
    ("LimitRange", ""),
    ("MutatingWebhookConfiguration", ""),
    ("NetworkPolicy", ""),
    ("Node", ""),
    ("PersistentVolume", "a claim becomes a local volume by itself"),
    ("Pod", "write a Deployment of one replica"),
    ("PodDisruptionBudget", "`maxUnavailable` of the Deployment bounds what may be down"),
    ("PodMonitor", ""),
    ("PriorityClass", ONE_HOST),
    ("ReplicaSet", "write a Deployment"),
    ("ReplicationController", "write a Deployment"),
    ("ResourceQuota", ""),
    ("Role", ACCOUNT),
    ("RoleBinding", ACCOUNT),
    ("SealedSecret", ""),
    ("ServiceAccount", ACCOUNT),
    ("ServiceMonitor", ""),
    ("StatefulSet", "for one replica, a Deployment with a claim does the same"),
    ("StorageClass", "a claim becomes a local volume by itself"),
    ("ValidatingAdmissionPolicy", ""),
    ("ValidatingWebhookConfiguration", ""),
    ("VolumeSnapshot", ""),
];

/// Refuses a kind: by name if it is known, else with what there is.
pub fn kind(kind: &Located<String>, sink: &Sink) {
    const SUPPORTED: [&str; 7] = ["Namespace", "ConfigMap", "Secret", "PersistentVolumeClaim", "Service", "Deployment", "List"];
    let supported = format!("supported: {}", SUPPORTED.join(", "));
    if let Some((name, instead)) = KINDS.iter().find(|(name, _)| *name == kind.value) {
        let hint = if instead.is_empty() { supported.as_str() } else { instead };
        sink.error_with("unsupported-kind", kind.span, format!("the kind `{name}` is not supported"), hint);
        return;
    }
    let hint = match crate::manifest::cursor::nearest(&kind.value, SUPPORTED) {
        Some(name) => format!("did you mean `{name}`? {supported}"),
        None => supported,
    };
    sink.error_with("unknown-kind", kind.span, format!("unknown kind `{}`", kind.value.escape_debug()), hint);
}
