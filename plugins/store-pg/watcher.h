// Tells the host of groups that other nodes have committed: notifications wake it, and it looks from time to time in
// case one was lost. A thread with a connection of its own, from the constructor to the destructor.
#pragma once

#include <atomic>
#include <functional>
#include <thread>

#include "connection.h"

namespace meridian::store_pg {

class Watcher {
public:
    using Changed = std::function<void(uint64_t last_position)>;

    // `position`: of the last entry that the host knows of. `pause` waits, and answers false when the thread should
    // end.
    Watcher(const Settings& settings, uint64_t position, Changed changed, std::function<bool(uint64_t us)> pause,
            Connection::GiveUp give_up);
    ~Watcher();
    Watcher(const Watcher&) = delete;
    Watcher& operator=(const Watcher&) = delete;

    // This node has committed so many entries itself, which is no news to it.
    void count_own(uint64_t entries) { own_entries_ += entries; }

private:
    void run();
    void listen();
    void look();

    const Settings& settings_;
    const Changed changed_;
    const std::function<bool(uint64_t)> pause_;
    const Connection::GiveUp give_up_;
    Connection connection_;
    std::atomic<uint64_t> own_entries_{0};
    uint64_t told_;  // entries of others, counted from the first position
    std::atomic<bool> stopping_{false};
    std::thread thread_;
};

}  // namespace meridian::store_pg
