// Receives. What the host does not take (MERIDIAN_BUSY) waits in a bounded queue; beyond the bounds the newest is
// dropped and counted, and a gap is reported once half of the queue is free again. The socket is read all the while:
// Redis cuts subscribers that do not read.
//
// Threads: resume(), queued() and link() any; the rest on the I/O thread.
#pragma once

#include <atomic>
#include <deque>
#include <string>

#include "connection.h"
#include "link_owner.h"
#include "meridian/transport.hpp"
#include "metrics.h"

namespace meridian::transport_redis {

inline constexpr std::string_view delta_prefix = "meridian:delta:";
inline constexpr std::string_view all_channel = "meridian:osp1:all";
inline constexpr std::string_view node_prefix = "meridian:osp1:n:";

class Subscriber : private ConnectionOwner {
public:
    Subscriber(const ConnectionContext& context, const std::string& node_name, abi::TransportSink sink,
               LinkOwner& owner);

    void advance(uint64_t now_us, short events);
    void resume();
    void fail(uint64_t now_us, const std::string& reason) { connection_.fail(now_us, reason); }
    void close() { connection_.close(); }
    bool ready() const { return connection_.ready(); }
    // True once after each subscription that is not the first: messages may have been missed.
    bool take_resubscribed();
    pollfd wanted() const { return connection_.wanted(); }
    uint64_t due_us() const { return resumed_ ? 0 : connection_.due_us(); }
    void tell_metrics();

    uint64_t queued_messages() const { return queued_messages_; }
    uint64_t queued_bytes() const { return queued_bytes_; }
    LinkStatus link() const { return connection_.link(); }

private:
    struct Message {
        uint32_t channel;
        std::string namespace_name;
        std::string bytes;
        size_t size() const { return namespace_name.size() + bytes.size(); }
    };

    void connection_ready(uint64_t now_us) override;
    bool connection_reply(const Reply& reply) override;
    void connection_lost(const std::string& reason) override;

    void receive(uint32_t channel, std::string_view namespace_name, std::string_view bytes);
    void keep(uint32_t channel, std::string_view namespace_name, std::string_view bytes);
    bool taken(uint32_t channel, std::string_view namespace_name, std::string_view bytes);
    void drain();
    void report_gaps();

    abi::Host host_;
    const Options& options_;
    std::shared_ptr<const Wake> wake_;
    abi::TransportSink sink_;
    LinkOwner& owner_;
    Connection connection_;

    std::deque<Message> queue_;
    std::atomic<uint64_t> queued_messages_{0};  // of queue_; written by the I/O thread
    std::atomic<uint64_t> queued_bytes_{0};
    bool waiting_ = false;              // the host said BUSY
    std::atomic<bool> resumed_{false};  // it has called resume() since
    bool delta_gap_ = false;            // messages of this channel were dropped
    bool control_gap_ = false;
    uint64_t dropped_in_a_row_ = 0;
    bool was_ready_ = false;
    uint64_t subscriptions_ = 0;
    bool resubscribed_ = false;

    Counter delivered_{"delivered"};
    Counter dropped_{"receive_dropped"};
    Gauge queued_messages_gauge_{"receive_queue_messages"};
    Gauge queued_bytes_gauge_{"receive_queue_bytes"};
};

}  // namespace meridian::transport_redis
