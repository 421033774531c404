// The parts that ops and client deltas share on the wire: stamps, tags, and the ops of sequences and trees, which are
// also the elements of their deltas (crdts.md sections 1.2, 4.7 and 4.8). Used by the codecs of this folder only.
#pragma once

#include <optional>

#include "crdt/op.h"
#include "wire/decoder.h"

namespace meridian::wire {

// `rounded`: the node_id came as a float64. May be null where a stamp names nothing that is stored.
bool read_hlc(Decoder& decoder, MsgpackNode node, crdt::Hlc& out, bool* rounded = nullptr);
bool read_optional_hlc(Decoder& decoder, MsgpackNode node, std::optional<crdt::Hlc>& out, bool* rounded = nullptr);
bool read_tag(Decoder& decoder, MsgpackNode node, crdt::Tag& out);
// A set of tags: sorted, each once, whatever the order and repetitions on the wire.
bool read_tags(Decoder& decoder, MsgpackNode node, std::vector<crdt::Tag>& out);
bool read_rga_op(Decoder& decoder, MsgpackNode node, crdt::RgaOp& out);
bool read_tree_op(Decoder& decoder, MsgpackNode node, crdt::TreeOp& out);

// A rounded id is written with its node_id as float64, as it came.
void write_hlc(MsgpackWriter& writer, const crdt::Hlc& stamp, bool rounded = false);
void write_optional_hlc(MsgpackWriter& writer, const std::optional<crdt::Hlc>& stamp, bool rounded = false);
void write_tags(MsgpackWriter& writer, const std::vector<crdt::Tag>& tags);
void write_rga_op(MsgpackWriter& writer, const crdt::RgaOp& op);
void write_tree_op(MsgpackWriter& writer, const crdt::TreeOp& op);

}  // namespace meridian::wire
