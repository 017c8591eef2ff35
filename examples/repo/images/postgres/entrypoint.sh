#!/bin/sh
# Makes the database cluster if the volume is empty, then becomes the given command.
#
#   POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB   the role and database to make
#   /etc/postgres/init/*.sql                        run once in that database
set -eu

# Root only hands the volume over; everything else runs as postgres.
if [ "$(id -u)" = 0 ]; then
    install -d -o postgres -g postgres -m 0700 "${PGDATA%/*}"
    exec setpriv --reuid postgres --regid postgres --init-groups "$0" "$@"
fi

# The cluster is made beside its place and moved there when it is whole, so a
# container that is killed meanwhile leaves nothing that looks like a database.
if [ ! -d "$PGDATA" ]; then
    new="$PGDATA.new"
    rm -rf "$new"
    password=$(mktemp)
    printf '%s\n' "$POSTGRES_PASSWORD" >"$password"
    initdb -D "$new" --username="$POSTGRES_USER" --pwfile="$password" \
        --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8
    rm "$password"
    echo 'host all all all scram-sha-256' >>"$new/pg_hba.conf"

    pg_ctl -D "$new" -w start -o "-c listen_addresses='' -c unix_socket_directories=/tmp"
    createdb -h /tmp -U "$POSTGRES_USER" "$POSTGRES_DB"
    for script in /etc/postgres/init/*.sql; do
        [ -e "$script" ] || continue
        psql -h /tmp -U "$POSTGRES_USER" -d "$POSTGRES_DB" -v ON_ERROR_STOP=1 -q -f "$script"
    done
    pg_ctl -D "$new" -w -m fast stop
    mv "$new" "$PGDATA"
fi

exec "$@"
