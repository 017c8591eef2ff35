# Push -> plan -> converged; users are written and read through the published port.
# shellcheck shell=bash disable=SC2154
step "A push brings up the application"

new_repository
write_application "healStopped: 5s" "interval: 0s"
cp -r "$root/examples/repo/kubernetes" "$work/kubernetes"
if [[ $port != 8080 ]]; then edit entry.yaml "s|hostPort: 8080|hostPort: $port|"; fi

driftless check "$work/kubernetes" 2>&1 | sed "s/^/    /" || fail "the example has errors"
driftless plan "$work/kubernetes" --name "$application" | sed 's/^/    /'

start_agent
push "the first release"
wait_for 180 "the first release runs" converged
note "converged $(since "$pushed") after the push"

new_user() { curl -sS --fail --data "{\"name\": \"$1\", \"email\": \"$1@example.org\"}" "$entry/users"; }
users() { curl -sS --fail "$entry/users"; }

new_user ada >/dev/null
new_user grace >/dev/null
[[ $(users | jq -c '[.[].name]') == '["ada","grace"]' ]] || fail "the users are not what was written: $(users)"
note "$entry/users: $(users)"

# address NAME: asks the DNS server that driftless serves on this host's loopback.
address() { dig +short +time=2 +tries=1 "@${DRIFTLESS_DNS%:*}" -p "${DRIFTLESS_DNS##*:}" "$1.$application.svc.cluster.local"; }
rest_address=$(address rest)
[[ $rest_address == "$pool".* ]] || fail "rest.$application.svc.cluster.local is \`$rest_address\`, not an address of $pool.0.0/16"
note "rest.$application.svc.cluster.local is $rest_address"

plan_is_empty() { [[ $(driftless plan "$application" -o json | jq -c '[(.changes | length), (.steps | length)]') == '[0,0]' ]]; }
plan_is_empty || fail "there is something to do although the application has converged"
note "planned again: nothing to do"
