// Reads the trees of an LMDB file with read calls instead of through its map: a damaged or unreadable page is an error
// with a text, where LMDB, or the map, would end the process. Every page is checked when it is read: by itself
// (lmdb_page.h), and against what leads to it, which limits its keys and says how deep it lies.
//
// What is read must not change meanwhile: the caller holds a transaction of LMDB of the moment that the meta page is
// of.
//
// Threads: PageFile may be shared; a TreeReader belongs to one thread. Errors name the file, the page and what is
// wrong.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "file_system.h"
#include "free_pages.h"
#include "lmdb_page.h"

namespace meridian::store_kv {

class PageFile {
public:
    static Result<std::unique_ptr<PageFile>> open(FileSystem& files, const std::string& path);
    PageFile(std::unique_ptr<File> file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}

    // Both meta pages, each by itself and against each other; gives the one that counts. To be called first.
    Result<MetaPage> read_newest_meta();
    // The meta page of this transaction; absent: a later one has replaced it, or is about to. With `for_writing` the
    // other one too must be such that LMDB may make it count.
    Result<std::optional<MetaPage>> read_meta(uint64_t transaction, bool for_writing = false) const;
    // The file may never have more than this.
    void limit(uint64_t bytes_max) { bytes_max_ = bytes_max; }
    // `bytes` from the beginning of a page on.
    Result<std::string> read(PageNumber first, uint64_t bytes) const;
    Result<void> read_into(PageNumber first, char* out, size_t size) const;
    Result<uint64_t> size() const;
    uint64_t page_size() const { return page_size_; }
    const std::string& path() const { return path_; }
    Error failure(PageNumber page, const std::string& what) const;

private:
    std::unique_ptr<File> file_;
    const std::string path_;
    uint64_t page_size_ = 0;  // from read_newest_meta() on
    uint64_t bytes_max_ = UINT64_MAX;

    Result<MetaPage> decode_current(std::string_view bytes, PageNumber slot) const;
};

// A tree at one moment.
struct Table {
    std::string name;  // for messages
    TreeInfo info;
    PageRules rules;
    // If they are known: claims its pages from them. Outlives the reader.
    FreePages* free_pages = nullptr;
};

// Where a search has come to: one step for each level, from the root.
struct TreeStep {
    std::shared_ptr<const TreePage> page;
    PageNumber number = no_page;
    size_t index = 0;  // of the child that was taken; in a leaf, of the first row that is not less
    // The keys of the page are at least `lower` and less than `upper`; empty: no limit. Views into pages above.
    std::string_view lower;
    std::string_view upper;
};
using TreePath = std::vector<TreeStep>;

struct TreeVisitor {
    // False: stop.
    std::function<bool(std::string_view key, const PageNode& node)> row;
    // Of a page that was passed over. False: stop. Absent: the walk ends with this error.
    std::function<bool(const Error& error)> damaged;
    // Before a page of the tree is read. False: pass it over.
    std::function<bool(PageNumber number)> page;
};

class TreeReader {
public:
    TreeReader(const PageFile& file, Table table) : file_(&file), table_(std::move(table)) {}

    const Table& table() const { return table_; }
    // The path to where the key is or would be; no step: the tree has no rows.
    Result<TreePath> path_to(std::string_view key) const;
    // The row at the path's end, if it has this key. Valid as long as the path.
    std::optional<PageNode> row_at(const TreePath& path, std::string_view key) const;
    // The rows before and after the path's end. A search that found nothing is believed if these are what they seem.
    Result<std::vector<std::pair<PageNode, std::shared_ptr<const TreePage>>>> neighbours(const TreePath& path) const;
    // At most `bytes_max` bytes of it.
    Result<std::string> value(const PageNode& node, uint64_t bytes_max = UINT64_MAX) const;
    // How many pages a large value has.
    Result<uint64_t> overflow_pages(const PageNode& node) const;
    // Rows from this key on, in order. Gives false if the visitor stopped it.
    Result<bool> walk(std::string_view from, const TreeVisitor& visitor) const;
    // The path, down to the same level, to the page after this path's last, or before it; no step: there is none. What
    // leads to that page is read and checked, the page itself is not: its step has no page, only a number.
    enum class Side { before, after };
    Result<TreePath> beside(const TreePath& path, Side side) const;
    // Reads the page at the end of such a path.
    Result<void> load_end(TreePath& path) const;
    // Reads the pages below the path's last along one edge of the tree, down to the leaf.
    Result<void> load_edge(TreePath path, Side side) const;
    void set_free_pages(FreePages* pages) { table_.free_pages = pages; }
    const std::string& path() const { return file_->path(); }  // of the file

private:
    Result<TreeStep> load(PageNumber number, size_t level, std::string_view lower, std::string_view upper) const;
    // Where a child is and how its keys are limited, without reading it.
    TreeStep place_of_child(const TreeStep& parent, size_t index) const;
    Result<TreeStep> child(const TreeStep& parent, size_t index, size_t level) const;
    Result<uint64_t> check_overflow(const PageNode& node, std::string_view header) const;
    Result<bool> walk_page(const TreeStep& step, size_t level, std::string_view from, const TreeVisitor& visitor) const;
    Result<bool> walk_into(const TreeStep& parent, size_t index, size_t level, std::string_view from,
                           const TreeVisitor& visitor) const;
    Error failure(PageNumber page, const std::string& what) const;

    const PageFile* file_;
    Table table_;
    mutable std::unordered_map<PageNumber, std::shared_ptr<const TreePage>> branches_;  // read lately
};

// The trees of one moment by name, with the list of free pages.
struct DatabaseView {
    MetaPage meta;
    TreeReader main;
    TreeReader free;
    Result<std::vector<Table>> all_tables() const;
};
constexpr size_t tables_max = 8;
// For messages: other bytes than letters, digits and punctuation in hexadecimal.
std::string printable(std::string_view key);
DatabaseView make_view(const PageFile& file, const MetaPage& meta);

}  // namespace meridian::store_kv
