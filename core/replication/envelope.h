// The envelope: one delta, as nodes broadcast it on Channel::delta (cluster-and-storage.md section 4). The first four
// keys are what nodes of the older implementation read; the others are ours and they ignore them.
// docs/CLUSTER-PROTOCOL.md.
//
// Pure functions; memory proportional to the input.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "node/version_vector.h"
#include "replication/seal.h"

namespace meridian::replication {

// What only envelopes of this implementation have.
struct NumberedPart {
    uint64_t incarnation = 0;  // "inc", from 1
    uint64_t sequence = 0;     // "oseq", from 1
    uint8_t type_code = 0;     // "ct": crdt::Type, or one that newer nodes know
    uint64_t wall_ms = 0;      // "ts"
    bool repeated = false;     // "fl" bit 0
    std::string payload;       // "xd": wire/log_entry.h
};

struct Envelope {
    using Numbered = NumberedPart;

    uint64_t origin_node_id = 0;
    std::string namespace_name;
    std::string key;
    std::string delta_bytes;           // what clients are told; for nodes of the older implementation
    std::optional<Numbered> numbered;  // absent in an envelope of the older implementation

    node::Origin origin() const { return {origin_node_id, numbered ? numbered->incarnation : 0}; }
};

// The keys in their fixed order, `mac` last. REQUIRES: names within the limits of the decoder.
std::string encode_envelope(const Envelope& envelope, const Seal& seal);

// As tolerant as the older implementation (section 4.3): any order, unknown keys, an array of exactly four, delta_bytes
// as an array of integers, bytes after the value. An envelope without any of our keys is one of the older
// implementation: it names no cluster and has no code, so it is taken unless codes are required. One with some of our
// keys must have all that `numbered` needs. What is checked, in this order: MessagePack, cluster, code, version, fields
// (names within core/replication/message.h's limits). On an error `reason`, if not null, tells it for counting.
Result<Envelope> decode_envelope(std::string_view bytes, const Seal& seal, RefusalReason* reason = nullptr);

}  // namespace meridian::replication
