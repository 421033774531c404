#include <algorithm>
#include <charconv>

#include "wire/client_message.h"
#include "wire/decoder.h"
#include "wire/json_value_codec.h"
#include "wire/message_parts.h"

namespace meridian::wire {

namespace {

// "wall_ms:logical:node_id", all decimal.
bool read_text_hlc(Decoder& decoder, MsgpackNode node, crdt::Hlc& out) {
    std::string_view text;
    if (!read_string(decoder, node, text)) return false;
    const char* at = text.data();
    const char* const end = at + text.size();
    const auto read_number = [&](auto& number, bool last) {
        const std::from_chars_result parsed = std::from_chars(at, end, number);
        if (parsed.ec != std::errc()) return false;
        at = parsed.ptr;
        if (last) return at == end;
        return at != end && *at++ == ':';
    };
    if (read_number(out.wall_ms, false) && read_number(out.logical, false) && read_number(out.node_id, true)) {
        return true;
    }
    return decoder.fail(node, "a stamp in the form wall_ms:logical:node_id");
}

bool read_message(Decoder& decoder, MsgpackNode node, DeltaMessage& out) {
    return read_struct(
        decoder, node,  //
        required_field("crdt_id", [&](MsgpackNode n) { return read_string(decoder, n, out.crdt_id); }),
        required_field("delta_bytes", [&](MsgpackNode n) { return read_bytes(decoder, n, out.delta_bytes); }));
}

bool read_message(Decoder& decoder, MsgpackNode node, Ack& out) {
    return read_struct(
        decoder, node,  //
        required_field("seq", [&](MsgpackNode n) { return read_integer(decoder, n, out.seq); }),
        optional_field("client_seq", [&](MsgpackNode n) { return read_optional_u64(decoder, n, out.client_seq); }));
}

bool read_message(Decoder& decoder, MsgpackNode node, BatchAck& out) {
    return read_struct(
        decoder, node,  //
        required_field("seq", [&](MsgpackNode n) { return read_integer(decoder, n, out.seq); }),
        required_field("count", [&](MsgpackNode n) { return read_integer(decoder, n, out.count); }),
        optional_field("client_seq", [&](MsgpackNode n) { return read_optional_u64(decoder, n, out.client_seq); }));
}

bool read_message(Decoder& decoder, MsgpackNode node, ErrorMessage& out) {
    return read_struct(decoder, node,  //
                       required_field("code", [&](MsgpackNode n) { return read_integer(decoder, n, out.code); }),
                       required_field("message", [&](MsgpackNode n) { return read_string(decoder, n, out.message); }));
}

bool read_message(Decoder& decoder, MsgpackNode node, AwarenessBroadcast& out) {
    return read_struct(
        decoder, node,  //
        required_field("client_id", [&](MsgpackNode n) { return read_integer(decoder, n, out.client_id); }),
        required_field("key", [&](MsgpackNode n) { return read_string(decoder, n, out.key); }),
        required_field("data", [&](MsgpackNode n) { return read_bytes(decoder, n, out.data); }));
}

bool read_message(Decoder& decoder, MsgpackNode node, QueryResult& out) {
    return read_struct(decoder, node,  //
                       required_field("query_id", [&](MsgpackNode n) { return read_string(decoder, n, out.query_id); }),
                       required_field("value", [&](MsgpackNode n) { return read_json_value(decoder, n, out.value); }),
                       required_field("matched", [&](MsgpackNode n) { return read_integer(decoder, n, out.matched); }));
}

bool read_message(Decoder& decoder, MsgpackNode node, crdt::LwwOverwritten& out) {
    return read_struct(
        decoder, node,
        required_field("winning_client_id",
                       [&](MsgpackNode n) { return read_integer(decoder, n, out.winning_client_id); }),
        required_field("winning_ts_ms", [&](MsgpackNode n) { return read_integer(decoder, n, out.winning_ts_ms); }));
}

bool read_message(Decoder& decoder, MsgpackNode node, crdt::TreeMoveCycle& out) {
    const auto read_parent = [&](MsgpackNode n) {
        return read_nullable(n, out.attempted_parent_id,
                             [&](MsgpackNode text, crdt::Hlc& stamp) { return read_text_hlc(decoder, text, stamp); });
    };
    return read_struct(decoder, node,  //
                       required_field("node_id", [&](MsgpackNode n) { return read_text_hlc(decoder, n, out.node_id); }),
                       required_field("attempted_parent_id", read_parent));
}

bool read_conflict(Decoder& decoder, MsgpackNode node, crdt::Conflict& out) {
    const auto read = [&](MsgpackNode content, auto& conflict) { return read_message(decoder, content, conflict); };
    return read_alternatives(decoder, node, "LwwOverwritten or TreeMoveCycle", out, read,
                             Alternative<crdt::LwwOverwritten>{"LwwOverwritten"},
                             Alternative<crdt::TreeMoveCycle>{"TreeMoveCycle"});
}

bool read_message(Decoder& decoder, MsgpackNode node, ConflictMessage& out) {
    return read_struct(decoder, node,  //
                       required_field("crdt_id", [&](MsgpackNode n) { return read_string(decoder, n, out.crdt_id); }),
                       required_field("kind", [&](MsgpackNode n) { return read_conflict(decoder, n, out.kind); }));
}

bool read_message(Decoder& decoder, MsgpackNode node, UndoAck& out) {
    return read_struct(decoder, node,
                       required_field("crdt_id", [&](MsgpackNode n) { return read_string(decoder, n, out.crdt_id); }));
}

bool read_message(Decoder& decoder, MsgpackNode node, UndoSkipped& out) {
    return read_struct(decoder, node,  //
                       required_field("crdt_id", [&](MsgpackNode n) { return read_string(decoder, n, out.crdt_id); }),
                       required_field("reason", [&](MsgpackNode n) { return read_string(decoder, n, out.reason); }));
}

bool read_server_message(Decoder& decoder, MsgpackNode node, ServerMessage& out) {
    const auto read = [&](MsgpackNode content, auto& message) { return read_message(decoder, content, message); };
    return read_alternatives(decoder, node, "a server message", out, read, Alternative<DeltaMessage>{"Delta"},
                             Alternative<Ack>{"Ack"}, Alternative<BatchAck>{"BatchAck"},
                             Alternative<ErrorMessage>{"Error"}, Alternative<AwarenessBroadcast>{"AwarenessBroadcast"},
                             Alternative<QueryResult>{"QueryResult"}, Alternative<ConflictMessage>{"Conflict"},
                             Alternative<UndoAck>{"UndoAck"}, Alternative<UndoSkipped>{"UndoSkipped"});
}

struct ServerMessageWriter : MessageWriter {
    void operator()(const DeltaMessage& message) const {
        begin("Delta", 2);
        string("crdt_id", message.crdt_id);
        binary("delta_bytes", std::string_view(message.delta_bytes));
    }
    void operator()(const Ack& message) const {
        begin("Ack", 1U + message.client_seq.has_value());
        number("seq", message.seq);
        number("client_seq", message.client_seq);
    }
    void operator()(const BatchAck& message) const {
        begin("BatchAck", 2U + message.client_seq.has_value());
        number("seq", message.seq);
        number("count", message.count);
        number("client_seq", message.client_seq);
    }
    void operator()(const ErrorMessage& message) const {
        begin("Error", 2);
        number("code", uint64_t{message.code});
        string("message", message.message);
    }
    void operator()(const AwarenessBroadcast& message) const {
        begin("AwarenessBroadcast", 3);
        number("client_id", message.client_id);
        string("key", message.key);
        binary("data", std::string_view(message.data));
    }
    void operator()(const QueryResult& message) const {
        begin("QueryResult", 3);
        string("query_id", message.query_id);
        writer.string("value");
        writer.raw(message.value.msgpack());
        number("matched", message.matched);
    }
    void operator()(const ConflictMessage& message) const {
        begin("Conflict", 2);
        string("crdt_id", message.crdt_id);
        writer.string("kind");
        std::visit(*this, message.kind);
    }
    void operator()(const crdt::LwwOverwritten& conflict) const {
        begin("LwwOverwritten", 2);
        number("winning_client_id", conflict.winning_client_id);
        number("winning_ts_ms", conflict.winning_ts_ms);
    }
    void operator()(const crdt::TreeMoveCycle& conflict) const {
        begin("TreeMoveCycle", 2);
        string("node_id", to_text(conflict.node_id));
        writer.string("attempted_parent_id");
        if (conflict.attempted_parent_id) {
            writer.string(to_text(*conflict.attempted_parent_id));
        } else {
            writer.nil();
        }
    }
    void operator()(const UndoAck& message) const {
        begin("UndoAck", 1);
        string("crdt_id", message.crdt_id);
    }
    void operator()(const UndoSkipped& message) const {
        begin("UndoSkipped", 2);
        string("crdt_id", message.crdt_id);
        string("reason", message.reason);
    }
};

}  // namespace

Result<ServerMessage> decode_server_message(std::string_view bytes) {
    return decode_root<ServerMessage>(bytes, read_server_message);
}

std::string encode_server_message(const ServerMessage& message) {
    std::string bytes;
    bytes.reserve(128);  // enough for most; a string grows for the others
    append_server_message(bytes, message);
    return bytes;
}

void append_server_message(std::string& out, const ServerMessage& message) {
    MsgpackWriter writer(out);
    std::visit(ServerMessageWriter{{writer}}, message);
}

void append_delta_message(std::string& out, std::string_view crdt_id, std::string_view delta_bytes) {
    constexpr size_t overhead_bytes_max = 48;  // names, headers and lengths
    // Doubling, for exact reservations would make appending many messages to one buffer quadratic.
    const size_t needed = out.size() + crdt_id.size() + delta_bytes.size() + overhead_bytes_max;
    if (needed > out.capacity()) out.reserve(std::max(needed, 2 * out.capacity()));
    MsgpackWriter writer(out);
    const MessageWriter message{writer};
    message.begin("Delta", 2);
    message.string("crdt_id", crdt_id);
    message.binary("delta_bytes", delta_bytes);
}

}  // namespace meridian::wire
