// Messages to test with: every kind, with random content from a seed.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>

#include "replication/message.h"

namespace meridian::test {

inline constexpr size_t body_kinds = std::variant_size_v<replication::Body>;

// A body of the alternative `kind` of replication::Body (below body_kinds); texts and lists are empty at times.
replication::Message random_message(std::mt19937_64& random, size_t kind, std::string_view cluster_id);

// Equal in everything that is on the wire.
bool same_message(const replication::Message& a, const replication::Message& b);

}  // namespace meridian::test
