// The bounds of the queues, both ways, and what stop does with what is under way.
#include <cppunit/extensions/HelperMacros.h>

#include <atomic>
#include <thread>

#include "fixture.h"

namespace meridian::test {

class QueueTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(QueueTest);
    CPPUNIT_TEST(is_busy_when_its_messages_reach_the_bound_and_writable_again);
    CPPUNIT_TEST(is_busy_when_its_bytes_reach_the_bound);
    CPPUNIT_TEST(is_writable_again_when_the_connection_broke);
    CPPUNIT_TEST(takes_messages_of_many_threads_each_in_order);
    CPPUNIT_TEST(keeps_what_the_host_does_not_take_and_goes_on_where_it_stopped);
    CPPUNIT_TEST(drops_the_newest_beyond_the_bound_and_reports_gaps_by_channel);
    CPPUNIT_TEST(bounds_the_bytes_that_wait_for_the_host);
    CPPUNIT_TEST(survives_a_resume_inside_of_deliver);
    CPPUNIT_TEST(sends_what_is_queued_before_it_stops);
    CPPUNIT_TEST(cancels_what_is_in_flight_when_the_deadline_of_stop_has_passed);
    CPPUNIT_TEST(refuses_after_stop_and_stops_without_start);
    CPPUNIT_TEST(completes_a_refused_publish_as_failed_and_the_others_not);
    CPPUNIT_TEST_SUITE_END();

public:
    void is_busy_when_its_messages_reach_the_bound_and_writable_again() {
        RedisProcess redis;
        Node node("a", {{"url", redis.url()}, {"publish_queue_messages_max", "100"}, {"command_timeout", "60s"}});
        CPPUNIT_ASSERT(node.is_up());
        redis.hang();
        for (uint64_t i = 0; i < 100; ++i)
            CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, node.transport.send("a", "x", i));
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_BUSY}, node.transport.send("a", "x", 100));
        CPPUNIT_ASSERT_EQUAL(uint64_t{100}, node.transport.links()[0].queued_messages);
        CPPUNIT_ASSERT_EQUAL(uint64_t{100}, node.transport.links()[0].queued_bytes);
        CPPUNIT_ASSERT_EQUAL(size_t{0}, node.host.seen().writables);
        redis.wake();
        CPPUNIT_ASSERT(node.host.wait_until([](const Seen& seen) { return seen.writables == 1; }));
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, node.transport.send("a", "x", 101));
        CPPUNIT_ASSERT(node.completes(101));
        CPPUNIT_ASSERT_EQUAL(size_t{1}, node.host.seen().writables);
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, node.transport.links()[0].queued_messages);
    }

    void is_busy_when_its_bytes_reach_the_bound() {
        RedisProcess redis;
        Node node("a", {{"url", redis.url()},
                        {"message_bytes_max", "64KiB"},
                        {"publish_queue_bytes_max", "100KiB"},
                        {"command_timeout", "60s"}});
        CPPUNIT_ASSERT(node.is_up());
        redis.hang();
        const std::string most(64 << 10, 'x'), rest(36 << 10, 'y');
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, node.transport.send("a", most, 1));
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_BUSY}, node.transport.send("a", most, 2));
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, node.transport.send("a", rest, 3));
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_BUSY}, node.transport.send("a", "z", 4));
        redis.wake();
        CPPUNIT_ASSERT(node.host.wait_until([](const Seen& seen) { return seen.writables == 1; }));
    }

    void is_writable_again_when_the_connection_broke() {
        RedisProcess redis;
        Node node("a", quick({{"url", redis.url()}, {"publish_queue_messages_max", "10"}, {"command_timeout", "60s"}}));
        CPPUNIT_ASSERT(node.is_up());
        redis.hang();
        meridian_status status = MERIDIAN_OK;
        for (uint64_t i = 0; status == MERIDIAN_OK; ++i) status = node.transport.send("a", "x", i);
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_BUSY}, status);
        redis.kill();
        CPPUNIT_ASSERT(node.completes(10));
        CPPUNIT_ASSERT(node.host.wait_until([](const Seen& seen) { return seen.writables == 1; }));
        for (const Completion& done : node.host.seen().completions)
            CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_UNAVAILABLE}, done.status);
    }

    void takes_messages_of_many_threads_each_in_order() {
        RedisProcess redis;
        Node node("a", {{"url", redis.url()}, {"publish_queue_messages_max", "500"}});
        CPPUNIT_ASSERT(node.is_up());
        constexpr uint64_t threads = 4, each = 5000;
        std::vector<std::thread> running;
        for (uint64_t thread = 0; thread < threads; ++thread) {
            running.emplace_back([&node, thread] {
                for (uint64_t i = 0; i < each;) {
                    const uint64_t id = thread << 32 | i;
                    if (node.transport.send("a", std::to_string(id), id) == MERIDIAN_OK) {
                        ++i;
                    } else {
                        std::this_thread::yield();
                    }
                }
            });
        }
        for (std::thread& thread : running) thread.join();
        CPPUNIT_ASSERT(node.completes(threads * each) && node.receives(threads * each));
        const Seen seen = node.host.seen();
        std::vector<uint64_t> next(threads, 0), next_delivery(threads, 0);
        for (const Completion& done : seen.completions) {
            CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, done.status);
            CPPUNIT_ASSERT_EQUAL(next[done.id >> 32]++, done.id & 0xffffffff);
        }
        for (const Delivery& delivery : seen.deliveries) {
            const uint64_t id = std::stoull(delivery.bytes);
            CPPUNIT_ASSERT_EQUAL(next_delivery[id >> 32]++, id & 0xffffffff);
        }
    }

    void keeps_what_the_host_does_not_take_and_goes_on_where_it_stopped() {
        RedisProcess redis;
        Node node("a", {{"url", redis.url()}});
        CPPUNIT_ASSERT(node.is_up());
        std::atomic<int> taken{0};
        node.host.answer([&](const Delivery&) { return meridian_status{++taken <= 10 ? MERIDIAN_OK : MERIDIAN_BUSY}; });
        RedisClient client(redis.port());
        for (int i = 0; i < 100; ++i) client.command({"PUBLISH", "meridian:osp1:all", std::to_string(i)});
        CPPUNIT_ASSERT(node.host.wait_until([](const Seen& seen) { return seen.refused == 1; }));
        // The socket is read all the same.
        CPPUNIT_ASSERT(waits_for(node, 90));
        CPPUNIT_ASSERT_EQUAL(size_t{10}, node.host.seen().deliveries.size());
        CPPUNIT_ASSERT_EQUAL(size_t{1}, node.host.seen().refused);
        taken = -1000;
        node.transport.resume();
        CPPUNIT_ASSERT(node.receives(100));
        const auto deliveries = node.host.seen().deliveries;
        for (size_t i = 0; i < 100; ++i) CPPUNIT_ASSERT_EQUAL(std::to_string(i), deliveries[i].bytes);
        CPPUNIT_ASSERT(node.host.seen().gaps.empty());
        CPPUNIT_ASSERT(waits_for(node, 0));
    }

    void drops_the_newest_beyond_the_bound_and_reports_gaps_by_channel() {
        RedisProcess redis;
        Node node("a", {{"url", redis.url()}, {"receive_queue_messages_max", "10"}});
        CPPUNIT_ASSERT(node.is_up());
        std::atomic<bool> busy{true};
        node.host.answer([&](const Delivery&) { return meridian_status{busy ? MERIDIAN_BUSY : MERIDIAN_OK}; });
        RedisClient client(redis.port());
        for (int i = 0; i < 25; ++i) client.command({"PUBLISH", "meridian:delta:n", std::to_string(i)});
        CPPUNIT_ASSERT(waits_for(node, 10));
        // Overflow was seen when the count of dropped ones is told.
        CPPUNIT_ASSERT(node.host.wait_until([](const Seen& seen) {
            const auto found = seen.metrics.find("receive_dropped");
            return found != seen.metrics.end() && found->second == 15.0;
        }));
        CPPUNIT_ASSERT(node.host.seen().gaps.empty());
        busy = false;
        node.transport.resume();
        CPPUNIT_ASSERT(node.host.wait_until([](const Seen& seen) { return !seen.gaps.empty(); }));
        const Seen seen = node.host.seen();
        CPPUNIT_ASSERT_EQUAL(size_t{10}, seen.deliveries.size());
        for (size_t i = 0; i < 10; ++i) CPPUNIT_ASSERT_EQUAL(std::to_string(i), seen.deliveries[i].bytes);
        CPPUNIT_ASSERT(seen.gaps == (std::vector<uint32_t>{MERIDIAN_CHANNEL_DELTA}));
        CPPUNIT_ASSERT_EQUAL(size_t{1}, seen.logged("messages from Redis are dropped"));
        CPPUNIT_ASSERT_EQUAL(size_t{1}, seen.logged("15 were dropped"));
    }

    void bounds_the_bytes_that_wait_for_the_host() {
        RedisProcess redis;
        Node node("a", {{"url", redis.url()}, {"message_bytes_max", "1KiB"}, {"receive_queue_bytes_max", "1KiB"}});
        CPPUNIT_ASSERT(node.is_up());
        std::atomic<bool> busy{true};
        node.host.answer([&](const Delivery&) { return meridian_status{busy ? MERIDIAN_BUSY : MERIDIAN_OK}; });
        RedisClient client(redis.port());
        for (const size_t size : {600, 600, 400})
            client.command({"PUBLISH", "meridian:osp1:all", std::string(size, 'x')});
        CPPUNIT_ASSERT(waits_for(node, 2));
        CPPUNIT_ASSERT_EQUAL(uint64_t{1000}, node.transport.links()[1].queued_bytes);
        busy = false;
        node.transport.resume();
        CPPUNIT_ASSERT(node.receives(2));
        CPPUNIT_ASSERT(node.host.wait_until([](const Seen& seen) { return !seen.gaps.empty(); }));
        CPPUNIT_ASSERT(node.host.seen().gaps == (std::vector<uint32_t>{MERIDIAN_CHANNEL_CONTROL}));
    }

    void survives_a_resume_inside_of_deliver() {
        RedisProcess redis;
        Node node("a", {{"url", redis.url()}});
        CPPUNIT_ASSERT(node.is_up());
        // The worst moment: the host says BUSY, and has room before its answer is known.
        std::atomic<int> calls{0};
        node.host.answer([&](const Delivery&) {
            if (++calls % 2 == 0) return meridian_status{MERIDIAN_OK};
            std::thread([&] { node.transport.resume(); }).join();
            return meridian_status{MERIDIAN_BUSY};
        });
        RedisClient client(redis.port());
        for (int i = 0; i < 100; ++i) client.command({"PUBLISH", "meridian:osp1:all", "x"});
        CPPUNIT_ASSERT(node.receives(100));
    }

    void sends_what_is_queued_before_it_stops() {
        RedisProcess redis;
        Node node("a", {{"url", redis.url()}});
        CPPUNIT_ASSERT(node.is_up());
        for (uint64_t i = 0; i < 10'000; ++i)
            CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, node.transport.send("b", "x", i));
        node.transport.stop(60'000'000);
        const auto done = node.host.seen().completions;
        CPPUNIT_ASSERT_EQUAL(size_t{10'000}, done.size());
        for (const Completion& each : done) CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, each.status);
    }

    void cancels_what_is_in_flight_when_the_deadline_of_stop_has_passed() {
        RedisProcess redis;
        Node node("a", {{"url", redis.url()}, {"command_timeout", "60s"}});
        CPPUNIT_ASSERT(node.is_up());
        redis.hang();
        for (uint64_t i = 0; i < 100; ++i)
            CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, node.transport.send("b", std::string(100'000, 'x'), i));
        node.transport.stop(100'000);
        const auto done = node.host.seen().completions;
        CPPUNIT_ASSERT_EQUAL(size_t{100}, done.size());
        for (const Completion& each : done) CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_CANCELLED}, each.status);
    }

    void refuses_after_stop_and_stops_without_start() {
        RedisProcess redis;
        Node node("a", {{"url", redis.url()}});
        CPPUNIT_ASSERT(node.is_up());
        node.transport.stop();
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_CANCELLED}, node.transport.send("b", "x", 1));
        CPPUNIT_ASSERT_EQUAL(size_t{0}, node.host.seen().downs.size());
        const Node idle("a", {{"url", redis.url()}}, false);
    }

    void completes_a_refused_publish_as_failed_and_the_others_not() {
        // May publish to a, but not to b.
        RedisProcess redis(
            {"user node on >pw resetchannels &meridian:delta:* &meridian:osp1:all &meridian:osp1:n:a "
             "+publish +subscribe +psubscribe +ping"});
        Node node("a", {{"url", redis.url()}, {"username", "node"}, {"password", "pw"}, {"command_timeout", "60m"}});
        CPPUNIT_ASSERT(node.is_up());
        for (uint64_t i = 0; i < 1000; ++i) {
            node.transport.send(i % 2 == 0 ? "a" : "b", "x", i);
            if (i == 500) node.host.advance_clock(10'000'000);  // a PING is among them
        }
        CPPUNIT_ASSERT(node.completes(1000));
        const Seen seen = node.host.seen();
        for (uint64_t i = 0; i < 1000; ++i) {
            const Completion& done = seen.completions[i];
            CPPUNIT_ASSERT_EQUAL(i, done.id);
            CPPUNIT_ASSERT_EQUAL(meridian_status{i % 2 == 0 ? MERIDIAN_OK : MERIDIAN_IO}, done.status);
            CPPUNIT_ASSERT_EQUAL(i % 2 != 0, done.message.find("NOPERM") != std::string::npos);
        }
        CPPUNIT_ASSERT_EQUAL(size_t{1}, seen.logged("NOPERM"));
        CPPUNIT_ASSERT(seen.downs.empty());
    }

private:
    // Until so many received messages wait for the host.
    static bool waits_for(Node& node, uint64_t messages) {
        for (int i = 0; i < 60'000; ++i) {
            if (node.transport.links()[1].queued_messages == messages) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        return false;
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(QueueTest);

}  // namespace meridian::test
