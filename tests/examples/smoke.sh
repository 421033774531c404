#!/usr/bin/env bash
# Whether an installed node serves a write on a store plug-in, and has it after a restart.
#
#   tests/examples/smoke.sh PREFIX PLUGIN
set -euo pipefail
prefix=$1
plugin=$2

directory=$(mktemp -d)
node=
clean() {
    if [ -n "$node" ]; then kill -KILL "$node" 2>/dev/null || true; fi
    rm -rf "$directory"
}
trap clean EXIT

fail() {
    echo "$plugin: $*"
    cat "$directory/log"
    exit 1
}

# Starts the node and waits until it says where it listens: `url`.
start() {
    : >"$directory/log"
    "$prefix/sbin/meridiand" --bind 127.0.0.1:0 --data-dir "$directory/data" --set "store.plugin=$plugin" \
        >"$directory/log" 2>&1 &
    node=$!
    local waited=0
    until url=$(sed -n 's/^.* listening address=\([^ ]*\).*$/http:\/\/\1/p' "$directory/log") && [ -n "$url" ]; do
        kill -0 "$node" 2>/dev/null || fail "the node did not start"
        waited=$((waited + 1))
        [ "$waited" -lt 1200 ] || fail "the node did not listen within a minute"
        sleep 0.05
    done
}

stop() {
    local status=0
    kill -TERM "$node"
    wait "$node" || status=$?
    node=
    [ "$status" -eq 0 ] || fail "the node ended with status $status"
}

ctl() { "$prefix/bin/meridianctl" "$@" --url "$url" --data-dir "$directory/data" --namespace demo; }

start
ctl incr gc:visits 3 >/dev/null || fail "a write failed"
before=$(ctl get gc:visits)
[[ $before == *3* ]] || fail "read '$before' after a write of 3"
stop
start
after=$(ctl get gc:visits)
[ "$after" = "$before" ] || fail "read '$after' after a restart, '$before' before"
ctl incr gc:visits 4 >/dev/null || fail "a write after a restart failed"
stop
