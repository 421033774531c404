// Core deltas and states of maps; see docs/CORE-DELTA.md and docs/SNAPSHOT.md. Pure functions.
#pragma once

#include "base/binary.h"
#include "base/result.h"
#include "crdt/crdt_map.h"

namespace meridian::wire {

void encode_crdt_map_delta(BinaryWriter& out, const crdt::CrdtMap::Delta& delta);
Result<crdt::CrdtMap::Delta> decode_crdt_map_delta(BinaryReader& in);

void encode_crdt_map_state(BinaryWriter& out, const crdt::CrdtMap& map);
Result<crdt::CrdtMap> decode_crdt_map_state(BinaryReader& in);

}  // namespace meridian::wire
