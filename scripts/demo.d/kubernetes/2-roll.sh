# A new version and four replicas instead of two, under load and never below the floor.
# shellcheck shell=bash disable=SC2154
step "The REST service rolls to version 2 and from 2 to 4 replicas, under load"

docker image inspect shop/rest:2 >/dev/null 2>&1 || build_image rest shop/rest:2 --build-arg VERSION=2
start_load "http://rest:8000/version"
edit rest.yaml 's|image: shop/rest:1|image: shop/rest:2|' 's|replicas: 2|replicas: 4|'
push "rest: version 2, four replicas"
rolls 2
stop_load
saw_both
[[ $(containers rest | wc -l) == 4 ]] || fail "there are not four replicas"
[[ $(address rest) == "$rest_address" ]] || fail "the address of the service has changed"
