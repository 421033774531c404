// The answer that nodes of the older implementation expect of `GET /internal/cluster/wal?from_seq=N`
// (cluster-and-storage.md section 6.3): a MessagePack array of ops, each with a number.
//
// The numbers are positions of the answering node's log. The asker remembers the last one that it got and asks from
// there on, that one included; so numbers ascend strictly, never go back while the log exists, and an answer may be any
// beginning of what was asked for.
//
// Pure; memory proportional to the bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace meridian::replication {

struct LegacyLogEntry {
    uint64_t position = 0;  // "seq"
    std::string namespace_name;
    std::string key;       // "crdt_id"
    std::string op_bytes;  // as the client sent it; an array of integers on the wire
    uint64_t wall_ms = 0;  // "timestamp_ms"
};

// Puts one answer together.
class LegacyLogWriter {
public:
    // An answer of about `bytes_max` and at most `count_max` entries, but at least one, so that the asker gets on.
    LegacyLogWriter(size_t bytes_max, size_t count_max) : bytes_max_(bytes_max), count_max_(count_max) {}

    // False: no more fits; the entry is not in the answer, and none may be added after it. REQUIRES: positions that
    // ascend strictly.
    bool add(const LegacyLogEntry& entry);
    size_t count() const { return count_; }
    std::string finish() &&;

private:
    const size_t bytes_max_;
    const size_t count_max_;
    std::string entries_;
    size_t count_ = 0;
    uint64_t last_position_ = 0;
};

// As tolerant as the older implementation (section 4.3): fields in any order, unknown ones, an entry as an array of
// exactly five, op_bytes as a byte string, bytes after the array. Names within the limits of message.h.
Result<std::vector<LegacyLogEntry>> decode_legacy_log(std::string_view bytes);

}  // namespace meridian::replication
