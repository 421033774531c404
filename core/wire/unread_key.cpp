#include "wire/unread_key.h"

#include "base/binary.h"

namespace meridian::wire {

bool is_unread_key(std::string_view snapshot) {
    return !snapshot.empty() && static_cast<uint8_t>(snapshot.front()) == unread_key_version;
}

std::string encode_unread_key(const UnreadKey& key) {
    BinaryWriter out;
    out.u8(unread_key_version);
    out.u8(key.snapshot ? 1 : 0);
    if (key.snapshot) out.bytes(*key.snapshot);
    out.varint(key.entries.size());
    for (const std::string& entry : key.entries) out.bytes(entry);
    return out.take();
}

Result<UnreadKey> decode_unread_key(std::string_view bytes) {
    BinaryReader in(bytes);
    const uint8_t version = in.u8();
    const uint8_t has_snapshot = in.u8();
    if (!in.ok() || version != unread_key_version || has_snapshot > 1)
        return Error{"unread key: its first bytes are not those of one"};
    UnreadKey key;
    if (has_snapshot == 1) key.snapshot = std::string(in.bytes());
    const size_t count = in.count(1);
    key.entries.reserve(count);
    for (size_t i = 0; i < count && in.ok(); ++i) key.entries.emplace_back(in.bytes());
    if (!in.ok()) return Error{"unread key: it ends too early"};
    if (!in.at_end()) return Error{"unread key: " + std::to_string(in.remaining()) + " bytes after the end"};
    return key;
}

}  // namespace meridian::wire
