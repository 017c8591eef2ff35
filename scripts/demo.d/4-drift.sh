# What is changed by hand is healed, and reported field by field.
# shellcheck shell=bash disable=SC2154
step "Drift: what is changed by hand is reported field by field, and healed"

# Tells whether nothing drifts and the number of REST replicas is right.
healed() { [[ $(containers rest | wc -l) == 4 ]] && converged && status_is '.drift == 0'; }

mapfile -t replicas < <(containers rest)
began=$(now_ms)
docker kill "${replicas[0]}" >/dev/null
wait_for 60 "a killed replica is healed" healed
note "a killed replica was healed after $(since "$began")"

began=$(now_ms)
docker rm --force "${replicas[1]}" >/dev/null
wait_for 60 "a removed replica is healed" healed
note "a removed replica was replaced after $(since "$began")"

# Drift is healed before anybody could read a report, so healing is switched off for a moment.
stop_agent TERM
write_application "healStopped: 5s" "interval: 0s" "selfHeal: false"
start_agent
wait_for 30 "the agent knows the application again" converged

mapfile -t replicas < <(containers rest)
docker update --memory 96m --memory-swap 96m "${replicas[0]}" >/dev/null
docker network disconnect "$network" "${replicas[1]}"
docker stop "${replicas[2]}" >/dev/null
reported() {
    driftless drift "$application" -o json | jq -e '
        [.drift[] | select(.what == "changed") | .fields[].path] as $fields
        | ($fields | any(test("limits[.]memory$"))) and ($fields | any(test("Networks")))
        and (.drift | any(.what == "stopped"))' >/dev/null
}
wait_for 30 "the drift report shows all three changes" reported
driftless drift "$application" | sed 's/^/    /'

stop_agent TERM
write_application "healStopped: 5s" "interval: 0s"
began=$(now_ms)
start_agent
wait_for 90 "all three are healed" healed
note "healed $(since "$began") after healing was switched on again"
[[ $(containers rest | xargs docker inspect --format '{{.HostConfig.Memory}}' | sort -u) == $((128 << 20)) ]] ||
    fail "a memory limit is not healed"
