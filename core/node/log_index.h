// Where in the log the entries of each origin are. A record says: at this position, the log held so much of each
// origin, without gaps; so what comes after that stands behind it. One is kept for about every `interval` positions, as
// metadata that is written with the group that crosses it.
//
// Thread-safe: one mutex, held for a search in a few hundred records.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "node/store.h"
#include "node/version_vector.h"

namespace meridian::node {

inline constexpr std::string_view log_index_prefix = "log-index/";  // + position, 16 hexadecimal digits
inline constexpr std::string_view log_floor_prefix = "log-floor/";  // + origin: what was raised without its entries
inline constexpr std::string_view vector_prefix = "vector/";        // + origin: what is held of it

class LogIndex {
public:
    static constexpr uint64_t interval = 4096;

    // Of what the store had when it was opened.
    void load(const std::vector<std::pair<std::string, std::string>>& index_records,
              const std::vector<std::pair<std::string, std::string>>& floor_records, uint64_t floor);
    // The last record's position; 0 if there is none.
    uint64_t last_position() const;
    // REQUIRES: a later position than any before.
    void add(uint64_t position, VersionVector vector);
    // Entries up to here need not be in the log.
    void raise(const VersionVector& vector);
    // The log begins at this position now. Gives the removal of the records that are of no use any more.
    std::vector<MetadataWrite> set_floor(uint64_t floor);
    uint64_t floor() const;

    // A position, as late as is known, from which on the log has all entries of `origin` after `sequence`.
    uint64_t start_of(const Origin& origin, uint64_t sequence) const;
    // For each origin in `held`: the oldest sequence from which on the log has all.
    VersionVector floors(const VersionVector& held) const;

private:
    struct Record {
        uint64_t position = 0;
        VersionVector vector;
    };

    mutable std::mutex mutex_;
    std::deque<Record> records_;  // ascending positions, and so ascending vectors
    VersionVector raised_;
    uint64_t floor_ = 1;
};

// Names and values of the metadata.
std::string encode_vector(const VersionVector& vector);
std::optional<VersionVector> decode_vector(std::string_view bytes);
std::string origin_name(std::string_view prefix, const Origin& origin);
std::optional<Origin> origin_of_name(std::string_view prefix, std::string_view name);
MetadataWrite sequence_write(std::string_view prefix, const Origin& origin, uint64_t sequence);
// Origins and sequences of records that sequence_write() made; what does not decode is left out, which makes the vector
// smaller than it might be.
VersionVector decode_sequences(std::string_view prefix,
                               const std::vector<std::pair<std::string, std::string>>& records);
MetadataWrite index_write(uint64_t position, const VersionVector& vector);

}  // namespace meridian::node
