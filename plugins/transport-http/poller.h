// One epoll set and the thread that waits on it. All but wake() on that thread.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/file_descriptor.h"

namespace meridian::transport_http {

class EventHandler {
public:
    virtual ~EventHandler() = default;
    // EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP.
    virtual void on_events(uint32_t events) = 0;
};

class Poller {
public:
    // Throws abi::Failure.
    Poller();
    // Waits for events, for a wake() or for the time, and calls handlers.
    void wait(uint64_t timeout_us);
    // [any thread] Ends a wait, this or the next one.
    void wake();
    // A handler that may be running now is destroyed when the events at hand are done.
    void bury(std::unique_ptr<EventHandler> handler) { buried_.push_back(std::move(handler)); }

private:
    friend class WatchedSocket;
    // 0: the system has no room for it.
    uint64_t add(int fd, uint32_t events, EventHandler& handler);
    void change(uint64_t id, int fd, uint32_t events);
    void remove(uint64_t id, int fd);

    FileDescriptor epoll_;
    FileDescriptor wake_;
    // Events name handlers by id, so that one of a handler that is gone finds nobody.
    std::unordered_map<uint64_t, EventHandler*> handlers_;
    uint64_t next_id_ = 1;
    std::vector<std::unique_ptr<EventHandler>> buried_;
};

// A non-blocking socket in the set of a poller; closes it.
class WatchedSocket {
public:
    WatchedSocket() = default;
    ~WatchedSocket() { close(); }
    WatchedSocket(const WatchedSocket&) = delete;
    WatchedSocket& operator=(const WatchedSocket&) = delete;

    // False: the system has no room for it, see errno.
    [[nodiscard]] bool open(Poller& poller, FileDescriptor fd, uint32_t events, EventHandler& handler);
    void watch(uint32_t events);
    void close();
    int fd() const { return fd_.get(); }
    bool is_open() const { return fd_.valid(); }

private:
    Poller* poller_ = nullptr;
    FileDescriptor fd_;
    uint64_t id_ = 0;
    uint32_t events_ = 0;
};

}  // namespace meridian::transport_http
