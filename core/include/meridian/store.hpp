// What most stores in C++ need besides plugin.hpp: copies of what a call borrows, made and checked in one step, and the
// queue of task_queue.hpp. Header only; optional.
//
// Errors: the constructors that copy throw Failure(MERIDIAN_INVALID) if a limit of plugin.h is broken. Let it out of
// the submit: plugin.hpp returns its status.
#pragma once

#include <atomic>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "meridian/plugin.hpp"
#include "meridian/task_queue.hpp"

namespace meridian::abi {

constexpr uint64_t namespace_bytes_max = 255;
constexpr uint64_t key_bytes_max = 4096;
constexpr uint64_t metadata_name_bytes_max = 480;
constexpr uint64_t group_bytes_max = 1 << 30;

inline bool valid_namespace(meridian_bytes name) {
    return name.size >= 1 && name.size <= namespace_bytes_max && view(name).find('\0') == std::string_view::npos;
}
inline bool valid_name(const meridian_key_name& name) {
    return valid_namespace(name.namespace_name) && name.key.size >= 1 && name.key.size <= key_bytes_max;
}
inline bool valid_metadata_name(meridian_bytes name) {
    return name.size >= 1 && name.size <= metadata_name_bytes_max;
}
inline void require(bool condition, const char* text) {
    if (!condition) throw Failure(MERIDIAN_INVALID, text);
}

// A key's name. Ordered by the bytes of (namespace, key), which is the order of scan_keys.
struct Name {
    std::string namespace_name;
    std::string key;

    Name() = default;
    explicit Name(const meridian_key_name& name) : namespace_name(view(name.namespace_name)), key(view(name.key)) {
        require(valid_name(name), "a namespace has 1 to 255 bytes without NUL, a key 1 to 4096 bytes");
    }
    Name(std::string_view of_namespace, std::string_view of_key) : namespace_name(of_namespace), key(of_key) {}
    // Borrows from this.
    meridian_key_name borrowed() const { return {bytes(namespace_name), bytes(key)}; }
    friend bool operator==(const Name&, const Name&) = default;
    friend std::strong_ordering operator<=>(const Name& a, const Name& b) {
        const int order = a.namespace_name.compare(b.namespace_name);
        return (order != 0 ? order : a.key.compare(b.key)) <=> 0;
    }
};

struct Entry {
    uint64_t position = 0;
    uint64_t origin_node_id = 0;
    uint64_t origin_incarnation = 0;
    uint64_t origin_sequence = 0;
    uint64_t wall_ms = 0;
    uint64_t deadline_ms = 0;
    Name name;
    std::string payload;

    // Borrows from this.
    meridian_log_entry borrowed() const {
        return {sizeof(meridian_log_entry),
                0,
                position,
                origin_node_id,
                origin_incarnation,
                origin_sequence,
                wall_ms,
                deadline_ms,
                name.borrowed(),
                bytes(payload)};
    }
};

struct MetadataWrite {
    std::string name;
    std::optional<std::string> value;  // absent: delete
};

// A commit group. Whether its first position is the store's next one, the store must see for itself.
struct Group {
    std::vector<Entry> entries;
    std::vector<MetadataWrite> metadata;
    uint64_t bytes = 0;  // names, payloads, values

    explicit Group(const meridian_commit_group& group) {
        require(group.entry_count != 0 || group.metadata_count != 0, "the group is empty");
        for_each(group.entries, group.entry_count, [&](const meridian_log_entry& entry) {
            require(entries.empty() || entry.position == entries.back().position + 1, "positions leave a gap");
            add(entry.name.namespace_name.size + entry.name.key.size + entry.payload.size);
            entries.push_back({entry.position, entry.origin_node_id, entry.origin_incarnation, entry.origin_sequence,
                               entry.wall_ms, entry.deadline_ms, Name(entry.name), std::string(view(entry.payload))});
        });
        for_each(group.metadata, group.metadata_count, [&](const meridian_metadata_write& write) {
            require(valid_metadata_name(write.name), "a metadata name has 1 to 480 bytes");
            add(write.name.size + write.value.size);
            metadata.push_back({std::string(view(write.name)), std::nullopt});
            if (write.remove == 0) metadata.back().value.emplace(view(write.value));
        });
    }

private:
    void add(uint64_t size) {
        require(size <= group_bytes_max && bytes + size <= group_bytes_max, "a group has at most 1 GiB");
        bytes += size;
    }
};

struct Snapshot {
    Name name;
    uint64_t position = 0;
    uint64_t deadline_ms = 0;
    std::optional<std::string> state;  // absent: delete the row
};

// `position_max`: the last durable position.
inline std::vector<Snapshot> copy_snapshots(const meridian_snapshot_write* first, uint64_t count,
                                            uint64_t position_max) {
    std::vector<Snapshot> out;
    for_each(first, count, [&](const meridian_snapshot_write& write) {
        require(write.position <= position_max, "a snapshot is ahead of the log");
        require(write.state.size <= group_bytes_max, "a state has at most 1 GiB");
        out.push_back({Name(write.name), write.position, write.deadline_ms, std::nullopt});
        if (write.remove == 0) out.back().state.emplace(view(write.state));
    });
    return out;
}

inline std::vector<Name> copy_names(const meridian_key_name* names, uint64_t count) {
    std::vector<Name> out;
    for (uint64_t i = 0; i < count; ++i) out.emplace_back(names[i]);
    return out;
}

inline std::vector<std::string> copy_metadata_names(const meridian_bytes* names, uint64_t count) {
    std::vector<std::string> out;
    for (uint64_t i = 0; i < count; ++i) {
        require(valid_metadata_name(names[i]), "a metadata name has 1 to 480 bytes");
        out.emplace_back(view(names[i]));
    }
    return out;
}

// Sets `value` to `to` if that is more; true if it was.
inline bool raise(std::atomic<uint64_t>& value, uint64_t to) noexcept {
    uint64_t before = value;
    while (before < to && !value.compare_exchange_weak(before, to)) {}
    return before < to;
}

}  // namespace meridian::abi
