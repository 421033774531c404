// Arithmetic that stops at the greatest value instead of wrapping.
#pragma once

#include <cstdint>

namespace meridian::crdt {

constexpr uint64_t saturating_add(uint64_t left, uint64_t right) {
    const uint64_t sum = left + right;
    return sum < left ? UINT64_MAX : sum;
}

}  // namespace meridian::crdt
