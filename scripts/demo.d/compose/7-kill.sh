# The agent is killed in the middle of a rollout and started again.
# shellcheck shell=bash disable=SC2154
step "Compose: the agent is killed in the middle of a rollout"

start_load "http://rest:8000/users"
edit .env 's|REST_VERSION=2|REST_VERSION=1|'
push "rest: version 1 again"
killed_half_way 3 "$rest_address"
