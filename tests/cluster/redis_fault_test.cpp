// What goes wrong with a Redis between nodes, and what strangers publish on it: nothing acknowledged is lost, nothing
// waits for it, and the nodes are level afterwards.
#include <csignal>

#include "cluster_fixture.h"
#include "wire/client_message.h"
#include "wire/op_codec.h"

namespace meridian::test {
namespace {

class RedisFaultTest : public ClusterFixture {
    CPPUNIT_TEST_SUITE(RedisFaultTest);
    CPPUNIT_TEST(a_flushed_redis_loses_nothing);
    CPPUNIT_TEST(a_redis_out_of_memory_loses_nothing);
    CPPUNIT_TEST(nodes_follow_a_failover);
    CPPUNIT_TEST(a_node_that_redis_cuts_for_being_slow_catches_up);
    CPPUNIT_TEST(garbage_on_the_channels_is_dropped_and_counted);
    CPPUNIT_TEST(a_message_that_is_published_again_is_dropped);
    CPPUNIT_TEST(without_the_secret_nobody_is_believed);
    CPPUNIT_TEST_SUITE_END();

    RedisClient redis_client() const { return RedisClient(redis_->port()); }

    // A write on each node is told to a subscriber of the next one: the fast path works.
    void live_again() {
        for (size_t i = 0; i < nodes(); ++i) {
            const std::string key = "gc:live" + std::to_string(i);
            auto socket = websocket(server((i + 1) % nodes()), token(), "&keys=string");
            CPPUNIT_ASSERT_EQUAL(200, increment(i, key, 1));
            CPPUNIT_ASSERT_EQUAL(key, expect<wire::DeltaMessage>(socket).crdt_id);
        }
        all_converge();
    }

    // 20,000 bytes into a register of its own.
    int write_large(size_t index, int number) {
        return http(server(index), "POST", "/v1/namespaces/room/crdts/lww:" + std::to_string(number) + "/ops", token(),
                    register_op(std::string(20'000, 'x'), now_ms()))
            .status;
    }

public:
    void a_flushed_redis_loses_nothing() {
        start_cluster(2, Through::redis);
        CPPUNIT_ASSERT_EQUAL(200, increment(0, "gc:x", 1));
        redis_client().command({"FLUSHALL"});
        redis_client().command({"SCRIPT", "FLUSH"});
        CPPUNIT_ASSERT_EQUAL(200, increment(1, "gc:x", 1));
        all_show("gc:x", 2);
        live_again();
    }

    void a_redis_out_of_memory_loses_nothing() {
        start_cluster(2, Through::redis);
        auto client = redis_client();
        client.command({"CONFIG", "SET", "maxmemory-policy", "noeviction"});
        client.command({"CONFIG", "SET", "maxmemory", "1"});
        for (int i = 0; i < 20; ++i) CPPUNIT_ASSERT_EQUAL(200, increment(i % 2, "gc:x", 1));
        client.command({"CONFIG", "SET", "maxmemory", "0"});
        all_show("gc:x", 20);
        live_again();
    }

    void nodes_follow_a_failover() {
        redis_ = std::make_unique<RedisProcess>();
        RedisProcess second({"replicaof 127.0.0.1 " + std::to_string(redis_->port())});
        RedisProcess sentinel({"sentinel monitor it 127.0.0.1 " + std::to_string(redis_->port()) + " 1",
                               "sentinel down-after-milliseconds it 500", "sentinel failover-timeout it 2000"},
                              0, true);
        RedisClient asks(sentinel.port());
        eventually("the sentinel knows the replica", [&] {
            return !asks.command({"SENTINEL", "replicas", "it"}).empty();
        });
        start_cluster(2, Through::redis,
                      {"transport.redis.sentinels=" + sentinel.address(), "transport.redis.sentinel_master=it",
                       "transport.redis.reconnect_delay_max=500ms"});
        CPPUNIT_ASSERT_EQUAL(200, increment(0, "gc:x", 1));
        redis_->kill();
        for (int i = 0; i < 20; ++i) CPPUNIT_ASSERT_EQUAL(200, increment(i % 2, "gc:x", 1));
        all_show("gc:x", 21);
        live_again();
        eventually("the nodes speak through the other one", [&] {
            return http(server(0), "GET", "/v1/cluster", token({.admin = true})).body.find(second.address()) !=
                   std::string::npos;
        });
    }

    void a_node_that_redis_cuts_for_being_slow_catches_up() {
        start_cluster(2, Through::redis);
        auto client = redis_client();
        // The buffers of the kernel are full first.
        client.command({"CONFIG", "SET", "client-output-buffer-limit", "pubsub 65536 0 0"});
        server(1).signal(SIGSTOP);
        const auto cut = [&] {
            const std::string answer = client.command({"INFO", "stats"}).front();
            const std::string mark = "client_output_buffer_limit_disconnections:";
            const size_t at = answer.find(mark);
            return at != std::string::npos ? std::atoi(answer.c_str() + at + mark.size()) : -1;
        };
        const bool is_counted = cut() >= 0;
        int number = 0;
        for (; number < 2000 && (is_counted ? cut() == 0 : number < 1000); ++number)
            CPPUNIT_ASSERT_EQUAL(200, write_large(0, number));
        CPPUNIT_ASSERT(!is_counted || cut() > 0);
        CPPUNIT_ASSERT_EQUAL(200, increment(0, "gc:x", 7));
        // With the limit of above no answer to a pull gets through, as docs/TRANSPORT-REDIS.md says.
        client.command({"CONFIG", "SET", "client-output-buffer-limit", "pubsub 32mb 8mb 60"});
        server(1).signal(SIGCONT);
        all_show("gc:x", 7);
        all_converge();
        const ProgramResult same = control(0, {"cluster", "diff", "http://" + server(1).address()});
        CPPUNIT_ASSERT_EQUAL_MESSAGE(same.output, 0, same.status);
        live_again();
    }

    void garbage_on_the_channels_is_dropped_and_counted() {
        start_cluster(2, Through::redis, {"transport.redis.message_bytes_max=65536"});
        auto client = redis_client();
        const std::string own_looking = std::string("\x81\xa1t\xa5hello", 9);
        for (const std::string& garbage :
             {std::string("garbage"), std::string(), std::string("\xc1"), std::string(1000, '\xff'), own_looking,
              // An array that announces 2^32 - 1 elements, a map nested 10,000 deep, more than a message may have.
              std::string("\xdd\xff\xff\xff\xff", 5), std::string(10'000, '\x91'), std::string(100'000, 'x')}) {
            for (const char* channel : {"meridian:delta:room", "meridian:delta:NO\nNAMESPACE", "meridian:osp1:all"})
                client.command({"PUBLISH", channel, garbage});
        }
        eventually("they are counted", [&] {
            return metric(0, "cluster_dropped_invalid_total") >= 7 && metric(1, "cluster_dropped_invalid_total") >= 7;
        });
        // Dropped, not passed on.
        const uint64_t before = metric(1, "cluster_dropped_invalid_total");
        CPPUNIT_ASSERT_EQUAL(200, increment(0, "gc:x", 1));
        all_show("gc:x", 1);
        live_again();
        CPPUNIT_ASSERT_EQUAL(before, metric(1, "cluster_dropped_invalid_total"));
    }

    void a_message_that_is_published_again_is_dropped() {
        start_cluster(2, Through::redis);
        auto listener = redis_client();
        listener.command({"PSUBSCRIBE", "meridian:*"});
        CPPUNIT_ASSERT_EQUAL(200, increment(0, "gc:x", 1));
        std::vector<std::vector<std::string>> heard;  // channel, message
        bool has_delta = false, has_message = false;
        while (!has_delta || !has_message) {
            const auto next = listener.next();
            CPPUNIT_ASSERT_EQUAL(size_t{4}, next.size());
            has_delta = has_delta || next[2] == "meridian:delta:room";
            has_message = has_message || next[2] != "meridian:delta:room";
            heard.push_back({next[2], next[3]});
        }
        all_show("gc:x", 1);
        all_converge();
        auto client = redis_client();
        for (int round = 0; round < 3; ++round) {
            for (const auto& each : heard) client.command({"PUBLISH", each[0], each[1]});
        }
        eventually("node 1 drops its own and the others' old messages", [&] {
            return metric(0, "cluster_dropped_own_total") > 0 &&
                   metric(1, "cluster_dropped_replayed_total") + metric(0, "cluster_dropped_replayed_total") > 0;
        });
        eventually("node 2 knows the entry", [&] { return metric(1, "cluster_entries_duplicate_total") >= 3; });
        all_show("gc:x", 1);
        live_again();
    }

    void without_the_secret_nobody_is_believed() {
        start_cluster(2, Through::redis, {"cluster.secret=0123456789abcdef", "cluster.authentication=require"});
        add_node(
            {"cluster.secret=fedcba9876543210", "cluster.authentication=require", "cluster.startup_catchup_ms=100"});
        CPPUNIT_ASSERT_EQUAL(200, increment(0, "gc:x", 1));
        eventually("the second node shows it", [&] { return total(1, "gc:x") == 1; });
        eventually("the third counts what it does not believe",
                   [&] { return metric(2, "cluster_dropped_forged_total") > 0; });
        CPPUNIT_ASSERT_EQUAL(int64_t{-1}, total(2, "gc:x"));
        CPPUNIT_ASSERT_EQUAL(200, increment(2, "gc:y", 1));
        eventually("the others do not believe the third",
                   [&] { return metric(0, "cluster_dropped_forged_total") > 0; });
        CPPUNIT_ASSERT_EQUAL(int64_t{-1}, total(0, "gc:y"));
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(RedisFaultTest);

}  // namespace
}  // namespace meridian::test
