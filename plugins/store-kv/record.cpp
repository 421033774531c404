#include "record.h"

#include <cstring>

#include "base/binary.h"
#include "crc32c.h"

namespace meridian::store_kv {
namespace {

constexpr char segment_magic[8] = {'M', 'R', 'D', 'N', 'S', 'E', 'G', '\n'};
constexpr size_t header_bytes = 72;

template <class T>
void put(char* at, T value) {
    for (size_t i = 0; i < sizeof(T); ++i) at[i] = static_cast<char>(value >> (8 * i));
}

template <class T>
T get(const char* at) {
    T value = 0;
    for (size_t i = 0; i < sizeof(T); ++i)
        value |= static_cast<T>(static_cast<T>(static_cast<uint8_t>(at[i])) << (8 * i));
    return value;
}

uint32_t header_checksum(std::string_view bytes) {
    return crc32c(bytes.substr(16, header_bytes - 16), crc32c(bytes.substr(0, 12)));
}

uint32_t record_checksum(const char* header, std::string_view payload, uint64_t salt) {
    char salt_bytes[8];
    put(salt_bytes, salt);
    uint32_t crc = crc32c(salt_bytes, sizeof salt_bytes);
    crc = crc32c(header, 4, crc);
    crc = crc32c(header + 8, record_header_size - 8, crc);
    return crc32c(payload, crc);
}

void encode_header(char* at, const RecordHeader& header) {
    put(at, header.length);
    put(at + 4, header.checksum);
    put(at + 8, header.generation);
    put(at + 16, header.sequence);
    put(at + 24, header.synced_sequence);
}

}  // namespace

std::string encode_segment_header(const SegmentHeader& header) {
    std::string bytes(segment_header_size, '\0');
    char* at = bytes.data();
    std::memcpy(at, segment_magic, sizeof segment_magic);
    put(at + 8, log_format);
    put(at + 16, header.number);
    put(at + 24, header.first_sequence);
    put(at + 32, header.first_position);
    put(at + 40, header.capacity);
    std::memcpy(at + 48, header.store_id.data(), header.store_id.size());
    put(at + 64, header.salt);
    put(at + 12, header_checksum(bytes));
    return bytes;
}

std::optional<SegmentHeader> decode_segment_header(std::string_view bytes, std::string& why) {
    if (bytes.size() < header_bytes) {
        why = "the file has " + std::to_string(bytes.size()) + " bytes, a header has " +
              std::to_string(segment_header_size);
        return std::nullopt;
    }
    if (std::memcmp(bytes.data(), segment_magic, sizeof segment_magic) != 0) {
        why = "it does not begin like a log segment";
        return std::nullopt;
    }
    const auto format = get<uint32_t>(bytes.data() + 8);
    const auto checksum = get<uint32_t>(bytes.data() + 12);
    const bool intact = checksum == header_checksum(bytes);
    if (format != log_format && intact) {
        why = "it has log format " + std::to_string(format) + ", this version reads " + std::to_string(log_format);
        return std::nullopt;
    }
    if (!intact) {
        why = "its header fails its checksum";
        return std::nullopt;
    }
    SegmentHeader header;
    header.number = get<uint64_t>(bytes.data() + 16);
    header.first_sequence = get<uint64_t>(bytes.data() + 24);
    header.first_position = get<uint64_t>(bytes.data() + 32);
    header.capacity = get<uint64_t>(bytes.data() + 40);
    std::memcpy(header.store_id.data(), bytes.data() + 48, header.store_id.size());
    header.salt = get<uint64_t>(bytes.data() + 64);
    return header;
}

RecordHeader decode_record_header(std::string_view bytes) {
    RecordHeader header;
    header.length = get<uint32_t>(bytes.data());
    header.checksum = get<uint32_t>(bytes.data() + 4);
    header.generation = get<uint64_t>(bytes.data() + 8);
    header.sequence = get<uint64_t>(bytes.data() + 16);
    header.synced_sequence = get<uint64_t>(bytes.data() + 24);
    return header;
}

void finish_record(std::string& record, uint32_t payload_size, uint64_t salt, const RecordHeader& header) {
    RecordHeader full = header;
    full.length = payload_size;
    encode_header(record.data(), full);
    full.checksum =
        record_checksum(record.data(), std::string_view(record).substr(record_header_size, payload_size), salt);
    put(record.data() + 4, full.checksum);
}

bool record_intact(const RecordHeader& header, std::string_view payload, uint64_t salt) {
    char bytes[record_header_size];
    encode_header(bytes, header);
    return payload.size() == header.length && record_checksum(bytes, payload, salt) == header.checksum;
}

std::string join_name(std::string_view namespace_name, std::string_view key) {
    std::string name;
    name.reserve(namespace_name.size() + 1 + key.size());
    name.append(namespace_name).push_back('\0');
    name.append(key);
    return name;
}

std::string_view namespace_of(std::string_view name) {
    return name.substr(0, name.find('\0'));
}

std::string_view key_of(std::string_view name) {
    const size_t end = name.find('\0');
    return end == std::string_view::npos ? std::string_view() : name.substr(end + 1);
}

GroupWriter::GroupWriter(uint64_t first_position, uint64_t entry_count, size_t bytes_expected) {
    bytes_.reserve(record_header_size + bytes_expected + record_alignment);
    bytes_.assign(record_header_size, '\0');
    varint(entry_count);
    varint(first_position);
}

void GroupWriter::varint(uint64_t value) {
    while (value >= 0x80) {
        bytes_.push_back(static_cast<char>(value | 0x80));
        value >>= 7;
    }
    bytes_.push_back(static_cast<char>(value));
}

void GroupWriter::entry(const EntryView& entry, std::string_view namespace_name, std::string_view key) {
    char node_id[8];
    put(node_id, entry.origin_node_id);
    bytes_.append(node_id, sizeof node_id);
    varint(entry.origin_incarnation);
    varint(entry.origin_sequence);
    varint(entry.wall_ms);
    varint(entry.deadline_ms);
    varint(namespace_name.size() + 1 + key.size());
    bytes_.append(namespace_name).push_back('\0');
    bytes_.append(key);
    varint(entry.payload.size());
    bytes_.append(entry.payload);
}

void GroupWriter::begin_metadata(uint64_t count) {
    varint(count);
}

void GroupWriter::metadata(const MetadataView& write) {
    bytes_.push_back(write.value ? 1 : 0);
    varint(write.name.size());
    bytes_.append(write.name);
    if (!write.value) return;
    varint(write.value->size());
    bytes_.append(*write.value);
}

std::string GroupWriter::take() {
    bytes_.resize(static_cast<size_t>(record_size(payload_size())), '\0');
    return std::move(bytes_);
}

std::optional<GroupSummary> read_group(std::string_view payload, const std::function<void(const EntryView&)>& entry,
                                       const std::function<void(const MetadataView&)>& metadata) {
    BinaryReader reader(payload);
    GroupSummary summary;
    constexpr size_t entry_bytes_min = 14;
    summary.entry_count = reader.count(entry_bytes_min);
    summary.first_position = reader.varint();
    EntryView view;
    view.position = summary.first_position;
    for (uint64_t i = 0; i < summary.entry_count && reader.ok(); ++i, ++view.position) {
        char node_id[8];
        reader.fixed(node_id, sizeof node_id);
        view.origin_node_id = get<uint64_t>(node_id);
        view.origin_incarnation = reader.varint();
        view.origin_sequence = reader.varint();
        view.wall_ms = reader.varint();
        view.deadline_ms = reader.varint();
        view.name = reader.bytes();
        view.payload = reader.bytes();
        if (!reader.ok() || view.name.find('\0') == std::string_view::npos) return std::nullopt;
        view.payload_offset = payload.size() - reader.remaining() - view.payload.size();
        entry(view);
    }
    const size_t metadata_count = reader.count(2);
    for (size_t i = 0; i < metadata_count && reader.ok(); ++i) {
        MetadataView write;
        const uint8_t present = reader.u8();
        write.name = reader.bytes();
        if (present > 1) reader.fail();
        if (present == 1) write.value = reader.bytes();
        if (reader.ok()) metadata(write);
    }
    if (!reader.ok() || !reader.at_end()) return std::nullopt;
    return summary;
}

}  // namespace meridian::store_kv
