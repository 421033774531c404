#include "subscriber.h"

#include <utility>

namespace meridian::transport_redis {

Subscriber::Subscriber(const ConnectionContext& context, const std::string& node_name, abi::TransportSink sink,
                       LinkOwner& owner)
    : host_(context.host),
      options_(context.options),
      wake_(context.wake),
      sink_(sink),
      owner_(owner),
      connection_(context,
                  {std::string(delta_prefix) + "*", {std::string(all_channel), std::string(node_prefix) + node_name}},
                  *this) {}

void Subscriber::advance(uint64_t now_us, short events) {
    if (resumed_.exchange(false)) {
        waiting_ = false;
        drain();
    }
    connection_.advance(now_us, events);
}

void Subscriber::resume() {
    resumed_ = true;
    wake_->wake();
}

bool Subscriber::take_resubscribed() {
    return std::exchange(resubscribed_, false);
}

void Subscriber::connection_ready(uint64_t) {
    was_ready_ = true;
    if (++subscriptions_ > 1) resubscribed_ = true;
}

void Subscriber::connection_lost(const std::string& reason) {
    owner_.link_lost(std::exchange(was_ready_, false), reason);
}

// [pmessage, pattern, channel, bytes] or [message, channel, bytes], behind the part for the array.
bool Subscriber::connection_reply(const Reply& reply) {
    if (reply.text(1) == "pmessage") {
        const std::string_view channel = reply.text(3);
        if (reply.size() != 5 || channel.substr(0, delta_prefix.size()) != delta_prefix) return false;
        receive(MERIDIAN_CHANNEL_DELTA, channel.substr(delta_prefix.size()), reply.text(4));
        return true;
    }
    if (reply.size() != 4) return false;
    receive(MERIDIAN_CHANNEL_CONTROL, {}, reply.text(3));
    return true;
}

void Subscriber::receive(uint32_t channel, std::string_view namespace_name, std::string_view bytes) {
    // Behind what waits, so that the order stays.
    if (!queue_.empty() || waiting_ || !taken(channel, namespace_name, bytes)) keep(channel, namespace_name, bytes);
}

bool Subscriber::taken(uint32_t channel, std::string_view namespace_name, std::string_view bytes) {
    if (sink_.deliver(channel, namespace_name, bytes) == MERIDIAN_BUSY) {
        waiting_ = true;
        return false;
    }
    delivered_.add();
    return true;
}

void Subscriber::keep(uint32_t channel, std::string_view namespace_name, std::string_view bytes) {
    const size_t size = namespace_name.size() + bytes.size();
    if (queue_.size() >= options_.receive_queue_messages_max ||
        queued_bytes_ + size > options_.receive_queue_bytes_max) {
        (channel == MERIDIAN_CHANNEL_DELTA ? delta_gap_ : control_gap_) = true;
        dropped_.add();
        if (dropped_in_a_row_++ == 0)
            host_.log(MERIDIAN_LOG_WARNING, "messages from Redis are dropped: " + std::to_string(queue_.size()) +
                                                " messages (" + std::to_string(queued_bytes_) +
                                                " bytes) wait to be processed");
        return;
    }
    queue_.push_back({channel, std::string(namespace_name), std::string(bytes)});
    queued_messages_ = queue_.size();
    queued_bytes_ += size;
}

void Subscriber::drain() {
    while (!queue_.empty()) {
        const Message& first = queue_.front();
        if (!taken(first.channel, first.namespace_name, first.bytes)) break;
        queued_bytes_ -= first.size();
        queue_.pop_front();
        queued_messages_ = queue_.size();
    }
    if (queue_.size() <= options_.receive_queue_messages_max / 2 &&
        queued_bytes_ <= options_.receive_queue_bytes_max / 2) {
        report_gaps();
    }
}

void Subscriber::report_gaps() {
    if (dropped_in_a_row_ != 0)
        host_.log(MERIDIAN_LOG_INFORMATION, "messages from Redis are taken again; " +
                                                std::to_string(dropped_in_a_row_) +
                                                " were dropped and are asked for again");
    dropped_in_a_row_ = 0;
    if (std::exchange(delta_gap_, false)) sink_.gap(MERIDIAN_CHANNEL_DELTA);
    if (std::exchange(control_gap_, false)) sink_.gap(MERIDIAN_CHANNEL_CONTROL);
}

void Subscriber::tell_metrics() {
    delivered_.tell(host_);
    dropped_.tell(host_);
    queued_messages_gauge_.tell(host_, queued_messages_);
    queued_bytes_gauge_.tell(host_, queued_bytes_);
}

}  // namespace meridian::transport_redis
