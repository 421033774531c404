// The internal listener: its sockets, its connections, the requests of peers that wait for this node's answer. On the
// loop's thread, but for take_reply.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "meridian/transport.hpp"
#include "server_connection.h"

namespace meridian::transport_http {

class Server : private EventHandler {
public:
    Server(Loop& loop, abi::TransportSink sink) : loop_(loop), sink_(sink) {}
    ~Server() override { close(); }

    // Throws abi::Failure that names the address.
    void listen();
    // Of the listener; valid after listen().
    uint16_t port() const { return port_; }
    void close();
    // When to be asked again.
    uint64_t on_time(uint64_t now_us);
    void resume();

    // [any thread] The connection that waits for this reply; nothing if none does. It waits for no other from then on.
    std::optional<uint64_t> take_reply(uint64_t reply_id);
    // For the connection that take_reply named.
    void answer(uint64_t connection_id, std::string bytes);

    // For connections.
    Loop& loop() { return loop_; }
    const abi::TransportSink& sink() const { return sink_; }
    uint64_t expect_reply(uint64_t connection_id);
    // False: it was taken already, and its answer is on its way.
    bool forget_reply(uint64_t reply_id);
    // Space for a request's body, within `receive_bytes`.
    bool reserve(size_t bytes);
    void release(size_t bytes) { received_bytes_ -= bytes; }
    void on_connection_end(uint64_t connection_id);

private:
    void on_events(uint32_t events) override;
    // 0, or the system's error.
    int open_socket(const SocketAddress& address);

    Loop& loop_;
    const abi::TransportSink sink_;
    // Listening sockets share a handler: the thread accepts on all of them.
    std::vector<std::unique_ptr<WatchedSocket>> sockets_;
    uint16_t port_ = 0;
    std::unordered_map<uint64_t, std::unique_ptr<ServerConnection>> connections_;
    uint64_t next_connection_id_ = 1;
    size_t received_bytes_ = 0;
    bool is_full_ = false;
    uint64_t accept_at_us_ = never_us;  // after the system had no descriptor left

    std::mutex replies_mutex_;
    uint64_t next_reply_id_ = 1;
    std::unordered_map<uint64_t, uint64_t> replies_;  // reply id -> connection id; under the mutex
};

}  // namespace meridian::transport_http
