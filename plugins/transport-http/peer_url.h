// Addresses of this transport: http://host[:port] names a peer, host:port a listener. Pure functions, but for the
// lookup of a listener's host name.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace meridian::transport_http {

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = 0;
    int family() const { return storage.ss_family; }
};

struct PeerUrl {
    std::string host;  // lower case, without brackets
    uint16_t port = 80;
    // host[:port] as a Host header has it.
    std::string authority() const;
    // The normal form, which is the peer's address: two spellings of one peer give the same.
    std::string text() const { return "http://" + authority(); }
};

// Path and query are left out: the routes are ours. On failure nothing, and `problem` says what is wrong, without
// passwords.
std::optional<PeerUrl> parse_peer_url(std::string_view text, std::string& problem);

// Peers separated by commas; blanks around them and empty pieces are dropped, and so are repetitions. Throws
// abi::Failure that names the first that is malformed.
std::vector<PeerUrl> parse_peers(std::string_view text);

// What a host and port stand for. Names are looked up, which blocks; literal addresses are not.
// On failure empty, and `problem` says why.
std::vector<SocketAddress> look_up(const std::string& host, uint16_t port, std::string& problem);
bool is_literal_address(const std::string& host);

struct BindAddress {
    std::string host;  // empty: all addresses
    uint16_t port = 0;
    bool wildcard() const;
};
// host:port, [IPv6]:port or :port. Throws abi::Failure.
BindAddress parse_bind(std::string_view text);

}  // namespace meridian::transport_http
