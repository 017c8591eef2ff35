# A release that never becomes ready goes back; an image that is not there yet is waited for.
# shellcheck shell=bash disable=SC2154
step "A bad release is rolled back, and an image that does not exist yet is waited for"

start_load "http://rest:8000/version"

edit rest.yaml 's|progressDeadlineSeconds: 120|progressDeadlineSeconds: 10|' 's|PORT: "8000"|PORT: "9000"|'
push "rest: listens on the wrong port"
goes_back

edit rest.yaml 's|PORT: "9000"|PORT: "8000"|' 's|progressDeadlineSeconds: 10|progressDeadlineSeconds: 120|'
push "rest: the right port again"
wait_for 60 "the next push is taken at once" converged
note "the next push converged after $(since "$pushed")"

docker image rm shop/rest:3 >/dev/null 2>&1 || true
edit rest.yaml 's|image: shop/rest:2|image: shop/rest:3|'
push "rest: version 3, whose image nobody has built yet"
waits() { status_is ".head == \"$revision\" and (.rolledBack | not) and .health != \"Degraded\" and (([.message, .held[].reason] + [.workloads[].message]) | any(test(\"shop/rest:3\")))"; }
wait_for 30 "the agent waits for the image" waits
note "waiting: $(status '[.message, .held[].reason, .workloads[].message] | map(select(test("shop/rest:3"))) | first')"
build_image rest shop/rest:3 --build-arg VERSION=3
began=$(now_ms)
wait_for 120 "version 3 runs once its image is built" converged
note "rolled $(since "$began") after it was built"

stop_load
[[ $(curl -sS "$entry/version" | jq -r .version) == 3 ]] || fail "the entry does not show version 3"
