#include "node/log_index.h"

#include <algorithm>
#include <charconv>

#include "base/binary.h"

namespace meridian::node {

namespace {

constexpr size_t digits = 16;

std::string hexadecimal(uint64_t value) {
    std::string out(digits, '0');
    for (size_t i = digits; i-- > 0; value >>= 4) out[i] = "0123456789abcdef"[value & 0xf];
    return out;
}

std::optional<uint64_t> from_hexadecimal(std::string_view text) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    if (text.size() != digits || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

}  // namespace

std::string encode_vector(const VersionVector& vector) {
    BinaryWriter out;
    out.varint(vector.size());
    for (const auto& [origin, sequence] : vector) {
        out.varint(origin.node_id);
        out.varint(origin.incarnation);
        out.varint(sequence);
    }
    return out.take();
}

std::optional<VersionVector> decode_vector(std::string_view bytes) {
    BinaryReader in(bytes);
    VersionVector vector;
    const size_t count = in.count(3);
    for (size_t i = 0; i < count && in.ok(); ++i) {
        Origin origin;
        origin.node_id = in.varint();
        origin.incarnation = in.varint();
        vector[origin] = in.varint();
    }
    if (!in.ok() || !in.at_end()) return std::nullopt;
    return vector;
}

std::string origin_name(std::string_view prefix, const Origin& origin) {
    return std::string(prefix) + hexadecimal(origin.node_id) + hexadecimal(origin.incarnation);
}

std::optional<Origin> origin_of_name(std::string_view prefix, std::string_view name) {
    if (name.size() != prefix.size() + 2 * digits || name.substr(0, prefix.size()) != prefix) return std::nullopt;
    const auto node_id = from_hexadecimal(name.substr(prefix.size(), digits));
    const auto incarnation = from_hexadecimal(name.substr(prefix.size() + digits));
    if (!node_id || !incarnation) return std::nullopt;
    return Origin{*node_id, *incarnation};
}

MetadataWrite sequence_write(std::string_view prefix, const Origin& origin, uint64_t sequence) {
    BinaryWriter out;
    out.varint(sequence);
    return {origin_name(prefix, origin), out.take()};
}

VersionVector decode_sequences(std::string_view prefix,
                               const std::vector<std::pair<std::string, std::string>>& records) {
    VersionVector out;
    for (const auto& [name, value] : records) {
        const auto origin = origin_of_name(prefix, name);
        BinaryReader in(value);
        const uint64_t sequence = in.varint();
        if (origin && in.ok() && in.at_end() && sequence != 0) out[*origin] = sequence;
    }
    return out;
}

MetadataWrite index_write(uint64_t position, const VersionVector& vector) {
    return {std::string(log_index_prefix) + hexadecimal(position), encode_vector(vector)};
}

void LogIndex::load(const std::vector<std::pair<std::string, std::string>>& index_records,
                    const std::vector<std::pair<std::string, std::string>>& floor_records, uint64_t floor) {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, value] : index_records) {
        const auto position = from_hexadecimal(std::string_view(name).substr(log_index_prefix.size()));
        auto vector = decode_vector(value);
        if (position && vector) records_.push_back({*position, *std::move(vector)});
    }
    raised_ = decode_sequences(log_floor_prefix, floor_records);
    floor_ = floor;
}

uint64_t LogIndex::last_position() const {
    const std::lock_guard lock(mutex_);
    return records_.empty() ? 0 : records_.back().position;
}

void LogIndex::add(uint64_t position, VersionVector vector) {
    const std::lock_guard lock(mutex_);
    records_.push_back({position, std::move(vector)});
}

void LogIndex::raise(const VersionVector& vector) {
    const std::lock_guard lock(mutex_);
    merge_into(raised_, vector);
}

std::vector<MetadataWrite> LogIndex::set_floor(uint64_t floor) {
    std::vector<MetadataWrite> removals;
    const std::lock_guard lock(mutex_);
    floor_ = std::max(floor_, floor);
    while (!records_.empty() && records_.front().position + 1 < floor_) {
        removals.push_back({std::string(log_index_prefix) + hexadecimal(records_.front().position), std::nullopt});
        records_.pop_front();
    }
    return removals;
}

uint64_t LogIndex::floor() const {
    const std::lock_guard lock(mutex_);
    return floor_;
}

uint64_t LogIndex::start_of(const Origin& origin, uint64_t sequence) const {
    const std::lock_guard lock(mutex_);
    const auto after = std::partition_point(records_.begin(), records_.end(), [&](const Record& record) {
        return held(record.vector, origin) <= sequence;
    });
    return after == records_.begin() ? floor_ : std::max(floor_, std::prev(after)->position + 1);
}

VersionVector LogIndex::floors(const VersionVector& of) const {
    const std::lock_guard lock(mutex_);
    // What stood in the log before its present beginning. Without a record that tells, all of it may have.
    const VersionVector* before = nullptr;
    if (floor_ > 1) {
        const auto record = std::partition_point(records_.begin(), records_.end(),
                                                 [&](const Record& each) { return each.position + 1 < floor_; });
        before = record == records_.end() ? &of : &record->vector;
    }
    VersionVector out;
    for (const auto& [origin, sequence] : of) {
        const uint64_t gone = std::max(before == nullptr ? 0 : held(*before, origin), held(raised_, origin));
        out[origin] = gone + 1;
    }
    return out;
}

}  // namespace meridian::node
