// What a node holds of each origin (Parker et al., "Detection of Mutual Inconsistency in Distributed Systems", 1983).
// An origin is one incarnation of one node; it numbers its entries 1, 2, 3 ..., and the vector has, for each, the
// largest n such that 1..n are held. Plain values.
#pragma once

#include <compare>
#include <cstdint>
#include <map>

namespace meridian::node {

struct Origin {
    uint64_t node_id = 0;
    uint64_t incarnation = 0;
    friend auto operator<=>(const Origin&, const Origin&) = default;
};

using VersionVector = std::map<Origin, uint64_t>;  // no zeros

inline uint64_t held(const VersionVector& vector, const Origin& origin) {
    const auto found = vector.find(origin);
    return found == vector.end() ? 0 : found->second;
}

// The greater of both for each origin.
inline void merge_into(VersionVector& vector, const VersionVector& other) {
    for (const auto& [origin, sequence] : other) {
        uint64_t& mine = vector[origin];
        if (mine < sequence) mine = sequence;
    }
}

// True if `vector` holds all that `other` holds.
inline bool covers(const VersionVector& vector, const VersionVector& other) {
    for (const auto& [origin, sequence] : other) {
        if (held(vector, origin) < sequence) return false;
    }
    return true;
}

}  // namespace meridian::node
