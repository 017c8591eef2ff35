# A push with errors is refused whole, with every error at its place.
# shellcheck shell=bash disable=SC2154
step "A push with errors is refused, every error at its place, and the last good revision runs on"

before=$(all_containers)
good=$revision
edit rest.yaml 's|replicas: 4|replicas: four|' 's|imagePullPolicy:|imagePullPolciy:|'
edit entry.yaml 's|cpu: 50m|cpu: 50 mill|'
push "three mistakes"
is_refused "$good" "$before" "$(place rest.yaml 'replicas: four')" "$(place rest.yaml imagePullPolciy)" "$(place entry.yaml mill)"
sed 's/^/    /' "$installation/check"

edit rest.yaml 's|replicas: four|replicas: 4|' 's|imagePullPolciy:|imagePullPolicy:|'
edit entry.yaml 's|cpu: 50 mill|cpu: 50m|'
push "no mistakes"
wait_for 60 "the corrected push is taken" converged
note "the corrected push was taken after $(since "$pushed")"
