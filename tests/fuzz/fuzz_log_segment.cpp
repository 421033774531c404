// A log segment of store-kv, over a file in memory: recovery refuses it with a text that names the file, or reads whole
// groups; what it read it reads again.
//
// The first byte says what the rest is: 0 the fields of the header and the bytes after its block; otherwise the
// payloads of records (a length byte before each), which are given right headers, then as many bits are flipped as the
// first byte says.
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "fuzz_check.h"
#include "log_recovery.h"

using namespace meridian::store_kv;
using meridian::fuzz::require;

namespace {

constexpr const char* directory = "/log";
constexpr size_t header_fields_size = 72;
constexpr uint64_t salt = 0x0123456789abcdef;

class MemoryFile final : public File {
public:
    explicit MemoryFile(std::string& bytes) : bytes_(bytes) {}
    int64_t read(uint64_t offset, void* out, size_t size) override {
        if (offset >= bytes_.size()) return 0;
        const size_t count = std::min<size_t>(size, bytes_.size() - static_cast<size_t>(offset));
        std::memcpy(out, bytes_.data() + offset, count);
        return static_cast<int64_t>(count);
    }
    int64_t write(uint64_t offset, const void* data, size_t size) override {
        require(offset + size <= bytes_.size(), "recovery writes inside the file");
        std::memcpy(bytes_.data() + offset, data, size);
        return static_cast<int64_t>(size);
    }
    int sync() override { return 0; }
    int allocate(uint64_t) override { return -EIO; }
    int64_t size() override { return static_cast<int64_t>(bytes_.size()); }

private:
    std::string& bytes_;
};

// One directory with one segment.
class MemoryFileSystem final : public FileSystem {
public:
    explicit MemoryFileSystem(std::string bytes) : bytes_(std::move(bytes)) {}
    int open(const std::string&, std::unique_ptr<File>& out) override {
        out = std::make_unique<MemoryFile>(bytes_);
        return 0;
    }
    int create(const std::string&, std::unique_ptr<File>&) override { return -EIO; }
    int rename(const std::string&, const std::string&) override { return -EIO; }
    int remove(const std::string&) override { return -EIO; }
    int make_directory(const std::string&) override { return -EIO; }
    int sync_directory(const std::string&) override { return 0; }
    int list(const std::string&, std::vector<std::string>& out) override {
        out.push_back(segment_path("", 1).substr(1));
        return 0;
    }
    int64_t free_bytes(const std::string&) override { return 0; }

private:
    std::string bytes_;
};

// The header's block is mostly padding, which is left out of the input.
std::string raw_segment(std::string_view input) {
    std::string bytes(input.substr(0, header_fields_size));
    bytes.resize(segment_header_size, '\0');
    if (input.size() > header_fields_size) bytes += input.substr(header_fields_size);
    return bytes;
}

std::string make_segment(std::string_view input) {
    const size_t flips = static_cast<uint8_t>(input[0]) % 8;
    std::string records;
    uint64_t sequence = 1;
    size_t at = 1;
    while (at < input.size() && records.size() < 16384) {
        const size_t length = std::min<size_t>(static_cast<uint8_t>(input[at]) + 1, input.size() - at - 1);
        if (length == 0) break;
        std::string record(record_header_size, '\0');
        record.append(input.substr(at + 1, length));
        record.resize(static_cast<size_t>(record_size(length)));
        RecordHeader header;
        header.generation = 1;
        header.sequence = sequence;
        header.synced_sequence = sequence - 1;
        finish_record(record, static_cast<uint32_t>(length), salt, header);
        records += record;
        ++sequence;
        at += 1 + length;
    }
    for (size_t i = 0; i < flips && !records.empty(); ++i) {
        const size_t place =
            (static_cast<uint8_t>(input[input.size() - 1 - i % input.size()]) * 131 + i * 977) % records.size();
        records[place] = static_cast<char>(records[place] ^ (1 << (i % 8)));
    }
    SegmentHeader header;
    header.number = 1;
    header.first_sequence = 1;
    header.first_position = 1;
    header.capacity = segment_header_size + records.size() + 512;
    header.salt = salt;
    std::string bytes = encode_segment_header(header) + records;
    bytes.resize(static_cast<size_t>(header.capacity), '\0');
    return bytes;
}

struct Recovered {
    bool ok = false;
    std::string error;
    std::vector<std::string> payloads;
    uint64_t end = 0;
};

Recovered recover(MemoryFileSystem& files) {
    Recovered out;
    SegmentList segments;
    LogRecoveryRequest request;
    request.directory = directory;
    auto recovered = recover_log(files, request, segments, [&](Segment&, const RecordAt& record) {
        uint64_t entries = 0;
        const auto summary = read_group(
            record.payload,
            [&](const EntryView& entry) {
                ++entries;
                require(entry.payload_offset + entry.payload.size() <= record.payload.size(),
                        "an entry is in its record");
            },
            [](const MetadataView&) {});
        if (!summary) return meridian::Result<void>(meridian::Error{"malformed group"});
        require(summary->entry_count == entries, "a group has as many entries as it says");
        out.payloads.emplace_back(record.payload);
        return meridian::Result<void>();
    });
    out.ok = recovered.ok();
    if (!recovered) out.error = recovered.error().message;
    if (recovered) out.end = segments.back()->end_offset;
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 2) return 0;
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    MemoryFileSystem files(input[0] == 0 ? raw_segment(input.substr(1)) : make_segment(input));
    const Recovered first = recover(files);
    if (!first.ok) {
        meridian::fuzz::require_error_text(first.error);
        return 0;
    }
    const Recovered again = recover(files);
    require(again.ok && again.payloads == first.payloads && again.end == first.end, "recovery is the same twice");
    return 0;
}
