#include "lmdb_page.h"

#include <cstring>

namespace meridian::store_kv {
namespace {

constexpr uint16_t flag_branch = 0x01;
constexpr uint16_t flag_leaf = 0x02;
constexpr uint16_t flag_overflow = 0x04;
constexpr uint16_t flag_meta = 0x08;

constexpr uint16_t node_overflow = 0x01;
constexpr uint16_t node_tree = 0x02;
constexpr size_t node_header_size = 8;
constexpr size_t key_size_max = 511;

constexpr uint32_t magic = 0xbeefc0de;
constexpr uint32_t data_version = 1;
constexpr uint16_t flag_integer_keys = 0x08;    // of the tree of free pages
constexpr uint16_t flag_no_directory = 0x4000;  // kept from the making of the file; without meaning in it
constexpr uint32_t page_size_min = 256;
constexpr uint32_t page_size_max = 32768;

template <class T>
T load(std::string_view bytes, size_t offset) {
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}

std::string text(uint64_t number) {
    return std::to_string(number);
}

Error wrong(const char* what, uint64_t found, const std::string& expected) {
    return Error{std::string(what) + " is " + text(found) + ", expected " + expected};
}

size_t even(size_t size) {
    return (size + 1) & ~size_t{1};
}

Result<void> check_header(std::string_view bytes, PageNumber number, uint16_t flags, const char* kind) {
    if (const uint64_t found = load<uint64_t>(bytes, 0); found != number)
        return wrong("its number", found, text(number));
    if (const uint16_t found = load<uint16_t>(bytes, 10); found != flags)
        return wrong("its kind", found, text(flags) + " (" + kind + ")");
    return {};
}

PageNode node_at(std::string_view page, size_t offset, bool leaf) {
    const auto low = load<uint16_t>(page, offset);
    const auto high = load<uint16_t>(page, offset + 2);
    const auto flags = load<uint16_t>(page, offset + 4);
    const auto key_size = load<uint16_t>(page, offset + 6);
    PageNode node;
    node.key = page.substr(offset + node_header_size, key_size);
    if (!leaf) {
        node.child = low | uint64_t{high} << 16 | uint64_t{flags} << 32;
        return node;
    }
    node.value_size = low | uint64_t{high} << 16;
    const size_t value_offset = offset + node_header_size + key_size;
    if ((flags & node_overflow) != 0) {
        node.overflow = load_u64(page, value_offset);
    } else {
        node.value = page.substr(value_offset, static_cast<size_t>(node.value_size));
    }
    node.is_tree = (flags & node_tree) != 0;
    return node;
}

// Bytes that the node takes, or what is wrong with it.
Result<size_t> check_node(std::string_view page, size_t offset, bool leaf, bool first, const PageRules& rules) {
    if (offset + node_header_size > page.size()) return wrong("the offset of a node", offset, "one within the page");
    const auto key_size = load<uint16_t>(page, offset + 6);
    const bool no_key = !leaf && first;
    if (key_size > key_size_max || (key_size == 0 && !no_key) ||
        (rules.order == KeyOrder::number && !no_key && key_size != 8)) {
        return wrong("the size of a key", key_size, rules.order == KeyOrder::number ? "8" : "1 to 511");
    }
    size_t size = node_header_size + key_size;
    if (!leaf) {
        if (offset + size > page.size())
            return wrong("the end of a node", offset + size, "at most " + text(page.size()));
        const PageNode node = node_at(page, offset, leaf);
        if (node.child < meta_pages || node.child > rules.last)
            return wrong("the page that a node leads to", node.child, "2 to " + text(rules.last));
        return even(size);
    }
    const auto flags = load<uint16_t>(page, offset + 4);
    if (flags != 0 && flags != node_overflow && !(flags == node_tree && rules.holds_trees))
        return wrong("the kind of a row", flags, rules.holds_trees ? "0, 1 or 2" : "0 or 1");
    const uint64_t value_size = load<uint16_t>(page, offset) | uint64_t{load<uint16_t>(page, offset + 2)} << 16;
    const uint64_t inside = flags == node_overflow ? 8 : value_size;
    if (inside > page.size() || offset + size + inside > page.size())
        return wrong("the end of a row", offset + size + inside, "at most " + text(page.size()));
    size += static_cast<size_t>(inside);
    if (flags == node_overflow) {
        const PageNumber overflow = node_at(page, offset, leaf).overflow;
        const uint64_t count = overflow_page_count(value_size, page.size());
        if (overflow < meta_pages || overflow > rules.last || count > rules.last - overflow + 1)
            return wrong("the first page of a large value", overflow, "2 to " + text(rules.last));
    }
    if (flags == node_tree && value_size != tree_info_size)
        return wrong("the size of what describes a tree", value_size, text(tree_info_size));
    return even(size);
}

}  // namespace

uint64_t load_u64(std::string_view bytes, size_t offset) {
    return load<uint64_t>(bytes, offset);
}

Result<TreeInfo> decode_tree_info(std::string_view bytes, PageNumber last) {
    TreeInfo out;
    out.flags = load<uint16_t>(bytes, 4);
    out.depth = load<uint16_t>(bytes, 6);
    out.branch_pages = load_u64(bytes, 8);
    out.leaf_pages = load_u64(bytes, 16);
    out.overflow_pages = load_u64(bytes, 24);
    out.entries = load_u64(bytes, 32);
    out.root = load_u64(bytes, 40);
    if (out.depth > tree_depth_max || (out.depth == 0) != (out.root == no_page))
        return wrong("the depth of a tree", out.depth, out.root == no_page ? "0" : "1 to " + text(tree_depth_max));
    if (out.root != no_page && (out.root < meta_pages || out.root > last))
        return wrong("the root of a tree", out.root, "a page from 2 to " + text(last));
    return out;
}

Result<MetaPage> decode_meta_page(std::string_view bytes, PageNumber number, MetaUse use) {
    if (bytes.size() < meta_size) return wrong("the size of a meta page", bytes.size(), text(meta_size));
    if (auto checked = check_header(bytes, number, flag_meta, "meta"); !checked) return checked.error();
    const std::string_view meta = bytes.substr(page_header_size);
    if (const auto found = load<uint32_t>(meta, 0); found != magic)
        return wrong("its magic number", found, text(magic));
    if (const auto found = load<uint32_t>(meta, 4); found != data_version)
        return wrong("the version of its format", found, text(data_version));
    MetaPage out;
    out.bytes = bytes.substr(0, meta_size);
    out.page_size = load<uint32_t>(meta, 24);
    if (out.page_size < page_size_min || out.page_size > page_size_max || (out.page_size & (out.page_size - 1)) != 0)
        return wrong("the size of pages", out.page_size, "a power of 2 from 256 to 32768");
    if (const uint64_t found = load_u64(meta, 8); found != 0) return wrong("the address of its map", found, "0");
    out.transaction = load_u64(meta, 128);
    if (use == MetaUse::other) return out;
    out.last = load_u64(meta, 120);
    if (out.last < meta_pages - 1 || out.last >= (uint64_t{1} << 48))
        return wrong("its last page", out.last, "1 or more");
    auto free = decode_tree_info(meta.substr(24), out.last);
    if (!free) return free.error();
    auto main = decode_tree_info(meta.substr(24 + tree_info_size), out.last);
    if (!main) return main.error();
    out.free = *free;
    out.main = *main;
    if ((out.free.flags & ~flag_no_directory) != flag_integer_keys) return wrong("its flags", out.free.flags, "8");
    if (out.main.flags != 0) return wrong("the flags of its main tree", out.main.flags, "0");
    if (const auto found = load<uint32_t>(meta, 24 + tree_info_size); found != 0)
        return wrong("the key size of its main tree", found, "0");
    return out;
}

int compare_keys(KeyOrder order, std::string_view left, std::string_view right) {
    if (order == KeyOrder::bytes) return left.compare(right);
    const uint64_t a = load_u64(left, 0);
    const uint64_t b = load_u64(right, 0);
    return a < b ? -1 : a > b ? 1 : 0;
}

Result<TreePage> TreePage::decode(std::string bytes, PageNumber number, const PageRules& rules) {
    TreePage page;
    page.bytes_ = std::move(bytes);
    const std::string_view all = page.bytes_;
    page.leaf_ = load<uint16_t>(all, 10) == flag_leaf;
    const auto checked = check_header(all, number, page.leaf_ ? flag_leaf : flag_branch, "branch, or 2 for a leaf");
    if (!checked) return checked.error();
    const size_t lower = load<uint16_t>(all, 12);
    const size_t upper = load<uint16_t>(all, 14);
    if (lower < page_header_size || lower % 2 != 0 || lower > upper)
        return wrong("the end of its offsets", lower, "an even number from 16 to " + text(upper));
    if (upper > all.size() || upper % 2 != 0)
        return wrong("the begin of its nodes", upper, "an even number, at most " + text(all.size()));
    page.count_ = (lower - page_header_size) / 2;
    page.used_ = lower - page_header_size + all.size() - upper;
    // LMDB itself leaves a branch with one child only in the tree of free pages.
    const size_t count_min = page.leaf_ || rules.order == KeyOrder::number ? 1 : 2;
    if (page.count_ < count_min) return wrong("the number of its nodes", page.count_, "at least " + text(count_min));
    size_t total = 0;
    std::string_view before;
    for (size_t i = 0; i < page.count_; ++i) {
        const size_t offset = load<uint16_t>(all, page_header_size + 2 * i);
        if (offset < upper || offset % 2 != 0)
            return wrong("the offset of a node", offset, "an even number from " + text(upper));
        const auto size = check_node(all, offset, page.leaf_, i == 0, rules);
        if (!size) return size.error();
        total += *size;
        const std::string_view key = node_at(all, offset, page.leaf_).key;
        // A branch's first key has no meaning.
        if (i > (page.leaf_ ? 0 : 1) && compare_keys(rules.order, before, key) >= 0)
            return Error{"key " + text(i) + " is not greater than the one before it"};
        before = key;
    }
    if (total != all.size() - upper) return wrong("the size of its nodes", total, text(all.size() - upper));
    return page;
}

PageNode TreePage::node(size_t index) const {
    return node_at(bytes_, load<uint16_t>(bytes_, page_header_size + 2 * index), leaf_);
}

uint64_t overflow_page_count(uint64_t value_size, uint64_t page_size) {
    return (page_header_size - 1 + value_size) / page_size + 1;
}

Result<uint64_t> decode_overflow_header(std::string_view bytes, PageNumber number, uint64_t value_size,
                                        uint64_t page_size, const PageRules& rules) {
    if (auto checked = check_header(bytes, number, flag_overflow, "large value"); !checked) return checked.error();
    const uint64_t count = load<uint32_t>(bytes, 12);
    const uint64_t needed = overflow_page_count(value_size, page_size);
    if (count < needed || (count > needed && !rules.roomy) || count > rules.last - number + 1)
        return wrong("the number of pages of a large value", count, text(needed));
    return count;
}

}  // namespace meridian::store_kv
