// Looks, before LMDB does, at the pages that LMDB will follow when it changes a row. LMDB believes every page that it
// maps; a damaged one would end the process, or be written on.
//
// What it changes it copies first, so pages on the way are either as they were when the transaction began, and are
// checked here as of then, or copies that were made of checked pages. To put a row it follows the path to it. To remove
// one it may also read pages beside that path, to move rows from them or to merge with them: at the leaf when it
// becomes less than a quarter full, at a branch when a single child is left. Each merge brings pages one place nearer.
//
// Threads: one, that of the write transaction.
#pragma once

#include <lmdb.h>

#include <array>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "snapshot_tables.h"

namespace meridian::store_kv {

class WriteGuard {
public:
    // `tables` as they were when the transaction began.
    explicit WriteGuard(SnapshotTables tables) : tables_(std::move(tables)) {}

    const SnapshotTables& tables() const { return tables_; }
    // What every commit reads: the list of free pages, the tree of the tables, the table of the state.
    Result<void> check_begin();
    // An error is about a page that is needed for this row; the transaction may go on with others.
    Result<void> check_put(TableIndex table, std::string_view key);
    Result<void> check_remove(TableIndex table, std::string_view key);
    // To be told after each change.
    void changed(TableIndex table, const MDB_stat& now);

private:
    struct Leaf {
        size_t removed_bytes = 0;
        size_t removed_rows = 0;
        bool rows_added = false;
    };
    struct Progress {
        std::unordered_map<PageNumber, Leaf> leaves;  // that were changed
        std::unordered_set<PageNumber> sound;         // beside a path, checked before
        uint64_t merges = 0;
        bool split = false;  // a branch
        uint64_t branch_pages = 0;
        uint64_t leaf_pages = 0;
        bool known = false;  // the two before
    };
    Result<void> check_beside(TableIndex table, const TreePath& path);

    SnapshotTables tables_;
    std::array<Progress, table_names.size()> progress_;
};

}  // namespace meridian::store_kv
