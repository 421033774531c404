// What goes over a peer's lanes, and what its answers mean.
#include <algorithm>
#include <charconv>

#include "peer.h"
#include "wire.h"

namespace meridian::transport_http {
namespace {

constexpr size_t batch_messages_max = 1000;

std::string post_head(const std::string& route, const std::string& authority, const char* type, size_t size,
                      const std::string& more_headers = {}) {
    return "POST /internal/cluster/" + route + " HTTP/1.1\r\nHost: " + authority + "\r\nContent-Type: " + type +
           "\r\nContent-Length: " + std::to_string(size) + "\r\n" + more_headers + "\r\n";
}

std::string answered(int status) {
    return "it answered " + std::to_string(status);
}

}  // namespace

Lane& Peer::lane_for(const Message& message) {
    if (!message.is_request) return lanes_[message.channel == MERIDIAN_CHANNEL_DELTA ? deltas : control];
    // An idle one, if it can be one that is connected; else the one with the fewest before it.
    const auto cost = [](const Lane& lane) {
        return lane.is_idle() ? (lane.connection ? size_t{0} : size_t{1}) : lane.waiting.size() + 2;
    };
    return *std::min_element(lanes_.begin() + first_request, lanes_.end(),
                             [&](const Lane& left, const Lane& right) { return cost(left) < cost(right); });
}

void Peer::submit(Message message) {
    last_submit_us_ = loop_.now_us();
    message.queued_at_us = last_submit_us_;
    Lane& lane = lane_for(message);
    Outcome refusal;
    if (!accepts_) {
        const std::lock_guard lock(status_->mutex);
        refusal = {MERIDIAN_UNAVAILABLE, failure(status_->error), {}};
    } else if (message.channel == MERIDIAN_CHANNEL_CONTROL && !knows_control_) {
        refusal = {MERIDIAN_NOT_SUPPORTED, failure("an older node, which takes deltas only"), {}};
    } else if (lane.is_full_for(message.bytes->size(), loop_.settings)) {
        refusal = {MERIDIAN_UNAVAILABLE, failure("its queue is full"), {}};
    }
    if (refusal.status != MERIDIAN_OK) {
        if (!message.is_request) loop_.host.metric(MERIDIAN_METRIC_COUNTER, "messages_dropped", 1);
        message.done(std::move(refusal));
        return;
    }
    status_->queued_messages += 1;
    status_->queued_bytes += message.bytes->size();
    if (message.is_request) loop_.arm(message.deadline_us);
    lane.put(std::move(message));
    pump(lane);
}

void Peer::complete(Message message, Outcome outcome) {
    status_->queued_messages -= 1;
    status_->queued_bytes -= message.bytes->size();
    // An answer that was read before its deadline was looked at may have come behind it.
    if (message.is_request && outcome.status == MERIDIAN_OK && loop_.now_us() >= message.deadline_us)
        outcome = {MERIDIAN_TIMEOUT, failure("no answer in time"), {}};
    if (!message.is_request)
        loop_.host.metric(MERIDIAN_METRIC_COUNTER, outcome.status == MERIDIAN_OK ? "messages_sent" : "messages_dropped",
                          1);
    message.done(std::move(outcome));
}

void Peer::complete_under_way(Lane& lane, meridian_status status, const std::string& why) {
    std::vector<Message> messages;
    messages.swap(lane.under_way);
    const std::string text = status == MERIDIAN_OK ? std::string() : failure(why);
    for (Message& message : messages) complete(std::move(message), {status, text, {}});
}

bool Peer::cancel(uint64_t request_id) {
    const Outcome cancelled{MERIDIAN_CANCELLED, "cancelled", {}};
    for (Lane& lane : lanes_) {
        const auto is_it = [&](const Message& message) {
            return message.is_request && message.request_id == request_id;
        };
        const auto waiting = std::find_if(lane.waiting.begin(), lane.waiting.end(), is_it);
        if (waiting != lane.waiting.end()) {
            Message message = std::move(*waiting);
            lane.waiting.erase(waiting);
            lane.waiting_bytes -= message.bytes->size();
            complete(std::move(message), cancelled);
            return true;
        }
        if (std::any_of(lane.under_way.begin(), lane.under_way.end(), is_it)) {
            // Its answer would be taken for that of the next one.
            drop_connection(lane);
            lane.repeated = false;
            complete_under_way(lane, cancelled.status, cancelled.text);
            pump(lane);
            return true;
        }
    }
    return false;
}

void Peer::pump(Lane& lane) {
    if (state_ != State::up || lane.waiting.empty() || !lane.under_way.empty() || lane.probing) return;
    if (lane.hold_until_us != 0) return;
    if (!lane.connection) {
        if (!is_delta_lane(lane)) {
            connect(lane);
        } else if (!looking_up_) {
            begin_connecting();
        }
        return;
    }
    if (!lane.connection->is_ready()) return;
    if (is_delta_lane(lane)) {
        send_deltas(lane);
    } else {
        send_message(lane);
    }
}

void Peer::send(Lane& lane, std::string head, std::shared_ptr<const std::string> body, uint64_t deadline_us) {
    lane.last_used_us = loop_.now_us();
    lane.connection->send(std::move(head), std::move(body), deadline_us);
}

void Peer::send_deltas(Lane& lane) {
    const uint64_t deadline = loop_.now_us() + loop_.settings.request_timeout_us;
    size_t bytes = 0;
    do {
        bytes += batch_overhead_bytes + lane.waiting.front().bytes->size();
        lane.under_way.push_back(lane.take());
    } while (knows_batches_ && !lane.waiting.empty() && lane.under_way.size() < batch_messages_max &&
             bytes + batch_overhead_bytes + lane.waiting.front().bytes->size() <= batch_bytes_);
    if (lane.under_way.size() == 1) {
        const auto body = lane.under_way.front().bytes;
        const std::string& name = lane.under_way.front().namespace_name;
        const std::string header =
            name.empty() ? std::string() : "Meridian-Namespace: " + base64url_encode(name) + "\r\n";
        send(lane, post_head("delta", url_.authority(), "application/msgpack", body->size(), header), body, deadline);
        return;
    }
    auto batch = std::make_shared<std::string>();
    batch->reserve(bytes);
    for (const Message& message : lane.under_way) append_to_batch(*batch, {message.namespace_name, *message.bytes});
    loop_.host.metric(MERIDIAN_METRIC_COUNTER, "batches_sent", 1);
    send(lane, post_head("deltas", url_.authority(), "application/octet-stream", batch->size()), batch, deadline);
}

void Peer::send_message(Lane& lane) {
    lane.under_way.push_back(lane.take());
    const Message& message = lane.under_way.front();
    uint64_t deadline = loop_.now_us() + loop_.settings.request_timeout_us;
    if (message.is_request) deadline = message.deadline_us;
    if (message.channel == MERIDIAN_CHANNEL_PULL) {
        send(lane,
             "GET /internal/cluster/wal?want=" + base64url_encode(*message.bytes) +
                 " HTTP/1.1\r\nHost: " + url_.authority() + "\r\n\r\n",
             nullptr, deadline);
    } else {
        const auto body = message.bytes;
        // Who has a deadline waits for it; the peer need not answer sooner for want of a reply.
        const uint64_t now = loop_.now_us();
        const uint64_t wait_ms = std::min<uint64_t>(deadline > now ? (deadline - now) / 1000 + 1 : 1, 3'600'000);
        const std::string header =
            message.is_request ? "Meridian-Wait: " + std::to_string(wait_ms) + "\r\n" : std::string();
        send(lane, post_head("osp1", url_.authority(), "application/msgpack", body->size(), header), body, deadline);
    }
}

void Peer::on_delta_answer(Lane& lane, const Answer& answer) {
    const bool is_batch = lane.under_way.size() > 1;
    if (answer.status != 503) lane.busy_answers = 0;
    if (answer.status / 100 == 2) {
        complete_under_way(lane, MERIDIAN_OK, {});
    } else if (answer.status == 503) {
        on_busy_answer(lane, answer);
    } else if (is_batch && answer.status == 413) {
        batch_bytes_ /= 2;
        lane.put_back();
    } else if (is_batch && answer.status == 404) {
        knows_batches_ = false;
        lane.put_back();
    } else {
        // A single message may be wrong for a peer (400, 413); other answers mean that it takes none.
        if (answer.status != 400 && answer.status != 413) report_refusal(answered(answer.status));
        complete_under_way(lane, MERIDIAN_UNAVAILABLE, answered(answer.status));
    }
}

void Peer::report_refusal(const std::string& why) {
    {
        const std::lock_guard lock(status_->mutex);
        status_->error = why;
    }
    if (reported_refusal_) return;
    reported_refusal_ = true;
    loop_.host.log(MERIDIAN_LOG_WARNING,
                   "peer " + url_.text() + " takes no deltas: " + why + "; is it the internal address of a node?");
}

// It took as many as it says, the rest may be sent again; but nothing waits for a busy peer for longer than it would
// for a dead one.
void Peer::on_busy_answer(Lane& lane, const Answer& answer) {
    size_t taken = 0;
    std::from_chars(answer.body.data(), answer.body.data() + answer.body.size(), taken);
    taken = std::min(taken, lane.under_way.size());
    const uint64_t now = loop_.now_us();
    std::vector<Message> messages;
    messages.swap(lane.under_way);
    for (size_t i = 0; i < messages.size(); ++i) {
        if (i < taken) {
            complete(std::move(messages[i]), {});
        } else if (now - messages[i].queued_at_us >= loop_.settings.request_timeout_us) {
            complete(std::move(messages[i]), {MERIDIAN_UNAVAILABLE, failure("it is busy"), {}});
        } else {
            lane.under_way.push_back(std::move(messages[i]));
        }
    }
    lane.put_back();
    if (taken != 0) lane.busy_answers = 0;
    lane.hold_until_us = now + backoff_us(lane.busy_answers++);
    loop_.arm(lane.hold_until_us);
}

void Peer::on_message_answer(Lane& lane, Answer answer) {
    Message message = std::move(lane.under_way.front());
    lane.under_way.clear();
    const bool is_pull = message.channel == MERIDIAN_CHANNEL_PULL;
    Outcome outcome;
    if (answer.status == 200 || answer.status == 204) {
        if (message.is_request) {
            outcome.reply = std::move(answer.body);
        } else if (!answer.body.empty()) {
            events_.on_peer_answer(*this, answer.body);
        }
    } else if (answer.status == 404 || (is_pull && answer.status == 400 && !knows_batches_)) {
        // An older node refuses a pull because it misses `from_seq`.
        if (!is_pull) knows_control_ = false;
        outcome = {MERIDIAN_NOT_SUPPORTED, failure("an older node, which takes deltas only"), {}};
    } else {
        outcome = {MERIDIAN_UNAVAILABLE, failure(answered(answer.status)), {}};
    }
    complete(std::move(message), std::move(outcome));
}

}  // namespace meridian::transport_http
