// JSON values inside ops, deltas and messages (crdts.md section 2.3): any MessagePack that has a JSON meaning becomes a
// canonical JsonValue. Pure functions.
#pragma once

#include "base/json_value.h"
#include "wire/decoder.h"

namespace meridian::wire {

// Refuses byte strings, extension values, map keys that are not strings, strings that are not UTF-8, and more than
// json_depth_max levels of arrays and objects.
bool read_json_value(Decoder& decoder, MsgpackNode node, JsonValue& out);

}  // namespace meridian::wire
