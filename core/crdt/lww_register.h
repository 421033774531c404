// LwwRegister (crdts.md section 4.4): the greatest entry wins. Order: stamp (all three fields), then author, then the
// canonical JSON text of the value.
//
// Clients stamp with their wall clock and logical 0, so two writes of one author in one millisecond carry the same
// stamp (D-12). The node that accepts the second one stores it under the next greater stamp; every replica and every
// client then agrees that it is the later. The stamp that the client gave is kept beside it, so that an undo that names
// it still finds its entry. Joins never re-stamp.
#pragma once

#include <optional>
#include <vector>

#include "crdt/client_delta.h"
#include "crdt/contract.h"
#include "crdt/op.h"

namespace meridian {
class JsonWriter;
}

namespace meridian::crdt {

class LwwRegister {
public:
    using Op = LwwRegisterOp;
    using ClientDelta = LwwRegisterClientDelta;
    struct Entry {
        LwwEntry entry;
        // The client's stamp if the accepting node replaced it. Last in the order of entries; never shown to clients.
        std::optional<Hlc> original;
        friend bool operator==(const Entry&, const Entry&) = default;
    };
    struct Delta {
        std::optional<Entry> entry;
        friend bool operator==(const Delta&, const Delta&) = default;
    };

    std::optional<Rejection> check(const Op& op, const Limits& limits) const;
    // A write that loses to another author's entry gives the conflict LwwOverwritten.
    Applied<Delta, ClientDelta> apply(const Op& op, const ApplyContext& context);
    std::vector<ClientDelta> join(const Delta& delta, const JoinContext& context);
    static LwwRegister from_delta(const Delta& delta);
    Delta full_delta() const { return {entry_}; }
    std::vector<ClientDelta> sync(const SyncContext& context) const;
    std::vector<ClientDelta> emptying() const { return {}; }  // a nil entry means "nothing" to clients and never clears
    void write_value(JsonWriter& out, uint64_t now_ms) const;
    bool empty() const { return !entry_; }
    CompactionResult compact(const CompactionContext&) { return {}; }
    size_t memory_bytes() const;
    friend bool operator==(const LwwRegister&, const LwwRegister&) = default;

    const std::optional<Entry>& entry() const { return entry_; }

    // Undo (crdts.md section 5.2). True if the current entry is the one that the client stamped `target`.
    bool matches(const Hlc& target) const;
    // REQUIRES: matches(target). Writes `restore` (null: the wire cannot empty a register) as `client_id`, stamped
    // after both the target and the time of the undo. Not `changed` only if the clock has no greater stamp left.
    Applied<Delta, ClientDelta> apply_undo(const Hlc& target, const JsonValue& restore, uint64_t client_id,
                                           const ApplyContext& context);

private:
    Applied<Delta, ClientDelta> replace(Entry entry);

    std::optional<Entry> entry_;
};

}  // namespace meridian::crdt
