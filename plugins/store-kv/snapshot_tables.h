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

enum TableIndex : size_t { snapshots_table, deadlines_table, deletions_table, metadata_table, system_table };
constexpr std::array<const char*, 5> table_names = {"snapshots", "deadlines", "deletions", "metadata", "system"};

struct SnapshotTables {
    DatabaseView view;
    std::vector<TreeReader> tables;  // by TableIndex

    static Result<SnapshotTables> at(const PageFile& file, const MetaPage& meta);
    const TreeReader& operator[](TableIndex table) const { return tables[table]; }
    std::vector<Table> list() const;

    // Absent: there is no such row. A row that a damaged key hides is an error.
    Result<std::optional<SnapshotRow>> snapshot(std::string_view name) const;
    // The body of the sealed value.
    Result<std::optional<std::string>> sealed(TableIndex table, std::string_view key) const;
};

// For messages: other bytes than letters, digits and punctuation in hexadecimal.
std::string printable(std::string_view key);

}  // namespace meridian::store_kv
