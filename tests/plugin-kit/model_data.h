// A whole store in memory, as simple as it can be: what the contract of plugin.h says, without I/O and threads. The
// base of the stores that are broken in one way each; `Defect` is asked at the places where one of them goes wrong.
//
// Threads: none of its own; the caller serialises.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "meridian/store.hpp"

namespace meridian::plugin_kit {

// The one thing that is wrong; "none" for a store that keeps the contract.
class Defect {
public:
    explicit Defect(std::string name) : name_(std::move(name)) {}
    bool is(std::string_view name) const { return name_ == name; }

private:
    std::string name_;
};

struct Row {
    uint64_t position = 0;
    uint64_t deadline_ms = 0;
    std::optional<std::string> state;  // absent: removed
};

class ModelData {
public:
    explicit ModelData(const Defect& defect) : defect_(defect) {}

    uint64_t next_position() const { return log_.size() + 1; }
    uint64_t floor() const { return floor_; }
    uint64_t bytes_pending() const;
    uint64_t bytes() const { return bytes_; }

    void apply_entry(abi::Entry entry);
    void apply_metadata(const std::vector<abi::MetadataWrite>& writes);
    void apply_snapshot(const abi::Snapshot& snapshot);
    void retain_from(uint64_t position);
    void drop_covered();

    struct Record {
        std::optional<std::string> snapshot;
        uint64_t snapshot_position = 0;
        std::vector<std::string> tail;
        uint64_t tail_position = 0;
    };
    Record read(const abi::Name& name) const;
    const abi::Entry& entry(uint64_t position) const { return log_[position - 1]; }
    // In the order of the oldest uncovered entries.
    std::vector<abi::Name> stale() const;
    // Sorted, of one namespace (empty: all), after `after`.
    std::vector<abi::Name> names(std::string_view namespace_name, const std::optional<abi::Name>& after) const;
    std::vector<std::pair<uint64_t, abi::Name>> due(uint64_t until_ms) const;
    const std::map<std::string, std::string>& metadata() const { return metadata_; }

private:
    struct Key {
        std::optional<Row> row;
        std::vector<uint64_t> positions;  // of its entries
        uint64_t covered() const { return row ? row->position : 0; }
        bool has_tail() const { return !positions.empty() && positions.back() > covered(); }
        bool exists() const { return (row && row->state) || has_tail(); }
    };

    const Defect& defect_;
    std::vector<abi::Entry> log_;
    std::map<abi::Name, Key> keys_;
    std::map<std::string, std::string> metadata_;
    uint64_t floor_ = 1;
    uint64_t retained_from_ = 0;
    uint64_t bytes_ = 0;
};

}  // namespace meridian::plugin_kit
