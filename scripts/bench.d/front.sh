# New connections through a front beside direct ones, and how long new rules take, by the number of services.
# shellcheck shell=bash disable=SC2154
begin_namespace
web_server >"$work/kubernetes/web.yaml"
deployment client 1 "shop/rest:1" 'command: [sleep, "3600"]' >"$work/kubernetes/client.yaml"

# Asked from a replica's own network namespace, as services ask each other.
rate() { nsenter --net --target "$client" ab -q -n 10000 -c 16 "http://$1:8080/" 2>/dev/null | awk '/^Requests per second/ { print int($4) }'; }

# acknowledged: milliseconds from the last published state to its acknowledgement.
acknowledged() {
    local published=/run/driftless/$owner/published.json
    printf '%s %s\n' "$(stat --format %.9Y "$published")" "$(stat --format %.9Y "${published%/*}/acknowledged.json")" |
        awk '{ printf "%d\n", ($2 - $1) * 1000 }'
}

for services in 10 1000 5000; do
    for ((number = 1; number <= services; number++)); do service "web-$number" web; done >"$work/kubernetes/services.yaml"
    push "$services services" >&2
    wait_for 120 "$services services are served" converged
    client=$(docker inspect --format '{{.State.Pid}}' "$(containers client)")
    direct=$(docker inspect --format "{{(index .NetworkSettings.Networks \"$network\").IPAddress}}" "$(containers web)")
    through=$(address "web-$((services / 2))")
    rm -f "$installation"/{through,direct,update}
    for _ in 1 2 3 4 5; do
        rate "$through" >>"$installation/through"
        rate "$direct" >>"$installation/direct"
    done
    for replicas in 2 1 2 1; do
        edit web.yaml "s/replicas: [0-9]+/replicas: $replicas/"
        push "$replicas replicas" >&2
        wait_for 60 "$replicas replicas serve" converged
        acknowledged >>"$installation/update"
    done
    through=$(median <"$installation/through") direct=$(median <"$installation/direct")
    row "new connections through a front, $services services" "$through/s" "$direct/s direct: $((through * 100 / direct)) %"
    row "new rules of a front, $services services" "$(median <"$installation/update") ms" ''
done
