// What the log holds beyond the snapshot database, in memory: for each key with entries newer than its snapshot, where
// they are; and metadata that the database does not have yet. Rebuilt at open from the log.
//
// Threads: REQUIRES the store's state mutex for every call.
// Size: 24 bytes an entry, about 200 bytes and the name a key; bounded by how much log the host lets grow between
// checkpoints.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "segment.h"

namespace meridian::store_kv {

// Where the payload of one entry is.
struct EntryPlace {
    uint64_t position = 0;
    uint32_t segment = 0;  // low bits of its number; at most 2^32 segments are kept at once
    uint32_t offset = 0;
    uint32_t length = 0;
    uint32_t checksum = 0;  // CRC32C of the payload
};

struct KeyTail {
    std::string name;                // join_name
    std::vector<EntryPlace> places;  // ascending positions, not empty
    uint64_t deadline_ms = 0;        // of the newest entry
};

struct PendingMetadata {
    std::optional<std::string> value;  // absent = deleted
    uint64_t sequence = 0;             // of the record that wrote it
    uint64_t segment = 0;
};

class KeyIndex {
public:
    explicit KeyIndex(SegmentList& segments);

    // The entry is newer than all that the index has.
    void add(std::string_view name, const EntryPlace& place, uint64_t deadline_ms, Segment& segment);
    const KeyTail* find(std::string_view name) const;
    // As add(), with one search less. Null: the index does not have the key, and nothing was done.
    const KeyTail* add_to_known(std::string_view name, const EntryPlace& place, uint64_t deadline_ms, Segment& segment);
    // A snapshot up to this position is on stable storage.
    void covered(std::string_view name, uint64_t position);
    // Keys by their oldest place.
    std::vector<const KeyTail*> stale(size_t count_max) const;
    // Names greater than `after` (absent: from the start), in order.
    const std::set<std::string_view>& names() const { return names_; }
    // (deadline, name), without keys that have none.
    const std::set<std::pair<uint64_t, std::string_view>>& deadlines() const { return deadlines_; }

    void put_metadata(std::string_view name, std::optional<std::string_view> value, uint64_t sequence,
                      Segment& segment);
    const std::map<std::string, PendingMetadata, std::less<>>& metadata() const { return metadata_; }
    // The database has the value that this record wrote.
    void metadata_stored(const std::string& name, uint64_t sequence);

    uint64_t bytes_pending() const { return bytes_pending_; }
    size_t key_count() const { return keys_.size(); }

private:
    // SipHash under a random key: clients choose key names and must not be able to choose collisions.
    struct Hash {
        std::array<unsigned char, 16> key;
        Hash();
        size_t operator()(std::string_view name) const;
    };

    void append(KeyTail& tail, const EntryPlace& place, uint64_t deadline_ms, Segment& segment);

    SegmentList& segments_;
    std::unordered_map<std::string_view, std::unique_ptr<KeyTail>, Hash> keys_;  // the views point into the KeyTail
    std::set<std::string_view> names_;
    std::map<uint64_t, KeyTail*> by_oldest_;
    std::set<std::pair<uint64_t, std::string_view>> deadlines_;
    std::map<std::string, PendingMetadata, std::less<>> metadata_;
    uint64_t bytes_pending_ = 0;
};

}  // namespace meridian::store_kv
