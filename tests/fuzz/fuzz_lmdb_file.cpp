// A snapshot database of store-kv, as pages of 256 bytes in memory: whatever they hold, reading it ends, stays inside
// the file and gives rows or a text; what a walk finds in sound trees a search finds too.
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "fuzz_check.h"
#include "write_guard.h"

using namespace meridian::store_kv;
using meridian::fuzz::require;
using meridian::fuzz::require_error_text;

namespace {

class MemoryFile final : public File {
public:
    explicit MemoryFile(std::string bytes) : bytes_(std::move(bytes)) {}
    int64_t read(uint64_t offset, void* out, size_t size) override {
        if (offset >= bytes_.size()) return 0;
        const size_t count = std::min<size_t>(size, bytes_.size() - static_cast<size_t>(offset));
        std::memcpy(out, bytes_.data() + offset, count);
        return static_cast<int64_t>(count);
    }
    int64_t write(uint64_t, const void*, size_t) override { return -EIO; }
    int sync() override { return -EIO; }
    int allocate(uint64_t) override { return -EIO; }
    int64_t size() override { return static_cast<int64_t>(bytes_.size()); }

private:
    const std::string bytes_;
};

void search(const TreeReader& tree, const std::vector<std::string>& keys) {
    for (const std::string& key : keys) {
        const auto path = tree.path_to(key);
        require(path.ok() && tree.row_at(*path, key).has_value(), "what a walk finds a search finds");
        require(tree.neighbours(*path).ok(), "a sound tree has sound neighbours");
    }
}

void read_rows(const SnapshotTables& tables) {
    for (const TreeReader& tree : tables.tables) {
        std::vector<std::string> keys;
        bool sound = true;
        TreeVisitor visitor;
        visitor.damaged = [&](const meridian::Error& error) {
            require_error_text(error.message);
            sound = false;
            return true;
        };
        visitor.row = [&](std::string_view key, const PageNode& node) {
            keys.emplace_back(key);
            const auto value = tree.value(node);
            if (!value) require_error_text(value.error().message);
            return keys.size() < 1000;
        };
        require(tree.walk({}, visitor).ok(), "a walk that is told of damage goes on");
        require(std::is_sorted(keys.begin(), keys.end()), "rows come in order");
        if (sound) search(tree, keys);
    }
    for (const char* name : {"a", "m", "z"}) {
        const auto row = tables.snapshot(name);
        if (!row) require_error_text(row.error().message);
        const auto value = tables.sealed(metadata_table, name);
        if (!value) require_error_text(value.error().message);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    PageFile file(std::make_unique<MemoryFile>(std::string(reinterpret_cast<const char*>(data), size)), "/data.mdb");
    const auto meta = file.read_newest_meta();
    if (!meta) {
        require_error_text(meta.error().message);
        return 0;
    }
    // As store-kv does when it opens the file: a map of pages has a limit.
    const auto length = file.size();
    if ((meta->last + 1) * file.page_size() > *length) return 0;
    auto tables = SnapshotTables::at(file, *meta);
    if (!tables) {
        require_error_text(tables.error().message);
        return 0;
    }
    const StructureReport report = check_structure(file, tables->view, tables->list(), [](uint64_t) { return true; });
    for (const auto* texts : {&report.damaged, &report.fatal})
        for (const std::string& text : *texts) require_error_text(text);
    read_rows(*tables);
    WriteGuard guard(std::move(*tables));
    if (const auto checked = guard.check_begin(); !checked) require_error_text(checked.error().message);
    for (const char* key : {"a", "m", "z"}) {
        for (const TableIndex table : {snapshots_table, deadlines_table}) {
            if (const auto checked = guard.check_put(table, key); !checked) require_error_text(checked.error().message);
            if (const auto checked = guard.check_remove(table, key); !checked)
                require_error_text(checked.error().message);
        }
    }
    return 0;
}
