# From a push to containers.
# shellcheck shell=bash disable=SC2034,SC2154
replicas=20

# How long the engine itself takes for the same containers, at the agent's concurrency.
bare_containers() {
    local from body
    body=$(jq -cn --arg network "$network" --arg owner "$owner" \
        '{Image: "shop/rest:1", Cmd: ["sleep", "3600"], Labels: {"dev.driftless.bench": $owner}, HostConfig: {NetworkMode: $network, RestartPolicy: {Name: "always"}}}')
    from=$(now_ms)
    export body owner
    # shellcheck disable=SC2016
    seq "$replicas" | xargs -P "$((2 * $(nproc)))" -I{} bash -c '
        engine POST "/containers/create?name=$owner-bare-{}" "$body" >/dev/null && engine POST "/containers/$owner-bare-{}/start" >/dev/null'
    span "$from" "$owner"
    docker ps --all --quiet --filter "label=dev.driftless.bench=$owner" | xargs docker rm --force >/dev/null
}

begin_namespace
record_events
deployment first 1 shop/rest:1 'command: [sleep, "3600"]' >"$work/kubernetes/first.yaml"
push "one container" >&2
wait_for 60 "the first container runs" converged

for round in 1 2 3 4 5; do
    edit first.yaml "s/replicas: [0-9]+/replicas: $((round + 1))/"
    git -C "$work" commit --quiet --all --message "round $round"
    revision=$(git -C "$work" rev-parse HEAD)
    git -C "$work" push --quiet origin HEAD:main
    landed=$(now_ms)
    wait_for 60 "round $round runs" converged
    events "$landed" create Deployment/first | head -n 1
done >"$installation/first-call"
row 'local push to the first container made' "$(median <"$installation/first-call") ms" ''

deployment many "$replicas" shop/rest:1 'command: [sleep, "3600"]' >"$work/kubernetes/many.yaml"
from=$(now_ms)
push "$replicas containers" >&2
wait_for 120 "$replicas containers run" converged
ours=$(span "$from" Deployment/many)
bare=$(bare_containers)
row "$replicas containers from nothing" "$ours ms" "$bare ms for the bare calls: $(ratio "$ours" "$bare") x"
