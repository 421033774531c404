// A key: (generation, type, value, expiry), and its join.
//
// Join: the greater generation wins whole; then the lower type code wins (concurrent first ops of different types);
// then the values join; the expiry is that of the write greatest by its entry stamp. A key past its expiry reads as
// absent, and the next op starts the next generation. The first generation is 1, so that concurrent first writes on two
// nodes join.
//
// Plain data; not thread-safe; no clock: `now_ms` is given.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "crdt/client_delta.h"
#include "crdt/contract.h"
#include "crdt/counters.h"
#include "crdt/crdt_map.h"
#include "crdt/lww_register.h"
#include "crdt/op.h"
#include "crdt/orset.h"
#include "crdt/presence.h"
#include "crdt/rga.h"
#include "crdt/tree.h"

namespace meridian::crdt {

// index() + 1 is the type code, in both.
using Value = std::variant<GCounter, PnCounter, OrSet, LwwRegister, Presence, CrdtMap, Rga, Tree>;
using Delta = std::variant<GCounter::Delta, PnCounter::Delta, OrSet::Delta, LwwRegister::Delta, Presence::Delta,
                           CrdtMap::Delta, Rga::Delta, Tree::Delta>;

struct Expiry {
    uint64_t deadline_ms = 0;  // wall time; 0 = never
    EntryStamp set_by;         // the write that decided it
    friend bool operator==(const Expiry&, const Expiry&) = default;
};

// The core delta of a key, as it is logged and exchanged between nodes.
struct KeyDelta {
    uint64_t generation = 0;
    Expiry expiry;
    Delta delta;
};

struct KeyApplied {
    bool changed = false;  // false: nothing to log
    KeyDelta delta;
    std::vector<ClientDelta> views;
    size_t own_view = 0;  // which of the views, if any, tells the op's own effect
    std::optional<Conflict> conflict;
};

class Key {
public:
    // Never written: no generation, no value.
    Key() = default;

    uint64_t generation() const { return generation_; }  // 0 = never written
    const Expiry& expiry() const { return expiry_; }
    // REQUIRES: generation() > 0.
    const Value& value() const { return *value_; }
    Type type() const { return static_cast<Type>(value_->index() + 1); }

    bool expired(uint64_t now_ms) const { return expiry_.deadline_ms != 0 && now_ms >= expiry_.deadline_ms; }
    // Something that a reader sees as existing: written and not expired.
    bool visible(uint64_t now_ms) const { return generation_ != 0 && !expired(now_ms); }

    // Predicts the rejection of one op; see KeyOverlay for batches. Changes nothing.
    std::optional<Rejection> check(const Op& op, const Limits& limits, uint64_t now_ms) const;
    // REQUIRES: check() passed. `ttl_ms`: the expiry that this op sets; absent clears it. An op that changes neither
    // the value nor the expiry is not `changed`; on a key that is not visible nothing is created then.
    KeyApplied apply(const Op& op, std::optional<uint64_t> ttl_ms, const ApplyContext& context);
    // Gives what clients must be told, in order; empty if nothing visible changed. When the value is replaced whole, or
    // has expired by the delta's expiry, clients are first told what empties the old one, where the wire can. The type
    // of the deltas may differ then.
    std::vector<ClientDelta> join(const KeyDelta& delta, const JoinContext& context);

    // The whole state as a delta; REQUIRES generation() > 0.
    KeyDelta full_delta() const;
    // The whole state for a client. Empty if not visible(now_ms) or nothing was ever written.
    std::vector<ClientDelta> sync(const SyncContext& context) const;
    // What empties the key, where the wire can, for a client that may still show it although it is not visible any
    // more.
    std::vector<ClientDelta> emptying() const;
    // REQUIRES: visible(now_ms).
    std::string value_json(uint64_t now_ms) const;

    // Register undo (crdts.md section 5.2). REQUIRES for apply_undo: check_undo gave `possible`. It is a write like any
    // other, so it clears the expiry; not `changed` only if the clock has no greater stamp left.
    enum class UndoCheck : uint8_t { possible, wrong_type, overwritten };
    UndoCheck check_undo(const Hlc& target, uint64_t now_ms) const;
    KeyApplied apply_undo(const Hlc& target, const JsonValue& restore, uint64_t client_id, const ApplyContext& context);

    // The earliest wall time at which expire() will have something to do: the key's expiry or a deadline inside
    // its value (crdt/deadlines.h) that clients have not been told of. 0 = never.
    uint64_t next_deadline_ms() const;
    // Gives what clients must be told because time has passed: departed presence entries, text that waited for its
    // origin, or what empties the key once its own expiry has passed. Remembers what it has told (in memory only). The
    // lattice state does not change.
    std::vector<ClientDelta> expire(uint64_t now_ms);

    // Clients may have been shown everything that it holds, as after restore(): expire() tells all that is due, again
    // if need be. For a key that was rebuilt by joining what this node had told of before.
    void assume_shown();

    CompactionResult compact(const CompactionContext& context);
    size_t memory_bytes() const;

    // For decoders of snapshots.
    static Key restore(uint64_t generation, Expiry expiry, Value value);

    friend bool operator==(const Key& left, const Key& right);  // equal lattice states

private:
    // Makes `fresh`, to which the op of `applied` has been applied, the value of the next generation.
    void begin_generation(Value fresh, Expiry expiry, KeyApplied& applied);
    // Gives a write to the visible value its expiry.
    KeyApplied finish_write(KeyApplied applied, std::optional<uint64_t> ttl_ms, const ApplyContext& context);

    uint64_t generation_ = 0;
    Expiry expiry_;
    std::optional<Value> value_;
    bool expiry_told_ = false;  // clients show nothing of the value, because it has expired
};

// Checks the items of one batch on one key, each against the key plus the effect of the items before it, without
// changing the key. `base` must outlive the overlay and stay unchanged. Does not copy the key: the cost of an item is
// that of a check and an apply on a key that holds the earlier items only. Counts towards limits are rough: every
// earlier item that is no obvious repeat counts as one more of everything, and a batch may go over the limit on waiting
// ops by its own length.
class KeyOverlay {
public:
    KeyOverlay(const Key& base, uint64_t now_ms);
    ~KeyOverlay();
    KeyOverlay(KeyOverlay&&) noexcept;

    // The rejection of `op`, or none and the op counts as applied for the ones after it.
    std::optional<Rejection> check_next(const Op& op, const Limits& limits);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace meridian::crdt
