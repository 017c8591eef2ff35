//! Bad manifests, and what a stranger reads about each: `line:column: message -> hint`.

use crate::finding::refuses;
use crate::manifest::Entry;

use super::*;

/// A good manifest, to be spoiled by each case.
const BASE: &str = include_str!("bad.yaml");

/// A second Deployment.
const OTHER: &str = "\
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec: {containers: [{name: api, image: 'a:1'}]}
";

/// A text, what replaces it, and what is then found.
type Case<'a> = (&'a str, &'a str, &'a [&'a str]);

/// Returns what is found in a file, without notes and without the file's name.
fn found(text: &str) -> Vec<String> {
    let findings = findings(&Tree::of([("a.yaml", text)]));
    let findings: Vec<Finding> = findings.into_iter().filter(|finding| finding.severity > Severity::Note).collect();
    lines(&findings).lines().map(|line| line.strip_prefix("a.yaml:").unwrap_or(line).to_owned()).collect()
}

fn check(cases: &[Case<'_>]) {
    for (old, new, expected) in cases {
        assert!(BASE.contains(old), "{old}");
        assert_eq!(found(&BASE.replacen(old, new, 1)), *expected, "{new}");
    }
}

#[test]
fn the_good_manifest_is_good() {
    assert_eq!(found(BASE), [] as [&str; 0]);
    assert_eq!(found(&format!("{BASE}{OTHER}")), [] as [&str; 0]);
}

#[test]
#[rustfmt::skip] // One case a line.
fn fields_that_are_wrong_say_so() {
    check(&[
        ("replicas: 1", "replicas: three", &["6:13: `spec.replicas` must be a whole number, but is the text `three`"]),
        ("replicas: 1", "replicas: -1", &["6:13: `spec.replicas` is -1, but cannot be negative"]),
        ("replicas: 1", "replicas: 1.5", &["6:13: `spec.replicas` must be a whole number, but is the number 1.5"]),
        ("replicas: 1", "replicas: \"2\"", &["6:13: `spec.replicas` must be a whole number, but is the text `2` -> write it without quotes"]),
        ("  replicas: 1\n", "  replicas: 1\n  paused: \"true\"\n", &["7:11: `spec.paused` must be true or false, but is the text `true` -> write it without quotes"]),
        ("  replicas: 1\n", "  replicas: 1\n  paused: 1\n", &["7:11: `spec.paused` must be true or false, but is the number 1"]),
        ("  replicas: 1\n", "  replicas: 1\n  minReadySeconds: [1]\n", &["7:20: `spec.minReadySeconds` must be a whole number, but is a list"]),
        ("kind: Deployment\nmetadata:\n  name: web\n", "kind: Deployment\nmetadata: web\n", &["3:11: `metadata` must be a map, but is the text `web`"]),
        ("  name: web\n", "", &["1:1: `metadata` is missing"]),
        ("    matchLabels: {app: web}", "    matchLabels: {}", &["7:3: `spec.selector` selects everything; write `matchLabels`"]),
        ("  selector:\n    matchLabels: {app: web}\n", "", &["5:1: `spec.selector` is missing"]),
        ("        image: example/web:1\n", "", &["14:9: `spec.template.spec.containers[0].image` is missing"]),
        ("      - name: web\n        image", "      - image", &["14:9: `spec.template.spec.containers[0].name` is missing"]),
        ("      containers:\n", "      containers: []\n      initContainers:\n", &["13:7: there is no container", "14:7: `spec.template.spec.initContainers` is not supported -> a replica has one container for now; let the container's own start do it"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        imagePullPolice: Always\n", &["16:9: unknown field `spec.template.spec.containers[0].imagePullPolice` -> did you mean `imagePullPolicy`?"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        imagePullPolicy: always\n", &["16:26: `spec.template.spec.containers[0].imagePullPolicy` cannot be `always`; supported: `Always`, `IfNotPresent`, `Never` -> did you mean `Always`?"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        comand: [x]\n        Args: [y]\n", &["16:9: unknown field `spec.template.spec.containers[0].comand` -> did you mean `command`?", "17:9: unknown field `spec.template.spec.containers[0].Args` -> did you mean `args`?"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        zzz: 1\n", &["16:9: unknown field `spec.template.spec.containers[0].zzz`"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        env: [{name: PORT, value: 8080}]\n", &["16:35: `spec.template.spec.containers[0].env[0].value` must be a text, but is the number 8080 -> put it in quotes"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        env: [{name: A, value: yes}]\n", &["16:32: `spec.template.spec.containers[0].env[0].value` must be a text, but is `true`, a boolean -> put it in quotes"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        env: [{name: \"\", value: x}, {name: \"A=B\", value: x}]\n", &["16:22: `spec.template.spec.containers[0].env[0].name` is not the name of a variable: ``", "16:44: `spec.template.spec.containers[0].env[1].name` is not the name of a variable: `A=B`"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        env: [{name: A, value: x, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]\n", &["16:46: `spec.template.spec.containers[0].env[0].valueFrom` cannot stand beside `value`"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        env: [{name: A, valueFrom: {}}]\n", &["16:25: `spec.template.spec.containers[0].env[0].valueFrom` must have exactly one of `configMapKeyRef`, `secretKeyRef`, `fieldRef`"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.nam}}}]\n", &["16:59: `spec.template.spec.containers[0].env[0].valueFrom.fieldRef.fieldPath` cannot be `metadata.nam` -> supported: metadata.name, metadata.namespace, metadata.uid, metadata.labels['KEY'], metadata.annotations['KEY'], spec.nodeName, status.hostIP, status.podIP"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        command: run\n", &["16:18: `spec.template.spec.containers[0].command` must be a list, but is the text `run`"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        args: [1]\n", &["16:16: `spec.template.spec.containers[0].args[0]` must be a text, but is the number 1 -> put it in quotes"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        workingDir: app\n", &["16:21: `spec.template.spec.containers[0].workingDir` must be an absolute path, but is `app`"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        resources: {limits: {memory: 5Mi, cpu: 5m}}\n", &["16:38: `spec.template.spec.containers[0].resources.limits.memory` is less than `6Mi`, the least that Docker can do", "16:48: `spec.template.spec.containers[0].resources.limits.cpu` is less than `10m`, the least that Docker can do"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        resources: {limits: {memory: 64MB}}\n", &["16:38: `spec.template.spec.containers[0].resources.limits.memory` is not a quantity: `64MB` -> write a number with a suffix such as `500m`, `1.5`, `128Mi` or `2Gi`"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        resources: {limits: {memory: -1}}\n", &["16:38: `spec.template.spec.containers[0].resources.limits.memory` cannot be negative"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        resources: {requests: {cpu: 2}, limits: {cpu: 1}}\n", &["16:37: `spec.template.spec.containers[0].resources.requests.cpu` is more than the limit"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        resources: {limits: {nvidia.com/gpu: 1}}\n", &["16:30: `spec.template.spec.containers[0].resources.limits.nvidia.com/gpu` is not supported -> only `cpu` and `memory` are supported"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        livenessProbe: {}\n", &["16:9: `spec.template.spec.containers[0].livenessProbe` must have exactly one of `exec`, `httpGet`, `tcpSocket`"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        livenessProbe: {exec: {command: [a]}, httpGet: {port: 1}}\n", &["16:9: `spec.template.spec.containers[0].livenessProbe` must have exactly one of `exec`, `httpGet`, `tcpSocket`"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        livenessProbe: {httpGet: {port: htp}, successThreshold: 2}\n", &["16:41: `spec.template.spec.containers[0].livenessProbe.httpGet.port` names the port `htp`, which the container does not have", "16:65: `spec.template.spec.containers[0].livenessProbe.successThreshold` must be 1 for liveness and startup probes"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        readinessProbe: {tcpSocket: {port: 70000}, periodSeconds: 0}\n", &["16:44: `spec.template.spec.containers[0].readinessProbe.tcpSocket.port` is 70000, but must be from 1 to 65535", "16:67: `spec.template.spec.containers[0].readinessProbe.periodSeconds` is 0, but must be at least 1"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        readinessProbe: {grpc: {port: 1}}\n", &["16:26: `spec.template.spec.containers[0].readinessProbe.grpc` is not supported -> ask with `exec`, `httpGet` or `tcpSocket`"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        lifecycle: {preStop: {tcpSocket: {port: 1}}}\n", &["16:31: `spec.template.spec.containers[0].lifecycle.preStop.tcpSocket` is not supported -> it does nothing in a hook, also in Kubernetes"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        securityContext: {runAsUser: -1, privileged: maybe}\n", &["16:38: `spec.template.spec.containers[0].securityContext.runAsUser` is -1, but cannot be negative", "16:54: `spec.template.spec.containers[0].securityContext.privileged` must be true or false, but is the text `maybe`"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        securityContext: {runAsGroup: 1}\n", &["16:27: `runAsGroup` is not supported without `runAsUser` -> write both"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        securityContext: {runAsNonRoot: true, runAsUser: 0}\n", &["16:27: `runAsNonRoot` contradicts `runAsUser: 0`"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        securityContext: {runAsNonRoot: true}\n", &["16:27: warning: `runAsNonRoot` is not enforced without `runAsUser`: whom the image runs as is not known here -> write `runAsUser`"]),
        ("containerPort: 8080", "containerPort: 0", &["17:39: `spec.template.spec.containers[0].ports[0].containerPort` is 0, but must be from 1 to 65535"]),
        ("containerPort: 8080", "containerPort: 65536", &["17:39: `spec.template.spec.containers[0].ports[0].containerPort` is 65536, but must be from 1 to 65535"]),
        ("name: http,", "name: Http_Port,", &["17:18: `spec.template.spec.containers[0].ports[0].name` must be a port's name: up to 15 lower-case letters, digits and single `-`, with at least one letter", "34:34: no container behind this Service has a port named `http`"]),
        ("image: example/web:1", "image: Example/Web", &["15:16: `spec.template.spec.containers[0].image` is no image reference: `Example/Web` -> the name must be lower case"]),
        ("image: example/web:1", "image: \"example/web:1 \"", &["15:16: `spec.template.spec.containers[0].image` is no image reference: `example/web:1 ` -> the tag after `:` may have up to 128 letters, digits, `_`, `.` and `-`, and begins with a letter, digit or `_`"]),
        ("image: example/web:1", "image: \"\"", &["15:16: `spec.template.spec.containers[0].image` is empty"]),
        ("image: example/web:1", "image: example/web@sha256:12", &["15:16: `spec.template.spec.containers[0].image` is no image reference: `example/web@sha256:12` -> the digest after `@` is not `sha256:` and 64 hexadecimal digits"]),
        ("  replicas: 1\n", "  replicas: 1\n  strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0%}}\n", &["7:59: `spec.strategy.rollingUpdate.maxUnavailable` and `maxSurge` cannot both be 0: no replica could ever be replaced -> set one of them to 1"]),
        ("  replicas: 1\n", "  replicas: 1\n  strategy: {rollingUpdate: {maxSurge: \"2\"}}\n", &["7:40: `spec.strategy.rollingUpdate.maxSurge` must be a whole number or a percentage, but is the text `2` -> write 1 or \"25%\""]),
        ("  replicas: 1\n", "  replicas: 1\n  strategy: {rollingUpdate: {maxUnavailable: 101%}}\n", &["7:46: `spec.strategy.rollingUpdate.maxUnavailable` cannot be more than 100%"]),
        ("  replicas: 1\n", "  replicas: 1\n  strategy: {type: Recreate, rollingUpdate: {maxSurge: 1}}\n", &["7:45: `spec.strategy.rollingUpdate` has no meaning with the type `Recreate`"]),
        ("  replicas: 1\n", "  replicas: 1\n  strategy: {type: rolling}\n", &["7:20: `spec.strategy.type` cannot be `rolling`; supported: `RollingUpdate`, `Recreate`"]),
        ("  replicas: 1\n", "  replicas: 1\n  minReadySeconds: 600\n  progressDeadlineSeconds: 600\n", &["8:28: `spec.progressDeadlineSeconds` must be more than `minReadySeconds`"]),
    ]);
}

#[test]
#[rustfmt::skip] // One case a line.
fn names_that_are_wrong_say_so() {
    check(&[
        ("  name: web\n", "  name: Web\n", &["4:9: `metadata.name` has `W` at position 1; only lower-case letters, digits, `-` and `.` are allowed, with a letter or digit at both ends of each part"]),
        ("  name: web\n", "  name: wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww\n", &["4:9: `metadata.name` has 58 characters, but replicas are called `wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww-<suffix>`, and a host name has at most 63 -> use at most 57 characters"]),
        ("  name: web\n", "  name: w_b\n", &["4:9: `metadata.name` has `_` at position 2; only lower-case letters, digits, `-` and `.` are allowed, with a letter or digit at both ends of each part"]),
        ("  name: web\n", "  name: 12\n", &["4:9: `metadata.name` must be a text, but is the number 12 -> put it in quotes"]),
        ("  name: web\n", "  name: y\n", &["4:9: `metadata.name` must be a text, but is `true`, a boolean -> put it in quotes"]),
        ("metadata: {name: web}\nspec:\n  selector", "metadata: {name: web.shop}\nspec:\n  selector", &["31:18: `metadata.name` has `.` at position 4; only lower-case letters, digits and `-` are allowed, with a letter or digit at both ends"]),
        ("metadata: {name: web}\nspec:\n  selector", "metadata: {name: 1web}\nspec:\n  selector", &["31:18: `metadata.name` must begin with a letter (RFC 1035)"]),
        ("metadata: {name: data}", "metadata: {name: data, namespace: Shop}", &["22:44: PersistentVolumeClaim `data` does not exist in namespace `shop` -> it may be in a document that could not be read", "26:35: `metadata.namespace` has `S` at position 1; only lower-case letters, digits and `-` are allowed, with a letter or digit at both ends"]),
        ("metadata: {name: settings}", "metadata: {name: settings, labels: {\"-a\": b, a: \"x y\", dev.driftless.owner: me, \"a/b/c\": d}}", &["38:37: the label key `-a` must be up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends", "38:49: `metadata.labels.a` must be empty or up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends", "38:56: the label `dev.driftless.owner` is reserved: driftless writes it", "38:81: the label key `a/b/c` must be up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends"]),
        ("metadata: {name: settings}", "metadata: {generateName: settings-}", &["38:26: `metadata.generateName` is not supported -> give the object a `name`, so that every commit means the same one"]),
        ("metadata: {name: settings}", "metadata: {name: settings, finalizers: [a], uid: x, creationTimestamp: 2024-01-01T00:00:00Z, finalizer: []}", &["38:28: `metadata.finalizers` is not supported -> what is removed from Git is removed without further conditions", "38:45: `metadata.uid` is not supported -> a cluster writes it; leave it out of the manifest", "38:53: `metadata.creationTimestamp` is not supported -> a cluster writes it; leave it out of the manifest", "38:94: unknown field `metadata.finalizer` -> did you mean `finalizers`?"]),
        ("data: {mode: fast}", "data: {\"a/b\": x, .: y}", &["39:8: `data.a/b` is not a good key: up to 253 letters, digits, `-`, `_` and `.` are allowed", "39:18: `data..` is not a good key: up to 253 letters, digits, `-`, `_` and `.` are allowed", "39:21: `data..` must be a text, but is `true`, a boolean -> put it in quotes"]),
        ("data: {mode: fast}", "data: {mode: 1}\nbinaryData: {b: \"%%\"}\nimmutable: true", &["39:14: `data.mode` must be a text, but is the number 1 -> put it in quotes", "40:17: `binaryData.b` is not base64 -> encode the file: `base64 -w0 FILE`", "41:12: `immutable` is not supported with a value other than `false` -> nothing but a commit changes an object, and a changed one rolls its users"]),
        ("      - name: web\n", "      - name: web_1\n", &["14:15: `spec.template.spec.containers[0].name` has `_` at position 4; only lower-case letters, digits and `-` are allowed, with a letter or digit at both ends"]),
    ]);
}

#[test]
#[rustfmt::skip] // One case a line.
fn references_to_nothing_say_so() {
    check(&[
        ("        image: example/web:1\n", "        image: example/web:1\n        env: [{name: A, valueFrom: {configMapKeyRef: {name: setings, key: mode}}}]\n", &["16:61: ConfigMap `setings` does not exist in namespace `shop` -> did you mean `settings`?"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        env: [{name: A, valueFrom: {configMapKeyRef: {name: settings, key: mod}}}]\n", &["16:76: ConfigMap `settings` has no key `mod` -> did you mean `mode`?"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        env: [{name: A, valueFrom: {secretKeyRef: {name: keys, key: token}}}]\n", &["16:58: Secret `keys` does not exist in namespace `shop` -> add it to the application's folder"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        envFrom: [{configMapRef: {name: nowhere}}, {secretRef: {name: nowhere, optional: true}}, {}]\n", &["16:41: ConfigMap `nowhere` does not exist in namespace `shop` -> add it to the application's folder", "16:98: `spec.template.spec.containers[0].envFrom[2]` must have exactly one of `configMapRef`, `secretRef`"]),
        ("claimName: data", "claimName: date", &["22:44: PersistentVolumeClaim `date` does not exist in namespace `shop` -> did you mean `data`?"]),
        ("persistentVolumeClaim: {claimName: data}", "configMap: {name: settings, items: [{key: mode, path: ../mode}, {key: none, path: x}]}", &["22:63: `spec.template.spec.volumes[0].configMap.items[0].path` must not leave the volume, but is `../mode`", "22:79: ConfigMap `settings` has no key `none`"]),
        ("persistentVolumeClaim: {claimName: data}", "secret: {secretName: keys}", &["22:30: Secret `keys` does not exist in namespace `shop` -> add it to the application's folder"]),
        ("persistentVolumeClaim: {claimName: data}", "configMap: {name: settings, items: [{key: mode, path: a}, {key: mode, path: a/b}]}", &["21:9: `a` is a file of this volume, and a folder for `a/b`"]),
        ("{name: data, mountPath: /data}", "{name: dat, mountPath: /data}", &["19:18: there is no volume `dat` in `volumes` -> did you mean `data`?"]),
        ("{name: data, mountPath: /data}", "{name: data, mountPath: /data}\n        - {name: data, mountPath: /data/}", &["20:35: something is mounted at `/data` already"]),
        ("{name: data, mountPath: /data}", "{name: data, mountPath: data, subPath: a/../../b}", &["19:35: `spec.template.spec.containers[0].volumeMounts[0].mountPath` must be an absolute path without `..` and `:`, but is `data`", "19:50: `spec.template.spec.containers[0].volumeMounts[0].subPath` must not leave the volume, but is `a/../../b`"]),
        ("{name: data, mountPath: /data}", "{name: data, mountPath: /data, subPath: /etc}", &["19:51: `spec.template.spec.containers[0].volumeMounts[0].subPath` must be a relative path, but is `/etc`"]),
        ("targetPort: http", "targetPort: htp", &["34:34: no container behind this Service has a port named `htp` -> did you mean `http`?"]),
        ("metadata: {name: data}", "metadata: {name: data, namespace: other}", &["22:44: PersistentVolumeClaim `data` does not exist in namespace `shop` -> there is one in namespace `other`"]),
        ("selector: {app: web}\n", "selector: {app: wep}\n", &["33:3: warning: Service `web` selects nothing: no Deployment in namespace `shop` has these labels -> its name answers, but connections are refused"]),
    ]);
}

#[test]
#[rustfmt::skip] // One case a line.
fn objects_that_clash_say_so() {
    check(&[
        ("matchLabels: {app: web}", "matchLabels: {app: wep}", &["7:3: the selector of Deployment `web` does not match the labels of its own template -> give `spec.template.metadata.labels` the same labels"]),
        ("matchLabels: {app: web}", "matchExpressions: [{key: app, operator: In}, {key: app, operator: Is}]", &["7:3: the selector of Deployment `web` does not match the labels of its own template -> give `spec.template.metadata.labels` the same labels", "8:24: `spec.selector.matchExpressions[0]` needs `values`", "8:50: `spec.selector.matchExpressions[1]` needs `values`", "8:71: `spec.selector.matchExpressions[1].operator` cannot be `Is`; supported: `In`, `NotIn`, `Exists`, `DoesNotExist` -> did you mean `In`?"]),
        ("metadata: {name: settings}", "metadata: {name: settings}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: shop}", &["42:18: ConfigMap `settings` is declared twice in namespace `shop` -> it is already at a.yaml:38:18"]),
        ("replicas: 1", "replicas: 2", &["6:3: 2 replicas cannot share the claim `data`, which only one may use at a time -> if it really may be shared, give the claim the access mode `ReadWriteMany`"]),
        ("containerPort: 8080}", "containerPort: 8080, hostPort: 80, hostIP: 127.0.0.1}\n        - {name: two, containerPort: 81, hostPort: 80, hostIP: 127.0.0.2}\n        - {name: two, containerPort: 82, hostPort: 80, protocol: UDP}\n        - {containerPort: 83, hostPort: 80, hostIP: localhost}", &["19:18: two ports are named `two`", "20:31: port 80 of the host is written twice", "20:53: `spec.template.spec.containers[0].ports[3].hostIP` is not an IPv4 address: `localhost`"]),
        ("spec:\n  selector: {app: web}", "spec:\n  clusterIP: 10.0.0.1\n  selector: {app: web}", &["33:14: the address 10.0.0.1 is not one that Services can have -> choose one of 10.64.128.0/18, or leave it out"]),
        ("spec:\n  selector: {app: web}", "spec:\n  clusterIP: auto\n  selector: {app: web}", &["33:14: `spec.clusterIP` is not an IPv4 address: `auto` -> write an address, `None`, or leave it out"]),
        ("ports: [{port: 80, targetPort: http}]", "ports: [{port: 80}, {port: 80, name: a}, {port: 81, name: a, protocol: SCTP}]", &["34:11: a Service with several ports needs a `name` for each", "34:23: port 80 is written twice", "34:44: two ports are named `a`", "34:74: `spec.ports[2].protocol` cannot be `SCTP`; supported: `TCP`, `UDP`"]),
    ]);
}

#[test]
#[rustfmt::skip] // One case a line.
fn what_is_not_supported_is_refused_by_name() {
    check(&[
        ("kind: ConfigMap\nmetadata: {name: settings}", "kind: ConfigMaps\nmetadata: {name: settings}", &["37:7: unknown kind `ConfigMaps` -> did you mean `ConfigMap`? supported: Namespace, ConfigMap, Secret, PersistentVolumeClaim, Service, Deployment, List"]),
        ("kind: ConfigMap\nmetadata: {name: settings}", "kind: Gadget\nmetadata: {name: settings}", &["37:7: unknown kind `Gadget` -> supported: Namespace, ConfigMap, Secret, PersistentVolumeClaim, Service, Deployment, List"]),
        ("apiVersion: v1\nkind: ConfigMap", "apiVersion: apps/v1\nkind: StatefulSet", &["37:7: the kind `StatefulSet` is not supported -> for one replica, a Deployment with a claim does the same"]),
        ("apiVersion: v1\nkind: ConfigMap", "apiVersion: networking.k8s.io/v1\nkind: Ingress", &["37:7: the kind `Ingress` is not supported -> publish a port of the entry with `hostPort`"]),
        ("apiVersion: v1\nkind: ConfigMap", "apiVersion: batch/v1\nkind: Job", &["37:7: the kind `Job` is not supported -> supported: Namespace, ConfigMap, Secret, PersistentVolumeClaim, Service, Deployment, List"]),
        ("apiVersion: apps/v1", "apiVersion: extensions/v1beta1", &["1:13: Deployment has the apiVersion `apps/v1`, not `extensions/v1beta1`"]),
        ("apiVersion: apps/v1\n", "", &["1:1: this document is no Kubernetes object: `apiVersion` is missing -> every YAML document in the folder must be a Kubernetes object; keep other files elsewhere, or begin their names with a dot"]),
        ("    spec:\n", "    spec:\n      initContainers: [{name: a, image: b}]\n      imagePullSecrets: [{nam: a}]\n      nodeSelector: {a: b}\n      hostNetwork: true\n      serviceAccountName: me\n      hostname: x\n", &["13:7: `spec.template.spec.initContainers` is not supported -> a replica has one container for now; let the container's own start do it", "14:27: unknown field `spec.template.spec.imagePullSecrets[0].nam` -> did you mean `name`?", "15:7: `spec.template.spec.nodeSelector` is not supported -> there is one host, nothing to choose from", "16:20: `spec.template.spec.hostNetwork` is not supported with a value other than `false` -> a replica has namespaces of its own", "17:27: `spec.template.spec.serviceAccountName` is not supported with a value other than `default` -> there is no Kubernetes API that an account could be for", "18:7: `spec.template.spec.hostname` is not supported -> the host name is the replica's name"]),
        ("      volumes:\n", "      - name: second\n        image: a:1\n      volumes:\n", &["20:9: `spec.template.spec.containers[1]` is not supported: a replica has one container for now"]),
        ("    spec:\n", "    spec:\n      securityContext: {fsGroup: 1, sysctls: [{name: a, value: b}]}\n      restartPolicy: Never\n", &["13:25: `spec.template.spec.securityContext.fsGroup` is not supported -> a volume has the owner that the image gives its folder; start as root and change it, or write `runAsUser`", "13:37: `spec.template.spec.securityContext.sysctls` is not supported -> the engine's own settings count", "14:22: `spec.template.spec.restartPolicy` is not supported with a value other than `Always` -> a Deployment's replicas are always restarted, also in Kubernetes"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        stdinOnce: true\n        volumeDevices: [{name: a, devicePath: /dev/a}]\n        terminationMessagePath: /tmp/x\n", &["16:20: `spec.template.spec.containers[0].stdinOnce` is not supported with a value other than `false` -> standard input stays open", "17:9: `spec.template.spec.containers[0].volumeDevices` is not supported -> volumes are folders", "18:33: `spec.template.spec.containers[0].terminationMessagePath` is not supported with a value other than `/dev/termination-log` -> write what matters to the log"]),
        ("        image: example/web:1\n", "        image: example/web:1\n        env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}]\n", &["16:37: `spec.template.spec.containers[0].env[0].valueFrom.resourceFieldRef` is not supported -> write the number as the variable's `value`"]),
        ("persistentVolumeClaim: {claimName: data}", "nfs: {server: a, path: /b}", &["22:9: `spec.template.spec.volumes[0].nfs` is not supported -> supported: configMap, secret, emptyDir, persistentVolumeClaim, hostPath"]),
        ("persistentVolumeClaim: {claimName: data}", "hostPath: {path: data}\n        emptyDir: {}", &["21:9: `spec.template.spec.volumes[0]` must have exactly one source", "22:26: `spec.template.spec.volumes[0].hostPath.path` must be an absolute path without `..` and `:`, but is `data`"]),
        ("{name: data, mountPath: /data}", "{name: data, mountPath: /data, subPathExpr: $(A), mountPropagation: Bidirectional}", &["19:42: `spec.template.spec.containers[0].volumeMounts[0].subPathExpr` is not supported -> write a fixed `subPath`", "19:79: `spec.template.spec.containers[0].volumeMounts[0].mountPropagation` is not supported with a value other than `None` -> mounts do not propagate"]),
        ("accessModes: [ReadWriteOnce]", "accessModes: [ReadWriteTwice], storageClassName: fast, volumeMode: Block", &["27:22: `spec.accessModes[0]` cannot be `ReadWriteTwice` -> supported: `ReadWriteOnce`, `ReadWriteOncePod`, `ReadWriteMany`, `ReadOnlyMany`", "27:39: `spec.storageClassName` is not supported -> a claim becomes a local volume of the engine; leave it out", "27:75: `spec.volumeMode` is not supported with a value other than `Filesystem` -> volumes are folders"]),
        ("spec:\n  selector: {app: web}", "spec:\n  type: NodePort\n  externalIPs: [1.2.3.4]\n  sessionAffinity: ClientIP\n  selector: {app: web}", &["33:9: `spec.type` is not supported with a value other than `ClusterIP` -> a Service is reached inside, by its name; to publish a port on the host, give the container's port a `hostPort`", "34:3: `spec.externalIPs` is not supported -> a Service is reached inside, by its name; to publish a port on the host, give the container's port a `hostPort`", "35:20: `spec.sessionAffinity` is not supported with a value other than `None` -> each connection goes to any ready replica"]),
        ("  selector: {app: web}\n", "", &["31:18: a Service without a `selector` is not supported -> select the labels of a Deployment's template"]),
        ("  name: web\n", "  name: web\n  annotations: {driftless.dev/drain: 5, driftless.dev/settle: soon, driftless.dev/hold: 5s, driftless.dev/on-failure: stop}\n", &["5:38: `metadata.annotations.driftless.dev/drain` must be a text, but is the number 5 -> put it in quotes", "5:63: `driftless.dev/settle` is not a duration: `soon` -> write it with units, such as `10s`, `1m30s` or `500ms`", "5:69: `driftless.dev/hold` means nothing on a Deployment -> write it on a Service", "5:119: `driftless.dev/on-failure` cannot be `stop`; supported: `rollback`, `pause`, `continue`"]),
        ("  name: web\n", "  name: web\n  annotations: {driftless.dev/prune: \"false\", driftless.dev/setle: 1s, argocd.argoproj.io/sync-wave: \"1\", other.example/a: b}\n", &["5:17: the annotation `driftless.dev/prune` is not supported yet", "5:47: unknown annotation `driftless.dev/setle` -> did you mean `driftless.dev/settle`?", "5:72: the annotation `argocd.argoproj.io/sync-wave` is not supported yet"]),
        ("      labels: {app: web}\n", "      labels: {app: web}\n      annotations: {driftless.dev/drain: 5s}\n", &["12:21: `driftless.dev/drain` means nothing on a template -> write it in the Deployment's own `metadata`"]),
    ]);
}

#[test]
#[rustfmt::skip] // One case a line.
fn workloads_that_clash_say_so() {
    let both = |old: &str, new: &str, other: &str| found(&format!("{}{other}", BASE.replacen(old, new, 1)));
    assert_eq!(both("matchLabels: {app: web}", "matchExpressions: [{key: app, operator: Exists}]", OTHER), ["7:3: the selector of Deployment `web` also matches the replicas of Deployment `api` -> give each Deployment a label of its own and select it"]);
    assert_eq!(both("replicas: 1", "replicas: 1", &OTHER.replace("spec: {containers: [{name: api, image: 'a:1'}]}", "spec: {containers: [{name: api, image: 'a:1', volumeMounts: [{name: d, mountPath: /d}]}], volumes: [{name: d, persistentVolumeClaim: {claimName: data}}]}")), ["4:9: the claim `data`, which only one replica may use at a time, is already used by Deployment `api` -> if it really may be shared, give the claim the access mode `ReadWriteMany`"]);
    assert_eq!(found(&BASE.replacen("containerPort: 8080", "containerPort: 8080, hostPort: 80", 1).replacen("replicas: 1", "replicas: 2", 1).replacen("[ReadWriteOnce]", "[ReadWriteMany]", 1)), ["17:45: the host has port 80 only once, but `spec.replicas` is 2 -> let one replica have the port and put a Service in front of the others"]);
    assert_eq!(both("containerPort: 8080", "containerPort: 8080, hostPort: 80", &OTHER.replace("spec: {containers: [{name: api, image: 'a:1'}]}", "spec: {containers: [{name: api, image: 'a:1', ports: [{containerPort: 1, hostPort: 80}]}]}")), ["17:45: port 80 of the host is already taken by Deployment `shop/api`"]);
}

#[test]
#[rustfmt::skip] // One case a line.
fn what_is_no_manifest_says_so() {
    let cases: &[(&str, &[&str])] = &[
        ("hello\n", &["1:1: a document must be a map, but is a text"]),
        ("- a\n", &["1:1: a document must be a map, but is a list"]),
        ("a: [1, 2\n---\nb: 1\n", &["2:1: this is not valid YAML: while parsing a flow sequence, expected ',' or ']'", "3:1: this document is no Kubernetes object: `apiVersion` and `kind` are missing -> every YAML document in the folder must be a Kubernetes object; keep other files elsewhere, or begin their names with a dot"]),
        ("kind: \"abc\n---\nkind: 1\n", &["1:7: this is not valid YAML: while scanning a quoted scalar, found unexpected end of stream -> close the quote", "3:1: this document is no Kubernetes object: `apiVersion` is missing -> every YAML document in the folder must be a Kubernetes object; keep other files elsewhere, or begin their names with a dot"]),
        ("a:\n\tb: 1\n", &["2:2: this is not valid YAML: tabs disallowed within this context (block indentation) -> indent with spaces"]),
        ("a: b: c\n", &["1:5: this is not valid YAML: mapping values are not allowed in this context -> put a text that has `: ` in it in quotes"]),
        ("a: `x`\n", &["1:4: this is not valid YAML: unexpected character: ``' -> put a text that begins with this character in quotes"]),
        ("a: 1\na: 2\n\"a\": 3\n", &["1:1: this document is no Kubernetes object: `apiVersion` and `kind` are missing -> every YAML document in the folder must be a Kubernetes object; keep other files elsewhere, or begin their names with a dot", "2:1: duplicate key `a` -> it is already at line 1", "3:1: duplicate key `a` -> it is already at line 1"]),
        ("a: &a [*a]\n", &["1:8: this alias stands inside of what it refers to"]),
        ("a: *b\n", &["1:4: this is not valid YAML: while parsing node, found unknown anchor -> name what it stands for with `&` before"]),
        ("a: !foo b\nb: !!binary aGk=\n", &["1:1: this document is no Kubernetes object: `apiVersion` and `kind` are missing -> every YAML document in the folder must be a Kubernetes object; keep other files elsewhere, or begin their names with a dot", "1:4: the tag `!foo` is not supported here", "2:4: the tag `!!binary` is not supported here"]),
        ("a: {{ .Values.x }}\n", &["1:1: this document is no Kubernetes object: `apiVersion` and `kind` are missing -> every YAML document in the folder must be a Kubernetes object; keep other files elsewhere, or begin their names with a dot", "1:5: a key must be a text -> templates are not rendered here: commit what `helm template` makes of them"]),
        ("a: {<<: 3}\n", &["1:1: this document is no Kubernetes object: `apiVersion` and `kind` are missing -> every YAML document in the folder must be a Kubernetes object; keep other files elsewhere, or begin their names with a dot", "1:9: `<<` takes a map, or a list of maps"]),
        ("yes: 1\n? [a]\n: 1\n", &["1:1: the key `yes` means `true` in YAML 1.1, which Kubernetes reads -> write \"yes\" in quotes", "1:1: this document is no Kubernetes object: `apiVersion` and `kind` are missing -> every YAML document in the folder must be a Kubernetes object; keep other files elsewhere, or begin their names with a dot", "2:3: a key must be a text"]),
        ("apiVersion: v1\nkind: Secret\nmetadata: {name: db}\ndata: {password: hunter2!}\nstringData: {pin: 1234}\nsecret: x\n", &["4:18: `data.password` is not base64 -> plain text goes into `stringData`, or encode it: `printf %s VALUE | base64 -w0`", "5:19: `stringData.pin` must be a text, but is a number", "6:1: unknown field `secret`"]),
        ("apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {a: \"hunter2}\n", &["4:17: this is not valid YAML: while scanning a quoted scalar, found unexpected end of stream -> close the quote"]),
        ("apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata: {name: a, namespace: b}\n  spec: {finalizers: [kubernetes]}\n- 3\n", &["6:34: `items[0].metadata.namespace` has no meaning: a Namespace is in no namespace", "7:3: `items[0].spec` is not supported -> a Namespace has nothing to specify", "8:3: `items[1]` must be a map, but is the number 3"]),
        ("kind: 3\napiVersion: v1\n", &["1:7: `kind` must be a text, but is the number 3 -> put it in quotes"]),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: [x]\n", &["4:7: `data` must be a map, but is a list"]),
    ];
    for (text, expected) in cases {
        assert_eq!(found(text), *expected, "{text}");
    }
}

#[test]
fn files_that_cannot_be_read_say_so() {
    let mut tree = Tree::of([("good.yaml", BASE)]);
    let bytes = |bytes: &[u8]| Entry::File { bytes: bytes.to_vec(), executable: false };
    let target = || "../../etc".to_owned();
    for (path, entry) in [
        ("binary.yaml", bytes(b"a: b\n\x00\x01")),
        ("gone.yml", Entry::Dangling { target: "x.yaml".to_owned() }),
        ("latin.yaml", bytes(b"a: 1\nb: caf\xe9\n")),
        ("lfs.yaml", Entry::Lfs),
        ("link.yaml", Entry::Outside { target: target() }),
        ("links", Entry::Outside { target: target() }),
        (".hidden/link.yaml", Entry::Outside { target: target() }),
        ("utf16.yaml", bytes(b"\xff\xfea\x00")),
        ("data.bin", bytes(b"\x00")),
        ("sub", Entry::Submodule),
    ] {
        tree.files.insert(path.to_owned(), entry);
    }
    let found: Vec<Finding> = findings(&tree).into_iter().filter(|finding| finding.severity > Severity::Note).collect();
    let expected = "\
binary.yaml:2:1: the file is not text: here is a control character
gone.yml: this is a symbolic link to `x.yaml`, which does not exist
latin.yaml:2:7: the file is not UTF-8 text
lfs.yaml: this is the placeholder of a file that is kept in Git LFS -> fetch it with `git lfs pull`, or keep manifests out of Git LFS
link.yaml: this is a symbolic link to `../../etc`, which is outside of the repository -> put the file itself into the repository
links: warning: this is a symbolic link to `../../etc`, which is outside of the repository -> it is not read
utf16.yaml:1:1: the file is not UTF-8 text
";
    assert_eq!(lines(&found), expected);
}

#[test]
fn folders_that_are_something_else_say_so() {
    for (files, expected) in [
        (&[][..], ": there is no `*.yaml` or `*.yml` file in the folder -> check the application's `path`; hidden files are not read\n"),
        (
            &[("README.md", "x"), (".a.yaml", "x")],
            ": there is no `*.yaml` or `*.yml` file in the folder -> check the application's `path`; hidden files are not read\n",
        ),
        (
            &[("docker-compose.yml", "services: {}"), ("a.yaml", "x: [")],
            "docker-compose.yml:1:11: `services` is empty -> write a service, or take the application out\n",
        ),
        (
            &[("base/kustomization.yaml", "resources: [a.yaml]"), ("base/a.yaml", "x: ["), ("b.yaml", BASE)],
            "base/kustomization.yaml: this is a kustomization, which is not rendered here -> render it and commit the result: \
             `kustomize build base > rendered.yaml`\n",
        ),
        (
            &[("Chart.yaml", "name: x"), ("templates/a.yaml", "{{ x }}")],
            "Chart.yaml: this is a Helm chart, which is not rendered here -> render it and commit the result: \
             `helm template NAME . > rendered.yaml`\n",
        ),
        (&[("a.yaml", "# nothing\n---\n")], ""),
    ] {
        let found: Vec<Finding> =
            findings(&Tree::of(files.iter().copied())).into_iter().filter(|finding| finding.severity > Severity::Note).collect();
        assert_eq!(lines(&found), expected);
    }
}

#[test]
fn a_misspelled_required_field_is_one_mistake() {
    let found = found(&BASE.replacen("        image: ", "        imge: ", 1));
    assert_eq!(found, ["15:9: unknown field `spec.template.spec.containers[0].imge` -> did you mean `image`?"]);
}

#[test]
fn one_broken_file_does_not_hide_what_is_wrong_in_others() {
    let tree = Tree::of([("a.yaml", "a: [\n"), ("b.yaml", "kind: x\n---\na: b: c\n---\nreplicas: 1\n"), ("c.yaml", "- 1\n")]);
    let places: Vec<(String, usize)> = findings(&tree).into_iter().map(|finding| (finding.place.file, finding.place.line)).collect();
    let expected = [("a.yaml", 2), ("b.yaml", 1), ("b.yaml", 3), ("b.yaml", 5), ("c.yaml", 1)];
    assert_eq!(places, expected.map(|(file, line)| (file.to_owned(), line)));
}

#[test]
fn no_finding_shows_a_line_of_a_secret() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData:\n  pin: 123456\n  pin: hunter2\n  on: hunter2\n";
    let listed = format!("apiVersion: v1\nkind: List\nitems:\n- {}", secret.trim_end().replace('\n', "\n  "));
    let broken = format!("{secret}  x: \"hunter2\n");
    let unspoken = secret.replace("kind: Secret", "kind:\n  Secret").replace("stringData", "data");
    for text in [secret, &listed, &broken, &unspoken, &format!("{BASE}---\n{secret}")] {
        let found = findings(&Tree::of([("a.yaml", text)]));
        assert!(refuses(&found));
        let shown = crate::report::findings_text(&found, &|_| Some(text), crate::report::Paint::Plain);
        assert!(!shown.contains("hunter2") && !shown.contains("123456"), "{shown}");
    }
}
