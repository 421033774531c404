#include "wire/client_message.h"

#include "wire/decoder.h"
#include "wire/json_value_codec.h"
#include "wire/message_parts.h"

namespace meridian::wire {

namespace {

// Optional fields may be missing or nil.
bool read_optional_bytes(Decoder& decoder, MsgpackNode node, std::optional<std::string>& out) {
    return read_nullable(node, out, [&](MsgpackNode n, std::string& value) { return read_bytes(decoder, n, value); });
}

bool read_message(Decoder& decoder, MsgpackNode node, Subscribe& out) {
    return read_struct(decoder, node,
                       required_field("crdt_id", [&](MsgpackNode n) { return read_string(decoder, n, out.crdt_id); }));
}

bool read_message(Decoder& decoder, MsgpackNode node, OpMessage& out) {
    return read_struct(
        decoder, node,  //
        required_field("crdt_id", [&](MsgpackNode n) { return read_string(decoder, n, out.crdt_id); }),
        required_field("op_bytes", [&](MsgpackNode n) { return read_bytes(decoder, n, out.op_bytes); }),
        optional_field("ttl_ms", [&](MsgpackNode n) { return read_optional_u64(decoder, n, out.ttl_ms); }),
        optional_field("client_seq", [&](MsgpackNode n) { return read_optional_u64(decoder, n, out.client_seq); }),
        optional_field("sig", [&](MsgpackNode n) { return read_optional_bytes(decoder, n, out.sig); }));
}

bool read_batch_item(Decoder& decoder, MsgpackNode node, BatchItem& out) {
    return read_struct(
        decoder, node,  //
        required_field("crdt_id", [&](MsgpackNode n) { return read_string(decoder, n, out.crdt_id); }),
        required_field("op_bytes", [&](MsgpackNode n) { return read_bytes(decoder, n, out.op_bytes); }),
        optional_field("ttl_ms", [&](MsgpackNode n) { return read_optional_u64(decoder, n, out.ttl_ms); }),
        optional_field("sig", [&](MsgpackNode n) { return read_optional_bytes(decoder, n, out.sig); }));
}

bool read_message(Decoder& decoder, MsgpackNode node, BatchOp& out) {
    const auto read_item = [&](MsgpackNode n) { return read_batch_item(decoder, n, out.ops.emplace_back()); };
    return read_struct(
        decoder, node,  //
        required_field("ops", [&](MsgpackNode n) { return read_array(decoder, n, read_item); }),
        optional_field("client_seq", [&](MsgpackNode n) { return read_optional_u64(decoder, n, out.client_seq); }));
}

bool read_message(Decoder& decoder, MsgpackNode node, Sync& out) {
    return read_struct(decoder, node,  //
                       required_field("crdt_id", [&](MsgpackNode n) { return read_string(decoder, n, out.crdt_id); }),
                       required_field("since_vc", [&](MsgpackNode n) { return read_bytes(decoder, n, out.since_vc); }));
}

bool read_message(Decoder& decoder, MsgpackNode node, AwarenessUpdate& out) {
    return read_struct(decoder, node,  //
                       required_field("key", [&](MsgpackNode n) { return read_string(decoder, n, out.key); }),
                       required_field("data", [&](MsgpackNode n) { return read_bytes(decoder, n, out.data); }));
}

bool read_where(Decoder& decoder, MsgpackNode node, LiveQuery& out) {
    const auto read_updated_after = [&](MsgpackNode n) { return read_optional_u64(decoder, n, out.updated_after); };
    out.has_where = true;
    return read_struct(decoder, node,
                       // A filter for null cannot be expressed: nil means no filter.
                       optional_field("contains",
                                      [&](MsgpackNode n) {
                                          return read_nullable(n, out.contains,
                                                               [&](MsgpackNode content, JsonValue& value) {
                                                                   return read_json_value(decoder, content, value);
                                                               });
                                      }),
                       optional_field("updated_after", read_updated_after),
                       // The spelling of the HTTP query, which clients pass through.
                       optional_field("updatedAfter", read_updated_after));
}

bool read_query(Decoder& decoder, MsgpackNode node, LiveQuery& out) {
    return read_struct(
        decoder, node,  //
        required_field("from", [&](MsgpackNode n) { return read_string(decoder, n, out.from); }),
        optional_field("type",
                       [&](MsgpackNode n) {
                           return read_nullable(n, out.type, [&](MsgpackNode name, std::string& value) {
                               return read_string(decoder, name, value);
                           });
                       }),
        required_field("aggregate", [&](MsgpackNode n) { return read_string(decoder, n, out.aggregate); }),
        optional_field("where", [&](MsgpackNode n) { return n.is_nil() || read_where(decoder, n, out); }));
}

bool read_message(Decoder& decoder, MsgpackNode node, SubscribeQuery& out) {
    return read_struct(decoder, node,  //
                       required_field("query_id", [&](MsgpackNode n) { return read_string(decoder, n, out.query_id); }),
                       required_field("query", [&](MsgpackNode n) { return read_query(decoder, n, out.query); }));
}

bool read_message(Decoder& decoder, MsgpackNode node, UnsubscribeQuery& out) {
    return read_struct(decoder, node, required_field("query_id", [&](MsgpackNode n) {
                           return read_string(decoder, n, out.query_id);
                       }));
}

bool read_message(Decoder& decoder, MsgpackNode node, UndoLww& out) {
    return read_struct(
        decoder, node,  //
        required_field("crdt_id", [&](MsgpackNode n) { return read_string(decoder, n, out.crdt_id); }),
        required_field("target_hlc", [&](MsgpackNode n) { return read_bytes(decoder, n, out.target_hlc); }),
        required_field("restore_entry", [&](MsgpackNode n) { return read_bytes(decoder, n, out.restore_entry); }));
}

bool read_client_message(Decoder& decoder, MsgpackNode node, ClientMessage& out) {
    const auto read = [&](MsgpackNode content, auto& message) { return read_message(decoder, content, message); };
    return read_alternatives(decoder, node, "a client message", out, read, Alternative<OpMessage>{"Op"},
                             Alternative<Subscribe>{"Subscribe"}, Alternative<BatchOp>{"BatchOp"},
                             Alternative<Sync>{"Sync"}, Alternative<AwarenessUpdate>{"AwarenessUpdate"},
                             Alternative<SubscribeQuery>{"SubscribeQuery"},
                             Alternative<UnsubscribeQuery>{"UnsubscribeQuery"}, Alternative<UndoLww>{"UndoLww"});
}

struct ClientMessageWriter : MessageWriter {
    void operator()(const Subscribe& message) const {
        begin("Subscribe", 1);
        string("crdt_id", message.crdt_id);
    }
    void operator()(const OpMessage& message) const {
        begin("Op", 2U + message.ttl_ms.has_value() + message.client_seq.has_value() + message.sig.has_value());
        string("crdt_id", message.crdt_id);
        binary("op_bytes", std::string_view(message.op_bytes));
        number("ttl_ms", message.ttl_ms);
        number("client_seq", message.client_seq);
        binary("sig", message.sig);
    }
    void operator()(const BatchOp& message) const {
        begin("BatchOp", 1U + message.client_seq.has_value());
        writer.string("ops");
        writer.array(message.ops.size());
        for (const BatchItem& item : message.ops) {
            writer.map(2U + item.ttl_ms.has_value() + item.sig.has_value());
            string("crdt_id", item.crdt_id);
            binary("op_bytes", std::string_view(item.op_bytes));
            number("ttl_ms", item.ttl_ms);
            binary("sig", item.sig);
        }
        number("client_seq", message.client_seq);
    }
    void operator()(const Sync& message) const {
        begin("Sync", 2);
        string("crdt_id", message.crdt_id);
        binary("since_vc", std::string_view(message.since_vc));
    }
    void operator()(const AwarenessUpdate& message) const {
        begin("AwarenessUpdate", 2);
        string("key", message.key);
        binary("data", std::string_view(message.data));
    }
    void operator()(const SubscribeQuery& message) const {
        begin("SubscribeQuery", 2);
        string("query_id", message.query_id);
        const LiveQuery& query = message.query;
        writer.string("query");
        writer.map(2U + query.type.has_value() + query.has_where);
        string("from", query.from);
        if (query.type) string("type", *query.type);
        string("aggregate", query.aggregate);
        if (!query.has_where) return;
        writer.string("where");
        writer.map(size_t{query.contains.has_value()} + query.updated_after.has_value());
        if (query.contains) {
            writer.string("contains");
            writer.raw(query.contains->msgpack());
        }
        number("updated_after", query.updated_after);
    }
    void operator()(const UnsubscribeQuery& message) const {
        begin("UnsubscribeQuery", 1);
        string("query_id", message.query_id);
    }
    void operator()(const UndoLww& message) const {
        begin("UndoLww", 3);
        string("crdt_id", message.crdt_id);
        binary("target_hlc", std::string_view(message.target_hlc));
        binary("restore_entry", std::string_view(message.restore_entry));
    }
};

}  // namespace

Result<ClientMessage> decode_client_message(std::string_view bytes) {
    return decode_root<ClientMessage>(bytes, read_client_message);
}

std::string encode_client_message(const ClientMessage& message) {
    std::string bytes;
    MsgpackWriter writer(bytes);
    std::visit(ClientMessageWriter{{writer}}, message);
    return bytes;
}

}  // namespace meridian::wire
