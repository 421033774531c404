#!/bin/sh
# usage: power_loss_must_fail.sh KIT PLUGIN [ARGUMENT]...
# Passes if the kit's test for lost power finds the plug-in wrong after one of its kills.
set -eu
TMPDIR=$(mktemp -d)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
kit=$1
plugin=$2
shift 2
if "$kit" "$plugin" --power-loss "$@" > "$TMPDIR/output" 2>&1; then
    echo "the plug-in passed, but it does not keep what it acknowledges"
    exit 1
fi
cat "$TMPDIR/output"
grep -q '^# kill [0-9]* of [0-9]*: ' "$TMPDIR/output"
