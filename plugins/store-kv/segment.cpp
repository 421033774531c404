#include "segment.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>

namespace meridian::store_kv {
namespace {

constexpr size_t read_size = 1 << 20;
constexpr size_t generation_offset = 8;  // within a record's header

// The first multiple of record_alignment at which a record's header may be of this generation; if there is none, the
// first at which there is no whole header left.
size_t find_generation(std::string_view bytes, uint64_t generation) {
    char wanted[sizeof generation];
    for (size_t i = 0; i < sizeof wanted; ++i) wanted[i] = static_cast<char>(generation >> (8 * i));
    uint64_t pattern = 0;
    std::memcpy(&pattern, wanted, sizeof pattern);
    size_t at = 0;
    for (; at + record_header_size <= bytes.size(); at += record_alignment) {
        uint64_t found = 0;
        std::memcpy(&found, bytes.data() + at + generation_offset, sizeof found);
        if (found == pattern) break;
    }
    return at;
}

}  // namespace

void add_mark(std::vector<Mark>& marks, const Mark& mark) {
    if (marks.empty() || mark.offset >= marks.back().offset + marks_distance) marks.push_back(mark);
}

std::string segment_path(const std::string& directory, uint64_t number) {
    char name[32];
    std::snprintf(name, sizeof name, "/%016" PRIx64 ".seg", number);
    return directory + name;
}

std::optional<uint64_t> segment_number(std::string_view file_name) {
    if (file_name.size() != 20 || file_name.substr(16) != ".seg") return std::nullopt;
    uint64_t number = 0;
    for (const char c : file_name.substr(0, 16)) {
        if (c >= '0' && c <= '9') {
            number = number << 4 | static_cast<uint64_t>(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            number = number << 4 | static_cast<uint64_t>(c - 'a' + 10);
        } else {
            return std::nullopt;
        }
    }
    return number;
}

std::shared_ptr<Segment> SegmentList::find(uint64_t number) const {
    if (segments_.empty() || number < segments_.front()->header.number) return nullptr;
    const uint64_t index = number - segments_.front()->header.number;
    return index < segments_.size() ? segments_[static_cast<size_t>(index)] : nullptr;
}

std::shared_ptr<Segment> SegmentList::holding(uint64_t position) const {
    // The last segment whose first position is not above it: an empty segment shares its first position with the next.
    const auto after = std::upper_bound(
        segments_.begin(), segments_.end(), position,
        [](uint64_t wanted, const std::shared_ptr<Segment>& s) { return wanted < s->header.first_position; });
    return after == segments_.begin() ? nullptr : *std::prev(after);
}

uint64_t SegmentList::bytes() const {
    uint64_t sum = 0;
    for (const auto& segment : segments_) sum += segment->header.capacity;
    return sum;
}

SegmentReader::SegmentReader(const Segment& segment, uint64_t offset, uint64_t end)
    : segment_(segment), offset_(offset), end_(std::min(end, segment.header.capacity)) {}

bool SegmentReader::load(uint64_t offset, size_t size) {
    if (size > end_ || offset > end_ - size) return false;
    if (offset >= buffer_offset_ && offset + size <= buffer_offset_ + buffer_.size()) return true;
    const auto wanted = static_cast<size_t>(std::min<uint64_t>(std::max(size, read_size), end_ - offset));
    buffer_.resize(wanted);
    buffer_offset_ = offset;
    const int result = read_fully(*segment_.file, offset, buffer_.data(), wanted);
    if (result == 0) return true;
    buffer_.clear();
    error_ = segment_.path + ": reading " + std::to_string(wanted) + " bytes at offset " + std::to_string(offset) +
             ": " + error_text(result);
    return false;
}

SegmentReader::Step SegmentReader::next(uint64_t wanted_sequence, RecordAt& out) {
    const auto failed = [&] { return error_.empty() ? Step::stop : Step::io_error; };
    if (!load(offset_, record_header_size)) return failed();
    const RecordHeader header = decode_record_header(at(offset_, record_header_size));
    if (header.length == 0 || header.generation != segment_.header.number || header.sequence != wanted_sequence) {
        return Step::stop;
    }
    const uint64_t size = record_size(header.length);
    if (size > end_ - offset_ || !load(offset_, static_cast<size_t>(size))) return failed();
    const std::string_view payload = at(offset_ + record_header_size, header.length);
    if (!record_intact(header, payload, segment_.header.salt)) return Step::stop;
    out.offset = offset_;
    out.header = header;
    out.payload = payload;
    offset_ += size;
    return Step::record;
}

std::optional<uint64_t> SegmentReader::find_later() {
    std::optional<uint64_t> synced;
    uint64_t candidate = offset_;
    while (load(candidate, record_header_size)) {
        // Most of what is passed over is not of this generation: that alone is looked at.
        const std::string_view loaded = at(candidate, static_cast<size_t>(buffer_offset_ + buffer_.size() - candidate));
        const size_t skipped = find_generation(loaded, segment_.header.number);
        candidate += skipped;
        if (skipped + record_header_size > loaded.size()) continue;
        const RecordHeader header = decode_record_header(at(candidate, record_header_size));
        const uint64_t size = record_size(header.length);
        if (header.length != 0 && size <= end_ - candidate) {
            if (!load(candidate, static_cast<size_t>(size))) break;
            if (record_intact(header, at(candidate + record_header_size, header.length), segment_.header.salt)) {
                synced = std::max(synced.value_or(0), header.synced_sequence);
                candidate += size;
                continue;
            }
        }
        candidate += record_alignment;
    }
    return synced;
}

}  // namespace meridian::store_kv
