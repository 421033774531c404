#include "wire/lww_register_codec.h"

#include "wire/binary_parts.h"

namespace meridian::wire {

namespace {

enum : uint8_t { no_entry = 0, plain_entry = 1, restamped_entry = 2 };

}  // namespace

void encode_lww_register_delta(BinaryWriter& out, const crdt::LwwRegister::Delta& delta) {
    if (!delta.entry) return out.u8(no_entry);
    const auto& [entry, original] = *delta.entry;
    out.u8(original ? restamped_entry : plain_entry);
    encode_binary_hlc(out, entry.hlc);
    out.varint(entry.author);
    encode_binary_json(out, entry.value);
    if (original) encode_binary_hlc(out, *original);
}

Result<crdt::LwwRegister::Delta> decode_lww_register_delta(BinaryReader& in) {
    const uint8_t kind = in.u8();
    if (!in.ok()) return truncated("register");
    if (kind > restamped_entry) return malformed("register", "a kind of 0 to 2");
    crdt::LwwRegister::Delta delta;
    if (kind == no_entry) return delta;
    auto& entry = delta.entry.emplace();
    entry.entry.hlc = decode_binary_hlc(in);
    entry.entry.author = in.varint();
    entry.entry.value = decode_binary_json(in);
    if (kind == restamped_entry) entry.original = decode_binary_hlc(in);
    if (!in.ok()) return truncated("register");
    return delta;
}

}  // namespace meridian::wire
