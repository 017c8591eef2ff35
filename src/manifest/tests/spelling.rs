//! How something is written does not matter: one meaning, one hash. And what means something else has
//! another hash, for exactly those that use it.

use std::collections::BTreeMap;

use super::*;

/// The plain spelling, without any default.
const PLAIN: &str = "\
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
data:
  mode: fast
  count: \"3\"
---
apiVersion: v1
kind: Secret
metadata:
  name: keys
stringData:
  token: s3cr3t
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  selector:
    matchLabels:
      app: web
  template:
    metadata:
      labels:
        app: web
        tier: front
    spec:
      containers:
      - name: web
        image: example/web:1
        command: [serve, --quiet]
        env:
        - name: GREETING
          value: hello world
        - name: TOKEN
          valueFrom:
            secretKeyRef:
              name: keys
              key: token
        ports:
        - containerPort: 8080
        resources:
          limits:
            cpu: 1
            memory: 1Gi
        readinessProbe:
          tcpSocket:
            port: 8080
        volumeMounts:
        - name: settings
          mountPath: /etc/settings
      volumes:
      - name: settings
        configMap:
          name: settings
---
apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  selector:
    app: web
  ports:
  - port: 80
    targetPort: 8080
";

/// Everything of a desired state that a plan could see, as text; places in files are not among it.
fn meaning(desired: &Desired) -> String {
    let mut text = String::new();
    for workload in desired.workloads.values() {
        let workload = crate::desired::Workload { place: Default::default(), ..workload.clone() };
        text.push_str(&format!("{workload:#?}\n"));
    }
    let Desired { services, networks, volumes, contents, fronts, .. } = desired;
    let contents: BTreeMap<_, _> = contents.iter().map(|(id, content)| (id, &content.files)).collect();
    text + &format!("{services:#?}\n{networks:#?}\n{volumes:#?}\n{contents:#?}\n{fronts:#?}")
}

fn plain() -> Desired {
    good(&[("app.yaml", PLAIN)])
}

/// Asserts that files mean what the plain spelling means.
fn same(name: &str, files: &[(&str, &str)]) {
    let (expected, found) = (meaning(&plain()), meaning(&good(files)));
    if let Some((a, b)) = expected.lines().zip(found.lines()).find(|(a, b)| a != b) {
        panic!("{name}: expected `{a}`, found `{b}`");
    }
    assert_eq!(expected.len(), found.len(), "{name}");
}

#[test]
fn one_change_of_spelling_changes_nothing() {
    for (name, old, new) in [
        ("comment", "kind: Deployment", "# the entry\nkind: Deployment # of the shop"),
        ("quotes", "image: example/web:1", "image: 'example/web:1'"),
        ("double quotes", "value: hello world", "value: \"hello\\x20world\""),
        ("folded text", "value: hello world", "value: >-\n            hello\n            world"),
        ("block list", "command: [serve, --quiet]", "command:\n        - serve\n        - --quiet"),
        ("milli", "cpu: 1\n", "cpu: 1000m\n"),
        ("decimal", "cpu: 1\n", "cpu: 1.0\n"),
        ("text", "cpu: 1\n", "cpu: \"1\"\n"),
        ("mebi", "memory: 1Gi", "memory: 1024Mi"),
        ("kibi", "memory: 1Gi", "memory: 1048576Ki"),
        ("bytes", "memory: 1Gi", "memory: 1073741824"),
        (
            "requests are limits",
            "limits:\n            cpu: 1\n",
            "requests: {cpu: 1, memory: 1Gi}\n          limits:\n            cpu: 1\n",
        ),
        ("anchor", "app: web\n        tier", "app: &app web\n        tier"),
        ("key order", "app: web\n        tier: front", "tier: front\n        app: web"),
        ("map", "matchLabels:\n      app: web", "matchLabels: {app: web}"),
        ("secret", "stringData:\n  token: s3cr3t", "data:\n  token: czNjcjN0"),
        ("secret of two", "stringData:\n  token: s3cr3t", "data: {token: eA==}\nstringData:\n  token: s3cr3t"),
        ("secret type", "stringData:", "type: Opaque\nstringData:"),
        ("merge key", "labels:\n        app: web\n        tier: front", "labels:\n        <<: {app: web}\n        tier: front"),
        ("dollar", "value: hello world", "value: $(NONE)hello world\n"),
    ] {
        let text = PLAIN.replacen(old, new, 1);
        assert_ne!(text, PLAIN, "{name}");
        match name {
            // The one that must differ, so that the comparison is known to see anything.
            "dollar" => assert_ne!(meaning(&good(&[("app.yaml", &text)])), meaning(&plain())),
            _ => same(name, &[("app.yaml", &text)]),
        }
    }
}

#[test]
fn explicit_defaults_change_nothing() {
    for (old, new) in [
        ("spec:\n  selector:\n    matchLabels", "spec:\n  replicas: 1\n  selector:\n    matchLabels"),
        ("spec:\n  selector:\n    matchLabels", "spec:\n  revisionHistoryLimit: 10\n  selector:\n    matchLabels"),
        ("spec:\n  selector:\n    matchLabels", "spec:\n  progressDeadlineSeconds: 600\n  selector:\n    matchLabels"),
        ("spec:\n  selector:\n    matchLabels", "spec:\n  minReadySeconds: 0\n  selector:\n    matchLabels"),
        ("spec:\n  selector:\n    matchLabels", "spec:\n  paused: false\n  selector:\n    matchLabels"),
        ("spec:\n  selector:\n    matchLabels", "spec:\n  strategy: {type: RollingUpdate}\n  selector:\n    matchLabels"),
        (
            "spec:\n  selector:\n    matchLabels",
            "spec:\n  strategy: {rollingUpdate: {maxSurge: 25%, maxUnavailable: \"25%\"}}\n  selector:\n    matchLabels",
        ),
        ("  name: web\nspec:", "  name: web\n  namespace: shop\nspec:"),
        ("  name: web\nspec:", "  name: web\n  creationTimestamp: null\nspec:"),
        ("  name: web\nspec:", "  name: web\n  labels: {}\n  annotations:\nspec:"),
        ("    spec:\n", "    spec:\n      restartPolicy: Always\n"),
        ("    spec:\n", "    spec:\n      dnsPolicy: ClusterFirst\n      schedulerName: default-scheduler\n"),
        ("    spec:\n", "    spec:\n      terminationGracePeriodSeconds: 30\n"),
        ("    spec:\n", "    spec:\n      securityContext: {}\n"),
        ("    spec:\n", "    spec:\n      initContainers: []\n      nodeSelector: {}\n      tolerations:\n"),
        ("    spec:\n", "    spec:\n      hostNetwork: false\n      serviceAccountName: default\n"),
        ("        ports:\n", "        imagePullPolicy: IfNotPresent\n        ports:\n"),
        (
            "        ports:\n",
            "        terminationMessagePath: /dev/termination-log\n        terminationMessagePolicy: File\n        ports:\n",
        ),
        ("        ports:\n", "        args: []\n        tty: false\n        stdin: false\n        envFrom:\n        ports:\n"),
        (
            "        ports:\n",
            "        securityContext: {privileged: false, readOnlyRootFilesystem: false, capabilities: {add: []}}\n        ports:\n",
        ),
        ("containerPort: 8080", "containerPort: 8080\n          protocol: TCP"),
        ("containerPort: 8080", "containerPort: 8080\n          hostPort: 0"),
        ("tcpSocket:", "initialDelaySeconds: 0\n          periodSeconds: 10\n          timeoutSeconds: 1\n          tcpSocket:"),
        ("tcpSocket:", "successThreshold: 1\n          failureThreshold: 3\n          tcpSocket:"),
        ("mountPath: /etc/settings", "mountPath: /etc//settings/\n          readOnly: false"),
        ("configMap:\n", "configMap:\n          defaultMode: 0644\n          optional: false\n"),
        ("configMap:\n", "configMap:\n          defaultMode: 420\n          items: []\n"),
        ("  ports:\n  - port: 80", "  type: ClusterIP\n  sessionAffinity: None\n  ports:\n  - port: 80"),
        ("  ports:\n  - port: 80", "  ipFamilies: [IPv4]\n  ipFamilyPolicy: SingleStack\n  clusterIP: \"\"\n  ports:\n  - port: 80"),
        ("  ports:\n  - port: 80", "  internalTrafficPolicy: Cluster\n  publishNotReadyAddresses: false\n  ports:\n  - port: 80"),
        ("targetPort: 8080\n", "targetPort: 8080\n    protocol: TCP\nstatus:\n  loadBalancer: {}\n"),
    ] {
        let text = PLAIN.replacen(old, new, 1);
        assert_ne!(text, PLAIN, "{new}");
        same(new, &[("app.yaml", &text)]);
    }
}

#[test]
fn how_documents_are_put_into_files_changes_nothing() {
    same("crlf", &[("app.yaml", &PLAIN.replace('\n', "\r\n"))]);
    same("byte order mark", &[("app.yaml", &format!("\u{feff}{PLAIN}"))]);
    same("document ends", &[("app.yaml", &PLAIN.replace("---\n", "...\n---\n"))]);
    same("directive", &[("app.yaml", &format!("%YAML 1.1\n---\n{PLAIN}"))]);
    same("empty documents", &[("app.yaml", &format!("---\n---\n# nothing\n---\n{PLAIN}---\n"))]);
    same("another folder", &[("deep/down/x.yml", PLAIN), (".hidden/y.yaml", "a: [1"), ("README.md", "# read me"), (".z.yaml", "{")]);
    let parts: Vec<&str> = PLAIN.split("---\n").collect();
    let names = ["4.yaml", "3.yaml", "2/a.yaml", "1.yml"];
    let files: Vec<(&str, &str)> = names.into_iter().zip(parts.iter().copied()).collect();
    same("a file each, in another order", &files);
    let items: String = parts.iter().map(|part| format!("- {}\n", part.trim_end().replace('\n', "\n  "))).collect();
    same("list", &[("app.yaml", &format!("apiVersion: v1\nkind: List\nmetadata: {{}}\nitems:\n{items}"))]);
}

/// Two users of the ConfigMap, by file and by variable, and one of neither.
const USERS: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {mode: fast, other: x}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {token: s3cr3t}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: file}
spec:
  selector: {matchLabels: {app: file}}
  template:
    metadata: {labels: {app: file}}
    spec:
      containers:
      - {name: c, image: 'a:1', volumeMounts: [{name: v, mountPath: /v}]}
      volumes: [{name: v, configMap: {name: settings}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: variable}
spec:
  selector: {matchLabels: {app: variable}}
  template:
    metadata: {labels: {app: variable}}
    spec:
      containers:
      - {name: c, image: 'a:1', env: [{name: M, valueFrom: {configMapKeyRef: {name: settings, key: mode}}}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: secret}
spec:
  selector: {matchLabels: {app: secret}}
  template:
    metadata: {labels: {app: secret}}
    spec:
      containers:
      - {name: c, image: 'a:1', envFrom: [{secretRef: {name: keys}}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: neither}
spec:
  selector: {matchLabels: {app: neither}}
  template:
    metadata: {labels: {app: neither}}
    spec:
      containers:
      - {name: c, image: 'a:1'}
";

#[test]
fn a_changed_value_changes_exactly_its_users() {
    let hashes = |text: &str| -> BTreeMap<String, String> {
        let desired = good(&[("app.yaml", text)]);
        desired.workloads.values().map(|workload| (workload.id.name.to_string(), workload.hash.to_string())).collect()
    };
    let before = hashes(USERS);
    for (old, new, users) in [
        ("mode: fast", "mode: slow", &["file", "variable"][..]),
        ("mode: fast", "mode: fasu", &["file", "variable"]),
        ("mode: fast", "mode: fast, more: z", &["file"]),
        ("other: x", "other: w", &["file"]),
        ("s3cr3t", "s3cr3u", &["secret"]),
        ("configMap: {name: settings}", "configMap: {name: settings, defaultMode: 0600}", &["file"]),
        ("name: neither}\nspec:", "name: neither}\nspec:\n  replicas: 5\n  minReadySeconds: 3", &[]),
    ] {
        let after = hashes(&USERS.replacen(old, new, 1));
        let changed: Vec<&str> = before.iter().filter(|(name, hash)| after[*name] != **hash).map(|(name, _)| name.as_str()).collect();
        assert_eq!(changed, users, "{new}");
    }
}

#[test]
fn files_of_one_content_have_one_id_wherever_they_come_from() {
    let renamed = USERS.replacen("name: settings", "name: other", 1).replace("configMap: {name: settings}", "configMap: {name: other}");
    let renamed = renamed.replace("configMapKeyRef: {name: settings", "configMapKeyRef: {name: other");
    let ids = |text: &str| good(&[("a.yaml", text)]).contents.into_keys().collect::<Vec<_>>();
    assert_eq!(ids(USERS), ids(&renamed));
}
