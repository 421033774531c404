#include "wire/key_codec.h"

#include "wire/binary_parts.h"
#include "wire/crdt_map_codec.h"
#include "wire/type_codecs.h"

namespace meridian::wire {

template <>
struct Codec<crdt::CrdtMap> {
    static Result<crdt::CrdtMap::Delta> decode_delta(BinaryReader& in) { return decode_crdt_map_delta(in); }
    static void encode_state(BinaryWriter& out, const crdt::CrdtMap& value) { encode_crdt_map_state(out, value); }
    static Result<crdt::CrdtMap> decode_state(BinaryReader& in) { return decode_crdt_map_state(in); }
};

namespace {

void encode_delta(BinaryWriter& out, const crdt::CrdtMap::Delta& delta) {
    encode_crdt_map_delta(out, delta);
}

struct Head {
    uint64_t generation = 0;
    crdt::Expiry expiry;
    size_t type_index = 0;
};

void encode_head(BinaryWriter& out, uint8_t version, const Head& head) {
    out.u8(version);
    out.varint(head.generation);
    out.varint(head.expiry.deadline_ms);
    encode_entry_stamp(out, head.expiry.set_by);
    out.u8(static_cast<uint8_t>(head.type_index + 1));
}

Result<Head> decode_head(BinaryReader& in, uint8_t version) {
    const uint8_t found = in.u8();
    if (in.ok() && found != version) {
        return Error{"version " + std::to_string(found) + ", expected " + std::to_string(version)};
    }
    Head head;
    head.generation = in.varint();
    head.expiry.deadline_ms = in.varint();
    head.expiry.set_by = decode_entry_stamp(in);
    const uint8_t code = in.u8();
    if (!in.ok()) return truncated("head");
    if (head.generation == 0) return malformed("head", "a generation above 0");
    if (!crdt::type_from_code(code)) return malformed("head", "a type code of 1 to 8");
    head.type_index = code - 1U;
    return head;
}

// Calls decode with the decoder of the type that has this index, and gives what it returns: Result<Out>.
template <class Out, template <class> class Decode, class... Types>
Result<Out> decode_by_index(size_t index, BinaryReader& in, const std::variant<Types...>*) {
    using Function = Result<Out> (*)(BinaryReader&);
    static constexpr Function decoders[] = {Decode<Types>::run...};
    return decoders[index](in);
}

template <class T>
struct DecodeDelta {
    static Result<crdt::Delta> run(BinaryReader& in) {
        auto delta = Codec<T>::decode_delta(in);
        if (!delta) return delta.error();
        return crdt::Delta(std::move(delta).value());
    }
};

template <class T>
struct DecodeState {
    static Result<crdt::Value> run(BinaryReader& in) {
        auto value = Codec<T>::decode_state(in);
        if (!value) return value.error();
        return crdt::Value(std::move(value).value());
    }
};

constexpr const crdt::Value* all_types = nullptr;

Error within(const char* what, const Error& error) {
    return Error{std::string(what) + ": " + error.message};
}

}  // namespace

void encode_key_delta(BinaryWriter& out, const crdt::KeyDelta& delta) {
    encode_head(out, core_delta_version, {delta.generation, delta.expiry, delta.delta.index()});
    std::visit([&](const auto& content) { encode_delta(out, content); }, delta.delta);
}

std::string encode_key_delta(const crdt::KeyDelta& delta) {
    BinaryWriter out;
    encode_key_delta(out, delta);
    return out.take();
}

Result<crdt::KeyDelta> decode_key_delta(std::string_view bytes) {
    constexpr const char* what = "core delta";
    BinaryReader in(bytes);
    const auto head = decode_head(in, core_delta_version);
    if (!head) return within(what, head.error());
    auto content = decode_by_index<crdt::Delta, DecodeDelta>(head->type_index, in, all_types);
    if (!content) return within(what, content.error());
    if (!in.at_end()) return within(what, Error{std::to_string(in.remaining()) + " bytes after the end"});
    return crdt::KeyDelta{head->generation, head->expiry, std::move(content).value()};
}

std::string encode_snapshot(const crdt::Key& key) {
    BinaryWriter out;
    encode_head(out, snapshot_version, {key.generation(), key.expiry(), key.value().index()});
    std::visit([&](const auto& value) { Codec<std::decay_t<decltype(value)>>::encode_state(out, value); }, key.value());
    return out.take();
}

Result<crdt::Key> decode_snapshot(std::string_view bytes) {
    constexpr const char* what = "snapshot";
    BinaryReader in(bytes);
    const auto head = decode_head(in, snapshot_version);
    if (!head) return within(what, head.error());
    auto value = decode_by_index<crdt::Value, DecodeState>(head->type_index, in, all_types);
    if (!value) return within(what, value.error());
    if (!in.at_end()) return within(what, Error{std::to_string(in.remaining()) + " bytes after the end"});
    return crdt::Key::restore(head->generation, head->expiry, std::move(value).value());
}

}  // namespace meridian::wire
