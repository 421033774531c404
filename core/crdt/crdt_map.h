// CRDTMap (crdts.md section 4.6): keys -> values of the seven other types. Keys cannot be deleted, maps cannot be
// nested.
//
// Join: key by key. Where two replicas created one key with different types at the same time, the lower type code wins
// everywhere and the other value is gone (D-17). A no-op on a new key creates nothing. Conflicts of inner ops are not
// reported.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "crdt/client_delta.h"
#include "crdt/contract.h"
#include "crdt/counters.h"
#include "crdt/lww_register.h"
#include "crdt/op.h"
#include "crdt/orset.h"
#include "crdt/presence.h"
#include "crdt/rga.h"
#include "crdt/tree.h"

namespace meridian {
class JsonWriter;
}

namespace meridian::crdt {

// Both in order of type code.
using InnerValue = std::variant<GCounter, PnCounter, OrSet, LwwRegister, Presence, Rga, Tree>;
using InnerDelta = std::variant<GCounter::Delta, PnCounter::Delta, OrSet::Delta, LwwRegister::Delta, Presence::Delta,
                                Rga::Delta, Tree::Delta>;

Type type_of(const InnerValue& value);
Type type_of(const InnerDelta& delta);
// An empty value. REQUIRES: type is not crdt_map.
InnerValue make_inner_value(Type type);

class CrdtMap {
public:
    using Op = CrdtMapOp;
    using ClientDelta = CrdtMapClientDelta;
    struct Delta {
        std::vector<std::pair<std::string, InnerDelta>> entries;  // ascending keys
        friend bool operator==(const Delta&, const Delta&) = default;
    };
    using Entries = std::map<std::string, InnerValue, std::less<>>;

    std::optional<Rejection> check(const Op& op, const Limits& limits) const;
    Applied<Delta, ClientDelta> apply(const Op& op, const ApplyContext& context);
    std::vector<ClientDelta> join(const Delta& delta, const JoinContext& context);
    Delta full_delta() const;
    std::vector<ClientDelta> sync(const SyncContext& context) const;
    std::vector<ClientDelta> emptying() const;
    void write_value(JsonWriter& out, uint64_t now_ms) const;
    bool empty() const { return entries_.empty(); }
    CompactionResult compact(const CompactionContext& context);
    size_t memory_bytes() const { return sizeof *this + memory_bytes_; }
    friend bool operator==(const CrdtMap& left, const CrdtMap& right) { return left.entries_ == right.entries_; }

    const Entries& entries() const { return entries_; }
    // For decoders of snapshots.
    static CrdtMap restore(Entries entries);

    // Of the values inside; see crdt/deadlines.h.
    uint64_t next_deadline_ms() const;
    std::vector<ClientDelta> expire(uint64_t now_ms);
    void assume_shown();

private:
    // Notes an inner value in the sums and the index of deadlines, or takes it out again, around a change.
    void count_in(const std::string& key, const InnerValue& value);
    void count_out(const std::string& key, const InnerValue& value);

    Entries entries_;
    std::set<std::pair<uint64_t, std::string>> due_;  // next deadline of each value that has one, and its key
    size_t memory_bytes_ = 0;
};

}  // namespace meridian::crdt
