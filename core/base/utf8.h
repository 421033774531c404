// UTF-8 (RFC 3629): validation, and conversion of single Unicode scalar values. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace meridian {

// Well-formed: shortest forms only, no surrogates, nothing above U+10FFFF.
bool is_valid_utf8(std::string_view text);

// REQUIRES: `scalar` is a Unicode scalar value.
void append_utf8(std::string& out, char32_t scalar);

// The scalar value when `text` is the encoding of exactly one, else nothing.
std::optional<char32_t> single_utf8_scalar(std::string_view text);

}  // namespace meridian
