// The digest of one key, by which two nodes find out whether they hold the same: the first 8 bytes of BLAKE2b (RFC
// 7693), keyed, over namespace, 0, key, 0 and the canonical bytes of its state. Equal states have equal canonical
// bytes. The key is that of the cluster, so that nobody outside can look for contents with the same digest.
//
// Pure functions.
#pragma once

#include <cstdint>
#include <string_view>

#include "node/replication_port.h"
#include "node/store.h"

namespace meridian::node {

// BLAKE2b-256 over "meridian state digest", 0 and the cluster id.
DigestKey digest_key(std::string_view cluster_id);

uint64_t key_digest(const DigestKey& key, const KeyName& name, std::string_view canonical_state);

// Where the key stands in the hash tree of its node (replication/hash_tree.h): the first 8 bytes of BLAKE2b over
// namespace, 0 and key, with another output length than that of the digest, which makes it another function.
uint64_t key_path(const DigestKey& key, const KeyName& name);

}  // namespace meridian::node
