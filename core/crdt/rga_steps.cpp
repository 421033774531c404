#include "crdt/rga_steps.h"

namespace meridian::crdt {

namespace {

uint8_t* write_varint(uint8_t* out, uint64_t value) {
    while (value >= 0x80) {
        *out++ = static_cast<uint8_t>(value | 0x80);
        value >>= 7;
    }
    *out++ = static_cast<uint8_t>(value);
    return out;
}

// A varint in its shortest form at the front of `in`, which is moved past it.
std::optional<uint64_t> check_varint(std::string_view& in) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !in.empty(); shift += 7) {
        const auto byte = static_cast<uint8_t>(in[0]);
        in.remove_prefix(1);
        if (shift == 63 && byte > 1) return std::nullopt;
        value |= static_cast<uint64_t>(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            if (byte == 0 && shift != 0) return std::nullopt;
            return value;
        }
    }
    return std::nullopt;
}

}  // namespace

size_t write_rga_step(uint8_t* out, const Hlc& from, const Hlc& to) {
    uint8_t* at = out;
    const uint64_t wall_difference = to.wall_ms - from.wall_ms;
    if (wall_difference == 0) {
        const auto difference = static_cast<uint64_t>(to.logical - from.logical);
        at = write_varint(at, difference == 1 ? 0 : 1);
        if (difference != 1) at = write_varint(at, difference);
    } else {
        at = write_varint(at, wall_difference << 1 | (to.logical != 0 ? 1 : 0));
        if (to.logical != 0) at = write_varint(at, to.logical);
    }
    return static_cast<size_t>(at - out);
}

std::optional<size_t> check_rga_step(std::string_view in, Hlc& stamp) {
    const size_t before = in.size();
    const std::optional<uint64_t> head = check_varint(in);
    if (!head) return std::nullopt;
    uint64_t logical = 0;
    if ((*head & 1) != 0) {
        const std::optional<uint64_t> given = check_varint(in);
        if (!given || *given == 0 || *given > 0xffff) return std::nullopt;
        logical = *given;
    }
    const uint64_t wall_difference = *head >> 1;
    if (wall_difference == 0) {
        if (*head == 1 && logical < 2) return std::nullopt;
        const uint64_t sum = stamp.logical + (*head == 0 ? 1 : logical);
        if (sum > 0xffff) return std::nullopt;
        stamp.logical = static_cast<uint16_t>(sum);
    } else {
        if (stamp.wall_ms + wall_difference < stamp.wall_ms) return std::nullopt;
        stamp.wall_ms += wall_difference;
        stamp.logical = static_cast<uint16_t>(logical);
    }
    return before - in.size();
}

size_t write_utf8(uint8_t* out, char32_t value) {
    if (value < 0x80) {
        out[0] = static_cast<uint8_t>(value);
        return 1;
    }
    if (value < 0x800) {
        out[0] = static_cast<uint8_t>(0xc0 | (value >> 6));
        out[1] = static_cast<uint8_t>(0x80 | (value & 0x3f));
        return 2;
    }
    if (value < 0x10000) {
        out[0] = static_cast<uint8_t>(0xe0 | (value >> 12));
        out[1] = static_cast<uint8_t>(0x80 | ((value >> 6) & 0x3f));
        out[2] = static_cast<uint8_t>(0x80 | (value & 0x3f));
        return 3;
    }
    out[0] = static_cast<uint8_t>(0xf0 | (value >> 18));
    out[1] = static_cast<uint8_t>(0x80 | ((value >> 12) & 0x3f));
    out[2] = static_cast<uint8_t>(0x80 | ((value >> 6) & 0x3f));
    out[3] = static_cast<uint8_t>(0x80 | (value & 0x3f));
    return 4;
}

std::optional<size_t> check_utf8(std::string_view in) {
    if (in.empty()) return std::nullopt;
    const auto lead = static_cast<uint8_t>(in[0]);
    if (lead < 0x80) return 1;
    if (lead < 0xc2 || lead > 0xf4) return std::nullopt;
    const size_t length = utf8_length(lead);
    if (in.size() < length) return std::nullopt;
    for (size_t i = 1; i < length; ++i) {
        if ((static_cast<uint8_t>(in[i]) & 0xc0) != 0x80) return std::nullopt;
    }
    char32_t value = 0;
    read_utf8(reinterpret_cast<const uint8_t*>(in.data()), value);
    const bool shortest = length == 2 || (length == 3 && value >= 0x800) || (length == 4 && value >= 0x10000);
    if (!shortest || !is_unicode_scalar(value)) return std::nullopt;
    return length;
}

}  // namespace meridian::crdt
