// Nodes that talk through a real Redis, through HTTP, and through both: every client on any node sees the same.
#include <sys/stat.h>

#include <csignal>

#include "base/json_value.h"
#include "cluster_fixture.h"
#include "wire/client_message.h"
#include "wire/op_codec.h"

namespace meridian::test {

namespace {

std::string key_of(int number) {
    return "gc:" + std::to_string(number);
}

// Not in a template: g++ 12 gives up on designated initializers there.
std::string token_of(uint64_t client_id) {
    return token({.client_id = client_id});
}
std::string token_in(const std::string& name) {
    return token({.namespace_name = name});
}
std::string admin_token() {
    return token({.admin = true});
}

// Does it again until a message of this kind comes, and passes over others.
template <class Message, class Action>
Message until_told(client::WebSocketClient& socket, Action action) {
    for (int attempt = 0; attempt < 60; ++attempt) {
        action();
        for (;;) {
            auto message = socket.receive_message(1000);
            CPPUNIT_ASSERT_MESSAGE(message ? "" : message.error().message, message.ok());
            if (!*message) break;
            if (auto* wanted = std::get_if<Message>(&**message)) return std::move(*wanted);
        }
    }
    CPPUNIT_FAIL("it was never told");
    return {};
}

template <Through through>
class ConvergenceTest : public ClusterFixture {
    CPPUNIT_TEST_SUITE(ConvergenceTest);
    CPPUNIT_TEST(a_write_on_one_node_is_seen_by_subscribers_of_the_others);
    CPPUNIT_TEST(increments_of_one_client_on_several_nodes_add_up);
    CPPUNIT_TEST(a_node_that_was_killed_catches_up_before_it_serves);
    CPPUNIT_TEST(a_node_with_an_empty_disk_gets_everything);
    CPPUNIT_TEST(awareness_and_revocations_travel);
    CPPUNIT_TEST(the_state_of_the_cluster_can_be_seen);
    CPPUNIT_TEST(namespaces_are_listed_page_by_page_with_their_digests);
    CPPUNIT_TEST_SUITE_END();

public:
    void a_write_on_one_node_is_seen_by_subscribers_of_the_others() {
        start_cluster(3, through);
        auto second = websocket(server(1), token(), "&keys=string");
        auto third = websocket(server(2), token(), "&keys=string");
        CPPUNIT_ASSERT_EQUAL(200, increment(0, "gc:x", 5));
        for (auto* socket : {&second, &third}) {
            const auto delta = expect<wire::DeltaMessage>(*socket);
            CPPUNIT_ASSERT_EQUAL(std::string("gc:x"), delta.crdt_id);
        }
        // Whoever was told can read it.
        CPPUNIT_ASSERT_EQUAL(int64_t{5}, total(1, "gc:x"));
        CPPUNIT_ASSERT_EQUAL(int64_t{5}, total(2, "gc:x"));
    }

    void increments_of_one_client_on_several_nodes_add_up() {
        start_cluster(3, through);
        for (int round = 0; round < 20; ++round) {
            for (size_t i = 0; i < 3; ++i) CPPUNIT_ASSERT_EQUAL(200, increment(i, "gc:x", i + 1));
        }
        all_show("gc:x", 120);
        all_converge();
    }

    void a_node_that_was_killed_catches_up_before_it_serves() {
        start_cluster(3, through);
        CPPUNIT_ASSERT_EQUAL(200, increment(2, "gc:x", 1));
        all_show("gc:x", 1);
        stop(node(2), SIGKILL);
        for (int i = 0; i < 200; ++i) CPPUNIT_ASSERT_EQUAL(200, increment(i % 2, "gc:x", 1));
        start(node(2));
        CPPUNIT_ASSERT_EQUAL(int64_t{201}, total(2, "gc:x"));
        CPPUNIT_ASSERT_EQUAL(200, increment(2, "gc:x", 1));
        all_show("gc:x", 202);
        all_converge();
    }

    void a_node_with_an_empty_disk_gets_everything() {
        start_cluster(2, through);
        for (int i = 0; i < 50; ++i) CPPUNIT_ASSERT_EQUAL(200, increment(i % 2, key_of(i % 7), 1));
        all_converge();
        add_node();
        for (int i = 0; i < 7; ++i) CPPUNIT_ASSERT_EQUAL(total(0, key_of(i)), total(2, key_of(i)));
        all_converge();
    }

    void awareness_and_revocations_travel() {
        start_cluster(2, through);
        auto here = websocket(server(0), token_of(1), "&keys=string");
        auto there = websocket(server(1), token_of(2), "&keys=string");
        // Best effort: who cannot be reached at the moment is not told later.
        const auto seen = until_told<wire::AwarenessBroadcast>(there, [&] {
            here.send(wire::AwarenessUpdate{"cursor", "\x01"});
        });
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, seen.client_id);
        CPPUNIT_ASSERT_EQUAL(std::string("cursor"), seen.key);
        const std::string session = "/v1/namespaces/room/sessions/2";
        const auto told = until_told<wire::ErrorMessage>(
            there, [&] { CPPUNIT_ASSERT_EQUAL(200, http(server(0), "DELETE", session, admin_token()).status); });
        CPPUNIT_ASSERT_EQUAL(std::string("session revoked"), told.message);
        CPPUNIT_ASSERT_EQUAL(uint16_t{1008}, expect_close(there));
    }

    void namespaces_are_listed_page_by_page_with_their_digests() {
        start_cluster(2, through);
        const auto add = [&](const char* name, const std::string& key) {
            const std::string path = std::string("/v1/namespaces/") + name + "/crdts/" + key + "/ops";
            CPPUNIT_ASSERT_EQUAL(200, http(server(0), "POST", path, token_in(name), counter_op(1)).status);
        };
        for (const char* name : {"a", "ab", "b"}) add(name, "gc:x");
        const auto digest_of = [&](size_t index, const std::string& name) {
            const std::string body =
                http(server(index), "GET", "/v1/cluster/namespaces?limit=1&after=" + name, admin_token()).body;
            const std::string mark = "\"digest\":\"";
            CPPUNIT_ASSERT_MESSAGE(body, body.find(mark) != std::string::npos);
            return body.substr(body.find(mark) + mark.size(), 16);
        };
        // More keys than one step reads.
        for (int i = 0; i < 1100; ++i) add("ab", key_of(i));
        all_converge();
        const std::string first = http(server(0), "GET", "/v1/cluster/namespaces?limit=2", admin_token()).body;
        CPPUNIT_ASSERT_MESSAGE(first, first.find("\"keys\":1,\"namespace\":\"a\"") != std::string::npos &&
                                          first.find("\"keys\":1101,\"namespace\":\"ab\"") != std::string::npos &&
                                          first.find("\"next\":\"ab\"") != std::string::npos);
        const std::string rest = http(server(0), "GET", "/v1/cluster/namespaces?after=ab", admin_token()).body;
        CPPUNIT_ASSERT_MESSAGE(rest, rest.find("\"ab\"") == std::string::npos &&
                                         rest.find("\"keys\":1,\"namespace\":\"b\"") != std::string::npos &&
                                         rest.find("\"next\"") == std::string::npos);
        const std::string before = digest_of(0, "a");
        CPPUNIT_ASSERT_EQUAL(before, digest_of(1, "a"));
        add("ab", "gc:x");
        CPPUNIT_ASSERT(before != digest_of(0, "a"));
    }

    void the_state_of_the_cluster_can_be_seen() {
        start_cluster(2, through);
        CPPUNIT_ASSERT_EQUAL(200, increment(0, "gc:x", 1));
        all_show("gc:x", 1);
        all_converge();
        CPPUNIT_ASSERT_EQUAL(403, http(server(0), "GET", "/v1/cluster", token()).status);
        CPPUNIT_ASSERT_EQUAL(401, http(server(0), "GET", "/v1/cluster/digests", "").status);
        const HttpReply status = http(server(0), "GET", "/v1/cluster", admin_token());
        CPPUNIT_ASSERT_EQUAL(200, status.status);
        for (const char* part : {"\"clustered\":true", "\"node\":\"1\"", "\"node\":\"2\"", "\"state\":\"alive\"",
                                 "\"up\":true", "\"lag\":0", "\"alarms\":[]"})
            CPPUNIT_ASSERT_MESSAGE(part + (" in " + status.body), status.body.find(part) != std::string::npos);
        const ProgramResult shown = control(0, {"cluster", "status"});
        CPPUNIT_ASSERT_EQUAL_MESSAGE(shown.output, 0, shown.status);
        CPPUNIT_ASSERT_MESSAGE(shown.output, shown.output.find("peer 2: alive") != std::string::npos);
        const ProgramResult same = control(0, {"cluster", "diff", "http://" + server(1).address()});
        CPPUNIT_ASSERT_EQUAL(std::string("1 keys are equal, 0 are not\n"), same.output);
        CPPUNIT_ASSERT_EQUAL(0, same.status);
        const ProgramResult namespaces = control(0, {"cluster", "namespaces"});
        CPPUNIT_ASSERT_EQUAL_MESSAGE(namespaces.output, 0, namespaces.status);
        CPPUNIT_ASSERT_EQUAL_MESSAGE(namespaces.output, size_t{0},
                                     namespaces.output.find("namespace room: 1 keys, digest "));
        CPPUNIT_ASSERT_EQUAL(namespaces.output, control(1, {"cluster", "namespaces"}).output);
        const std::string page = http(server(0), "GET", "/metrics", "").body;
        for (const char* line : {"\nmeridian_cluster_converged 1\n", "\nmeridian_cluster_peers_alive 1\n",
                                 "\nmeridian_cluster_lag_entries 0\n"})
            CPPUNIT_ASSERT_MESSAGE(line + page, page.find(line) != std::string::npos);
    }
};

using ThroughRedis = ConvergenceTest<Through::redis>;
using ThroughHttp = ConvergenceTest<Through::http>;
using ThroughBoth = ConvergenceTest<Through::both>;
CPPUNIT_TEST_SUITE_REGISTRATION(ThroughRedis);
CPPUNIT_TEST_SUITE_REGISTRATION(ThroughHttp);
CPPUNIT_TEST_SUITE_REGISTRATION(ThroughBoth);

class RedisOutageTest : public ClusterFixture {
    CPPUNIT_TEST_SUITE(RedisOutageTest);
    CPPUNIT_TEST(nothing_is_lost_when_redis_dies_and_comes_back);
    CPPUNIT_TEST(a_hung_redis_slows_no_write);
    CPPUNIT_TEST(a_node_starts_without_redis);
    CPPUNIT_TEST(two_clusters_on_one_redis_do_not_mix);
    CPPUNIT_TEST(a_node_alone_runs_no_cluster_code);
    CPPUNIT_TEST_SUITE_END();

public:
    void nothing_is_lost_when_redis_dies_and_comes_back() {
        start_cluster(3, Through::redis);
        CPPUNIT_ASSERT_EQUAL(200, increment(0, "gc:x", 1));
        all_show("gc:x", 1);
        redis_->kill();
        for (int i = 0; i < 30; ++i) CPPUNIT_ASSERT_EQUAL(200, increment(i % 3, "gc:x", 1));
        redis_->restart();
        all_show("gc:x", 31);
        all_converge();
        // And live again.
        auto socket = websocket(server(2), token(), "&keys=string");
        CPPUNIT_ASSERT_EQUAL(200, increment(0, "gc:y", 1));
        CPPUNIT_ASSERT_EQUAL(std::string("gc:y"), expect<wire::DeltaMessage>(socket).crdt_id);
    }

    void a_hung_redis_slows_no_write() {
        start_cluster(2, Through::redis,
                      {"transport.redis.command_timeout=500ms", "transport.redis.ping_interval=300ms"});
        redis_->hang();
        for (int i = 0; i < 30; ++i) CPPUNIT_ASSERT_EQUAL(200, increment(i % 2, "gc:x", 1));
        redis_->wake();
        all_show("gc:x", 30);
        all_converge();
    }

    void a_node_starts_without_redis() {
        start_cluster(1, Through::redis);
        redis_->kill();
        add_node({"cluster.startup_catchup_ms=200"});
        CPPUNIT_ASSERT_EQUAL(200, increment(1, "gc:x", 3));
        redis_->restart();
        all_show("gc:x", 3);
        all_converge();
    }

    void two_clusters_on_one_redis_do_not_mix() {
        start_cluster(2, Through::redis, {"cluster.id=one"});
        add_node({"cluster.id=two"});
        CPPUNIT_ASSERT_EQUAL(200, increment(0, "gc:x", 1));
        eventually("the second node shows it", [&] { return total(1, "gc:x") == 1; });
        eventually("the foreign messages are counted", [&] {
            const std::string page = http(server(2), "GET", "/metrics", "").body;
            return page.find("\nmeridian_cluster_dropped_foreign_total 0\n") == std::string::npos;
        });
        CPPUNIT_ASSERT_EQUAL(int64_t{-1}, total(2, "gc:x"));
    }

    void a_node_alone_runs_no_cluster_code() {
        TemporaryDirectory data;
        ServerProcess alone(data.path(), {"server.signing_key=" + signing_key_hex});
        CPPUNIT_ASSERT(alone.logs("a node alone: no transport is configured"));
        CPPUNIT_ASSERT_EQUAL(std::string("{\"clustered\":false}"),
                             http(alone, "GET", "/v1/cluster", token({.admin = true})).body);
        CPPUNIT_ASSERT_EQUAL(200, http(alone, "GET", "/health/converged", "").status);
        CPPUNIT_ASSERT_EQUAL(404, http(alone, "GET", "/v1/cluster/digests", token({.admin = true})).status);
        CPPUNIT_ASSERT(http(alone, "GET", "/metrics", "").body.find("meridian_cluster_") == std::string::npos);
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(RedisOutageTest);

}  // namespace
}  // namespace meridian::test
