# `scripts/run cluster`: Redis and three nodes on this machine. Sourced by scripts/run after the build; sets nothing that
# outlives it. Everything is kept in data/cluster/, and the next run finds it again.

cluster_dir=$root/data/cluster
first_port=${MERIDIAN_PORT:-3000}
cluster_nodes=3
node_processes=()
redis_process=""

# One after the other, each gracefully; Redis last, so that the nodes can say goodbye.
stop_cluster() {
    local process status=0
    trap '' INT TERM HUP
    echo
    echo "Stopping the nodes"
    for process in "${node_processes[@]}"; do kill -TERM "$process" 2>/dev/null || true; done
    for process in "${node_processes[@]}"; do wait "$process" || status=$?; done
    if [ -n "$redis_process" ]; then
        kill -TERM "$redis_process" 2>/dev/null || true
        wait "$redis_process" 2>/dev/null || true
    fi
    exit "$status"
}

# start_in_background LOG COMMAND...: in a process group of its own, so that Ctrl-C reaches it once only, through
# stop_cluster; sets `started`.
start_in_background() {
    local log=$1
    shift
    set -m
    "$@" </dev/null >>"$log" 2>&1 &
    set +m
    started=$!
}

start_cluster() {
    local number port log key=$cluster_dir/node1/signing.key
    mkdir -p "$cluster_dir"
    trap stop_cluster INT TERM HUP
    rm -f "$cluster_dir/redis.sock"
    start_in_background "$cluster_dir/redis.log" redis-server --port 0 --unixsocket "$cluster_dir/redis.sock" \
        --dir "$cluster_dir" --save "" --appendonly no
    redis_process=$started
    for number in $(seq "$cluster_nodes"); do
        port=$((first_port + (number - 1) * 10))
        mkdir -p "$cluster_dir/node$number"
        log=$cluster_dir/node$number/meridiand.log
        touch "$log"
        # All nodes verify tokens with one key: the first node makes it.
        if [ -f "$key" ]; then
            MERIDIAN_SIGNING_KEY=$(cat "$key")
            export MERIDIAN_SIGNING_KEY
        fi
        local seen
        seen=$(wc -c <"$log")
        start_in_background "$log" build/release/bin/meridiand --bind "127.0.0.1:$port" \
            --data-dir "$cluster_dir/node$number" --set "node.id=$number" \
            --set transport.redis.plugin=transport-redis --set "transport.redis.url=unix://$cluster_dir/redis.sock" "$@"
        node_processes+=("$started")
        until tail -c "+$((seen + 1))" "$log" | grep -q ' listening address='; do
            kill -0 "$started" 2>/dev/null || { tail -n 5 "$log" >&2; echo "node $number did not start" >&2; stop_cluster; }
            sleep 0.1
        done
    done
}

show_cluster() {
    local token second=$((first_port + 10)) third=$((first_port + 20))
    token=$(build/release/bin/meridianctl token issue --namespace demo --admin --ttl 30d)
    cat <<END

Three nodes are running: http://127.0.0.1:$first_port, :$second and :$third (data and logs: $cluster_dir)

A token for the namespace demo with every right, valid for 30 days. In another terminal, in this directory:

    export MERIDIAN_TOKEN=$token

Try there: watch a counter on the third node, increment it on the first, look at the cluster from the second

    build/release/bin/meridianctl watch gc:views --url http://127.0.0.1:$third &
    build/release/bin/meridianctl incr gc:views 1 --url http://127.0.0.1:$first_port
    build/release/bin/meridianctl cluster status --url http://127.0.0.1:$second

Ctrl-C stops all of them.
END
}

run_cluster() {
    start_cluster "$@"
    show_cluster
    # Whichever ends first ends the others.
    wait -n "${node_processes[@]}" "$redis_process" || true
    echo "a node or Redis has ended by itself; see the logs in $cluster_dir" >&2
    stop_cluster
}
