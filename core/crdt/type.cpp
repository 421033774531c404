#include "crdt/type.h"

#include <array>

namespace meridian::crdt {

namespace {

struct Names {
    std::string_view variant;
    std::string_view field;
    std::string_view query;
    std::string_view prefix;
};

// Index: type code - 1.
constexpr std::array<Names, type_code_max> names{{
    {"GCounter", "GCounter", "gcounter", "gc:"},
    {"PNCounter", "PNCounter", "pncounter", "pn:"},
    {"ORSet", "ORSet", "orset", "or:"},
    {"LwwRegister", "LwwRegister", "lwwregister", "lw:"},
    {"Presence", "Presence", "presence", "pr:"},
    {"CRDTMap", "CRDTMap", "crdtmap", "cm:"},
    {"RGA", "Rga", "rga", "rga:"},
    {"Tree", "Tree", "tree", "tree:"},
}};

const Names& names_of(Type type) {
    return names[static_cast<size_t>(type) - 1];
}

template <class Matches>
std::optional<Type> find(Matches matches) {
    for (size_t i = 0; i < names.size(); ++i) {
        if (matches(names[i])) return static_cast<Type>(i + 1);
    }
    return std::nullopt;
}

}  // namespace

std::string_view variant_name(Type type) {
    return names_of(type).variant;
}
std::string_view field_name(Type type) {
    return names_of(type).field;
}
std::string_view query_name(Type type) {
    return names_of(type).query;
}

std::optional<Type> type_from_variant_name(std::string_view name) {
    return find([name](const Names& n) { return n.variant == name; });
}

std::optional<Type> type_from_field_name(std::string_view name) {
    return find([name](const Names& n) { return n.field == name; });
}

std::optional<Type> type_from_query_name(std::string_view name) {
    return find([name](const Names& n) { return n.query == name; });
}

std::optional<Type> type_from_code(uint64_t code) {
    if (code < 1 || code > type_code_max) return std::nullopt;
    return static_cast<Type>(code);
}

std::optional<Type> type_from_prefix(std::string_view key) {
    return find([key](const Names& n) { return key.substr(0, n.prefix.size()) == n.prefix; });
}

}  // namespace meridian::crdt
