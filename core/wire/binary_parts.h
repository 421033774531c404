// What the parts of our own encodings share (docs/CORE-DELTA.md): stamps, and the table of writers that keeps node ids
// and incarnations, ten bytes each as a rule, from being repeated with every entry. Pure functions.
//
// Decoders of parts report through Result: the error names the part and the rule that was broken.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/binary.h"
#include "base/json_value.h"
#include "base/result.h"
#include "crdt/hlc.h"

namespace meridian::wire {

// The error for input that ended early or holds a number that is not in shortest form.
Error truncated(const char* part);
Error malformed(const char* part, const char* rule);

// wall_ms, logical, node_id
void encode_binary_hlc(BinaryWriter& out, const crdt::Hlc& stamp);
crdt::Hlc decode_binary_hlc(BinaryReader& in);  // fails the reader when logical is above 65535

// wall_ms, logical, node_id, incarnation
void encode_entry_stamp(BinaryWriter& out, const crdt::EntryStamp& stamp);
crdt::EntryStamp decode_entry_stamp(BinaryReader& in);

// Canonical MessagePack, length first. The decoder fails the reader when the value is not canonical.
void encode_binary_json(BinaryWriter& out, const JsonValue& value);
JsonValue decode_binary_json(BinaryReader& in);

// A node and one of its incarnations.
using Writer = std::pair<uint64_t, uint64_t>;

// Encoding: note every writer, encode the table, then name writers by index.
class WriterTable {
public:
    void note(uint64_t node_id, uint64_t incarnation);
    void encode(BinaryWriter& out) const;
    size_t index_of(uint64_t node_id, uint64_t incarnation) const;
    // wall_ms, logical, index of the writer
    void encode_stamp(BinaryWriter& out, const crdt::EntryStamp& stamp) const;

private:
    std::vector<Writer> writers_;
};

// Decoding: ascending, and every writer must be named, so that equal values have equal bytes.
class DecodedWriterTable {
public:
    void decode(BinaryReader& in);
    Writer read_writer(BinaryReader& in);
    crdt::EntryStamp decode_stamp(BinaryReader& in);
    bool all_named() const;

private:
    std::vector<Writer> writers_;
    std::vector<bool> named_;
};

}  // namespace meridian::wire
