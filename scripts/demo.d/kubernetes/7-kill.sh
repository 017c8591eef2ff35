# The agent is killed in the middle of a rollout and started again.
# shellcheck shell=bash disable=SC2154
step "The agent is killed in the middle of a rollout"

start_load "http://rest:8000/users"
edit rest.yaml 's|image: shop/rest:3|image: shop/rest:2|'
push "rest: version 2 again"
killed_half_way 4 "$rest_address"
