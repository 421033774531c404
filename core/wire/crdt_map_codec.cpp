#include "wire/crdt_map_codec.h"

#include "base/utf8.h"
#include "wire/binary_parts.h"
#include "wire/type_codecs.h"

namespace meridian::wire {

namespace {

constexpr const char* map_part = "map entries";
constexpr size_t entry_bytes_min = 3;  // an empty key, a type, an empty register

// Reads entries: key, type code, and what `decode_content` makes of the rest.
template <class DecodeContent>
Result<void> decode_entries(BinaryReader& in, DecodeContent decode_content) {
    const size_t count = in.count(entry_bytes_min);
    std::string previous;
    for (size_t i = 0; i < count && in.ok(); ++i) {
        std::string key(in.bytes());
        const uint8_t code = in.u8();
        if (!in.ok()) break;
        if (i != 0 && key <= previous) return malformed(map_part, "ascending keys");
        if (!is_valid_utf8(key)) return malformed(map_part, "keys in UTF-8");
        const auto type = crdt::type_from_code(code);
        if (!type || *type == crdt::Type::crdt_map) return malformed(map_part, "type codes of inner types");
        if (auto decoded = decode_content(key, *type); !decoded) return Error{"map entry: " + decoded.error().message};
        previous = std::move(key);
    }
    if (!in.ok()) return truncated(map_part);
    return {};
}

}  // namespace

void encode_crdt_map_delta(BinaryWriter& out, const crdt::CrdtMap::Delta& delta) {
    out.varint(delta.entries.size());
    for (const auto& [key, inner] : delta.entries) {
        out.bytes(key);
        out.u8(static_cast<uint8_t>(crdt::type_of(inner)));
        std::visit([&](const auto& content) { encode_delta(out, content); }, inner);
    }
}

Result<crdt::CrdtMap::Delta> decode_crdt_map_delta(BinaryReader& in) {
    crdt::CrdtMap::Delta delta;
    auto decoded = decode_entries(in, [&](const std::string& key, crdt::Type type) -> Result<void> {
        return std::visit(
            [&](const auto& empty) -> Result<void> {
                auto content = Codec<std::decay_t<decltype(empty)>>::decode_delta(in);
                if (!content) return content.error();
                delta.entries.emplace_back(key, std::move(content).value());
                return {};
            },
            crdt::make_inner_value(type));
    });
    if (!decoded) return decoded.error();
    return delta;
}

void encode_crdt_map_state(BinaryWriter& out, const crdt::CrdtMap& map) {
    out.varint(map.entries().size());
    for (const auto& [key, inner] : map.entries()) {
        out.bytes(key);
        out.u8(static_cast<uint8_t>(crdt::type_of(inner)));
        std::visit([&](const auto& value) { Codec<std::decay_t<decltype(value)>>::encode_state(out, value); }, inner);
    }
}

Result<crdt::CrdtMap> decode_crdt_map_state(BinaryReader& in) {
    crdt::CrdtMap::Entries entries;
    auto decoded = decode_entries(in, [&](const std::string& key, crdt::Type type) -> Result<void> {
        return std::visit(
            [&](const auto& empty) -> Result<void> {
                auto content = Codec<std::decay_t<decltype(empty)>>::decode_state(in);
                if (!content) return content.error();
                entries.emplace_hint(entries.end(), key, std::move(content).value());
                return {};
            },
            crdt::make_inner_value(type));
    });
    if (!decoded) return decoded.error();
    return crdt::CrdtMap::restore(std::move(entries));
}

}  // namespace meridian::wire
