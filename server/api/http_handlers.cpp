#include "api/http_handlers.h"

#include <Poco/SHA1Engine.h>
#include <sodium.h>

#include <charconv>

#include "api/backup_api.h"
#include "api/cluster_api.h"
#include "api/cluster_digest_api.h"
#include "api/drift.h"
#include "api/merged_delta.h"
#include "api/token_api.h"
#include "base/json_writer.h"
#include "cluster/cluster.h"
#include "http/request_head.h"
#include "metrics/metrics_page.h"
#include "net/edge_loop.h"
#include "net/websocket_connection.h"
#include "protocol/percent.h"
#include "wire/client_delta_codec.h"
#include "wire/op_codec.h"

namespace meridian::server {
namespace {

constexpr const char* msgpack_type = "application/msgpack";
constexpr const char* json_type = "application/json";

HttpResponse json_response(std::string body, int status = 200) {
    HttpResponse response;
    response.status = status;
    response.content_type = json_type;
    response.body = std::move(body);
    return response;
}

HttpResponse no_content() {
    HttpResponse response;
    response.status = 204;
    return response;
}

HttpResponse not_found() {
    return error_response(404, "not_found", "no such crdt");
}
HttpResponse forbidden() {
    return error_response(403, "forbidden", "the token does not allow this");
}
HttpResponse wrong_namespace() {
    return error_response(403, "forbidden", "the token is for another namespace");
}

// What the node could not do; `apply_failed` is a rejected op.
HttpResponse response_of(node::Status status, const std::string& text) {
    const auto with = [&text](const char* general) { return text.empty() ? std::string(general) : text; };
    HttpResponse response;
    switch (status) {
        case node::Status::rejected:
            return error_response(400, "apply_failed", text);
        case node::Status::not_found:
            return not_found();
        case node::Status::overloaded:
            response = error_response(503, "overloaded", with("too many requests are waiting"));
            response.headers = "retry-after: 1\r\n";
            return response;
        case node::Status::unavailable:
            response = error_response(503, "unavailable", with("the store takes no writes"));
            response.headers = "retry-after: 10\r\n";
            return response;
        case node::Status::outcome_unknown: {
            JsonWriter json;
            const std::string message = with("the store failed while the write was in flight");
            json.begin_object();
            json.key("detail");
            json.string(message);
            json.key("error");
            json.string("unavailable");
            json.key("message");
            json.string(message);
            json.key("outcome");
            json.string("unknown");
            json.end_object();
            return json_response(json.take(), 503);
        }
        case node::Status::idempotency_mismatch:
            return error_response(422, "idempotency_key_reused",
                                  with("the Idempotency-Key was used for another request"));
        default:
            return error_response(500, "corrupt", with("the stored crdt cannot be read"));
    }
}

// One request being answered. Copied into the node's completions.
struct Exchange {
    EdgeLoop& edge;
    ConnectionRef reply_to;
    uint64_t number;

    void answer(HttpResponse response) const { edge.respond(reply_to, number, std::move(response)); }
};

HttpResponse metrics_response(EdgeLoop& edge, const replication::ClusterStatus* status) {
    HttpResponse response;
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    response.body = metrics_page(edge.shared(), status);
    return response;
}

void metrics(const Exchange& exchange, const HttpRequest& request) {
    if (request.session && !request.session->claims.permissions.admin) return exchange.answer(forbidden());
    Cluster* const cluster = exchange.edge.shared().cluster;
    if (cluster == nullptr) return exchange.answer(metrics_response(exchange.edge, nullptr));
    cluster->status([exchange](const replication::ClusterStatus& status) {
        exchange.edge.loop().post([exchange, status] { exchange.answer(metrics_response(exchange.edge, &status)); });
    });
}

HttpResponse health_ready(EdgeLoop& edge) {
    const bool draining = edge.shared().draining.load(std::memory_order_relaxed);
    const node::NodeStatistics statistics = edge.shared().node->statistics();
    JsonWriter json;
    json.begin_object();
    if (draining || !statistics.writable) {
        if (!statistics.writable) {
            json.key("detail");
            json.string(statistics.unwritable_reason);
        }
        if (draining) {
            json.key("reason");
            json.string("stopping");
        }
        json.key("status");
        json.string("not_ready");
        if (!statistics.writable) {
            json.key("store");
            json.string("unreachable");
        }
        json.end_object();
        return json_response(json.take(), 503);
    }
    json.key("status");
    json.string("ready");
    json.key("wal_last_seq");
    json.number(statistics.entries_committed);
    json.end_object();
    return json_response(json.take());
}

void get_value(const Exchange& exchange, HttpRequest& request) {
    if (!request.session->access.can_read(request.path.argument, exchange.edge.wall_ms()))
        return exchange.answer(forbidden());
    exchange.edge.shard().read_value(
        request.path.namespace_name, request.path.argument, [exchange](node::ValueOutcome outcome) {
            exchange.answer(outcome.status == node::Status::ok ? json_response(std::move(outcome.text))
                                                               : response_of(outcome.status, outcome.text));
        });
}

// An unsigned number from the query string. `present` with no number: it is there and malformed.
struct QueryNumber {
    bool present = false;
    std::optional<uint64_t> number;
};
QueryNumber query_number(const std::string& query, std::string_view name) {
    const auto text = http::query_value(query, name);
    if (!text) return {};
    uint64_t value = 0;
    const auto parsed = std::from_chars(text->data(), text->data() + text->size(), value);
    if (text->empty() || parsed.ec != std::errc() || parsed.ptr != text->data() + text->size())
        return {true, std::nullopt};
    return {true, value};
}

// Signed tokens: the op must carry the client's signature here as it must on a WebSocket.
std::optional<HttpResponse> signature_problem(const HttpRequest& request) {
    const auto& key = request.session->claims.client_key;
    if (!key) return std::nullopt;
    if (request.op_signature.empty()) {
        return error_response(401, "op_signature_required",
                              "op signature required: expected the header X-Meridian-Op-Signature");
    }
    const auto signature = base64url_decode(request.op_signature);
    if (!signature || !verify_signature(*signature, request.body, *key)) {
        return error_response(401, "invalid_op_signature", "invalid op signature");
    }
    return std::nullopt;
}

void post_op(const Exchange& exchange, HttpRequest& request) {
    const QueryNumber ttl = query_number(request.query, "ttl_ms");
    if (ttl.present && !ttl.number) {
        return exchange.answer(error_response(
            400, "bad_query", "Failed to deserialize query string: ttl_ms: expected an unsigned number"));
    }
    Result<crdt::Op> op = wire::decode_op(request.body);
    if (!op) return exchange.answer(error_response(400, "malformed op", op.error().message));
    if (auto problem = signature_problem(request)) return exchange.answer(std::move(*problem));
    const std::string& key = request.path.argument;
    const uint64_t now_ms = exchange.edge.wall_ms();
    if (!request.session->access.can_write(key, crdt::op_mask(*op), now_ms)) {
        return exchange.answer(
            error_response(403, "op_not_permitted", "token does not allow this operation on this key"));
    }
    if (const auto drift = drift_problem(*op, now_ms, true))
        return exchange.answer(error_response(400, "clock_drift", *drift));
    if (request.idempotency_key.size() > 255) {
        return exchange.answer(
            error_response(400, "bad_idempotency_key", "Idempotency-Key: expected at most 255 bytes"));
    }

    node::WriteRequest write;
    write.namespace_name = request.path.namespace_name;
    write.source = node::Source::http;
    write.client_id = request.session->claims.client_id;
    write.idempotency_key = std::move(request.idempotency_key);
    // The answer shows the key's content, which only a reader of the key may see.
    const bool may_read = request.session->access.can_read(key, now_ms);
    write.items.push_back({key, std::move(op).value(), std::move(request.body), ttl.number});
    exchange.edge.shard().write(std::move(write), [exchange, may_read](const node::WriteOutcome& outcome) {
        if (outcome.status != node::Status::ok) return exchange.answer(response_of(outcome.status, outcome.text));
        if (outcome.items.empty() || !outcome.items.front().delta || !may_read) return exchange.answer(no_content());
        HttpResponse response;
        response.content_type = msgpack_type;
        response.body = outcome.items.front().delta->delta_bytes(node::KeyForm::integer_keys);
        exchange.answer(std::move(response));
    });
}

HttpResponse state_response(const node::StateOutcome& outcome) {
    if (outcome.status != node::Status::ok) return response_of(outcome.status, outcome.text);
    if (!outcome.state || outcome.state->frames.empty()) return no_content();
    HttpResponse response;
    response.content_type = msgpack_type;
    const auto& frames = outcome.state->frames;
    if (frames.size() == 1) {
        response.body = frames.front()->delta_bytes(node::KeyForm::integer_keys);
        return response;
    }
    crdt::ClientDelta whole = frames.front()->delta();
    for (size_t i = 1; i < frames.size(); ++i) append_piece(whole, frames[i]->delta());
    response.body = wire::encode_client_delta(whole, node::KeyForm::integer_keys);
    return response;
}

void get_sync(const Exchange& exchange, HttpRequest& request) {
    if (const auto since = http::query_value(request.query, "since")) {
        const auto text = percent_decode(*since);
        const auto clock = text ? base64url_decode(*text) : std::nullopt;
        if (!clock) return exchange.answer(error_response(400, "invalid since parameter", "invalid since parameter"));
        if (!wire::check_vector_clock(*clock))
            return exchange.answer(error_response(400, "malformed vector clock", "malformed vector clock"));
    }
    if (!request.session->access.can_read(request.path.argument, exchange.edge.wall_ms()))
        return exchange.answer(forbidden());
    exchange.edge.shard().read_state(
        request.path.namespace_name, request.path.argument, crdt::SequenceForm::ascending_siblings,
        [exchange](const node::StateOutcome& outcome) { exchange.answer(state_response(outcome)); });
}

void back_up(const Exchange& exchange, const HttpRequest& request) {
    begin_backup(exchange.edge, request, [exchange](HttpResponse response) { exchange.answer(std::move(response)); });
}

// RFC 6455 section 4.2.2.
std::string websocket_accept(const std::string& key) {
    Poco::SHA1Engine sha1;
    sha1.update(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    const Poco::DigestEngine::Digest& digest = sha1.digest();
    char text[sodium_base64_ENCODED_LEN(20, sodium_base64_VARIANT_ORIGINAL)];
    sodium_bin2base64(text, sizeof text, digest.data(), digest.size(), sodium_base64_VARIANT_ORIGINAL);
    return text;
}

void connect(const Exchange& exchange, HttpRequest& request) {
    const UpgradeHeaders& upgrade = request.upgrade;
    const auto refuse = [&exchange](const char* text) { exchange.answer(error_response(400, "bad_upgrade", text)); };
    if (!upgrade.connection_upgrade) return refuse("Connection header did not include 'upgrade'");
    if (!upgrade.upgrade_websocket) return refuse("`Upgrade` header did not include 'websocket'");
    if (!upgrade.version_13) {
        HttpResponse response =
            error_response(400, "bad_upgrade", "`Sec-WebSocket-Version` header did not include '13'");
        response.headers = "sec-websocket-version: 13\r\n";
        return exchange.answer(std::move(response));
    }
    if (upgrade.key.empty()) return refuse("`Sec-WebSocket-Key` header missing");
    const Claims& claims = request.session->claims;
    if (claims.namespace_name != request.path.namespace_name) return exchange.answer(wrong_namespace());
    if (!is_valid_namespace(claims.namespace_name)) {
        return exchange.answer(error_response(400, "invalid_namespace", "namespace: expected [a-z0-9_-]{1,64}"));
    }
    if (claims.permissions.read.empty()) return exchange.answer(forbidden());
    HttpResponse response;
    response.status = 101;
    response.headers =
        "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: " + websocket_accept(upgrade.key) + "\r\n";
    response.websocket_session = request.session;
    response.key_form = upgrade.key_form;
    response.websocket_loop = exchange.edge.index();
    exchange.answer(std::move(response));
}

void end_sessions(const Exchange& exchange, HttpRequest& request) {
    const Claims& claims = request.session->claims;
    if (claims.namespace_name != request.path.namespace_name || !claims.permissions.admin)
        return exchange.answer(forbidden());
    uint64_t client_id = 0;
    const std::string& text = request.path.argument;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), client_id);
    if (text.empty() || parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) {
        return exchange.answer(error_response(400, "invalid client_id", "invalid client_id"));
    }
    bool found = exchange.edge.end_sessions(claims.namespace_name, client_id);
    if (Cluster* cluster = exchange.edge.shared().cluster) {
        cluster->revoke_sessions({claims.namespace_name, client_id});
        found = true;  // on whichever node it is, if there is one
    }
    JsonWriter json;
    json.begin_object();
    json.key("client_id");
    json.number(client_id);
    if (found) {
        json.key("revoked");
        json.boolean(true);
    } else {
        json.key("error");
        json.string("session not found");
        json.key("message");
        json.string("session not found");
    }
    json.end_object();
    exchange.answer(json_response(json.take(), found ? 200 : 404));
}

}  // namespace

void handle_request(EdgeLoop& edge, HttpRequest request) {
    const Exchange exchange{edge, request.reply_to, request.number};
    const Route route = request.path.route;
    if (request.session) {
        const Claims& claims = request.session->claims;
        const uint64_t limit = claims.permissions.requests_per_second ? *claims.permissions.requests_per_second
                                                                      : edge.settings().requests_per_second;
        if (!edge.rate_limiter().allow(claims.namespace_name, claims.client_id, limit, edge.now_us())) {
            return exchange.answer(error_response(429, "rate_limited", "too many requests"));
        }
    }
    if (!is_method_allowed(route, request.method)) {
        HttpResponse response =
            error_response(405, "method_not_allowed", std::string("expected ") + allowed_methods(route));
        response.headers = std::string("allow: ") + allowed_methods(route) + "\r\n";
        return exchange.answer(std::move(response));
    }
    if (!request.path.valid)
        return exchange.answer(error_response(400, "bad_path", "the path is not percent-encoded UTF-8"));
    const bool has_key = route == Route::crdt_value || route == Route::crdt_ops || route == Route::crdt_sync;
    if (has_key && request.session->claims.namespace_name != request.path.namespace_name)
        return exchange.answer(wrong_namespace());
    if (has_key && !is_valid_namespace(request.path.namespace_name)) {
        return exchange.answer(error_response(400, "invalid_namespace", "namespace: expected [a-z0-9_-]{1,64}"));
    }
    const auto respond = [exchange](HttpResponse response) { exchange.answer(std::move(response)); };
    switch (route) {
        case Route::health_live:
            return exchange.answer(json_response(R"({"status":"ok"})"));
        case Route::health_ready:
            return exchange.answer(health_ready(edge));
        case Route::health_converged:
            return cluster_converged(edge, respond);
        case Route::backup:
            return back_up(exchange, request);
        case Route::cluster_status:
            return cluster_status(edge, request, respond);
        case Route::cluster_digests:
            return cluster_digests(edge, request, respond);
        case Route::cluster_namespaces:
            return cluster_namespaces(edge, request, respond);
        case Route::metrics:
            return metrics(exchange, request);
        case Route::crdt_value:
            return get_value(exchange, request);
        case Route::crdt_ops:
            return post_op(exchange, request);
        case Route::crdt_sync:
            return get_sync(exchange, request);
        case Route::tokens:
            return exchange.answer(issue_token_response(request, edge.shared().signing_key, edge.wall_ms()));
        case Route::tokens_me:
            return exchange.answer(describe_token_response(request));
        case Route::connect:
            return connect(exchange, request);
        case Route::sessions:
            return end_sessions(exchange, request);
    }
}

}  // namespace meridian::server
