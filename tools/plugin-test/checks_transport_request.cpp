// Requests: one answer each, or none in time.
#include <algorithm>
#include <chrono>
#include <map>
#include <thread>

#include "cluster.h"

namespace meridian::plugin_test {
namespace {

constexpr uint64_t long_us = 20'000'000;
constexpr uint64_t short_us = 100'000;
// In which a thread that has work to do does it, also on a busy machine.
constexpr uint64_t enough_us = 1'000'000;

// Two nodes that can ask each other; the address of the second.
struct AskingPair : Pair {
    explicit AskingPair(Fixture& fixture) : Pair(with_request(fixture)), to_b(address_of(a, b)) {}
    const std::string to_b;

private:
    static Fixture& with_request(Fixture& fixture) {
        if (!fixture.has(MERIDIAN_TRANSPORT_REQUEST)) throw Skipped("it has no request");
        return fixture;
    }
};

// Asks and answers until an answer has come back.
void exchange(AskingPair& pair, const Message& question, const std::string& answer) {
    for (;;) {
        const Asked asked = ask(pair.a, pair.to_b, pair.b, question, long_us);
        const meridian_status replied = pair.b.reply(asked.delivery.reply_id, answer);
        require_equal(status_name(replied), "MERIDIAN_OK", "reply to a request that waits");
        const ReplyResult result = asked.call->wait();
        if (result.status == MERIDIAN_TIMEOUT) continue;
        require_equal(status_name(result.status), "MERIDIAN_OK", "a request that was answered");
        require_equal(result.reply, answer, "the reply");
        return;
    }
}

void a_request_is_answered(Fixture& fixture) {
    AskingPair pair(fixture);
    std::string every_byte;
    for (int i = 0; i < 256; ++i) every_byte += static_cast<char>(i);
    for (const uint32_t channel : {uint32_t{MERIDIAN_CHANNEL_CONTROL}, uint32_t{MERIDIAN_CHANNEL_PULL}}) {
        exchange(pair, {channel, "", unique_bytes() + every_byte}, unique_bytes() + every_byte);
        exchange(pair, {channel, "", unique_bytes()}, "");
        exchange(pair, {channel, "", ""}, unique_bytes());
    }
}

void replies_up_to_the_limit_are_carried_whole(Fixture& fixture) {
    AskingPair pair(fixture);
    const uint64_t max = pair.a.message_bytes_max();
    if (max > 64 << 20) throw Skipped("message_bytes_max is " + std::to_string(max));
    exchange(pair, {MERIDIAN_CHANNEL_CONTROL, "", unique_bytes(static_cast<size_t>(max))},
             unique_bytes(static_cast<size_t>(max)));
}

void every_request_gets_its_own_answer(Fixture& fixture) {
    AskingPair pair(fixture);
    std::vector<Asked> asked;
    for (int i = 0; i < 20; ++i)
        asked.push_back(ask(pair.a, pair.to_b, pair.b, {MERIDIAN_CHANNEL_PULL, "", unique_bytes()}, long_us));
    std::reverse(asked.begin(), asked.end());
    for (const Asked& each : asked) {
        for (const Asked& other : asked)
            require(&each == &other || each.delivery.reply_id != other.delivery.reply_id,
                    "two requests that wait were delivered with the same reply_id");
        pair.b.reply(each.delivery.reply_id, "answer to " + each.delivery.message.bytes);
    }
    for (const Asked& each : asked) {
        const ReplyResult result = each.call->wait();
        if (result.status == MERIDIAN_TIMEOUT) continue;
        require_equal(status_name(result.status), "MERIDIAN_OK", "a request that was answered");
        require_equal(result.reply, "answer to " + each.delivery.message.bytes, "the reply");
    }
}

void a_request_without_an_answer_ends_at_its_deadline(Fixture& fixture) {
    AskingPair pair(fixture);
    const uint64_t deadline_us = monotonic_us() + enough_us;
    const auto call = pair.a.submit_request(pair.to_b, control(unique_bytes()), deadline_us);
    require_equal(status_name(call->submitted()), "MERIDIAN_OK", "request");
    const ReplyResult result = call->wait();
    require_equal(status_name(result.status), "MERIDIAN_TIMEOUT", "a request that nobody answers");
    require(result.done_us >= deadline_us,
            "a request completed " + std::to_string(deadline_us - result.done_us) + " us before its deadline");
    // One that is late from the start.
    const auto late = pair.a.submit_request(pair.to_b, control(unique_bytes()), monotonic_us() - 1);
    if (late->submitted() == MERIDIAN_OK)
        require_equal(status_name(late->wait().status), "MERIDIAN_TIMEOUT", "a request whose deadline had passed");
}

void a_cancelled_request_ends_at_once(Fixture& fixture) {
    AskingPair pair(fixture);
    pair.a.cancel(~uint64_t{0});  // there is no such request
    const Asked asked = ask(pair.a, pair.to_b, pair.b, control(unique_bytes()), 3'600'000'000);
    pair.a.cancel(asked.request_id);
    require_equal(status_name(asked.call->wait().status), "MERIDIAN_CANCELLED", "a request that was cancelled");
    pair.a.cancel(asked.request_id);
    exchange(pair, control(unique_bytes()), unique_bytes());
}

void a_late_reply_is_dropped(Fixture& fixture) {
    AskingPair pair(fixture);
    const Asked cancelled = ask(pair.a, pair.to_b, pair.b, control(unique_bytes()), long_us);
    pair.a.cancel(cancelled.request_id);
    cancelled.call->wait();
    const Asked late = ask(pair.a, pair.to_b, pair.b, control(unique_bytes()), short_us);
    late.call->wait();
    for (const Asked* asked : {&cancelled, &late}) {
        const meridian_status status = pair.b.reply(asked->delivery.reply_id, "too late");
        require(status == MERIDIAN_OK || status == MERIDIAN_INVALID,
                "a late reply: found " + status_name(status) + ", expected MERIDIAN_OK or MERIDIAN_INVALID");
    }
    // What comes after it has come too.
    exchange(pair, control(unique_bytes()), unique_bytes());
    for (const Asked* asked : {&cancelled, &late})
        require_equal(asked->call->faults().done_count, 1, "completions of a request whose reply came too late");
}

void a_reply_to_nothing_is_invalid(Fixture& fixture) {
    AskingPair pair(fixture);
    require_equal(status_name(pair.b.reply(~uint64_t{0}, "x")), "MERIDIAN_INVALID", "a reply with an unknown id");
    const Asked asked = ask(pair.a, pair.to_b, pair.b, control(unique_bytes()), long_us);
    require_equal(status_name(pair.b.reply(asked.delivery.reply_id, "first")), "MERIDIAN_OK", "the first reply");
    require_equal(status_name(pair.b.reply(asked.delivery.reply_id, "second")), "MERIDIAN_INVALID",
                  "a second reply with the same id");
    const ReplyResult result = asked.call->wait();
    if (result.status == MERIDIAN_OK) require_equal(result.reply, "first", "the reply");
}

void a_request_that_is_not_taken_ends(Fixture& fixture) {
    AskingPair pair(fixture);
    pair.b.inbox().answer_with([](const Delivery&) { return MERIDIAN_INVALID; });
    const auto call = pair.a.submit_request(pair.to_b, control(unique_bytes()), monotonic_us() + enough_us);
    require_equal(status_name(call->submitted()), "MERIDIAN_OK", "request");
    const ReplyResult result = call->wait();
    require(result.status != MERIDIAN_OK, "a request that the other side refused was answered");
    pair.b.inbox().answer_with({});
    exchange(pair, control(unique_bytes()), unique_bytes());
}

}  // namespace

std::vector<Check> transport_request_checks() {
    return {
        {"a request is answered", a_request_is_answered},
        {"replies up to the limit are carried whole", replies_up_to_the_limit_are_carried_whole},
        {"every request gets its own answer", every_request_gets_its_own_answer},
        {"a request without an answer ends at its deadline", a_request_without_an_answer_ends_at_its_deadline},
        {"a cancelled request ends at once", a_cancelled_request_ends_at_once},
        {"a late reply is dropped", a_late_reply_is_dropped},
        {"a reply to nothing is invalid", a_reply_to_nothing_is_invalid},
        {"a request that is not taken ends", a_request_that_is_not_taken_ends},
    };
}

}  // namespace meridian::plugin_test
