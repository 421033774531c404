// The RGA's part of our own encodings (docs/CORE-DELTA.md, docs/SNAPSHOT.md), on the primitives of base/binary.h. A
// stamp is written as author, wall time as a difference (mod 2^64, zigzag) from a neighbour's, logical count; steps and
// text as in crdt/rga_steps.h.
//
// Delta
//   run count; per run:
//     count << 3 | deleted << 2 | has origin << 1 | same author as the run before (the first: as 0)
//     [author]  wall time from the run before (the first: from 0)  logical
//     [origin: logical << 1 | same author as the run; [author]; wall time from the run's]
//     count 1: [content: code point]    else: steps as bytes, [text as bytes]; neither content nor text if deleted
//   delete count; per delete: logical << 1 | same author as the delete before; [author]; wall time from the delete
//   before
//
// State: canonical, so equal lattice states have equal bytes
//   author count; per author of a placed character, ascending: difference from the one before
//   run count; per run, in document order, each as long as possible:
//     count << 1 | deleted   index of the author   wall time from the last character before   logical
//     levels up from a child of the last character before     count 1: [content]    else: steps, [text]
//   orphan count; per orphan by ascending id: id, origin, 0 if deleted, else code point + 1
//   waiting delete count; per delete by ascending id: id
//   where an id is: author; wall time from the stamp before it; logical
//
// Origins of placed characters follow from the levels. Decoders accept only what encoders write, take O(n log n) and
// memory proportional to the input. Pure functions.
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
