#include "node/entry_encoder.h"

#include "wire/key_codec.h"

namespace meridian::node {

namespace {

// A buffer that one large write has grown beyond this is not kept.
constexpr size_t buffer_bytes_kept = 64 << 10;

void reset(BinaryWriter& writer) {
    if (writer.data().capacity() > buffer_bytes_kept) writer = {};
    writer.clear();
}

}  // namespace

void EntryEncoder::clear() {
    reset(key_delta_);
    reset(payloads_);
    payload_ends_.clear();
    entries_.clear();
}

void EntryEncoder::add(const KeyName& name, uint64_t deadline_ms, wire::LogEntryParts parts,
                       const crdt::KeyDelta& delta) {
    key_delta_.clear();
    wire::encode_key_delta(key_delta_, delta);
    parts.key_delta = key_delta_.data();
    wire::encode_log_entry(payloads_, parts);
    payload_ends_.push_back(payloads_.data().size());
    entries_.push_back({name.namespace_name, name.key, parts.stamp.hlc.wall_ms, deadline_ms, {}, {}, {}});
}

std::span<const PendingEntry> EntryEncoder::entries() {
    size_t begin = 0;
    for (size_t i = 0; i < entries_.size(); ++i) {
        entries_[i].payload = std::string_view(payloads_.data()).substr(begin, payload_ends_[i] - begin);
        begin = payload_ends_[i];
    }
    return entries_;
}

}  // namespace meridian::node
