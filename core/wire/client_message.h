// WebSocket messages between client and server (client-api.md sections 6.3 and 6.4). Pure functions; both directions,
// since tools and tests are clients. Absent optional fields are omitted, never nil, except
// TreeMoveCycle.attempted_parent_id (rule C10).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json_value.h"
#include "base/result.h"
#include "crdt/contract.h"

namespace meridian::wire {

// Client to server.
struct Subscribe {
    std::string crdt_id;
};
struct OpMessage {
    std::string crdt_id;
    std::string op_bytes;
    std::optional<uint64_t> ttl_ms;
    std::optional<uint64_t> client_seq;
    std::optional<std::string> sig;
};
struct BatchItem {
    std::string crdt_id;
    std::string op_bytes;
    std::optional<uint64_t> ttl_ms;
    std::optional<std::string> sig;
};
struct BatchOp {
    std::vector<BatchItem> ops;
    std::optional<uint64_t> client_seq;
};
struct Sync {
    std::string crdt_id;
    std::string since_vc;
};
struct AwarenessUpdate {
    std::string key;
    std::string data;
};
struct LiveQuery {
    std::string from;
    std::optional<std::string> type;
    std::string aggregate;
    std::optional<JsonValue> contains;
    std::optional<uint64_t> updated_after;
    bool has_where = false;
};
struct SubscribeQuery {
    std::string query_id;
    LiveQuery query;
};
struct UnsubscribeQuery {
    std::string query_id;
};
struct UndoLww {
    std::string crdt_id;
    std::string target_hlc;
    std::string restore_entry;
};
using ClientMessage =
    std::variant<Subscribe, OpMessage, BatchOp, Sync, AwarenessUpdate, SubscribeQuery, UnsubscribeQuery, UndoLww>;

Result<ClientMessage> decode_client_message(std::string_view bytes);
std::string encode_client_message(const ClientMessage& message);

// Server to client.
struct DeltaMessage {
    std::string crdt_id;
    std::string delta_bytes;
};
struct Ack {
    uint64_t seq = 0;
    std::optional<uint64_t> client_seq;
};
struct BatchAck {
    uint64_t seq = 0;
    uint64_t count = 0;
    std::optional<uint64_t> client_seq;
};
struct ErrorMessage {
    uint16_t code = 0;
    std::string message;
};
struct AwarenessBroadcast {
    uint64_t client_id = 0;
    std::string key;
    std::string data;
};
struct QueryResult {
    std::string query_id;
    JsonValue value;
    uint64_t matched = 0;
};
struct ConflictMessage {
    std::string crdt_id;
    crdt::Conflict kind;
};
struct UndoAck {
    std::string crdt_id;
};
struct UndoSkipped {
    std::string crdt_id;
    std::string reason;
};
using ServerMessage = std::variant<DeltaMessage, Ack, BatchAck, ErrorMessage, AwarenessBroadcast, QueryResult,
                                   ConflictMessage, UndoAck, UndoSkipped>;

std::string encode_server_message(const ServerMessage& message);
void append_server_message(std::string& out, const ServerMessage& message);
Result<ServerMessage> decode_server_message(std::string_view bytes);
// Appends `{"Delta": {crdt_id, delta_bytes}}` without copying the parts first.
void append_delta_message(std::string& out, std::string_view crdt_id, std::string_view delta_bytes);

}  // namespace meridian::wire
