// Parses the head of an HTTP/1.1 request (RFC 9112) strictly: what two readers could understand differently is refused,
// so that nothing can be smuggled past a proxy. Refused with 400: bare LF, folded lines, blanks before the colon,
// control characters, Content-Length together with Transfer-Encoding, more than one Content-Length, a missing or
// repeated Host.
//
// Pure functions; every view in a RequestHead borrows from the input. Memory: one entry a header, at most
// `headers_max`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace meridian::server {

struct HttpHeadLimits {
    size_t bytes_max = 32 << 10;
    size_t headers_max = 100;
};

struct HeaderField {
    std::string_view name;   // as received; compare without regard to case
    std::string_view value;  // without surrounding blanks
};

struct RequestHead {
    std::string_view method;
    std::string_view path;   // still percent-encoded, begins with '/', or "*"
    std::string_view query;  // after the first '?', without it
    bool http_1_0 = false;
    bool keep_alive = true;  // what the client asks for
    bool chunked = false;
    bool expects_continue = false;
    std::optional<uint64_t> content_length;
    std::vector<HeaderField> headers;

    // The value of the first header of that name, or nothing. `lower_name` is in lower case.
    std::optional<std::string_view> header(std::string_view lower_name) const;
    // Whether a comma-separated list header contains a token, without regard to case.
    bool header_has_token(std::string_view lower_name, std::string_view lower_token) const;
};

struct HeadResult {
    enum class State : uint8_t { incomplete, complete, refused };
    State state = State::incomplete;
    size_t size = 0;      // bytes of the head, when complete
    int status = 0;       // when refused
    std::string message;  // when refused
    RequestHead head;     // when complete
};

HeadResult parse_request_head(std::string_view input, const HttpHeadLimits& limits);

bool equals_ignoring_case(std::string_view text, std::string_view lower);

// Decodes %XX. Nothing if an escape is malformed or the result is not UTF-8.
std::optional<std::string> percent_decode(std::string_view text);
std::string percent_encode(std::string_view text);

// The raw value of the first pair named `name` in a query string, or nothing.
std::optional<std::string_view> query_value(std::string_view query, std::string_view name);

}  // namespace meridian::server
