// Core deltas, and states, of both counters; see docs/CORE-DELTA.md. Pure functions.
#pragma once

#include "base/binary.h"
#include "base/result.h"
#include "crdt/counters.h"

namespace meridian::wire {

void encode_gcounter_delta(BinaryWriter& out, const crdt::GCounter::Delta& delta);
Result<crdt::GCounter::Delta> decode_gcounter_delta(BinaryReader& in);

void encode_pncounter_delta(BinaryWriter& out, const crdt::PnCounter::Delta& delta);
Result<crdt::PnCounter::Delta> decode_pncounter_delta(BinaryReader& in);

}  // namespace meridian::wire
