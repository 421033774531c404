// How the stamps of a run of characters are packed, in memory and in our encodings: each id but the first as a step
// from the one before it. All ids of a run have the same author and ascend. A step is one or two varints:
//
//   typed later, logical 0      (wall difference << 1)            2 bytes up to 8.1 s between keystrokes
//   typed later, logical n > 0  (wall difference << 1 | 1), n
//   same millisecond, next      0                                  1 byte: pasted text
//   same millisecond, further   1, logical difference (>= 2)
//
// and characters as UTF-8. Pure functions on bytes that were validated where they came in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "crdt/hlc.h"

namespace meridian::crdt {

inline constexpr size_t rga_step_bytes_max = 13;

// Whether `to` may follow `from` in a run: same author, greater, and the wall difference fits beside the flag.
inline bool fits_rga_step(const Hlc& from, const Hlc& to) {
    return from.node_id == to.node_id && from < to && to.wall_ms - from.wall_ms <= UINT64_MAX >> 1;
}

// Writes the step from `from` to `to`; gives its length. REQUIRES: fits_rga_step(), room for rga_step_bytes_max.
size_t write_rga_step(uint8_t* out, const Hlc& from, const Hlc& to);

// Moves `stamp` one step on; gives the position after the step. REQUIRES: a valid step.
inline const uint8_t* read_rga_varint(const uint8_t* in, uint64_t& value) {
    value = *in & 0x7f;
    for (unsigned shift = 7; (*in++ & 0x80) != 0; shift += 7) value |= static_cast<uint64_t>(*in & 0x7f) << shift;
    return in;
}
inline const uint8_t* apply_rga_step(const uint8_t* in, Hlc& stamp) {
    uint64_t head = 0;
    in = read_rga_varint(in, head);
    const uint64_t wall_difference = head >> 1;
    uint64_t logical = 0;
    if ((head & 1) != 0) in = read_rga_varint(in, logical);
    if (wall_difference == 0) {
        stamp.logical = static_cast<uint16_t>(stamp.logical + (head == 0 ? 1 : logical));
    } else {
        stamp.wall_ms += wall_difference;
        stamp.logical = static_cast<uint16_t>(logical);
    }
    return in;
}

// As apply_rga_step, but for bytes from outside: the length of the step, or nothing when it is cut short, not in its
// one shortest form, or leaves the range of stamps.
std::optional<size_t> check_rga_step(std::string_view in, Hlc& stamp);

inline bool is_unicode_scalar(char32_t value) {
    return value < 0xd800 || (value > 0xdfff && value <= 0x10ffff);
}

inline size_t utf8_length(uint8_t lead) {
    return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}
// REQUIRES: a Unicode scalar value, room for 4 bytes. Gives the length.
size_t write_utf8(uint8_t* out, char32_t value);
// REQUIRES: valid UTF-8.
inline const uint8_t* read_utf8(const uint8_t* in, char32_t& value) {
    const uint8_t lead = *in;
    if (lead < 0x80) {
        value = lead;
        return in + 1;
    }
    const size_t length = utf8_length(lead);
    value = lead & (0x7fU >> length);
    for (size_t i = 1; i < length; ++i) value = (value << 6) | (in[i] & 0x3fU);
    return in + length;
}
// The length of the first character of bytes from outside, or nothing when that is not valid UTF-8.
std::optional<size_t> check_utf8(std::string_view in);

}  // namespace meridian::crdt
