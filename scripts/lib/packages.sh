# The Debian packages that building, running and testing need, and their installation. Sourced after common.sh.

packages_build=(
    g++ cmake ninja-build pkg-config ccache
    libpoco-dev         # addresses, JSON of requests, TLS
    libsodium-dev       # signatures, hashes
    liblmdb-dev         # snapshots of the embedded store
    libsystemd-dev      # readiness and stop messages to systemd
    libhiredis-dev libssl-dev  # transport-redis: replies of Redis; a mode of TLS that Poco has no function for
    libpq-dev           # store-pg
)

# What scripts/run and the lines it prints use.
packages_run=(curl)

# What scripts/run cluster uses besides.
packages_cluster=(redis-server)

packages_test=(
    libcppunit-dev librapidcheck-dev
    clang-14 libclang-rt-14-dev llvm-14  # second compiler; libFuzzer; symbols in its reports
    clang-format-14
    systemd  # systemd-analyze
    redis-server redis-sentinel openssl  # transport-redis: its tests start their own, and make their own certificates
    nginx-light  # the example of docs/CLUSTERING.md
    postgresql-15 pgbouncer  # store-pg: its tests make and start their own servers
)

# Prints those of the named packages that are not installed.
missing_packages() {
    local package
    for package in "$@"; do
        if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
            printf '%s\n' "$package"
        fi
    done
}

# apt-get, asking nothing, waiting for another package manager to finish; what it prints goes to build/packages.log.
apt_get() {
    mkdir -p build
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 "$@" \
        </dev/null >>build/packages.log 2>&1
}

# Fails if apt's lists name no version to install for one of the packages.
packages_are_known() {
    local package
    for package in "$@"; do
        [ -n "$(apt-cache policy "$package" | sed -n '/Candidate: [^(]/p')" ] || return 1
    done
}

# install_packages PACKAGE...: installs what is missing, and says what. No service is started by it.
install_packages() {
    command -v apt-get >/dev/null || die "this is for Debian 12: there is no apt-get. Packages needed: $*"
    local missing policy=/usr/sbin/policy-rc.d own_policy=no status=0
    mapfile -t missing < <(missing_packages "$@")
    if [ ${#missing[@]} -eq 0 ]; then
        return 0
    fi
    say "Installing Debian packages: ${missing[*]}"
    if ! packages_are_known "${missing[@]}"; then
        apt_get update
    fi
    # A package that brings a daemon asks policy-rc.d before it starts it; 101 means no. An existing policy stays.
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
        own_policy=yes
    fi
    # postgresql-15 would make a database cluster of its own, and start it with the machine.
    local no_cluster=/etc/postgresql-common/createcluster.d/meridian.conf
    if [[ " ${missing[*]} " == *" postgresql-15 "* ]]; then
        as_root mkdir -p "${no_cluster%/*}"
        echo 'create_main_cluster = false' | as_root tee "$no_cluster" >/dev/null
    else
        no_cluster=""
    fi
    # Lists may be older than the archive: then packages are gone (404), and fresh lists help.
    apt_get install -y --no-install-recommends "${missing[@]}" || {
        echo "That failed; once more with fresh package lists."
        apt_get update && apt_get install -y --no-install-recommends "${missing[@]}"
    } || status=$?
    if [ "$own_policy" = yes ]; then
        as_root rm -f "$policy"
    fi
    if [ -n "$no_cluster" ]; then
        as_root rm -f "$no_cluster"
    fi
    if [ "$status" -ne 0 ]; then
        tail -n 20 build/packages.log
        die "apt-get could not install: ${missing[*]} (all of its output: build/packages.log)"
    fi
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -eq 0 ] || die "still missing after the installation: ${missing[*]}"
}
