// A lane on a thread of its own, without descriptors: the committer's.
//
// Threads: post, post_after: any. stop: any but the lane's own; what is still posted then is run first, timers are not.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "base/environment.h"
#include "loop/timer_queue.h"

namespace meridian::server {

class ThreadLane final : public Lane {
public:
    explicit ThreadLane(Clock& clock);
    ~ThreadLane() override;

    void post(Task task) override;
    void post_after(uint64_t delay_us, Task task) override;
    void stop();

private:
    void run();

    Clock& clock_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Task> posted_;
    TimerQueue timers_;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace meridian::server
