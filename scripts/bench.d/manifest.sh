# Reading, checking and planning manifests, without a host.
# shellcheck shell=bash disable=SC2154
new_installation bench

mkdir "$installation/many"
for number in {1..1000}; do
    {
        deployment "web-$number" 10 shop/rest:1 'ports: [{ containerPort: 80 }]'
        service "web-$number" "web-$number"
    } >"$installation/many/$number.yaml"
done
check=$(/usr/bin/time -f '%e %M' "$binary" check "$installation/many" 2>&1 >/dev/null | tail -n 1)
row 'check, 2,000 documents' "$(awk '{ printf "%d ms, %d MiB at most", $1 * 1000, $2 / 1024 }' <<<"$check")" ''
plan=$(/usr/bin/time -f '%e %M' "$binary" plan "$installation/many" --name many -o json 2>&1 >/dev/null | tail -n 1)
row 'plan, 10,000 new replicas' "$(awk '{ printf "%d ms, %d MiB at most", $1 * 1000, $2 / 1024 }' <<<"$plan")" ''
