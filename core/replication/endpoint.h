// One transport, and what it has delivered that the lane has not looked at yet.
//
// Threads: the listener's functions are called on threads of the transport: they check the size and the room, and post.
// Everything else on the lane. Limits: inbound_bytes_max and inbound_messages_max; a delivery beyond them, or of an
// envelope while the inbox is full, answers `busy`, and resume() follows when half is free again.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "replication/context.h"
#include "replication/transport.h"

namespace meridian::replication {

class Endpoint;

struct Delivered {
    Endpoint* endpoint = nullptr;
    Channel channel = Channel::control;
    std::string namespace_name;
    std::string bytes;
    std::string source;
    uint64_t reply_id = 0;
};

// On the lane.
class EndpointEvents {
public:
    virtual ~EndpointEvents() = default;
    virtual void on_delivered(Delivered delivered) = 0;
    virtual void on_up(Endpoint& endpoint) = 0;
    virtual void on_gap(Endpoint& endpoint, Channel channel) = 0;
    virtual void on_writable(Endpoint& endpoint) = 0;
};

class Endpoint final : public TransportListener {
public:
    Endpoint(Context& context, Transport& transport, size_t index, EndpointEvents& events);

    Transport& transport() const { return transport_; }
    size_t index() const { return index_; }
    bool up() const { return up_; }
    uint64_t epoch() const { return epoch_; }
    const std::string& down_reason() const { return down_reason_; }

    // No further envelope is taken, or they are again.
    void set_inbox_full(bool full);
    // After stop() of the transport, or before: nothing more is taken.
    void close() { closed_ = true; }

    // TransportListener
    Delivery on_message(Channel channel, std::string_view namespace_name, std::string_view bytes,
                        std::string_view source, uint64_t reply_id) override;
    void on_gap(Channel channel) override;
    void on_up(uint64_t epoch) override;
    void on_down(std::string_view reason) override;
    void on_writable() override;

private:
    void finished(size_t bytes);
    void resume_if_possible();

    Context& context_;
    Transport& transport_;
    const size_t index_;
    EndpointEvents& events_;
    bool up_ = false;
    uint64_t epoch_ = 0;
    std::string down_reason_ = "not connected yet";

    std::atomic<bool> closed_{false};
    std::atomic<size_t> waiting_bytes_{0};
    std::atomic<size_t> waiting_messages_{0};
    std::atomic<bool> inbox_full_{false};
    std::atomic<bool> refused_{false};
    std::atomic<bool> writable_posted_{false};
};

}  // namespace meridian::replication
