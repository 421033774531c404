#include "loop/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace meridian::server {
namespace {
constexpr uint64_t wake_token = UINT64_MAX;
constexpr int events_max = 512;
}  // namespace

EventLoop::EventLoop(Clock& clock)
    : clock_(clock), epoll_(::epoll_create1(EPOLL_CLOEXEC)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!epoll_.valid() || !wake_.valid() || !add(wake_.get(), EPOLLIN, wake_token)) {
        throw std::system_error(errno, std::generic_category(), "event loop");
    }
}

EventLoop::~EventLoop() = default;

void EventLoop::post(Task task) {
    bool sleeping = false;
    {
        const std::lock_guard lock(mutex_);
        posted_.push_back(std::move(task));
        sleeping = std::exchange(sleeping_, false);
    }
    if (sleeping) wake();
}

void EventLoop::post_after(uint64_t delay_us, Task task) {
    bool sleeping = false;
    {
        const std::lock_guard lock(mutex_);
        posted_timers_.push_back({clock_.monotonic_us() + delay_us, std::move(task)});
        sleeping = std::exchange(sleeping_, false);
    }
    if (sleeping) wake();
}

void EventLoop::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        sleeping_ = false;
    }
    wake();
}

void EventLoop::wake() {
    const uint64_t one = 1;
    // The counter cannot overflow in practice, and a failure of any other kind would mean a closed descriptor.
    [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof one);
}

bool EventLoop::add(int fd, uint32_t events, uint64_t token) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = token;
    return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

bool EventLoop::modify(int fd, uint32_t events, uint64_t token) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = token;
    return ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) == 0;
}

void EventLoop::remove(int fd) {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

// False when the loop is to stop.
bool EventLoop::collect_posted(std::vector<Task>& tasks) {
    const std::lock_guard lock(mutex_);
    sleeping_ = false;
    tasks.swap(posted_);
    for (TimerQueue::Timer& timer : posted_timers_) timers_.add(std::move(timer));
    posted_timers_.clear();
    return !stopping_;
}

// How long the next wait may last; from a return other than 0 on, posting wakes the loop.
int EventLoop::poll_timeout_ms(bool busy) {
    const std::lock_guard lock(mutex_);
    if (busy || !posted_.empty() || !posted_timers_.empty() || stopping_) return 0;
    const auto due_us = timers_.next_due_us();
    const uint64_t now_us = clock_.monotonic_us();
    if (due_us && *due_us <= now_us) return 0;
    sleeping_ = true;
    if (!due_us) return -1;
    return static_cast<int>(std::min<uint64_t>((*due_us - now_us + 999) / 1000, 3'600'000));
}

void EventLoop::run() {
    std::array<epoll_event, events_max> events{};
    std::vector<Task> tasks;
    bool busy = false;
    for (;;) {
        const int count = ::epoll_wait(epoll_.get(), events.data(), events_max, poll_timeout_ms(busy));
        tasks.clear();
        if (!collect_posted(tasks)) return;
        timers_.take_due(clock_.monotonic_us(), tasks);
        for (Task& task : tasks) {
            task();
            task = nullptr;  // what it captured goes now, not at the end of the tick
        }
        for (int i = 0; i < count; ++i) {
            if (events[i].data.u64 == wake_token) {
                uint64_t value = 0;
                [[maybe_unused]] const ssize_t got = ::read(wake_.get(), &value, sizeof value);
            } else if (handler_ != nullptr) {
                handler_->on_ready(events[i].data.u64, events[i].events);
            }
        }
        busy = handler_ != nullptr && handler_->on_tick_end();
    }
}

}  // namespace meridian::server
