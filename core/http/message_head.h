// What the heads of HTTP/1.1 requests and responses (RFC 9112) have in common, and the strict reading of it: what two
// readers could understand differently is refused, so that nothing can be smuggled past a proxy. Refused: bare LF,
// folded lines, blanks before the colon, control characters, Content-Length together with Transfer-Encoding, more than
// one of either.
//
// Pure functions; every view in a head borrows from the input. Memory: one entry a header, at most `headers_max`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace meridian::http {

struct HeadLimits {
    size_t bytes_max = 32 << 10;
    size_t headers_max = 100;
};

struct HeaderField {
    std::string_view name;   // as received; compare without regard to case
    std::string_view value;  // without surrounding blanks
};

struct MessageHead {
    bool http_1_0 = false;
    bool keep_alive = true;  // whether the sender leaves the connection open
    bool chunked = false;
    std::optional<uint64_t> content_length;
    std::vector<HeaderField> headers;

    // The value of the first header of that name, or nothing. `lower_name` is in lower case.
    std::optional<std::string_view> header(std::string_view lower_name) const;
    // Whether a comma-separated list header contains a token, without regard to case.
    bool header_has_token(std::string_view lower_name, std::string_view lower_token) const;
};

// `status` is what a server answers; 0: nothing is wrong.
struct HeadProblem {
    int status = 0;
    std::string message;
};

enum class HeadState : uint8_t { incomplete, complete, refused };

// Reads lines up to the empty one: the first goes to `first_line`, the others into `head`, with what they say about
// framing and persistence. `size`: bytes of the head, when complete.
HeadState read_head(std::string_view input, const HeadLimits& limits,
                    const std::function<HeadProblem(std::string_view)>& first_line, MessageHead& head, size_t& size,
                    HeadProblem& problem);

bool equals_ignoring_case(std::string_view text, std::string_view lower);

// RFC 9110 section 5.6.2.
bool is_token(std::string_view text);

}  // namespace meridian::http
