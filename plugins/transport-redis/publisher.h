// Sends: a bounded queue that any thread fills and the I/O thread writes, many PUBLISH at once, and completes in order.
// A message counts against the bounds until it is complete. Without a connection nothing is queued.
//
// Threads: submit(), link() and queued() any; the rest on the I/O thread.
#pragma once

#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "connection.h"
#include "link_owner.h"
#include "meridian/transport.hpp"
#include "metrics.h"
#include "output.h"

namespace meridian::transport_redis {

class Publisher : private ConnectionOwner {
public:
    Publisher(const ConnectionContext& context, LinkOwner& owner);

    // To the channel prefix+name. `heard_by_us`: our own subscription receives it too, and is not to be counted.
    // OK, BUSY, UNAVAILABLE, CANCELLED.
    meridian_status submit(std::string_view channel_prefix, std::string_view channel_name, std::string_view message,
                           bool heard_by_us, abi::PublishSink sink);

    void set_sink(abi::TransportSink sink) { sink_ = sink; }
    // `subscribed`: our own subscription is there, and receives what is published.
    void advance(uint64_t now_us, short events, bool subscribed);
    void fail(uint64_t now_us, const std::string& reason) { connection_.fail(now_us, reason); }
    // From now on submit() says CANCELLED. [any]
    void refuse();
    // Completes all that is left.
    void cancel();
    // Nothing waits.
    bool idle() const;
    bool ready() const { return connection_.ready(); }
    pollfd wanted() const { return connection_.wanted(); }
    uint64_t due_us() const;
    void tell_metrics();

    struct Queued {
        uint64_t messages;
        uint64_t bytes;
    };
    Queued queued() const;
    LinkStatus link() const { return connection_.link(); }

private:
    struct Entry {
        abi::PublishSink sink;
        size_t bytes;
        bool heard_by_us;
    };
    struct Result {
        meridian_status status;
        uint64_t receivers;
        std::string message;
    };

    void connection_ready(uint64_t now_us) override;
    bool connection_reply(const Reply& reply) override;
    void connection_lost(const std::string& reason) override;

    void take_pending();
    void complete_answered();
    void complete_rest(meridian_status status, std::string_view reason);
    // Messages leave the queue before their sinks are called, so that whoever is called finds room.
    bool release(uint64_t messages, uint64_t bytes);
    bool is_full(size_t bytes) const;

    abi::Host host_;
    const Options& options_;
    std::shared_ptr<const Wake> wake_;
    LinkOwner& owner_;
    std::optional<abi::TransportSink> sink_;
    Connection connection_;

    // The I/O thread's.
    Output batch_;
    std::vector<Entry> in_flight_;  // from head_ on
    size_t head_ = 0;
    std::vector<Result> results_;  // of the first in flight
    uint64_t progress_us_ = 0;     // when something was last answered, or became due
    uint64_t now_us_ = 0;
    bool subscribed_ = false;
    bool was_ready_ = false;
    std::string refusal_;  // the last that was logged, on this connection
    Counter published_{"published"};
    Counter failed_{"publish_failed"};
    Gauge queued_messages_gauge_{"publish_queue_messages"};
    Gauge queued_bytes_gauge_{"publish_queue_bytes"};

    mutable std::mutex mutex_;  // guards what follows
    bool open_ = false;
    bool refusing_ = false;
    bool told_to_wait_ = false;
    bool woken_ = false;
    Output pending_;
    std::vector<Entry> pending_entries_;
    Queued queued_{0, 0};
};

}  // namespace meridian::transport_redis
