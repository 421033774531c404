// Connections that are lost: Redis killed, hung, restarted; a slow subscriber cut.
#include <cppunit/extensions/HelperMacros.h>

#include <chrono>
#include <mutex>
#include <thread>

#include "backoff.h"
#include "fixture.h"

namespace meridian::test {

class ReconnectTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(ReconnectTest);
    CPPUNIT_TEST(comes_back_after_redis_was_killed_and_restarted);
    CPPUNIT_TEST(says_down_once_while_redis_cannot_be_reached);
    CPPUNIT_TEST(notices_a_redis_that_hangs_by_its_publishes);
    CPPUNIT_TEST(notices_a_redis_that_hangs_while_nothing_is_published);
    CPPUNIT_TEST(does_not_trust_a_redis_that_accepts_and_never_answers);
    CPPUNIT_TEST(reports_a_gap_when_its_subscriber_was_cut);
    CPPUNIT_TEST(is_cut_by_redis_when_it_does_not_read_and_comes_back);
    CPPUNIT_TEST(loses_no_order_when_only_its_publisher_was_cut);
    CPPUNIT_TEST(waits_longer_from_attempt_to_attempt);
    CPPUNIT_TEST(tries_all_addresses_of_a_name_and_survives_a_name_without_any);
    CPPUNIT_TEST_SUITE_END();

    static std::vector<std::string> from_second_up(const Seen& seen) {
        size_t ups = 0;
        for (size_t i = 0; i < seen.calls.size(); ++i) {
            if (seen.calls[i].rfind("up ", 0) == 0 && ++ups == 2)
                return {seen.calls.begin() + static_cast<ptrdiff_t>(i), seen.calls.end()};
        }
        return {};
    }
    static void cut(RedisClient& client, const std::string& type) { client.command({"CLIENT", "KILL", "TYPE", type}); }

public:
    void comes_back_after_redis_was_killed_and_restarted() {
        RedisProcess redis;
        Node node("a", quick({{"url", redis.url()}}));
        CPPUNIT_ASSERT(node.is_up());
        redis.kill();
        CPPUNIT_ASSERT(node.is_down());
        // The publisher may not know yet; then this is complete as soon as it does.
        uint64_t sent = 0;
        while (node.transport.send("a", "while down", sent) != MERIDIAN_UNAVAILABLE) ++sent;
        CPPUNIT_ASSERT(node.completes(sent));
        redis.restart();
        CPPUNIT_ASSERT(node.is_up(2));
        CPPUNIT_ASSERT(node.host.wait_until([](const Seen& seen) { return seen.gaps.size() == 2; }));
        node.transport.publish(MERIDIAN_CHANNEL_DELTA, "n", "again", sent);
        CPPUNIT_ASSERT(node.receives(1) && node.completes(sent + 1));
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, node.host.seen().completions[sent].status);
        const Seen seen = node.host.seen();
        CPPUNIT_ASSERT(seen.ups == (std::vector<uint64_t>{1, 2}));
        CPPUNIT_ASSERT_EQUAL(size_t{1}, seen.downs.size());
        const auto calls = from_second_up(seen);
        CPPUNIT_ASSERT(std::vector<std::string>(calls.begin(), calls.begin() + 3) ==
                       (std::vector<std::string>{"up 2", "gap 1", "gap 2"}));
        CPPUNIT_ASSERT_EQUAL(size_t{2}, seen.logged("information: Redis: connected"));
    }

    void says_down_once_while_redis_cannot_be_reached() {
        const ClosedPort nothing;
        const std::string address = nothing.address();
        Node node("a", quick({{"url", "redis://:se%20cret@" + address}}));
        CPPUNIT_ASSERT(node.is_down());
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_UNAVAILABLE}, node.transport.send("a", "x", 1));
        // Many attempts.
        std::this_thread::sleep_for(std::chrono::milliseconds(300));
        const Seen seen = node.host.seen();
        CPPUNIT_ASSERT_EQUAL(size_t{1}, seen.downs.size());
        CPPUNIT_ASSERT_EQUAL(address + ": Connection refused", seen.downs[0]);
        CPPUNIT_ASSERT_EQUAL(size_t{1}, seen.log.size());
        CPPUNIT_ASSERT_EQUAL("warning: Redis: " + address + ": Connection refused; trying again", seen.log[0]);
        CPPUNIT_ASSERT(seen.ups.empty() && seen.gaps.empty());
        for (const TransportLink& link : node.transport.links()) {
            CPPUNIT_ASSERT_EQUAL(address + ": Connection refused", link.error);
            CPPUNIT_ASSERT(link.address.find("cret") == std::string::npos);
        }
    }

    void notices_a_redis_that_hangs_by_its_publishes() {
        RedisProcess redis;
        Node node("a", quick({{"url", redis.url()}}));
        CPPUNIT_ASSERT(node.is_up());
        redis.hang();
        for (uint64_t i = 0; i < 100; ++i)
            CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, node.transport.send("a", "x", i));
        CPPUNIT_ASSERT(node.is_down_after_steps_of(5'000'000) && node.completes(100));
        const Seen hung = node.host.seen();
        CPPUNIT_ASSERT(hung.downs[0].find("no reply to PUBLISH within 5000 ms") != std::string::npos);
        for (const Completion& done : hung.completions) {
            CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_UNAVAILABLE}, done.status);
            CPPUNIT_ASSERT(done.message.find("no reply to PUBLISH") != std::string::npos);
        }
        redis.wake();
        CPPUNIT_ASSERT(node.is_up(2));
        node.transport.send("a", "again", 1000);
        CPPUNIT_ASSERT(node.completes(101));
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, node.host.seen().completions[100].status);
    }

    void notices_a_redis_that_hangs_while_nothing_is_published() {
        RedisProcess redis;
        Node node("a", quick({{"url", redis.url()}}));
        CPPUNIT_ASSERT(node.is_up());
        // Replies to PINGs are seen: it stays up.
        RedisClient client(redis.port());
        const auto pings = [&] {
            const std::string mark = "cmdstat_ping:calls=", text = client.command({"INFO", "commandstats"})[0];
            return std::stoul(text.substr(text.find(mark) + mark.size()));
        };
        CPPUNIT_ASSERT_EQUAL(1UL, pings());  // of the greeting
        for (unsigned long expected = 3; expected <= 13; expected += 2) {
            node.host.advance_clock(10'000'000);
            node.transport.resume();
            while (pings() < expected) {}
            client.command({"ECHO", "so that the replies are out"});
        }
        CPPUNIT_ASSERT_EQUAL(13UL, pings());
        CPPUNIT_ASSERT(node.host.seen().downs.empty());
        redis.hang();
        CPPUNIT_ASSERT(node.is_down_after_steps_of(10'000'000));
        CPPUNIT_ASSERT(node.host.seen().downs[0].find("no reply to 2 PINGs, one every 10000 ms") != std::string::npos);
        redis.wake();
        CPPUNIT_ASSERT(node.is_up(2));
    }

    void does_not_trust_a_redis_that_accepts_and_never_answers() {
        RedisProcess redis;
        redis.hang();
        Node node("a", quick({{"url", redis.url()}, {"connect_timeout", "60m"}}));
        CPPUNIT_ASSERT(node.is_down_after_steps_of(1'000'000));
        CPPUNIT_ASSERT_EQUAL(redis.address() + ": no reply within 5000 ms", node.host.seen().downs[0]);
        CPPUNIT_ASSERT(node.host.seen().ups.empty());
        redis.wake();
        CPPUNIT_ASSERT(node.is_up());
    }

    void reports_a_gap_when_its_subscriber_was_cut() {
        RedisProcess redis;
        Node node("a", quick({{"url", redis.url()}}));
        CPPUNIT_ASSERT(node.is_up());
        RedisClient client(redis.port());
        cut(client, "pubsub");
        CPPUNIT_ASSERT(node.is_down() && node.is_up(2));
        CPPUNIT_ASSERT(node.host.wait_until([](const Seen& seen) { return seen.gaps.size() == 2; }));
        CPPUNIT_ASSERT(node.host.seen().downs[0].find("the server closed the connection") != std::string::npos);
        client.command({"PUBLISH", "meridian:osp1:all", "again"});
        CPPUNIT_ASSERT(node.receives(1));
    }

    void is_cut_by_redis_when_it_does_not_read_and_comes_back() {
        RedisProcess redis({"client-output-buffer-limit pubsub 1mb 1mb 1"});
        Node node("a", quick({{"url", redis.url()}}));
        CPPUNIT_ASSERT(node.is_up());
        // The host's function blocks, against the contract: nothing is read meanwhile.
        std::mutex gate;
        std::unique_lock closed(gate);
        node.host.answer([&](const Delivery&) {
            const std::lock_guard pass(gate);
            return meridian_status{MERIDIAN_OK};
        });
        RedisClient client(redis.port());
        const std::string bytes(256 << 10, 'x');
        size_t receivers = 1;
        for (int i = 0; i < 1000 && receivers != 0; ++i)
            receivers = std::stoul(client.command({"PUBLISH", "meridian:delta:n", bytes})[0]);
        CPPUNIT_ASSERT_EQUAL(size_t{0}, receivers);
        closed.unlock();
        CPPUNIT_ASSERT(node.is_up(2));
        CPPUNIT_ASSERT(node.host.wait_until([](const Seen& seen) { return seen.gaps.size() == 2; }));
    }

    void loses_no_order_when_only_its_publisher_was_cut() {
        RedisProcess redis;
        Node node("a", quick({{"url", redis.url()}}));
        CPPUNIT_ASSERT(node.is_up());
        RedisClient client(redis.port());
        client.command({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
        CPPUNIT_ASSERT(node.is_down() && node.is_up(2));
        node.transport.send("a", "again", 1);
        CPPUNIT_ASSERT(node.completes(1) && node.receives(1));
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, node.host.seen().completions[0].status);
        CPPUNIT_ASSERT(node.host.seen().gaps.empty());
    }

    void waits_longer_from_attempt_to_attempt() {
        TransportHost host;
        transport_redis::Options options;
        options.reconnect_delay_us = 1000;
        options.reconnect_delay_max_us = 10'000;
        options.stable_after_us = 50'000;
        transport_redis::Backoff backoff(abi::Host(host.table()), options);
        const auto about = [](uint64_t expected, uint64_t found) {
            return found >= expected - expected / 5 && found <= expected + expected / 5;
        };
        for (const uint64_t expected : {1000, 2000, 4000, 8000, 10'000, 10'000})
            CPPUNIT_ASSERT(about(expected, backoff.next_delay_us(false, 1'000'000)));
        CPPUNIT_ASSERT(about(10'000, backoff.next_delay_us(true, 49'999)));
        CPPUNIT_ASSERT(about(1000, backoff.next_delay_us(true, 50'000)));
        CPPUNIT_ASSERT(about(2000, backoff.next_delay_us(false, 0)));
        bool varies = false;
        const uint64_t first = backoff.next_delay_us(true, 50'000);
        for (int i = 0; i < 100; ++i) varies = varies || backoff.next_delay_us(true, 50'000) != first;
        CPPUNIT_ASSERT(varies);
    }

    void tries_all_addresses_of_a_name_and_survives_a_name_without_any() {
        RedisProcess redis;
        // Often ::1 comes first, where nothing listens.
        Node node("a", quick({{"url", "redis://localhost:" + std::to_string(redis.port())}}));
        CPPUNIT_ASSERT(node.is_up());
        Node lost("b", quick({{"url", "redis://nothing.invalid"}, {"connect_timeout", "10s"}}));
        CPPUNIT_ASSERT(lost.is_down());
        CPPUNIT_ASSERT(lost.host.seen().downs[0].find("nothing.invalid:6379: no a") == 0);
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ReconnectTest);

}  // namespace meridian::test
