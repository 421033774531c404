#include "replication/envelope.h"

#include "replication/sealed_map.h"

namespace meridian::replication {

namespace {

constexpr uint64_t repeated_flag = 1;
// All names, numbers and the code at their longest, less the texts and byte strings.
constexpr size_t envelope_overhead_bytes_max = 256;

Error refused(const Error& error) {
    return Error{"envelope: " + error.message};
}

}  // namespace

std::string encode_envelope(const Envelope& envelope, const Seal& seal) {
    SealedMapWriter writer(envelope_overhead_bytes_max + envelope.namespace_name.size() + envelope.key.size() +
                           envelope.delta_bytes.size() + seal.cluster_id().size() +
                           (envelope.numbered ? envelope.numbered->payload.size() : 0));
    writer.key("origin_node_id").unsigned_integer(envelope.origin_node_id);
    writer.key("namespace").string(envelope.namespace_name);
    writer.key("crdt_id").string(envelope.key);
    writer.key("delta_bytes").binary(envelope.delta_bytes);
    if (!envelope.numbered) {
        // A code would make it one of ours.
        return std::move(writer).finish(Seal("", "", false));
    }
    const Envelope::Numbered& numbered = *envelope.numbered;
    writer.key("v").unsigned_integer(protocol_version);
    if (!seal.cluster_id().empty()) writer.key("cid").string(seal.cluster_id());
    writer.key("inc").unsigned_integer(numbered.incarnation);
    writer.key("oseq").unsigned_integer(numbered.sequence);
    writer.key("ct").unsigned_integer(numbered.type_code);
    writer.key("ts").unsigned_integer(numbered.wall_ms);
    if (numbered.repeated) writer.key("fl").unsigned_integer(repeated_flag);
    writer.key("xd").binary(numbered.payload);
    return std::move(writer).finish(seal);
}

Result<Envelope> decode_envelope(std::string_view bytes, const Seal& seal, RefusalReason* reason) {
    RefusalReason ignored = RefusalReason::malformed;
    RefusalReason& why = reason != nullptr ? *reason : ignored;
    why = RefusalReason::malformed;

    const Result<MsgpackTape> tape = MsgpackTape::parse(bytes);
    if (!tape) return refused(tape.error());
    const MsgpackNode root = tape->root();
    Made made = Made::legacy;
    if (root.kind() == MsgpackKind::map) {
        const Result<Made> checked = check_seal(bytes, tape->bytes_used(), root, Writers::ours_or_legacy, seal, why);
        if (!checked) return refused(checked.error());
        made = *checked;
        why = RefusalReason::malformed;
    } else if (root.kind() == MsgpackKind::array && seal.required()) {
        why = RefusalReason::not_signed;
        return Error{"envelope: found " + root.describe() + ", expected a map with a mac"};
    }

    wire::Decoder decoder;
    Envelope out;
    const bool legacy_ok = wire::read_struct(
        decoder, root,
        wire::required_field("origin_node_id",
                             [&](MsgpackNode node) { return wire::read_integer(decoder, node, out.origin_node_id); }),
        wire::required_field("namespace",
                             [&](MsgpackNode node) { return read_namespace(decoder, node, out.namespace_name); }),
        wire::required_field("crdt_id", [&](MsgpackNode node) { return read_key(decoder, node, out.key); }),
        wire::required_field("delta_bytes",
                             [&](MsgpackNode node) { return wire::read_bytes(decoder, node, out.delta_bytes); }));
    if (!legacy_ok) return refused(decoder.error());
    if (made == Made::legacy) return out;

    Envelope::Numbered& numbered = out.numbered.emplace();
    uint64_t flags = 0;
    const bool ours_ok = wire::read_struct(
        decoder, root,
        wire::required_field("inc",
                             [&](MsgpackNode node) { return read_positive(decoder, node, numbered.incarnation); }),
        wire::required_field("oseq", [&](MsgpackNode node) { return read_positive(decoder, node, numbered.sequence); }),
        wire::required_field("ct",
                             [&](MsgpackNode node) { return wire::read_integer(decoder, node, numbered.type_code); }),
        wire::required_field("ts",
                             [&](MsgpackNode node) { return wire::read_integer(decoder, node, numbered.wall_ms); }),
        wire::optional_field("fl", [&](MsgpackNode node) { return wire::read_integer(decoder, node, flags); }),
        wire::required_field("xd",
                             [&](MsgpackNode node) { return wire::read_bytes(decoder, node, numbered.payload); }));
    if (!ours_ok) return refused(decoder.error());
    numbered.repeated = (flags & repeated_flag) != 0;
    return out;
}

}  // namespace meridian::replication
