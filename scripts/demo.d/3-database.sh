# PostgreSQL cannot be doubled: it stops first, and requests wait.
# shellcheck shell=bash disable=SC2154
step "PostgreSQL gets a changed setting: it stops first, requests wait"

rest_before=$(containers rest)
start_load "http://rest:8000/users"
edit postgres.yaml 's|shared_buffers = 32MB|shared_buffers = 48MB|'
push "postgres: more shared memory"
wait_for 120 "PostgreSQL runs with the new setting" converged
note "converged $(since "$pushed") after the push"
stop_load

setting=$(docker exec "$(containers postgres)" psql -h /tmp -U shop -d shop -Atc 'SHOW shared_buffers')
[[ $setting == 48MB ]] || fail "shared_buffers is $setting"
[[ $(users | jq length) == 2 ]] || fail "users were lost: $(users)"
[[ $(containers rest) == "$rest_before" ]] || fail "the REST service was replaced although nothing of it changed"
note "shared_buffers is $setting, both users are still there, no other replica was touched"
