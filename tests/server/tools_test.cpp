// meridian-bench and meridianctl as a user runs them. Figures are not looked at: they say something about the machine.
#include <algorithm>
#include <csignal>
#include <future>

#include "base/json_text.h"
#include "server_fixture.h"

namespace meridian::test {

class ToolsTest : public ServerFixture {
    CPPUNIT_TEST_SUITE(ToolsTest);
#ifdef MERIDIAN_BENCH_PROGRAM
    CPPUNIT_TEST(bench_measures_every_workload_on_a_node_that_it_starts);
    CPPUNIT_TEST(bench_measures_a_cluster);
    CPPUNIT_TEST(bench_drives_a_running_node_with_a_token);
    CPPUNIT_TEST(bench_says_what_is_wrong_with_its_command_line);
#endif
    CPPUNIT_TEST(ctl_status_succeeds_only_if_the_node_is_ready);
    CPPUNIT_TEST(ctl_writes_each_type_by_its_friendly_form);
    CPPUNIT_TEST(ctl_edits_a_text_by_position);
    CPPUNIT_TEST(ctl_reaches_a_node_by_its_unix_socket);
    CPPUNIT_TEST(ctl_says_what_is_wrong_with_an_op);
    CPPUNIT_TEST_SUITE_END();

private:
    // With the signing key of the test's node, in a namespace.
    ProgramResult ctl(std::vector<std::string> words) {
        words.insert(words.begin(), MERIDIANCTL);
        return run_program(words, {"MERIDIAN_URL=http://" + server_->address(),
                                   "MERIDIAN_SIGNING_KEY=" + signing_key_hex, "MERIDIAN_DATA_DIR=/nonexistent"});
    }
    ProgramResult demo(std::vector<std::string> words) {
        words.insert(words.end(), {"--namespace", "demo"});
        return ctl(std::move(words));
    }
    void write(const std::vector<std::string>& words) {
        const ProgramResult result = demo(words);
        CPPUNIT_ASSERT_EQUAL_MESSAGE(result.output, 0, result.status);
    }
    void reads(const std::string& key, const std::string& part) {
        const ProgramResult result = demo({"get", key});
        CPPUNIT_ASSERT_MESSAGE(result.output, result.status == 0 && result.output.find(part) != std::string::npos);
    }
    static void assert_failed(const ProgramResult& result, const std::string& why) {
        CPPUNIT_ASSERT_EQUAL(1, result.status);
        CPPUNIT_ASSERT_MESSAGE(result.output, result.output.find(why) != std::string::npos);
    }

#ifdef MERIDIAN_BENCH_PROGRAM
    // Few and short.
    static ProgramResult bench(std::vector<std::string> arguments) {
        std::vector<std::string> command = {MERIDIAN_BENCH_PROGRAM, "--rounds", "1", "--seconds", "1",
                                            "--subscribers",        "20"};
        for (const char* word : {"--connections", "4", "--idle", "20", "--joins", "8", "--state-bytes", "20000"})
            command.emplace_back(word);
        command.insert(command.end(), arguments.begin(), arguments.end());
        return run_program(command);
    }

    // One line of JSON in which each of these names appears.
    static void assert_json_with(const ProgramResult& result, const std::vector<std::string>& names) {
        CPPUNIT_ASSERT_EQUAL_MESSAGE(result.output, 0, result.status);
        CPPUNIT_ASSERT_EQUAL(1L, std::count(result.output.begin(), result.output.end(), '\n'));
        CPPUNIT_ASSERT_MESSAGE(result.output, is_compact_json(result.output.substr(0, result.output.size() - 1)));
        for (const std::string& name : names)
            CPPUNIT_ASSERT_MESSAGE(name + " in " + result.output,
                                   result.output.find("\"" + name + "\"") != std::string::npos);
    }

    static void refused(const std::vector<std::string>& arguments, const std::string& why) {
        assert_failed(bench(arguments), why);
    }

    void bench_measures_every_workload_on_a_node_that_it_starts() {
        assert_json_with(bench({"--json", "--in-flight", "4", "all"}),
                         {"fan-out", "ops", "rest-read", "idle", "join-storm", "typing", "server_cpu_per_op_loopbacks",
                          "part_of_bare_server", "server_memory_per_connection_bytes", "p99_storm_by_calm"});
    }

    void bench_measures_a_cluster() {
        assert_json_with(
            bench({"--json", "--in-flight", "4", "--entries", "500", "cluster"}),
            {"cluster_delivery", "least_p50_ms", "cluster_acks", "p50_ratio", "cluster_ops", "peer_cpu_per_entry_us",
             "cluster_catch_up", "entries_per_second_of_receiver_cpu", "cluster_idle", "cpu_per_second_us"});
    }

    void bench_drives_a_running_node_with_a_token() {
        start();
        const std::string url = "ws://" + server_->address();
        assert_json_with(
            bench({"--json", "--in-flight", "1", "--url", url, "--token", token(), "--subscribers", "3", "fan-out"}),
            {"deliveries_per_second", "delivery_p99_ms"});
    }

    void bench_says_what_is_wrong_with_its_command_line() {
        refused({"fanout"}, "fanout: unknown workload; did you mean 'fan-out'?");
        refused({"--in-flight", "0", "ops"}, "--in-flight '0': expected numbers from 1 to 1024 separated by commas");
        refused({"--token", "x", "ops"}, "--token is for a running node: expected --url as well");
        refused({"--set", "server.lops=2", "ops"}, "did you mean 'server.loops'?");
        refused({"--url", "ws://127.0.0.1:1", "cluster"}, "cluster starts nodes of its own: expected no --url");
        refused({"--transport", "tcp", "cluster"}, "--transport 'tcp': expected http or redis");
        refused({}, "expected a workload: fan-out,");
    }
#endif

    void ctl_status_succeeds_only_if_the_node_is_ready() {
        start();
        const ProgramResult ready = ctl({"status"});
        CPPUNIT_ASSERT_EQUAL_MESSAGE(ready.output, 0, ready.status);
        for (const char* part : {"ready        yes", "version      0.", "node id      ", "up           "})
            CPPUNIT_ASSERT_MESSAGE(ready.output, ready.output.find(part) != std::string::npos);
        CPPUNIT_ASSERT_MESSAGE(ready.output, ready.output.find('?') == std::string::npos);
        server_->signal(SIGTERM);
        CPPUNIT_ASSERT_EQUAL(0, server_->wait());
        assert_failed(ctl({"status"}), "Connection refused");
    }

    void ctl_writes_each_type_by_its_friendly_form() {
        start();
        write({"op", "incr", "gc:views", "5"});
        write({"incr", "gc:views"});
        reads("gc:views", "\"total\":6");
        write({"op", "decr", "pn:stock", "2"});
        reads("pn:stock", "-2");
        write({"op", "set", "lw:title", R"({"text":"Draft"})"});
        reads("lw:title", R"({"text":"Draft"})");
        write({"op", "add", "or:tags", "\"red\""});
        write({"op", "add", "or:tags", "\"blue\""});
        write({"op", "remove", "or:tags", "\"red\""});
        reads("or:tags", "[\"blue\"]");
        write({"op", "here", "pr:page", R"({"name":"Ann"})"});
        reads("pr:page", "Ann");
        write({"op", "map", "cm:page", "title", "set", "\"One\""});
        write({"op", "map", "cm:page", "views", "incr", "4"});
        reads("cm:page", "\"One\"");
        reads("cm:page", "\"total\":4");
        write({"op", "raw", "gc:views", R"({"GCounter":{"client_id":7,"amount":3}})"});
        reads("gc:views", "\"total\":9");
    }

    void ctl_edits_a_text_by_position() {
        start();
        write({"op", "insert", "rga:note", "0", "Hallo W\u00e4lt"});
        write({"op", "delete", "rga:note", "1"});
        write({"op", "insert", "rga:note", "1", "e"});
        write({"op", "insert", "rga:note", "5", ", dear"});
        reads("rga:note", "\"Hello, dear W\u00e4lt\"");
        write({"op", "delete", "rga:note", "5", "6"});
        reads("rga:note", "\"Hello W\u00e4lt\"");
        assert_failed(demo({"op", "insert", "rga:note", "11", "!"}), "position 11: expected at most 10");
        assert_failed(demo({"op", "delete", "rga:note", "8", "3"}), "behind position 8 there are 2 characters");
    }

    void ctl_reaches_a_node_by_its_unix_socket() {
        const std::string address = "unix:" + data_->path() + "/node.sock";
        start({"server.bind=127.0.0.1:0," + address});
        const auto local = [&](std::vector<std::string> words) {
            words.insert(words.end(), {"--namespace", "demo", "--url", address});
            return ctl(std::move(words));
        };
        for (const std::vector<std::string>& words : {std::vector<std::string>{"status"},
                                                      {"incr", "gc:views", "5"},
                                                      {"op", "insert", "rga:note", "0", "Hello"}}) {
            const ProgramResult result = local(words);
            CPPUNIT_ASSERT_EQUAL_MESSAGE(result.output, 0, result.status);
        }
        reads("gc:views", "\"total\":5");
        CPPUNIT_ASSERT(local({"get", "rga:note"}).output.find("Hello") != std::string::npos);
        const ProgramResult backup = local({"backup", "first"});
        CPPUNIT_ASSERT_EQUAL_MESSAGE(backup.output, 0, backup.status);
        // It watches until the node ends.
        std::future<ProgramResult> watch = std::async(std::launch::async, [&] { return local({"watch", "gc:views"}); });
        const uint64_t deadline_ms = now_ms() + 20'000;
        while (http(*server_, "GET", "/metrics", "").body.find("\nmeridian_ws_connections_active 1\n") ==
               std::string::npos)
            CPPUNIT_ASSERT_MESSAGE("nobody watches", now_ms() < deadline_ms);
        server_->signal(SIGTERM);
        CPPUNIT_ASSERT_EQUAL(0, server_->wait());
        const ProgramResult watched = watch.get();
        CPPUNIT_ASSERT_MESSAGE(watched.output, watched.output.find("1012") != std::string::npos);
        assert_failed(local({"status"}), "node.sock");
        assert_failed(ctl({"status", "--url", "unix:node.sock"}),
                      "--url 'unix:node.sock': expected http://host:port or unix:/path");
    }

    void ctl_says_what_is_wrong_with_an_op() {
        start();
        assert_failed(demo({"op", "inrc", "gc:views"}), "inrc: unknown op; did you mean 'incr'?");
        assert_failed(demo({"stats"}), "stats: unknown command; did you mean 'status'?");
        assert_failed(demo({"op", "incr"}), "incr: expected KEY [N], found 0 operands");
        assert_failed(demo({"op", "incr", "gc:views", "x"}), "amount 'x': expected a whole number");
        assert_failed(demo({"op", "set", "lw:title", "Draft"}), "a string needs its double quotes");
        assert_failed(demo({"op", "raw", "gc:views", R"({"GCounter":{"client_id":7}})"}), "\"amount\"");
        assert_failed(demo({"op", "remove", "or:tags", "1"}), "or:tags: holds no 1");
        assert_failed(ctl({"op", "incr", "gc:views"}), "--namespace is missing");
        write({"incr", "gc:views"});
        assert_failed(demo({"op", "insert", "gc:views", "0", "x"}), "not of the type that this op is for");
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(ToolsTest);

}  // namespace meridian::test
