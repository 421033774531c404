#include "snapshot_tables.h"

#include <algorithm>

#include "base/binary.h"

namespace meridian::store_kv {
namespace {

Result<AsideEntry> decode_aside_entry(std::string_view body, std::string_view name) {
    BinaryReader reader(body);
    AsideEntry entry;
    const uint8_t lost = reader.u8();
    const std::string_view stored = reader.bytes();
    if (!reader.ok() || lost > 1 || stored != name) return Error{"the stored value is malformed"};
    (lost == 1 ? entry.lost : entry.payload) = body.substr(body.size() - reader.remaining());
    return entry;
}

}  // namespace

Result<SnapshotTables> SnapshotTables::at(const PageFile& file, const MetaPage& meta) {
    SnapshotTables out{make_view(file, meta), {}};
    auto found = out.view.all_tables();
    if (!found) return found.error();
    for (size_t index = 0; index < table_names.size(); ++index) {
        const std::string name = table_names[index];
        const auto table = std::find_if(found->begin(), found->end(), [&](const Table& t) { return t.name == name; });
        if (table != found->end()) {
            out.tables.emplace_back(file, std::move(*table));
            found->erase(table);
        } else if (index == aside_table) {
            out.tables.emplace_back(file,
                                    Table{name, {}, PageRules{meta.last, KeyOrder::bytes, false, false}, nullptr});
        } else {
            return Error{file.path() + ": it has no table '" + name + "': it was damaged or replaced"};
        }
    }
    if (!found->empty()) {
        return Error{file.path() + ": it has a table '" + printable(found->front().name) +
                     "', which this version does not know: it was damaged, replaced or written by a newer one"};
    }
    return out;
}

std::vector<Table> SnapshotTables::list() const {
    std::vector<Table> out;
    for (const TreeReader& table : tables) out.push_back(table.table());
    return out;
}

Result<std::optional<SnapshotRow>> SnapshotTables::snapshot(std::string_view name) const {
    if (has_aside()) {
        auto aside = aside_snapshot(name);
        if (!aside || *aside) return aside;
    }
    return first_snapshot(name);
}

Result<std::optional<std::string>> SnapshotTables::metadata(std::string_view name) const {
    if (has_aside()) {
        auto aside = aside_metadata(name);
        if (!aside) return aside.error();
        if (*aside) return (*aside)->value;
    }
    return sealed(metadata_table, name);
}

Result<std::optional<SnapshotRow>> SnapshotTables::aside_snapshot(std::string_view name) const {
    const std::string key = aside_key(name, 0);
    auto body = sealed(aside_table, key);
    if (!body) return body.error();
    if (!*body) return std::optional<SnapshotRow>();
    auto row = SnapshotRow::decode(row_key(name), std::move(**body));
    if (!row) return row.error();
    return std::optional<SnapshotRow>(std::move(*row));
}

Result<std::optional<AsideMetadata>> SnapshotTables::aside_metadata(std::string_view name) const {
    const auto body = sealed(aside_table, aside_key(metadata_name(name), 0));
    if (!body) return body.error();
    if (!*body) return std::optional<AsideMetadata>();
    BinaryReader reader(**body);
    const uint8_t present = reader.u8();
    const std::string_view stored = reader.bytes();
    if (!reader.ok() || present > 1 || stored != name) return Error{"the stored value is malformed"};
    AsideMetadata out;
    if (present == 1) out.value = (*body)->substr((*body)->size() - reader.remaining());
    return std::optional<AsideMetadata>(std::move(out));
}

Result<std::vector<AsideEntry>> SnapshotTables::aside_entries(std::string_view name, uint64_t after) const {
    const TreeReader& table = tables[aside_table];
    std::vector<AsideEntry> out;
    Result<void> wrong;
    const std::string first = aside_key(name, 0);
    const std::string_view digest = std::string_view(first).substr(0, first.size() - 8);
    TreeVisitor visitor;
    visitor.row = [&](std::string_view key, const PageNode& node) {
        if (key.size() != first.size() || key.substr(0, digest.size()) != digest) return false;
        const uint64_t position = number_of(key.substr(digest.size()));
        if (position <= after) return true;
        const auto value = table.value(node);
        const auto body = value ? unseal(key, *value) : Result<std::string_view>(value.error());
        auto entry = body ? decode_aside_entry(*body, name) : Result<AsideEntry>(body.error());
        if (!entry) {
            wrong =
                Error{"the entry of position " + std::to_string(position) + ", set aside: " + entry.error().message};
            return false;
        }
        entry->position = position;
        out.push_back(std::move(*entry));
        return true;
    };
    const auto walked = table.walk(aside_key(name, after + 1), visitor);
    if (!walked) return walked.error();
    if (!wrong) return wrong.error();
    return out;
}

Result<std::optional<SnapshotRow>> SnapshotTables::first_snapshot(std::string_view name) const {
    const TreeReader& table = tables[snapshots_table];
    const std::string key = row_key(name);
    const auto path = table.path_to(key);
    if (!path) return path.error();
    if (const auto node = table.row_at(*path, key)) {
        auto value = table.value(*node);
        if (!value) return value.error();
        auto row = SnapshotRow::decode(key, std::move(*value));
        if (!row) return row.error();
        return std::optional<SnapshotRow>(std::move(*row));
    }
    const auto neighbours = table.neighbours(*path);
    if (!neighbours) return neighbours.error();
    for (const auto& [node, page] : *neighbours) {
        const auto head = table.value(node, snapshot_head_size);
        if (head && is_head_of_row(key, *head))
            return Error{"the stored row lies under the damaged key '" + printable(node.key) + "'"};
    }
    return std::optional<SnapshotRow>();
}

Result<std::optional<std::string>> SnapshotTables::sealed(TableIndex index, std::string_view key) const {
    const TreeReader& table = tables[index];
    const auto path = table.path_to(key);
    if (!path) return path.error();
    if (const auto node = table.row_at(*path, key)) {
        const auto value = table.value(*node);
        if (!value) return value.error();
        const auto body = unseal(key, *value);
        if (!body) return body.error();
        return std::optional<std::string>(std::string(*body));
    }
    const auto neighbours = table.neighbours(*path);
    if (!neighbours) return neighbours.error();
    for (const auto& [node, page] : *neighbours) {
        const auto value = table.value(node);
        if (value && unseal(key, *value))
            return Error{"the stored row lies under the damaged key '" + printable(node.key) + "'"};
    }
    return std::optional<std::string>();
}

}  // namespace meridian::store_kv
