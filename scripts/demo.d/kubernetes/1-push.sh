# Push -> plan -> converged; users are written and read through the published port.
# shellcheck shell=bash disable=SC2154
step "A push brings up the application"

new_repository
settings=("healStopped: 5s" "interval: 0s")
write_application "${settings[@]}"
cp -r "$root/examples/repo/kubernetes" "$work/kubernetes"
if [[ $port != 8080 ]]; then edit entry.yaml "s|hostPort: 8080|hostPort: $port|"; fi

driftless check "$work/kubernetes" 2>&1 | sed "s/^/    /" || fail "the example has errors"
driftless plan "$work/kubernetes" --name "$application" | sed 's/^/    /'

start_agent
push "the first release"
wait_for 180 "the first release runs" converged
note "converged $(since "$pushed") after the push"
writes_and_reads

rest_address=$(address rest)
[[ $rest_address == "$pool".* ]] || fail "rest.$project.svc.cluster.local is \`$rest_address\`, not an address of $pool.0.0/16"
note "rest.$project.svc.cluster.local is $rest_address"
nothing_to_do
