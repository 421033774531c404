// The timers that a host gives a plug-in under test (meridian_host::timer): a thread, started by the first of them,
// that calls each when it is due, by real time.
//
// Threads: add() from any; stop() from one.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

namespace meridian::plugin_test {

class HostTimers {
public:
    // `begin` is called on the thread before everything else.
    explicit HostTimers(std::function<void()> begin = nullptr) : begin_(std::move(begin)) {}
    ~HostTimers() { stop(); }
    HostTimers(const HostTimers&) = delete;
    HostTimers& operator=(const HostTimers&) = delete;

    // Nothing is done once stop() was called.
    void add(uint64_t delay_us, void (*callback)(void*), void* cookie) {
        const std::lock_guard lock(mutex_);
        if (stopping_) return;
        timers_.emplace(Clock::now() + std::chrono::microseconds(delay_us), std::make_pair(callback, cookie));
        if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
        wake_.notify_all();
    }
    // No callback runs after this returns.
    void stop() {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
            wake_.notify_all();
        }
        if (thread_.joinable()) thread_.join();
    }

private:
    using Clock = std::chrono::steady_clock;

    void run() {
        if (begin_) begin_();
        std::unique_lock lock(mutex_);
        while (!stopping_) {
            if (timers_.empty()) {
                wake_.wait(lock);
                continue;
            }
            const auto first = timers_.begin();
            if (first->first > Clock::now()) {
                wake_.wait_until(lock, first->first);
                continue;
            }
            const auto [callback, cookie] = first->second;
            timers_.erase(first);
            lock.unlock();
            callback(cookie);
            lock.lock();
        }
    }

    const std::function<void()> begin_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::multimap<Clock::time_point, std::pair<void (*)(void*), void*>> timers_;  // guarded by mutex_
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace meridian::plugin_test
