// Reading the snapshot database.
#include <algorithm>
#include <cstring>
#include <set>

#include "snapshot_db.h"

namespace meridian::store_kv {
namespace {

constexpr size_t meta_transaction_offset = page_header_size + 128;

bool starts_with(std::string_view text, std::string_view prefix) {
    return text.substr(0, prefix.size()) == prefix;
}

// These pages one by one. Of a free page that cannot be read nothing is missed.
Result<std::string> read_used(const PageFile& file, PageNumber first, uint64_t count, const FreePages& free_pages) {
    std::string out;
    for (PageNumber page = first; page < first + count; ++page) {
        const auto bytes = file.read(page, file.page_size());
        if (!bytes && !free_pages.has(page)) return bytes.error();
        out += bytes ? *bytes : std::string(static_cast<size_t>(file.page_size()), '\0');
    }
    return out;
}

template <class T>
void store(std::string& bytes, size_t offset, T value) {
    std::memcpy(bytes.data() + offset, &value, sizeof value);
}

}  // namespace

ReadTransaction::~ReadTransaction() {
    if (transaction_ != nullptr) mdb_txn_abort(transaction_);
}

Result<std::optional<SnapshotRow>> ReadTransaction::snapshot(std::string_view name) const {
    return tables_.snapshot(name);
}

Result<std::vector<AsideEntry>> ReadTransaction::aside_entries(std::string_view name, uint64_t after) const {
    if (!tables_.has_aside()) return std::vector<AsideEntry>();
    return tables_.aside_entries(name, after);
}

Result<std::vector<std::string>> ReadTransaction::names_after(std::string_view after, std::string_view prefix,
                                                              size_t count_max) const {
    const TreeReader& table = tables_[snapshots_table];
    std::vector<std::string> out;
    // Long names with the same beginning lie together in the order of their digests: the smallest are kept.
    std::string beginning;
    std::set<std::string, std::less<>> long_names;
    const auto end_long_names = [&] {
        out.insert(out.end(), long_names.begin(), long_names.end());
        long_names.clear();
        beginning.clear();
    };
    // A row that remembers a deletion has no state, so it is no longer than a head. A damaged row is listed: reading it
    // tells what is wrong.
    const auto deleted = [&](std::string_view key, const PageNode& node) {
        if (node.value_size > snapshot_head_size) return false;
        auto value = table.value(node);
        const auto row = value ? SnapshotRow::decode(key, std::move(*value)) : Result<SnapshotRow>(value.error());
        if (tables_.has_aside() && (!row || row->deleted)) {
            const auto second = tables_.aside_snapshot(row ? row->name() : key);
            if (second && *second) return (*second)->deleted;
        }
        return row && row->deleted;
    };
    TreeVisitor visitor;
    visitor.row = [&](std::string_view key, const PageNode& node) {
        if (!beginning.empty() && (key.size() <= direct_name_max || !starts_with(key, beginning))) end_long_names();
        if (out.size() >= count_max || !starts_with(key, prefix)) return false;
        if (key.size() <= direct_name_max) {
            if (key > after && !deleted(key, node)) out.emplace_back(key);
            return true;
        }
        beginning = key.substr(0, direct_name_max);
        const auto head = table.value(node, snapshot_head_size);
        const auto name = head ? name_in_head(key, *head) : std::nullopt;
        if (name && *name > after && !deleted(key, node)) {
            long_names.emplace(*name);
            if (long_names.size() > count_max - out.size()) long_names.erase(std::prev(long_names.end()));
        }
        return true;
    };
    const auto walked = table.walk(std::max(after, prefix).substr(0, direct_name_max), visitor);
    if (!walked) return walked.error();
    end_long_names();
    return out;
}

void ReadTransaction::deadlines(uint64_t until_ms, const std::function<bool(uint64_t, std::string_view)>& visit,
                                const std::function<void(const std::string&)>& damaged) const {
    const TreeReader& table = tables_[deadlines_table];
    TreeVisitor visitor;
    visitor.row = [&](std::string_view key, const PageNode& node) {
        const uint64_t deadline = number_of(key);
        if (deadline > until_ms) return false;
        const auto value = table.value(node);
        const auto name = value ? unseal(key, *value) : Result<std::string_view>(value.error());
        if (!name) return true;  // its key is found again when it is read or written
        const auto row = snapshot(*name);
        const bool current = row && *row && (*row)->deadline_ms == deadline;
        return !current || visit(deadline, *name);
    };
    // The keys that it has expire when they are written again.
    visitor.damaged = [&](const Error& error) {
        damaged(error.message);
        return true;
    };
    if (const auto walked = table.walk({}, visitor); !walked) damaged(walked.error().message);
}

Result<std::optional<std::string>> ReadTransaction::metadata(std::string_view name) const {
    auto value = tables_.metadata(name);
    if (!value) return Error{"metadata '" + std::string(name) + "': " + value.error().message};
    return value;
}

Result<void> ReadTransaction::metadata_after(
    std::string_view prefix, std::string_view after,
    const std::function<bool(std::string_view, std::string_view)>& visit) const {
    const TreeReader& table = tables_[metadata_table];
    Result<void> out;
    TreeVisitor visitor;
    visitor.row = [&](std::string_view key, const PageNode& node) {
        if (!starts_with(key, prefix)) return false;
        if (key <= after) return true;
        if (tables_.has_aside()) {
            const auto second = tables_.aside_metadata(key);
            if (!second) out = Error{"metadata '" + printable(key) + "': " + second.error().message};
            if (!second) return false;
            if (*second) return !(*second)->value || visit(key, *(*second)->value);
        }
        const auto value = table.value(node);
        const auto body = value ? unseal(key, *value) : Result<std::string_view>(value.error());
        if (!body) out = Error{"metadata '" + printable(key) + "': " + body.error().message};
        return body && visit(key, *body);
    };
    const auto walked = table.walk(std::max(prefix, after), visitor);
    return walked ? out : Result<void>(walked.error());
}

Result<uint64_t> ReadTransaction::check_rows(std::string& place, uint64_t bytes_max,
                                             const std::function<void(const std::string& what)>& damaged) const {
    const char* const names[] = {"snapshot of key", "deadline", "deletion", "metadata", "state", "set aside"};
    // The place is the number of a table and a key of it.
    size_t table = place.empty() ? 0 : static_cast<size_t>(place[0]);
    std::string start = place.empty() ? std::string() : place.substr(1);
    uint64_t bytes = 0;
    for (; table < tables_.tables.size(); ++table, start.clear()) {
        const TreeReader& tree = tables_.tables[table];
        TreeVisitor visitor;
        visitor.row = [&](std::string_view key, const PageNode& node) {
            if (bytes >= bytes_max) {
                place = static_cast<char>(table) + std::string(key);
                return false;
            }
            bytes += key.size() + node.value_size;
            auto value = tree.value(node);
            std::string wrong;
            if (!value) {
                wrong = value.error().message;
            } else if (table == snapshots_table) {
                if (const auto row = SnapshotRow::decode(key, std::move(*value)); !row) wrong = row.error().message;
            } else if (const auto body = unseal(key, *value); !body) {
                wrong = body.error().message;
            }
            if (!wrong.empty()) damaged(db_->directory_ + ": " + names[table] + " '" + printable(key) + "': " + wrong);
            return true;
        };
        // Of damaged pages the check of the structure tells.
        visitor.damaged = [](const Error&) { return true; };
        const auto walked = tree.walk(start, visitor);
        if (!walked) return walked.error();
        if (!*walked) return bytes;
    }
    place.clear();
    return bytes;
}

StructureReport ReadTransaction::check_structure(const std::function<bool(uint64_t bytes)>& pace) const {
    return store_kv::check_structure(*db_->file_, tables_.view, tables_.list(),
                                     [&](uint64_t bytes) { return !db_->panicked_ && pace(bytes); });
}

Result<void> ReadTransaction::copy(uint64_t piece_size,
                                   const std::function<Result<void>(std::string_view piece)>& write) const {
    const PageFile& file = *db_->file_;
    const MetaPage& meta = tables_.view.meta;
    const uint64_t page_size = file.page_size();
    const uint64_t pages_at_once = std::max<uint64_t>(1, piece_size / page_size);
    const auto size = file.size();
    if (!size) return size.error();
    // Behind the end lie free pages that LMDB has not written (see SnapshotDb::check_file).
    const uint64_t pages_in_file = *size / page_size;
    std::unique_ptr<FreePages> free_pages;  // once it is needed
    for (PageNumber page = 0; page <= meta.last;) {
        if (db_->panicked_) return Error{db_->directory_ + ": the database failed while it was copied"};
        const uint64_t count = std::min(pages_at_once, meta.last + 1 - page);
        const uint64_t there = page < pages_in_file ? std::min(count, pages_in_file - page) : 0;
        Result<std::string> piece =
            there == 0 ? Result<std::string>(std::string()) : file.read(page, there * page_size);
        if (!piece && free_pages == nullptr) {
            auto listed = read_free_pages(tables_.view);
            if (!listed) return listed.error();
            free_pages = std::move(*listed);
        }
        if (!piece) piece = read_used(file, page, there, *free_pages);
        if (!piece) return piece.error();
        piece->resize(static_cast<size_t>(count * page_size), '\0');
        // Both meta pages say what this transaction sees; the file's own may be ahead.
        for (PageNumber slot = page; slot < meta_pages && slot < page + count; ++slot) {
            const auto offset = static_cast<size_t>((slot - page) * page_size);
            piece->replace(offset, meta_size, meta.bytes);
            store(*piece, offset, slot);
            const bool current = (meta.transaction & 1) == slot;
            store(*piece, offset + meta_transaction_offset, current ? meta.transaction : meta.transaction - 1);
        }
        if (auto written = write(*piece); !written) return written;
        page += count;
    }
    return {};
}

}  // namespace meridian::store_kv
