#pragma once

#include <cstdint>

namespace meridian::wire {

// How maps with numeric keys (`counters`, `changes`) are written in client deltas: the Rust client reads integer keys
// only, the Python client string keys only, TypeScript both (client-api.md rule C2). Chosen per connection.
enum class KeyForm : uint8_t { integer_keys, string_keys };

}  // namespace meridian::wire
