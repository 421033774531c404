#include "snapshot_tables.h"

#include <cstdio>

namespace meridian::store_kv {

Result<SnapshotTables> SnapshotTables::at(const PageFile& file, const MetaPage& meta) {
    SnapshotTables out{make_view(file, meta), {}};
    for (const char* name : table_names) {
        auto table = out.view.table(name);
        if (!table) return table.error();
        out.tables.emplace_back(file, std::move(*table));
    }
    return out;
}

std::vector<Table> SnapshotTables::list() const {
    std::vector<Table> out;
    for (const TreeReader& table : tables) out.push_back(table.table());
    return out;
}

Result<std::optional<SnapshotRow>> SnapshotTables::snapshot(std::string_view name) const {
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

std::string printable(std::string_view key) {
    std::string out;
    for (const char c : key) {
        char buffer[8];
        std::snprintf(buffer, sizeof buffer, c > 0x20 && c < 0x7f ? "%c" : "\\x%02x", static_cast<unsigned char>(c));
        out += buffer;
    }
    return out;
}

}  // namespace meridian::store_kv
