// Servers that are found through Sentinel.
#include <cppunit/extensions/HelperMacros.h>

#include <chrono>
#include <thread>

#include "fixture.h"

namespace meridian::test {

class SentinelTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(SentinelTest);
    CPPUNIT_TEST(follows_a_failover_to_the_new_master);
    CPPUNIT_TEST(does_not_take_a_replica_for_the_master);
    CPPUNIT_TEST(asks_the_next_sentinel_and_says_what_is_wrong_with_the_last);
    CPPUNIT_TEST(gives_the_sentinel_its_own_password);
    CPPUNIT_TEST_SUITE_END();

    static std::vector<std::string> watching(const RedisProcess& redis, const std::string& down_after_ms = "600000") {
        return {"sentinel monitor it 127.0.0.1 " + std::to_string(redis.port()) + " 1",
                "sentinel down-after-milliseconds it " + down_after_ms, "sentinel failover-timeout it 2000"};
    }

public:
    void follows_a_failover_to_the_new_master() {
        RedisProcess first;
        RedisProcess second({"replicaof 127.0.0.1 " + std::to_string(first.port())});
        RedisProcess sentinel(watching(first, "500"), 0, true);
        RedisClient asks(sentinel.port());
        while (asks.command({"SENTINEL", "replicas", "it"}).empty())
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        Node node("a", quick({{"sentinels", sentinel.address()}, {"sentinel_master", "it"}}));
        CPPUNIT_ASSERT(node.is_up());
        CPPUNIT_ASSERT_EQUAL(first.url() + " (publisher)", node.transport.links()[0].address);
        first.kill();
        CPPUNIT_ASSERT(node.is_down() && node.is_up(2));
        for (const TransportLink& link : node.transport.links())
            CPPUNIT_ASSERT_EQUAL(size_t{0}, link.address.find(second.url()));
        node.transport.send("a", "x", 1);
        CPPUNIT_ASSERT(node.receives(1));
    }

    void does_not_take_a_replica_for_the_master() {
        RedisProcess first;
        RedisProcess second({"replicaof 127.0.0.1 " + std::to_string(first.port())});
        RedisProcess sentinel(watching(second), 0, true);
        Node node("a", quick({{"sentinels", sentinel.address()}, {"sentinel_master", "it"}}));
        CPPUNIT_ASSERT(node.is_down());
        CPPUNIT_ASSERT_EQUAL(second.address() + ": its role is 'slave', expected 'master'", node.host.seen().downs[0]);
        RedisClient(second.port()).command({"REPLICAOF", "NO", "ONE"});
        CPPUNIT_ASSERT(node.is_up());
    }

    void asks_the_next_sentinel_and_says_what_is_wrong_with_the_last() {
        RedisProcess redis;
        RedisProcess sentinel(watching(redis), 0, true);
        const ClosedPort nothing;
        Node node("a",
                  quick({{"sentinels", nothing.address() + ", " + sentinel.address()}, {"sentinel_master", "it"}}));
        CPPUNIT_ASSERT(node.is_up());
        CPPUNIT_ASSERT(node.host.seen().downs.empty());
        Node other("a",
                   quick({{"sentinels", nothing.address() + "," + sentinel.address()}, {"sentinel_master", "other"}}));
        CPPUNIT_ASSERT(other.is_down());
        CPPUNIT_ASSERT_EQUAL("sentinel " + sentinel.address() + ": the sentinel knows no master of the name 'other'",
                             other.host.seen().downs[0]);
        Node server("a", quick({{"sentinels", redis.address()}, {"sentinel_master", "it"}}));
        CPPUNIT_ASSERT(server.is_down());
        CPPUNIT_ASSERT(server.host.seen().downs[0].find("the sentinel refused: ERR unknown command") !=
                       std::string::npos);
    }

    void gives_the_sentinel_its_own_password() {
        RedisProcess redis({"requirepass of-redis"});
        auto settings = watching(redis);
        settings.emplace_back("sentinel auth-pass it of-redis");
        settings.emplace_back("requirepass of-sentinel");
        RedisProcess sentinel(settings, 0, true);
        const TransportSection section = {
            {"url", "redis://:of-redis@unused"}, {"sentinels", sentinel.address()}, {"sentinel_master", "it"}};
        Node without("a", quick(section));
        CPPUNIT_ASSERT(without.is_down());
        CPPUNIT_ASSERT(without.host.seen().downs[0].find("NOAUTH") != std::string::npos);
        TransportSection with = section;
        with["sentinel_password"] = "of-sentinel";
        Node node("a", quick(with));
        CPPUNIT_ASSERT(node.is_up());
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(SentinelTest);

}  // namespace meridian::test
