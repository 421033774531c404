// What clients have sent of messages and requests that are not complete: each connection counts its own, and the node
// has one budget for all of them.
//
// When the budget is spent, a connection that holds more than its share (the budget divided by the number of
// connections) must go: so many small ones are let be, a few large ones cannot shut out the rest, and all together
// never hold more than twice the budget and what was being read. Threads: InputBudget any; CountedInput that of its
// connection.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>

namespace meridian::server {

class InputBudget {
public:
    void change(size_t from_bytes, size_t to_bytes) {
        if (from_bytes != to_bytes) bytes_.fetch_add(to_bytes - from_bytes, std::memory_order_relaxed);
    }
    bool is_spent_by(size_t bytes, size_t bytes_max, size_t connections) const {
        return bytes > bytes_max / std::max<size_t>(connections, 1) &&
               bytes_.load(std::memory_order_relaxed) > bytes_max;
    }

private:
    std::atomic<size_t> bytes_{0};
};

// One connection's part of it; given back with the object.
class CountedInput {
public:
    explicit CountedInput(InputBudget& budget) : budget_(budget) {}
    ~CountedInput() { set(0); }
    CountedInput(const CountedInput&) = delete;
    CountedInput& operator=(const CountedInput&) = delete;
    void set(size_t bytes) {
        budget_.change(bytes_, bytes);
        bytes_ = bytes;
    }
    size_t bytes() const { return bytes_; }

private:
    InputBudget& budget_;
    size_t bytes_ = 0;
};

}  // namespace meridian::server
