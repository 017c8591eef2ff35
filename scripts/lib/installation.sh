# One installation of driftless that the scripts run: its folder, its agent, its repository, and
# questions to it. To be sourced after setup.sh. What it makes goes with `remove_installation`.
# shellcheck shell=bash disable=SC2154

application=shop
folder=kubernetes # of the repository: the manifests, and the format they have

# new_installation PREFIX: makes the folder and chooses an owner, ports and addresses that nobody uses.
new_installation() {
    installation=$(mktemp -d "${TMPDIR:-/tmp}/driftless-$1.XXXXXX")
    chmod 755 "$installation"
    local id=${installation##*.}
    pool=$(free_pool)
    {
        printf 'export DRIFTLESS_OWNER=%q\n' "$1-${id,,}"
        printf 'export DRIFTLESS_STATE=%q\n' "$installation/state"
        printf 'export DRIFTLESS_SOCKET=%q\n' "$installation/agent.sock"
        printf 'export DRIFTLESS_DNS=%q\n' "127.0.0.1:$(free_port 18053)"
        printf 'export DRIFTLESS_HTTP=%q\n' "127.0.0.1:$(free_port 18765)"
        printf 'export DRIFTLESS_NETWORK_POOL=%q\n' "$pool.0.0/15"
        printf 'export DRIFTLESS_HOOK_SECRET_FILE=%q\n' "$installation/hook-secret"
    } >"$installation/environment"
    printf 'a secret of %s' "$id" >"$installation/hook-secret"
    install -m 600 /dev/null "$installation/token"
    printf 'a-token-of-%s' "$id" >"$installation/token"
    enter_installation "$installation"
}

# Takes up an installation that is there already.
enter_installation() {
    installation=$1
    # shellcheck disable=SC1091
    source "$installation/environment"
    owner=$DRIFTLESS_OWNER
    network=driftless-$owner
    pool=${DRIFTLESS_NETWORK_POOL%.0.0/15}
    front=$pool.0.2
    work=$installation/work
}

free_port() {
    local port=$1
    while [[ -n $(ss -Htuln "sport = :$port") ]]; do port=$((port + 1)); done
    printf '%s\n' "$port"
}

# Prints the first two numbers of a /15 that no route of this host touches: its first half is for
# Kubernetes, its second for Compose.
free_pool() {
    local number
    for number in {126..66..2}; do
        if ! ip -4 route show table all | grep -Eq "(^|[^0-9.])10\.($number|$((number + 1)))\."; then
            printf '10.%s\n' "$number"
            return
        fi
    done
    die "no /15 between 10.66.0.0 and 10.127.0.0 is free"
}

driftless() { "$binary" "$@"; }

# --- the repository -----------------------------------------------------------------------------

# Makes a bare repository, as a forge would have it, and a clone of it, as an author has it. With
# `serve` the forge is a Git server at `repository`, which asks for a token and calls the agent's hook.
new_repository() {
    mkdir "$installation/git"
    repository=$installation/git/shop.git
    git init --quiet --bare --initial-branch=main "$repository"
    if [[ ${1:-} == serve ]]; then
        serve_repository
        # Only the author's own clone knows the token; the agent reads it from a file.
        git clone --quiet "http://author:$(cat "$installation/token")@${repository#http://}" "$work" 2>/dev/null
    else
        git clone --quiet "$repository" "$work" 2>/dev/null
    fi
    git -C "$work" symbolic-ref HEAD refs/heads/main
    git -C "$work" config user.name demo
    git -C "$work" config user.email demo@example.org
    git -C "$work" config commit.gpgsign false
}

serve_repository() {
    setsid "$root/scripts/lib/git-server" "$installation/git" --allow-push --token-file "$installation/token" \
        --port-file "$installation/git-port" >>"$installation/git-server.log" 2>&1 </dev/null &
    printf '%s\n' "$!" >"$installation/git-server.pid"
    disown "$!"
    cat >"$repository/hooks/post-receive" <<HOOK
#!/usr/bin/env python3
import hashlib, hmac, urllib.request
secret = open("$installation/hook-secret", "rb").read()
signature = "sha256=" + hmac.new(secret, b"{}", hashlib.sha256).hexdigest()
request = urllib.request.Request("http://$DRIFTLESS_HTTP/hooks/generic", b"{}", {"X-Hub-Signature-256": signature})
try:
    urllib.request.urlopen(request, timeout=5)
except OSError as error:
    print(f"the agent does not hear: {error}")
HOOK
    chmod +x "$repository/hooks/post-receive"
    wait_for 10 "the Git server answers" test -s "$installation/git-port"
    repository=http://127.0.0.1:$(cat "$installation/git-port")/shop.git
}

# edit FILE EXPRESSION...: changes a manifest with sed; an expression that changes nothing is an error.
edit() {
    local file=$work/$folder/$1 expression before
    shift
    for expression in "$@"; do
        before=$(cat "$file")
        sed -i -E "$expression" "$file"
        [[ $before != "$(cat "$file")" ]] || fail "the edit $expression does not match anything in $file"
    done
}

# commit MESSAGE: commits everything.
commit() {
    git -C "$work" add --all
    git -C "$work" commit --quiet --allow-empty --message "$1"
}

# push [MESSAGE]: commits everything, unless there is no message, and pushes it; sets `revision` and
# `pushed`, the moment.
push() {
    if (($# > 0)); then commit "$1"; fi
    revision=$(git -C "$work" rev-parse HEAD)
    # shellcheck disable=SC2034 # the steps print it
    pushed=$(now_ms)
    git -C "$work" push --quiet origin HEAD:main
    note "pushed ${revision:0:8} \"$(git -C "$work" log -1 --format=%s)\""
}

# --- the agent ----------------------------------------------------------------------------------

# write_application [LINE...]: writes the Application document, with further lines of its spec.
write_application() {
    {
        cat <<YAML
apiVersion: driftless.dev/v1
kind: Application
metadata: { name: $application }
spec:
  repo: $repository
  ref: main
  path: $folder
YAML
        printf '  %s\n' "$@"
    } >"$installation/application.yaml"
}

start_agent() {
    setsid "$binary" agent --config "${configuration:-$installation/application.yaml}" >>"$installation/agent.log" 2>&1 </dev/null &
    agent=$!
    printf '%s\n' "$agent" >"$installation/agent.pid"
    disown "$agent"
    wait_for 10 "the agent answers" answers
}

answers() { driftless status >/dev/null 2>&1; }

# stop_agent SIGNAL: ends the agent; names and addresses stay.
stop_agent() {
    local pid
    pid=$(cat "$installation/agent.pid" 2>/dev/null) || return 0
    kill "-$1" "$pid" 2>/dev/null || true
    for _ in {1..200}; do
        [[ -d /proc/$pid ]] || break
        sleep 0.05
    done
    rm -f "$installation/agent.pid"
}

# --- questions ----------------------------------------------------------------------------------

# status FILTER: prints what a jq filter makes of the application's status.
status() {
    driftless status "$application" -o json 2>/dev/null | jq -r ".applications[0] | $1"
}

# status_is FILTER: tells whether a jq filter over the status is true.
status_is() { [[ $(status "$1") == true ]]; }

# Tells whether the pushed revision runs, all of it.
converged() {
    status_is ".revision == \"$revision\" and .sync == \"Synced\" and .health == \"Healthy\" and (.rolledBack | not)"
}

# wait_for SECONDS WHAT COMMAND...: waits until the command succeeds.
wait_for() {
    local end=$(($(now_ms) + $1 * 1000)) what=$2
    shift 2
    until "$@"; do
        if (($(now_ms) > end)); then fail "waited too long until $what"; fi
        sleep 0.1
    done
}

# workload NAME: prints the workload's kind and name.
workload() {
    if [[ $folder == compose ]]; then printf 'service/%s\n' "$1"; else printf 'Deployment/%s\n' "$1"; fi
}

# containers NAME: prints the ids of the running containers of a workload, sorted, without those that
# are leaving.
containers() {
    docker ps --no-trunc --filter "label=dev.driftless.owner=$owner" --filter "label=dev.driftless.workload=$(workload "$1")" --format '{{.ID}} {{.Names}}' |
        awk '$2 !~ /-leaving-/ { print $1 }' | sort
}

# --- clients ------------------------------------------------------------------------------------

# start_load URL: a client that is none of ours asks all the time, from inside the network and with a new
# connection per request. In a Compose network it knows nothing but the service's name.
start_load() {
    local names=(--network "$network")
    if [[ $folder == kubernetes ]]; then
        names+=(--dns "$front" --dns-search "$application.svc.cluster.local" --dns-option ndots:5)
    fi
    docker run --detach --name "$owner-load" --label "dev.driftless.demo=$owner" "${names[@]}" \
        --volume "$root/scripts/lib/load.py:/load.py:ro" shop/rest:1 python3 /load.py "$1" >/dev/null
    wait_for 10 "the load client asks" load_runs
}

load_runs() { [[ -n $(docker logs "$owner-load" 2>/dev/null) ]]; }

# stop_load: ends the client; sets `load`, its last line, and fails if a request failed.
stop_load() {
    sleep 1 # it also asks after everything has settled
    docker stop --time 60 "$owner-load" >/dev/null
    load=$(docker logs "$owner-load" 2>/dev/null | tail -n 1)
    if [[ $(jq .failed <<<"$load") != 0 ]]; then
        docker logs "$owner-load" 2>&1 | tail -n 20 >&2
        fail "requests failed: $load"
    fi
    docker rm --force "$owner-load" >/dev/null
    note "$(jq -r '"\(.requests) requests from inside, each on a new connection: \(.failed) failed, longest wait \(.longest * 1000 | round) ms"' <<<"$load")"
}

# --- the end ------------------------------------------------------------------------------------

# Shows what the processes said last, then ends the script with exit 1.
fail() {
    printf '\nFAILED: %s\n' "$*" >&2
    {
        printf '\n--- status\n'
        driftless status 2>&1 | tail -n 30
        printf '\n--- drift\n'
        driftless drift 2>&1 | tail -n 30
        printf '\n--- containers\n'
        docker ps --all --filter "label=dev.driftless.owner=$owner" --format 'table {{.Names}}\t{{.Image}}\t{{.Status}}'
        for log in "$installation"/*.log "$installation"/state/*.log; do
            [[ -e $log ]] || continue
            printf '\n--- the end of %s\n' "${log##*/}"
            tail -n 40 "$log"
        done
    } >&2
    exit 1
}

# Removes everything of this installation, whatever state it is in.
remove_installation() {
    stop_agent TERM
    kill "$(cat "$installation/git-server.pid" 2>/dev/null)" 2>/dev/null || true
    docker ps --all --quiet --filter "label=dev.driftless.demo=$owner" | xargs --no-run-if-empty docker rm --force >/dev/null
    if [[ -x ${binary:-} ]]; then
        timeout 120 "$binary" uninstall --containers >>"$installation/uninstall.log" 2>&1 || true
    fi
    # The data volume is never removed by an uninstall; the rest is for what a broken run left.
    our_processes "$owner" | xargs --no-run-if-empty kill 2>/dev/null || true
    local own=(--quiet --filter "label=dev.driftless.owner=$owner")
    docker ps --all "${own[@]}" | xargs --no-run-if-empty docker rm --force --volumes >/dev/null
    docker network ls "${own[@]}" | xargs --no-run-if-empty docker network rm >/dev/null
    docker volume ls "${own[@]}" | xargs --no-run-if-empty docker volume rm >/dev/null
    rm -rf "/run/driftless/$owner" "$installation"
}
