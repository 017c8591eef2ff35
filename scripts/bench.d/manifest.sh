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

# A new image for 250 Deployments of two replicas, each with a Service that stays: 500 objects.
mkdir "$installation/review"
in_review() { git -C "$installation/review" -c user.name=bench -c user.email=bench@example.org "$@"; }
in_review init -q -b main
for image in shop/rest:1 shop/rest:2; do
    for number in {1..250}; do
        {
            deployment "web-$number" 2 "$image" 'ports: [{ containerPort: 80 }]'
            service "web-$number" "web-$number"
        } >"$installation/review/$number.yaml"
    done
    in_review add -A
    in_review commit -q -m "$image"
done
review=$(/usr/bin/time -f '%e %M' "$binary" review HEAD~1 HEAD --repo "$installation/review" --path . --name many 2>&1 >/dev/null | tail -n 1)
row 'review, 500 objects of which 250 roll' "$(awk '{ printf "%d ms, %d MiB at most", $1 * 1000, $2 / 1024 }' <<<"$review")" ''
