// Percent-encoding in URLs (RFC 3986 section 2.1). Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace meridian::server {

// Decodes %XX. Nothing if an escape is malformed or the result is not UTF-8.
std::optional<std::string> percent_decode(std::string_view text);
std::string percent_encode(std::string_view text);

}  // namespace meridian::server
