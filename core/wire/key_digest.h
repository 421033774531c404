// What two replicas compare of a key: equal for keys that hold the same writes, although one of them has dropped what
// nodes may drop at different times. Not a snapshot: nothing reads it back.
//
// Left out: presence entries that are dead at `now_ms`, and tombstones of set tags that were removed before
// `tombstones_before_ms`, which is to be well after the time from which on compaction may drop them (OrSet, Presence).
// Pure functions; cost and memory as encoding a snapshot.
#pragma once

#include <cstdint>
#include <string>

#include "crdt/key.h"

namespace meridian::wire {

// REQUIRES: key.generation() > 0.
std::string encode_digest_form(const crdt::Key& key, uint64_t now_ms, uint64_t tombstones_before_ms);

}  // namespace meridian::wire
