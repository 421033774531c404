// The Tree's part of our own encodings (docs/CORE-DELTA.md, docs/SNAPSHOT.md), on the primitives of base/binary.h.
//
//   author count; per author (node_id of a stamp), ascending: the first, then the difference from the one before
//   id count; per id of a node or parent, ascending: wall time less the one before, logical, index of the author
//   add count; per AddNode: id gap, parent, position, value
//   update count; per UpdateNode: id gap, wall time of updated_at less that of the id, logical, author index, value
//   delete count; per DeleteNode: id gap
//   move count; per MoveNode, by op_id: wall time of op_id less the one before, logical, author index, node, parent,
//   position
//
// An id gap is the number of ids skipped since the entry before; a parent is 0 for none, else the index of the id plus
// 1; a node is the index of the id. Every author and id of the tables is used. A state is its full delta; there,
// deleted nodes have neither value nor update, and a creation value that an update has superseded is empty. So equal
// states have equal bytes.
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
