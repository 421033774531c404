// What other threads want done on the loop's thread, in order. Thread-safe.
#pragma once

#include <cstddef>
#include <functional>
#include <mutex>
#include <vector>

#include "meridian/plugin.h"
#include "poller.h"

namespace meridian::transport_http {

class Mailbox {
public:
    using Task = std::function<void()>;

    Mailbox(Poller& poller, size_t messages_max, size_t bytes_max)
        : poller_(poller), messages_max_(messages_max), bytes_max_(bytes_max) {}

    // For the host's messages: MERIDIAN_BUSY above the limits, MERIDIAN_CANCELLED once closed.
    meridian_status submit(size_t bytes, Task task) {
        const std::lock_guard lock(mutex_);
        if (closed_) return MERIDIAN_CANCELLED;
        if (messages_ != 0 && (messages_ >= messages_max_ || bytes_ + bytes > bytes_max_)) {
            refused_ = true;
            return MERIDIAN_BUSY;
        }
        ++messages_;
        bytes_ += bytes;
        put(std::move(task));
        return MERIDIAN_OK;
    }
    // For what cannot be refused, and is bounded by something else. Dropped once the thread is gone.
    void post(Task task) {
        const std::lock_guard lock(mutex_);
        put(std::move(task));
    }
    void close() {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        poller_.wake();
    }
    // [loop] True if a submit was refused since the last time: there is room again.
    bool take(std::vector<Task>& out) {
        const std::lock_guard lock(mutex_);
        out.swap(tasks_);
        messages_ = 0;
        bytes_ = 0;
        return std::exchange(refused_, false);
    }
    bool is_closed() {
        const std::lock_guard lock(mutex_);
        return closed_;
    }

private:
    void put(Task task) {
        tasks_.push_back(std::move(task));
        if (tasks_.size() == 1) poller_.wake();
    }

    Poller& poller_;
    const size_t messages_max_;
    const size_t bytes_max_;
    std::mutex mutex_;
    std::vector<Task> tasks_;
    size_t messages_ = 0;
    size_t bytes_ = 0;
    bool refused_ = false;
    bool closed_ = false;
};

}  // namespace meridian::transport_http
