// The node's hybrid logical clock: every stamp that the server makes comes from here. Lock-free; any thread.
//
// No stamp repeats or goes back, over restarts and backward jumps of the wall clock too: the committer writes a ceiling
// into the log with the group that contains the first stamp above the previous ceiling, and the clock starts at the
// ceiling it finds. Nothing leaves the node before its group is durable, so no stamp above a durable ceiling has ever
// been seen outside.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/environment.h"
#include "crdt/hlc.h"

namespace meridian::node {

class NodeClock final : public crdt::StampSource {
public:
    NodeClock(const Clock& clock, uint64_t node_id) : clock_(clock), node_id_(node_id) {}

    // REQUIRES: called before the first stamp.
    void start_at(uint64_t wall_ms) { last_.store(wall_ms << logical_bits, std::memory_order_relaxed); }

    crdt::Hlc next_stamp() override { return next_stamp(clock_.wall_ms()); }
    // The same for a wall clock that was read just now.
    crdt::Hlc next_stamp(uint64_t wall_ms);
    // The wall part of the newest stamp given out.
    uint64_t newest_wall_ms() const { return last_.load(std::memory_order_acquire) >> logical_bits; }

private:
    static constexpr unsigned logical_bits = 16;  // 48 bits of milliseconds last until the year 10889
    const Clock& clock_;
    const uint64_t node_id_;
    std::atomic<uint64_t> last_{0};
};

}  // namespace meridian::node
