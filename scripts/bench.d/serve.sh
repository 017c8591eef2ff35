# The data path alone: how soon it serves, and how many DNS answers it gives beside dnsmasq.
# shellcheck shell=bash disable=SC2154
need dnsperf dnsperf
need dnsmasq dnsmasq-base
begin_namespace
web_server >"$work/kubernetes/web.yaml"
for number in {1..100}; do service "web-$number" web; done >>"$work/kubernetes/web.yaml"
push "100 services" >&2
wait_for 60 "100 services are served" converged
stop_agent TERM

for _ in 1 2 3 4 5; do
    driftless serve --stop >/dev/null
    began=$(now_ms)
    setsid "$binary" serve >>"$installation/serve.log" 2>&1 </dev/null &
    until [[ -n $(address web-1 2>/dev/null) ]]; do :; done
    printf '%s\n' "$(($(now_ms) - began))" >>"$installation/serving"
done
row 'start to serving the last published state' "$(median <"$installation/serving") ms" ''

for number in {1..100}; do
    printf 'host-record=web-%s.shop.svc.cluster.local,%s\n' "$number" "$(address "web-$number")"
    printf 'web-%s.shop.svc.cluster.local A\n' "$number" >>"$installation/names"
done >"$installation/dnsmasq.conf"
driftless serve --stop >/dev/null

# Both answer, and are asked, in a network namespace of their own.
namespace=driftless-$owner
ip netns add "$namespace"
ip -n "$namespace" link set lo up
in_namespace() { ip netns exec "$namespace" "$@"; }
# answers PORT: answers per second.
answers_per_second() { in_namespace dnsperf -s 127.0.0.1 -p "$1" -d "$installation/names" -l 3 -c 8 -q 200 | awk '/Queries per second/ { print int($4) }'; }

DRIFTLESS_DNS=127.0.0.1:10053 in_namespace "$binary" serve >>"$installation/serve.log" 2>&1 </dev/null &
in_namespace dnsmasq --keep-in-foreground --port=10054 --listen-address=127.0.0.1 --no-resolv --no-hosts --conf-file="$installation/dnsmasq.conf" &
for port in 10053 10054; do
    until [[ -n $(in_namespace dig +short +time=1 +tries=1 @127.0.0.1 -p "$port" web-1.shop.svc.cluster.local) ]]; do sleep 0.1; done
done
for _ in 1 2 3; do
    answers_per_second 10053 >>"$installation/ours"
    answers_per_second 10054 >>"$installation/theirs"
done
driftless serve --stop >/dev/null
ours=$(median <"$installation/ours") theirs=$(median <"$installation/theirs")
row 'DNS answers per second' "$ours" "$theirs with dnsmasq: $(ratio "$ours" "$theirs") x"
