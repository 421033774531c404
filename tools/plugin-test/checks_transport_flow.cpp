// Nodes that do not keep up, nodes that refuse, floods.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <thread>

#include "cluster.h"
#include "report.h"

namespace meridian::plugin_test {
namespace {

void a_busy_node_gets_the_rest_or_hears_of_a_gap(Fixture& fixture) {
    std::atomic<bool> busy{true};
    Pair pair(fixture);
    pair.b.inbox().answer_with([&](const Delivery&) { return busy ? MERIDIAN_BUSY : MERIDIAN_OK; });
    std::vector<Message> messages;
    for (int i = 0; i < 5; ++i) {
        messages.push_back(control(unique_bytes()));
        publish(pair.a, messages.back());
    }
    // Until one was refused; the first may have been lost on the way.
    const auto refused = [&] {
        const auto all = pair.b.inbox().deliveries();
        return std::any_of(all.begin(), all.end(), [](const Delivery& each) { return each.answer == MERIDIAN_BUSY; });
    };
    while (!pair.b.inbox().wait_for(refused, 500)) publish(pair.a, messages.front());
    busy = false;
    pair.b.resume();
    carry(pair.a, pair.b, control(unique_bytes()));
    for (const Message& message : messages) {
        if (pair.b.inbox().count(message, MERIDIAN_BUSY) == 0 || pair.b.inbox().count(message) != 0) continue;
        require(pair.b.inbox().gaps(MERIDIAN_CHANNEL_CONTROL) != 0,
                "a message that was answered MERIDIAN_BUSY did not come again after resume, and no gap was reported");
    }
    pair.b.inbox().answer_with({});
}

void a_refused_message_does_not_come_again(Fixture& fixture) {
    const std::string bad = unique_bytes();
    Pair pair(fixture);
    pair.b.inbox().answer_with(
        [&](const Delivery& each) { return each.message.bytes == bad ? MERIDIAN_INVALID : MERIDIAN_OK; });
    size_t published = 0;
    do {
        publish(pair.a, control(bad));
        published += 1;
    } while (!pair.b.inbox().wait_for([&] { return pair.b.inbox().count(control(bad), MERIDIAN_INVALID) != 0; }, 500));
    for (int i = 0; i < 10; ++i) carry(pair.a, pair.b, control(unique_bytes()));
    const size_t delivered = pair.b.inbox().count(control(bad), MERIDIAN_INVALID);
    require(delivered <= published, "a message that was answered MERIDIAN_INVALID was delivered " +
                                        std::to_string(delivered) + " times, published " + std::to_string(published));
    pair.b.inbox().answer_with({});
}

// What a flood needs: calls that are counted, and not kept.
struct Flood {
    std::atomic<uint64_t> completed{0};
    uint64_t accepted = 0;
    uint64_t outstanding_max = 0;
    bool was_busy = false;

    // False if the transport does not take it.
    bool publish(Transport& from, const std::string& bytes) {
        const meridian_publish_sink sink{sizeof sink, 0, &completed,
                                         [](void* context, meridian_status, meridian_bytes, uint64_t) {
                                             static_cast<std::atomic<uint64_t>*>(context)->fetch_add(1);
                                         }};
        const meridian_status status =
            from.functions().publish(from.instance(), MERIDIAN_CHANNEL_CONTROL, {}, c_bytes(bytes), &sink);
        require(status == MERIDIAN_OK || status == MERIDIAN_BUSY || status == MERIDIAN_UNAVAILABLE,
                "publish in a flood: found " + status_name(status) +
                    ", expected MERIDIAN_OK, MERIDIAN_BUSY or MERIDIAN_UNAVAILABLE");
        was_busy = was_busy || status == MERIDIAN_BUSY;
        if (status != MERIDIAN_OK) return false;
        accepted += 1;
        outstanding_max = std::max(outstanding_max, accepted - std::min<uint64_t>(accepted, completed));
        return true;
    }
    void wait_completed() {
        doing("waiting for the completions of a flood");
        while (completed < accepted) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        doing("the check, after a flood");
    }
};

// Kept, because sinks may be called until the process ends. What is delivered is not kept.
Flood& new_flood(Pair& pair) {
    pair.a.inbox().forget_deliveries();
    pair.b.inbox().forget_deliveries();
    static auto* floods = new std::vector<std::unique_ptr<Flood>>;
    floods->push_back(std::make_unique<Flood>());
    return *floods->back();
}

uint64_t resident_bytes() {
    unsigned long pages = 0;
    if (FILE* const file = std::fopen("/proc/self/statm", "r")) {
        if (std::fscanf(file, "%*s %lu", &pages) != 1) pages = 0;
        std::fclose(file);
    }
    return uint64_t{pages} * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

constexpr uint64_t flood_bytes = 128 << 20;
constexpr uint64_t kept_bytes_max = 64 << 20;

size_t flood_message_size(const Transport& transport) {
    return static_cast<size_t>(std::min<uint64_t>(transport.message_bytes_max(), 64 << 10));
}

void a_full_queue_is_busy_and_says_when_it_is_not(Fixture& fixture) {
    Pair pair(fixture);
    Flood& flood = new_flood(pair);
    const std::string bytes = unique_bytes(flood_message_size(pair.a));
    for (uint64_t size = 0; size < flood_bytes && !flood.was_busy; size += bytes.size()) flood.publish(pair.a, bytes);
    const uint64_t kept = flood.outstanding_max * bytes.size();
    require(kept <= kept_bytes_max, "it has taken " + std::to_string(kept) +
                                        " bytes that it had not sent, expected MERIDIAN_BUSY at " +
                                        std::to_string(kept_bytes_max) + " or before");
    if (!flood.was_busy) throw Skipped("it sends faster than the kit publishes");
    pair.a.inbox().wait_until("writable after MERIDIAN_BUSY", [&] { return pair.a.inbox().writables() != 0; });
    flood.wait_completed();
    // Each time anew.
    for (int i = 0; i < 3; ++i) {
        const uint64_t before = pair.a.inbox().writables();
        flood.was_busy = false;
        for (uint64_t size = 0; size < flood_bytes && !flood.was_busy; size += bytes.size())
            flood.publish(pair.a, bytes);
        if (!flood.was_busy) return;
        pair.a.inbox().wait_until("writable after MERIDIAN_BUSY", [&] { return pair.a.inbox().writables() > before; });
        flood.wait_completed();
    }
}

void a_node_that_does_not_read_costs_bounded_memory(Fixture& fixture) {
    Pair pair(fixture);
    pair.b.inbox().answer_with([](const Delivery&) { return MERIDIAN_BUSY; });
    Flood& flood = new_flood(pair);
    const std::string bytes = unique_bytes(flood_message_size(pair.a));
    const uint64_t before = resident_bytes();
    // Until everything was published, or the transport stays busy because nobody reads.
    int idle = 0;
    for (uint64_t size = 0; size < 2 * flood_bytes && idle < 1000;) {
        if (flood.publish(pair.a, bytes)) {
            size += bytes.size();
            idle = 0;
        } else {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            idle += 1;
        }
    }
    const uint64_t after = resident_bytes();
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they keep memory of their own
    require(after <= before + flood_bytes, "resident memory grew by " + std::to_string(after - before) +
                                               " bytes, expected at most " + std::to_string(flood_bytes));
#else
    static_cast<void>(after + before);
#endif
    pair.b.inbox().answer_with({});
    pair.b.resume();
    flood.wait_completed();
}

// Publishes until it has arrived, also if what is delivered is not kept.
void require_arrival(Transport& from, Transport& to) {
    const Message message = control(unique_bytes());
    const auto arrived = std::make_shared<std::atomic<bool>>(false);
    to.inbox().answer_with([=](const Delivery& each) {
        if (each.message == message) *arrived = true;
        return MERIDIAN_OK;
    });
    do {
        publish(from, message);
        doing("waiting for a message after a flood");
    } while (!to.inbox().wait_for([&] { return arrived->load(); }, 500));
}

void nodes_talk_again_after_a_flood(Fixture& fixture) {
    Pair pair(fixture);
    Flood& flood = new_flood(pair);
    const std::string bytes = unique_bytes(flood_message_size(pair.a));
    for (uint64_t size = 0; size < flood_bytes / 8; size += bytes.size()) flood.publish(pair.a, bytes);
    flood.wait_completed();
    require_arrival(pair.a, pair.b);
    require_arrival(pair.b, pair.a);
}

}  // namespace

std::vector<Check> transport_flow_checks() {
    return {
        {"a busy node gets the rest or hears of a gap", a_busy_node_gets_the_rest_or_hears_of_a_gap},
        {"a refused message does not come again", a_refused_message_does_not_come_again},
        {"a full queue is busy and says when it is not", a_full_queue_is_busy_and_says_when_it_is_not},
        {"a node that does not read costs bounded memory", a_node_that_does_not_read_costs_bounded_memory},
        {"nodes talk again after a flood", nodes_talk_again_after_a_flood},
    };
}

}  // namespace meridian::plugin_test
