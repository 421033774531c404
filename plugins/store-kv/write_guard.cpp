#include "write_guard.h"

#include <optional>

#include "lmdb_check.h"

namespace meridian::store_kv {
namespace {

// A leaf that keeps more than this is not merged; LMDB's own limit is a quarter.
constexpr size_t comfortable_divisor = 3;

size_t row_bytes(const PageNode& node) {
    return 2 + 8 + node.key.size() + (node.overflow == no_page ? node.value.size() : 8) + 1;
}

Result<void> check_whole(const TreeReader& tree) {
    Result<void> out;
    TreeVisitor visitor;
    visitor.row = [&](std::string_view, const PageNode& node) {
        if (node.overflow == no_page) return true;
        if (const auto count = tree.overflow_pages(node); !count) out = count.error();
        return out.ok();
    };
    const auto walked = tree.walk({}, visitor);
    return walked ? out : Result<void>(walked.error());
}

// The row that is replaced or removed, if there is one. LMDB gives the pages of its large value back, so these must be
// this row's and not another's: its seal says so.
Result<std::optional<PageNode>> row_given_back(const TreeReader& tree, const TreePath& path, std::string_view key) {
    auto row = tree.row_at(path, key);
    if (!row || row->overflow == no_page) return row;
    const auto value = tree.value(*row);
    if (!value) return value.error();
    if (const auto body = unseal(key, *value); !body) {
        return Error{tree.path() + ": page " + std::to_string(row->overflow) + ": (" + tree.table().name +
                     ") the large value of row '" + printable(key) + "': " + body.error().message};
    }
    return row;
}

}  // namespace

Result<void> WriteGuard::check_begin() {
    auto pages = read_free_pages(tables_.view);
    if (!pages) return pages.error();
    free_pages_ = std::move(*pages);
    tables_.view.main.set_free_pages(free_pages_.get());
    for (TreeReader& table : tables_.tables) table.set_free_pages(free_pages_.get());
    if (auto checked = check_whole(tables_.view.main); !checked) return checked;
    return check_whole(tables_[system_table]);
}

Result<void> WriteGuard::check_put(TableIndex table, std::string_view key) {
    const TreeReader& tree = tables_[table];
    const auto path = tree.path_to(key);
    if (!path) return path.error();
    if (path->empty()) return {};
    const auto row = row_given_back(tree, *path, key);
    if (!row) return row.error();
    Progress& progress = progress_[table];
    progress.leaf = path->back().number;
    // What takes the place of the row may be smaller.
    progress.leaves[progress.leaf].removed_bytes += *row ? row_bytes(**row) : 0;
    return {};
}

Result<void> WriteGuard::check_remove(TableIndex table, std::string_view key) {
    const TreeReader& tree = tables_[table];
    const auto path = tree.path_to(key);
    if (!path) return path.error();
    if (path->empty()) return {};
    const auto row = row_given_back(tree, *path, key);
    if (!row) return row.error();
    // The step to the next page reads the branches on the way, whether or not there is a merge.
    if (const auto next = next_unmerged(table, *path, Side::after); !next) return next.error();
    const TreePage& page = *path->back().page;
    const PageNumber number = path->back().number;
    Progress& progress = progress_[table];
    Leaf leaf = progress.leaves[number];
    leaf.removed_bytes += *row ? row_bytes(**row) : 0;
    leaf.removed_rows += 1;
    const bool comfortable = !leaf.split && progress.merged.count(number) == 0 &&
                             leaf.removed_rows + 2 <= page.size() &&
                             leaf.removed_bytes + page.page_size() / comfortable_divisor <= page.used_bytes();
    if (!comfortable) {
        if (auto checked = check_merge(table, *path); !checked) return checked;
    }
    progress.leaves[number] = leaf;
    progress.leaf = number;
    return {};
}

Result<TreePath> WriteGuard::next_unmerged(TableIndex table, TreePath path, Side side) const {
    const Progress& progress = progress_[table];
    // Pages that are beside each other were merged once for each page between them.
    for (uint64_t left = progress.merges + 1; left-- > 0;) {
        auto next = tables_[table].beside(path, side);
        if (!next) return next.error();
        path = std::move(*next);
        if (path.empty() || progress.merged.count(path.back().number) == 0) break;
    }
    return path;
}

Result<void> WriteGuard::check_merge(TableIndex table, const TreePath& path) {
    const TreeReader& tree = tables_[table];
    Progress& progress = progress_[table];
    std::unordered_set<PageNumber> merged;  // by this one, if all goes well
    bool branches_changed = progress.branches_changed;
    for (TreePath here = path; !here.empty(); here.pop_back()) {
        const bool leaf = here.size() == path.size();
        merged.insert(here.back().number);
        for (const Side side : {Side::before, Side::after}) {
            if (!leaf) {
                if (auto edge = tree.load_edge(here, side); !edge) return edge;
            }
            auto next = next_unmerged(table, here, side);
            if (!next) return next.error();
            if (next->empty()) continue;
            if (auto loaded = tree.load_end(*next); !loaded) return loaded;
            merged.insert(next->back().number);
            for (const Side edge : {Side::before, Side::after}) {
                if (auto loaded = tree.load_edge(*next, edge); !loaded) return loaded;
            }
        }
        if (here.size() < 2) break;
        // A branch that certainly keeps two children is not merged itself. It has lost at most one for each merge of
        // leaves, and as many to branches beside it; if it was split, half of them.
        const TreePage& parent = *here[here.size() - 2].page;
        if (!branches_changed && parent.size() >= 2 * progress.merges + 4) break;
        branches_changed = true;
    }
    progress.merged.merge(merged);
    progress.branches_changed = branches_changed;
    return {};
}

void WriteGuard::changed(TableIndex table, const MDB_stat& now) {
    Progress& progress = progress_[table];
    if (!progress.known) {
        progress.branch_pages = tables_[table].table().info.branch_pages;
        progress.leaf_pages = tables_[table].table().info.leaf_pages;
        progress.known = true;
    }
    if (now.ms_branch_pages > progress.branch_pages) progress.branches_changed = true;
    if (now.ms_leaf_pages < progress.leaf_pages) progress.merges += progress.leaf_pages - now.ms_leaf_pages;
    if (now.ms_leaf_pages > progress.leaf_pages) progress.leaves[progress.leaf].split = true;
    progress.branch_pages = now.ms_branch_pages;
    progress.leaf_pages = now.ms_leaf_pages;
}

}  // namespace meridian::store_kv
