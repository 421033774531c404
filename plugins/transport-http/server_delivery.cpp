// From a request that has arrived to the host, and back: the second half of ServerConnection.
#include <algorithm>
#include <charconv>

#include "server.h"
#include "server_connection.h"
#include "wire.h"

namespace meridian::transport_http {
namespace {
constexpr std::string_view messages_type = "application/msgpack";
constexpr std::string_view log_type = "application/octet-stream";
}  // namespace

void ServerConnection::choose_wait(const http::RequestHead& head) {
    reply_wait_us_ = route_ == Route::control ? loop_.settings.reply_timeout_us : loop_.settings.pull_timeout_us;
    const auto asked = route_ == Route::control ? head.header("meridian-wait") : std::nullopt;
    uint32_t ms = 0;
    if (!asked || std::from_chars(asked->data(), asked->data() + asked->size(), ms).ec != std::errc()) return;
    reply_wait_us_ = std::max(reply_wait_us_, std::min(uint64_t{ms} * 1000, loop_.settings.pull_timeout_us));
}

void ServerConnection::choose_log_route(const http::RequestHead& head) {
    if (const auto want = http::query_value(head.query, "want")) {
        auto bytes = base64url_decode(*want);
        if (!bytes) {
            refusal_ = 400;
            refusal_text_ = "want: expected base64url without padding";
            return;
        }
        body_ = std::move(*bytes);
        return;
    }
    route_ = Route::legacy_log;
    const auto from = http::query_value(head.query, "from_seq");
    uint64_t number = 0;
    const char* end = from ? from->data() + from->size() : nullptr;
    const auto parsed = from ? std::from_chars(from->data(), end, number) : std::from_chars_result{};
    if (!from || from->empty() || parsed.ec != std::errc() || parsed.ptr != end) {
        refusal_ = 400;
        refusal_text_ = from ? "from_seq: expected a decimal number" : "from_seq is missing";
        return;
    }
    body_ = std::to_string(number);
}

bool ServerConnection::process_body() {
    const bool is_get = route_ == Route::pull || route_ == Route::legacy_log;
    std::string arrived;
    if (chunked_) {
        std::string_view rest = input_;
        const auto state = chunked_->feed(rest);
        input_.erase(0, input_.size() - rest.size());
        if (state == http::ChunkedBody::State::more) return false;
        if (state != http::ChunkedBody::State::complete) {
            keep_alive_ = false;
            refuse(state == http::ChunkedBody::State::too_large ? 413 : 400, {});
            return false;
        }
        arrived = chunked_->take();
        chunked_.reset();
    } else {
        const size_t taken = std::min(body_rest_, input_.size());
        // The body of a GET means nothing, and its place has what the query said.
        if (!is_get) body_.append(input_, 0, taken);
        input_.erase(0, taken);
        body_rest_ -= taken;
        if (body_rest_ != 0) return false;
    }
    if (!is_get && !arrived.empty()) body_ = std::move(arrived);
    if (refusal_ != 0) {
        refuse(refusal_, refusal_text_);
    } else {
        deliver();
    }
    return state_ == State::head;
}

meridian_status ServerConnection::deliver_batch() {
    std::string_view rest = std::string_view(body_).substr(batch_at_);
    while (!rest.empty()) {
        const auto delta = take_from_batch(rest);
        const meridian_status status =
            server_.sink().deliver(MERIDIAN_CHANNEL_DELTA, delta->namespace_name, delta->envelope);
        if (status == MERIDIAN_BUSY) return status;
        // One that is not an envelope is counted by the host, and does not keep back the others.
        ++batch_taken_;
        batch_at_ = body_.size() - rest.size();
    }
    return MERIDIAN_OK;
}

meridian_status ServerConnection::deliver_for_reply(uint32_t channel) {
    reply_id_ = server_.expect_reply(id_);
    set_state(State::replying, reply_wait_us_);
    const meridian_status status = server_.sink().deliver(channel, {}, body_, {}, reply_id_);
    if (status != MERIDIAN_OK) {
        server_.forget_reply(reply_id_);
        reply_id_ = 0;
    }
    return status;
}

void ServerConnection::deliver() {
    if (route_ == Route::deltas && batch_at_ == 0 && !is_batch(body_)) {
        answer(400, {}, {});
        return;
    }
    if (busy_until_us_ == 0) loop_.host.metric(MERIDIAN_METRIC_COUNTER, "requests_received", 1);
    meridian_status status = MERIDIAN_INVALID;
    bool has_reply = false;
    switch (route_) {
        case Route::none:
            break;
        case Route::delta:
            status = server_.sink().deliver(MERIDIAN_CHANNEL_DELTA, namespace_name_, body_);
            break;
        case Route::deltas:
            status = deliver_batch();
            break;
        case Route::control:
        case Route::pull:
        case Route::legacy_log:
            has_reply = true;
            status = deliver_for_reply(route_ == Route::control ? MERIDIAN_CHANNEL_CONTROL
                                       : route_ == Route::pull  ? MERIDIAN_CHANNEL_PULL
                                                                : MERIDIAN_CHANNEL_LEGACY_LOG);
            break;
    }
    if (status == MERIDIAN_OK && has_reply) return;
    if (status == MERIDIAN_OK) {
        answer(200, {}, {});
    } else if (status == MERIDIAN_BUSY) {
        const uint64_t now = loop_.now_us();
        if (busy_until_us_ == 0) busy_until_us_ = now + loop_.settings.busy_timeout_us;
        if (now >= busy_until_us_) return give_up_busy();
        set_state(State::held, busy_until_us_ - now);
    } else {
        answer(400, {}, {});
    }
}

void ServerConnection::resume() {
    deliver();
    process();
}

void ServerConnection::give_up_busy() {
    if (route_ == Route::control) server_.sink().gap(MERIDIAN_CHANNEL_CONTROL);
    if (route_ == Route::delta || route_ == Route::deltas) server_.sink().gap(MERIDIAN_CHANNEL_DELTA);
    const std::string taken = route_ == Route::deltas ? std::to_string(batch_taken_) : std::string();
    answer(503, "text/plain", taken);
}

void ServerConnection::on_reply(std::string bytes) {
    if (state_ != State::replying) return;
    if (bytes.empty()) {
        // The older protocol knows no empty answer.
        answer(route_ == Route::legacy_log ? 500 : 204, {}, {});
    } else {
        answer(200, route_ == Route::legacy_log ? log_type : messages_type, bytes);
    }
    process();
}

}  // namespace meridian::transport_http
