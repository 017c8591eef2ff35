# A push with errors is refused whole, with every error at its place.
# shellcheck shell=bash disable=SC2154
step "Compose: a push with errors is refused, every error at its place, and the last good revision runs on"

before=$(all_containers)
good=$revision
edit compose.yaml 's|replicas: 3|replicas: three|' 's|    stop_grace_period: 40s|    stop_grace_perod: 40s|' 's|memory: 64m|memory: 64 mill|'
push "three mistakes"
is_refused "$good" "$before" "$(place compose.yaml 'replicas: three')" "$(place compose.yaml stop_grace_perod)" "$(place compose.yaml mill)"

edit compose.yaml 's|replicas: three|replicas: 3|' 's|    stop_grace_perod: 40s|    stop_grace_period: 40s|' 's|memory: 64 mill|memory: 64m|'
push "no mistakes"
wait_for 60 "the corrected push is taken" converged
note "the corrected push was taken after $(since "$pushed")"
