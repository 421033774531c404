#include "wire/counter_codec.h"

#include "wire/binary_parts.h"

namespace meridian::wire {

namespace {

constexpr const char* counter_part = "counter slots";

void encode_totals(BinaryWriter& out, const crdt::CounterTotals& totals) {
    WriterTable writers;
    for (const auto& [slot, total] : totals) writers.note(slot.node_id, slot.incarnation);
    writers.encode(out);
    out.varint(totals.size());
    uint64_t client_id = 0;
    for (const auto& [slot, total] : totals) {
        out.varint(slot.client_id - client_id);
        out.varint(writers.index_of(slot.node_id, slot.incarnation));
        out.varint(total);
        client_id = slot.client_id;
    }
}

Result<crdt::CounterTotals> decode_totals(BinaryReader& in) {
    DecodedWriterTable writers;
    writers.decode(in);
    const size_t count = in.count(3);
    crdt::CounterTotals totals;
    totals.reserve(count);
    uint64_t client_id = 0;
    for (size_t i = 0; i < count && in.ok(); ++i) {
        const uint64_t difference = in.varint();
        const Writer writer = writers.read_writer(in);
        const uint64_t total = in.varint();
        if (!in.ok()) break;
        if (difference > UINT64_MAX - client_id) return malformed(counter_part, "client ids below 2^64");
        client_id += difference;
        const crdt::CounterSlot slot{client_id, writer.first, writer.second};
        if (!totals.empty() && slot <= totals.back().first) return malformed(counter_part, "ascending slots");
        if (total == 0) return malformed(counter_part, "totals above 0");
        totals.emplace_back(slot, total);
    }
    if (!in.ok()) return truncated(counter_part);
    if (!writers.all_named()) return malformed(counter_part, "no writer without a slot");
    return totals;
}

}  // namespace

void encode_gcounter_delta(BinaryWriter& out, const crdt::GCounter::Delta& delta) {
    encode_totals(out, delta.slots);
}

Result<crdt::GCounter::Delta> decode_gcounter_delta(BinaryReader& in) {
    auto slots = decode_totals(in);
    if (!slots) return slots.error();
    return crdt::GCounter::Delta{std::move(slots).value()};
}

void encode_pncounter_delta(BinaryWriter& out, const crdt::PnCounter::Delta& delta) {
    encode_totals(out, delta.pos);
    encode_totals(out, delta.neg);
}

Result<crdt::PnCounter::Delta> decode_pncounter_delta(BinaryReader& in) {
    auto pos = decode_totals(in);
    if (!pos) return pos.error();
    auto neg = decode_totals(in);
    if (!neg) return neg.error();
    return crdt::PnCounter::Delta{std::move(pos).value(), std::move(neg).value()};
}

}  // namespace meridian::wire
