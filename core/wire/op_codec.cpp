#include "wire/op_codec.h"

#include "wire/decoder.h"
#include "wire/json_value_codec.h"
#include "wire/op_parts.h"

namespace meridian::wire {

using crdt::Op;
using crdt::Type;

namespace {

constexpr uint64_t op_version_supported = 1;

bool read_gcounter_op(Decoder& decoder, MsgpackNode node, crdt::GCounterOp& out) {
    return read_struct(
        decoder, node,  //
        required_field("client_id", [&](MsgpackNode n) { return read_integer(decoder, n, out.client_id); }),
        required_field("amount", [&](MsgpackNode n) { return read_integer(decoder, n, out.amount); }));
}

bool read_pncounter_op(Decoder& decoder, MsgpackNode node, crdt::PnCounterOp& out) {
    constexpr std::string_view expected = "Increment or Decrement";
    const std::optional<VariantNode> variant = read_variant(decoder, node, expected);
    if (!variant) return false;
    if (variant->name == "Increment") {
        out.side = crdt::PnCounterOp::Side::increment;
    } else if (variant->name == "Decrement") {
        out.side = crdt::PnCounterOp::Side::decrement;
    } else {
        return fail_unknown_variant(decoder, variant->name, expected);
    }
    crdt::GCounterOp amount;
    if (!read_gcounter_op(decoder, variant->content, amount)) return decoder.within(variant->name);
    out.client_id = amount.client_id;
    out.amount = amount.amount;
    return true;
}

bool read_orset_add(Decoder& decoder, MsgpackNode node, crdt::OrSetAdd& out) {
    return read_struct(
        decoder, node,
        required_field("element", [&](MsgpackNode n) { return read_json_value(decoder, n, out.element); }),
        required_field("tag", [&](MsgpackNode n) { return read_tag(decoder, n, out.tag); }),
        optional_field("node_id", [&](MsgpackNode n) { return read_integer(decoder, n, out.node_id); }),
        optional_field("seq", [&](MsgpackNode n) { return read_integer(decoder, n, out.seq); }));
}

bool read_orset_remove(Decoder& decoder, MsgpackNode node, crdt::OrSetRemove& out) {
    return read_struct(
        decoder, node,
        required_field("element", [&](MsgpackNode n) { return read_json_value(decoder, n, out.element); }),
        required_field("known_tags", [&](MsgpackNode n) { return read_tags(decoder, n, out.known_tags); }));
}

bool read_orset_op(Decoder& decoder, MsgpackNode node, crdt::OrSetOp& out) {
    constexpr std::string_view expected = "Add or Remove";
    const std::optional<VariantNode> variant = read_variant(decoder, node, expected);
    if (!variant) return false;
    bool ok = false;
    if (variant->name == "Add") {
        ok = read_orset_add(decoder, variant->content, out.emplace<crdt::OrSetAdd>());
    } else if (variant->name == "Remove") {
        ok = read_orset_remove(decoder, variant->content, out.emplace<crdt::OrSetRemove>());
    } else {
        return fail_unknown_variant(decoder, variant->name, expected);
    }
    return ok || decoder.within(variant->name);
}

bool read_lww_register_op(Decoder& decoder, MsgpackNode node, crdt::LwwRegisterOp& out) {
    return read_struct(decoder, node,  //
                       required_field("value", [&](MsgpackNode n) { return read_json_value(decoder, n, out.value); }),
                       required_field("hlc", [&](MsgpackNode n) { return read_hlc(decoder, n, out.hlc); }),
                       required_field("author", [&](MsgpackNode n) { return read_integer(decoder, n, out.author); }));
}

bool read_heartbeat(Decoder& decoder, MsgpackNode node, crdt::PresenceHeartbeat& out) {
    return read_struct(
        decoder, node,
        required_field("client_id", [&](MsgpackNode n) { return read_integer(decoder, n, out.client_id); }),
        required_field("data", [&](MsgpackNode n) { return read_json_value(decoder, n, out.data); }),
        required_field("hlc", [&](MsgpackNode n) { return read_hlc(decoder, n, out.hlc); }),
        required_field("ttl_ms", [&](MsgpackNode n) { return read_integer(decoder, n, out.ttl_ms); }));
}

bool read_leave(Decoder& decoder, MsgpackNode node, crdt::PresenceLeave& out) {
    return read_struct(
        decoder, node,
        required_field("client_id", [&](MsgpackNode n) { return read_integer(decoder, n, out.client_id); }),
        required_field("hlc", [&](MsgpackNode n) { return read_hlc(decoder, n, out.hlc); }));
}

bool read_presence_op(Decoder& decoder, MsgpackNode node, crdt::PresenceOp& out) {
    constexpr std::string_view expected = "Heartbeat or Leave";
    const std::optional<VariantNode> variant = read_variant(decoder, node, expected);
    if (!variant) return false;
    bool ok = false;
    if (variant->name == "Heartbeat") {
        ok = read_heartbeat(decoder, variant->content, out.emplace<crdt::PresenceHeartbeat>());
    } else if (variant->name == "Leave") {
        ok = read_leave(decoder, variant->content, out.emplace<crdt::PresenceLeave>());
    } else {
        return fail_unknown_variant(decoder, variant->name, expected);
    }
    return ok || decoder.within(variant->name);
}

// The content of an op of any type but CRDTMap, into a variant that holds such ops.
template <class AnyOp>
bool read_plain_op(Decoder& decoder, Type type, MsgpackNode node, AnyOp& out) {
    switch (type) {
        case Type::gcounter:
            return read_gcounter_op(decoder, node, out.template emplace<crdt::GCounterOp>());
        case Type::pncounter:
            return read_pncounter_op(decoder, node, out.template emplace<crdt::PnCounterOp>());
        case Type::orset:
            return read_orset_op(decoder, node, out.template emplace<crdt::OrSetOp>());
        case Type::lww_register:
            return read_lww_register_op(decoder, node, out.template emplace<crdt::LwwRegisterOp>());
        case Type::presence:
            return read_presence_op(decoder, node, out.template emplace<crdt::PresenceOp>());
        case Type::rga:
            return read_rga_op(decoder, node, out.template emplace<crdt::RgaOp>());
        case Type::tree:
            return read_tree_op(decoder, node, out.template emplace<crdt::TreeOp>());
        case Type::crdt_map:
            break;
    }
    return decoder.fail("found a CRDTMap op inside a CRDTMap op, expected an op of another type");
}

constexpr std::string_view op_expected = "an op, tagged with the name of its type";

bool read_inner_op(Decoder& decoder, MsgpackNode node, crdt::InnerOp& out) {
    const std::optional<VariantNode> variant = read_variant(decoder, node, op_expected);
    if (!variant) return false;
    const std::optional<Type> type = crdt::type_from_variant_name(variant->name);
    if (!type) return fail_unknown_variant(decoder, variant->name, op_expected);
    return read_plain_op(decoder, *type, variant->content, out) || decoder.within(variant->name);
}

bool read_type_name(Decoder& decoder, MsgpackNode node, Type& out) {
    std::string_view name;
    if (!read_string(decoder, node, name)) return false;
    const std::optional<Type> type = crdt::type_from_field_name(name);
    if (!type) return decoder.fail(node, "the name of a type, such as GCounter or Rga");
    out = *type;
    return true;
}

bool read_crdt_map_op(Decoder& decoder, MsgpackNode node, crdt::CrdtMapOp& out) {
    return read_struct(
        decoder, node,  //
        required_field("key", [&](MsgpackNode n) { return read_string(decoder, n, out.key); }),
        required_field("crdt_type", [&](MsgpackNode n) { return read_type_name(decoder, n, out.crdt_type); }),
        required_field("op", [&](MsgpackNode n) { return read_inner_op(decoder, n, out.op); }));
}

bool read_bare_op(Decoder& decoder, MsgpackNode node, Op& out) {
    const std::optional<VariantNode> variant = read_variant(decoder, node, op_expected);
    if (!variant) return false;
    const std::optional<Type> type = crdt::type_from_variant_name(variant->name);
    if (!type) return fail_unknown_variant(decoder, variant->name, op_expected);
    const bool ok = *type == Type::crdt_map
                        ? read_crdt_map_op(decoder, variant->content, out.emplace<crdt::CrdtMapOp>())
                        : read_plain_op(decoder, *type, variant->content, out);
    return ok || decoder.within(variant->name);
}

struct Envelope {
    uint64_t version = 0;
    std::optional<MsgpackNode> op;
};

// True if the top level has a key `op`, which no type is named.
bool is_envelope(MsgpackNode root) {
    if (root.kind() != MsgpackKind::map) return false;
    MsgpackNode key = root.following();
    for (uint32_t i = 0; i < root.size(); ++i) {
        if (i > 0) key = key.next().next();
        if (key.kind() == MsgpackKind::string && key.bytes() == "op") return true;
    }
    return false;
}

}  // namespace

Result<Op> decode_op(std::string_view op_bytes) {
    const Result<MsgpackTape> tape = MsgpackTape::parse(op_bytes);
    if (!tape) return tape.error();
    Decoder decoder;
    MsgpackNode bare = tape->root();
    if (is_envelope(bare)) {
        Envelope envelope;
        const bool ok = read_struct(
            decoder, tape->root(),
            optional_field("version", [&](MsgpackNode n) { return read_integer(decoder, n, envelope.version); }),
            required_field("op", [&](MsgpackNode n) {
                envelope.op = n;
                return true;
            }));
        if (!ok) return decoder.error();
        if (envelope.version > op_version_supported) {
            return Error{"invalid operation: op version " + std::to_string(envelope.version) +
                         " is newer than supported version " + std::to_string(op_version_supported) +
                         "; upgrade the server"};
        }
        bare = *envelope.op;
    }
    Op op;
    if (!read_bare_op(decoder, bare, op)) return decoder.error();
    return op;
}

Result<crdt::Hlc> decode_hlc(std::string_view bytes) {
    return decode_root<crdt::Hlc>(
        bytes, [](Decoder& decoder, MsgpackNode node, crdt::Hlc& out) { return read_hlc(decoder, node, out); });
}

Result<JsonValue> decode_json_value(std::string_view bytes) {
    return decode_root<JsonValue>(bytes, read_json_value);
}

Result<void> check_vector_clock(std::string_view bytes) {
    const Result<MsgpackTape> tape = MsgpackTape::parse(bytes);
    if (!tape) return tape.error();
    Decoder decoder;
    const auto read_entry = [&decoder](MsgpackNode key, MsgpackNode value) {
        uint64_t client_id = 0;
        uint32_t version = 0;
        return read_integer_key(decoder, key, client_id) && read_integer(decoder, value, version);
    };
    const bool ok =
        read_struct(decoder, tape->root(),
                    required_field("entries", [&](MsgpackNode n) { return read_map(decoder, n, read_entry); }));
    if (!ok) return decoder.error();
    return {};
}

}  // namespace meridian::wire
