// Presence (crdts.md section 4.5): who is here, one entry a client, each with a time to live.
//
// State: client id -> the greatest entry by stamp; then a departure (ttl 0) beats a heartbeat; then the longer ttl;
// then the greater canonical text of the data; then the earlier receipt, so that a repeated delivery does not live
// longer. A departure is an entry without data and with ttl 0. Beside it the longest ttl that was ever seen of the
// client, merged by maximum.
//
// Expiry is computed, not written. The deadline of an entry is the receive time at the node that accepted it + its ttl
// (at most 24 h); sender clocks decide only which of two entries is the later. A peer's clock may be wrong: a receive
// time beyond now + 30 s counts as now + 30 s when this node first sees it. That deadline, and which entries clients
// have been told of, are this node's own bookkeeping: neither part of operator== nor of deltas or snapshots. A presence
// made by from_delta() has not seen a clock yet; it asks for expire() at once.
//
// Compaction drops entries that are dead (departed or expired) when max(longest ttl seen, 5 minutes) has passed since
// their stamp and their receipt, and every member of the cluster holds them or the longest life of a heartbeat has
// passed too: heartbeats that are older have expired by then, here and wherever the entry never came. Replicas drop at
// different moments, and differ in operator== until both have dropped; a digest must leave dead entries out.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "crdt/chunked_map.h"
#include "crdt/client_delta.h"
#include "crdt/contract.h"
#include "crdt/op.h"

namespace meridian {
class JsonWriter;
}

namespace meridian::crdt {

// A peer's receive time counts as at most this much ahead of our clock.
inline constexpr uint64_t presence_skew_ms_max = 30'000;
// Dead entries are kept at least this long.
inline constexpr uint64_t presence_tombstone_ms_min = 5 * 60 * 1000;

class Presence {
public:
    using Op = PresenceOp;
    using ClientDelta = PresenceClientDelta;

    struct Entry {
        JsonValue data;       // null if ttl_ms is 0
        Hlc hlc;              // the client's
        uint64_t ttl_ms = 0;  // 0: departed
        EntryStamp received;  // the log entry that brought it; received.hlc.wall_ms is the receive time at the origin
        uint64_t longest_ttl_ms = 0;  // >= ttl_ms
        friend bool operator==(const Entry&, const Entry&) = default;
    };
    struct Delta {
        std::vector<std::pair<uint64_t, Entry>> entries;  // ascending client ids
        friend bool operator==(const Delta&, const Delta&) = default;
    };

    std::optional<Rejection> check(const Op& op, const Limits& limits) const;
    // Views: the entry; for a departure of somebody whom clients were shown two deltas, first {id: nil} for TypeScript
    // and Python, then the tombstone entry for Rust; likewise {id: nil} before an entry that ends no later than the one
    // it replaces, which those two would not take otherwise.
    Applied<Delta, ClientDelta> apply(const Op& op, const ApplyContext& context);
    std::vector<ClientDelta> join(const Delta& delta, const JoinContext& context);
    static Presence from_delta(const Delta& delta);
    Delta full_delta() const;
    // Departures as nil first, then every entry; dead ones as tombstones with their own stamp.
    std::vector<ClientDelta> sync(const SyncContext& context) const;
    std::vector<ClientDelta> emptying() const;
    void write_value(JsonWriter& out, uint64_t now_ms) const;  // live entries, ids sorted as strings
    bool empty() const { return slots_.empty(); }
    CompactionResult compact(const CompactionContext& context);
    size_t memory_bytes() const;
    friend bool operator==(const Presence& left, const Presence& right);

    // The earliest deadline that clients have not been told of; 0 = none.
    uint64_t next_deadline_ms() const;
    // Departures of those whose deadline has passed; each is told once.
    std::vector<ClientDelta> expire(uint64_t now_ms);
    // As after from_delta(): clients may hold every entry with a ttl.
    void assume_shown() { *this = from_delta(full_delta()); }

private:
    struct Slot {
        Entry entry;
        uint64_t deadline_ms = 0;  // ours: clamped when first seen
        bool shown = false;        // clients may hold it as present; then {deadline_ms, client id} is in due_
    };
    // Collects what clients are told: nils of the first delta, entries of the second.
    struct Views;

    bool alive(const Slot& slot, uint64_t now_ms) const;
    // Takes the entry if it wins. True if the state changed.
    bool take(uint64_t client_id, const Entry& entry, uint64_t now_ms, Views& views);
    void show(uint64_t client_id, Slot& slot);
    void hide(uint64_t client_id, Slot& slot);

    ChunkedMap<uint64_t, Slot> slots_;
    ChunkedMap<std::pair<uint64_t, uint64_t>, std::monostate> due_;
    size_t data_bytes_ = 0;
    bool clamped_ = true;  // false after from_delta() until the first expire()
};

}  // namespace meridian::crdt
