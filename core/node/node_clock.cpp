#include "node/node_clock.h"

#include <algorithm>

namespace meridian::node {

crdt::Hlc NodeClock::next_stamp(uint64_t wall_ms) {
    const uint64_t now = wall_ms << logical_bits;
    uint64_t last = last_.load(std::memory_order_relaxed);
    uint64_t next = 0;
    // A logical part that overflows carries into the wall part, which keeps the order.
    do {
        next = std::max(last + 1, now);
    } while (!last_.compare_exchange_weak(last, next, std::memory_order_acq_rel, std::memory_order_relaxed));
    return {next >> logical_bits, static_cast<uint16_t>(next & ((1U << logical_bits) - 1)), node_id_};
}

}  // namespace meridian::node
