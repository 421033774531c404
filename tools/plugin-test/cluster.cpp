#include "cluster.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <thread>

#include "report.h"

namespace meridian::plugin_test {
namespace {

constexpr uint64_t again_ms = 500;

Fixture& with_broadcast(Fixture& fixture) {
    if (!fixture.has(MERIDIAN_TRANSPORT_BROADCAST)) throw Skipped("it has no broadcast");
    return fixture;
}

Transport started(Transport transport) {
    transport.start();
    return transport;
}

// Submits until the call is accepted: a transport may be busy, or see nobody for the moment.
template <class Submit>
auto accepted(const Submit& submit) {
    for (;;) {
        auto call = submit();
        if (call->submitted() == MERIDIAN_OK) return call;
        require(call->submitted() == MERIDIAN_BUSY || call->submitted() == MERIDIAN_UNAVAILABLE,
                call->function() + ": found " + status_name(call->submitted()) + ", expected MERIDIAN_OK");
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

// Calls `submit` until the message is at `to`, and was taken.
Delivery carried(Transport& to, const Message& message, const std::function<void()>& submit) {
    const auto arrived = [&] { return to.inbox().count(message) != 0; };
    const std::string what = "a message of " + std::to_string(message.bytes.size()) + " bytes to arrive";
    for (;;) {
        submit();
        doing("waiting for " + what);
        const bool done = to.inbox().wait_for(arrived, again_ms);
        require_only_submitted(to.inbox());
        if (done) break;
    }
    doing("the check, after " + what);
    for (const Delivery& delivery : to.inbox().deliveries()) {
        if (delivery.answer == MERIDIAN_OK && delivery.message == message) return delivery;
    }
    throw Failed("the kit has lost a delivery");
}

}  // namespace

Pair::Pair(Fixture& fixture)
    : place(with_broadcast(fixture).new_place()),
      a(started(fixture.open_transport(place, 1))),
      b(started(fixture.open_transport(place, 2))) {
    carry(a, b, control(unique_bytes()));
    carry(b, a, control(unique_bytes()));
}

std::string unique_bytes(size_t size) {
    static std::atomic<uint64_t> count{0};
    std::string out = "message " + std::to_string(count.fetch_add(1)) + " ";
    for (uint32_t random = 1; out.size() < size; random = random * 1'664'525 + 1'013'904'223)
        out += static_cast<char>(random >> 24);
    return out;
}

std::shared_ptr<PublishCall> publish(Transport& from, const Message& message, Manner manner) {
    return accepted([&] { return from.submit_publish(message, manner); });
}

Delivery carry(Transport& from, Transport& to, const Message& message, Manner manner) {
    return carried(to, message, [&] { publish(from, message, manner); });
}

Delivery carry_to(Transport& from, const std::string& target, Transport& to, const std::string& bytes, Manner manner) {
    return carried(to, control(bytes), [&] { accepted([&] { return from.submit_send(target, bytes, manner); }); });
}

Asked ask(Transport& from, const std::string& target, Transport& to, const Message& message, uint64_t timeout_us,
          Manner manner) {
    Asked out;
    const size_t before = to.inbox().count(message);
    const auto arrived = [&] { return to.inbox().count(message) > before; };
    for (;;) {
        out.call = accepted(
            [&] { return from.submit_request(target, message, monotonic_us() + timeout_us, &out.request_id, manner); });
        const std::string what = "a request of " + std::to_string(message.bytes.size()) + " bytes to arrive";
        doing("waiting for " + what);
        // A request that was lost ends by itself, and is made again.
        while (!to.inbox().wait_for(arrived, 20)) {
            if (out.call->is_done()) break;
        }
        doing("the check, after " + what);
        require_only_submitted(to.inbox());
        if (arrived()) break;
    }
    for (const Delivery& delivery : to.inbox().deliveries()) {
        if (delivery.answer == MERIDIAN_OK && delivery.message == message) out.delivery = delivery;
    }
    require(out.delivery.reply_id != 0, "a request was delivered with reply_id 0");
    return out;
}

void require_only_submitted(const Inbox& inbox) {
    for (const Delivery& delivery : inbox.deliveries()) {
        const Message& found = delivery.message;
        require(Transport::was_submitted(found), "delivered on channel " + std::to_string(found.channel) +
                                                     ", namespace " + shown(found.namespace_name) + ": " +
                                                     shown(found.bytes) + ", which nobody has submitted like that");
    }
}

std::string address_of(Transport& from, Transport& to) {
    if (to.has(MERIDIAN_TRANSPORT_NODE_NAMES)) return to.node_name();
    const auto addresses = to.addresses();
    if (addresses.size() == 1 && !addresses[0].empty()) return addresses[0];
    const std::string source = carry(to, from, control(unique_bytes())).source;
    if (source.empty()) throw Skipped("neither address nor the source of a message says how to reach a node");
    return source;
}

void submit_everything(Pair& pair) {
    const std::string target = pair.a.node_name();
    for (int i = 0; i < 20; ++i) {
        pair.a.submit_publish(control(unique_bytes()));
        pair.b.submit_publish(delta("room", unique_bytes()));
    }
    const uint64_t max = pair.a.message_bytes_max();
    if (max < 64 << 20) pair.a.submit_publish(control(unique_bytes(static_cast<size_t>(max) + 1)));
    pair.a.submit_publish({99, "", unique_bytes()});
    const bool sends = pair.a.has(MERIDIAN_TRANSPORT_UNICAST);
    const bool requests = pair.a.has(MERIDIAN_TRANSPORT_REQUEST);
    if (!sends && !requests) return;
    const std::string to_b = address_of(pair.a, pair.b);
    for (int i = 0; i < 5 && sends; ++i) pair.a.submit_send(to_b, unique_bytes());
    if (sends) pair.a.submit_send("", unique_bytes());
    if (!requests) return;
    pair.a.submit_request("", control(unique_bytes()), monotonic_us() + 1'000'000);
    const Asked answered = ask(pair.a, to_b, pair.b, control(unique_bytes()), 5'000'000);
    pair.b.reply(answered.delivery.reply_id, "answer");
    pair.a.submit_request(to_b, control(unique_bytes()), monotonic_us() + 1'000)->wait();
    const Asked cancelled = ask(pair.a, to_b, pair.b, control(unique_bytes()), 5'000'000);
    pair.a.cancel(cancelled.request_id);
    cancelled.call->wait();
    pair.b.reply(cancelled.delivery.reply_id, "too late");
    ask(pair.a, to_b, pair.b, control(unique_bytes()), 50'000'000);  // outstanding
}

}  // namespace meridian::plugin_test
