# A changed file replaces its user alone. PostgreSQL stops first and requests wait; the entry has a port
# of the host, so the plan says what is interrupted, and afterwards for how long.
# shellcheck shell=bash disable=SC2154
step "Compose: PostgreSQL and the entry stop first: requests wait, or it is said what is interrupted"

edit postgres/postgresql.conf 's|shared_buffers = 32MB|shared_buffers = 48MB|'
database_rolls

edit entry/nginx.conf 's|client_max_body_size 64k|client_max_body_size 32k|'
commit "entry: smaller bodies"
reason=$(review | jq -r '.plan.changes[] | select(.object | endswith("/entry")) | .reason')
note "the review of the commit: $reason"
[[ $reason == *"interrupts port $port/tcp"* ]] || fail "the review does not say what is interrupted: $(review)"
push
interrupted() { converged && status_is '.workloads[] | select(.name | endswith("/entry")) | .interrupted.until != null'; }
wait_for 60 "the entry has the new file" interrupted
note "$(driftless history "$application" -o json | jq -r '[.events[] | select(.kind == "interrupted" and (.message | test("/entry:")))][0].message')"
[[ $(users | jq length) == 2 ]] || fail "the entry does not answer: $(users)"
