// Client deltas on the wire (client-api.md section 3.3): bare delta structs without a type tag. ORSet deltas are
// written without `tag_versions` (rule C3). Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "crdt/client_delta.h"
#include "wire/key_form.h"

namespace meridian::wire {

std::string encode_client_delta(const crdt::ClientDelta& delta, KeyForm form);
void append_client_delta(std::string& out, const crdt::ClientDelta& delta, KeyForm form);
// Reads what this server, legacy nodes and legacy servers write, both key forms; `tag_versions` is skipped.
Result<crdt::ClientDelta> decode_client_delta(crdt::Type type, std::string_view bytes);

}  // namespace meridian::wire
