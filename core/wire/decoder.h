// Type-directed decoding of MessagePack (crdts.md section 2.2): the rules for scalars, byte strings, structs and enums
// that every wire decoder shares. A reader has the form `bool read_x(Decoder&, MsgpackNode, X& out)`; false means that
// the decoder has recorded what is wrong. Fields name themselves on the way out, so the error carries the whole path.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "base/msgpack.h"
#include "base/result.h"

namespace meridian::wire {

class Decoder {
public:
    // Both record the error and return false.
    bool fail(MsgpackNode found, std::string_view expected);
    bool fail(std::string problem);
    // Puts `name` in front of the path of the recorded error; returns false.
    bool within(std::string_view name);

    // REQUIRES: a reader returned false. "field a.b: found the float 1.5, expected an unsigned 64-bit integer".
    Error error() const;

private:
    std::string path_;
    std::string problem_;
};

// An integral float64 in [0, 2^64) is accepted for an unsigned integer: JavaScript writes integers from 2^53 on so
// (crdts.md rule A3). `from_float` tells; it may be null.
bool read_unsigned(Decoder& decoder, MsgpackNode node, uint64_t value_max, uint64_t& out, bool* from_float = nullptr);

template <class Unsigned>
bool read_integer(Decoder& decoder, MsgpackNode node, Unsigned& out) {
    uint64_t value = 0;
    if (!read_unsigned(decoder, node, std::numeric_limits<Unsigned>::max(), value)) return false;
    out = static_cast<Unsigned>(value);
    return true;
}

// A string that is valid UTF-8. The view borrows from the input.
bool read_string(Decoder& decoder, MsgpackNode node, std::string_view& out);
bool read_string(Decoder& decoder, MsgpackNode node, std::string& out);
// A byte string: bin, str, or an array of integers below 256.
bool read_bytes(Decoder& decoder, MsgpackNode node, std::string& out);
// A map key that is an unsigned integer or its decimal text.
bool read_integer_key(Decoder& decoder, MsgpackNode node, uint64_t& out);

// An enum: a map of exactly one entry, variant name -> content. `expected` says what enum, e.g. "a tree op".
struct VariantNode {
    std::string_view name;
    MsgpackNode content;
};
std::optional<VariantNode> read_variant(Decoder& decoder, MsgpackNode node, std::string_view expected);
// Records that the variant's name is none of those known. Returns false.
bool fail_unknown_variant(Decoder& decoder, std::string_view name, std::string_view expected);

// Makes any reader accept nil as "absent".
template <class T, class Read>
bool read_nullable(MsgpackNode node, std::optional<T>& out, Read read) {
    if (node.is_nil()) {
        out.reset();
        return true;
    }
    return read(node, out.emplace());
}

template <class Read>
struct Field {
    std::string_view name;
    bool required;
    Read read;  // bool(MsgpackNode)
};
template <class Read>
Field<Read> required_field(std::string_view name, Read read) {
    return {name, true, read};
}
// May be missing; whether it may be nil is up to `read`.
template <class Read>
Field<Read> optional_field(std::string_view name, Read read) {
    return {name, false, read};
}

namespace detail {

// Not inlined into every struct's reader.
bool fail_not_struct(Decoder& decoder, MsgpackNode found);
bool fail_too_many_elements(Decoder& decoder, MsgpackNode found, size_t expected_max);
bool fail_key_not_string(Decoder& decoder, MsgpackNode found);
bool fail_duplicate(Decoder& decoder, std::string_view name);
bool fail_missing(Decoder& decoder, std::string_view name);

template <class Read>
bool read_field(Decoder& decoder, MsgpackNode node, const Field<Read>& field) {
    return field.read(node) || decoder.within(field.name);
}

}  // namespace detail

// A struct: a map with the fields in any order, unknown ones skipped, none twice; or an array in the order given, from
// which trailing optional fields may be missing.
template <class... Reads>
bool read_struct(Decoder& decoder, MsgpackNode node, const Field<Reads>&... fields) {
    constexpr size_t field_count = sizeof...(Reads);
    static_assert(field_count < 32);
    uint32_t seen = 0;
    if (node.kind() == MsgpackKind::map) {
        if (node.size() == 0) return ((!fields.required || detail::fail_missing(decoder, fields.name)) && ...);
        MsgpackNode entry = node.first();
        for (uint32_t i = 0; i < node.size(); ++i) {
            if (entry.kind() != MsgpackKind::string) return detail::fail_key_not_string(decoder, entry);
            const std::string_view name = entry.bytes();
            const MsgpackNode content = entry.next();
            uint32_t bit = 1;
            bool ok = true;
            const auto try_field = [&](const auto& field) {
                const bool match = field.name == name;
                if (match) {
                    ok = (seen & bit) == 0 ? detail::read_field(decoder, content, field)
                                           : detail::fail_duplicate(decoder, name);
                    seen |= bit;
                }
                bit <<= 1;
                return match;
            };
            (try_field(fields) || ...);
            if (!ok) return false;
            if (i + 1 < node.size()) entry = content.next();
        }
    } else if (node.kind() == MsgpackKind::array) {
        if (node.size() > field_count) return detail::fail_too_many_elements(decoder, node, field_count);
        MsgpackNode element = node.following();
        uint32_t index = 0;
        bool ok = true;
        const auto next_field = [&](const auto& field) {
            if (index == node.size()) return false;
            seen |= 1U << index;
            ok = detail::read_field(decoder, element, field);
            if (ok && ++index < node.size()) element = element.next();
            return ok;
        };
        (next_field(fields) && ...);
        if (!ok) return false;
    } else {
        return detail::fail_not_struct(decoder, node);
    }
    uint32_t bit = 1;
    const auto present = [&](const auto& field) {
        const bool ok = !field.required || (seen & bit) != 0 || detail::fail_missing(decoder, field.name);
        bit <<= 1;
        return ok;
    };
    return (present(fields) && ...);
}

// Calls `read` for every element of an array.
template <class Read>
bool read_array(Decoder& decoder, MsgpackNode node, Read read) {
    if (node.kind() != MsgpackKind::array) return decoder.fail(node, "an array");
    MsgpackNode element = node.following();
    for (uint32_t i = 0; i < node.size(); ++i) {
        if (i > 0) element = element.next();
        if (!read(element)) return decoder.within(std::to_string(i));
    }
    return true;
}

// Calls `read(key, value)` for every entry of a map.
template <class Read>
bool read_map(Decoder& decoder, MsgpackNode node, Read read) {
    if (node.kind() != MsgpackKind::map) return decoder.fail(node, "a map");
    MsgpackNode key = node.following();
    for (uint32_t i = 0; i < node.size(); ++i) {
        if (i > 0) key = key.next().next();
        if (!read(key, key.next())) return false;
    }
    return true;
}

// Parses the bytes, then reads the root.
template <class T, class Read>
Result<T> decode_root(std::string_view bytes, Read read) {
    const Result<MsgpackTape> tape = MsgpackTape::parse(bytes);
    if (!tape) return tape.error();
    Decoder decoder;
    T out{};
    if (!read(decoder, tape->root(), out)) return decoder.error();
    return out;
}

}  // namespace meridian::wire
