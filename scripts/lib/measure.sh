# What the groups of scripts/bench share: rows, medians, events of the engine, manifests. To be sourced after
# installation.sh.
# shellcheck shell=bash disable=SC2154

# A web server and a sleeper in one small image.
busybox=driftless-bench/busybox:1

row() { printf '| %s | %s | %s |\n' "$@"; }

# median: prints the middle one of the numbers on standard input.
median() { sort -n | awk '{ n[NR] = $1 } END { print n[int((NR + 1) / 2)] }'; }

# ratio A B: prints A / B.
ratio() { awk "BEGIN { printf \"%.2f\", $1 / $2 }"; }

ensure_busybox() {
    if docker image inspect "$busybox" >/dev/null 2>&1; then return; fi
    need 'a static busybox' busybox-static test -x /bin/busybox
    tar --create --directory / bin/busybox | docker import - "$busybox" >/dev/null
}

# The engine remembers its last 256 events only, so they are written down as they come: moment, action, whose.
record_events() {
    docker events --filter type=container --filter event=create --filter event=start \
        --format '{{.TimeNano}} {{.Action}} {{index .Actor.Attributes "dev.driftless.workload"}}{{index .Actor.Attributes "dev.driftless.bench"}} {{index .Actor.Attributes "com.docker.compose.project"}}' \
        >"$installation/events" &
    # shellcheck disable=SC2034 # ended with its group
    recorder=$!
}

# events FROM ACTION WHO: prints the moments, in milliseconds since FROM, at which containers of that workload or
# Compose project did so.
events() {
    awk -v from="$1" -v action="$2" -v who="$3" \
        '$2 == action && ($3 == who || $4 == who) { millis = $1 / 1e6 - from; if (millis >= 0) print int(millis) }' \
        "$installation/events" | sort -n
}

# span FROM WHO: milliseconds from the first create to the last start.
span() {
    local first last
    first=$(events "$1" create "$2" | head -n 1)
    last=$(events "$1" start "$2" | tail -n 1)
    printf '%s\n' "$((last - first))"
}

# engine METHOD PATH [BODY]: one call of the engine, bare.
engine() {
    curl -sS --fail --unix-socket "${DOCKER_SOCKET:-/var/run/docker.sock}" -X "$1" "http://engine/v1.41$2" \
        ${3:+-H 'Content-Type: application/json' --data "$3"}
}
export -f engine

# deployment NAME REPLICAS IMAGE CONTAINER: prints a Deployment; CONTAINER are further fields of its container.
deployment() {
    cat <<YAML
apiVersion: apps/v1
kind: Deployment
metadata: { name: $1, namespace: $application }
spec:
  replicas: $2
  selector: { matchLabels: { app: $1 } }
  template:
    metadata: { labels: { app: $1 } }
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - { name: main, image: "$3", imagePullPolicy: Never, $4 }
YAML
}

# service NAME APP: prints a Service for port 8080 of that Deployment.
service() {
    printf -- '---\napiVersion: v1\nkind: Service\nmetadata: { name: %s, namespace: %s }\nspec: { selector: { app: %s }, ports: [{ port: 8080 }] }\n' \
        "$1" "$application" "$2"
}

# web_server: prints an nginx that answers "ok" and does next to nothing for it, with its configuration.
web_server() {
    deployment web 1 shop/entry:1 'command: [nginx, -c, /etc/web/nginx.conf, -g, "daemon off;"], volumeMounts: [{ name: web, mountPath: /etc/web }]'
    printf '      volumes: [{ name: web, configMap: { name: web } }]\n---\n'
    printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: web, namespace: %s }\ndata:\n  nginx.conf: |\n' "$application"
    printf '    worker_processes 2;\n    error_log stderr;\n    events { worker_connections 4096; }\n    http { access_log off; server { listen 8080 backlog=4096; return 200 "ok"; } }\n'
}

# address NAME: asks the DNS server that driftless serves on this host's loopback.
address() { dig +short "@${DRIFTLESS_DNS%:*}" -p "${DRIFTLESS_DNS##*:}" "$1.$application.svc.cluster.local"; }

# begin_namespace: an installation with an agent that follows an empty namespace.
begin_namespace() {
    new_installation bench
    new_repository
    write_application "interval: 0s"
    mkdir -p "$work/kubernetes"
    printf 'apiVersion: v1\nkind: Namespace\nmetadata: { name: %s }\n' "$application" >"$work/kubernetes/namespace.yaml"
    start_agent
}

# resident PID: its resident memory.
resident() { awk '/VmRSS/ { printf "%d MiB", $2 / 1024 }' "/proc/$1/status"; }

# ticks PID: the processor time it has used.
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }

# serve_pid: the process that serves this installation.
serve_pid() {
    local process
    for process in $(our_processes "$owner"); do
        if tr '\0' ' ' <"/proc/$process/cmdline" | grep -q ' serve'; then printf '%s\n' "$process" && return; fi
    done
    die "serve does not run"
}
