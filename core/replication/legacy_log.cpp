#include "replication/legacy_log.h"

#include <cassert>

#include "base/msgpack.h"
#include "replication/sealed_map.h"
#include "wire/decoder.h"

namespace meridian::replication {

bool LegacyLogWriter::add(const LegacyLogEntry& entry) {
    assert(count_ == 0 || entry.position > last_position_);
    if (count_ == count_max_ && count_ > 0) return false;
    const size_t bytes_before = entries_.size();
    MsgpackWriter writer(entries_);
    writer.map(5);
    writer.string("seq");
    writer.unsigned_integer(entry.position);
    writer.string("namespace");
    writer.string(entry.namespace_name);
    writer.string("crdt_id");
    writer.string(entry.key);
    writer.string("op_bytes");
    writer.array(entry.op_bytes.size());
    for (const char byte : entry.op_bytes) writer.unsigned_integer(static_cast<uint8_t>(byte));
    writer.string("timestamp_ms");
    writer.unsigned_integer(entry.wall_ms);
    if (entries_.size() > bytes_max_ && count_ > 0) {
        entries_.resize(bytes_before);
        return false;
    }
    last_position_ = entry.position;
    ++count_;
    return true;
}

std::string LegacyLogWriter::finish() && {
    std::string bytes;
    bytes.reserve(entries_.size() + 5);
    MsgpackWriter writer(bytes);
    writer.array(count_);
    writer.raw(entries_);
    return bytes;
}

Result<std::vector<LegacyLogEntry>> decode_legacy_log(std::string_view bytes) {
    const Result<MsgpackTape> tape = MsgpackTape::parse(bytes);
    if (!tape) return Error{"log of ops: " + tape.error().message};
    wire::Decoder decoder;
    std::vector<LegacyLogEntry> entries;
    const bool ok = wire::read_array(decoder, tape->root(), [&](MsgpackNode element) {
        LegacyLogEntry& entry = entries.emplace_back();
        return wire::read_struct(
            decoder, element,
            wire::required_field("seq",
                                 [&](MsgpackNode node) { return wire::read_integer(decoder, node, entry.position); }),
            wire::required_field("namespace",
                                 [&](MsgpackNode node) { return read_namespace(decoder, node, entry.namespace_name); }),
            wire::required_field("crdt_id", [&](MsgpackNode node) { return read_key(decoder, node, entry.key); }),
            wire::required_field("op_bytes",
                                 [&](MsgpackNode node) { return wire::read_bytes(decoder, node, entry.op_bytes); }),
            wire::required_field("timestamp_ms",
                                 [&](MsgpackNode node) { return wire::read_integer(decoder, node, entry.wall_ms); }));
    });
    if (!ok) return Error{"log of ops: " + decoder.error().message};
    return entries;
}

}  // namespace meridian::replication
