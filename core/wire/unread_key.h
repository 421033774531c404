// A key that this version cannot decode, as a snapshot of it: the bytes that the store had, its last snapshot and the
// log entries after it, put away together so that the log need not keep them. docs/SNAPSHOT.md has the grammar. A
// version that can decode them makes the key of them. Pure functions; memory proportional to the input.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace meridian::wire {

// In the place of snapshot_version (key_codec.h), which is never 0.
inline constexpr uint8_t unread_key_version = 0;

struct UnreadKey {
    std::optional<std::string> snapshot;
    std::vector<std::string> entries;  // payloads (log_entry.h) in order
};

bool is_unread_key(std::string_view snapshot);
std::string encode_unread_key(const UnreadKey& key);
Result<UnreadKey> decode_unread_key(std::string_view bytes);

}  // namespace meridian::wire
