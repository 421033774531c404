// One name for the codecs of all types, for code that is generic over types: encode_delta() by the type of the delta,
// and Codec<T>::decode_delta, encode_state, decode_state by the type of the value. The state of a type that has no
// encoding of its own for it is its full delta. (The map's is in crdt_map_codec.h: it is built on these.)
#pragma once

#include "wire/counter_codec.h"
#include "wire/lww_register_codec.h"
#include "wire/orset_codec.h"
#include "wire/presence_codec.h"
#include "wire/rga_codec.h"
#include "wire/tree_codec.h"

namespace meridian::wire {

inline void encode_delta(BinaryWriter& out, const crdt::GCounter::Delta& delta) {
    encode_gcounter_delta(out, delta);
}
inline void encode_delta(BinaryWriter& out, const crdt::PnCounter::Delta& delta) {
    encode_pncounter_delta(out, delta);
}
inline void encode_delta(BinaryWriter& out, const crdt::OrSet::Delta& delta) {
    encode_orset_delta(out, delta);
}
inline void encode_delta(BinaryWriter& out, const crdt::LwwRegister::Delta& delta) {
    encode_lww_register_delta(out, delta);
}
inline void encode_delta(BinaryWriter& out, const crdt::Presence::Delta& delta) {
    encode_presence_delta(out, delta);
}
inline void encode_delta(BinaryWriter& out, const crdt::Rga::Delta& delta) {
    encode_rga_delta(out, delta);
}
inline void encode_delta(BinaryWriter& out, const crdt::Tree::Delta& delta) {
    encode_tree_delta(out, delta);
}

template <class T>
struct Codec;

// T is rebuilt from its full delta.
template <class T, void (*encode)(BinaryWriter&, const typename T::Delta&),
          Result<typename T::Delta> (*decode)(BinaryReader&)>
struct DeltaCodec {
    static Result<typename T::Delta> decode_delta(BinaryReader& in) { return decode(in); }
    static void encode_state(BinaryWriter& out, const T& value) { encode(out, value.full_delta()); }
    static Result<T> decode_state(BinaryReader& in) {
        auto delta = decode(in);
        if (!delta) return delta.error();
        return T::from_delta(*delta);
    }
};

template <>
struct Codec<crdt::GCounter> : DeltaCodec<crdt::GCounter, encode_gcounter_delta, decode_gcounter_delta> {};
template <>
struct Codec<crdt::PnCounter> : DeltaCodec<crdt::PnCounter, encode_pncounter_delta, decode_pncounter_delta> {};
template <>
struct Codec<crdt::OrSet> : DeltaCodec<crdt::OrSet, encode_orset_delta, decode_orset_delta> {};
template <>
struct Codec<crdt::LwwRegister> : DeltaCodec<crdt::LwwRegister, encode_lww_register_delta, decode_lww_register_delta> {
};
template <>
struct Codec<crdt::Presence> : DeltaCodec<crdt::Presence, encode_presence_delta, decode_presence_delta> {};

template <>
struct Codec<crdt::Rga> {
    static Result<crdt::Rga::Delta> decode_delta(BinaryReader& in) { return decode_rga_delta(in); }
    static void encode_state(BinaryWriter& out, const crdt::Rga& value) { encode_rga_state(out, value); }
    static Result<crdt::Rga> decode_state(BinaryReader& in) { return decode_rga_state(in); }
};

template <>
struct Codec<crdt::Tree> {
    static Result<crdt::Tree::Delta> decode_delta(BinaryReader& in) { return decode_tree_delta(in); }
    static void encode_state(BinaryWriter& out, const crdt::Tree& value) { encode_tree_state(out, value); }
    static Result<crdt::Tree> decode_state(BinaryReader& in) { return decode_tree_state(in); }
};

}  // namespace meridian::wire
