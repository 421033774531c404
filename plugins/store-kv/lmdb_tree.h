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
#include "lmdb_page.h"

namespace meridian::store_kv {

class PageFile {
public:
    static Result<std::unique_ptr<PageFile>> open(FileSystem& files, const std::string& path);
    PageFile(std::unique_ptr<File> file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}

    // Both meta pages, each by itself and against each other; gives the one that counts. To be called first.
    Result<MetaPage> read_newest_meta();
    // The meta page of this transaction; absent: a later one has replaced it, or is about to.
    Result<std::optional<MetaPage>> read_meta(uint64_t transaction) const;
    // `bytes` from the beginning of a page on.
    Result<std::string> read(PageNumber first, uint64_t bytes) const;
    Result<uint64_t> size() const;
    uint64_t page_size() const { return page_size_; }
    const std::string& path() const { return path_; }
    Error failure(PageNumber page, const std::string& what) const;

private:
    std::unique_ptr<File> file_;
    const std::string path_;
    uint64_t page_size_ = 0;  // from read_newest_meta() on
};

// A tree at one moment.
struct Table {
    std::string name;  // for messages
    TreeInfo info;
    PageRules rules;
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
    // The pages below one child of a branch.
    Result<void> walk_child(const TreePath& path, size_t level, size_t child, const TreeVisitor& visitor) const;
    const std::string& path() const { return file_->path(); }  // of the file

private:
    Result<TreeStep> load(PageNumber number, size_t level, std::string_view lower, std::string_view upper) const;
    Result<TreeStep> child(const TreeStep& parent, size_t index, size_t level) const;
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
    Result<Table> table(const std::string& name) const;
};
DatabaseView make_view(const PageFile& file, const MetaPage& meta);

}  // namespace meridian::store_kv
