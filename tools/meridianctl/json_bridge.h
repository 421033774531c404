// Between the JSON that people write and read and the MessagePack of the wire. Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "base/json_value.h"
#include "base/result.h"

namespace meridian::ctl {

Result<JsonValue> json_from_text(const std::string& text);
// For ops: what is named tag or known_tags and looks like a UUID becomes its bytes.
Result<std::string> msgpack_from_text(const std::string& text);

// Any MessagePack value as JSON: bytes as hexadecimal strings, numeric map keys as decimal strings.
Result<std::string> text_from_msgpack(std::string_view msgpack);

}  // namespace meridian::ctl
