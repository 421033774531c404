// The pages of an LMDB 0.9 file (64 bits, little-endian), checked before they are believed. LMDB has no checksums and
// follows every number that it finds; these functions refuse a page that would lead it, or us, astray.
//
// - meta page: 0 and 1; what the file is, and the roots of one transaction; the greater transaction counts
// - tree page: header of 16 bytes, offsets of its nodes, free space, nodes; a branch leads to pages, a leaf has rows
// - overflow page: header of 16 bytes, then a value that is too large for a leaf, over several pages
//
// Threads: values, no shared state. Errors: a text that says what is wrong with the page, without its number or file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace meridian::store_kv {

using PageNumber = uint64_t;
constexpr PageNumber no_page = ~PageNumber{0};
constexpr PageNumber meta_pages = 2;
constexpr uint64_t page_header_size = 16;
constexpr uint16_t tree_depth_max = 32;

// What LMDB knows about one tree.
struct TreeInfo {
    uint16_t flags = 0;
    uint16_t depth = 0;
    uint64_t branch_pages = 0;
    uint64_t leaf_pages = 0;
    uint64_t overflow_pages = 0;
    uint64_t entries = 0;
    PageNumber root = no_page;  // no_page: no rows
};
constexpr size_t tree_info_size = 48;
// Checks what can be checked without the tree; `last` is the last page of the file.
Result<TreeInfo> decode_tree_info(std::string_view bytes, PageNumber last);

struct MetaPage {
    uint32_t page_size = 0;
    TreeInfo free;  // by number of the transaction: pages that it gave back
    TreeInfo main;  // by name: the other trees
    PageNumber last = 0;
    uint64_t transaction = 0;
    std::string bytes;  // meta_size of the page
};
constexpr size_t meta_size = page_header_size + 136;
// `bytes`: at least meta_size of the page's first ones. Of the page that does not count, only `page_size`,
// `transaction` and `bytes` are given: LMDB may have left the rest half written. What LMDB does not write again when
// that page is the next to count is checked in both.
enum class MetaUse { current, other };
Result<MetaPage> decode_meta_page(std::string_view bytes, PageNumber number, MetaUse use);

enum class KeyOrder { bytes, number };

struct PageRules {
    PageNumber last = 0;  // of the file
    KeyOrder order = KeyOrder::bytes;
    bool holds_trees = false;  // rows may be trees
    // Large values may have more pages than they need. LMDB leaves such where it writes a value twice in a transaction,
    // which it does in the list of free pages, and which is not done to other tables.
    bool roomy = false;
};

// One row of a leaf, or one child of a branch. Views are into the page.
struct PageNode {
    std::string_view key;           // of the first child of a branch: without meaning
    PageNumber child = no_page;     // of a branch
    uint64_t value_size = 0;        // of a leaf
    std::string_view value;         // if it is in the leaf
    PageNumber overflow = no_page;  // the first of its pages, otherwise
    bool is_tree = false;           // the value is a tree_info
};

class TreePage {
public:
    // Checks the header, every node, the order of the keys.
    static Result<TreePage> decode(std::string bytes, PageNumber number, const PageRules& rules);

    bool is_leaf() const { return leaf_; }
    size_t size() const { return count_; }
    PageNode node(size_t index) const;
    // Bytes that nodes and their offsets take.
    size_t used_bytes() const { return used_; }
    size_t page_size() const { return bytes_.size(); }

private:
    std::string bytes_;
    bool leaf_ = false;
    size_t count_ = 0;
    size_t used_ = 0;
};

// Less than 0, 0, more than 0.
int compare_keys(KeyOrder order, std::string_view left, std::string_view right);

// Pages that a value of this size needs.
uint64_t overflow_page_count(uint64_t value_size, uint64_t page_size);
// Gives how many pages the run has: those that the value needs, or more where the rules allow it. LMDB frees as many,
// whosever they are. `bytes`: at least the header.
Result<uint64_t> decode_overflow_header(std::string_view bytes, PageNumber number, uint64_t value_size,
                                        uint64_t page_size, const PageRules& rules);

// Checks a row of the list of free pages: in descending order, within the file. Calls `visit` for each page.
template <class Visit>
Result<void> read_free_list(std::string_view value, PageNumber last, Visit visit);

uint64_t load_u64(std::string_view bytes, size_t offset);

template <class Visit>
Result<void> read_free_list(std::string_view value, PageNumber last, Visit visit) {
    if (value.size() < 8 || value.size() % 8 != 0)
        return Error{"a list of free pages has " + std::to_string(value.size()) + " bytes, expected a multiple of 8"};
    const uint64_t count = load_u64(value, 0);
    if (count > value.size() / 8 - 1) {
        return Error{"a list of " + std::to_string(value.size() / 8 - 1) + " free pages says that it has " +
                     std::to_string(count)};
    }
    PageNumber before = last + 1;
    for (size_t i = 1; i <= count; ++i) {
        const PageNumber page = load_u64(value, 8 * i);
        if (page >= before || page < meta_pages) {
            return Error{"a list of free pages has page " + std::to_string(page) + " after page " +
                         std::to_string(before) + ", expected one between that and the meta pages"};
        }
        visit(page);
        before = page;
    }
    return {};
}

}  // namespace meridian::store_kv
