// The wire's deltas as plain values: what clients are told (crdts.md sections 3 and 4). Every node projects them from
// its own state; they are not what nodes exchange. Collections are sorted so that equal deltas have equal bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "crdt/op.h"

namespace meridian::crdt {

// Clients are sent a state with many entries in pieces of about this size.
inline constexpr size_t client_delta_bytes_target = 1 << 20;

struct GCounterClientDelta {
    std::vector<std::pair<uint64_t, uint64_t>> counters;  // client id -> total, ascending ids
    friend bool operator==(const GCounterClientDelta&, const GCounterClientDelta&) = default;
};

struct PnCounterClientDelta {
    std::optional<GCounterClientDelta> pos;
    std::optional<GCounterClientDelta> neg;
    friend bool operator==(const PnCounterClientDelta&, const PnCounterClientDelta&) = default;
};

struct OrSetClientDelta {
    using Elements =
        std::vector<std::pair<std::string, std::vector<Tag>>>;  // canonical JSON text -> tags; both ascending
    Elements adds;
    Elements removes;
    friend bool operator==(const OrSetClientDelta&, const OrSetClientDelta&) = default;
};

struct LwwEntry {
    JsonValue value;
    Hlc hlc;
    uint64_t author = 0;
    friend bool operator==(const LwwEntry&, const LwwEntry&) = default;
};
struct LwwRegisterClientDelta {
    std::optional<LwwEntry> entry;
    friend bool operator==(const LwwRegisterClientDelta&, const LwwRegisterClientDelta&) = default;
};

struct PresenceClientEntry {
    JsonValue data;
    Hlc hlc;
    uint64_t ttl_ms = 0;
    friend bool operator==(const PresenceClientEntry&, const PresenceClientEntry&) = default;
};
struct PresenceClientDelta {
    std::vector<std::pair<uint64_t, std::optional<PresenceClientEntry>>> changes;  // absent entry = departed
    friend bool operator==(const PresenceClientDelta&, const PresenceClientDelta&) = default;
};

struct RgaClientDelta {
    std::vector<RgaOp> ops;  // origins as a naive client needs them, not always the true ones
    friend bool operator==(const RgaClientDelta&, const RgaClientDelta&) = default;
};

struct DiscardedMove {
    Hlc node_id;
    std::optional<Hlc> attempted_parent_id;
    std::string attempted_position;
    std::optional<Hlc> actual_parent_id;
    std::string actual_position;
    friend bool operator==(const DiscardedMove&, const DiscardedMove&) = default;
};
struct TreeClientDelta {
    std::vector<TreeOp> ops;
    std::vector<DiscardedMove> discarded_moves;
    friend bool operator==(const TreeClientDelta&, const TreeClientDelta&) = default;
};

using InnerClientDelta = std::variant<GCounterClientDelta, PnCounterClientDelta, OrSetClientDelta,
                                      LwwRegisterClientDelta, PresenceClientDelta, RgaClientDelta, TreeClientDelta>;

struct CrdtMapClientDelta {
    std::vector<std::pair<std::string, InnerClientDelta>> deltas;  // ascending keys
    friend bool operator==(const CrdtMapClientDelta&, const CrdtMapClientDelta&) = default;
};

// index() + 1 is the type code.
using ClientDelta = std::variant<GCounterClientDelta, PnCounterClientDelta, OrSetClientDelta, LwwRegisterClientDelta,
                                 PresenceClientDelta, CrdtMapClientDelta, RgaClientDelta, TreeClientDelta>;

inline Type type_of(const ClientDelta& delta) {
    return static_cast<Type>(delta.index() + 1);
}

}  // namespace meridian::crdt
