# PostgreSQL cannot be doubled: it stops first, and requests wait.
# shellcheck shell=bash disable=SC2154
step "PostgreSQL gets a changed setting: it stops first, requests wait"

edit postgres.yaml 's|shared_buffers = 32MB|shared_buffers = 48MB|'
database_rolls
