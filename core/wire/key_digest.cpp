#include "wire/key_digest.h"

#include <algorithm>

#include "crdt/saturating.h"
#include "wire/binary_parts.h"
#include "wire/type_codecs.h"

namespace meridian::wire {

namespace {

struct Moment {
    uint64_t now_ms;
    uint64_t tombstones_before_ms;
};

template <class T>
void encode(BinaryWriter& out, const T& value, const Moment&) {
    Codec<T>::encode_state(out, value);
}

void encode(BinaryWriter& out, const crdt::OrSet& set, const Moment& moment) {
    crdt::OrSet::Delta delta = set.full_delta();
    for (auto& element : delta.elements) {
        std::erase_if(element.removes,
                      [&](const auto& removed) { return removed.second.hlc.wall_ms < moment.tombstones_before_ms; });
    }
    std::erase_if(delta.elements, [](const auto& element) { return element.adds.empty() && element.removes.empty(); });
    encode_orset_delta(out, delta);
}

void encode(BinaryWriter& out, const crdt::Presence& presence, const Moment& moment) {
    crdt::Presence::Delta delta = presence.full_delta();
    std::erase_if(delta.entries, [&](const auto& each) {
        const crdt::Presence::Entry& entry = each.second;
        const uint64_t ttl_ms = std::min(entry.ttl_ms, crdt::presence_ttl_ms_max);
        return crdt::saturating_add(entry.received.hlc.wall_ms, ttl_ms) <= moment.now_ms;
    });
    encode_presence_delta(out, delta);
}

void encode(BinaryWriter& out, const crdt::CrdtMap& map, const Moment& moment) {
    for (const auto& [key, inner] : map.entries()) {
        out.bytes(key);
        out.u8(static_cast<uint8_t>(crdt::type_of(inner)));
        std::visit([&](const auto& value) { encode(out, value, moment); }, inner);
    }
}

}  // namespace

std::string encode_digest_form(const crdt::Key& key, uint64_t now_ms, uint64_t tombstones_before_ms) {
    BinaryWriter out;
    out.varint(key.generation());
    out.varint(key.expiry().deadline_ms);
    encode_entry_stamp(out, key.expiry().set_by);
    out.u8(static_cast<uint8_t>(key.type()));
    std::visit([&](const auto& value) { encode(out, value, Moment{now_ms, tombstones_before_ms}); }, key.value());
    return out.take();
}

}  // namespace meridian::wire
