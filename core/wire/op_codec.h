// Client operations on the wire (crdts.md sections 2 and 3, client-api.md section 3.2).
//
// Accepts a bare op and the versioned envelope, struct fields in any order or as arrays, unknown fields, integral
// float64 in integer fields, byte strings given as bin, str or array. Refuses what crdts.md section 2.2 lists. Bytes
// after the first value are ignored. Errors: one line naming the field, what was found and what was expected. Memory:
// proportional to the input. Threads: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "crdt/op.h"

namespace meridian::wire {

// Nesting of JSON values inside ops beyond this is refused (crdts.md section 3.8).
inline constexpr unsigned json_depth_max = 128;

Result<crdt::Op> decode_op(std::string_view op_bytes);
// The canonical bare op, as the existing encoder writes it. An id that is marked rounded keeps its float64.
std::string encode_op(const crdt::Op& op);
// Canonical JSON text of an op (crdts.md section 3.7), for history.
std::string op_to_json(const crdt::Op& op);

// `target_hlc` and `restore_entry` of UndoLww.
Result<crdt::Hlc> decode_hlc(std::string_view bytes);
std::string encode_hlc(const crdt::Hlc& stamp);
Result<JsonValue> decode_json_value(std::string_view bytes);

// A vector clock: validated (integer or decimal-string keys), its content is not used (crdts.md section 6.1).
Result<void> check_vector_clock(std::string_view bytes);

}  // namespace meridian::wire
