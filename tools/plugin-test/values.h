// The values that are written to a store and read from it, and the C structs made from them. Owned copies throughout:
// what a store gives is borrowed, and what it is given may be made unreadable after the call.
#pragma once

#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "meridian/plugin.h"

namespace meridian::plugin_test {

struct Name {
    std::string namespace_name;
    std::string key;
    friend auto operator<=>(const Name&, const Name&) = default;
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
    friend bool operator==(const Entry&, const Entry&) = default;
};

struct MetadataWrite {
    std::string name;
    std::optional<std::string> value;  // absent: remove
};

struct Group {
    std::vector<Entry> entries;
    std::vector<MetadataWrite> metadata;
};

struct Snapshot {
    Name name;
    uint64_t position = 0;
    std::optional<std::string> state;  // absent: remove
    uint64_t deadline_ms = 0;
};

struct Record {
    Name name;
    std::optional<std::string> snapshot;
    uint64_t snapshot_position = 0;
    std::vector<std::string> tail;
    uint64_t tail_position = 0;
    meridian_status status = MERIDIAN_OK;
    std::string message;
};

struct DueName {
    Name name;
    uint64_t deadline_ms = 0;
    friend bool operator==(const DueName&, const DueName&) = default;
};

struct Value {
    std::string name;
    std::optional<std::string> value;
    friend bool operator==(const Value&, const Value&) = default;
};

// An entry whose other fields follow from the position, so that it is known what must be read back.
Entry entry(uint64_t position, const std::string& namespace_name, const std::string& key, const std::string& payload,
            uint64_t deadline_ms = 0);

std::string status_name(meridian_status status);
std::string to_string(const Name& name);

inline meridian_bytes c_bytes(const std::string& text) {
    return {text.data(), text.size()};
}
inline meridian_key_name c_name(const Name& name) {
    return {c_bytes(name.namespace_name), c_bytes(name.key)};
}
std::string text_of(meridian_bytes bytes);
Name name_of(const meridian_key_name& name);
Entry entry_of(const meridian_log_entry& entry);
Record record_of(const meridian_key_record& record);

// An array of structs that say their size. `spare_bytes`: each is longer than this version of the header knows by so
// many bytes (a multiple of 8), as those of a newer host would be.
template <class Element>
class ElementArray {
public:
    explicit ElementArray(size_t spare_bytes = 0) : step_(sizeof(Element) + spare_bytes) {}
    void add(Element element) {
        element.struct_size = static_cast<uint32_t>(step_);
        words_.resize(words_.size() + step_ / 8, 0xeeeeeeeeeeeeeeee);
        std::memcpy(reinterpret_cast<unsigned char*>(words_.data()) + step_ * count_, &element, sizeof element);
        count_ += 1;
    }
    const Element* data() const { return reinterpret_cast<const Element*>(words_.data()); }
    Element* front() { return reinterpret_cast<Element*>(words_.data()); }
    uint64_t size() const { return count_; }
    void scribble() { std::fill(words_.begin(), words_.end(), 0x2323232323232323); }

private:
    static_assert(sizeof(Element) % 8 == 0);
    size_t step_;
    uint64_t count_ = 0;
    std::vector<uint64_t> words_;
};

// A group as the store is given it. Points into itself: neither copied nor moved.
class CGroup {
public:
    explicit CGroup(Group group, size_t spare_bytes = 0);
    CGroup(const CGroup&) = delete;
    CGroup& operator=(const CGroup&) = delete;
    const meridian_commit_group* get() const { return &c_; }
    meridian_commit_group& c() { return c_; }
    ElementArray<meridian_log_entry>& entries() { return entries_; }
    ElementArray<meridian_metadata_write>& metadata() { return metadata_; }
    // Overwrites everything that the store was shown.
    void scribble();

private:
    Group group_;
    ElementArray<meridian_log_entry> entries_;
    ElementArray<meridian_metadata_write> metadata_;
    meridian_commit_group c_{};
};

class CSnapshots {
public:
    explicit CSnapshots(std::vector<Snapshot> snapshots, size_t spare_bytes = 0);
    CSnapshots(const CSnapshots&) = delete;
    CSnapshots& operator=(const CSnapshots&) = delete;
    const meridian_snapshot_write* get() const { return writes_.data(); }
    uint64_t size() const { return writes_.size(); }
    ElementArray<meridian_snapshot_write>& writes() { return writes_; }
    void scribble();

private:
    std::vector<Snapshot> snapshots_;
    ElementArray<meridian_snapshot_write> writes_;
};

class CNames {
public:
    explicit CNames(std::vector<Name> names);
    CNames(const CNames&) = delete;
    CNames& operator=(const CNames&) = delete;
    const meridian_key_name* get() const { return c_.data(); }
    uint64_t size() const { return c_.size(); }
    void scribble();

private:
    std::vector<Name> names_;
    std::vector<meridian_key_name> c_;
};

class CTexts {
public:
    explicit CTexts(std::vector<std::string> texts);
    CTexts(const CTexts&) = delete;
    CTexts& operator=(const CTexts&) = delete;
    const meridian_bytes* get() const { return c_.data(); }
    uint64_t size() const { return c_.size(); }
    void scribble();

private:
    std::vector<std::string> texts_;
    std::vector<meridian_bytes> c_;
};

}  // namespace meridian::plugin_test
