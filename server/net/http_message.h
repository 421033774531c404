// A request on its way from the connection that read it to the loop that answers it, and the answer on its way back.
// Values, moved between threads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/token_cache.h"
#include "net/connection.h"
#include "node/node.h"

namespace meridian::server {

enum class Route : uint8_t {
    health_live,
    health_ready,
    health_converged,
    metrics,
    backup,
    cluster_status,
    cluster_digests,
    cluster_namespaces,
    crdt_value,
    crdt_ops,
    crdt_sync,
    tokens,
    tokens_me,
    connect,
    sessions,
};

// What one path is, and what it takes.
struct RoutedPath {
    Route route = Route::health_live;
    std::string namespace_name;  // decoded
    std::string argument;        // decoded: a key or a client id
    bool valid = true;           // false: an escape in the path is malformed
};

// The headers of a WebSocket upgrade (RFC 6455 section 4.2.1).
struct UpgradeHeaders {
    bool connection_upgrade = false;
    bool upgrade_websocket = false;
    bool version_13 = false;
    std::string key;
    node::KeyForm key_form = node::KeyForm::integer_keys;
};

struct HttpRequest {
    ConnectionRef reply_to;
    uint64_t number = 0;  // of the request on its connection
    RoutedPath path;
    std::string method;
    std::string query;
    bool local = false;  // from this machine, and no proxy speaks for somebody else, as far as can be seen
    std::string content_type;
    std::string idempotency_key;
    std::string op_signature;
    UpgradeHeaders upgrade;  // of Route::connect
    SessionPtr session;
    std::string body;
};

struct HttpResponse {
    int status = 200;
    const char* content_type = nullptr;  // null: no body
    std::string body;
    std::string headers;  // whole lines, each with its CRLF
    // Of status 101: `body` becomes the bytes of this answer, which are sent once the new connection is in its room, so
    // that it misses nothing from then on. The connection becomes a WebSocket of this session on the loop that
    // answered.
    SessionPtr websocket_session;
    node::KeyForm key_form = node::KeyForm::integer_keys;
    uint32_t websocket_loop = 0;
};

// The path's route, or nothing if there is none. Repeated slashes count as one.
std::optional<RoutedPath> route_path(std::string_view path);
// "GET, HEAD, OPTIONS" and so on, for `Allow`; and whether a method is among them. OPTIONS is answered by the
// connection and not among those that are asked for here.
const char* allowed_methods(Route route);
bool is_method_allowed(Route route, std::string_view method);
// Route::metrics: see Settings::metrics.
bool needs_token(Route route);

// A JSON error body with error, message and detail (client-api.md section 5.1).
HttpResponse error_response(int status, std::string_view code, std::string_view message);

const char* reason_phrase(int status);

}  // namespace meridian::server
