// What the benchmarks of a store share: store-kv opened through the loader, writers that wait for durability, and the
// committer between them: one group in flight, the next made of all that came meanwhile, as core/node has it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "node/store.h"

namespace meridian::bench {

using Time = std::chrono::steady_clock;

double seconds_since(Time::time_point start);

[[noreturn]] void die(const std::string& what);

// The store-kv of this build on `directory`. What it logs is printed.
std::unique_ptr<node::Store> open_store(const std::string& directory);

// A new directory below `parent`; dies if it cannot be made.
std::string make_directory(const std::string& parent);

// One waiting thread.
class Waiter {
public:
    void finish() {
        const std::lock_guard lock(mutex_);
        done_ = true;
        wake_.notify_one();
    }
    void wait() {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [this] { return done_; });
        done_ = false;
    }

private:
    std::mutex mutex_;
    std::condition_variable wake_;
    bool done_ = false;
};

// `threads` threads, each of which begins a durable write by `submit` and waits until it is finished, over and over.
// Gives the seconds that every write took, in no order.
std::vector<float> run_writers(int threads, double seconds,
                               const std::function<void(int writer, Waiter& waiter)>& submit);

class GroupCommitter {
public:
    // Entries go to keys "key-<writer>" of namespace "bench", from `first_position` on.
    GroupCommitter(node::Store& store, uint64_t first_position, std::string payload);
    ~GroupCommitter();  // after everything submitted has been committed
    GroupCommitter(const GroupCommitter&) = delete;
    GroupCommitter& operator=(const GroupCommitter&) = delete;

    void submit(int writer, Waiter& waiter);
    // REQUIRES: nothing is under way.
    uint64_t last_position() const { return position_ - 1; }

private:
    void run();

    node::Store& store_;
    uint64_t position_;
    const std::string payload_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::vector<std::pair<int, Waiter*>> waiting_;
    bool stop_ = false;
    std::thread thread_;
};

}  // namespace meridian::bench
