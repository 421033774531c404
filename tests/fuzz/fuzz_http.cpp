// A request head, and what follows it as a chunked body. The body comes out the same however it is cut.
#include <cstdint>
#include <string>

#include "fuzz_check.h"
#include "http/chunked_body.h"
#include "http/request_head.h"
#include "protocol/percent.h"

using namespace meridian::http;
using namespace meridian::server;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    const HeadLimits limits{2048, 20};
    const HeadResult result = parse_request_head(input, limits);
    if (result.state != HeadResult::State::complete) return 0;
    meridian::fuzz::require(result.size <= size && result.size <= limits.bytes_max + 4,
                            "result.size <= size && result.size <= limits.bytes_max + 4");
    meridian::fuzz::require(result.head.headers.size() <= limits.headers_max,
                            "result.head.headers.size() <= limits.headers_max");
    meridian::fuzz::require(!(result.head.chunked && result.head.content_length),
                            "!(result.head.chunked && result.head.content_length)");
    meridian::fuzz::require(
        parse_request_head(input.substr(0, result.size - 1), limits).state == HeadResult::State::incomplete,
        "parse_request_head(input.substr(0, result.size - 1), limits).state == HeadResult::State::incomplete");
    if (const auto path = percent_decode(result.head.path))
        meridian::fuzz::require(percent_decode(percent_encode(*path)) == *path,
                                "percent_decode(percent_encode(*path)) == *path");

    const std::string_view body = input.substr(result.size);
    ChunkedBody whole(1024);
    std::string_view rest = body;
    const ChunkedBody::State state = whole.feed(rest);
    ChunkedBody bytewise(1024);
    ChunkedBody::State bytewise_state = ChunkedBody::State::more;
    size_t taken = 0;
    while (taken < body.size() && bytewise_state == ChunkedBody::State::more) {
        std::string_view one = body.substr(taken, 1);
        bytewise_state = bytewise.feed(one);
        ++taken;
    }
    meridian::fuzz::require(state == bytewise_state, "state == bytewise_state");
    if (state == ChunkedBody::State::complete) {
        meridian::fuzz::require(whole.take() == bytewise.take(), "whole.take() == bytewise.take()");
        meridian::fuzz::require(taken == body.size() - rest.size(), "taken == body.size() - rest.size()");
    }
    return 0;
}
