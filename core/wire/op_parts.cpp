#include "wire/op_parts.h"

#include <algorithm>
#include <cstring>

#include "base/utf8.h"

namespace meridian::wire {

using crdt::Hlc;
using crdt::Tag;

bool read_hlc(Decoder& decoder, MsgpackNode node, Hlc& out, bool* rounded) {
    constexpr uint64_t u64_max = std::numeric_limits<uint64_t>::max();
    return read_struct(
        decoder, node,
        required_field("wall_ms", [&](MsgpackNode n) { return read_unsigned(decoder, n, u64_max, out.wall_ms); }),
        required_field("logical", [&](MsgpackNode n) { return read_integer(decoder, n, out.logical); }),
        required_field("node_id",
                       [&](MsgpackNode n) { return read_unsigned(decoder, n, u64_max, out.node_id, rounded); }));
}

bool read_optional_hlc(Decoder& decoder, MsgpackNode node, std::optional<Hlc>& out, bool* rounded) {
    return read_nullable(node, out, [&](MsgpackNode n, Hlc& stamp) { return read_hlc(decoder, n, stamp, rounded); });
}

bool read_tag(Decoder& decoder, MsgpackNode node, Tag& out) {
    if (node.kind() != MsgpackKind::binary || node.size() != out.size()) {
        return decoder.fail(node, "a UUID, which is a byte string of 16 bytes");
    }
    std::memcpy(out.data(), node.bytes().data(), out.size());
    return true;
}

bool read_tags(Decoder& decoder, MsgpackNode node, std::vector<Tag>& out) {
    const bool ok =
        read_array(decoder, node, [&](MsgpackNode element) { return read_tag(decoder, element, out.emplace_back()); });
    if (!ok) return false;
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return true;
}

namespace {

bool read_character(Decoder& decoder, MsgpackNode node, char32_t& out) {
    if (node.kind() == MsgpackKind::string) {
        if (const std::optional<char32_t> scalar = single_utf8_scalar(node.bytes())) {
            out = *scalar;
            return true;
        }
    }
    return decoder.fail(node, "a string of exactly one Unicode scalar value");
}

bool read_insert(Decoder& decoder, MsgpackNode node, crdt::RgaInsert& out) {
    return read_struct(
        decoder, node,  //
        required_field("id", [&](MsgpackNode n) { return read_hlc(decoder, n, out.id); }),
        optional_field(
            "origin_id",
            [&](MsgpackNode n) { return read_optional_hlc(decoder, n, out.origin_id, &out.origin_rounded); }),
        required_field("content", [&](MsgpackNode n) { return read_character(decoder, n, out.content); }));
}

bool read_delete(Decoder& decoder, MsgpackNode node, crdt::RgaDelete& out) {
    return read_struct(decoder, node, required_field("id", [&](MsgpackNode n) {
                           return read_hlc(decoder, n, out.id, &out.id_rounded);
                       }));
}

bool read_add_node(Decoder& decoder, MsgpackNode node, crdt::TreeAddNode& out) {
    return read_struct(decoder, node,  //
                       required_field("id", [&](MsgpackNode n) { return read_hlc(decoder, n, out.id); }),
                       optional_field("parent_id",
                                      [&](MsgpackNode n) {
                                          return read_optional_hlc(decoder, n, out.parent_id, &out.parent_rounded);
                                      }),
                       required_field("position", [&](MsgpackNode n) { return read_string(decoder, n, out.position); }),
                       required_field("value", [&](MsgpackNode n) { return read_string(decoder, n, out.value); }));
}

bool read_move_node(Decoder& decoder, MsgpackNode node, crdt::TreeMoveNode& out) {
    return read_struct(
        decoder, node,  //
        required_field("op_id", [&](MsgpackNode n) { return read_hlc(decoder, n, out.op_id); }),
        required_field("node_id", [&](MsgpackNode n) { return read_hlc(decoder, n, out.node_id, &out.node_rounded); }),
        optional_field(
            "new_parent_id",
            [&](MsgpackNode n) { return read_optional_hlc(decoder, n, out.new_parent_id, &out.parent_rounded); }),
        required_field("new_position", [&](MsgpackNode n) { return read_string(decoder, n, out.new_position); }));
}

bool read_update_node(Decoder& decoder, MsgpackNode node, crdt::TreeUpdateNode& out) {
    return read_struct(
        decoder, node,
        required_field("id", [&](MsgpackNode n) { return read_hlc(decoder, n, out.id, &out.id_rounded); }),
        required_field("value", [&](MsgpackNode n) { return read_string(decoder, n, out.value); }),
        required_field("updated_at", [&](MsgpackNode n) { return read_hlc(decoder, n, out.updated_at); }));
}

bool read_delete_node(Decoder& decoder, MsgpackNode node, crdt::TreeDeleteNode& out) {
    return read_struct(decoder, node, required_field("id", [&](MsgpackNode n) {
                           return read_hlc(decoder, n, out.id, &out.id_rounded);
                       }));
}

}  // namespace

bool read_rga_op(Decoder& decoder, MsgpackNode node, crdt::RgaOp& out) {
    constexpr std::string_view expected = "Insert or Delete";
    const std::optional<VariantNode> variant = read_variant(decoder, node, expected);
    if (!variant) return false;
    bool ok = false;
    if (variant->name == "Insert") {
        ok = read_insert(decoder, variant->content, out.emplace<crdt::RgaInsert>());
    } else if (variant->name == "Delete") {
        ok = read_delete(decoder, variant->content, out.emplace<crdt::RgaDelete>());
    } else {
        return fail_unknown_variant(decoder, variant->name, expected);
    }
    return ok || decoder.within(variant->name);
}

bool read_tree_op(Decoder& decoder, MsgpackNode node, crdt::TreeOp& out) {
    constexpr std::string_view expected = "AddNode, MoveNode, UpdateNode or DeleteNode";
    const std::optional<VariantNode> variant = read_variant(decoder, node, expected);
    if (!variant) return false;
    bool ok = false;
    if (variant->name == "AddNode") {
        ok = read_add_node(decoder, variant->content, out.emplace<crdt::TreeAddNode>());
    } else if (variant->name == "MoveNode") {
        ok = read_move_node(decoder, variant->content, out.emplace<crdt::TreeMoveNode>());
    } else if (variant->name == "UpdateNode") {
        ok = read_update_node(decoder, variant->content, out.emplace<crdt::TreeUpdateNode>());
    } else if (variant->name == "DeleteNode") {
        ok = read_delete_node(decoder, variant->content, out.emplace<crdt::TreeDeleteNode>());
    } else {
        return fail_unknown_variant(decoder, variant->name, expected);
    }
    return ok || decoder.within(variant->name);
}

void write_hlc(MsgpackWriter& writer, const Hlc& stamp, bool rounded) {
    writer.map(3);
    writer.string("wall_ms");
    writer.unsigned_integer(stamp.wall_ms);
    writer.string("logical");
    writer.unsigned_integer(stamp.logical);
    writer.string("node_id");
    if (rounded) {
        writer.float64(static_cast<double>(stamp.node_id));
    } else {
        writer.unsigned_integer(stamp.node_id);
    }
}

void write_optional_hlc(MsgpackWriter& writer, const std::optional<Hlc>& stamp, bool rounded) {
    if (stamp) {
        write_hlc(writer, *stamp, rounded);
    } else {
        writer.nil();
    }
}

void write_tags(MsgpackWriter& writer, const std::vector<Tag>& tags) {
    writer.array(tags.size());
    for (const Tag& tag : tags) writer.binary({reinterpret_cast<const char*>(tag.data()), tag.size()});
}

namespace {

// Starts `{"<variant>": {<field_count> fields}}`.
void begin_variant(MsgpackWriter& writer, std::string_view name, size_t field_count) {
    writer.map(1);
    writer.string(name);
    writer.map(field_count);
}

struct BodyWriter {
    MsgpackWriter& writer;

    void operator()(const crdt::RgaInsert& op) const {
        begin_variant(writer, "Insert", 3);
        writer.string("id");
        write_hlc(writer, op.id);
        writer.string("origin_id");
        write_optional_hlc(writer, op.origin_id, op.origin_rounded);
        writer.string("content");
        std::string character;
        append_utf8(character, op.content);
        writer.string(character);
    }
    void operator()(const crdt::RgaDelete& op) const {
        begin_variant(writer, "Delete", 1);
        writer.string("id");
        write_hlc(writer, op.id, op.id_rounded);
    }
    void operator()(const crdt::TreeAddNode& op) const {
        begin_variant(writer, "AddNode", 4);
        writer.string("id");
        write_hlc(writer, op.id);
        writer.string("parent_id");
        write_optional_hlc(writer, op.parent_id, op.parent_rounded);
        writer.string("position");
        writer.string(op.position);
        writer.string("value");
        writer.string(op.value);
    }
    void operator()(const crdt::TreeMoveNode& op) const {
        begin_variant(writer, "MoveNode", 4);
        writer.string("op_id");
        write_hlc(writer, op.op_id);
        writer.string("node_id");
        write_hlc(writer, op.node_id, op.node_rounded);
        writer.string("new_parent_id");
        write_optional_hlc(writer, op.new_parent_id, op.parent_rounded);
        writer.string("new_position");
        writer.string(op.new_position);
    }
    void operator()(const crdt::TreeUpdateNode& op) const {
        begin_variant(writer, "UpdateNode", 3);
        writer.string("id");
        write_hlc(writer, op.id, op.id_rounded);
        writer.string("value");
        writer.string(op.value);
        writer.string("updated_at");
        write_hlc(writer, op.updated_at);
    }
    void operator()(const crdt::TreeDeleteNode& op) const {
        begin_variant(writer, "DeleteNode", 1);
        writer.string("id");
        write_hlc(writer, op.id, op.id_rounded);
    }
};

}  // namespace

void write_rga_op(MsgpackWriter& writer, const crdt::RgaOp& op) {
    std::visit(BodyWriter{writer}, op);
}

void write_tree_op(MsgpackWriter& writer, const crdt::TreeOp& op) {
    std::visit(BodyWriter{writer}, op);
}

}  // namespace meridian::wire
