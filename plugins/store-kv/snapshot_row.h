// How rows of the snapshot database are encoded (docs/STORE-KV.md): seals, keys, snapshots.
//
// Threads: values and pure functions. Errors: texts without the name of the file or the row.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace meridian::store_kv {

// LMDB takes keys of up to 511 bytes. Longer names keep their first bytes, for the order, and end in a digest.
constexpr size_t direct_name_max = 472;
std::string row_key(std::string_view name);

// Sorts by number, then has one row a name.
std::string numbered_key(uint64_t number, std::string_view name);
uint64_t number_of(std::string_view key);

// Of the table of what has a second place: the rows of a name lie together, by position. Position 0: its snapshot.
std::string aside_key(std::string_view name, uint64_t position);
// What takes the place of the name for metadata: no key has such a name.
std::string metadata_name(std::string_view name);

// Every value begins with a format byte and a checksum over the rest and its key, so that a damaged value, or one under
// another key, is found when it is read.
std::string seal(std::string_view key, std::string_view body);
Result<std::string_view> unseal(std::string_view key, std::string_view value);

class SnapshotRow {
public:
    static Result<SnapshotRow> decode(std::string_view key, std::string value);
    // Of a state nothing is kept: removed, and `position` says up to which entries do not count.
    static std::string encode(std::string_view key, std::string_view name, uint64_t position, uint64_t deadline_ms,
                              const std::string_view* state);

    std::string_view name() const { return std::string_view(value_).substr(name_offset_, name_size_); }  // join_name
    std::string_view state() const { return std::string_view(value_).substr(state_offset_); }
    size_t size() const { return value_.size(); }
    uint64_t position = 0;
    uint64_t deadline_ms = 0;
    bool deleted = false;

private:
    std::string value_;
    size_t name_offset_ = 0;
    size_t name_size_ = 0;
    size_t state_offset_ = 0;
};

// True if the beginning of a snapshot's value (snapshot_head_size of it, or all) is of the row with this key. A row
// that lies under another key than its value says has a damaged key.
constexpr size_t snapshot_head_size = 8 << 10;
bool is_head_of_row(std::string_view key, std::string_view head);
// The name in it, if it is of that row.
std::optional<std::string_view> name_in_head(std::string_view key, std::string_view head);

}  // namespace meridian::store_kv
