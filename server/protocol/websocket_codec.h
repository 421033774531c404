// WebSocket framing (RFC 6455), both roles. No extension is ever negotiated, so the reserved bits must be zero.
//
// Pure functions and one value type. Memory of a reader: the fragments of the message being assembled, at most
// `message_bytes_max`; a message in a single frame is handed out in place, without a copy.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace meridian::server {

enum class Opcode : uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

namespace close_code {
inline constexpr uint16_t normal = 1000;
inline constexpr uint16_t protocol_error = 1002;
inline constexpr uint16_t no_status = 1005;  // never sent: a close frame without a code
inline constexpr uint16_t invalid_data = 1007;
inline constexpr uint16_t policy = 1008;
inline constexpr uint16_t too_big = 1009;
inline constexpr uint16_t internal_error = 1011;
inline constexpr uint16_t service_restart = 1012;
inline constexpr uint16_t try_again_later = 1013;
}  // namespace close_code

// One frame to clients carries at most this much payload; a longer message is fragmented (client-api.md rule C15).
inline constexpr size_t frame_payload_bytes_max = 8 << 20;

// Appends the header of an unmasked frame.
void append_frame_header(std::string& out, Opcode opcode, size_t payload_size, bool final = true);
// Appends a whole message of a server, fragmented if need be.
void append_message(std::string& out, Opcode opcode, std::string_view payload);
// A close frame's payload. REQUIRES: reason of at most 123 bytes of UTF-8.
std::string close_payload(uint16_t code, std::string_view reason);
// Appends a whole message of a client in one masked frame.
void append_masked_message(std::string& out, Opcode opcode, std::string_view payload, std::array<uint8_t, 4> mask);

struct WebSocketEvent {
    enum class Kind : uint8_t {
        need_more,  // nothing complete yet; `frame_bytes` is the size of the begun frame if its header is there, else 0
        continued,  // a fragment was taken; call again
        binary,
        text,
        ping,
        pong,
        close,  // code is close_code::no_status if the frame had none
        error,  // the peer broke the protocol: answer with a close frame of this code, then drop the connection
    };
    Kind kind = Kind::need_more;
    size_t consumed = 0;  // bytes of the input that are done with
    size_t frame_bytes = 0;
    std::string_view
        payload;  // of messages and control frames, reason of a close; valid until the next call or change of the input
    uint16_t code = 0;         // close and error
    const char* problem = "";  // error: what was wrong
};

class WebSocketReader {
public:
    enum class Role : uint8_t { server, client };  // a server reads masked frames only, a client unmasked ones only

    WebSocketReader(Role role, size_t message_bytes_max) : message_bytes_max_(message_bytes_max), role_(role) {}

    // Looks at the frame that begins at `data`, unmasks it in place when it is complete, and says what it was.
    WebSocketEvent next(char* data, size_t size);
    // What is held of a message that is not complete.
    size_t fragment_bytes() const { return release_fragments_ ? 0 : fragments_.size(); }

private:
    WebSocketEvent take_frame(Opcode opcode, bool final, std::string_view payload, size_t consumed);

    std::string fragments_;
    size_t message_bytes_max_;
    Role role_;
    bool release_fragments_ = false;  // the last event's payload was fragments_
    bool in_message_ = false;
    Opcode message_opcode_ = Opcode::binary;
};

}  // namespace meridian::server
