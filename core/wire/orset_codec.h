// Core deltas, and states, of sets; see docs/CORE-DELTA.md. Pure functions.
#pragma once

#include "base/binary.h"
#include "base/result.h"
#include "crdt/orset.h"

namespace meridian::wire {

void encode_orset_delta(BinaryWriter& out, const crdt::OrSet::Delta& delta);
Result<crdt::OrSet::Delta> decode_orset_delta(BinaryReader& in);

}  // namespace meridian::wire
