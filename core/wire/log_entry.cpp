#include "wire/log_entry.h"

namespace meridian::wire {

namespace {

// The key delta comes first, so that recovery reads nothing else.
Error malformed(const char* what) {
    return Error{std::string("log entry: ") + what};
}

}  // namespace

void encode_log_entry(BinaryWriter& out, const LogEntryParts& parts) {
    out.u8(log_entry_version);
    out.bytes(parts.key_delta);
    out.varint(parts.stamp.hlc.wall_ms);
    out.varint(parts.stamp.hlc.logical);
    out.varint(parts.stamp.hlc.node_id);
    out.varint(parts.stamp.incarnation);
    out.varint(parts.batch_following);
    out.u8(parts.source);
    out.varint(parts.client_id);
    out.bytes(parts.op_bytes);
    out.bytes(parts.idempotency_key);
}

std::string encode_log_entry(const LogEntryParts& parts) {
    BinaryWriter out;
    encode_log_entry(out, parts);
    return out.take();
}

Result<LogEntryPayload> decode_log_entry(std::string_view bytes) {
    BinaryReader in(bytes);
    const uint8_t version = in.u8();
    if (in.ok() && version != log_entry_version) {
        return Error{"log entry: version " + std::to_string(version) + ", expected " +
                     std::to_string(log_entry_version)};
    }
    LogEntryPayload payload;
    payload.key_delta = in.bytes();
    payload.stamp.hlc.wall_ms = in.varint();
    const uint64_t logical = in.varint();
    if (logical > UINT16_MAX) return malformed("logical part of the stamp above 65535");
    payload.stamp.hlc.logical = static_cast<uint16_t>(logical);
    payload.stamp.hlc.node_id = in.varint();
    payload.stamp.incarnation = in.varint();
    payload.batch_following = in.varint();
    payload.source = in.u8();
    payload.client_id = in.varint();
    payload.op_bytes = in.bytes();
    payload.idempotency_key = in.bytes();
    if (!in.ok()) return malformed("truncated");
    if (!in.at_end()) return malformed("bytes after the end");
    return payload;
}

Result<std::string_view> key_delta_of_log_entry(std::string_view bytes) {
    BinaryReader in(bytes);
    const uint8_t version = in.u8();
    const std::string_view key_delta = in.bytes();
    if (!in.ok()) return malformed("truncated");
    if (version != log_entry_version) {
        return Error{"log entry: version " + std::to_string(version) + ", expected " +
                     std::to_string(log_entry_version)};
    }
    return key_delta;
}

}  // namespace meridian::wire
