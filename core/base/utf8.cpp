#include "base/utf8.h"

#include <cstdint>
#include <cstring>

namespace meridian {

namespace {

struct Decoded {
    char32_t scalar = 0;
    size_t size = 0;  // bytes taken; 0 = malformed
};

bool is_continuation(char byte) {
    return (static_cast<uint8_t>(byte) & 0xc0) == 0x80;
}

// REQUIRES: text is not empty.
Decoded decode_first(std::string_view text) {
    const auto lead = static_cast<uint8_t>(text[0]);
    if (lead < 0x80) return {lead, 1};
    size_t size = 0;
    char32_t scalar = 0;
    char32_t scalar_min = 0;
    if ((lead & 0xe0) == 0xc0) {
        size = 2;
        scalar = lead & 0x1fU;
        scalar_min = 0x80;
    } else if ((lead & 0xf0) == 0xe0) {
        size = 3;
        scalar = lead & 0x0fU;
        scalar_min = 0x800;
    } else if ((lead & 0xf8) == 0xf0) {
        size = 4;
        scalar = lead & 0x07U;
        scalar_min = 0x10000;
    } else {
        return {};
    }
    if (text.size() < size) return {};
    for (size_t i = 1; i < size; ++i) {
        if (!is_continuation(text[i])) return {};
        scalar = (scalar << 6) | (static_cast<uint8_t>(text[i]) & 0x3fU);
    }
    const bool surrogate = scalar >= 0xd800 && scalar <= 0xdfff;
    if (scalar < scalar_min || scalar > 0x10ffff || surrogate) return {};
    return {scalar, size};
}

}  // namespace

bool is_valid_utf8(std::string_view text) {
    while (!text.empty()) {
        // Most text is ASCII: eight bytes at a time while no high bit is set.
        while (text.size() >= 8) {
            uint64_t block = 0;
            std::memcpy(&block, text.data(), sizeof block);
            if ((block & 0x8080808080808080ULL) != 0) break;
            text.remove_prefix(8);
        }
        if (text.empty()) break;
        const Decoded decoded = decode_first(text);
        if (decoded.size == 0) return false;
        text.remove_prefix(decoded.size);
    }
    return true;
}

void append_utf8(std::string& out, char32_t scalar) {
    const auto push = [&out](char32_t byte) { out.push_back(static_cast<char>(byte)); };
    if (scalar < 0x80) {
        push(scalar);
    } else if (scalar < 0x800) {
        push(0xc0 | (scalar >> 6));
        push(0x80 | (scalar & 0x3f));
    } else if (scalar < 0x10000) {
        push(0xe0 | (scalar >> 12));
        push(0x80 | ((scalar >> 6) & 0x3f));
        push(0x80 | (scalar & 0x3f));
    } else {
        push(0xf0 | (scalar >> 18));
        push(0x80 | ((scalar >> 12) & 0x3f));
        push(0x80 | ((scalar >> 6) & 0x3f));
        push(0x80 | (scalar & 0x3f));
    }
}

std::optional<char32_t> single_utf8_scalar(std::string_view text) {
    if (text.empty()) return std::nullopt;
    const Decoded decoded = decode_first(text);
    if (decoded.size == 0 || decoded.size != text.size()) return std::nullopt;
    return decoded.scalar;
}

}  // namespace meridian
