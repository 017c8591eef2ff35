# A push with errors is refused whole, with every error at its place.
# shellcheck shell=bash disable=SC2154
step "A push with errors is refused, every error at its place, and the last good revision runs on"

all_containers() { containers entry && containers rest && containers postgres; }
before=$(all_containers)
good=$revision
edit rest.yaml 's|replicas: 4|replicas: four|' 's|imagePullPolicy:|imagePullPolciy:|'
edit entry.yaml 's|cpu: 50m|cpu: 50 mill|'
push "three mistakes"
refused() { status_is ".head == \"$revision\" and .refused and .revision == \"$good\""; }
wait_for 30 "the push is refused" refused

# place FILE TEXT: prints FILE:LINE of the text in the work tree.
place() { printf '%s:%s\n' "$1" "$(grep -n -m 1 -- "$2" "$work/kubernetes/$1" | cut -d: -f1)"; }
mapfile -t places < <(status '.findings[] | select(.severity == "error") | "\(.file):\(.line):\(.column): \(.message)"')
for expected in "$(place rest.yaml 'replicas: four')" "$(place rest.yaml imagePullPolciy)" "$(place entry.yaml mill)"; do
    printf '%s\n' "${places[@]}" | grep -q "$expected:" || fail "no error at $expected: ${places[*]}"
done
note "refused $(since "$pushed") after the push:"
printf '        %s\n' "${places[@]}"

if driftless check "$work/kubernetes" >"$installation/check" 2>&1; then fail "check finds no error"; fi
sed 's/^/    /' "$installation/check"
[[ $(all_containers) == "$before" ]] || fail "something was replaced"
[[ $(users | jq length) == 2 ]] || fail "the application does not answer"

edit rest.yaml 's|replicas: four|replicas: 4|' 's|imagePullPolciy:|imagePullPolicy:|'
edit entry.yaml 's|cpu: 50 mill|cpu: 50m|'
push "no mistakes"
wait_for 60 "the corrected push is taken" converged
note "the corrected push was taken after $(since "$pushed")"
