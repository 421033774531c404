# What every script shares. Sourced, not run; sets `root`, the repository's top directory, and moves there.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"

# Compiled objects are found again when the repository lies elsewhere the next time.
export CCACHE_BASEDIR=$root

say() { printf '\n== %s\n' "$*"; }

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# Runs a command as root: as it is for root, through sudo for others.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "'$*' needs root, and there is no sudo. Run it as root once, then run this script again."
    fi
}

# configure PRESET [CMAKE-OPTION...]: what cmake prints is shown only if it fails.
configure() {
    local preset=$1
    shift
    mkdir -p build
    cmake --preset "$preset" "$@" >"build/$preset.configure.log" 2>&1 || {
        cat "build/$preset.configure.log"
        return 1
    }
}

# Tests need packages that building the server does not: the release build has no tests until scripts/test turns them
# on, and then keeps them. Prints the option for configure.
release_without_tests() {
    if [ ! -f build/release/CMakeCache.txt ]; then
        printf '%s\n' -DMERIDIAN_TESTS=OFF
    fi
}
