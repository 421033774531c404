// Validation of JSON text (RFC 8259) that came from outside and is to be passed on as it is. Pure function; no
// recursion; memory is a bit for each open array or object.
#pragma once

#include <string_view>

namespace meridian {

// True if `text` is one JSON value in well-formed UTF-8 without white space between tokens.
bool is_compact_json(std::string_view text);

}  // namespace meridian
