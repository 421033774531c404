// The bytes of the log: segment headers, records, and the group that a record carries. docs/LOG-FORMAT.md is the page
// about it.
//
// Pure functions; any thread. Decoders take any bytes: they never read past their input.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace meridian::store_kv {

constexpr uint32_t log_format = 1;
constexpr size_t segment_header_size = 4096;  // the block that the header has to itself; records begin after it
constexpr size_t record_header_size = 32;
constexpr size_t record_alignment = 8;
constexpr uint64_t group_bytes_max = 1ULL << 30;

using StoreId = std::array<uint8_t, 16>;

struct SegmentHeader {
    uint64_t number = 0;          // its place in the log, from 1; also the generation of its records
    uint64_t first_sequence = 0;  // of the first record
    uint64_t first_position = 0;  // of the first entry at or after the first record
    uint64_t capacity = 0;        // size of the file
    StoreId store_id{};
    uint64_t salt = 0;  // random; begins the checksum of every record, so that payloads cannot forge one
};

std::string encode_segment_header(const SegmentHeader& header);  // segment_header_size bytes
// Absent: not a header; `why` says what is wrong.
std::optional<SegmentHeader> decode_segment_header(std::string_view bytes, std::string& why);

struct RecordHeader {
    uint32_t length = 0;           // of the payload
    uint32_t checksum = 0;         // CRC32C over salt, length, the fields below and the payload
    uint64_t generation = 0;       // number of the segment: what a recycled file held before does not count
    uint64_t sequence = 0;         // contiguous over the whole log, from 1
    uint64_t synced_sequence = 0;  // when this was written, all records up to that one were on stable storage
};

RecordHeader decode_record_header(std::string_view bytes);  // REQUIRES: record_header_size bytes
// Bytes that a record takes in the file.
constexpr uint64_t record_size(uint64_t payload_size) {
    return (record_header_size + payload_size + record_alignment - 1) / record_alignment * record_alignment;
}
// `record`: record_header_size bytes of room, then the payload, padded to record_size. Fills in the header.
void finish_record(std::string& record, uint32_t payload_size, uint64_t salt, const RecordHeader& header);
bool record_intact(const RecordHeader& header, std::string_view payload, uint64_t salt);

// A key as the log, the index and the snapshots spell it: namespace, NUL, key. Sorts like (namespace, key).
std::string join_name(std::string_view namespace_name, std::string_view key);
std::string_view namespace_of(std::string_view name);
std::string_view key_of(std::string_view name);

struct EntryView {
    uint64_t position = 0;
    uint64_t origin_node_id = 0;
    uint64_t origin_incarnation = 0;
    uint64_t origin_sequence = 0;
    uint64_t wall_ms = 0;
    uint64_t deadline_ms = 0;
    std::string_view name;
    std::string_view payload;
    size_t payload_offset = 0;  // within the record's payload
};
struct MetadataView {
    std::string_view name;
    std::optional<std::string_view> value;  // absent = delete
};

// Builds a record: header room, then the group.
class GroupWriter {
public:
    GroupWriter(uint64_t first_position, uint64_t entry_count, size_t bytes_expected);
    void entry(const EntryView& entry, std::string_view namespace_name, std::string_view key);
    void begin_metadata(uint64_t count);
    void metadata(const MetadataView& write);
    size_t payload_size() const { return bytes_.size() - record_header_size; }
    std::string take();  // padded

private:
    void varint(uint64_t value);
    std::string bytes_;
};

struct GroupSummary {
    uint64_t first_position = 0;
    uint64_t entry_count = 0;
};
// Calls the functions for what the payload holds, in order. Absent: it is malformed (some calls may have been made).
std::optional<GroupSummary> read_group(std::string_view payload, const std::function<void(const EntryView&)>& entry,
                                       const std::function<void(const MetadataView&)>& metadata);

}  // namespace meridian::store_kv
