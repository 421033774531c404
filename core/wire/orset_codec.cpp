#include "wire/orset_codec.h"

#include "base/json_text.h"
#include "wire/binary_parts.h"

namespace meridian::wire {

namespace {

constexpr const char* set_part = "set elements";
constexpr size_t add_bytes_min = sizeof(crdt::Tag) + 2;
constexpr size_t remove_bytes_min = sizeof(crdt::Tag) + 3;
// A text of one character, two counts and one added tag.
constexpr size_t element_bytes_min = 2 + 2 + add_bytes_min;

template <class Tagged>
bool ascending(const std::vector<Tagged>& tags) {
    for (size_t i = 1; i < tags.size(); ++i) {
        if (tags[i].first <= tags[i - 1].first) return false;
    }
    return true;
}

// Both ascending.
bool disjoint(const crdt::OrSet::ElementDelta& element) {
    auto add = element.adds.begin();
    auto remove = element.removes.begin();
    while (add != element.adds.end() && remove != element.removes.end()) {
        if (add->first == remove->first) return false;
        add->first < remove->first ? void(++add) : void(++remove);
    }
    return true;
}

}  // namespace

void encode_orset_delta(BinaryWriter& out, const crdt::OrSet::Delta& delta) {
    WriterTable writers;
    for (const auto& element : delta.elements) {
        for (const auto& [tag, stamp] : element.removes) writers.note(stamp.hlc.node_id, stamp.incarnation);
    }
    writers.encode(out);
    out.varint(delta.elements.size());
    for (const auto& element : delta.elements) {
        out.bytes(element.element);
        out.varint(element.adds.size());
        for (const auto& [tag, version] : element.adds) {
            out.fixed(tag.data(), tag.size());
            out.varint(version.node_id);
            out.varint(version.seq);
        }
        out.varint(element.removes.size());
        for (const auto& [tag, stamp] : element.removes) {
            out.fixed(tag.data(), tag.size());
            writers.encode_stamp(out, stamp);
        }
    }
}

Result<crdt::OrSet::Delta> decode_orset_delta(BinaryReader& in) {
    DecodedWriterTable writers;
    writers.decode(in);
    const size_t count = in.count(element_bytes_min);
    crdt::OrSet::Delta delta;
    for (size_t i = 0; i < count && in.ok(); ++i) {
        auto& element = delta.elements.emplace_back();
        element.element = in.bytes();
        const size_t adds = in.count(add_bytes_min);
        for (size_t k = 0; k < adds && in.ok(); ++k) {
            auto& [tag, version] = element.adds.emplace_back(crdt::Tag{}, crdt::OrSet::Version{});
            in.fixed(tag.data(), tag.size());
            version.node_id = in.varint();
            const uint64_t seq = in.varint();
            if (seq > UINT32_MAX) return malformed(set_part, "sequence numbers below 2^32");
            version.seq = static_cast<uint32_t>(seq);
        }
        const size_t removes = in.count(remove_bytes_min);
        for (size_t k = 0; k < removes && in.ok(); ++k) {
            auto& [tag, stamp] = element.removes.emplace_back();
            in.fixed(tag.data(), tag.size());
            stamp = writers.decode_stamp(in);
        }
        if (!in.ok()) break;
        if (i != 0 && element.element <= delta.elements[i - 1].element)
            return malformed(set_part, "ascending elements");
        if (!is_compact_json(element.element)) return malformed(set_part, "JSON texts");
        if (element.adds.empty() && element.removes.empty()) return malformed(set_part, "tags in every element");
        if (!ascending(element.adds) || !ascending(element.removes)) return malformed(set_part, "ascending tags");
        if (!disjoint(element)) return malformed(set_part, "each tag of an element either added or removed");
    }
    if (!in.ok()) return truncated(set_part);
    if (!writers.all_named()) return malformed(set_part, "no writer without a tag");
    return delta;
}

}  // namespace meridian::wire
