// Ops as canonical JSON text: the structure of the MessagePack form with the members of every object sorted by name.
#include "base/json_writer.h"
#include "base/utf8.h"
#include "wire/op_codec.h"

namespace meridian::wire {

namespace {

using crdt::Hlc;
using crdt::Tag;

std::string uuid_text(const Tag& tag) {
    static constexpr char hex[] = "0123456789abcdef";
    std::string text;
    text.reserve(36);
    for (size_t i = 0; i < tag.size(); ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10) text.push_back('-');
        text.push_back(hex[tag[i] >> 4]);
        text.push_back(hex[tag[i] & 0xf]);
    }
    return text;
}

// Writes every struct's members in alphabetical order.
struct OpJson {
    JsonWriter& writer;

    void number(std::string_view name, uint64_t value) const {
        writer.key(name);
        writer.number(value);
    }
    void string(std::string_view name, std::string_view value) const {
        writer.key(name);
        writer.string(value);
    }
    void value(std::string_view name, const JsonValue& json) const {
        writer.key(name);
        writer.value(json);
    }
    void hlc(std::string_view name, const Hlc& stamp) const {
        writer.key(name);
        writer.begin_object();
        number("logical", stamp.logical);
        number("node_id", stamp.node_id);
        number("wall_ms", stamp.wall_ms);
        writer.end_object();
    }
    void hlc(std::string_view name, const std::optional<Hlc>& stamp) const {
        if (stamp) {
            hlc(name, *stamp);
        } else {
            writer.key(name);
            writer.null();
        }
    }
    // {"<name>": {fields}}
    template <class Fields>
    void variant(std::string_view name, Fields fields) const {
        writer.begin_object();
        writer.key(name);
        writer.begin_object();
        fields();
        writer.end_object();
        writer.end_object();
    }
    template <class AnyOp>
    void tagged(crdt::Type type, const AnyOp& op) const {
        writer.begin_object();
        writer.key(crdt::variant_name(type));
        std::visit(*this, op);
        writer.end_object();
    }

    void operator()(const crdt::GCounterOp& op) const {
        writer.begin_object();
        number("amount", op.amount);
        number("client_id", op.client_id);
        writer.end_object();
    }
    void operator()(const crdt::PnCounterOp& op) const {
        variant(op.side == crdt::PnCounterOp::Side::increment ? "Increment" : "Decrement", [&] {
            number("amount", op.amount);
            number("client_id", op.client_id);
        });
    }
    void operator()(const crdt::OrSetOp& op) const { std::visit(*this, op); }
    void operator()(const crdt::OrSetAdd& op) const {
        variant("Add", [&] {
            value("element", op.element);
            number("node_id", op.node_id);
            number("seq", op.seq);
            string("tag", uuid_text(op.tag));
        });
    }
    void operator()(const crdt::OrSetRemove& op) const {
        variant("Remove", [&] {
            value("element", op.element);
            writer.key("known_tags");
            writer.begin_array();
            for (const Tag& tag : op.known_tags) writer.string(uuid_text(tag));
            writer.end_array();
        });
    }
    void operator()(const crdt::LwwRegisterOp& op) const {
        writer.begin_object();
        number("author", op.author);
        hlc("hlc", op.hlc);
        value("value", op.value);
        writer.end_object();
    }
    void operator()(const crdt::PresenceOp& op) const { std::visit(*this, op); }
    void operator()(const crdt::PresenceHeartbeat& op) const {
        variant("Heartbeat", [&] {
            number("client_id", op.client_id);
            value("data", op.data);
            hlc("hlc", op.hlc);
            number("ttl_ms", op.ttl_ms);
        });
    }
    void operator()(const crdt::PresenceLeave& op) const {
        variant("Leave", [&] {
            number("client_id", op.client_id);
            hlc("hlc", op.hlc);
        });
    }
    void operator()(const crdt::CrdtMapOp& op) const {
        writer.begin_object();
        string("crdt_type", crdt::field_name(op.crdt_type));
        string("key", op.key);
        writer.key("op");
        tagged(crdt::type_of(op.op), op.op);
        writer.end_object();
    }
    void operator()(const crdt::RgaOp& op) const { std::visit(*this, op); }
    void operator()(const crdt::RgaInsert& op) const {
        variant("Insert", [&] {
            std::string character;
            append_utf8(character, op.content);
            string("content", character);
            hlc("id", op.id);
            hlc("origin_id", op.origin_id);
        });
    }
    void operator()(const crdt::RgaDelete& op) const {
        variant("Delete", [&] { hlc("id", op.id); });
    }
    void operator()(const crdt::TreeOp& op) const { std::visit(*this, op); }
    void operator()(const crdt::TreeAddNode& op) const {
        variant("AddNode", [&] {
            hlc("id", op.id);
            hlc("parent_id", op.parent_id);
            string("position", op.position);
            string("value", op.value);
        });
    }
    void operator()(const crdt::TreeMoveNode& op) const {
        variant("MoveNode", [&] {
            hlc("new_parent_id", op.new_parent_id);
            string("new_position", op.new_position);
            hlc("node_id", op.node_id);
            hlc("op_id", op.op_id);
        });
    }
    void operator()(const crdt::TreeUpdateNode& op) const {
        variant("UpdateNode", [&] {
            hlc("id", op.id);
            hlc("updated_at", op.updated_at);
            string("value", op.value);
        });
    }
    void operator()(const crdt::TreeDeleteNode& op) const {
        variant("DeleteNode", [&] { hlc("id", op.id); });
    }
};

}  // namespace

std::string op_to_json(const crdt::Op& op) {
    JsonWriter writer;
    OpJson{writer}.tagged(crdt::type_of(op), op);
    return writer.take();
}

}  // namespace meridian::wire
