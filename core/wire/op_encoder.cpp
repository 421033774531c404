// The canonical form of an op: as the existing encoder writes it, field by field in declaration order.
#include "wire/op_codec.h"
#include "wire/op_parts.h"

namespace meridian::wire {

namespace {

// Room for an op with three stamps at once; a string grows for anything else.
constexpr size_t op_bytes_typical = 192;

struct OpWriter {
    MsgpackWriter& writer;

    // One op with its tag: {"<type>": content}.
    template <class AnyOp>
    void tagged(crdt::Type type, const AnyOp& op) const {
        writer.map(1);
        writer.string(crdt::variant_name(type));
        std::visit(*this, op);
    }

    void operator()(const crdt::GCounterOp& op) const { amount(op.client_id, op.amount); }
    void operator()(const crdt::PnCounterOp& op) const {
        writer.map(1);
        writer.string(op.side == crdt::PnCounterOp::Side::increment ? "Increment" : "Decrement");
        amount(op.client_id, op.amount);
    }
    void operator()(const crdt::OrSetOp& op) const { std::visit(*this, op); }
    void operator()(const crdt::OrSetAdd& op) const {
        begin_variant("Add", 4);
        writer.string("element");
        writer.raw(op.element.msgpack());
        writer.string("tag");
        writer.binary({reinterpret_cast<const char*>(op.tag.data()), op.tag.size()});
        writer.string("node_id");
        writer.unsigned_integer(op.node_id);
        writer.string("seq");
        writer.unsigned_integer(op.seq);
    }
    void operator()(const crdt::OrSetRemove& op) const {
        begin_variant("Remove", 2);
        writer.string("element");
        writer.raw(op.element.msgpack());
        writer.string("known_tags");
        write_tags(writer, op.known_tags);
    }
    void operator()(const crdt::LwwRegisterOp& op) const {
        writer.map(3);
        writer.string("value");
        writer.raw(op.value.msgpack());
        writer.string("hlc");
        write_hlc(writer, op.hlc);
        writer.string("author");
        writer.unsigned_integer(op.author);
    }
    void operator()(const crdt::PresenceOp& op) const { std::visit(*this, op); }
    void operator()(const crdt::PresenceHeartbeat& op) const {
        begin_variant("Heartbeat", 4);
        writer.string("client_id");
        writer.unsigned_integer(op.client_id);
        writer.string("data");
        writer.raw(op.data.msgpack());
        writer.string("hlc");
        write_hlc(writer, op.hlc);
        writer.string("ttl_ms");
        writer.unsigned_integer(op.ttl_ms);
    }
    void operator()(const crdt::PresenceLeave& op) const {
        begin_variant("Leave", 2);
        writer.string("client_id");
        writer.unsigned_integer(op.client_id);
        writer.string("hlc");
        write_hlc(writer, op.hlc);
    }
    void operator()(const crdt::CrdtMapOp& op) const {
        writer.map(3);
        writer.string("key");
        writer.string(op.key);
        writer.string("crdt_type");
        writer.string(crdt::field_name(op.crdt_type));
        writer.string("op");
        tagged(crdt::type_of(op.op), op.op);
    }
    void operator()(const crdt::RgaOp& op) const { write_rga_op(writer, op); }
    void operator()(const crdt::TreeOp& op) const { write_tree_op(writer, op); }

    void begin_variant(std::string_view name, size_t field_count) const {
        writer.map(1);
        writer.string(name);
        writer.map(field_count);
    }
    void amount(uint64_t client_id, uint64_t value) const {
        writer.map(2);
        writer.string("client_id");
        writer.unsigned_integer(client_id);
        writer.string("amount");
        writer.unsigned_integer(value);
    }
};

}  // namespace

std::string encode_op(const crdt::Op& op) {
    std::string bytes;
    bytes.reserve(op_bytes_typical);
    MsgpackWriter writer(bytes);
    OpWriter{writer}.tagged(crdt::type_of(op), op);
    return bytes;
}

std::string encode_hlc(const crdt::Hlc& stamp) {
    std::string bytes;
    MsgpackWriter writer(bytes);
    write_hlc(writer, stamp);
    return bytes;
}

}  // namespace meridian::wire
