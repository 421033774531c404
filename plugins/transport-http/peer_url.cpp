#include "peer_url.h"

#include <arpa/inet.h>
#include <netdb.h>

#include <Poco/Exception.h>
#include <Poco/URI.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "meridian/plugin.hpp"

namespace meridian::transport_http {
namespace {

constexpr size_t peers_max = 256;
constexpr size_t host_bytes_max = 253;

std::string bracketed(const std::string& host) {
    return host.find(':') == std::string::npos ? host : "[" + host + "]";
}

// What may stand in a Host header; names outside of it could not be looked up either.
bool is_host(const std::string& host) {
    if (host.empty() || host.size() > host_bytes_max) return false;
    if (host.find(':') != std::string::npos) return is_literal_address(host);
    return std::all_of(host.begin(), host.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-' || c == '.' || c == '_';
    });
}

std::string lower(std::string text) {
    for (char& c : text) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return text;
}

std::optional<uint16_t> parse_port(std::string_view text) {
    uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return port;
}

}  // namespace

std::string PeerUrl::authority() const {
    return bracketed(host) + (port == 80 ? "" : ":" + std::to_string(port));
}

bool is_literal_address(const std::string& host) {
    in6_addr address;  // Poco does not take :: for an address
    return inet_pton(host.find(':') == std::string::npos ? AF_INET : AF_INET6, host.c_str(), &address) == 1;
}

std::optional<PeerUrl> parse_peer_url(std::string_view text, std::string& problem) {
    const bool printable =
        std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) > 0x20 && c != 0x7f; });
    // What stands before an @ is a secret, and the text goes into logs.
    const size_t at = text.find('@');
    const std::string shown = at == std::string_view::npos ? std::string(text) : "***" + std::string(text.substr(at));
    const auto refuse = [&](const std::string& why) {
        problem = "'" + shown + "' is not the URL of a peer: " + why;
        return std::nullopt;
    };
    if (text.empty() || text.size() > 1024 || !printable) return refuse("expected http://host[:port]");
    PeerUrl out;
    try {
        const Poco::URI uri{std::string(text)};
        if (uri.getScheme() == "https") return refuse("https is not supported between nodes; expected http://");
        if (uri.getScheme() != "http") return refuse("expected http://host[:port]");
        if (!uri.getUserInfo().empty() || at != std::string_view::npos)
            return refuse("it has a user or password, which nodes do not send; expected http://host[:port]");
        out.host = lower(uri.getHost());
        if (out.host.size() > 2 && out.host.front() == '[' && out.host.back() == ']')
            out.host = out.host.substr(1, out.host.size() - 2);
        if (!is_host(out.host)) return refuse("its host is missing or malformed");
        // Poco takes a port that it cannot read for none.
        const std::string_view after_scheme = text.substr(7);
        const std::string_view authority = after_scheme.substr(0, after_scheme.find_first_of("/?#"));
        const size_t colon = authority.rfind(':');
        const size_t bracket = authority.rfind(']');
        if ((bracket != std::string_view::npos) != (out.host.find(':') != std::string::npos))
            return refuse("brackets are for IPv6 addresses");
        if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
            const auto port = parse_port(authority.substr(colon + 1));
            if (!port || *port == 0) return refuse("its port is not a number from 1 to 65535");
            out.port = *port;
        }
    } catch (const Poco::Exception&) { return refuse("expected http://host[:port]"); }
    return out;
}

std::vector<PeerUrl> parse_peers(std::string_view text) {
    std::vector<PeerUrl> out;
    while (!text.empty()) {
        const size_t comma = text.find(',');
        std::string_view piece = text.substr(0, comma);
        text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
        while (!piece.empty() && (piece.front() == ' ' || piece.front() == '\t')) piece.remove_prefix(1);
        while (!piece.empty() && (piece.back() == ' ' || piece.back() == '\t')) piece.remove_suffix(1);
        if (piece.empty()) continue;
        std::string problem;
        const auto url = parse_peer_url(piece, problem);
        if (!url) throw abi::Failure(MERIDIAN_INVALID, "peers: " + problem);
        const bool known =
            std::any_of(out.begin(), out.end(), [&](const PeerUrl& other) { return other.text() == url->text(); });
        if (!known) out.push_back(*url);
        if (out.size() > peers_max)
            throw abi::Failure(MERIDIAN_INVALID, "peers: more than " + std::to_string(peers_max) + " peers");
    }
    return out;
}

std::vector<SocketAddress> look_up(const std::string& host, uint16_t port, std::string& problem) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    if (is_literal_address(host)) hints.ai_flags |= AI_NUMERICHOST;
    addrinfo* found = nullptr;
    const int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
    std::vector<SocketAddress> out;
    if (error != 0) {
        problem = "the name '" + host + "' was not found: " + gai_strerror(error);
        return out;
    }
    constexpr size_t addresses_max = 16;
    for (const addrinfo* at = found; at != nullptr && out.size() < addresses_max; at = at->ai_next) {
        if (at->ai_family != AF_INET && at->ai_family != AF_INET6) continue;
        SocketAddress address;
        std::memcpy(&address.storage, at->ai_addr, at->ai_addrlen);
        address.size = at->ai_addrlen;
        out.push_back(address);
    }
    freeaddrinfo(found);
    if (out.empty()) problem = "the name '" + host + "' has no address";
    return out;
}

bool BindAddress::wildcard() const {
    return host.empty() || host == "0.0.0.0" || host == "::";
}

BindAddress parse_bind(std::string_view text) {
    const auto refuse = [&]() -> BindAddress {
        throw abi::Failure(MERIDIAN_INVALID,
                           "bind: '" + std::string(text) + "' is not host:port, [IPv6 address]:port or :port");
    };
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return refuse();
    BindAddress out;
    const auto port = parse_port(text.substr(colon + 1));
    if (!port) return refuse();
    out.port = *port;
    out.host = lower(std::string(text.substr(0, colon)));
    if (out.host.size() > 2 && out.host.front() == '[' && out.host.back() == ']') {
        out.host = out.host.substr(1, out.host.size() - 2);
    } else if (out.host.find(':') != std::string::npos) {
        return refuse();
    }
    if (!out.host.empty() && !is_host(out.host)) return refuse();
    return out;
}

}  // namespace meridian::transport_http
