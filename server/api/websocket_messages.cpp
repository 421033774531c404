#include "api/websocket_messages.h"

#include <algorithm>

#include "api/drift.h"
#include "auth/token.h"
#include "cluster/cluster.h"
#include "net/websocket_connection.h"
#include "wire/op_codec.h"

namespace meridian::server {
namespace {

constexpr const char* key_forbidden = "insufficient permissions for key";
constexpr uint16_t lww_op_mask = 0x0001;

// What a client is told when a request did not go through.
wire::ErrorMessage error_of(node::Status status, const std::string& text) {
    const auto with = [&text](const char* general) { return text.empty() ? std::string(general) : text; };
    switch (status) {
        case node::Status::rejected:
        case node::Status::idempotency_mismatch:
            return {400, with("invalid operation")};
        case node::Status::not_found:
            return {404, "crdt not found"};
        case node::Status::overloaded:
            return {503, with("overloaded: try again later")};
        case node::Status::unavailable:
            return {503, with("unavailable: the store takes no writes")};
        case node::Status::outcome_unknown:
            return {503, with("outcome unknown: the store failed while the write was in flight")};
        default:
            return {500, with("internal error")};
    }
}

// Whether the signature that the token asks for is there and right.
enum class SignatureCheck : uint8_t { fine, missing, invalid };
SignatureCheck check_signature(const Session& session, const std::optional<std::string>& signature,
                               const std::string& op_bytes) {
    if (!session.claims.client_key) return SignatureCheck::fine;
    if (!signature) return SignatureCheck::missing;
    return verify_signature(*signature, op_bytes, *session.claims.client_key) ? SignatureCheck::fine
                                                                              : SignatureCheck::invalid;
}

class MessageHandler {
public:
    MessageHandler(WebSocketConnection& connection, std::string_view payload, uint64_t now_ms)
        : connection_(connection), payload_(payload), now_ms_(now_ms) {}

    void operator()(wire::Subscribe& message) { read_state(message.crdt_id, true); }

    void operator()(wire::Sync& message) {
        if (!connection_.may_read(message.crdt_id)) return fail(403, key_forbidden);
        if (!wire::check_vector_clock(message.since_vc)) return fail(400, "malformed vector clock");
        read_state(message.crdt_id, false);
    }

    void operator()(wire::OpMessage& message) {
        Result<crdt::Op> op = wire::decode_op(message.op_bytes);
        if (!op) return fail(400, "malformed op");
        const SignatureCheck signature = check_signature(connection_.session(), message.sig, message.op_bytes);
        if (signature == SignatureCheck::missing) return fail(401, "op signature required");
        if (signature == SignatureCheck::invalid) return fail(401, "invalid op signature");
        if (!may_write(message.crdt_id, crdt::op_mask(*op))) return fail(403, "op not permitted by token");
        if (const auto drift = drift_problem(*op, now_ms_, false)) return fail(400, *drift);

        node::WriteRequest request = new_request(node::Source::ws);
        request.items.push_back(
            {std::move(message.crdt_id), std::move(op).value(), std::move(message.op_bytes), message.ttl_ms});
        write(std::move(request), {0, message.client_seq, false});
    }

    void operator()(wire::BatchOp& message) {
        if (message.ops.empty()) return fail(400, "batch must not be empty");
        if (message.ops.size() > connection_.edge().settings().batch_items) {
            return fail(400, "batch of " + std::to_string(message.ops.size()) + " items: at most " +
                                 std::to_string(connection_.edge().settings().batch_items) + " are accepted");
        }
        node::WriteRequest request = new_request(node::Source::ws_batch);
        for (wire::BatchItem& item : message.ops) {
            const SignatureCheck signature = check_signature(connection_.session(), item.sig, item.op_bytes);
            if (signature == SignatureCheck::missing)
                return fail(401, "batch: op signature required for " + item.crdt_id);
            if (signature == SignatureCheck::invalid)
                return fail(401, "batch: invalid op signature for " + item.crdt_id);
            Result<crdt::Op> op = wire::decode_op(item.op_bytes);
            if (!op) return fail(400, "batch: malformed op for " + item.crdt_id);
            if (const auto drift = drift_problem(*op, now_ms_, true))
                return fail(400, "batch: " + item.crdt_id + ": " + *drift);
            if (!may_write(item.crdt_id, crdt::op_mask(*op)))
                return fail(403, "batch: op not permitted on " + item.crdt_id);
            request.items.push_back(
                {std::move(item.crdt_id), std::move(op).value(), std::move(item.op_bytes), item.ttl_ms});
        }
        write(std::move(request), {0, message.client_seq, true});
    }

    void operator()(wire::AwarenessUpdate& message) {
        const config::Settings& settings = connection_.edge().settings();
        const Claims& claims = connection_.session().claims;
        if (claims.permissions.write.empty()) return fail(403, "awareness needs write permission");
        if (message.key.size() + message.data.size() > settings.awareness_bytes) {
            return fail(400, "awareness larger than " + std::to_string(settings.awareness_bytes) + " bytes");
        }
        if (!connection_.take_awareness_slot()) return fail(429, "too many requests");
        if (Cluster* cluster = connection_.edge().shared().cluster)
            cluster->publish_awareness({connection_.room().name(), claims.client_id, message.key, message.data});
        const wire::AwarenessBroadcast broadcast{claims.client_id, std::move(message.key), std::move(message.data)};
        connection_.broadcast(std::make_shared<const std::string>(wire::encode_server_message(broadcast)));
    }

    void operator()(wire::SubscribeQuery&) { fail(400, "live queries are not available yet"); }
    void operator()(wire::UnsubscribeQuery&) { fail(400, "live queries are not available yet"); }

    void operator()(wire::UndoLww& message) {
        if (!may_write(message.crdt_id, lww_op_mask)) return fail(403, key_forbidden);
        const Result<crdt::Hlc> target = wire::decode_hlc(message.target_hlc);
        if (!target) return fail(400, "malformed target_hlc");
        Result<JsonValue> restore = wire::decode_json_value(message.restore_entry);
        if (!restore) return fail(400, "malformed restore_entry");
        node::UndoRequest request;
        request.namespace_name = connection_.room().name();
        request.key = message.crdt_id;
        request.client_id = connection_.session().claims.client_id;
        request.target = *target;
        request.restore = std::move(restore).value();
        request.request_bytes = payload_;
        const uint64_t number = connection_.begin_reply();
        auto completion = [number, key = std::move(message.crdt_id)](WebSocketConnection& connection,
                                                                     node::UndoOutcome outcome) {
            connection.complete_reply(number, [key, outcome = std::move(outcome)](WebSocketConnection& then) {
                if (outcome.status != node::Status::ok) {
                    then.send(error_of(outcome.status, outcome.text));
                } else if (outcome.skipped) {
                    then.send(wire::UndoSkipped{key, outcome.text});
                } else {
                    then.count_changes(1);
                    then.send(wire::UndoAck{key});
                }
            });
        };
        connection_.ask<node::UndoOutcome>(
            number,
            [request = std::move(request)](node::Shard& shard, std::function<void(node::UndoOutcome)> answer) mutable {
                return shard.undo(std::move(request), std::move(answer));
            },
            std::move(completion));
    }

    void fail(uint16_t code, std::string text) {
        connection_.reply_error(connection_.begin_reply(), code, std::move(text));
    }

private:
    bool may_write(const std::string& key, uint16_t op_mask) const {
        return connection_.session().access.can_write(key, op_mask, now_ms_);
    }

    node::WriteRequest new_request(node::Source source) const {
        node::WriteRequest request;
        request.namespace_name = connection_.room().name();
        request.source = source;
        request.client_id = connection_.session().claims.client_id;
        return request;
    }

    // `ack` without the number of changes; conflicts go before it.
    void write(node::WriteRequest request, WebSocketConnection::WriteAck ack) {
        const uint64_t number = connection_.begin_reply();
        auto completion = [number, ack](WebSocketConnection& connection, node::WriteOutcome outcome) {
            WebSocketConnection::WriteAck done = ack;
            done.changes = static_cast<uint64_t>(
                std::count_if(outcome.items.begin(), outcome.items.end(),
                              [](const node::ItemOutcome& item) { return item.delta != nullptr; }));
            if (outcome.status == node::Status::ok && outcome.conflicts.empty())
                return connection.complete_reply(number, done);
            connection.complete_reply(number, [done, outcome = std::move(outcome)](WebSocketConnection& then) {
                if (outcome.status != node::Status::ok) return then.send(error_of(outcome.status, outcome.text));
                // A conflict tells of another client's value, which only a reader of the key may know.
                for (const node::KeyConflict& each : outcome.conflicts) {
                    if (then.may_read(each.key)) then.send(wire::ConflictMessage{each.key, each.conflict});
                }
                then.send(done);
            });
        };
        connection_.ask<node::WriteOutcome>(
            number,
            [request = std::move(request)](node::Shard& shard, std::function<void(node::WriteOutcome)> answer) mutable {
                return shard.write(std::move(request), std::move(answer));
            },
            std::move(completion));
    }

    // Subscribe: the state, if there is one, then an Ack. Sync: the state, or an Ack if there is nothing new to send.
    void read_state(const std::string& key, bool subscribe) {
        if (!connection_.may_read(key)) return fail(403, key_forbidden);
        const uint64_t number = connection_.begin_reply();
        connection_.withhold_key(key);
        // The next frame waits until the state is out: one state at a time bounds what a client can make us hold.
        connection_.hold_until(number);
        const auto completion = [number, subscribe](WebSocketConnection& connection,
                                                    const node::StateOutcome& outcome) {
            connection.complete_reply_in_place(number, [subscribe, outcome](WebSocketConnection& then) {
                then.release_key();
                if (outcome.status == node::Status::not_found && !subscribe)
                    return then.send(wire::ErrorMessage{404, "crdt not found"});
                if (outcome.status != node::Status::ok && outcome.status != node::Status::not_found) {
                    return then.send(error_of(outcome.status, outcome.text));
                }
                // Of an expired key nothing is told to somebody who may never have seen it.
                const bool has_state =
                    outcome.status == node::Status::ok && outcome.state && !outcome.state->frames.empty();
                const bool repeated = has_state && then.is_state_repeated(outcome.state) && !subscribe;
                if (has_state && !repeated) then.send_state(*outcome.state);
                if (subscribe || !has_state || repeated) then.send(wire::Ack{then.count_changes(0), std::nullopt});
            });
        };
        connection_.ask<node::StateOutcome>(
            number,
            [name = connection_.room().name(), key, form = connection_.sequence_form()](
                node::Shard& shard, std::function<void(node::StateOutcome)> answer) {
                return shard.read_state(name, key, form, std::move(answer));
            },
            completion);
    }

    WebSocketConnection& connection_;
    std::string_view payload_;
    uint64_t now_ms_;
};

}  // namespace

void handle_message(WebSocketConnection& connection, std::string_view payload, uint64_t now_ms) {
    connection.edge().statistics().websocket_messages.add(1);
    MessageHandler handler(connection, payload, now_ms);
    Result<wire::ClientMessage> message = wire::decode_client_message(payload);
    if (!message) return handler.fail(400, "malformed message");
    std::visit(handler, *message);
}

}  // namespace meridian::server
