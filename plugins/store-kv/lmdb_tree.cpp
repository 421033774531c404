#include "lmdb_tree.h"

#include <algorithm>
#include <cstdio>

namespace meridian::store_kv {
namespace {

constexpr size_t branches_kept_max = 256;

}  // namespace

// ---- the file

Result<std::unique_ptr<PageFile>> PageFile::open(FileSystem& files, const std::string& path) {
    std::unique_ptr<File> file;
    if (const int code = files.open(path, file); code != 0) return Error{path + ": " + error_text(code)};
    return std::make_unique<PageFile>(std::move(file), path);
}

Error PageFile::failure(PageNumber page, const std::string& what) const {
    return Error{path_ + ": page " + std::to_string(page) + ": " + what};
}

Result<uint64_t> PageFile::size() const {
    const int64_t size = file_->size();
    if (size < 0) return Error{path_ + ": " + error_text(size)};
    return static_cast<uint64_t>(size);
}

Result<std::string> PageFile::read(PageNumber first, uint64_t bytes) const {
    std::string out(static_cast<size_t>(bytes), '\0');
    if (auto done = read_into(first, out.data(), out.size()); !done) return done.error();
    return out;
}

Result<void> PageFile::read_into(PageNumber first, char* out, size_t size) const {
    const int code = read_fully(*file_, first * page_size_, out, size);
    if (code == -ENODATA) return failure(first, "the file ends before its end");
    if (code != 0) return failure(first, error_text(code));
    return {};
}

Result<MetaPage> PageFile::read_newest_meta() {
    page_size_ = 0;  // the first meta page says it
    std::string bytes[meta_pages];
    uint64_t transactions[meta_pages] = {};
    for (PageNumber slot = 0; slot < meta_pages; ++slot) {
        auto found = read(slot, meta_size);
        if (!found) return found.error();
        bytes[slot] = std::move(*found);
        const auto meta = decode_meta_page(bytes[slot], slot, MetaUse::other);
        if (!meta) return failure(slot, meta.error().message);
        if (slot != 0 && meta->page_size != page_size_) {
            return failure(slot, "the size of pages is " + std::to_string(meta->page_size) + ", in page 0 it is " +
                                     std::to_string(page_size_));
        }
        page_size_ = meta->page_size;
        transactions[slot] = meta->transaction;
    }
    // Transactions alternate between the two. A new file has none.
    const uint64_t even = transactions[0];
    const uint64_t odd = transactions[1];
    const bool fresh = even == 0 && odd <= 1;
    if (!fresh && (even % 2 != 0 || odd % 2 != 1 || std::max(even, odd) - std::min(even, odd) != 1)) {
        return Error{path_ + ": its two meta pages are of transactions " + std::to_string(even) + " and " +
                     std::to_string(odd) + ", expected an even number and an odd one that is next to it"};
    }
    const PageNumber newest = odd > even ? 1 : 0;
    return decode_current(bytes[newest], newest);
}

// Its last page limits what may be allocated for the file.
Result<MetaPage> PageFile::decode_current(std::string_view bytes, PageNumber slot) const {
    auto meta = decode_meta_page(bytes, slot, MetaUse::current);
    if (!meta) return failure(slot, meta.error().message);
    if (meta->last < bytes_max_ / meta->page_size) return meta;
    const auto bytes_now = size();  // the limit may have been set lower since
    if (!bytes_now) return bytes_now.error();
    const uint64_t pages_max = std::max(bytes_max_, *bytes_now) / meta->page_size;
    if (meta->last >= pages_max) {
        return failure(slot, "its last page is " + std::to_string(meta->last) + ", expected less than " +
                                 std::to_string(pages_max));
    }
    return meta;
}

Result<std::optional<MetaPage>> PageFile::read_meta(uint64_t transaction, bool for_writing) const {
    const PageNumber slot = transaction & 1;
    auto bytes = read(slot, meta_size);
    if (!bytes) return bytes.error();
    auto other = read(slot ^ 1, meta_size);
    if (!other) return other.error();
    const auto meta = decode_current(*bytes, slot);
    const auto next = decode_meta_page(*other, slot ^ 1, MetaUse::other);
    // The slot is written again after the next transaction; until that is there nobody has begun to.
    if (next && next->transaction > transaction) return std::optional<MetaPage>();
    if (!meta) return meta.error();
    if (meta->transaction != transaction) {
        return failure(slot, "it is of transaction " + std::to_string(meta->transaction) + ", expected " +
                                 std::to_string(transaction));
    }
    if (for_writing && !next) return failure(slot ^ 1, next.error().message);
    if (for_writing && next->page_size != page_size_) {
        return failure(slot ^ 1, "the size of pages is " + std::to_string(next->page_size) + ", expected " +
                                     std::to_string(page_size_));
    }
    return std::optional<MetaPage>(*meta);
}

// ---- one tree

Error TreeReader::failure(PageNumber page, const std::string& what) const {
    return file_->failure(page, "(" + table_.name + ") " + what);
}

Result<TreeStep> TreeReader::load(PageNumber number, size_t level, std::string_view lower,
                                  std::string_view upper) const {
    TreeStep step;
    step.number = number;
    step.lower = lower;
    step.upper = upper;
    if (table_.free_pages != nullptr && !table_.free_pages->claim(number))
        return failure(number, "it is in use, and in the list of free pages");
    if (const auto kept = branches_.find(number); kept != branches_.end()) {
        step.page = kept->second;
    } else {
        auto bytes = file_->read(number, file_->page_size());
        if (!bytes) return bytes.error();
        auto page = TreePage::decode(std::move(*bytes), number, table_.rules);
        if (!page) return failure(number, page.error().message);
        step.page = std::make_shared<const TreePage>(std::move(*page));
        if (!step.page->is_leaf()) {
            if (branches_.size() >= branches_kept_max) branches_.clear();
            branches_.emplace(number, step.page);
        }
    }
    const TreePage& page = *step.page;
    if (page.is_leaf() != (level + 1 == table_.info.depth)) {
        return failure(number, std::string("it is a ") + (page.is_leaf() ? "leaf" : "branch") + " at depth " +
                                   std::to_string(level + 1) + " of " + std::to_string(table_.info.depth));
    }
    const size_t first = page.is_leaf() ? 0 : 1;
    if (first < page.size()) {
        const KeyOrder order = table_.rules.order;
        if (!lower.empty() && compare_keys(order, page.node(first).key, lower) < 0)
            return failure(number, "its first key is less than what leads to it");
        if (!upper.empty() && compare_keys(order, page.node(page.size() - 1).key, upper) >= 0)
            return failure(number, "its last key is not less than what leads to the next page");
    }
    return step;
}

TreeStep TreeReader::place_of_child(const TreeStep& parent, size_t index) const {
    TreeStep step;
    step.number = parent.page->node(index).child;
    step.lower = index == 0 ? parent.lower : parent.page->node(index).key;
    step.upper = index + 1 == parent.page->size() ? parent.upper : parent.page->node(index + 1).key;
    return step;
}

Result<TreeStep> TreeReader::child(const TreeStep& parent, size_t index, size_t level) const {
    const TreeStep place = place_of_child(parent, index);
    return load(place.number, level, place.lower, place.upper);
}

Result<TreePath> TreeReader::beside(const TreePath& path, Side side) const {
    const bool after = side == Side::after;
    size_t level = path.size() - 1;  // of the nearest branch above that has another child on this side
    do {
        if (level == 0) return TreePath();
        level -= 1;
    } while (after ? path[level].index + 1 == path[level].page->size() : path[level].index == 0);
    TreePath out(path.begin(), path.begin() + static_cast<ptrdiff_t>(level) + 1);
    out.back().index = after ? out.back().index + 1 : out.back().index - 1;
    for (;;) {
        TreeStep next = place_of_child(out.back(), out.back().index);
        if (out.size() + 1 == path.size()) {
            out.push_back(std::move(next));
            return out;
        }
        auto step = load(next.number, out.size(), next.lower, next.upper);
        if (!step) return step.error();
        step->index = after ? 0 : step->page->size() - 1;
        out.push_back(std::move(*step));
    }
}

Result<void> TreeReader::load_end(TreePath& path) const {
    TreeStep& end = path.back();
    auto step = load(end.number, path.size() - 1, end.lower, end.upper);
    if (!step) return step.error();
    end = std::move(*step);
    return {};
}

Result<void> TreeReader::load_edge(TreePath path, Side side) const {
    while (!path.back().page->is_leaf()) {
        const TreeStep& last = path.back();
        auto step = child(last, side == Side::after ? last.page->size() - 1 : 0, path.size());
        if (!step) return step.error();
        path.push_back(std::move(*step));
    }
    return {};
}

Result<TreePath> TreeReader::path_to(std::string_view key) const {
    TreePath path;
    if (table_.info.root == no_page) return path;
    auto step = load(table_.info.root, 0, {}, {});
    if (!step) return step.error();
    for (;;) {
        const TreePage& page = *step->page;
        // The first node that is not less, or in a branch the last that is not greater.
        size_t low = page.is_leaf() ? 0 : 1;
        size_t high = page.size();
        while (low < high) {
            const size_t middle = (low + high) / 2;
            const int order = compare_keys(table_.rules.order, page.node(middle).key, key);
            if (page.is_leaf() ? order < 0 : order <= 0) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        step->index = page.is_leaf() ? low : low - 1;
        path.push_back(*step);
        if (page.is_leaf()) return path;
        step = child(path.back(), path.back().index, path.size());
        if (!step) return step.error();
    }
}

std::optional<PageNode> TreeReader::row_at(const TreePath& path, std::string_view key) const {
    if (path.empty() || path.back().index == path.back().page->size()) return std::nullopt;
    const PageNode node = path.back().page->node(path.back().index);
    if (compare_keys(table_.rules.order, node.key, key) != 0) return std::nullopt;
    return node;
}

Result<std::vector<std::pair<PageNode, std::shared_ptr<const TreePage>>>> TreeReader::neighbours(
    const TreePath& path) const {
    std::vector<std::pair<PageNode, std::shared_ptr<const TreePage>>> out;
    if (path.empty()) return out;
    const TreeStep& leaf = path.back();
    if (leaf.index > 0) out.emplace_back(leaf.page->node(leaf.index - 1), leaf.page);
    if (leaf.index < leaf.page->size()) out.emplace_back(leaf.page->node(leaf.index), leaf.page);
    if (out.size() == 2 || path.size() == 1) return out;
    // At an edge: the page beside it, under the nearest branch that has one.
    const bool before = leaf.index == 0;
    for (size_t level = path.size() - 1; level-- > 0;) {
        const TreeStep& branch = path[level];
        if (before ? branch.index == 0 : branch.index + 1 == branch.page->size()) continue;
        TreePath beside;
        auto step = child(branch, before ? branch.index - 1 : branch.index + 1, level + 1);
        while (step && !step->page->is_leaf()) {
            beside.push_back(*step);
            step = child(beside.back(), before ? beside.back().page->size() - 1 : 0, level + 1 + beside.size());
        }
        if (!step) return step.error();
        out.emplace_back(step->page->node(before ? step->page->size() - 1 : 0), step->page);
        break;
    }
    return out;
}

Result<uint64_t> TreeReader::check_overflow(const PageNode& node, std::string_view header) const {
    auto count = decode_overflow_header(header, node.overflow, node.value_size, file_->page_size(), table_.rules);
    if (!count) return failure(node.overflow, count.error().message);
    if (table_.free_pages != nullptr && !table_.free_pages->claim(node.overflow, *count))
        return failure(node.overflow, "its large value is in use, and in the list of free pages");
    return count;
}

Result<uint64_t> TreeReader::overflow_pages(const PageNode& node) const {
    const auto header = file_->read(node.overflow, page_header_size);
    if (!header) return header.error();
    return check_overflow(node, *header);
}

Result<std::string> TreeReader::value(const PageNode& node, uint64_t bytes_max) const {
    if (node.overflow == no_page)
        return std::string(node.value.substr(0, static_cast<size_t>(std::min<uint64_t>(bytes_max, node.value.size()))));
    // The first page says whether there is a value of this size before memory is taken for it.
    const uint64_t wanted = page_header_size + std::min(bytes_max, node.value_size);
    auto bytes = file_->read(node.overflow, std::min(wanted, file_->page_size()));
    if (!bytes) return bytes.error();
    if (const auto count = check_overflow(node, *bytes); !count) return count.error();
    std::string out;
    out.reserve(static_cast<size_t>(wanted - page_header_size));
    out.append(*bytes, page_header_size);
    if (wanted > bytes->size()) {
        const size_t there = out.size();
        out.resize(static_cast<size_t>(wanted - page_header_size));
        const auto rest = file_->read_into(node.overflow + 1, out.data() + there, out.size() - there);
        if (!rest) return rest.error();
    }
    return out;
}

Result<bool> TreeReader::walk_into(const TreeStep& parent, size_t index, size_t level, std::string_view from,
                                   const TreeVisitor& visitor) const {
    if (visitor.page && !visitor.page(parent.page->node(index).child)) return true;
    const auto step = child(parent, index, level);
    if (step) return walk_page(*step, level, from, visitor);
    if (!visitor.damaged) return step.error();
    return visitor.damaged(step.error());
}

Result<bool> TreeReader::walk_page(const TreeStep& step, size_t level, std::string_view from,
                                   const TreeVisitor& visitor) const {
    const TreePage& page = *step.page;
    const KeyOrder order = table_.rules.order;
    for (size_t i = 0; i < page.size(); ++i) {
        if (page.is_leaf()) {
            const PageNode node = page.node(i);
            if (!from.empty() && compare_keys(order, node.key, from) < 0) continue;
            if (visitor.row && !visitor.row(node.key, node)) return false;
            continue;
        }
        const bool before =
            !from.empty() && i + 1 < page.size() && compare_keys(order, page.node(i + 1).key, from) <= 0;
        if (before) continue;
        auto more = walk_into(step, i, level + 1, from, visitor);
        if (!more || !*more) return more;
    }
    return true;
}

Result<bool> TreeReader::walk(std::string_view from, const TreeVisitor& visitor) const {
    if (table_.info.root == no_page) return true;
    if (visitor.page && !visitor.page(table_.info.root)) return true;
    const auto root = load(table_.info.root, 0, {}, {});
    if (root) return walk_page(*root, 0, from, visitor);
    if (!visitor.damaged) return root.error();
    return visitor.damaged(root.error());
}

// ---- the trees of a file

std::string printable(std::string_view key) {
    std::string out;
    for (const char c : key) {
        char buffer[8];
        std::snprintf(buffer, sizeof buffer, c > 0x20 && c < 0x7f ? "%c" : "\\x%02x", static_cast<unsigned char>(c));
        out += buffer;
    }
    return out;
}

DatabaseView make_view(const PageFile& file, const MetaPage& meta) {
    const PageRules main{meta.last, KeyOrder::bytes, true, false};
    const PageRules free{meta.last, KeyOrder::number, false, true};
    return {meta, TreeReader(file, {"tables", meta.main, main, nullptr}),
            TreeReader(file, {"free pages", meta.free, free, nullptr})};
}

Result<std::vector<Table>> DatabaseView::all_tables() const {
    std::vector<Table> out;
    Result<void> wrong;
    TreeVisitor visitor;
    visitor.row = [&](std::string_view name, const PageNode& node) {
        if (!node.is_tree || out.size() == tables_max) {
            wrong = Error{main.path() + ": its list of tables has a row that is not one"};
            return false;
        }
        auto info = decode_tree_info(node.value, meta.last);
        if (info && info->flags != 0) info = Error{"its flags are " + std::to_string(info->flags) + ", expected 0"};
        if (!info) {
            wrong = Error{main.path() + ": table '" + printable(name) + "': " + info.error().message};
            return false;
        }
        out.push_back({std::string(name), *info, PageRules{meta.last, KeyOrder::bytes, false, false}, nullptr});
        return true;
    };
    const auto walked = main.walk({}, visitor);
    if (!walked) return walked.error();
    if (!wrong) return wrong.error();
    return out;
}

}  // namespace meridian::store_kv
