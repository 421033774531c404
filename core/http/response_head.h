// Parses the head of an HTTP/1.1 response, as strictly as message_head.h says.
#pragma once

#include "http/message_head.h"

namespace meridian::http {

struct ResponseHead : MessageHead {
    int status = 0;  // 100..599

    // RFC 9112 section 6.3: 1xx, 204 and 304 have no body. Of the others, those that say neither their length nor
    // chunked last until the connection ends.
    bool has_body() const { return status >= 200 && status != 204 && status != 304; }
    bool body_until_close() const { return has_body() && !chunked && !content_length; }
};

struct ResponseHeadResult {
    HeadState state = HeadState::incomplete;
    size_t size = 0;      // bytes of the head, when complete
    std::string message;  // when refused
    ResponseHead head;    // when complete
};

ResponseHeadResult parse_response_head(std::string_view input, const HeadLimits& limits);

}  // namespace meridian::http
