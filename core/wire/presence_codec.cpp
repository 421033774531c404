#include "wire/presence_codec.h"

#include "wire/binary_parts.h"

namespace meridian::wire {

namespace {

constexpr const char* presence_part = "presence entries";

}  // namespace

void encode_presence_delta(BinaryWriter& out, const crdt::Presence::Delta& delta) {
    WriterTable writers;
    for (const auto& [id, entry] : delta.entries) writers.note(entry.received.hlc.node_id, entry.received.incarnation);
    writers.encode(out);
    out.varint(delta.entries.size());
    uint64_t client_id = 0;
    for (const auto& [id, entry] : delta.entries) {
        out.varint(id - client_id);
        encode_binary_hlc(out, entry.hlc);
        out.varint(entry.ttl_ms);
        out.varint(entry.longest_ttl_ms - entry.ttl_ms);
        writers.encode_stamp(out, entry.received);
        if (entry.ttl_ms != 0) encode_binary_json(out, entry.data);
        client_id = id;
    }
}

Result<crdt::Presence::Delta> decode_presence_delta(BinaryReader& in) {
    DecodedWriterTable writers;
    writers.decode(in);
    const size_t count = in.count(9);
    crdt::Presence::Delta delta;
    uint64_t client_id = 0;
    for (size_t i = 0; i < count && in.ok(); ++i) {
        const uint64_t difference = in.varint();
        crdt::Presence::Entry entry;
        entry.hlc = decode_binary_hlc(in);
        entry.ttl_ms = in.varint();
        const uint64_t longer_ms = in.varint();
        entry.received = writers.decode_stamp(in);
        if (entry.ttl_ms != 0) entry.data = decode_binary_json(in);
        if (!in.ok()) break;
        if (difference > UINT64_MAX - client_id) return malformed(presence_part, "client ids below 2^64");
        if (difference == 0 && i != 0) return malformed(presence_part, "ascending client ids");
        if (longer_ms > UINT64_MAX - entry.ttl_ms) return malformed(presence_part, "a longest ttl below 2^64");
        client_id += difference;
        entry.longest_ttl_ms = entry.ttl_ms + longer_ms;
        delta.entries.emplace_back(client_id, std::move(entry));
    }
    if (!in.ok()) return truncated(presence_part);
    if (!writers.all_named()) return malformed(presence_part, "no writer without an entry");
    return delta;
}

}  // namespace meridian::wire
