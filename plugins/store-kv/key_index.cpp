#include "key_index.h"

#include <sodium.h>
#include <algorithm>

namespace meridian::store_kv {
namespace {

Segment* segment_of(const SegmentList& segments, const EntryPlace& place) {
    // Places keep the low half of the number; all kept segments are within a window far smaller than 2^32.
    const uint64_t oldest = segments.front()->header.number;
    return segments.find(oldest + static_cast<uint32_t>(place.segment - static_cast<uint32_t>(oldest))).get();
}

}  // namespace

size_t KeyIndex::Hash::operator()(std::string_view name) const {
    static_assert(crypto_shorthash_KEYBYTES == 16 && crypto_shorthash_BYTES == sizeof(uint64_t));
    uint64_t out = 0;
    crypto_shorthash(reinterpret_cast<unsigned char*>(&out), reinterpret_cast<const unsigned char*>(name.data()),
                     name.size(), key.data());
    return static_cast<size_t>(out);
}

KeyIndex::Hash::Hash() {
    randombytes_buf(key.data(), key.size());
}

KeyIndex::KeyIndex(SegmentList& segments) : segments_(segments) {}

void KeyIndex::add(std::string_view name, const EntryPlace& place, uint64_t deadline_ms, Segment& segment) {
    auto found = keys_.find(name);
    if (found == keys_.end()) {
        auto tail = std::make_unique<KeyTail>();
        tail->name = name;
        const std::string_view stable = tail->name;
        by_oldest_.emplace_hint(by_oldest_.end(), place.position, tail.get());
        names_.insert(stable);
        found = keys_.emplace(stable, std::move(tail)).first;
    }
    append(*found->second, place, deadline_ms, segment);
}

const KeyTail* KeyIndex::add_to_known(std::string_view name, const EntryPlace& place, uint64_t deadline_ms,
                                      Segment& segment) {
    const auto found = keys_.find(name);
    if (found == keys_.end()) return nullptr;
    append(*found->second, place, deadline_ms, segment);
    return found->second.get();
}

void KeyIndex::append(KeyTail& tail, const EntryPlace& place, uint64_t deadline_ms, Segment& segment) {
    if (tail.deadline_ms != deadline_ms) {
        if (tail.deadline_ms != 0) deadlines_.erase({tail.deadline_ms, tail.name});
        if (deadline_ms != 0) deadlines_.insert({deadline_ms, tail.name});
        tail.deadline_ms = deadline_ms;
    }
    tail.places.push_back(place);
    segment.live += 1;
    bytes_pending_ += place.length + record_header_size;
}

const KeyTail* KeyIndex::find(std::string_view name) const {
    const auto found = keys_.find(name);
    return found == keys_.end() ? nullptr : found->second.get();
}

void KeyIndex::covered(std::string_view name, uint64_t position) {
    const auto found = keys_.find(name);
    if (found == keys_.end()) return;
    KeyTail& tail = *found->second;
    const auto end = std::upper_bound(tail.places.begin(), tail.places.end(), position,
                                      [](uint64_t wanted, const EntryPlace& place) { return wanted < place.position; });
    if (end == tail.places.begin()) return;
    by_oldest_.erase(tail.places.front().position);
    for (auto place = tail.places.begin(); place != end; ++place) {
        bytes_pending_ -= place->length + record_header_size;
        if (Segment* segment = segment_of(segments_, *place)) segment->live -= 1;
    }
    tail.places.erase(tail.places.begin(), end);
    if (!tail.places.empty()) {
        by_oldest_.emplace(tail.places.front().position, &tail);
        return;
    }
    if (tail.deadline_ms != 0) deadlines_.erase({tail.deadline_ms, tail.name});
    names_.erase(tail.name);
    const auto keep = std::move(found->second);  // the map's key points into it
    keys_.erase(found);
}

std::vector<const KeyTail*> KeyIndex::stale(size_t count_max) const {
    std::vector<const KeyTail*> out;
    for (const auto& [position, tail] : by_oldest_) {
        if (out.size() == count_max) break;
        out.push_back(tail);
    }
    return out;
}

void KeyIndex::put_metadata(std::string_view name, std::optional<std::string_view> value, uint64_t sequence,
                            Segment& segment) {
    auto found = metadata_.find(name);
    if (found == metadata_.end()) {
        found = metadata_.emplace(std::string(name), PendingMetadata{}).first;
    } else if (const auto before = segments_.find(found->second.segment)) {
        before->live -= 1;
    }
    found->second.value = value ? std::optional<std::string>(*value) : std::nullopt;
    found->second.sequence = sequence;
    found->second.segment = segment.header.number;
    segment.live += 1;
}

void KeyIndex::metadata_stored(const std::string& name, uint64_t sequence) {
    const auto found = metadata_.find(name);
    if (found == metadata_.end() || found->second.sequence != sequence) return;
    if (const auto segment = segments_.find(found->second.segment)) segment->live -= 1;
    metadata_.erase(found);
}

}  // namespace meridian::store_kv
