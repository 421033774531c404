// The payload of a log entry: what recovery, replication, history and webhooks need of one write. docs/LOG-ENTRY.md.
// Pure functions; memory proportional to the input.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/binary.h"
#include "base/result.h"
#include "crdt/hlc.h"

namespace meridian::wire {

inline constexpr uint8_t log_entry_version = 1;

struct LogEntryPayload {
    crdt::EntryStamp stamp;        // names the write; its wall time is when the origin accepted it
    uint64_t batch_following = 0;  // how many entries of the same client batch follow this one directly
    uint8_t source = 0;            // node::Source
    uint64_t client_id = 0;        // of the token that wrote
    std::string key_delta;         // wire/key_codec.h
    std::string op_bytes;          // as the client sent it
    std::string idempotency_key;   // empty = none
};

// The same with borrowed text.
struct LogEntryParts {
    crdt::EntryStamp stamp;
    uint64_t batch_following = 0;
    uint8_t source = 0;
    uint64_t client_id = 0;
    std::string_view key_delta;
    std::string_view op_bytes;
    std::string_view idempotency_key;
};

void encode_log_entry(BinaryWriter& out, const LogEntryParts& parts);
std::string encode_log_entry(const LogEntryParts& parts);
Result<LogEntryPayload> decode_log_entry(std::string_view bytes);
// Only what recovery needs: a view of the key delta inside `bytes`.
Result<std::string_view> key_delta_of_log_entry(std::string_view bytes);

}  // namespace meridian::wire
