// What envelopes and messages share: a MessagePack map that names a version ("v") and a cluster ("cid") and ends with a
// code ("mac") over the raw bytes of the pairs before it.
//
// Pure functions and values; not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/msgpack.h"
#include "base/result.h"
#include "replication/seal.h"
#include "wire/decoder.h"

namespace meridian::replication {

inline constexpr uint64_t protocol_version = 1;
inline constexpr size_t cluster_id_bytes_max = 255;

// Writes the pairs in the order of the calls.
class SealedMapWriter {
public:
    // `bytes_expected`: a guess of the whole size, to allocate once.
    explicit SealedMapWriter(size_t bytes_expected);

    // Its value is to be written next.
    MsgpackWriter& key(std::string_view name) {
        ++count_;
        writer_.string(name);
        return writer_;
    }
    // The map, with its code if the seal signs.
    std::string finish(const Seal& seal) &&;

private:
    std::string bytes_;  // the first byte is kept free for the header
    size_t count_ = 0;
    MsgpackWriter writer_;
};

// Who may have written a map.
enum class Writers : uint8_t {
    ours,            // this implementation
    ours_or_legacy,  // a map without any of our keys is one of the older implementation
};

// What a map says of itself.
enum class Made : uint8_t { ours, legacy };

// Checks the cluster, the code and the version of `root`, which is the first value of `bytes` and took `bytes_used` of
// them. On an error `reason` is set. REQUIRES: a map.
Result<Made> check_seal(std::string_view bytes, size_t bytes_used, MsgpackNode root, Writers writers, const Seal& seal,
                        RefusalReason& reason);

// Readers (wire/decoder.h) of what both name.
bool read_namespace(wire::Decoder& decoder, MsgpackNode node, std::string& out);
bool read_key(wire::Decoder& decoder, MsgpackNode node, std::string& out);
// UTF-8 of at most `bytes_max`.
bool read_text(wire::Decoder& decoder, MsgpackNode node, size_t bytes_max, std::string& out);
// An unsigned integer that is not 0.
bool read_positive(wire::Decoder& decoder, MsgpackNode node, uint64_t& out);

}  // namespace meridian::replication
