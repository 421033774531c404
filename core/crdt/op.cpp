#include "crdt/op.h"

namespace meridian::crdt {

namespace {

// Permission bits (crdts.md section 3.6). Alternatives of an op variant have the bits 1, 2, 4, ... in order.
template <class... Alternatives>
uint16_t bit_of(const std::variant<Alternatives...>& op) {
    return static_cast<uint16_t>(1U << op.index());
}

std::optional<uint64_t> newest(const GCounterOp&) {
    return std::nullopt;
}
std::optional<uint64_t> newest(const PnCounterOp&) {
    return std::nullopt;
}
std::optional<uint64_t> newest(const OrSetOp&) {
    return std::nullopt;
}
std::optional<uint64_t> newest(const LwwRegisterOp& op) {
    return op.hlc.wall_ms;
}
std::optional<uint64_t> newest(const PresenceOp& op) {
    return std::visit([](const auto& o) { return o.hlc.wall_ms; }, op);
}
std::optional<uint64_t> newest(const RgaOp& op) {
    if (const auto* insert = std::get_if<RgaInsert>(&op)) return insert->id.wall_ms;
    return std::nullopt;
}
std::optional<uint64_t> newest(const TreeOp& op) {
    if (const auto* add = std::get_if<TreeAddNode>(&op)) return add->id.wall_ms;
    if (const auto* move = std::get_if<TreeMoveNode>(&op)) return move->op_id.wall_ms;
    if (const auto* update = std::get_if<TreeUpdateNode>(&op)) return update->updated_at.wall_ms;
    return std::nullopt;
}
std::optional<uint64_t> newest(const CrdtMapOp& op) {
    return std::visit([](const auto& inner) { return newest(inner); }, op.op);
}

}  // namespace

Type type_of(const InnerOp& op) {
    // The inner types in order of code, without the map.
    const auto code = op.index() + 1;
    return static_cast<Type>(code < static_cast<size_t>(Type::crdt_map) ? code : code + 1);
}

uint16_t op_mask(const Op& op) {
    if (const auto* counter = std::get_if<PnCounterOp>(&op)) {
        return counter->side == PnCounterOp::Side::increment ? 1 : 2;
    }
    if (const auto* set = std::get_if<OrSetOp>(&op)) return bit_of(*set);
    if (const auto* rga = std::get_if<RgaOp>(&op)) return bit_of(*rga);
    if (const auto* tree = std::get_if<TreeOp>(&op)) return bit_of(*tree);
    return 1;
}

std::optional<uint64_t> newest_wall_ms(const Op& op) {
    return std::visit([](const auto& o) { return newest(o); }, op);
}

std::optional<uint64_t> drift_checked_wall_ms(const Op& op) {
    if (const auto* write = std::get_if<LwwRegisterOp>(&op)) return newest(*write);
    if (const auto* presence = std::get_if<PresenceOp>(&op)) return newest(*presence);
    return std::nullopt;
}

}  // namespace meridian::crdt
