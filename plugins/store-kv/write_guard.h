// Looks, before LMDB does, at the pages that LMDB will follow when it changes a row. LMDB believes every page that it
// maps; a damaged one would end the process, or be written on.
//
// What it changes it copies first, so a page on the way is either as it was when the transaction began, and is checked
// here as of then, or a copy that was made of checked pages. To put a row it follows the path to it. To remove one it
// may do more (mdb_rebalance, mdb_node_move, mdb_page_merge, mdb_cursor_sibling of LMDB 0.9):
//
// - if a leaf becomes less than a quarter full it takes a row from the page beside it, or merges the two
// - if a merge leaves a branch with one child, it does the same with branches; it then looks for the least key below
//   each of the two
// - if the row was the last of its page it steps to the next page of the same level
//
// A page can be beside another that it was not beside at the beginning only if those between were merged. So pages that
// may have been are remembered, and those behind them are looked at.
//
// Threads: one, that of the write transaction.
#pragma once

#include <lmdb.h>

#include <array>
#include <memory>
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
    // What every commit reads: the list of free pages, the tree of the tables, the table of the state. To be called
    // first.
    Result<void> check_begin();
    // An error is about a page that is needed for this row; the transaction may go on with others unless there is a
    // conflict(). REQUIRES of the caller: a row is put at most once in a transaction.
    Result<void> check_put(TableIndex table, std::string_view key);
    Result<void> check_remove(TableIndex table, std::string_view key);
    // To be told after each row.
    void changed(TableIndex table, const MDB_stat& now);
    // True if a page was met that is in use, and is in the list of free pages: what LMDB writes next may be on it.
    bool conflict() const { return free_pages_ && free_pages_->conflict(); }
    // How much of the list of free pages each transaction reads.
    uint64_t free_list_bytes() const { return free_pages_ ? 8 * free_pages_->count() : 0; }

private:
    struct Leaf {
        size_t removed_bytes = 0;
        size_t removed_rows = 0;
        bool split = false;
    };
    struct Progress {
        std::unordered_map<PageNumber, Leaf> leaves;  // that rows were put into or removed from
        std::unordered_set<PageNumber> merged;        // that may have given rows to another page, or taken them
        uint64_t merges = 0;                          // of leaves
        bool branches_changed = false;                // one was split, or may have been merged
        PageNumber leaf = no_page;                    // of the row that was checked last
        uint64_t branch_pages = 0;
        uint64_t leaf_pages = 0;
        bool known = false;  // the two before
    };
    using Side = TreeReader::Side;
    // The first page at the path's level, on this side, that was not merged; gives no step if there is none.
    Result<TreePath> next_unmerged(TableIndex table, TreePath path, Side side) const;
    Result<void> check_merge(TableIndex table, const TreePath& path);

    SnapshotTables tables_;
    std::unique_ptr<FreePages> free_pages_;
    std::array<Progress, table_names.size()> progress_;
};

}  // namespace meridian::store_kv
