// What a shard has computed and may not give out yet, in the order in which it was computed. Plain data of one lane.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "node/node.h"

namespace meridian::node {

// What became of the log entries that an outcome depends on.
enum class Durability : uint8_t { durable, not_committed, unknown };

struct Held {
    uint64_t ticket = 0;                   // may go once the log is durable up to here
    std::shared_ptr<const KeyName> name;   // of a key in the namespace whose room is given `frames`
    std::vector<DeltaFramePtr> frames;     // dropped unless durable; none: the deltas of `outcome`
    std::function<void(Durability)> done;  // after the frames; may be empty
    // Of a write, instead of `done`: who is told `outcome`, unless the entries did not become durable.
    std::function<void(WriteOutcome)> written;
    WriteOutcome outcome;
};

class Outbox {
public:
    bool empty() const { return head_ == held_.size(); }
    size_t size() const { return held_.size() - head_; }
    // REQUIRES: frames have a ticket not below any held before. Reads may have a lower one: they wait for their turn.
    void push(Held&& held) { held_.push_back(std::move(held)); }
    bool ready(uint64_t durable) const { return !empty() && held_[head_].ticket <= durable; }
    Held pop() {
        Held held = std::move(held_[head_++]);
        if (empty()) {
            clear();
        } else if (head_ >= gone_max && head_ >= held_.size() / 2) {
            forget_gone();
        }
        return held;
    }
    // Takes everything; the caller decides by ticket what becomes of each.
    std::vector<Held> take_all() {
        forget_gone();
        return std::exchange(held_, {});
    }

private:
    static constexpr size_t gone_max = 256;
    static constexpr size_t capacity_kept = 4096;

    void clear() {
        held_.clear();
        if (held_.capacity() > capacity_kept) held_.shrink_to_fit();
        head_ = 0;
    }
    void forget_gone() {
        held_.erase(held_.begin(), held_.begin() + static_cast<ptrdiff_t>(head_));
        head_ = 0;
    }

    std::vector<Held> held_;  // a queue: those before head_ are gone
    size_t head_ = 0;
};

}  // namespace meridian::node
