// An event loop: one thread, one epoll set, one mailbox, timers. It is the lane on which a shard of the node and the
// connections of its namespaces live.
//
// Threads: post, post_after, stop: any. Everything else: the loop's own thread, or before run().
// A tick: wait for events; run what was posted; run due timers; hand ready descriptors to the handler; end of tick.
// Posting wakes the loop by one eventfd write, and only when it sleeps.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "base/environment.h"
#include "base/file_descriptor.h"
#include "loop/timer_queue.h"

namespace meridian::server {

class EventLoop final : public Lane {
public:
    class Handler {
    public:
        virtual ~Handler() = default;
        // `token` is what the descriptor was registered with. It may have been closed earlier in the same tick: the
        // handler must know by the token.
        virtual void on_ready(uint64_t token, uint32_t events) = 0;
        // After everything else of a tick. Returns true if there is more to do at once: the next tick then does not
        // sleep.
        virtual bool on_tick_end() = 0;
    };

    explicit EventLoop(Clock& clock);
    ~EventLoop() override;

    void post(Task task) override;
    void post_after(uint64_t delay_us, Task task) override;

    // `handler` must outlive run().
    void set_handler(Handler* handler) { handler_ = handler; }
    void run();
    void stop();

    // False with errno on failure.
    bool add(int fd, uint32_t events, uint64_t token);
    bool modify(int fd, uint32_t events, uint64_t token);
    void remove(int fd);

private:
    bool collect_posted(std::vector<Task>& tasks);
    int poll_timeout_ms(bool busy);
    void wake();

    Clock& clock_;
    Handler* handler_ = nullptr;
    FileDescriptor epoll_;
    FileDescriptor wake_;
    TimerQueue timers_;

    std::mutex mutex_;  // guards the four below
    std::vector<Task> posted_;
    std::vector<TimerQueue::Timer> posted_timers_;
    bool sleeping_ = false;
    bool stopping_ = false;
};

}  // namespace meridian::server
