// The URL of a Redis:
//   redis://[user[:password]@]host[:port][/database]     rediss:// is the same over TLS
//   unix:///path[?db=database]
// User and password may be percent-encoded, and must be where they contain one of "@:/?%". An IPv6 address stands in
// brackets. Port 6379 unless given.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace meridian::transport_redis {

constexpr uint16_t default_port = 6379;
constexpr uint16_t default_sentinel_port = 26379;

// Where a server listens: host and port, or the path of a Unix socket.
struct Endpoint {
    std::string host;
    uint16_t port = 0;
    std::string path;  // not empty: a Unix socket

    // "host:port", "[::1]:port" or the path.
    std::string text() const;
};

struct RedisUrl {
    Endpoint endpoint;
    bool tls = false;
    std::string username;
    std::string password;
    std::optional<int64_t> database;
};

// Errors say what is expected, and never contain a part of the URL: it may hold a password.
Result<RedisUrl> parse_redis_url(std::string_view text);

// "host", "host:port", "[::1]:port".
Result<Endpoint> parse_endpoint(std::string_view text, uint16_t port_if_absent);

}  // namespace meridian::transport_redis
