// Our own versioned encoding of core deltas and of keys (snapshots): docs/CORE-DELTA.md and docs/SNAPSHOT.md. Built on
// base/binary.h; each type's part is in wire/<type>_codec.h. A decoder accepts only what the encoder writes; anything
// else is an error that says where. Memory while decoding: proportional to the input. Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "base/binary.h"
#include "base/result.h"
#include "crdt/key.h"

namespace meridian::wire {

inline constexpr uint8_t core_delta_version = 1;
inline constexpr uint8_t snapshot_version = 1;

std::string encode_key_delta(const crdt::KeyDelta& delta);
void encode_key_delta(BinaryWriter& out, const crdt::KeyDelta& delta);
Result<crdt::KeyDelta> decode_key_delta(std::string_view bytes);

// REQUIRES: key.generation() > 0. Equal lattice states have equal bytes.
std::string encode_snapshot(const crdt::Key& key);
Result<crdt::Key> decode_snapshot(std::string_view bytes);

}  // namespace meridian::wire
