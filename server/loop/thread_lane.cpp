#include "loop/thread_lane.h"

#include <chrono>

namespace meridian::server {

ThreadLane::ThreadLane(Clock& clock) : clock_(clock), thread_([this] { run(); }) {}

ThreadLane::~ThreadLane() {
    stop();
}

void ThreadLane::post(Task task) {
    {
        const std::lock_guard lock(mutex_);
        posted_.push_back(std::move(task));
    }
    changed_.notify_one();
}

void ThreadLane::post_after(uint64_t delay_us, Task task) {
    {
        const std::lock_guard lock(mutex_);
        timers_.add({clock_.monotonic_us() + delay_us, std::move(task)});
    }
    changed_.notify_one();
}

void ThreadLane::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_one();
    if (thread_.joinable()) thread_.join();
}

void ThreadLane::run() {
    std::vector<Task> tasks;
    std::unique_lock lock(mutex_);
    for (;;) {
        tasks.swap(posted_);
        timers_.take_due(clock_.monotonic_us(), tasks);
        if (!tasks.empty()) {
            lock.unlock();
            for (Task& task : tasks) task();
            tasks.clear();
            lock.lock();
            continue;
        }
        if (stopping_) return;
        if (const auto due_us = timers_.next_due_us()) {
            const uint64_t now_us = clock_.monotonic_us();
            changed_.wait_for(lock, std::chrono::microseconds(*due_us > now_us ? *due_us - now_us : 0));
        } else {
            changed_.wait(lock);
        }
    }
}

}  // namespace meridian::server
