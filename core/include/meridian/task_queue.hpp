// A bounded queue of tasks with threads of its own, because a submit of a plug-in may neither block nor do I/O, and
// completions may not come inside it. Header only; optional.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "meridian/plugin.hpp"

namespace meridian::abi {

// A bounded queue of tasks and the threads that run them, begun in order of submission; with one thread, one after the
// other.
//
// Threads: any may submit; start() and stop() are for one.
class TaskQueue {
public:
    // `cancelled`: the deadline of stop() has passed; the task reports MERIDIAN_CANCELLED, unless it is a commit. Tasks
    // let no exception out.
    using Task = std::function<void(bool cancelled)>;

    explicit TaskQueue(size_t tasks_max) : tasks_max_(tasks_max) {}
    ~TaskQueue() {
        stop([] { return true; });
    }
    TaskQueue(const TaskQueue&) = delete;
    TaskQueue& operator=(const TaskQueue&) = delete;

    void start(size_t thread_count) {
        for (size_t i = 0; i < thread_count; ++i) {
            threads_.emplace_back([this] { run(); });
        }
    }
    // MERIDIAN_OK: the task will run. MERIDIAN_BUSY, MERIDIAN_CANCELLED: it will not.
    meridian_status submit(Task task) {
        const std::lock_guard lock(mutex_);
        if (stopping_) return MERIDIAN_CANCELLED;
        if (tasks_.size() >= tasks_max_) return MERIDIAN_BUSY;
        tasks_.push_back(std::move(task));
        wake_.notify_one();
        return MERIDIAN_OK;
    }
    // Runs what is queued, as cancelled once `late` answers true, and joins the threads.
    void stop(std::function<bool()> late) {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
            late_ = std::move(late);
            wake_.notify_all();
        }
        for (std::thread& thread : threads_) thread.join();
        threads_.clear();
    }
    // The same with a deadline on the host's monotonic clock, as the plug-in's own stop() is given it.
    void stop(Host host, uint64_t deadline_us) {
        stop([host, deadline_us] { return host.monotonic_us() >= deadline_us; });
    }

private:
    void run() {
        std::unique_lock lock(mutex_);
        for (;;) {
            wake_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
            if (tasks_.empty()) return;
            const Task task = std::move(tasks_.front());
            tasks_.pop_front();
            const bool cancelled = stopping_ && late_();
            lock.unlock();
            task(cancelled);
            lock.lock();
        }
    }

    const size_t tasks_max_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Task> tasks_;  // guarded by mutex_, like the next two
    std::function<bool()> late_;
    bool stopping_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace meridian::abi
