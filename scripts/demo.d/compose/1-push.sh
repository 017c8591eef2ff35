# The same application as a Compose project, from a Git server that asks for a token. The agent is told
# of a push by a hook.
# shellcheck shell=bash disable=SC2154
step "Compose: a push over HTTP with a token brings up the application"

new_repository serve
settings=("healStopped: 5s" "interval: 0s" "auth: { tokenFile: $installation/token }")
write_application "${settings[@]}"
cp -r "$root/examples/repo/compose" "$work/compose"
if [[ $project != shop ]]; then edit compose.yaml "s|^name: shop$|name: $project|"; fi
if [[ $port != 8080 ]]; then edit compose.yaml "s|\"8080:8080\"|\"$port:8080\"|"; fi

driftless check "$work/compose" 2>&1 | sed "s/^/    /" || fail "the example has errors"
start_agent
push "the first release"
wait_for 180 "the first release runs" converged
note "converged $(since "$pushed") after the push"
writes_and_reads
rest_address=$(address rest)
note "rest.$project.svc.cluster.local is $rest_address"
nothing_to_do
