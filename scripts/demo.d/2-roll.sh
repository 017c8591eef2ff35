# A new version and four replicas instead of two, under load and never below the floor.
# shellcheck shell=bash disable=SC2154
step "The REST service rolls to version 2 and from 2 to 4 replicas, under load"

docker image inspect shop/rest:2 >/dev/null 2>&1 || build_image rest shop/rest:2 --build-arg VERSION=2
start_load "http://rest:8000/version"
edit rest.yaml 's|image: shop/rest:1|image: shop/rest:2|' 's|replicas: 2|replicas: 4|'
push "rest: version 2, four replicas"

least=2
rolled() {
    local available
    available=$(status '.workloads[] | select(.name | endswith("/rest")) | .available')
    if ((available < least)); then least=$available; fi
    converged
}
wait_for 120 "version 2 runs" rolled
note "converged $(since "$pushed") after the push; at least $least of 2 replicas served all the time"
((least >= 2)) || fail "only $least replicas served for a time"

stop_load
[[ $(jq '.versions["1"] > 0 and .versions["2"] > 0' <<<"$load") == true ]] || fail "the client did not see both versions: $load"
[[ $(curl -sS "$entry/version" | jq -r .version) == 2 ]] || fail "the entry does not show version 2"
[[ $(containers rest | wc -l) == 4 ]] || fail "there are not four replicas"
[[ $(address rest) == "$rest_address" ]] || fail "the address of the service has changed"
