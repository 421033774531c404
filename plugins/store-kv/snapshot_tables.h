// The tables of the snapshot database, as they are at one moment, read without LMDB (lmdb_tree.h).
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "lmdb_check.h"
#include "lmdb_tree.h"
#include "snapshot_row.h"

namespace meridian::store_kv {

enum TableIndex : size_t {
    snapshots_table,
    deadlines_table,
    deletions_table,
    metadata_table,
    system_table,
    aside_table
};
constexpr std::array<const char*, 6> table_names = {"snapshots", "deadlines", "deletions",
                                                    "metadata",  "system",    "aside"};

// An entry of the log that was set aside, because its key's snapshot cannot be read and the log must not grow for it.
struct AsideEntry {
    uint64_t position = 0;
    std::string payload;
    std::string lost;  // not empty: the log could not be read there any more; the text says what was wrong
};

struct AsideMetadata {
    std::optional<std::string> value;  // absent: removed
};

struct SnapshotTables {
    DatabaseView view;
    std::vector<TreeReader> tables;  // by TableIndex

    // `aside` may be missing: it is not there in the first stores. Other tables must be there, and no others.
    static Result<SnapshotTables> at(const PageFile& file, const MetaPage& meta);
    const TreeReader& operator[](TableIndex table) const { return tables[table]; }
    std::vector<Table> list() const;

    // Absent: there is no such row. A row that a damaged key hides is an error. One that is in the second place counts
    // alone.
    Result<std::optional<SnapshotRow>> snapshot(std::string_view name) const;
    Result<std::optional<std::string>> metadata(std::string_view name) const;
    // The body of the sealed value.
    Result<std::optional<std::string>> sealed(TableIndex table, std::string_view key) const;

    // What is in the second place, of rows whose first place is damaged.
    bool has_aside() const { return tables[aside_table].table().info.root != no_page; }
    Result<std::optional<SnapshotRow>> aside_snapshot(std::string_view name) const;
    Result<std::optional<AsideMetadata>> aside_metadata(std::string_view name) const;
    // In order of their positions, which are greater than `after`.
    Result<std::vector<AsideEntry>> aside_entries(std::string_view name, uint64_t after = 0) const;
    // Whatever is in the second place.
    Result<std::optional<SnapshotRow>> first_snapshot(std::string_view name) const;
};

}  // namespace meridian::store_kv
