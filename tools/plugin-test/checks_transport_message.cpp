// What is published and sent: it arrives as it was given, at those for whom it is, or not at all.
#include <chrono>
#include <thread>

#include "cluster.h"

namespace meridian::plugin_test {
namespace {

// Larger ones take the kit too long.
constexpr uint64_t size_tried_max = 64 << 20;

void require_unicast(const Fixture& fixture) {
    if (!fixture.has(MERIDIAN_TRANSPORT_UNICAST)) throw Skipped("it has no unicast");
}

void what_one_node_publishes_the_other_receives(Fixture& fixture) {
    Pair pair(fixture);
    std::string every_byte;
    for (int i = 0; i < 256; ++i) every_byte += static_cast<char>(i);
    for (int round = 0; round < 3; ++round) {
        const std::string mark = std::to_string(round);
        for (const std::string& bytes : {unique_bytes(), unique_bytes(1000), mark + every_byte, mark + "\r\n\r\n"}) {
            carry(pair.a, pair.b, control(bytes + "a"));
            carry(pair.b, pair.a, control(bytes + "b"));
            carry(pair.a, pair.b, delta("room", bytes + "a"));
        }
    }
}

void an_empty_message_is_carried(Fixture& fixture) {
    Pair pair(fixture);
    carry(pair.a, pair.b, control(""));
    carry(pair.a, pair.b, delta("room", ""));
}

void channels_and_namespaces_are_kept(Fixture& fixture) {
    Pair pair(fixture);
    std::string odd;
    for (int i = 1; i < 256; ++i) odd += static_cast<char>(i);
    const std::string bytes = unique_bytes();
    carry(pair.a, pair.b, control(bytes));
    for (const std::string& name : {std::string("a"), std::string("room"), std::string("room/1"), std::string("{x} *?"),
                                    std::string(255, 'n'), odd})
        carry(pair.a, pair.b, delta(name, bytes));
}

void messages_up_to_the_limit_are_carried_whole(Fixture& fixture) {
    Pair pair(fixture);
    const uint64_t max = pair.a.message_bytes_max();
    require(max >= 1024, "message_bytes_max: found " + std::to_string(max) + ", expected at least 1024");
    if (max > size_tried_max) throw Skipped("message_bytes_max is " + std::to_string(max));
    const auto size = static_cast<size_t>(max);
    for (const size_t each : {size / 2, size - 1, size}) carry(pair.a, pair.b, control(unique_bytes(each)));
    carry(pair.b, pair.a, delta(std::string(255, 'n'), unique_bytes(size)));
}

void a_message_beyond_the_limit_is_invalid(Fixture& fixture) {
    Pair pair(fixture);
    const uint64_t max = pair.a.message_bytes_max();
    if (max > size_tried_max) throw Skipped("message_bytes_max is " + std::to_string(max));
    const std::string bytes = unique_bytes(static_cast<size_t>(max) + 1);
    std::vector<std::shared_ptr<Call>> calls = {pair.a.submit_publish(control(bytes)),
                                                pair.a.submit_publish(delta("room", bytes))};
    if (fixture.has(MERIDIAN_TRANSPORT_UNICAST)) calls.push_back(pair.a.submit_send(address_of(pair.a, pair.b), bytes));
    if (fixture.has(MERIDIAN_TRANSPORT_REQUEST))
        calls.push_back(pair.a.submit_request(address_of(pair.a, pair.b), control(bytes), monotonic_us() + 1'000'000));
    for (const auto& call : calls)
        require_equal(status_name(call->submitted()), "MERIDIAN_INVALID",
                      call->function() + " of message_bytes_max + 1 bytes");
    carry(pair.a, pair.b, control(unique_bytes()));
}

void a_channel_that_is_not_for_it_is_invalid(Fixture& fixture) {
    Pair pair(fixture);
    for (const uint32_t channel :
         {uint32_t{0}, uint32_t{MERIDIAN_CHANNEL_PULL}, uint32_t{MERIDIAN_CHANNEL_LEGACY_LOG}, uint32_t{99}})
        require_equal(status_name(pair.a.submit_publish({channel, "", unique_bytes()})->submitted()),
                      "MERIDIAN_INVALID", "publish on channel " + std::to_string(channel));
    if (!fixture.has(MERIDIAN_TRANSPORT_REQUEST)) return;
    const std::string target = address_of(pair.a, pair.b);
    for (const uint32_t channel :
         {uint32_t{0}, uint32_t{MERIDIAN_CHANNEL_DELTA}, uint32_t{MERIDIAN_CHANNEL_LEGACY_LOG}, uint32_t{99}}) {
        const auto call = pair.a.submit_request(target, {channel, "", unique_bytes()}, monotonic_us() + 1'000'000);
        require_equal(status_name(call->submitted()), "MERIDIAN_INVALID",
                      "request on channel " + std::to_string(channel));
    }
}

void messages_are_copied(Fixture& fixture) {
    Pair pair(fixture);
    const Manner scribble{0, true};
    for (int i = 0; i < 20; ++i) carry(pair.a, pair.b, delta("room", unique_bytes(5000)), scribble);
    const bool sends = fixture.has(MERIDIAN_TRANSPORT_UNICAST);
    const bool requests = fixture.has(MERIDIAN_TRANSPORT_REQUEST);
    if (!sends && !requests) return;
    const std::string target = address_of(pair.a, pair.b);
    for (int i = 0; i < 10; ++i) {
        if (sends) carry_to(pair.a, target, pair.b, unique_bytes(5000), scribble);
        if (!requests) continue;
        const Asked asked = ask(pair.a, target, pair.b, control(unique_bytes(5000)), 5'000'000, scribble);
        const std::string reply = unique_bytes(5000);
        pair.b.reply(asked.delivery.reply_id, reply);
        const auto result = asked.call->wait();
        if (result.status == MERIDIAN_OK) require_equal(result.reply, reply, "the reply");
    }
}

// What was delivered of a burst: messages "MARK NUMBER".
void require_order(const Inbox& inbox, const std::string& mark) {
    std::string last;
    for (const Delivery& delivery : inbox.deliveries()) {
        const std::string& bytes = delivery.message.bytes;
        if (bytes.rfind(mark, 0) != 0) continue;
        require(bytes >= last,
                "found '" + bytes + "' after '" + last + "', although MERIDIAN_TRANSPORT_ORDERED is set");
        last = bytes;
    }
}

void messages_of_one_sender_keep_their_order(Fixture& fixture) {
    if (!fixture.has(MERIDIAN_TRANSPORT_ORDERED)) throw Skipped("it does not promise an order");
    Pair pair(fixture);
    for (int burst = 0; burst < 20; ++burst) {
        const std::string mark = "burst " + std::to_string(burst) + " ";
        for (int i = 0; i < 50; ++i) publish(pair.a, control(mark + std::to_string(1000 + i)));
        carry(pair.a, pair.b, control(mark + "9999"));
        require_order(pair.b.inbox(), mark);
    }
}

void what_is_sent_reaches_the_named_node_only(Fixture& fixture) {
    require_unicast(fixture);
    Pair pair(fixture);
    std::optional<Transport> third;
    if (fixture.has_third_node()) {
        third.emplace(fixture.open_transport(pair.place, 3));
        third->start();
        carry(pair.a, *third, control(unique_bytes()));
    }
    const std::string to_b = address_of(pair.a, pair.b);
    std::vector<std::string> sent;
    for (int i = 0; i < 10; ++i) {
        sent.push_back(unique_bytes());
        carry_to(pair.a, to_b, pair.b, sent.back());
    }
    carry(pair.a, pair.b, control(unique_bytes()));
    if (third) carry(pair.a, *third, control(unique_bytes()));
    for (const std::string& bytes : sent) {
        require(pair.a.inbox().count(control(bytes)) == 0, "what was sent to another node has reached the sender");
        require(!third || third->inbox().count(control(bytes)) == 0, "what was sent to one node has reached another");
    }
}

void the_source_of_a_message_reaches_its_sender(Fixture& fixture) {
    require_unicast(fixture);
    Pair pair(fixture);
    const std::string source = carry(pair.a, pair.b, control(unique_bytes())).source;
    if (source.empty()) throw Skipped("it does not know the sources of messages");
    require(source.size() <= 1024, "a source of " + std::to_string(source.size()) + " bytes, expected at most 1024");
    if (fixture.has(MERIDIAN_TRANSPORT_NODE_NAMES)) require_equal(source, pair.a.node_name(), "the source");
    carry_to(pair.b, source, pair.a, unique_bytes());
}

void what_is_no_address_is_invalid(Fixture& fixture) {
    const bool sends = fixture.has(MERIDIAN_TRANSPORT_UNICAST);
    const bool requests = fixture.has(MERIDIAN_TRANSPORT_REQUEST);
    if (!sends && !requests) throw Skipped("it has neither unicast nor request");
    Pair pair(fixture);
    for (const std::string& target : {std::string(), std::string(1025, 'a')}) {
        const std::string of = " to a target of " + std::to_string(target.size()) + " bytes";
        if (sends)
            require_equal(status_name(pair.a.submit_send(target, "x")->submitted()), "MERIDIAN_INVALID", "send" + of);
        if (!requests) continue;
        const auto call = pair.a.submit_request(target, control("x"), monotonic_us() + 1'000'000);
        require_equal(status_name(call->submitted()), "MERIDIAN_INVALID", "request" + of);
    }
}

void a_node_that_is_not_there_is_not_waited_for(Fixture& fixture) {
    require_unicast(fixture);
    Pair pair(fixture);
    const std::string to_b = address_of(pair.a, pair.b);
    pair.b.close();
    for (int i = 0; i < 5; ++i) {
        const auto call = pair.a.submit_send(to_b, unique_bytes());
        if (call->submitted() == MERIDIAN_OK) call->wait();
    }
}

}  // namespace

std::vector<Check> transport_message_checks() {
    return {
        {"what one node publishes the other receives", what_one_node_publishes_the_other_receives},
        {"an empty message is carried", an_empty_message_is_carried},
        {"channels and namespaces are kept", channels_and_namespaces_are_kept},
        {"messages up to the limit are carried whole", messages_up_to_the_limit_are_carried_whole},
        {"a message beyond the limit is invalid", a_message_beyond_the_limit_is_invalid},
        {"a channel that is not for it is invalid", a_channel_that_is_not_for_it_is_invalid},
        {"messages are copied", messages_are_copied},
        {"messages of one sender keep their order", messages_of_one_sender_keep_their_order},
        {"what is sent reaches the named node only", what_is_sent_reaches_the_named_node_only},
        {"the source of a message reaches its sender", the_source_of_a_message_reaches_its_sender},
        {"what is no address is invalid", what_is_no_address_is_invalid},
        {"a node that is not there is not waited for", a_node_that_is_not_there_is_not_waited_for},
    };
}

}  // namespace meridian::plugin_test
