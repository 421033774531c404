#include "wire/client_delta_codec.h"

#include <algorithm>

#include "wire/decoder.h"
#include "wire/json_value_codec.h"
#include "wire/op_parts.h"

namespace meridian::wire {

using crdt::ClientDelta;
using crdt::Type;

namespace {

// The inner variant has no CRDTMap, which is code 6.
Type type_of_inner(const crdt::InnerClientDelta& delta) {
    const size_t code = delta.index() + 1;
    return static_cast<Type>(code < static_cast<size_t>(Type::crdt_map) ? code : code + 1);
}

// Sorts the entries of a map by key; of entries with the same key the last one counts.
template <class Entry>
void sort_by_key_keep_last(std::vector<Entry>& entries) {
    std::stable_sort(entries.begin(), entries.end(),
                     [](const Entry& left, const Entry& right) { return left.first < right.first; });
    size_t kept = 0;
    for (size_t i = 0; i < entries.size(); ++i) {
        if (i + 1 < entries.size() && entries[i + 1].first == entries[i].first) continue;
        if (kept != i) entries[kept] = std::move(entries[i]);
        ++kept;
    }
    entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(kept), entries.end());
}

bool read_gcounter(Decoder& decoder, MsgpackNode node, crdt::GCounterClientDelta& out) {
    const auto read_slot = [&](MsgpackNode key, MsgpackNode value) {
        auto& slot = out.counters.emplace_back();
        return read_integer_key(decoder, key, slot.first) && read_integer(decoder, value, slot.second);
    };
    if (!read_struct(decoder, node,
                     required_field("counters", [&](MsgpackNode n) { return read_map(decoder, n, read_slot); }))) {
        return false;
    }
    sort_by_key_keep_last(out.counters);
    return true;
}

bool read_pncounter(Decoder& decoder, MsgpackNode node, crdt::PnCounterClientDelta& out) {
    const auto read_side = [&](MsgpackNode n, std::optional<crdt::GCounterClientDelta>& side) {
        return read_nullable(n, side, [&](MsgpackNode counter, crdt::GCounterClientDelta& delta) {
            return read_gcounter(decoder, counter, delta);
        });
    };
    return read_struct(decoder, node,  //
                       optional_field("pos", [&](MsgpackNode n) { return read_side(n, out.pos); }),
                       optional_field("neg", [&](MsgpackNode n) { return read_side(n, out.neg); }));
}

bool read_elements(Decoder& decoder, MsgpackNode node, crdt::OrSetClientDelta::Elements& out) {
    const auto read_element = [&](MsgpackNode key, MsgpackNode tags) {
        auto& element = out.emplace_back();
        return read_string(decoder, key, element.first) && read_tags(decoder, tags, element.second);
    };
    if (!read_map(decoder, node, read_element)) return false;
    sort_by_key_keep_last(out);
    return true;
}

bool read_orset(Decoder& decoder, MsgpackNode node, crdt::OrSetClientDelta& out) {
    return read_struct(decoder, node,  //
                       required_field("adds", [&](MsgpackNode n) { return read_elements(decoder, n, out.adds); }),
                       required_field("removes", [&](MsgpackNode n) { return read_elements(decoder, n, out.removes); }),
                       optional_field("tag_versions", [](MsgpackNode) { return true; }));
}

bool read_lww_entry(Decoder& decoder, MsgpackNode node, crdt::LwwEntry& out) {
    return read_struct(decoder, node,  //
                       required_field("value", [&](MsgpackNode n) { return read_json_value(decoder, n, out.value); }),
                       required_field("hlc", [&](MsgpackNode n) { return read_hlc(decoder, n, out.hlc); }),
                       required_field("author", [&](MsgpackNode n) { return read_integer(decoder, n, out.author); }));
}

bool read_lww_register(Decoder& decoder, MsgpackNode node, crdt::LwwRegisterClientDelta& out) {
    return read_struct(decoder, node, optional_field("entry", [&](MsgpackNode n) {
                           return read_nullable(n, out.entry, [&](MsgpackNode content, crdt::LwwEntry& entry) {
                               return read_lww_entry(decoder, content, entry);
                           });
                       }));
}

bool read_presence_entry(Decoder& decoder, MsgpackNode node, crdt::PresenceClientEntry& out) {
    return read_struct(decoder, node,  //
                       required_field("data", [&](MsgpackNode n) { return read_json_value(decoder, n, out.data); }),
                       required_field("hlc", [&](MsgpackNode n) { return read_hlc(decoder, n, out.hlc); }),
                       required_field("ttl_ms", [&](MsgpackNode n) { return read_integer(decoder, n, out.ttl_ms); }));
}

bool read_presence(Decoder& decoder, MsgpackNode node, crdt::PresenceClientDelta& out) {
    const auto read_change = [&](MsgpackNode key, MsgpackNode value) {
        auto& change = out.changes.emplace_back();
        return read_integer_key(decoder, key, change.first) &&
               read_nullable(value, change.second, [&](MsgpackNode content, crdt::PresenceClientEntry& entry) {
                   return read_presence_entry(decoder, content, entry);
               });
    };
    if (!read_struct(decoder, node,
                     required_field("changes", [&](MsgpackNode n) { return read_map(decoder, n, read_change); }))) {
        return false;
    }
    sort_by_key_keep_last(out.changes);
    return true;
}

bool read_rga(Decoder& decoder, MsgpackNode node, crdt::RgaClientDelta& out) {
    const auto read_op = [&](MsgpackNode n) { return read_rga_op(decoder, n, out.ops.emplace_back()); };
    return read_struct(decoder, node,
                       required_field("ops", [&](MsgpackNode n) { return read_array(decoder, n, read_op); }));
}

bool read_discarded_move(Decoder& decoder, MsgpackNode node, crdt::DiscardedMove& out) {
    return read_struct(
        decoder, node,  //
        required_field("node_id", [&](MsgpackNode n) { return read_hlc(decoder, n, out.node_id); }),
        optional_field("attempted_parent_id",
                       [&](MsgpackNode n) { return read_optional_hlc(decoder, n, out.attempted_parent_id); }),
        required_field("attempted_position",
                       [&](MsgpackNode n) { return read_string(decoder, n, out.attempted_position); }),
        optional_field("actual_parent_id",
                       [&](MsgpackNode n) { return read_optional_hlc(decoder, n, out.actual_parent_id); }),
        required_field("actual_position", [&](MsgpackNode n) { return read_string(decoder, n, out.actual_position); }));
}

bool read_tree(Decoder& decoder, MsgpackNode node, crdt::TreeClientDelta& out) {
    const auto read_op = [&](MsgpackNode n) { return read_tree_op(decoder, n, out.ops.emplace_back()); };
    const auto read_move = [&](MsgpackNode n) {
        return read_discarded_move(decoder, n, out.discarded_moves.emplace_back());
    };
    return read_struct(
        decoder, node,  //
        required_field("ops", [&](MsgpackNode n) { return read_array(decoder, n, read_op); }),
        optional_field("discarded_moves", [&](MsgpackNode n) { return read_array(decoder, n, read_move); }));
}

// A delta of any type but CRDTMap, into a variant that holds such deltas.
template <class AnyDelta>
bool read_plain_delta(Decoder& decoder, Type type, MsgpackNode node, AnyDelta& out) {
    switch (type) {
        case Type::gcounter:
            return read_gcounter(decoder, node, out.template emplace<crdt::GCounterClientDelta>());
        case Type::pncounter:
            return read_pncounter(decoder, node, out.template emplace<crdt::PnCounterClientDelta>());
        case Type::orset:
            return read_orset(decoder, node, out.template emplace<crdt::OrSetClientDelta>());
        case Type::lww_register:
            return read_lww_register(decoder, node, out.template emplace<crdt::LwwRegisterClientDelta>());
        case Type::presence:
            return read_presence(decoder, node, out.template emplace<crdt::PresenceClientDelta>());
        case Type::rga:
            return read_rga(decoder, node, out.template emplace<crdt::RgaClientDelta>());
        case Type::tree:
            return read_tree(decoder, node, out.template emplace<crdt::TreeClientDelta>());
        case Type::crdt_map:
            break;
    }
    return decoder.fail("found a CRDTMap delta inside a CRDTMap delta, expected a delta of another type");
}

bool read_inner_delta(Decoder& decoder, MsgpackNode node, crdt::InnerClientDelta& out) {
    constexpr std::string_view expected = "a delta, tagged with the name of its type";
    const std::optional<VariantNode> variant = read_variant(decoder, node, expected);
    if (!variant) return false;
    const std::optional<Type> type = crdt::type_from_variant_name(variant->name);
    if (!type) return fail_unknown_variant(decoder, variant->name, expected);
    return read_plain_delta(decoder, *type, variant->content, out) || decoder.within(variant->name);
}

bool read_crdt_map(Decoder& decoder, MsgpackNode node, crdt::CrdtMapClientDelta& out) {
    const auto read_entry = [&](MsgpackNode key, MsgpackNode value) {
        auto& entry = out.deltas.emplace_back();
        return read_string(decoder, key, entry.first) && read_inner_delta(decoder, value, entry.second);
    };
    if (!read_struct(decoder, node,
                     required_field("deltas", [&](MsgpackNode n) { return read_map(decoder, n, read_entry); }))) {
        return false;
    }
    sort_by_key_keep_last(out.deltas);
    return true;
}

struct DeltaWriter {
    MsgpackWriter& writer;
    KeyForm form;

    void integer_key(uint64_t key) const {
        if (form == KeyForm::integer_keys) {
            writer.unsigned_integer(key);
        } else {
            writer.string(std::to_string(key));
        }
    }
    void elements(std::string_view name, const crdt::OrSetClientDelta::Elements& elements) const {
        writer.string(name);
        writer.map(elements.size());
        for (const auto& [key, tags] : elements) {
            writer.string(key);
            write_tags(writer, tags);
        }
    }
    void side(std::string_view name, const std::optional<crdt::GCounterClientDelta>& delta) const {
        writer.string(name);
        if (delta) {
            (*this)(*delta);
        } else {
            writer.nil();
        }
    }
    void discarded_move(const crdt::DiscardedMove& move) const {
        writer.map(5);
        writer.string("node_id");
        write_hlc(writer, move.node_id);
        writer.string("attempted_parent_id");
        write_optional_hlc(writer, move.attempted_parent_id);
        writer.string("attempted_position");
        writer.string(move.attempted_position);
        writer.string("actual_parent_id");
        write_optional_hlc(writer, move.actual_parent_id);
        writer.string("actual_position");
        writer.string(move.actual_position);
    }

    void operator()(const crdt::GCounterClientDelta& delta) const {
        writer.map(1);
        writer.string("counters");
        writer.map(delta.counters.size());
        for (const auto& [client_id, total] : delta.counters) {
            integer_key(client_id);
            writer.unsigned_integer(total);
        }
    }
    void operator()(const crdt::PnCounterClientDelta& delta) const {
        writer.map(2);
        side("pos", delta.pos);
        side("neg", delta.neg);
    }
    void operator()(const crdt::OrSetClientDelta& delta) const {
        writer.map(2);
        elements("adds", delta.adds);
        elements("removes", delta.removes);
    }
    void operator()(const crdt::LwwRegisterClientDelta& delta) const {
        writer.map(1);
        writer.string("entry");
        if (!delta.entry) {
            writer.nil();
            return;
        }
        writer.map(3);
        writer.string("value");
        writer.raw(delta.entry->value.msgpack());
        writer.string("hlc");
        write_hlc(writer, delta.entry->hlc);
        writer.string("author");
        writer.unsigned_integer(delta.entry->author);
    }
    void operator()(const crdt::PresenceClientDelta& delta) const {
        writer.map(1);
        writer.string("changes");
        writer.map(delta.changes.size());
        for (const auto& [client_id, entry] : delta.changes) {
            integer_key(client_id);
            if (!entry) {
                writer.nil();
                continue;
            }
            writer.map(3);
            writer.string("data");
            writer.raw(entry->data.msgpack());
            writer.string("hlc");
            write_hlc(writer, entry->hlc);
            writer.string("ttl_ms");
            writer.unsigned_integer(entry->ttl_ms);
        }
    }
    void operator()(const crdt::RgaClientDelta& delta) const {
        writer.map(1);
        writer.string("ops");
        writer.array(delta.ops.size());
        for (const crdt::RgaOp& op : delta.ops) write_rga_op(writer, op);
    }
    void operator()(const crdt::TreeClientDelta& delta) const {
        writer.map(delta.discarded_moves.empty() ? 1 : 2);
        writer.string("ops");
        writer.array(delta.ops.size());
        for (const crdt::TreeOp& op : delta.ops) write_tree_op(writer, op);
        if (delta.discarded_moves.empty()) return;
        writer.string("discarded_moves");
        writer.array(delta.discarded_moves.size());
        for (const crdt::DiscardedMove& move : delta.discarded_moves) discarded_move(move);
    }
    void operator()(const crdt::CrdtMapClientDelta& delta) const {
        writer.map(1);
        writer.string("deltas");
        writer.map(delta.deltas.size());
        for (const auto& [key, inner] : delta.deltas) {
            writer.string(key);
            writer.map(1);
            writer.string(crdt::variant_name(type_of_inner(inner)));
            std::visit(*this, inner);
        }
    }
};

}  // namespace

std::string encode_client_delta(const ClientDelta& delta, KeyForm form) {
    std::string bytes;
    bytes.reserve(128);  // enough for most; a string grows for the others
    append_client_delta(bytes, delta, form);
    return bytes;
}

void append_client_delta(std::string& out, const ClientDelta& delta, KeyForm form) {
    MsgpackWriter writer(out);
    std::visit(DeltaWriter{writer, form}, delta);
}

Result<ClientDelta> decode_client_delta(Type type, std::string_view bytes) {
    return decode_root<ClientDelta>(bytes, [type](Decoder& decoder, MsgpackNode node, ClientDelta& out) {
        if (type == Type::crdt_map) return read_crdt_map(decoder, node, out.emplace<crdt::CrdtMapClientDelta>());
        return read_plain_delta(decoder, type, node, out);
    });
}

}  // namespace meridian::wire
