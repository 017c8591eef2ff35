# A release that never becomes healthy goes back.
# shellcheck shell=bash disable=SC2154
step "Compose: a bad release is rolled back, and the badge says so"

start_load "http://rest:8000/version"
edit compose.yaml 's|PORT: 8000|PORT: 9000|'
push "rest: listens on the wrong port"
goes_back
badge() { curl -sS --fail "http://$DRIFTLESS_HTTP/badge/$application.json" | jq -r .message; }
note "the badge: $(badge)"
[[ $(badge) == *RolledBack* ]] || fail "the badge does not say that it went back"

edit compose.yaml 's|PORT: 9000|PORT: 8000|'
push "rest: the right port again"
wait_for 60 "the next push is taken at once" converged
note "the next push converged after $(since "$pushed")"
stop_load
[[ $(badge) == "$(driftless badge "$application" -o json | jq -r .message)" ]] || fail "badge and command differ"
note "the badge: $(badge)"
