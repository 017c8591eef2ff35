# Shared by the scripts of this folder: messages, missing packages, the Docker Engine, the base image.
# To be sourced. Nothing here touches an engine that was running before.
# shellcheck shell=bash

set -Eeuo pipefail
shopt -s inherit_errexit

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
base_image=debian:bookworm-slim
engine_folder=/run/driftless-engine

say() { printf '%s\n' "$*"; }
note() { printf '    %s\n' "$*"; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Prints the milliseconds since some fixed moment.
now_ms() { printf '%s\n' "$((${EPOCHREALTIME/[^0-9]/} / 1000))"; }

# Prints the time since a moment of `now_ms`: `1.2 s`.
since() {
    local millis=$(($(now_ms) - $1))
    printf '%d.%d s\n' "$((millis / 1000))" "$((millis % 1000 / 100))"
}

# Runs a command as root.
as_root() {
    if ((EUID == 0)); then "$@"; else sudo -- "$@"; fi
}

# need WHAT PACKAGE [COMMAND...]: installs the package if the command fails. WHAT is a command to
# look for in PATH when no COMMAND is given.
need() {
    local what=$1 package=$2
    shift 2
    if (($# == 0)); then set -- command -v "$what"; fi
    if "$@" >/dev/null 2>&1; then return; fi
    if ! command -v apt-get >/dev/null || { ((EUID != 0)) && ! command -v sudo >/dev/null; }; then
        die "$what is missing: install the package $package"
    fi
    say "Installing $package ($what is missing)"
    local log
    log=$(mktemp)
    if ! install_package "$package" >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        die "$what is missing, and the package $package cannot be installed"
    fi
    rm -f "$log"
    hash -r
    if ! "$@" >/dev/null 2>&1; then die "$what is still missing after the package $package was installed"; fi
}

install_package() {
    # Package lists may be old or absent: they are read again before the first installation.
    if [[ -z ${lists_are_fresh:-} ]]; then
        as_root apt-get update
        lists_are_fresh=1
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes "$1"
}

# Everything that building needs. Rust is not installed behind anybody's back.
need_build_tools() {
    export PATH="$HOME/.cargo/bin:/usr/local/sbin:/usr/sbin:/sbin:$PATH"
    command -v cargo >/dev/null || die "cargo is missing: install Rust with rustup or from your distribution"
    need git git
    need cc gcc
    need 'the C library headers' libc6-dev test -e /usr/include/stdio.h
    need pkg-config pkg-config
    need 'the OpenSSL headers' libssl-dev pkg-config --exists openssl
}

# Servers that tests run beside git's own.
need_servers() {
    need ssh-keygen openssh-client
    need sshd openssh-server test -x /usr/sbin/sshd
    need openssl openssl
    need docker-registry docker-registry
    need htpasswd apache2-utils
}

# Everything that running against an engine needs.
need_engine() {
    need ip iproute2
    need nft nftables
    need jq jq
    need curl curl
    need dig dnsutils
    if engine_answers; then return; fi
    need dockerd docker.io
    # Later Debian releases package the client by itself.
    need docker docker-cli
    engine_answers || start_engine
}

engine_answers() { command -v docker >/dev/null && docker version >/dev/null 2>&1; }

# Runs the script again as root if this user may not use the engine or enter namespaces.
# Building comes before this, so that its files belong to the user.
become_root() {
    if ((EUID == 0)); then return; fi
    command -v sudo >/dev/null || die "root is needed to serve names and addresses, and sudo is missing"
    exec sudo --preserve-env=CARGO_TARGET_DIR,DOCKER_HOST,DRIFTLESS_BINARY,DRIFTLESS_LONG,DRIFTLESS_WORLDS,NO_COLOR,TMPDIR,integration -- env "PATH=$PATH" DRIFTLESS_BUILT=1 "$root/scripts/${0##*/}" "$@"
}

# Starts an engine of our own, without any service manager. `stop_engine` ends it.
start_engine() {
    say "No Docker Engine answers: starting one"
    mkdir -p "$engine_folder"
    # A session of its own: Ctrl-C must reach the script first, which then ends the engine.
    setsid dockerd --pidfile "$engine_folder/pid" >"$engine_folder/log" 2>&1 </dev/null &
    local dockerd=$!
    for _ in {1..300}; do
        if engine_answers; then return; fi
        if ! kill -0 "$dockerd" 2>/dev/null; then break; fi
        sleep 0.1
    done
    tail -n 20 "$engine_folder/log" >&2
    stop_engine
    die "the Docker Engine does not start (see above)"
}

# Ends the engine that `start_engine` started; does nothing if there is none.
stop_engine() {
    local pid
    pid=$(cat "$engine_folder/pid" 2>/dev/null) || return 0
    kill "$pid" 2>/dev/null || true
    for _ in {1..300}; do
        [[ -d /proc/$pid ]] || break
        sleep 0.1
    done
    rm -rf "$engine_folder"
}

# ensure_base [--offline]: has the base image, from the registry or, when that cannot be had, from
# Debian packages. One that is there already is used as it is.
ensure_base() {
    if docker image inspect "$base_image" >/dev/null 2>&1; then return; fi
    if [[ ${1:-} != --offline ]]; then
        if docker pull --quiet "$base_image" >/dev/null 2>&1; then return; fi
        say "$base_image cannot be pulled"
    fi
    need mmdebstrap mmdebstrap
    local started option options=()
    started=$(now_ms)
    # The image fetches packages as this host does: by its proxy, if it has one.
    while IFS= read -r option; do options+=("--aptopt=$option"); done < <(
        apt-config dump | grep -E '^Acquire::(https?::Proxy|Check-Valid-Until|Check-Date) ' || true
    )
    mmdebstrap --quiet --variant=minbase "${options[@]}" bookworm - |
        docker import --change 'CMD ["bash"]' - "$base_image" >/dev/null
    say "$base_image was made from Debian packages instead ($(since "$started"))"
}

# build_image FOLDER TAG [OPTION...]: builds one image of the example.
build_image() {
    local source=$1 tag=$2 log
    shift 2
    log=$(mktemp)
    if ! docker build --tag "$tag" "$@" "$root/examples/repo/images/$source" >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        rm -f "$log"
        die "the image $tag cannot be built (see above)"
    fi
    rm -f "$log"
}

# ensure_images [--offline]: has the base and the images of the example.
ensure_images() {
    ensure_base "$@"
    build_image postgres shop/postgres:1
    build_image rest shop/rest:1
    build_image entry shop/entry:1
}

# Prints every container, network and volume, and our processes and state, of owners that begin
# with the given text.
leftovers() {
    local prefix=$1 kind
    for kind in container network volume; do
        local list=(docker "$kind" ls --format "$kind {{.Name}} {{.Label \"dev.driftless.owner\"}}" --filter label=dev.driftless.owner)
        if [[ $kind == container ]]; then list=("${list[@]/.Name/.Names}" --all); fi
        "${list[@]}" | awk -v prefix="$prefix" 'index($3, prefix) == 1 { print $1, $2 }'
    done
    our_processes "$prefix" | sed 's/^/process /'
    find /run/driftless -mindepth 1 -maxdepth 1 -name "$prefix*" 2>/dev/null | sed 's/^/folder /' || true
}

# Prints the ids of driftless processes of owners that begin with the given text.
our_processes() {
    local prefix=$1 exe process
    for exe in /proc/[0-9]*/exe; do
        process=${exe%/exe}
        [[ $(readlink "$exe" 2>/dev/null) == *driftless* ]] || continue
        if tr '\0' '\n' 2>/dev/null <"$process/environ" | grep -q "^DRIFTLESS_OWNER=$prefix"; then
            printf '%s\n' "${process#/proc/}"
        fi
    done
}
