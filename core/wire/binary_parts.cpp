#include "wire/binary_parts.h"

#include <algorithm>
#include <cassert>

#include "wire/op_codec.h"

namespace meridian::wire {

Error truncated(const char* part) {
    return Error{std::string(part) + ": ends early, or holds a number or value that is not in canonical form"};
}

Error malformed(const char* part, const char* rule) {
    return Error{std::string(part) + ": expected " + rule};
}

void encode_binary_hlc(BinaryWriter& out, const crdt::Hlc& stamp) {
    out.varint(stamp.wall_ms);
    out.varint(stamp.logical);
    out.varint(stamp.node_id);
}

namespace {

uint16_t decode_logical(BinaryReader& in) {
    const uint64_t logical = in.varint();
    if (logical > UINT16_MAX) {
        in.fail();
        return 0;
    }
    return static_cast<uint16_t>(logical);
}

}  // namespace

crdt::Hlc decode_binary_hlc(BinaryReader& in) {
    crdt::Hlc stamp;
    stamp.wall_ms = in.varint();
    stamp.logical = decode_logical(in);
    stamp.node_id = in.varint();
    return stamp;
}

void encode_entry_stamp(BinaryWriter& out, const crdt::EntryStamp& stamp) {
    encode_binary_hlc(out, stamp.hlc);
    out.varint(stamp.incarnation);
}

crdt::EntryStamp decode_entry_stamp(BinaryReader& in) {
    crdt::EntryStamp stamp;
    stamp.hlc = decode_binary_hlc(in);
    stamp.incarnation = in.varint();
    return stamp;
}

void encode_binary_json(BinaryWriter& out, const JsonValue& value) {
    out.bytes(value.msgpack());
}

JsonValue decode_binary_json(BinaryReader& in) {
    const std::string_view bytes = in.bytes();
    if (!in.ok()) return {};
    auto value = decode_json_value(bytes);
    if (!value.ok() || value->msgpack() != bytes) {
        in.fail();
        return {};
    }
    return std::move(value).value();
}

void WriterTable::note(uint64_t node_id, uint64_t incarnation) {
    const Writer writer{node_id, incarnation};
    const auto at = std::lower_bound(writers_.begin(), writers_.end(), writer);
    if (at == writers_.end() || *at != writer) writers_.insert(at, writer);
}

void WriterTable::encode(BinaryWriter& out) const {
    out.varint(writers_.size());
    for (const auto& [node_id, incarnation] : writers_) {
        out.varint(node_id);
        out.varint(incarnation);
    }
}

size_t WriterTable::index_of(uint64_t node_id, uint64_t incarnation) const {
    const auto at = std::lower_bound(writers_.begin(), writers_.end(), Writer{node_id, incarnation});
    assert(at != writers_.end());
    return static_cast<size_t>(at - writers_.begin());
}

void WriterTable::encode_stamp(BinaryWriter& out, const crdt::EntryStamp& stamp) const {
    out.varint(stamp.hlc.wall_ms);
    out.varint(stamp.hlc.logical);
    out.varint(index_of(stamp.hlc.node_id, stamp.incarnation));
}

void DecodedWriterTable::decode(BinaryReader& in) {
    const size_t count = in.count(2);
    writers_.reserve(count);
    for (size_t i = 0; i < count && in.ok(); ++i) {
        const uint64_t node_id = in.varint();
        const Writer writer{node_id, in.varint()};
        if (!writers_.empty() && writer <= writers_.back()) return in.fail();
        writers_.push_back(writer);
    }
    named_.assign(writers_.size(), false);
}

Writer DecodedWriterTable::read_writer(BinaryReader& in) {
    const uint64_t index = in.varint();
    if (!in.ok() || index >= writers_.size()) {
        in.fail();
        return {};
    }
    named_[index] = true;
    return writers_[index];
}

crdt::EntryStamp DecodedWriterTable::decode_stamp(BinaryReader& in) {
    crdt::EntryStamp stamp;
    stamp.hlc.wall_ms = in.varint();
    stamp.hlc.logical = decode_logical(in);
    const Writer writer = read_writer(in);
    stamp.hlc.node_id = writer.first;
    stamp.incarnation = writer.second;
    return stamp;
}

bool DecodedWriterTable::all_named() const {
    return std::find(named_.begin(), named_.end(), false) == named_.end();
}

}  // namespace meridian::wire
