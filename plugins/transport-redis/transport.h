// The Redis transport: a publisher and a subscriber, each with a connection of its own, on one I/O thread. Implements
// the functions of meridian_transport_functions (meridian/plugin.h says what each promises).
//
//   meridian:delta:NAMESPACE   envelopes of a namespace
//   meridian:osp1:all          messages to every node
//   meridian:osp1:n:NODE       messages to one node
//
// Up means: both connections work, and Redis has confirmed the subscriptions.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "link_owner.h"
#include "meridian/transport.hpp"
#include "metrics.h"
#include "options.h"
#include "publisher.h"
#include "subscriber.h"

namespace meridian::transport_redis {

class RedisTransport : private LinkOwner {
public:
    RedisTransport(abi::Host host, const abi::Config& config);
    ~RedisTransport() override;
    RedisTransport(const RedisTransport&) = delete;
    RedisTransport& operator=(const RedisTransport&) = delete;

    void start(const abi::NodeName& node, abi::TransportSink sink);
    // What was submitted is still sent, until the deadline.
    void stop(uint64_t deadline_us);
    uint64_t message_bytes_max() const { return options_.message_bytes_max; }
    std::string address() const { return node_name_; }
    using LinkFunction = std::function<void(uint32_t state, std::string_view address, std::string_view error,
                                            uint64_t queued_messages, uint64_t queued_bytes)>;
    void links(const LinkFunction& link) const;
    meridian_status publish(uint32_t channel, std::string_view namespace_name, std::string_view bytes,
                            abi::PublishSink done);
    meridian_status send(std::string_view target, std::string_view bytes, abi::PublishSink done);
    void resume();

private:
    void run();
    void begin_anew(const char* why) noexcept;
    void turn();
    void wait();
    void link_lost(bool was_ready, const std::string& reason) override;
    void tell_state();
    void tell_metrics(bool now);

    abi::Host host_;
    Options options_;
    std::shared_ptr<const Wake> wake_ = std::make_shared<Wake>();
    ConnectionContext context_;
    Publisher publisher_;
    std::optional<Subscriber> subscriber_;  // made by start, which gives it its name
    std::optional<abi::TransportSink> sink_;
    std::string node_name_;

    std::atomic<bool> stopping_{false};
    std::atomic<uint64_t> stop_deadline_us_{0};

    // The I/O thread's.
    enum class Told { nothing, up, down };
    Told told_ = Told::nothing;
    uint64_t epoch_ = 0;
    std::string reason_;  // the last that was logged
    short publisher_events_ = 0;
    short subscriber_events_ = 0;
    uint64_t metrics_at_us_ = 0;
    Counter reconnects_{"reconnects"};
    Gauge connected_gauge_{"connected"};

    std::thread thread_;
};

}  // namespace meridian::transport_redis
