# What both halves of the demo ask of the example, whatever its format. To be sourced after
# installation.sh; `entry` is the URL at which the example is published.
# shellcheck shell=bash disable=SC2154,SC2317

new_user() { curl -sS --fail --data "{\"name\": \"$1\", \"email\": \"$1@example.org\"}" "$entry/users"; }
users() { curl -sS --fail "$entry/users"; }

# address NAME: asks the DNS server that driftless serves on this host's loopback.
address() { dig +short +time=2 +tries=1 "@${DRIFTLESS_DNS%:*}" -p "${DRIFTLESS_DNS##*:}" "$1.$project.svc.cluster.local"; }

plan_is_empty() { [[ $(driftless plan "$application" -o json | jq -c '[(.changes | length), (.steps | length)]') == '[0,0]' ]]; }

# writes_and_reads: two users are written and read through the published port.
writes_and_reads() {
    new_user ada >/dev/null
    new_user grace >/dev/null
    [[ $(users | jq -c '[.[].name]') == '["ada","grace"]' ]] || fail "the users are not what was written: $(users)"
    note "$entry/users: $(users)"
}

# nothing_to_do: planned again, nothing is left to do.
nothing_to_do() {
    plan_is_empty || fail "there is something to do although the application has converged"
    note "planned again: nothing to do"
}

# review: what the last commit would do, from Git alone; prints one application of the report.
review() { driftless review HEAD~1 HEAD --repo "$work" --path "$folder" --name "$application" -o json | jq '.applications[0]'; }

# rolls NUMBER: waits until the pushed revision runs; the number of REST replicas that serve never falls
# below NUMBER.
rolls() {
    least=$1
    rolled() {
        local available
        available=$(status '.workloads[] | select(.name | endswith("/rest")) | .available')
        if ((available < least)); then least=$available; fi
        converged
    }
    wait_for 120 "the new version runs" rolled
    note "converged $(since "$pushed") after the push; at least $least of $1 replicas served all the time"
    ((least >= $1)) || fail "only $least replicas served for a time"
}

# saw_both: the client was answered by version 1 and version 2.
saw_both() {
    [[ $(jq '.versions["1"] > 0 and .versions["2"] > 0' <<<"$load") == true ]] || fail "the client did not see both versions: $load"
    [[ $(curl -sS "$entry/version" | jq -r .version) == 2 ]] || fail "the entry does not show version 2"
}

# database_rolls: PostgreSQL has the pushed setting, nobody else was touched, and nothing is lost.
database_rolls() {
    local rest_before setting
    rest_before=$(containers rest)
    start_load "http://rest:8000/users"
    push "postgres: more shared memory"
    wait_for 120 "PostgreSQL runs with the new setting" converged
    note "converged $(since "$pushed") after the push"
    stop_load
    setting=$(docker exec "$(containers postgres)" psql -h /tmp -U shop -d shop -Atc 'SHOW shared_buffers')
    [[ $setting == 48MB ]] || fail "shared_buffers is $setting"
    [[ $(users | jq length) == 2 ]] || fail "users were lost: $(users)"
    [[ $(containers rest) == "$rest_before" ]] || fail "the REST service was replaced although nothing of it changed"
    note "shared_buffers is $setting, both users are still there, no other replica was touched"
}

# drifts REPLICAS NETWORK SETTING...: REST replicas are changed by hand; each change is reported at its
# field, and healed. The settings are those of the Application.
drifts() {
    local count=$1 network=$2 began replicas
    shift 2
    # Tells whether nothing drifts and the number of REST replicas is right.
    healed() { [[ $(containers rest | wc -l) == "$count" ]] && converged && status_is '.drift == 0'; }

    mapfile -t replicas < <(containers rest)
    began=$(now_ms)
    docker kill "${replicas[0]}" >/dev/null
    wait_for 60 "a killed replica is healed" healed
    note "a killed replica was healed after $(since "$began")"

    began=$(now_ms)
    docker rm --force "${replicas[1]}" >/dev/null
    wait_for 60 "a removed replica is healed" healed
    note "a removed replica was replaced after $(since "$began")"

    # Drift is healed before anybody could read a report, so healing is switched off for a moment.
    stop_agent TERM
    write_application "$@" "selfHeal: false"
    start_agent
    wait_for 30 "the agent knows the application again" converged

    mapfile -t replicas < <(containers rest)
    docker update --memory 96m --memory-swap 96m "${replicas[0]}" >/dev/null
    docker network disconnect "$network" "${replicas[1]}"
    docker stop "${replicas[2]}" >/dev/null
    reported() {
        driftless drift "$application" -o json | jq -e '
            [.drift[] | select(.what == "changed") | .fields[].path] as $fields
            | ($fields | any(test("limits[.]memory$"))) and ($fields | any(test("[nN]etworks")))
            and (.drift | any(.what == "stopped"))' >/dev/null
    }
    wait_for 30 "the drift report shows all three changes" reported
    driftless drift "$application" | sed 's/^/    /'

    stop_agent TERM
    write_application "$@"
    began=$(now_ms)
    start_agent
    wait_for 90 "all three are healed" healed
    note "healed $(since "$began") after healing was switched on again"
    [[ $(containers rest | xargs docker inspect --format '{{.HostConfig.Memory}}' | sort -u) == $((128 << 20)) ]] ||
        fail "a memory limit is not healed"
}

# goes_back: the pushed release never becomes ready and is rolled back.
goes_back() {
    wait_for 60 "the bad release is degraded or rolled back" status_is '.health == "Degraded" or .rolledBack'
    note "$(since "$pushed") after the push: $(status '.message')"
    rolled_back() { status_is '.rolledBack and .health == "Healthy" and (.workloads | all(.available >= .desired))'; }
    wait_for 60 "the bad release is rolled back" rolled_back
    [[ $(status .revision) != "$revision" ]] || fail "the bad revision is said to be the kept one"
    note "$(since "$pushed") after the push: $(driftless status "$application" | head -n 1)"
}

all_containers() { containers entry && containers rest && containers postgres; }

# place FILE TEXT: prints FILE:LINE of the text in the work tree.
place() { printf '%s:%s\n' "$1" "$(grep -n -m 1 -- "$2" "$work/$folder/$1" | cut -d: -f1)"; }

# is_refused GOOD BEFORE PLACE...: the push is refused whole, with an error at each place, and the
# revision GOOD and its containers BEFORE run on.
is_refused() {
    local good=$1 before=$2 expected places
    shift 2
    refused() { status_is ".head == \"$revision\" and .refused and .revision == \"$good\""; }
    wait_for 30 "the push is refused" refused
    mapfile -t places < <(status '.findings[] | select(.severity == "error") | "\(.file):\(.line):\(.column): \(.message)"')
    for expected in "$@"; do
        printf '%s\n' "${places[@]}" | grep -q "$expected:" || fail "no error at $expected: ${places[*]}"
    done
    note "refused $(since "$pushed") after the push:"
    printf '        %s\n' "${places[@]}"
    if driftless check "$work/$folder" >"$installation/check" 2>&1; then fail "check finds no error"; fi
    [[ $(all_containers) == "$before" ]] || fail "something was replaced"
    [[ $(users | jq length) == 2 ]] || fail "the application does not answer"
}

# killed_half_way COUNT ADDRESS: the agent is killed in the middle of the rollout of COUNT REST replicas
# and goes on where it was.
killed_half_way() {
    local count=$1 rest_address=$2 began
    half_way() { status_is '.workloads[] | select(.name | endswith("/rest")) | .updated >= 1 and .updated < .desired'; }
    wait_for 60 "the rollout is half-way" half_way
    stop_agent KILL
    note "killed at $(docker ps --filter "label=dev.driftless.owner=$owner" --filter "label=dev.driftless.workload=$(workload rest)" --format '{{.Image}}' | sort | uniq -c | awk '{ print $1 " x " $2 }' | paste -sd, | sed 's/,/, /g')"

    for _ in {1..20}; do
        [[ $(address rest) == "$rest_address" ]] || fail "the name of the service does not resolve without the agent"
        users >/dev/null || fail "the application does not answer without the agent"
        sleep 0.1
    done
    note "without the agent: the name resolves, the application answers"

    began=$(now_ms)
    start_agent
    wait_for 120 "the rollout goes on" converged
    note "converged $(since "$began") after the agent was started again"
    stop_load

    [[ $(containers rest | wc -l) == "$count" ]] || fail "there are not $count replicas: $(docker ps --filter "label=dev.driftless.owner=$owner")"
    nothing_left() { [[ $(docker ps --all --quiet --filter "label=dev.driftless.owner=$owner" --filter "label=dev.driftless.workload=$(workload rest)" | wc -l) == "$count" ]]; }
    wait_for 60 "the old replicas are gone" nothing_left
    plan_is_empty || fail "there is something to do although the application has converged"
    note "$count replicas, none lost, none doubled; nothing to do"
}
