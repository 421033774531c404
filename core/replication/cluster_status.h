// What replication tells people: counters, peers, lag, alarms. Plain values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "node/version_vector.h"
#include "replication/transport.h"

namespace meridian::replication {

// Each counts from the start of the process.
struct ReplicationCounters {
    // Out
    uint64_t entries_published = 0;  // given to a transport, each counted once per transport
    uint64_t entries_announced = 0;  // too large for a transport: only their number was told
    uint64_t entries_skipped = 0;    // not published: the transport was down or behind; peers pull them
    uint64_t hellos_sent = 0;
    uint64_t messages_sent = 0;  // control messages, hellos included
    uint64_t sends_failed = 0;   // control messages that the transport did not take
    // In
    uint64_t envelopes_received = 0;
    uint64_t messages_received = 0;
    uint64_t entries_merged = 0;     // durable
    uint64_t entries_duplicate = 0;  // held already
    uint64_t entries_dropped = 0;    // no room; pulled later
    uint64_t entries_conflicting = 0;
    uint64_t merges_failed = 0;
    uint64_t batches_held = 0;  // batches that waited for their last entry
    uint64_t legacy_deltas = 0;
    // Dropped messages, by reason
    uint64_t dropped_invalid = 0;    // not a message, or nonsense in it
    uint64_t dropped_foreign = 0;    // another cluster
    uint64_t dropped_forged = 0;     // bad or missing mac
    uint64_t dropped_replayed = 0;   // its number was seen, or is too old
    uint64_t dropped_own = 0;        // this node's own
    uint64_t dropped_oversized = 0;  // larger than the transport's limit
    uint64_t dropped_unknown = 0;    // of an unknown kind
    uint64_t dropped_not_for_us = 0;
    uint64_t refused_busy = 0;  // deliveries that were not taken: no room
    // Gaps and pulls
    uint64_t gaps = 0;
    uint64_t pulls_sent = 0;
    uint64_t pulls_failed = 0;
    uint64_t pulls_served = 0;
    uint64_t pulls_refused = 0;
    uint64_t transfers_started = 0;
    uint64_t transfers_finished = 0;
    uint64_t transfers_failed = 0;
    uint64_t states_received = 0;
    uint64_t scans_served = 0;
    uint64_t origins_skipped = 0;  // gaps that nobody could fill
    // Ephemeral
    uint64_t awareness_sent = 0, awareness_received = 0;
    uint64_t revocations_sent = 0, revocations_received = 0;
};

enum class AlarmKind : uint8_t {
    amnesia,            // peers hold more of this node's entries than it does
    node_id_collision,  // another process has this node's id
    conflicting_entry,  // two entries have one number
    clock_offset,
    origin_stopped,   // entries of an origin cannot be merged
    entry_too_large,  // no transport carries it
    gap_skipped,      // entries were lost for good
    peers_full,
};
const char* alarm_name(AlarmKind kind);

struct Alarm {
    AlarmKind kind;
    std::string text;  // names the node, the origin, the numbers
    uint64_t first_wall_ms = 0, last_wall_ms = 0;
    uint64_t count = 0;
    bool active = true;  // what it says still holds
};

enum class PeerState : uint8_t { alive, leaving, dead, expelled };

struct PeerStatus {
    node::Origin origin;
    PeerState state = PeerState::alive;
    bool ready = false;
    uint64_t heard_ms_ago = 0;
    std::string transport;  // through which it was last heard
    uint64_t we_lack = 0;   // entries that it holds and this node does not
    uint64_t it_lacks = 0;
    std::optional<int64_t> clock_offset_ms;  // its clock less ours
    node::VersionVector vector;
    bool pulling = false;  // a pull from it is outstanding
};

struct TransportStatus {
    std::string name;
    bool up = false;
    uint64_t epoch = 0;
    std::string down_reason;
    uint64_t waiting_entries = 0;  // own entries that it has yet to take
    std::vector<Link> links;
};

struct OriginStatus {
    node::Origin origin;
    uint64_t held = 0;     // durable here, without a gap
    uint64_t highest = 0;  // known to exist
    uint64_t waiting = 0;  // received, beyond a gap or of an incomplete batch
    bool pulling = false;
    bool stopped = false;  // its entries cannot be merged
};

struct ClusterStatus {
    node::Origin self;
    bool ready = false;
    // Ready, no gap is known, and every peer that is alive holds what this node holds, as of its last hello.
    bool converged = false;
    std::vector<PeerStatus> peers;
    std::vector<TransportStatus> transports;
    std::vector<OriginStatus> origins;
    uint64_t pulls_outstanding = 0;
    bool transferring = false;  // a state transfer is running
    uint64_t merge_backlog_bytes = 0;
    uint64_t covered_before_wall_ms = 0;
    std::vector<Alarm> alarms;
    ReplicationCounters counters;
};

}  // namespace meridian::replication
