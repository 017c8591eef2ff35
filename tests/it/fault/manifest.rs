//! What the repositories of these tests hold.

/// A service with so many replicas that serve the page of a ConfigMap, with a scratch folder of their own.
pub fn web(replicas: u32, page: u32) -> String {
    let mounts = "volumeMounts: [{ name: page, mountPath: /srv }, { name: scratch, mountPath: /scratch }]";
    let volumes = "volumes: [{ name: page, configMap: { name: page } }, { name: scratch, emptyDir: {} }]";
    let map = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: page }}\ndata: {{ index.html: 'page {page}' }}\n---\n");
    map + &deployment("web", replicas, r#"["httpd", "-f", "-p", "8080", "-h", "/srv"]"#, mounts, volumes)
}

/// A service with one replica that writes to a volume, so that it stops before its successor starts.
pub fn db(version: u32) -> String {
    let mounts = format!("env: [{{ name: VERSION, value: '{version}' }}]\n          volumeMounts: [{{ name: data, mountPath: /data }}]");
    let volumes = "volumes: [{ name: data, persistentVolumeClaim: { claimName: data } }]";
    let spec = "{ accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Mi } } }";
    let claim = format!("apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{ name: data }}\nspec: {spec}\n---\n");
    let command = r#"["sh", "-c", "echo $VERSION > /data/index.html; exec httpd -f -p 8080 -h /data"]"#;
    claim + &deployment("db", 1, command, &mounts, volumes)
}

/// A Deployment of the test image and a Service in front of it.
pub fn deployment(name: &str, replicas: u32, command: &str, mounts: &str, volumes: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{ name: {name} }}
spec:
  replicas: {replicas}
  selector: {{ matchLabels: {{ app: {name} }} }}
  template:
    metadata: {{ labels: {{ app: {name} }} }}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: app
          image: {image}
          imagePullPolicy: Never
          command: {command}
          readinessProbe: {{ tcpSocket: {{ port: 8080 }}, periodSeconds: 1 }}
          {mounts}
      {volumes}
---
apiVersion: v1
kind: Service
metadata: {{ name: {name} }}
spec: {{ selector: {{ app: {name} }}, ports: [{{ port: 80, targetPort: 8080 }}] }}
---
",
        image = crate::engine::IMAGE,
    )
}

/// A Compose file with a service `web` of two replicas behind a front, one with a volume, and perhaps one more.
pub fn compose(page: u32, data: u32, extra: bool) -> String {
    let image = crate::engine::IMAGE;
    let service = |name: &str, command: &str, more: &str| {
        format!(
            "  {name}:
    image: {image}
    pull_policy: never
    command: {command}
    restart: unless-stopped
    stop_grace_period: 1s
    expose: [8080]
    healthcheck: {{ disable: true }}
{more}"
        )
    };
    let web = service(
        "web",
        r#"["sh", "-c", "mkdir -p /srv; echo $$PAGE > /srv/index.html; exec httpd -f -p 8080 -h /srv"]"#,
        &format!("    environment: {{ PAGE: 'page {page}' }}\n    deploy: {{ replicas: 2 }}\n"),
    );
    let db = service(
        "db",
        r#"["sh", "-c", "echo $$VERSION > /data/index.html; exec httpd -f -p 8080 -h /data"]"#,
        &format!("    environment: {{ VERSION: '{data}' }}\n    volumes: [data:/data]\n"),
    );
    let extra = if extra { service("extra", r#"["httpd", "-f", "-p", "8080"]"#, "") } else { String::new() };
    format!("services:\n{web}{db}{extra}volumes: {{ data: {{}} }}\n")
}
