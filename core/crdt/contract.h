// What every type offers, and the values that pass between a type and its caller.
//
// Each type is a class of plain data: no I/O, no clock, no locks, not thread-safe (one lane owns a value). A type T has
//
//   using Op, Delta (core delta), ClientDelta;        Delta is joinable and complete: joining it elsewhere has the
//   effect
//                                                      of the op, whatever else that replica holds, however often.
//   std::optional<Rejection> check(const Op&, const Limits&) const;     predicts rejection, changes nothing
//   Applied<Delta, ClientDelta> apply(const Op&, const ApplyContext&);   REQUIRES check() passed
//   std::vector<ClientDelta> join(const Delta&, const JoinContext&);     merges; gives what clients must be told, empty
//   if nothing Delta full_delta() const;                                            the whole state as one delta
//   std::vector<ClientDelta> sync(const SyncContext&) const;              the whole state for a client, in sending
//   order; empty
//                                                                         only if there is nothing and no tombstone
//   std::vector<ClientDelta> emptying() const;        what removes everything visible at clients, where the wire can
//   void write_value(JsonWriter&, uint64_t now_ms) const;                the value as HTTP shows it
//   bool empty() const;                               no content and no tombstone
//   CompactionResult compact(const CompactionContext&);
//   size_t memory_bytes() const;                      cheap (O(1)) estimate for the cache
//   friend bool operator==                            equal lattice states (not representation)
//
// Laws (property-tested): join is commutative, associative and idempotent in its effect on the state; apply(op) equals
// join(delta of op); any order and duplication of the same deltas ends in equal states.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "crdt/hlc.h"

namespace meridian::crdt {

// Limits that refuse client ops at the node that takes them. A peer's delta is never refused for size or count.
// Counts include tombstones. 0 is not "unlimited"; use a large number.
struct Limits {
    size_t rga_elements_max = 4'000'000;
    size_t tree_nodes_max = 1'000'000;
    size_t tree_moves_max = 4'000'000;
    size_t tree_position_bytes_max = 4096;
    size_t tree_value_bytes_max = 1 << 20;
    size_t orset_tags_max = 1'000'000;
    size_t orset_element_bytes_max = 64 << 10;
    size_t counter_slots_max = 1'000'000;
    size_t presence_entries_max = 100'000;
    size_t presence_data_bytes_max = 64 << 10;
    size_t register_value_bytes_max = 4 << 20;
    size_t map_keys_max = 100'000;
    size_t map_key_bytes_max = 4096;
    size_t pending_ops_max = 100'000;  // orphans, and deletes, moves, updates that wait for their node
};

// Longest presence time-to-live that counts when a deadline is computed.
inline constexpr uint64_t presence_ttl_ms_max = 24ULL * 3600 * 1000;

// An op that the state refuses. `text` is the whole message for the client, "invalid operation: ..." included.
struct Rejection {
    std::string text;
};

struct LwwOverwritten {
    uint64_t winning_client_id = 0;
    uint64_t winning_ts_ms = 0;
    friend bool operator==(const LwwOverwritten&, const LwwOverwritten&) = default;
};
struct TreeMoveCycle {
    Hlc node_id;
    std::optional<Hlc> attempted_parent_id;
    friend bool operator==(const TreeMoveCycle&, const TreeMoveCycle&) = default;
};
using Conflict = std::variant<LwwOverwritten, TreeMoveCycle>;

// Given to apply(): how the write is named, and where further stamps come from.
struct ApplyContext {
    EntryStamp entry;     // of the log entry that this op becomes; entry.hlc.wall_ms is the receive time at this node
    StampSource& stamps;  // for corrective tree moves
};

// Given to join(): the delta's own stamps tell its origin.
struct JoinContext {
    uint64_t now_ms = 0;  // wall clock of this node; decides only what clients are told, never the state
    StampSource& stamps;  // for corrective tree moves
};

template <class Delta, class ClientDelta>
struct Applied {
    // False: nothing to log, the op was a duplicate or a no-op; delta and views are empty.
    bool changed = false;
    Delta delta;
    std::vector<ClientDelta> views;  // for clients, in sending order; may be empty although changed
    size_t own_view = 0;             // which of the views, if any, tells the op's own effect
    std::optional<Conflict> conflict;
};

// How an RGA is laid out for a client: see crdts.md section 4.7, "Emission".
enum class SequenceForm : uint8_t { ascending_siblings, left_neighbour_chain };

struct SyncContext {
    uint64_t now_ms = 0;
    SequenceForm form = SequenceForm::ascending_siblings;
};

struct CompactionContext {
    uint64_t now_ms = 0;
    // Entries with a stamp below this wall time are known to be held by every member of the cluster. 0: nothing is.
    uint64_t covered_before_ms = 0;
    uint64_t tombstone_grace_ms = 30ULL * 24 * 3600 * 1000;
};

struct CompactionResult {
    bool changed = false;  // the representation changed and is worth a new snapshot
};

}  // namespace meridian::crdt
