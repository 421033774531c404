#include "protocol/websocket_codec.h"

#include <algorithm>
#include <cstring>

#include "base/utf8.h"

namespace meridian::server {
namespace {

constexpr size_t control_payload_bytes_max = 125;

WebSocketEvent error_event(uint16_t code, const char* problem) {
    WebSocketEvent event;
    event.kind = WebSocketEvent::Kind::error;
    event.code = code;
    event.problem = problem;
    return event;
}

void apply_mask(char* data, size_t size, const std::array<uint8_t, 4>& mask) {
    uint64_t mask8 = 0;
    std::memcpy(&mask8, mask.data(), 4);
    std::memcpy(reinterpret_cast<char*>(&mask8) + 4, mask.data(), 4);
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        uint64_t word = 0;
        std::memcpy(&word, data + i, 8);
        word ^= mask8;
        std::memcpy(data + i, &word, 8);
    }
    for (; i < size; ++i) data[i] = static_cast<char>(static_cast<uint8_t>(data[i]) ^ mask[i % 4]);
}

// RFC 6455 section 7.4 and the IANA registry: what may appear in a close frame.
bool is_sendable_close_code(uint16_t code) {
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

void append_header(std::string& out, Opcode opcode, size_t payload_size, bool final, bool masked) {
    const uint8_t mask_bit = masked ? 0x80 : 0;
    out.push_back(static_cast<char>((final ? 0x80 : 0) | static_cast<uint8_t>(opcode)));
    if (payload_size < 126) {
        out.push_back(static_cast<char>(mask_bit | payload_size));
        return;
    }
    const int width = payload_size <= 0xffff ? 2 : 8;
    out.push_back(static_cast<char>(mask_bit | (width == 2 ? 126 : 127)));
    for (int shift = (width - 1) * 8; shift >= 0; shift -= 8) {
        out.push_back(static_cast<char>(static_cast<uint64_t>(payload_size) >> shift));
    }
}

bool is_known_opcode(uint8_t opcode) {
    return opcode <= 2 || (opcode >= 8 && opcode <= 10);
}

WebSocketEvent close_event(std::string_view payload, size_t consumed) {
    WebSocketEvent event;
    event.kind = WebSocketEvent::Kind::close;
    event.consumed = consumed;
    event.code = close_code::no_status;
    if (payload.empty()) return event;
    if (payload.size() == 1) return error_event(close_code::protocol_error, "close frame with one byte of payload");
    event.code = static_cast<uint16_t>(static_cast<uint8_t>(payload[0]) << 8 | static_cast<uint8_t>(payload[1]));
    event.payload = payload.substr(2);
    if (!is_sendable_close_code(event.code)) return error_event(close_code::protocol_error, "invalid close code");
    if (!is_valid_utf8(event.payload)) return error_event(close_code::invalid_data, "close reason is not UTF-8");
    return event;
}

}  // namespace

void append_frame_header(std::string& out, Opcode opcode, size_t payload_size, bool final) {
    append_header(out, opcode, payload_size, final, false);
}

void append_message(std::string& out, Opcode opcode, std::string_view payload) {
    do {
        const std::string_view piece = payload.substr(0, frame_payload_bytes_max);
        payload.remove_prefix(piece.size());
        append_frame_header(out, opcode, piece.size(), payload.empty());
        out.append(piece);
        opcode = Opcode::continuation;
    } while (!payload.empty());
}

std::string close_payload(uint16_t code, std::string_view reason) {
    std::string payload{static_cast<char>(code >> 8), static_cast<char>(code & 0xff)};
    payload.append(reason);
    return payload;
}

void append_masked_message(std::string& out, Opcode opcode, std::string_view payload, std::array<uint8_t, 4> mask) {
    append_header(out, opcode, payload.size(), true, true);
    out.append(reinterpret_cast<const char*>(mask.data()), mask.size());
    const size_t start = out.size();
    out.append(payload);
    apply_mask(out.data() + start, payload.size(), mask);
}

WebSocketEvent WebSocketReader::next(char* data, size_t size) {
    if (release_fragments_) {
        std::string().swap(fragments_);
        release_fragments_ = false;
    }
    if (size < 2) return {};
    const auto byte_at = [data](size_t i) { return static_cast<uint8_t>(data[i]); };
    const bool final = (byte_at(0) & 0x80) != 0;
    const uint8_t opcode_bits = byte_at(0) & 0x0f;
    const bool masked = (byte_at(1) & 0x80) != 0;
    uint64_t payload_size = byte_at(1) & 0x7f;
    if ((byte_at(0) & 0x70) != 0) return error_event(close_code::protocol_error, "reserved bits are set");
    if (!is_known_opcode(opcode_bits)) return error_event(close_code::protocol_error, "unknown opcode");
    if (masked != (role_ == Role::server)) {
        return error_event(close_code::protocol_error,
                           masked ? "masked frame from a server" : "unmasked frame from a client");
    }
    const auto opcode = static_cast<Opcode>(opcode_bits);
    const bool control = opcode_bits >= 8;
    if (control && !final) return error_event(close_code::protocol_error, "fragmented control frame");
    if (control && payload_size > control_payload_bytes_max)
        return error_event(close_code::protocol_error, "control frame too long");
    if (opcode == Opcode::continuation && !in_message_)
        return error_event(close_code::protocol_error, "continuation of nothing");
    if (!control && opcode != Opcode::continuation && in_message_) {
        return error_event(close_code::protocol_error, "new message inside a fragmented one");
    }

    size_t header_size = 2;
    if (payload_size >= 126) {
        const size_t width = payload_size == 126 ? 2 : 8;
        if (size < 2 + width) return {};
        payload_size = 0;
        for (size_t i = 0; i < width; ++i) payload_size = payload_size << 8 | byte_at(2 + i);
        header_size += width;
        if (payload_size >> 63 != 0)
            return error_event(close_code::protocol_error, "payload length has its top bit set");
        if (payload_size < 126 || (width == 8 && payload_size <= 0xffff)) {
            return error_event(close_code::protocol_error, "payload length not in its shortest form");
        }
    }
    if (!control && payload_size > message_bytes_max_ - std::min(message_bytes_max_, fragments_.size())) {
        return error_event(close_code::too_big, "message too big");
    }
    const size_t mask_offset = header_size;
    if (masked) header_size += 4;
    const size_t frame_size = header_size + static_cast<size_t>(payload_size);
    if (size < frame_size) {
        WebSocketEvent event;
        event.frame_bytes = frame_size;
        return event;
    }
    char* payload = data + header_size;
    if (masked) {
        std::array<uint8_t, 4> mask{};
        std::memcpy(mask.data(), data + mask_offset, 4);
        apply_mask(payload, static_cast<size_t>(payload_size), mask);
    }
    return take_frame(opcode, final, {payload, static_cast<size_t>(payload_size)}, frame_size);
}

WebSocketEvent WebSocketReader::take_frame(Opcode opcode, bool final, std::string_view payload, size_t consumed) {
    WebSocketEvent event;
    event.consumed = consumed;
    event.payload = payload;
    if (opcode == Opcode::close) return close_event(payload, consumed);
    if (opcode == Opcode::ping || opcode == Opcode::pong) {
        event.kind = opcode == Opcode::ping ? WebSocketEvent::Kind::ping : WebSocketEvent::Kind::pong;
        return event;
    }
    if (opcode != Opcode::continuation) message_opcode_ = opcode;
    if (!final) {
        in_message_ = true;
        fragments_.append(payload);
        event.kind = WebSocketEvent::Kind::continued;
        event.payload = {};
        return event;
    }
    if (in_message_) {
        fragments_.append(payload);
        event.payload = fragments_;
        release_fragments_ = true;
        in_message_ = false;
    }
    if (message_opcode_ == Opcode::text) {
        if (!is_valid_utf8(event.payload)) return error_event(close_code::invalid_data, "text message is not UTF-8");
        event.kind = WebSocketEvent::Kind::text;
    } else {
        event.kind = WebSocketEvent::Kind::binary;
    }
    return event;
}

}  // namespace meridian::server
