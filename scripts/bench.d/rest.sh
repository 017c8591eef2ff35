# What agent and data path cost while nothing happens.
# shellcheck shell=bash disable=SC2154
begin_namespace
ensure_busybox
for number in 1 2 3 4 5; do
    deployment "rest-$number" 20 "$busybox" 'command: [/bin/busybox, sleep, "3600"]'
    printf -- '---\n'
done >"$work/kubernetes/rest.yaml"
push "100 containers" >&2
wait_for 300 "100 containers run" converged
sleep 10 # what follows a convergence is over

seconds=60
processes=("$(cat "$installation/agent.pid")" "$(serve_pid)")
# How many calls of the engine the agent has made.
calls() { curl -fsS "http://$DRIFTLESS_HTTP/metrics" | awk '/^driftless_docker_request_duration_seconds_count/ { sum += $2 } END { print sum + 0 }'; }
called=$(calls)
before=("$(ticks "${processes[0]}")" "$(ticks "${processes[1]}")")
sleep "$seconds"
share() { awk "BEGIN { printf \"%.2f\", ($(ticks "${processes[$1]}") - ${before[$1]}) / $(getconf CLK_TCK) / $seconds * 100 }"; }
row "agent at rest, 100 containers" "$(resident "${processes[0]}"), $(share 0) % of a core" ''
row "serve at rest, 100 containers" "$(resident "${processes[1]}"), $(share 1) % of a core" ''
row "calls of the engine at rest, in $seconds seconds" "$(($(calls) - called))" ''
