#include "poller.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include "meridian/plugin.hpp"

namespace meridian::transport_http {
namespace {

constexpr uint64_t wake_id = 0;

[[noreturn]] void fail(const char* what) {
    throw abi::Failure(MERIDIAN_IO, std::string(what) + ": " + std::generic_category().message(errno));
}

}  // namespace

Poller::Poller() : epoll_(epoll_create1(EPOLL_CLOEXEC)), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!epoll_.valid() || !wake_.valid()) fail("cannot make an epoll set");
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = wake_id;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0) fail("cannot make an epoll set");
}

void Poller::wake() {
    const uint64_t one = 1;
    // It fails only if it was woken 2^64 times before: then it is awake.
    [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof one);
}

void Poller::wait(uint64_t timeout_us) {
    std::array<epoll_event, 128> events;
    constexpr uint64_t ms_max = 60'000;
    const int timeout_ms = static_cast<int>(std::min(timeout_us / 1000 + (timeout_us % 1000 != 0 ? 1 : 0), ms_max));
    const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout_ms);
    for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<size_t>(i)];
        if (event.data.u64 == wake_id) {
            uint64_t times;
            [[maybe_unused]] const ssize_t got = ::read(wake_.get(), &times, sizeof times);
            continue;
        }
        const auto found = handlers_.find(event.data.u64);
        if (found != handlers_.end()) found->second->on_events(event.events);
    }
    buried_.clear();
}

uint64_t Poller::add(int fd, uint32_t events, EventHandler& handler) {
    const uint64_t id = next_id_++;
    epoll_event event{};
    event.events = events;
    event.data.u64 = id;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return 0;
    handlers_[id] = &handler;
    return id;
}

void Poller::change(uint64_t id, int fd, uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = id;
    // Of a descriptor that is in the set it does not fail.
    epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void Poller::remove(uint64_t id, int fd) {
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
    handlers_.erase(id);
}

bool WatchedSocket::open(Poller& poller, FileDescriptor fd, uint32_t events, EventHandler& handler) {
    close();
    id_ = poller.add(fd.get(), events, handler);
    if (id_ == 0) return false;
    poller_ = &poller;
    fd_ = std::move(fd);
    events_ = events;
    return true;
}

void WatchedSocket::watch(uint32_t events) {
    if (events == events_ || !fd_.valid()) return;
    poller_->change(id_, fd_.get(), events);
    events_ = events;
}

void WatchedSocket::close() {
    if (!fd_.valid()) return;
    poller_->remove(id_, fd_.get());
    fd_.reset();
}

}  // namespace meridian::transport_http
