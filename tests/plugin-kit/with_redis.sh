#!/usr/bin/env bash
# Runs a command beside a Redis that nobody else uses; {socket} in its arguments is the path of the Redis' Unix socket.
#
#   with_redis.sh COMMAND [ARGUMENT...]
set -euo pipefail

directory=$(mktemp -d)
redis=
clean() {
    if [ -n "$redis" ]; then
        kill -TERM "$redis" 2>/dev/null || true
        wait "$redis" 2>/dev/null || true
    fi
    rm -rf "$directory"
}
trap clean EXIT

redis-server --port 0 --unixsocket "$directory/socket" --dir "$directory" --save '' --appendonly no \
    >"$directory/log" 2>&1 &
redis=$!
until [ -S "$directory/socket" ]; do
    kill -0 "$redis" 2>/dev/null || { cat "$directory/log"; exit 1; }
    sleep 0.05
done
"${@//\{socket\}/$directory/socket}"
