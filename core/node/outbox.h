// What a shard has computed and may not give out yet, in the order in which it was computed. Plain data of one lane.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "node/node.h"

namespace meridian::node {

// What became of the log entries that an outcome depends on.
enum class Durability : uint8_t { durable, not_committed, unknown };

struct Held {
    uint64_t ticket = 0;                                // may go once the log is durable up to here
    std::shared_ptr<const std::string> namespace_name;  // of `frames`
    std::vector<DeltaFramePtr> frames;                  // for the room; dropped unless durable
    std::function<void(Durability)> done;               // after the frames; may be empty
};

class Outbox {
public:
    bool empty() const { return held_.empty(); }
    size_t size() const { return held_.size(); }
    // REQUIRES: frames have a ticket not below any held before. Reads may have a lower one: they wait for their turn.
    void push(Held held) { held_.push_back(std::move(held)); }
    bool ready(uint64_t durable) const { return !held_.empty() && held_.front().ticket <= durable; }
    Held pop() {
        Held held = std::move(held_.front());
        held_.pop_front();
        return held;
    }
    // Takes everything; the caller decides by ticket what becomes of each.
    std::deque<Held> take_all() { return std::exchange(held_, {}); }

private:
    std::deque<Held> held_;
};

}  // namespace meridian::node
