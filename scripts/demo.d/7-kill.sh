# The agent is killed in the middle of a rollout and started again.
# shellcheck shell=bash disable=SC2154
step "The agent is killed in the middle of a rollout"

start_load "http://rest:8000/users"
edit rest.yaml 's|image: shop/rest:3|image: shop/rest:2|'
push "rest: version 2 again"
half_way() { status_is '.workloads[] | select(.name | endswith("/rest")) | .updated >= 1 and .updated < .desired'; }
wait_for 60 "the rollout is half-way" half_way
stop_agent KILL
note "killed at $(docker ps --filter "label=dev.driftless.owner=$owner" --filter label=dev.driftless.workload=Deployment/rest --format '{{.Image}}' | sort | uniq -c | awk '{ print $1 " x " $2 }' | paste -sd, | sed 's/,/, /g')"

for _ in {1..20}; do
    [[ $(address rest) == "$rest_address" ]] || fail "the name of the service does not resolve without the agent"
    users >/dev/null || fail "the application does not answer without the agent"
    sleep 0.1
done
note "without the agent: the name resolves, the application answers"

began=$(now_ms)
start_agent
wait_for 120 "the rollout goes on" converged
note "converged $(since "$began") after the agent was started again"
stop_load

[[ $(containers rest | wc -l) == 4 ]] || fail "there are not four replicas: $(docker ps --filter "label=dev.driftless.owner=$owner")"
nothing_left() { [[ $(docker ps --all --quiet --filter "label=dev.driftless.owner=$owner" --filter label=dev.driftless.workload=Deployment/rest | wc -l) == 4 ]]; }
wait_for 60 "the old replicas are gone" nothing_left
plan_is_empty || fail "there is something to do although the application has converged"
note "four replicas, none lost, none doubled; nothing to do"
