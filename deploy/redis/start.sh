#!/usr/bin/env bash
# Fills the users file with hashes of the passwords in the environment, and starts Redis with it.
set -euo pipefail

users=${USERS_FILE:-/etc/redis/users.acl}
filled=${FILLED_FILE:-/run/redis/territory.acl}

hash() { printf %s "$1" | sha256sum | cut -d' ' -f1; }

umask 077
sed -e "s/@OPERATOR_SHA256@/$(hash "${OPERATOR_PASSWORD:?}")/" \
    -e "s/@WRITER_SHA256@/$(hash "${WRITER_PASSWORD:?}")/" \
    -e "s/@READER_SHA256@/$(hash "${READER_PASSWORD:?}")/" \
    -e "s/@EXPORTER_SHA256@/$(hash "${EXPORTER_PASSWORD:?}")/" "$users" >"$filled"
unset OPERATOR_PASSWORD WRITER_PASSWORD READER_PASSWORD EXPORTER_PASSWORD

# The index can be rebuilt from the log; a copy on disk avoids that after a restart.
exec redis-server --aclfile "$filled" --save "300 1" --maxmemory-policy noeviction "$@"
