// Which pages the guard of writes looks at before a row is removed: all that LMDB may follow when it merges leaves, and
// then branches. Asked of the guard itself; store_guard_test.cpp has LMDB do it.
#include <cppunit/extensions/HelperMacros.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <random>
#include <set>

#include "snapshot_db.h"
#include "store_fixture.h"

namespace meridian::test {
namespace {

namespace fs = std::filesystem;
using store_kv::metadata_table;
using store_kv::PageNumber;
using store_kv::SnapshotDb;
using store_kv::TreePath;

constexpr size_t page_size = 4096;

class WriteGuardTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(WriteGuardTest);
    CPPUNIT_TEST(pages_beside_those_on_the_path_are_looked_at_on_every_level);
    CPPUNIT_TEST(the_way_to_the_least_key_below_merged_branches_is_looked_at);
    CPPUNIT_TEST(a_branch_that_may_be_left_with_one_child_is_merged);
    CPPUNIT_TEST(above_merged_branches_others_may_be_merged);
    CPPUNIT_TEST(once_branches_may_be_merged_all_are_looked_at);
    CPPUNIT_TEST(a_branch_beside_a_split_one_may_be_merged);
    CPPUNIT_TEST(a_leaf_that_was_split_may_be_merged);
    CPPUNIT_TEST(pages_behind_merged_ones_are_looked_at);
    CPPUNIT_TEST_SUITE_END();

    TemporaryDirectory temporary_;
    const std::string path_ = temporary_.path() + "/snapshots";
    const std::string file_ = path_ + "/data.mdb";
    std::string intact_;
    std::unique_ptr<store_kv::PageFile> pages_;
    std::vector<std::string> keys_;
    std::vector<TreePath> paths_;                  // of each key
    std::vector<std::vector<PageNumber>> levels_;  // the tree's pages from left to right, root first

    // In no order and of several lengths: branches of many sizes.
    static constexpr int rows = 2000;
    static std::string key_of(int i) {
        return std::to_string(10000 + i) + std::string(static_cast<size_t>(300 + i % 5 * 40), 'k');
    }

    store_kv::SnapshotTables tables() const {
        const auto meta = pages_->read_newest_meta();
        CPPUNIT_ASSERT(meta.ok());
        auto tables = store_kv::SnapshotTables::at(*pages_, *meta);
        CPPUNIT_ASSERT(tables.ok());
        return std::move(*tables);
    }
    store_kv::WriteGuard guard() const {
        store_kv::WriteGuard guard(tables());
        CPPUNIT_ASSERT(guard.check_begin().ok());
        return guard;
    }

    MDB_stat counts(int64_t more_branches, int64_t more_leaves) const {
        const auto opened = tables();
        const auto& info = opened[metadata_table].table().info;
        MDB_stat out{};
        out.ms_branch_pages = static_cast<size_t>(static_cast<int64_t>(info.branch_pages) + more_branches);
        out.ms_leaf_pages = static_cast<size_t>(static_cast<int64_t>(info.leaf_pages) + more_leaves);
        return out;
    }

    // `bytes` of zeros: the page is none.
    void damage(PageNumber page) const {
        std::fstream file(file_, std::ios::binary | std::ios::in | std::ios::out);
        file.seekp(static_cast<std::streamoff>(page * page_size));
        file.write(std::string(page_size, '\0').data(), page_size);
    }
    void mend(PageNumber page) const {
        std::fstream file(file_, std::ios::binary | std::ios::in | std::ios::out);
        file.seekp(static_cast<std::streamoff>(page * page_size));
        file.write(intact_.data() + page * page_size, page_size);
    }

    // All rows of the leaf that has this key, in order; the text of the first refusal.
    std::string remove_leaf(store_kv::WriteGuard& guard, size_t key) const {
        const PageNumber leaf = paths_[key].back().number;
        for (size_t i = 0; i < keys_.size(); ++i) {
            if (paths_[i].back().number != leaf) continue;
            if (const auto checked = guard.check_remove(metadata_table, keys_[i]); !checked)
                return checked.error().message;
        }
        return {};
    }

    static bool names(const std::string& text, PageNumber page) {
        return text.find(": page " + std::to_string(page) + ":") != std::string::npos;
    }

    // The page beside, on the same level.
    PageNumber beside(size_t level, PageNumber page, int side) const {
        const auto& pages = levels_[level];
        const auto at = std::find(pages.begin(), pages.end(), page) - pages.begin() + side;
        return at < 0 || at >= static_cast<ptrdiff_t>(pages.size()) ? store_kv::no_page
                                                                    : pages[static_cast<size_t>(at)];
    }

    // Pages on the way to the least key below a page, without the page.
    std::vector<PageNumber> least_below(size_t level, PageNumber page) const {
        std::vector<PageNumber> out;
        for (const TreePath& path : paths_) {
            if (path[level].number != page) continue;
            for (size_t below = level + 1; below < path.size(); ++below) out.push_back(path[below].number);
            break;
        }
        return out;
    }

    size_t leaf_level() const { return levels_.size() - 1; }

    // One key for each branch of the lowest level that has such: its leaf is neither of the two first of its branch,
    // nor the last, and the branch is not at an end of its own. So the pages beside both are reached without others.
    std::vector<size_t> inner_keys() const {
        std::vector<size_t> out;
        PageNumber last = store_kv::no_page;
        for (size_t key = keys_.size(); key-- > 0;) {
            const auto& branch = paths_[key][leaf_level() - 1];
            const auto& above = paths_[key][leaf_level() - 2];
            if (branch.number == last || branch.index < 2 || branch.index + 2 >= branch.page->size()) continue;
            if (above.index == 0 || above.index + 1 == above.page->size()) continue;
            last = branch.number;
            out.push_back(key);
        }
        return out;
    }
    // One in the middle of the tree.
    size_t inner_key() const {
        const auto keys = inner_keys();
        return keys.at(keys.size() / 2);
    }
    // One whose leaf is far from the first of its branch, so that it is not looked at for being near.
    size_t far_key() const {
        const auto keys = inner_keys();
        return *std::max_element(keys.begin(), keys.end(), [&](size_t left, size_t right) {
            return paths_[left][leaf_level() - 1].index < paths_[right][leaf_level() - 1].index;
        });
    }
    size_t children(size_t key, size_t level) const { return paths_[key][level].page->size(); }
    // A branch with so many children may be merged after so many merges of leaves.
    static bool may_merge(size_t children, size_t merges) { return children < 2 * merges + 4; }

    store_kv::WriteGuard guard_after(size_t merges) const {
        auto asked = guard();
        asked.changed(metadata_table, counts(0, -static_cast<int64_t>(merges)));
        return asked;
    }

    // A guard that has seen so many merges that it rules nothing out.
    store_kv::WriteGuard wary_guard() const { return guard_after(100); }

public:
    void setUp() override {
        fs::create_directory(path_);
        CPPUNIT_ASSERT(SnapshotDb::create(path_, 256 << 20, {}).ok());
        auto db = SnapshotDb::open(path_, 256 << 20);
        CPPUNIT_ASSERT(db.ok());
        std::vector<int> order(rows);
        std::iota(order.begin(), order.end(), 0);
        std::mt19937 random(1);
        std::shuffle(order.begin(), order.end(), random);
        for (size_t i = 0; i < order.size(); i += 500) {
            auto transaction = (*db)->write();
            CPPUNIT_ASSERT(transaction.ok());
            for (size_t k = i; k < i + 500; ++k) {
                const auto put = transaction->put_metadata(key_of(order[k]), "value");
                CPPUNIT_ASSERT(put && put->written);
            }
            CPPUNIT_ASSERT(transaction->commit().ok());
        }
        db->reset();
        intact_ = read_file(file_);
        auto opened = store_kv::PageFile::open(store_kv::real_file_system(), file_);
        CPPUNIT_ASSERT(opened.ok());
        pages_ = std::move(*opened);
        const auto all = tables();
        const auto& tree = all[metadata_table];
        levels_.resize(tree.table().info.depth);
        CPPUNIT_ASSERT(levels_.size() >= 4);
        store_kv::TreeVisitor visitor;
        visitor.row = [&](std::string_view key, const store_kv::PageNode&) {
            keys_.emplace_back(key);
            return true;
        };
        CPPUNIT_ASSERT(tree.walk({}, visitor).ok());
        for (const std::string& key : keys_) {
            auto path = tree.path_to(key);
            CPPUNIT_ASSERT(path.ok());
            for (size_t level = 0; level < path->size(); ++level) {
                const PageNumber page = (*path)[level].number;
                if (levels_[level].empty() || levels_[level].back() != page) levels_[level].push_back(page);
            }
            paths_.push_back(std::move(*path));
        }
        for (size_t level = 2; level < levels_.size(); ++level) {
            const PageNumber page = paths_[inner_key()][level].number;
            CPPUNIT_ASSERT(beside(level, page, -1) != store_kv::no_page);
            CPPUNIT_ASSERT(beside(level, page, 1) != store_kv::no_page);
        }
    }

    void pages_beside_those_on_the_path_are_looked_at_on_every_level() {
        auto intact = wary_guard();
        CPPUNIT_ASSERT_EQUAL(std::string(), remove_leaf(intact, inner_key()));
        for (size_t level = 1; level <= leaf_level(); ++level) {
            for (const int side : {-1, 1}) {
                const PageNumber page = beside(level, paths_[inner_key()][level].number, side);
                if (page == store_kv::no_page) continue;
                auto wary = wary_guard();
                damage(page);
                const std::string found = remove_leaf(wary, inner_key());
                CPPUNIT_ASSERT_MESSAGE("level " + std::to_string(level) + ": " + found, names(found, page));
                mend(page);
            }
        }
    }

    void the_way_to_the_least_key_below_merged_branches_is_looked_at() {
        for (size_t level = 1; level < leaf_level(); ++level) {
            for (const int side : {-1, 0, 1}) {
                const PageNumber branch = beside(level, paths_[far_key()][level].number, side);
                if (branch == store_kv::no_page) continue;
                for (const PageNumber page : least_below(level, branch)) {
                    const TreePath& own = paths_[far_key()];
                    if (std::any_of(own.begin(), own.end(), [&](const auto& step) { return step.number == page; }))
                        continue;
                    auto wary = wary_guard();
                    damage(page);
                    const std::string found = remove_leaf(wary, far_key());
                    CPPUNIT_ASSERT_MESSAGE("level " + std::to_string(level) + ", page " + std::to_string(page) +
                                               " below branch " + std::to_string(branch) + ": " + found,
                                           names(found, page));
                    mend(page);
                }
            }
        }
    }

    // It loses a child for each merge of leaves, and as many to branches beside it.
    void a_branch_that_may_be_left_with_one_child_is_merged() {
        const size_t level = leaf_level() - 1;
        std::set<size_t> sizes;
        for (const size_t key : inner_keys()) {
            if (!sizes.insert(children(key, level)).second) continue;
            const PageNumber page = beside(level, paths_[key][level].number, 1);
            // As soon as it may; that it is not looked at before is only for speed.
            size_t merges = 0;
            while (!may_merge(children(key, level), merges)) ++merges;
            auto asked = guard_after(merges);
            damage(page);
            const std::string found = remove_leaf(asked, key);
            CPPUNIT_ASSERT_MESSAGE(std::to_string(children(key, level)) + " children: " + found, names(found, page));
            mend(page);
        }
        CPPUNIT_ASSERT_MESSAGE("branches of even and of odd sizes", sizes.size() > 1);
    }

    void above_merged_branches_others_may_be_merged() {
        const size_t level = leaf_level() - 1;
        size_t tried = 0;
        for (const size_t key : inner_keys()) {
            const PageNumber page = beside(level - 1, paths_[key][level - 1].number, 1);
            for (size_t merges = 0; merges < 6 && page != store_kv::no_page; ++merges) {
                // The branch above has enough children to keep two, if it loses one for each merge of leaves.
                if (!may_merge(children(key, level), merges) || may_merge(children(key, level - 1), merges)) continue;
                tried += 1;
                auto asked = guard_after(merges);
                damage(page);
                const std::string found = remove_leaf(asked, key);
                CPPUNIT_ASSERT_MESSAGE(found, names(found, page));
                mend(page);
            }
        }
        CPPUNIT_ASSERT(tried > 0);
    }

    void once_branches_may_be_merged_all_are_looked_at() {
        const size_t level = leaf_level() - 1;
        const auto keys = inner_keys();
        size_t tried = 0;
        for (size_t merges = 0; merges < 6 && tried == 0; ++merges) {
            const auto small = [&](size_t key) { return may_merge(children(key, level), merges); };
            const auto first = std::find_if(keys.begin(), keys.end(), small);
            // The page beside it is not at an end of its branch, where the first may have come by.
            const auto then = std::find_if(keys.rbegin(), keys.rend(), [&](size_t key) {
                const auto& above = paths_[key][level - 1];
                return !small(key) && above.index + 2 < above.page->size();
            });
            if (first == keys.end() || then == keys.rend()) continue;
            const PageNumber page = beside(level, paths_[*then][level].number, 1);
            tried += 1;
            for (const bool small_first : {false, true}) {
                auto asked = guard_after(merges);
                if (small_first) CPPUNIT_ASSERT_EQUAL(std::string(), remove_leaf(asked, *first));
                damage(page);
                const std::string found = remove_leaf(asked, *then);
                CPPUNIT_ASSERT_EQUAL_MESSAGE(found, small_first, names(found, page));
                mend(page);
            }
        }
        CPPUNIT_ASSERT(tried > 0);
    }

    void a_branch_beside_a_split_one_may_be_merged() {
        const size_t level = leaf_level() - 1;
        const PageNumber page = beside(level, paths_[inner_key()][level].number, -1);
        for (const bool split : {false, true}) {
            auto asked = guard();
            asked.changed(metadata_table, counts(0, 0));
            if (split) asked.changed(metadata_table, counts(1, 0));
            damage(page);
            const std::string found = remove_leaf(asked, inner_key());
            CPPUNIT_ASSERT_EQUAL_MESSAGE(found, split, names(found, page));
            mend(page);
        }
    }

    void a_leaf_that_was_split_may_be_merged() {
        size_t tried = 0;
        for (const size_t key : inner_keys()) {
            const PageNumber page = beside(leaf_level(), paths_[key].back().number, -1);
            for (const bool split : {false, true}) {
                auto asked = guard();
                CPPUNIT_ASSERT(asked.check_put(metadata_table, keys_[key] + "+").ok());
                asked.changed(metadata_table, counts(0, 0));
                if (split) asked.changed(metadata_table, counts(0, 1));
                damage(page);
                const auto removed = asked.check_remove(metadata_table, keys_[key]);
                mend(page);
                if (!split && !removed) break;  // a leaf that has too few rows anyway
                tried += split;
                CPPUNIT_ASSERT_EQUAL(split, !removed.ok());
                if (split) CPPUNIT_ASSERT_MESSAGE(removed.error().message, names(removed.error().message, page));
            }
        }
        CPPUNIT_ASSERT(tried > 0);
    }

    void pages_behind_merged_ones_are_looked_at() {
        // The leaf is merged into the one before it; that may be beside the leaf behind then.
        for (const int side : {-1, 1}) {
            const PageNumber leaf = paths_[inner_key()].back().number;
            const PageNumber near = beside(leaf_level(), leaf, -side);
            const PageNumber far = beside(leaf_level(), leaf, side);
            size_t next = 0;
            while (paths_[next].back().number != near) ++next;
            auto asked = guard();
            CPPUNIT_ASSERT_EQUAL(std::string(), remove_leaf(asked, inner_key()));
            asked.changed(metadata_table, counts(0, 0));
            asked.changed(metadata_table, counts(0, -1));
            damage(far);
            const auto removed = asked.check_remove(metadata_table, keys_[next]);
            CPPUNIT_ASSERT(!removed.ok());
            CPPUNIT_ASSERT_MESSAGE(removed.error().message, names(removed.error().message, far));
            mend(far);
        }
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(WriteGuardTest);

}  // namespace
}  // namespace meridian::test
