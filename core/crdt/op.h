// Client operations as plain values (crdts.md section 4). The wire decoder makes them; the types check and apply them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/json_value.h"
#include "crdt/hlc.h"
#include "crdt/type.h"

namespace meridian::crdt {

using Tag = std::array<uint8_t, 16>;  // an ORSet tag: a UUID in textual byte order

struct GCounterOp {
    uint64_t client_id = 0;
    uint64_t amount = 0;  // an increment, not a total
    friend bool operator==(const GCounterOp&, const GCounterOp&) = default;
};

struct PnCounterOp {
    enum class Side : uint8_t { increment, decrement };
    Side side = Side::increment;
    uint64_t client_id = 0;
    uint64_t amount = 0;
    friend bool operator==(const PnCounterOp&, const PnCounterOp&) = default;
};

struct OrSetAdd {
    JsonValue element;
    Tag tag{};
    uint64_t node_id = 0;
    uint32_t seq = 0;
    friend bool operator==(const OrSetAdd&, const OrSetAdd&) = default;
};
struct OrSetRemove {
    JsonValue element;
    std::vector<Tag> known_tags;  // sorted, unique
    friend bool operator==(const OrSetRemove&, const OrSetRemove&) = default;
};
using OrSetOp = std::variant<OrSetAdd, OrSetRemove>;

struct LwwRegisterOp {
    JsonValue value;
    Hlc hlc;
    uint64_t author = 0;
    friend bool operator==(const LwwRegisterOp&, const LwwRegisterOp&) = default;
};

struct PresenceHeartbeat {
    uint64_t client_id = 0;
    JsonValue data;
    Hlc hlc;
    uint64_t ttl_ms = 0;
    friend bool operator==(const PresenceHeartbeat&, const PresenceHeartbeat&) = default;
};
struct PresenceLeave {
    uint64_t client_id = 0;
    Hlc hlc;
    friend bool operator==(const PresenceLeave&, const PresenceLeave&) = default;
};
using PresenceOp = std::variant<PresenceHeartbeat, PresenceLeave>;

// An id that arrived as a float64 (JavaScript rounds ids from 2^53 up) is marked `rounded`: it names the stored id with
// the same wall_ms and logical whose node_id, converted to double, is equal (crdts.md rule A3). The type resolves it
// before use.
struct RgaInsert {
    Hlc id;
    std::optional<Hlc> origin_id;  // left neighbour when typed; absent = head
    char32_t content = 0;          // one Unicode scalar value
    bool origin_rounded = false;
    friend bool operator==(const RgaInsert&, const RgaInsert&) = default;
};
struct RgaDelete {
    Hlc id;
    bool id_rounded = false;
    friend bool operator==(const RgaDelete&, const RgaDelete&) = default;
};
using RgaOp = std::variant<RgaInsert, RgaDelete>;

struct TreeAddNode {
    Hlc id;
    std::optional<Hlc> parent_id;
    std::string position;  // opaque; compared by bytes
    std::string value;
    bool parent_rounded = false;
    friend bool operator==(const TreeAddNode&, const TreeAddNode&) = default;
};
struct TreeMoveNode {
    Hlc op_id;
    Hlc node_id;
    std::optional<Hlc> new_parent_id;
    std::string new_position;
    bool node_rounded = false;
    bool parent_rounded = false;
    friend bool operator==(const TreeMoveNode&, const TreeMoveNode&) = default;
};
struct TreeUpdateNode {
    Hlc id;
    std::string value;
    Hlc updated_at;
    bool id_rounded = false;
    friend bool operator==(const TreeUpdateNode&, const TreeUpdateNode&) = default;
};
struct TreeDeleteNode {
    Hlc id;
    bool id_rounded = false;
    friend bool operator==(const TreeDeleteNode&, const TreeDeleteNode&) = default;
};
using TreeOp = std::variant<TreeAddNode, TreeMoveNode, TreeUpdateNode, TreeDeleteNode>;

using InnerOp = std::variant<GCounterOp, PnCounterOp, OrSetOp, LwwRegisterOp, PresenceOp, RgaOp, TreeOp>;

struct CrdtMapOp {
    std::string key;
    Type crdt_type = Type::gcounter;  // may be crdt_map on the wire; check() rejects that
    InnerOp op;
    friend bool operator==(const CrdtMapOp&, const CrdtMapOp&) = default;
};

// index() + 1 is the type code.
using Op = std::variant<GCounterOp, PnCounterOp, OrSetOp, LwwRegisterOp, PresenceOp, CrdtMapOp, RgaOp, TreeOp>;

inline Type type_of(const Op& op) {
    return static_cast<Type>(op.index() + 1);
}
Type type_of(const InnerOp& op);

// The permission bits an op needs (crdts.md section 3.6).
uint16_t op_mask(const Op& op);

// The greatest wall_ms among the stamps an op carries which the server checks against the future (crdts.md
// section 1.4): register, presence, RGA insert ids, tree add ids, move op ids and update stamps, also inside a CRDTMap.
// Absent when it has none.
std::optional<uint64_t> newest_wall_ms(const Op& op);
// The stamp of a top-level register or presence op, for the ±30 s rule of HTTP and batches. Absent for other ops.
std::optional<uint64_t> drift_checked_wall_ms(const Op& op);

}  // namespace meridian::crdt
