#include "write_guard.h"

#include <algorithm>
#include <optional>

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

// The row that is replaced or removed, if there is one; the pages of its large value are given back.
Result<std::optional<PageNode>> row_given_back(const TreeReader& tree, const TreePath& path, std::string_view key) {
    auto row = tree.row_at(path, key);
    if (row && row->overflow != no_page) {
        if (const auto count = tree.overflow_pages(*row); !count) return count.error();
    }
    return row;
}

}  // namespace

Result<void> WriteGuard::check_begin() {
    const auto any = [](PageNumber) { return Result<void>(); };
    if (auto checked = check_free_list(tables_.view, any); !checked) return checked;
    if (auto checked = check_whole(tables_.view.main); !checked) return checked;
    return check_whole(tables_[system_table]);
}

Result<void> WriteGuard::check_put(TableIndex table, std::string_view key) {
    const TreeReader& tree = tables_[table];
    const auto path = tree.path_to(key);
    if (!path) return path.error();
    if (path->empty()) return {};
    if (const auto row = row_given_back(tree, *path, key); !row) return row.error();
    progress_[table].leaves[path->back().number].rows_added = true;
    return {};
}

Result<void> WriteGuard::check_remove(TableIndex table, std::string_view key) {
    const TreeReader& tree = tables_[table];
    const auto path = tree.path_to(key);
    if (!path) return path.error();
    if (path->empty()) return {};
    const auto given_back = row_given_back(tree, *path, key);
    if (!given_back) return given_back.error();
    const std::optional<PageNode>& row = *given_back;
    const TreePage& page = *path->back().page;
    Leaf& leaf = progress_[table].leaves[path->back().number];
    leaf.removed_bytes += row ? row_bytes(*row) : 0;
    leaf.removed_rows += 1;
    const bool comfortable = !leaf.rows_added && leaf.removed_rows + 2 <= page.size() &&
                             leaf.removed_bytes + page.page_size() / comfortable_divisor <= page.used_bytes();
    return comfortable ? Result<void>() : check_beside(table, *path);
}

Result<void> WriteGuard::check_beside(TableIndex table, const TreePath& path) {
    const TreeReader& tree = tables_[table];
    Progress& progress = progress_[table];
    TreeVisitor visitor;
    visitor.page = [&](PageNumber page) { return progress.sound.insert(page).second; };
    const size_t reach = static_cast<size_t>(progress.merges) + 1;
    for (size_t level = path.size() - 1; level-- > 0;) {
        const TreeStep& parent = path[level];
        const size_t first = parent.index > reach ? parent.index - reach : 0;
        const size_t last = std::min(parent.page->size() - 1, parent.index + reach);
        for (size_t child = first; child <= last; ++child) {
            if (child == parent.index) continue;
            if (auto walked = tree.walk_child(path, level, child, visitor); !walked) {
                progress.sound.clear();
                return walked;
            }
        }
        // Enough children are left: this branch is not merged itself.
        const size_t children = progress.split ? parent.page->size() / 2 : parent.page->size();
        if (children >= reach + 2) return {};
    }
    return {};
}

void WriteGuard::changed(TableIndex table, const MDB_stat& now) {
    Progress& progress = progress_[table];
    if (!progress.known) {
        progress.branch_pages = tables_[table].table().info.branch_pages;
        progress.leaf_pages = tables_[table].table().info.leaf_pages;
        progress.known = true;
    }
    if (now.ms_branch_pages > progress.branch_pages) progress.split = true;
    if (now.ms_branch_pages < progress.branch_pages) progress.merges += progress.branch_pages - now.ms_branch_pages;
    if (now.ms_leaf_pages < progress.leaf_pages) progress.merges += progress.leaf_pages - now.ms_leaf_pages;
    progress.branch_pages = now.ms_branch_pages;
    progress.leaf_pages = now.ms_leaf_pages;
}

}  // namespace meridian::store_kv
