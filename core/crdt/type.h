// The registry of types: codes, names, prefixes (crdts.md section 3.1). Codes are persisted and part of the join rule
// (the lower code wins a conflict of types): never renumber.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace meridian::crdt {

enum class Type : uint8_t {
    gcounter = 1,
    pncounter = 2,
    orset = 3,
    lww_register = 4,
    presence = 5,
    crdt_map = 6,
    rga = 7,
    tree = 8,
};
inline constexpr unsigned type_code_max = 8;

std::string_view variant_name(Type type);  // "GCounter" ... "RGA", "Tree": tag of ops, values, inner deltas
std::string_view field_name(Type type);    // as variant_name but "Rga": `crdt_type` of a CRDTMap op, error texts
std::string_view query_name(Type type);    // "gcounter" ... "lwwregister", "rga"
std::optional<Type> type_from_variant_name(std::string_view name);
std::optional<Type> type_from_field_name(std::string_view name);
std::optional<Type> type_from_query_name(std::string_view name);
std::optional<Type> type_from_code(uint64_t code);
// Guess from an id prefix such as "gc:"; used by queries only, never to choose the type of stored data.
std::optional<Type> type_from_prefix(std::string_view key);

}  // namespace meridian::crdt
