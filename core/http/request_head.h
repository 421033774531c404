// Parses the head of an HTTP/1.1 request, as strictly as message_head.h says. Refused besides: a missing or repeated
// Host.
#pragma once

#include "http/message_head.h"

namespace meridian::http {

struct RequestHead : MessageHead {
    std::string_view method;
    std::string_view path;   // still percent-encoded, begins with '/', or "*"
    std::string_view query;  // after the first '?', without it
    bool expects_continue = false;
};

struct HeadResult {
    using State = HeadState;
    State state = State::incomplete;
    size_t size = 0;      // bytes of the head, when complete
    int status = 0;       // when refused
    std::string message;  // when refused
    RequestHead head;     // when complete
};

HeadResult parse_request_head(std::string_view input, const HeadLimits& limits);

// The raw value of the first pair named `name` in a query string, or nothing.
std::optional<std::string_view> query_value(std::string_view query, std::string_view name);

}  // namespace meridian::http
