#include "replication/greeter.h"

#include <algorithm>
#include <utility>

namespace meridian::replication {

namespace {

constexpr double period_jitter = 0.2;
constexpr uint64_t soon_us = 20'000;           // what asks for a hello within it gets one together
constexpr uint64_t apart_us = 500'000;         // between two that were not due
constexpr uint64_t clock_age_us = 60'000'000;  // after which a peer's clock is read again

}  // namespace

Greeter::Greeter(Context& context, Peers& peers, Messenger& messenger, const Inbox& inbox,
                 std::vector<std::unique_ptr<Endpoint>>& endpoints)
    : context_(context), peers_(peers), messenger_(messenger), inbox_(inbox), endpoints_(endpoints) {}

void Greeter::start() {
    context_.post_after(context_.jittered(context_.hello_period_us(), period_jitter), [this] { tick(); });
}

void Greeter::tick() {
    if (context_.stopping) return;
    for (const auto& endpoint : endpoints_) say(*endpoint, false, false);
    ask_one();
    start();
}

void Greeter::ask_one() {
    const Peer* oldest = nullptr;
    for (const auto& [node_id, peer] : peers_.all()) {
        if (!peers_.alive(peer) || peer.clock_us + clock_age_us > context_.now_us()) continue;
        if (oldest == nullptr || peer.clock_us < oldest->clock_us) oldest = &peer;
    }
    if (oldest == nullptr || oldest->endpoint >= endpoints_.size()) return;
    Hello hello = make(*endpoints_[oldest->endpoint], nullptr);
    hello.wants_reply = true;
    ++context_.counters.hellos_sent;
    messenger_.send(*oldest, std::move(hello));
}

void Greeter::greet(Endpoint& endpoint, bool ask) {
    Pending& pending = pending_[endpoint.index()];
    pending.ask |= ask;
    if (pending.scheduled || context_.stopping) return;
    pending.scheduled = true;
    const uint64_t now_us = context_.now_us();
    uint64_t wait_us = context_.jittered(soon_us, 0.5);
    if (pending.last_us != 0 && pending.last_us + apart_us > now_us + wait_us)
        wait_us = pending.last_us + apart_us - now_us;
    context_.post_after(wait_us, [this, &endpoint] {
        Pending& due = pending_[endpoint.index()];
        due.scheduled = false;
        due.last_us = context_.now_us();
        if (!context_.stopping) say(endpoint, std::exchange(due.ask, false), false);
    });
}

void Greeter::greet_everywhere(bool ask) {
    for (const auto& endpoint : endpoints_) greet(*endpoint, ask);
}

void Greeter::say(Endpoint& endpoint, bool ask, bool leaving) {
    if (!endpoint.up() || !endpoint.transport().has_broadcast()) return;
    Hello hello = make(endpoint, nullptr);
    hello.wants_reply = ask;
    hello.leaving = leaving;
    ++context_.counters.hellos_sent;
    messenger_.broadcast(endpoint, std::move(hello));
}

void Greeter::answer(const ReplyPath& path, bool is_reply) {
    // Its hello has just come: what is echoed is fresh, and tells how far the clocks are apart.
    const Peer* peer = peers_.find(path.to.node_id);
    Hello hello = make(*path.endpoint, peer);
    ++context_.counters.hellos_sent;
    if (is_reply) {
        messenger_.reply(path, std::move(hello));
    } else {
        messenger_.send(*path.endpoint, path.to, path.source, std::move(hello));
    }
}

void Greeter::leave() {
    for (const auto& endpoint : endpoints_) say(*endpoint, false, true);
}

Hello Greeter::make(const Endpoint& endpoint, const Peer* echo) const {
    Hello hello;
    hello.vector = context_.port.vector();
    hello.waiting = inbox_.waiting_beyond_gaps();
    const VersionVector floors = context_.port.floors();
    const auto floor = floors.find(context_.self);
    hello.floor = floor == floors.end() ? node::held(hello.vector, context_.self) + 1 : floor->second;
    for (const auto& other : endpoints_) {
        if (hello.addresses.size() == addresses_max) break;
        std::string address = other->transport().address();
        if (!address.empty()) hello.addresses.emplace_back(other->transport().name(), std::move(address));
    }
    hello.message_bytes_max = endpoint.transport().message_bytes_max();
    hello.nonce = context_.nonce;
    hello.interval_ms = context_.hello_period_us() / 1000;
    hello.members = peers_.heard_ms_ago();
    hello.ready = context_.ready;
    hello.leaving = context_.stopping;
    if (echo != nullptr) {
        hello.echo_wall_ms = echo->hello_wall_ms;
        hello.echo_number = echo->hello_number;
    }
    return hello;
}

}  // namespace meridian::replication
