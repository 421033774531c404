// Frames from a client. The first byte says where the input is cut: however a stream is cut into reads, the same events
// come out.
#include <cstdint>
#include <string>
#include <vector>

#include "fuzz_check.h"
#include "protocol/websocket_codec.h"

namespace {

using namespace meridian::server;

constexpr size_t message_bytes_max = 4096;

struct Stream {
    WebSocketReader reader{WebSocketReader::Role::server, message_bytes_max};
    std::string input;
    std::vector<std::string> events;
    bool failed = false;

    void feed(std::string_view bytes) {
        input.append(bytes);
        while (!failed) {
            const WebSocketEvent event = reader.next(input.data(), input.size());
            if (event.kind == WebSocketEvent::Kind::need_more) break;
            meridian::fuzz::require(event.payload.size() <= message_bytes_max,
                                    "event.payload.size() <= message_bytes_max");
            events.push_back(std::to_string(static_cast<int>(event.kind)) + ":" + std::to_string(event.code) + ":" +
                             std::string(event.payload));
            failed = event.kind == WebSocketEvent::Kind::error;
            meridian::fuzz::require(failed || (event.consumed > 0 && event.consumed <= input.size()),
                                    "failed || (event.consumed > 0 && event.consumed <= input.size())");
            if (!failed) input.erase(0, event.consumed);
        }
    }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    const size_t cut = bytes.empty() ? 0 : data[0] % bytes.size();
    Stream whole;
    whole.feed(bytes);
    Stream pieces;
    pieces.feed(bytes.substr(0, cut));
    pieces.feed(bytes.substr(cut));
    meridian::fuzz::require(whole.events == pieces.events, "whole.events == pieces.events");
    return 0;
}
