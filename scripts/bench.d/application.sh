# 1,000 applications of one repository, pushed at once.
# shellcheck shell=bash disable=SC2034,SC2154
applications=1000
new_installation bench
new_repository
configuration=$installation/applications
mkdir "$configuration"
for ((number = 1; number <= applications; number++)); do
    folder=$work/app-$number
    mkdir "$folder"
    application=app-$number
    { deployment web 0 "shop/rest:1" 'command: [sleep, "3600"]' && service web web; } >"$folder/web.yaml"
    cat <<YAML
---
apiVersion: driftless.dev/v1
kind: Application
metadata: { name: app-$number }
spec: { repo: "$repository", ref: main, path: app-$number, interval: 0s }
YAML
done >"$configuration/all.yaml"
application=shop
push "$applications applications" >&2
start_agent

# all_synced: tells whether every application stands at the pushed revision.
all_synced() {
    driftless status -o json 2>/dev/null | jq -e --arg revision "$revision" \
        "[.applications[] | select(.revision == \$revision and .sync == \"Synced\")] | length == $applications" >/dev/null
}
wait_for 300 "all applications are synced" all_synced
sed -i 's/port: 8080/port: 8081/' "$work"/app-*/web.yaml
push "another port everywhere" >&2
wait_for 300 "all applications are synced again" all_synced
row "$applications applications without replicas, push to all Synced" \
    "$(($(now_ms) - pushed)) ms, $(awk '/VmHWM/ { printf "%d MiB at most", $2 / 1024 }' "/proc/$(cat "$installation/agent.pid")/status")" ''
unset configuration
