// The RGA's part of our own encodings (docs/CORE-DELTA.md, docs/SNAPSHOT.md have the grammar), on the primitives of
// base/binary.h; steps and text as in crdt/rga_steps.h. A state is canonical: equal lattice states have equal bytes.
//
// Decoders accept only what encoders write, take O(n log n) and memory proportional to the input. Pure functions.
#pragma once

#include "base/binary.h"
#include "base/result.h"
#include "crdt/rga.h"

namespace meridian::wire {

void encode_rga_delta(BinaryWriter& out, const crdt::Rga::Delta& delta);
Result<crdt::Rga::Delta> decode_rga_delta(BinaryReader& in);

void encode_rga_state(BinaryWriter& out, const crdt::Rga& rga);
Result<crdt::Rga> decode_rga_state(BinaryReader& in);

}  // namespace meridian::wire
