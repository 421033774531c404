#include "redis_url.h"

#include <charconv>
#include <limits>

namespace meridian::transport_redis {
namespace {

constexpr std::string_view expected =
    "expected redis://[user[:password]@]host[:port][/database], rediss://... or unix:///path[?db=database]";

Error refusal(std::string_view what) {
    return Error{std::string(what) + "; " + std::string(expected)};
}

std::optional<int64_t> number(std::string_view text, int64_t maximum) {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc() || end != text.data() + text.size() || value < 0 || value > maximum)
        return std::nullopt;
    return value;
}

std::optional<std::string> percent_decoded(std::string_view text) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out.push_back(text[i]);
            continue;
        }
        unsigned value = 0;
        if (i + 2 >= text.size()) return std::nullopt;
        const char* digits = text.data() + i + 1;
        const auto [end, error] = std::from_chars(digits, digits + 2, value, 16);
        if (error != std::errc() || end != digits + 2) return std::nullopt;
        out.push_back(static_cast<char>(value));
        i += 2;
    }
    return out;
}

bool has_bad_host_character(std::string_view host) {
    return host.find_first_of("@/?#[]\\ \t\r\n\"'%") != std::string_view::npos ||
           host.find('\0') != std::string_view::npos;
}

constexpr int64_t database_max = std::numeric_limits<int32_t>::max();

Result<RedisUrl> parse_unix(std::string_view rest) {
    RedisUrl out;
    const size_t question = rest.find('?');
    const std::string_view path = rest.substr(0, question);
    if (path.empty() || path.front() != '/' || path.find('\0') != std::string_view::npos)
        return refusal("a unix:// URL needs an absolute path");
    // sun_path has 108 bytes, one of them NUL.
    if (path.size() > 107) return refusal("the path of a Unix socket has at most 107 bytes");
    out.endpoint.path = std::string(path);
    if (question == std::string_view::npos) return out;
    const std::string_view query = rest.substr(question + 1);
    if (query.substr(0, 3) == "db=") out.database = number(query.substr(3), database_max);
    if (!out.database) return refusal("what follows '?' is not db= and a number");
    return out;
}

}  // namespace

std::string Endpoint::text() const {
    if (!path.empty()) return path;
    const bool bracketed = host.find(':') != std::string::npos;
    return (bracketed ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<Endpoint> parse_endpoint(std::string_view text, uint16_t port_if_absent) {
    Endpoint out;
    out.port = port_if_absent;
    std::string_view rest;
    if (!text.empty() && text.front() == '[') {
        const size_t end = text.find(']');
        if (end == std::string_view::npos) return Error{"the bracket of an IPv6 address is not closed"};
        out.host = std::string(text.substr(1, end - 1));
        rest = text.substr(end + 1);
        if (!rest.empty() && rest.front() != ':') return Error{"something other than ':port' follows the bracket"};
    } else {
        const size_t colon = text.find(':');
        out.host = std::string(text.substr(0, colon));
        rest = colon == std::string_view::npos ? std::string_view() : text.substr(colon);
    }
    if (out.host.empty()) return Error{"the host is empty"};
    if (has_bad_host_character(out.host)) return Error{"the host has a character that no host name has"};
    if (!rest.empty()) {
        const auto port = number(rest.substr(1), 65535);
        if (!port || *port == 0) return Error{"the port is not a number from 1 to 65535"};
        out.port = static_cast<uint16_t>(*port);
    }
    return out;
}

Result<RedisUrl> parse_redis_url(std::string_view text) {
    const size_t mark = text.find("://");
    const std::string_view scheme = text.substr(0, mark);
    if (mark == std::string_view::npos || (scheme != "redis" && scheme != "rediss" && scheme != "unix"))
        return refusal("the scheme is not redis, rediss or unix");
    std::string_view rest = text.substr(mark + 3);
    if (scheme == "unix") return parse_unix(rest);

    RedisUrl out;
    out.tls = scheme == "rediss";
    // The last '@' ends the credentials, so that no part of a password is taken for a host.
    const size_t at = rest.rfind('@');
    if (at != std::string_view::npos) {
        const std::string_view credentials = rest.substr(0, at);
        rest = rest.substr(at + 1);
        if (credentials.find_first_of("@/?#") != std::string_view::npos)
            return refusal("user and password must be percent-encoded where they contain '@', '/', '?' or '#'");
        const size_t colon = credentials.find(':');
        if (colon == std::string_view::npos) return refusal("there is a user but no password");
        const auto username = percent_decoded(credentials.substr(0, colon));
        const auto password = percent_decoded(credentials.substr(colon + 1));
        if (!username || !password) return refusal("'%' in user or password is not followed by two hex digits");
        if (password->empty()) return refusal("the password is empty");
        out.username = *username;
        out.password = *password;
    }
    const size_t slash = rest.find('/');
    auto endpoint = parse_endpoint(rest.substr(0, slash), default_port);
    if (!endpoint) return refusal(endpoint.error().message);
    out.endpoint = std::move(*endpoint);
    if (slash != std::string_view::npos && slash + 1 < rest.size()) {
        out.database = number(rest.substr(slash + 1), database_max);
        if (!out.database) return refusal("the database is not a number");
    }
    return out;
}

}  // namespace meridian::transport_redis
