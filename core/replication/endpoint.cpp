#include "replication/endpoint.h"

namespace meridian::replication {

Endpoint::Endpoint(Context& context, Transport& transport, size_t index, EndpointEvents& events)
    : context_(context), transport_(transport), index_(index), events_(events) {}

Delivery Endpoint::on_message(Channel channel, std::string_view namespace_name, std::string_view bytes,
                              std::string_view source, uint64_t reply_id) {
    if (closed_) return Delivery::invalid;
    // An older node's request for the log is a number; everything else is bounded by what the transport says.
    if (bytes.empty() || bytes.size() > transport_.message_bytes_max()) {
        context_.post([this] { ++context_.counters.dropped_oversized; });
        return Delivery::invalid;
    }
    const size_t cost = bytes.size() + 256;
    if ((channel == Channel::delta && inbox_full_) ||
        waiting_bytes_ + cost > std::max(context_.options.inbound_bytes_max, cost) ||
        waiting_messages_ >= context_.options.inbound_messages_max) {
        refused_ = true;
        context_.post([this] {
            ++context_.counters.refused_busy;
            resume_if_possible();
        });
        return Delivery::busy;
    }
    waiting_bytes_ += cost;
    ++waiting_messages_;
    Delivered delivered{this, channel, std::string(namespace_name), std::string(bytes), std::string(source), reply_id};
    context_.post([this, cost, delivered = std::move(delivered)]() mutable {
        finished(cost);
        events_.on_delivered(std::move(delivered));
    });
    return Delivery::taken;
}

void Endpoint::on_gap(Channel channel) {
    context_.post([this, channel] { events_.on_gap(*this, channel); });
}

void Endpoint::on_up(uint64_t epoch) {
    context_.post([this, epoch] {
        up_ = true;
        epoch_ = epoch;
        down_reason_.clear();
        events_.on_up(*this);
    });
}

void Endpoint::on_down(std::string_view reason) {
    context_.post([this, text = std::string(reason)] {
        up_ = false;
        down_reason_ = text;
    });
}

void Endpoint::on_writable() {
    if (writable_posted_.exchange(true)) return;
    context_.post([this] {
        writable_posted_ = false;
        events_.on_writable(*this);
    });
}

void Endpoint::set_inbox_full(bool full) {
    inbox_full_ = full;
    resume_if_possible();
}

void Endpoint::finished(size_t bytes) {
    waiting_bytes_ -= bytes;
    --waiting_messages_;
    resume_if_possible();
}

void Endpoint::resume_if_possible() {
    if (!refused_ || inbox_full_ || waiting_bytes_ > context_.options.inbound_bytes_max / 2 ||
        waiting_messages_ > context_.options.inbound_messages_max / 2) {
        return;
    }
    if (refused_.exchange(false)) transport_.resume();
}

}  // namespace meridian::replication
