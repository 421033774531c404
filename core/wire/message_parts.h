// What the codecs of client messages and of server messages share. Internal to wire: messages are enums in serde's
// external tagging, {"Name": {fields}} (client-api.md section 4).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/msgpack.h"
#include "wire/decoder.h"

namespace meridian::wire {

// Optional fields may be missing or nil.
inline bool read_optional_u64(Decoder& decoder, MsgpackNode node, std::optional<uint64_t>& out) {
    return read_nullable(node, out, [&](MsgpackNode n, uint64_t& value) { return read_integer(decoder, n, value); });
}

// The alternative T of a variant and its name on the wire.
template <typename T>
struct Alternative {
    std::string_view name;
};

// Reads {"Name": content} into the alternative of that name: `read(content, T&)` reads the content. `expected` says in
// an error what any of the alternatives is.
template <typename Variant, typename Read, typename... Ts>
bool read_alternatives(Decoder& decoder, MsgpackNode node, std::string_view expected, Variant& out, const Read& read,
                       const Alternative<Ts>&... alternatives) {
    const std::optional<VariantNode> variant = read_variant(decoder, node, expected);
    if (!variant) return false;
    bool ok = false;
    const auto try_one = [&]<typename T>(const Alternative<T>& alternative) {
        if (variant->name != alternative.name) return false;
        ok = read(variant->content, out.template emplace<T>());
        return true;
    };
    if (!(try_one(alternatives) || ...)) return fail_unknown_variant(decoder, variant->name, expected);
    return ok || decoder.within(variant->name);
}

// Writes a message's name and fields. Absent optional fields are left out, as serde leaves them out.
struct MessageWriter {
    MsgpackWriter& writer;

    void begin(std::string_view name, size_t field_count) const {
        writer.map(1);
        writer.string(name);
        writer.map(field_count);
    }
    void string(std::string_view name, std::string_view value) const {
        writer.string(name);
        writer.string(value);
    }
    void binary(std::string_view name, std::string_view value) const {
        writer.string(name);
        writer.binary(value);
    }
    void binary(std::string_view name, const std::optional<std::string>& value) const {
        if (value) binary(name, std::string_view(*value));
    }
    void number(std::string_view name, uint64_t value) const {
        writer.string(name);
        writer.unsigned_integer(value);
    }
    void number(std::string_view name, const std::optional<uint64_t>& value) const {
        if (value) number(name, *value);
    }
};

}  // namespace meridian::wire
