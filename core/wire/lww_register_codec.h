// Core deltas, and states, of registers; see docs/CORE-DELTA.md. Pure functions.
#pragma once

#include "base/binary.h"
#include "base/result.h"
#include "crdt/lww_register.h"

namespace meridian::wire {

void encode_lww_register_delta(BinaryWriter& out, const crdt::LwwRegister::Delta& delta);
Result<crdt::LwwRegister::Delta> decode_lww_register_delta(BinaryReader& in);

}  // namespace meridian::wire
