// Core deltas, and states, of presences; see docs/CORE-DELTA.md. Pure functions.
#pragma once

#include "base/binary.h"
#include "base/result.h"
#include "crdt/presence.h"

namespace meridian::wire {

void encode_presence_delta(BinaryWriter& out, const crdt::Presence::Delta& delta);
Result<crdt::Presence::Delta> decode_presence_delta(BinaryReader& in);

}  // namespace meridian::wire
