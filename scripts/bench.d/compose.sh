# A Compose project of 20 services: from nothing, and with nothing to do, beside `docker compose up -d`.
# shellcheck shell=bash disable=SC2154
services=20

if [[ -n ${COMPOSE:-} ]]; then
    compose() { "$COMPOSE" "$@"; }
elif docker compose version >/dev/null 2>&1; then
    compose() { docker compose "$@"; }
else
    need docker-compose docker-compose
    compose() { docker-compose "$@"; }
fi

ensure_busybox
new_installation bench
record_events

# project NAME FRONTS: writes a project's folder.
project() {
    local folder=$installation/$1 number
    mkdir "$folder"
    {
        printf 'services:\n'
        for ((number = 1; number <= services; number++)); do
            printf '  web-%s: { image: "%s", pull_policy: never, restart: always, expose: ["8000"], command: [/bin/busybox, httpd, -f, -p, "8000"], stop_grace_period: 1s, labels: { driftless.dev/front: "%s" } }\n' \
                "$number" "$busybox" "$2"
        done
    } >"$folder/compose.yaml"
    # Before version 2, Compose asked for a version.
    { printf 'version: "3.9"\n' && cat "$folder/compose.yaml"; } >"$folder.yaml"
}

# measured WHAT NAME COMMAND...: writes down how long the command took until the project's last container was
# started, and how long it takes once there is nothing to do.
measured() {
    local what=$1 name=$2 from
    shift 2
    from=$(now_ms)
    "$@" >>"$installation/compose.log" 2>&1 || fail "$* failed: $(tail -n 5 "$installation/compose.log")"
    events "$from" start "$name" | tail -n 1 >>"$installation/$what-first"
    [[ $(events "$from" start "$name" | wc -l) == "$services" ]] || fail "$* did not start $services containers"
    from=$(now_ms)
    "$@" >>"$installation/compose.log" 2>&1
    printf '%s\n' "$(($(now_ms) - from))" >>"$installation/$what-again"
    docker ps --all --quiet --filter "label=com.docker.compose.project=$name" | xargs docker rm --force >/dev/null
    docker ps --all --quiet --filter "label=dev.driftless.owner=$owner" | xargs --no-run-if-empty docker rm --force >/dev/null
}

for round in 1 2 3; do
    for fronts in true false; do
        name=bench-$round-$fronts
        project "$name" "$fronts"
        measured "fronts-$fronts" "$name" driftless apply "$installation/$name" --name "$name"
    done
    name=$owner-compose-$round
    project "$name" true
    measured compose "$name" compose --project-name "$name" --file "$installation/$name.yaml" up -d
    docker network rm "${name}_default" >/dev/null
done

other="Compose $(compose version --short | tail -n 1)"
first=$(median <"$installation/compose-first") again=$(median <"$installation/compose-again")
for fronts in true false; do
    with=$([[ $fronts == true ]] && printf 'with' || printf 'without')
    ours=$(median <"$installation/fronts-$fronts-first")
    row "Compose, $services services from nothing, $with fronts" "$ours ms" "$first ms with $other: $(ratio "$ours" "$first") x"
done
ours=$(median <"$installation/fronts-true-again")
row "Compose, $services services, nothing to do" "$ours ms" "$again ms with $other: $(ratio "$ours" "$again") x"
