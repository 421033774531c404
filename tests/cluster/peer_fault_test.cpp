// Peers that are hung, refuse, answer garbage, have a full disk, or were away for too long: the others go on, and all
// are level afterwards.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cluster_fixture.h"
#include "transport-http/fake_peer.h"
#include "wire/client_message.h"
#include "wire/op_codec.h"

namespace meridian::test {
namespace {

class PeerFaultTest : public ClusterFixture {
    CPPUNIT_TEST_SUITE(PeerFaultTest);
    CPPUNIT_TEST(peers_that_answer_garbage_or_nothing_cost_the_others_nothing);
    CPPUNIT_TEST(a_hung_node_is_level_when_it_goes_on);
    CPPUNIT_TEST(a_node_with_a_full_disk_gets_the_rest_when_there_is_space);
    CPPUNIT_TEST(a_node_that_was_away_longer_than_the_logs_reach_gets_the_states);
    CPPUNIT_TEST(two_nodes_with_one_id_are_noticed);
    CPPUNIT_TEST(a_node_that_waits_for_its_peers_can_be_stopped);
    CPPUNIT_TEST_SUITE_END();

    int write_large(size_t index, int number, size_t size = 20'000) {
        return http(server(index), "POST", "/v1/namespaces/room/crdts/lww:" + std::to_string(number) + "/ops", token(),
                    register_op(std::string(size, static_cast<char>('a' + number % 26)), now_ms()))
            .status;
    }
    void all_are_equal() {
        all_converge();
        for (size_t i = 1; i < nodes(); ++i) {
            const ProgramResult same = control(0, {"cluster", "diff", "http://" + server(i).address()});
            CPPUNIT_ASSERT_EQUAL_MESSAGE(same.output, 0, same.status);
        }
    }

public:
    void peers_that_answer_garbage_or_nothing_cost_the_others_nothing() {
        FakePeer silent([](const FakeRequest&) { return std::nullopt; });
        FakePeer closing([](const FakeRequest&) { return std::string(); });
        FakePeer garbage([](const FakeRequest&) { return std::string("\x16\x03\x01 this is no HTTP\r\n\r\n"); });
        FakePeer failing([](const FakeRequest&) { return http_answer(500, "{\"error\":\"no\"}"); });
        FakePeer lying([](const FakeRequest&) { return http_answer(200, std::string(1000, '\xff')); });
        for (const FakePeer* peer : {&silent, &closing, &garbage, &failing, &lying}) more_peers_ += "," + peer->url();
        start_cluster(2, Through::http);
        auto socket = websocket(server(1), token(), "&keys=string");
        for (int i = 0; i < 30; ++i) {
            CPPUNIT_ASSERT_EQUAL(200, increment(0, "gc:x", 1));
            CPPUNIT_ASSERT_EQUAL(std::string("gc:x"), expect<wire::DeltaMessage>(socket).crdt_id);
        }
        for (const FakePeer* peer : {&silent, &closing, &garbage, &failing, &lying})
            CPPUNIT_ASSERT_MESSAGE(peer->url(), peer->connections() > 0);
        all_are_equal();
    }

    void a_hung_node_is_level_when_it_goes_on() {
        start_cluster(3, Through::http);
        server(2).signal(SIGSTOP);
        auto socket = websocket(server(1), token(), "&keys=string");
        for (int i = 0; i < 30; ++i) {
            CPPUNIT_ASSERT_EQUAL(200, increment(0, "gc:x", 1));
            CPPUNIT_ASSERT_EQUAL(std::string("gc:x"), expect<wire::DeltaMessage>(socket).crdt_id);
        }
        server(2).signal(SIGCONT);
        all_show("gc:x", 30);
        all_are_equal();
    }

    void a_node_with_a_full_disk_gets_the_rest_when_there_is_space() {
        start_cluster(1, Through::both);
        TemporaryDirectory control;
        const std::string armed = control.path() + "/armed";
        Node& second = add_node({"store.segment_size=64KiB", "store.log_bytes_max=8MiB", "store.spare_segments=0"},
                                {std::string("LD_PRELOAD=") + POWER_LOSS_SHIM,
                                 "MERIDIAN_POWER_LOSS_FAULT=allocate:ENOSPC:0:0", "MERIDIAN_POWER_LOSS_ARMED=" + armed,
                                 // The address sanitizer wants to be the first library.
                                 "ASAN_OPTIONS=verify_asan_link_order=0"});
        stop(second, SIGTERM);
        second.environment.push_back("MERIDIAN_POWER_LOSS_DIRECTORY=" + second.data.path());
        start(second);
        all_converge();
        std::ofstream(armed).put('x');
        // Until its disk has refused; the first node goes on.
        int number = 0;
        for (; number < 500 && metric(1, "cluster_merges_failed_total") == 0; ++number)
            CPPUNIT_ASSERT_EQUAL(200, write_large(0, number));
        CPPUNIT_ASSERT(metric(1, "cluster_merges_failed_total") > 0);
        CPPUNIT_ASSERT_EQUAL(503, http(server(1), "GET", "/health/converged", "").status);
        for (int i = 0; i < 5; ++i) CPPUNIT_ASSERT_EQUAL(200, increment(0, "gc:x", 1));
        std::filesystem::remove(armed);
        all_show("gc:x", 5);
        all_are_equal();
        CPPUNIT_ASSERT_EQUAL(200, increment(1, "gc:x", 1));
        all_show("gc:x", 6);
    }

    void a_node_that_was_away_longer_than_the_logs_reach_gets_the_states() {
        start_cluster(
            3, Through::http,
            {"store.segment_size=256KiB", "node.log_retention_bytes=16777216", "node.checkpoint_interval_ms=200"});
        CPPUNIT_ASSERT_EQUAL(200, increment(2, "gc:x", 1));
        CPPUNIT_ASSERT_EQUAL(200, increment(0, "gc:x", 1));
        all_show("gc:x", 2);
        all_converge();
        stop(node(2), SIGKILL);
        for (int i = 0; i < 10; ++i) CPPUNIT_ASSERT_EQUAL(200, increment(i % 2, "gc:x", 1));
        // Twice the retention is kept for a node that lacks it.
        for (int i = 0; i < 300; ++i) CPPUNIT_ASSERT_EQUAL(200, write_large(0, i % 50, 200'000));
        for (size_t i = 0; i < 2; ++i)
            eventually("the log is cut", [&] { return metric(i, "store_log_bytes") < 24'000'000; });
        start(node(2));
        all_show("gc:x", 12);
        all_are_equal();
        CPPUNIT_ASSERT(metric(2, "cluster_transfers_finished_total") > 0);
        CPPUNIT_ASSERT_EQUAL(200, increment(2, "gc:x", 1));
        all_show("gc:x", 13);
    }

    void two_nodes_with_one_id_are_noticed() {
        start_cluster(2, Through::redis);
        add_node({"node.id=2", "cluster.startup_catchup_ms=100"});
        eventually("one of them says so", [&] {
            return http(server(0), "GET", "/v1/cluster", token({.admin = true})).body.find("\"alarms\":[]") ==
                       std::string::npos ||
                   http(server(1), "GET", "/v1/cluster", token({.admin = true})).body.find("\"alarms\":[]") ==
                       std::string::npos;
        });
    }

    void a_node_that_waits_for_its_peers_can_be_stopped() {
        FakePeer silent([](const FakeRequest&) { return std::nullopt; });
        TemporaryDirectory data;
        const std::string command =
            "echo $$; exec " MERIDIAND " --bind 127.0.0.1:0 --data-dir " + data.path() +
            " --set cluster.startup_catchup_ms=3600000 --set transport.http.plugin=transport-http"
            " --set transport.http.bind=127.0.0.1:0 --set transport.http.peers=" +
            silent.url() + " 2>&1";
        FILE* const output = ::popen(command.c_str(), "r");
        CPPUNIT_ASSERT(output != nullptr);
        char line[4096];
        CPPUNIT_ASSERT(std::fgets(line, sizeof line, output) != nullptr);
        const pid_t process = std::atoi(line);
        std::string log;
        while (log.find("listening for other nodes") == std::string::npos &&
               std::fgets(line, sizeof line, output) != nullptr)
            log += line;
        ::kill(process, SIGTERM);
        while (std::fgets(line, sizeof line, output) != nullptr) log += line;
        CPPUNIT_ASSERT_EQUAL_MESSAGE(log, 0, ::pclose(output));
        CPPUNIT_ASSERT_MESSAGE(log, log.find("stopped before it served signal=SIGTERM") != std::string::npos);
        CPPUNIT_ASSERT_MESSAGE(log, log.find("listening address=") == std::string::npos);
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(PeerFaultTest);

}  // namespace
}  // namespace meridian::test
