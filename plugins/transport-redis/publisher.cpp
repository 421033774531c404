#include "publisher.h"

#include <algorithm>
#include <new>
#include <utility>

namespace meridian::transport_redis {

Publisher::Publisher(const ConnectionContext& context, LinkOwner& owner)
    : host_(context.host),
      options_(context.options),
      wake_(context.wake),
      owner_(owner),
      connection_(context, {}, *this) {}

bool Publisher::is_full(size_t bytes) const {
    return queued_.messages >= options_.publish_queue_messages_max ||
           queued_.bytes + bytes > options_.publish_queue_bytes_max;
}

meridian_status Publisher::submit(std::string_view channel_prefix, std::string_view channel_name,
                                  std::string_view message, bool heard_by_us, abi::PublishSink sink) {
    {
        const std::lock_guard lock(mutex_);
        if (refusing_) return MERIDIAN_CANCELLED;
        if (!open_) return MERIDIAN_UNAVAILABLE;
        if (is_full(message.size())) {
            told_to_wait_ = true;
            return MERIDIAN_BUSY;
        }
        std::string& output = pending_.back();
        const size_t before = output.size();
        try {
            append_publish(output, channel_prefix, channel_name, message);
            pending_entries_.push_back({sink, message.size(), heard_by_us});
        } catch (const std::bad_alloc&) {
            pending_.restore_back(before);
            throw;
        }
        queued_.messages += 1;
        queued_.bytes += message.size();
        if (woken_) return MERIDIAN_OK;
        woken_ = true;
    }
    wake_->wake();
    return MERIDIAN_OK;
}

void Publisher::advance(uint64_t now_us, short events, bool subscribed) {
    now_us_ = now_us;
    subscribed_ = subscribed;
    if (connection_.ready() && connection_.written()) take_pending();
    connection_.advance(now_us, events);
    complete_answered();
    const bool waiting = head_ != in_flight_.size();
    if (waiting && connection_.ready() && now_us >= progress_us_ + options_.command_timeout_us)
        connection_.fail(now_us, connection_.link().address + ": no reply to PUBLISH within " +
                                     std::to_string(options_.command_timeout_us / 1000) + " ms");
}

void Publisher::take_pending() {
    size_t count = 0;
    {
        const std::lock_guard lock(mutex_);
        woken_ = false;
        count = pending_entries_.size();
        if (count == 0) return;
        if (head_ == in_flight_.size()) progress_us_ = now_us_;
        if (head_ >= in_flight_.size() - head_) {
            in_flight_.erase(in_flight_.begin(), in_flight_.begin() + static_cast<ptrdiff_t>(head_));
            head_ = 0;
        }
        in_flight_.insert(in_flight_.end(), pending_entries_.begin(), pending_entries_.end());
        pending_entries_.clear();
        batch_.swap(pending_);
    }
    connection_.send(batch_, count);
}

void Publisher::connection_ready(uint64_t) {
    complete_rest(MERIDIAN_UNAVAILABLE, "the connection was lost");
    was_ready_ = true;
    refusal_.clear();
    const std::lock_guard lock(mutex_);
    open_ = true;
}

bool Publisher::connection_reply(const Reply& reply) {
    if (head_ + results_.size() >= in_flight_.size()) return false;
    if (reply.kind() == Reply::Kind::integer && reply.integer() >= 0) {
        auto receivers = static_cast<uint64_t>(reply.integer());
        if (receivers != 0 && subscribed_ && in_flight_[head_ + results_.size()].heard_by_us) --receivers;
        results_.push_back({MERIDIAN_OK, receivers, {}});
        return true;
    }
    if (!reply.is_error()) return false;
    results_.push_back({MERIDIAN_IO, 0, "Redis refused the message: " + std::string(reply.text())});
    if (refusal_ != results_.back().message) {
        refusal_ = results_.back().message;
        host_.log(MERIDIAN_LOG_WARNING, refusal_);
    }
    return true;
}

void Publisher::complete_answered() {
    if (results_.empty()) return;
    progress_us_ = now_us_;
    uint64_t bytes = 0;
    for (size_t i = 0; i < results_.size(); ++i) bytes += in_flight_[head_ + i].bytes;
    const bool room = release(results_.size(), bytes);
    for (const Result& result : results_) {
        (result.status == MERIDIAN_OK ? published_ : failed_).add();
        in_flight_[head_++].sink.done(result.status, result.message, result.receivers);
    }
    results_.clear();
    if (room) sink_->writable();
}

// True: the host waits for this.
bool Publisher::release(uint64_t messages, uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    queued_.messages -= messages;
    queued_.bytes -= bytes;
    // Half, so that it is worth its while.
    const bool room = told_to_wait_ && queued_.messages <= options_.publish_queue_messages_max / 2 &&
                      queued_.bytes <= options_.publish_queue_bytes_max / 2;
    if (room) told_to_wait_ = false;
    return room;
}

void Publisher::complete_rest(meridian_status status, std::string_view reason) {
    complete_answered();
    // Nothing is allocated here: this also cleans up after a lack of memory.
    std::vector<Entry> pending;
    {
        const std::lock_guard lock(mutex_);
        open_ = false;
        woken_ = false;
        pending.swap(pending_entries_);
        pending_.clear();
    }
    batch_.clear();
    std::vector<Entry> rest;
    rest.swap(in_flight_);
    rest.erase(rest.begin(), rest.begin() + static_cast<ptrdiff_t>(std::exchange(head_, 0)));
    uint64_t bytes = 0;
    for (const Entry& entry : rest) bytes += entry.bytes;
    for (const Entry& entry : pending) bytes += entry.bytes;
    const uint64_t count = rest.size() + pending.size();
    failed_.add(count);
    const bool room = release(count, bytes);
    for (const Entry& entry : rest) entry.sink.done(status, reason);
    for (const Entry& entry : pending) entry.sink.done(status, reason);
    if (room) sink_->writable();
}

void Publisher::connection_lost(const std::string& reason) {
    complete_rest(MERIDIAN_UNAVAILABLE, reason);
    owner_.link_lost(std::exchange(was_ready_, false), reason);
}

void Publisher::refuse() {
    const std::lock_guard lock(mutex_);
    refusing_ = true;
}

void Publisher::cancel() {
    connection_.close();
    complete_rest(MERIDIAN_CANCELLED, "the transport is stopping");
}

bool Publisher::idle() const {
    const std::lock_guard lock(mutex_);
    return queued_.messages == 0;
}

uint64_t Publisher::due_us() const {
    uint64_t due = connection_.due_us();
    if (!connection_.ready()) return due;
    if (head_ != in_flight_.size()) due = std::min(due, progress_us_ + options_.command_timeout_us);
    if (!connection_.written()) return due;
    const std::lock_guard lock(mutex_);
    return pending_entries_.empty() ? due : 0;
}

Publisher::Queued Publisher::queued() const {
    const std::lock_guard lock(mutex_);
    return queued_;
}

void Publisher::tell_metrics() {
    published_.tell(host_);
    failed_.tell(host_);
    const Queued now = queued();
    queued_messages_gauge_.tell(host_, now.messages);
    queued_bytes_gauge_.tell(host_, now.bytes);
}

}  // namespace meridian::transport_redis
