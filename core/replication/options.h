// What replication is told at its start. The defaults are those of cluster-and-storage.md section 20. Plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

namespace meridian::replication {

struct ReplicationOptions {
    uint64_t interval_ms = 30'000;                    // of anti-entropy; caps the time between hellos and every backoff
    uint64_t startup_answers_ms = 2'000;              // how long the first hello waits for the answers of known members
    uint64_t startup_catchup_ms = 30'000;             // how long `ready` waits for this node to become level
    uint64_t retention_ms = 7ULL * 24 * 3600 * 1000;  // a member silent for longer is expelled
    // Nodes of the older implementation get this node's own log when they ask; they count increments twice. Otherwise
    // an empty one.
    bool legacy_log = false;
    // Members known from before: node ids, and the wall time at which each was last heard.
    std::map<uint64_t, uint64_t> known_members;

    // Bounds. What happens when one is reached stands where it is used.
    size_t peers_max = 1'000;
    size_t origins_max = 20'000;
    size_t held_entries_max = 10'000;            // per origin, out of order
    size_t held_bytes_max = 8 << 20;             // per origin, out of order; the next batch in order is exempt
    size_t merge_backlog_bytes_max = 32 << 20;   // complete and not yet durable
    size_t merge_call_entries_max = 1'000;       // a batch is never divided
    size_t merge_call_bytes_max = 1 << 20;       // likewise
    size_t merges_in_flight_max = 4;             // one per origin
    size_t inbound_bytes_max = 16 << 20;         // per transport: delivered and not yet looked at
    size_t inbound_messages_max = 20'000;        // likewise
    size_t publish_window_bytes_max = 16 << 20;  // own entries that some transport has yet to take
    size_t publish_window_entries_max = 50'000;  // likewise
    size_t publishes_in_flight_max = 512;        // per transport
    size_t pull_bytes_max = 512 << 10;           // one page
    size_t pull_entries_max = 2'000;             // one page
    size_t pull_origins_max = 64;                // in one request
    size_t pulls_served_max = 4;                 // at once
    size_t scans_served_max = 2;                 // hash trees that are kept for peers
    size_t scan_names_bytes_max = 32 << 20;      // of names kept with such a tree
    uint64_t request_timeout_ms = 5'000;
    uint64_t scan_timeout_ms = 60'000;  // a tree that was not asked for is dropped after it
};

}  // namespace meridian::replication
