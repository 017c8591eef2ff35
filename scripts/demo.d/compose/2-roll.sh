# A new version by a variable of `.env`, and three replicas instead of two, under load of a container
# that Compose and driftless know nothing of.
# shellcheck shell=bash disable=SC2154
step "Compose: the REST service rolls to version 2 and from 2 to 3 replicas, a neighbour loses nothing"

docker image inspect shop/rest:2 >/dev/null 2>&1 || build_image rest shop/rest:2 --build-arg VERSION=2
start_load "http://rest:8000/version"
printf 'REST_VERSION=2\n' >>"$work/compose/.env"
edit compose.yaml 's|replicas: 2|replicas: 3|'
commit "rest: version 2, three replicas"
note "the review of the commit: $(driftless review HEAD~1 HEAD --repo "$work" --path compose --name "$application" -o text | head -n 1)"
[[ $(review | jq '[.interruptions == [], (.plan.changes | any(.object | endswith("/rest")))] | all') == true ]] ||
    fail "the review does not say that REST rolls without interruption: $(review)"
push
rolls 2
stop_load
saw_both
[[ $(containers rest | wc -l) == 3 ]] || fail "there are not three replicas"
[[ $(address rest) == "$rest_address" ]] || fail "the address of the service has changed"
