#include "server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <system_error>

namespace meridian::transport_http {
namespace {

constexpr int backlog = 512;
constexpr int accepts_max = 64;  // before the other sockets get their turn
constexpr uint64_t accept_pause_us = 1'000'000;

std::vector<SocketAddress> wildcard_addresses(uint16_t port) {
    SocketAddress any;
    auto* in = reinterpret_cast<sockaddr_in*>(&any.storage);
    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    any.size = sizeof *in;
    return {any};
}

void set_port(SocketAddress& address, uint16_t port) {
    if (address.family() == AF_INET6) {
        reinterpret_cast<sockaddr_in6*>(&address.storage)->sin6_port = htons(port);
    } else {
        reinterpret_cast<sockaddr_in*>(&address.storage)->sin_port = htons(port);
    }
}

uint16_t port_of(int fd) {
    SocketAddress own;
    own.size = sizeof own.storage;
    getsockname(fd, reinterpret_cast<sockaddr*>(&own.storage), &own.size);
    return ntohs(own.family() == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&own.storage)->sin6_port
                                          : reinterpret_cast<sockaddr_in*>(&own.storage)->sin_port);
}

}  // namespace

void Server::listen() {
    const BindAddress& bind = loop_.settings.bind;
    const std::string name = (bind.host.empty() ? "*" : bind.host) + " port " + std::to_string(bind.port);
    std::string problem;
    std::vector<SocketAddress> addresses =
        bind.host.empty() ? wildcard_addresses(bind.port) : look_up(bind.host, bind.port, problem);
    if (addresses.empty()) throw abi::Failure(MERIDIAN_IO, "bind: " + problem);
    int error = 0;
    for (SocketAddress& address : addresses) {
        if (port_ != 0) set_port(address, port_);
        error = open_socket(address);
        // A name may have addresses of which this machine has only some.
        if (error != 0 && (addresses.size() == 1 || (error != EADDRNOTAVAIL && error != EAFNOSUPPORT))) break;
        if (error != 0 && sockets_.empty()) continue;
        error = 0;
    }
    if (error != 0) {
        throw abi::Failure(error == EADDRINUSE ? MERIDIAN_IN_USE : MERIDIAN_IO,
                           "bind: cannot listen at " + name + ": " + std::generic_category().message(error));
    }
}

int Server::open_socket(const SocketAddress& address) {
    FileDescriptor fd(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd.valid()) return errno;
    const int on = 1;
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const int off = 0;  // [::] takes IPv4 too
    if (address.family() == AF_INET6) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.size) != 0) return errno;
    if (::listen(fd.get(), backlog) != 0) return errno;
    port_ = port_of(fd.get());
    auto socket = std::make_unique<WatchedSocket>();
    if (!socket->open(loop_.poller, std::move(fd), EPOLLIN, *this)) return errno;
    sockets_.push_back(std::move(socket));
    return 0;
}

void Server::on_events(uint32_t) {
    for (const auto& socket : sockets_) {
        for (int i = 0; i < accepts_max; ++i) {
            FileDescriptor fd(accept4(socket->fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
            if (!fd.valid()) {
                if (errno == EINTR || errno == ECONNABORTED) continue;
                if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                    loop_.host.log(MERIDIAN_LOG_WARNING, "connections of peers are not accepted for a second: " +
                                                             std::generic_category().message(errno));
                    for (const auto& paused : sockets_) paused->watch(0);
                    accept_at_us_ = loop_.now_us() + accept_pause_us;
                    loop_.arm(accept_at_us_);
                    return;
                }
                break;
            }
            if (connections_.size() >= loop_.settings.connections_max) {
                loop_.host.metric(MERIDIAN_METRIC_COUNTER, "connections_refused", 1);
                if (!is_full_)
                    loop_.host.log(MERIDIAN_LOG_WARNING,
                                   "there are " + std::to_string(connections_.size()) +
                                       " connections of peers (connections_max); further ones are closed");
                is_full_ = true;
                continue;
            }
            const int on = 1;
            setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            const uint64_t id = next_connection_id_++;
            auto connection = std::make_unique<ServerConnection>(*this, id, std::move(fd));
            if (!connection->is_open()) continue;
            connections_[id] = std::move(connection);
            loop_.host.metric(MERIDIAN_METRIC_GAUGE, "connections", static_cast<double>(connections_.size()));
        }
    }
}

void Server::on_connection_end(uint64_t connection_id) {
    const auto found = connections_.find(connection_id);
    if (found == connections_.end()) return;
    loop_.poller.bury(std::move(found->second));
    connections_.erase(found);
    if (connections_.size() < loop_.settings.connections_max * 3 / 4) is_full_ = false;
    loop_.host.metric(MERIDIAN_METRIC_GAUGE, "connections", static_cast<double>(connections_.size()));
}

void Server::close() {
    sockets_.clear();
    connections_.clear();
    accept_at_us_ = never_us;
    const std::lock_guard lock(replies_mutex_);
    replies_.clear();
}

uint64_t Server::on_time(uint64_t now_us) {
    if (now_us >= accept_at_us_) {
        accept_at_us_ = never_us;
        for (const auto& socket : sockets_) socket->watch(EPOLLIN);
    }
    uint64_t next = accept_at_us_;
    std::vector<uint64_t> due;
    for (const auto& [id, connection] : connections_) {
        if (now_us >= connection->deadline_us())
            due.push_back(id);
        else
            next = std::min(next, connection->deadline_us());
    }
    for (const uint64_t id : due) {
        const auto found = connections_.find(id);
        if (found == connections_.end()) continue;
        found->second->on_deadline();
        next = now_us;  // once more, for the deadlines that this has set
    }
    return next;
}

void Server::resume() {
    std::vector<uint64_t> held;
    for (const auto& [id, connection] : connections_) {
        if (connection->is_held()) held.push_back(id);
    }
    for (const uint64_t id : held) {
        const auto found = connections_.find(id);
        if (found != connections_.end()) found->second->resume();
    }
}

std::optional<uint64_t> Server::take_reply(uint64_t reply_id) {
    const std::lock_guard lock(replies_mutex_);
    const auto found = replies_.find(reply_id);
    if (found == replies_.end()) return std::nullopt;
    const uint64_t connection_id = found->second;
    replies_.erase(found);
    return connection_id;
}

void Server::answer(uint64_t connection_id, std::string bytes) {
    const auto found = connections_.find(connection_id);
    if (found != connections_.end()) found->second->on_reply(std::move(bytes));
}

uint64_t Server::expect_reply(uint64_t connection_id) {
    const std::lock_guard lock(replies_mutex_);
    const uint64_t id = next_reply_id_++;
    replies_[id] = connection_id;
    return id;
}

bool Server::forget_reply(uint64_t reply_id) {
    const std::lock_guard lock(replies_mutex_);
    return replies_.erase(reply_id) != 0;
}

bool Server::reserve(size_t bytes) {
    if (received_bytes_ + bytes > loop_.settings.receive_bytes) return false;
    received_bytes_ += bytes;
    return true;
}

}  // namespace meridian::transport_http
