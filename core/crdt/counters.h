// GCounter and PNCounter (crdts.md sections 4.1 and 4.2): state-based counters (Shapiro et al., "A comprehensive study
// of convergent and commutative replicated data types", 2011) in which a slot belongs to one writer only.
//
// The wire's slots are keyed by client id, and one client may write through several nodes at once (D-04). Our slots are
// therefore keyed (client id, accepting node, incarnation of that node); each is advanced by one process only, so its
// running total merges by maximum. Clients are shown the sum per client id. Sums only grow, so that the clients' own
// maximum-merge stays right.
//
// Increments carry no identity: the same op applied twice counts twice. Deltas carry totals and may be joined any
// number of times. Sums saturate at 2^64-1; a PNCounter's value is the exact difference of the two sums, clamped to a
// signed 64-bit integer.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "crdt/chunked_map.h"
#include "crdt/client_delta.h"
#include "crdt/contract.h"
#include "crdt/op.h"

namespace meridian {
class JsonWriter;
}

namespace meridian::crdt {

struct CounterSlot {
    uint64_t client_id = 0;
    uint64_t node_id = 0;
    uint64_t incarnation = 0;
    friend auto operator<=>(const CounterSlot&, const CounterSlot&) = default;
};

// Slots with their totals, ascending, totals above 0.
using CounterTotals = std::vector<std::pair<CounterSlot, uint64_t>>;

// The grow-only half that both counters are made of. Apply costs O(log slots + sub-slots of that client).
class CounterSlots {
public:
    // Adds to the slot; gives its new total.
    uint64_t add(const CounterSlot& slot, uint64_t amount);
    // Merges by maximum; gives client totals that changed.
    GCounterClientDelta join(const CounterTotals& totals);

    bool has_client(uint64_t client_id) const;
    uint64_t client_total(uint64_t client_id) const;  // saturating
    uint64_t total() const;                           // saturating
    CounterTotals totals() const;
    // All client totals, ascending ids, in pieces that each fit a frame.
    std::vector<GCounterClientDelta> client_totals() const;

    size_t size() const { return slots_.size(); }
    size_t memory_bytes() const;
    friend bool operator==(const CounterSlots&, const CounterSlots&) = default;

private:
    ChunkedMap<CounterSlot, uint64_t> slots_;
};

class GCounter {
public:
    using Op = GCounterOp;
    using ClientDelta = GCounterClientDelta;
    struct Delta {
        CounterTotals slots;
        friend bool operator==(const Delta&, const Delta&) = default;
    };

    // Refuses a client without a slot once counter_slots_max slots exist. (Further sub-slots of a known client are let
    // in: their number is bounded by the cluster's size and restarts.)
    std::optional<Rejection> check(const Op& op, const Limits& limits) const;
    Applied<Delta, ClientDelta> apply(const Op& op, const ApplyContext& context);
    std::vector<ClientDelta> join(const Delta& delta, const JoinContext& context);
    static GCounter from_delta(const Delta& delta);
    Delta full_delta() const { return {slots_.totals()}; }
    std::vector<ClientDelta> sync(const SyncContext&) const { return slots_.client_totals(); }
    std::vector<ClientDelta> emptying() const { return {}; }  // nothing on the wire lowers a slot
    void write_value(JsonWriter& out, uint64_t now_ms) const;
    bool empty() const { return slots_.size() == 0; }
    CompactionResult compact(const CompactionContext&) { return {}; }
    size_t memory_bytes() const { return sizeof *this + slots_.memory_bytes(); }
    friend bool operator==(const GCounter&, const GCounter&) = default;

    uint64_t total() const { return slots_.total(); }

private:
    CounterSlots slots_;
};

class PnCounter {
public:
    using Op = PnCounterOp;
    using ClientDelta = PnCounterClientDelta;
    struct Delta {
        CounterTotals pos;
        CounterTotals neg;
        friend bool operator==(const Delta&, const Delta&) = default;
    };

    // counter_slots_max holds for both sides together.
    std::optional<Rejection> check(const Op& op, const Limits& limits) const;
    Applied<Delta, ClientDelta> apply(const Op& op, const ApplyContext& context);
    std::vector<ClientDelta> join(const Delta& delta, const JoinContext& context);
    static PnCounter from_delta(const Delta& delta);
    Delta full_delta() const { return {pos_.totals(), neg_.totals()}; }
    std::vector<ClientDelta> sync(const SyncContext& context) const;
    std::vector<ClientDelta> emptying() const { return {}; }  // nothing on the wire lowers a slot
    void write_value(JsonWriter& out, uint64_t now_ms) const;
    bool empty() const { return pos_.size() == 0 && neg_.size() == 0; }
    CompactionResult compact(const CompactionContext&) { return {}; }
    size_t memory_bytes() const { return sizeof *this + pos_.memory_bytes() + neg_.memory_bytes(); }
    friend bool operator==(const PnCounter&, const PnCounter&) = default;

    int64_t value() const;

private:
    CounterSlots pos_;
    CounterSlots neg_;
};

}  // namespace meridian::crdt
