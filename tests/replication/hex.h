// Bytes as the specifications print them.
#pragma once

#include <cctype>
#include <string>
#include <string_view>

namespace meridian::test {

// Spaces and line ends are skipped. REQUIRES: pairs of hexadecimal digits.
inline std::string from_hex(std::string_view text) {
    std::string bytes, digits;
    for (const char c : text) {
        if (std::isxdigit(static_cast<unsigned char>(c)) == 0) continue;
        digits.push_back(c);
        if (digits.size() < 2) continue;
        bytes.push_back(static_cast<char>(std::stoi(digits, nullptr, 16)));
        digits.clear();
    }
    return bytes;
}

inline std::string to_hex(std::string_view bytes) {
    constexpr char digits[] = "0123456789abcdef";
    std::string text;
    for (const char c : bytes) {
        text += digits[static_cast<unsigned char>(c) >> 4];
        text += digits[static_cast<unsigned char>(c) & 15];
    }
    return text;
}

}  // namespace meridian::test
