// Tasks that are due at a time; equal times run in the order in which they were added. Not thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/environment.h"

namespace meridian::server {

class TimerQueue {
public:
    struct Timer {
        uint64_t due_us = 0;
        Task task;
    };

    void add(Timer timer) {
        heap_.push_back({timer.due_us, next_number_++, std::move(timer.task)});
        std::push_heap(heap_.begin(), heap_.end(), later);
    }
    std::optional<uint64_t> next_due_us() const {
        if (heap_.empty()) return std::nullopt;
        return heap_.front().due_us;
    }
    // Moves what is due into `tasks`, in order.
    void take_due(uint64_t now_us, std::vector<Task>& tasks) {
        while (!heap_.empty() && heap_.front().due_us <= now_us) {
            std::pop_heap(heap_.begin(), heap_.end(), later);
            tasks.push_back(std::move(heap_.back().task));
            heap_.pop_back();
        }
        // Thousands of connections that open within a second set a timer each; their memory is not for ever.
        if (heap_.capacity() > capacity_kept && heap_.size() < heap_.capacity() / 4) heap_.shrink_to_fit();
    }

private:
    static constexpr size_t capacity_kept = 256;

    struct Item {
        uint64_t due_us;
        uint64_t number;
        Task task;
    };
    static bool later(const Item& left, const Item& right) {
        return left.due_us != right.due_us ? left.due_us > right.due_us : left.number > right.number;
    }

    std::vector<Item> heap_;
    uint64_t next_number_ = 0;
};

}  // namespace meridian::server
