#include "values.h"

#include <algorithm>
#include <utility>

#include "check.h"

namespace meridian::plugin_test {
namespace {

void scribble_text(std::string& text) {
    std::fill(text.begin(), text.end(), '#');
}
void scribble_name(Name& name) {
    scribble_text(name.namespace_name);
    scribble_text(name.key);
}

}  // namespace

Entry entry(uint64_t position, const std::string& namespace_name, const std::string& key, const std::string& payload,
            uint64_t deadline_ms) {
    Entry out;
    out.position = position;
    out.origin_node_id = 0xfedcba9876543210;
    out.origin_incarnation = 3;
    out.origin_sequence = position + 100;
    out.wall_ms = 1'700'000'000'000 + position;
    out.deadline_ms = deadline_ms;
    out.name = {namespace_name, key};
    out.payload = payload;
    return out;
}

std::string status_name(meridian_status status) {
    constexpr const char* names[] = {"OK",       "BUSY",        "CANCELLED",       "INVALID",      "NOT_SUPPORTED",
                                     "NO_SPACE", "READ_ONLY",   "OUTCOME_UNKNOWN", "CORRUPT",      "IO",
                                     "TIMEOUT",  "UNAVAILABLE", "IN_USE",          "NEWER_FORMAT", "INTERNAL"};
    const auto count = static_cast<meridian_status>(sizeof names / sizeof names[0]);
    if (status < 0 || status >= count) return "a status that does not exist (" + std::to_string(status) + ")";
    return std::string("MERIDIAN_") + names[status];
}

std::string to_string(const Name& name) {
    return shown(name.namespace_name) + "/" + shown(name.key);
}

std::string text_of(meridian_bytes bytes) {
    if (bytes.size == 0) return {};
    return std::string(static_cast<const char*>(bytes.data), static_cast<size_t>(bytes.size));
}

Name name_of(const meridian_key_name& name) {
    return {text_of(name.namespace_name), text_of(name.key)};
}

Entry entry_of(const meridian_log_entry& c) {
    Entry out;
    out.position = c.position;
    out.origin_node_id = c.origin_node_id;
    out.origin_incarnation = c.origin_incarnation;
    out.origin_sequence = c.origin_sequence;
    out.wall_ms = c.wall_ms;
    out.deadline_ms = c.deadline_ms;
    out.name = name_of(c.name);
    out.payload = text_of(c.payload);
    return out;
}

Record record_of(const meridian_key_record& c) {
    Record out;
    out.name = name_of(c.name);
    out.status = c.status;
    out.message = text_of(c.message);
    if (c.status != MERIDIAN_OK) return out;
    if (c.has_snapshot != 0) out.snapshot = text_of(c.snapshot);
    out.snapshot_position = c.snapshot_position;
    for (uint64_t i = 0; i < c.tail_count; ++i) out.tail.push_back(text_of(c.tail[i]));
    out.tail_position = c.tail_position;
    return out;
}

CGroup::CGroup(Group group, size_t spare_bytes)
    : group_(std::move(group)), entries_(spare_bytes), metadata_(spare_bytes) {
    for (const Entry& item : group_.entries) {
        meridian_log_entry out{};
        out.position = item.position;
        out.origin_node_id = item.origin_node_id;
        out.origin_incarnation = item.origin_incarnation;
        out.origin_sequence = item.origin_sequence;
        out.wall_ms = item.wall_ms;
        out.deadline_ms = item.deadline_ms;
        out.name = c_name(item.name);
        out.payload = c_bytes(item.payload);
        entries_.add(out);
    }
    for (const MetadataWrite& item : group_.metadata) {
        meridian_metadata_write out{};
        out.remove = item.value ? 0 : 1;
        out.name = c_bytes(item.name);
        if (item.value) out.value = c_bytes(*item.value);
        metadata_.add(out);
    }
    c_.struct_size = sizeof c_;
    c_.entries = entries_.data();
    c_.entry_count = entries_.size();
    c_.metadata = metadata_.data();
    c_.metadata_count = metadata_.size();
}

void CGroup::scribble() {
    for (Entry& item : group_.entries) {
        scribble_name(item.name);
        scribble_text(item.payload);
    }
    for (MetadataWrite& item : group_.metadata) {
        scribble_text(item.name);
        if (item.value) scribble_text(*item.value);
    }
    entries_.scribble();
    metadata_.scribble();
    c_ = {};
}

CSnapshots::CSnapshots(std::vector<Snapshot> snapshots, size_t spare_bytes)
    : snapshots_(std::move(snapshots)), writes_(spare_bytes) {
    for (const Snapshot& item : snapshots_) {
        meridian_snapshot_write out{};
        out.remove = item.state ? 0 : 1;
        out.name = c_name(item.name);
        out.position = item.position;
        out.deadline_ms = item.deadline_ms;
        if (item.state) out.state = c_bytes(*item.state);
        writes_.add(out);
    }
}

void CSnapshots::scribble() {
    for (Snapshot& item : snapshots_) {
        scribble_name(item.name);
        if (item.state) scribble_text(*item.state);
    }
    writes_.scribble();
}

CNames::CNames(std::vector<Name> names) : names_(std::move(names)) {
    for (const Name& name : names_) c_.push_back(c_name(name));
}

void CNames::scribble() {
    for (Name& name : names_) scribble_name(name);
    std::fill(c_.begin(), c_.end(), meridian_key_name{});
}

CTexts::CTexts(std::vector<std::string> texts) : texts_(std::move(texts)) {
    for (const std::string& text : texts_) c_.push_back(c_bytes(text));
}

void CTexts::scribble() {
    for (std::string& text : texts_) scribble_text(text);
    std::fill(c_.begin(), c_.end(), meridian_bytes{});
}

}  // namespace meridian::plugin_test
