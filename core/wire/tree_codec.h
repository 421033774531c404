// The Tree's part of our own encodings (docs/CORE-DELTA.md, docs/SNAPSHOT.md have the grammar), on the primitives of
// base/binary.h. A state is its full delta, less what nobody can see any more, so equal states have equal bytes.
//
// Decoders accept only what encoders write (positions and values valid UTF-8 too), take O(n log n) and memory
// proportional to the input, and leave what follows in the reader. Pure functions.
#pragma once

#include "base/binary.h"
#include "base/result.h"
#include "crdt/tree.h"

namespace meridian::wire {

// REQUIRES: the lists are ascending, each id at most once, as Tree makes them.
void encode_tree_delta(BinaryWriter& out, const crdt::Tree::Delta& delta);
Result<crdt::Tree::Delta> decode_tree_delta(BinaryReader& in);

void encode_tree_state(BinaryWriter& out, const crdt::Tree& tree);
Result<crdt::Tree> decode_tree_state(BinaryReader& in);

}  // namespace meridian::wire
