// meridian-bench as a user runs it. Figures are not looked at: they say something about the machine.
#include <algorithm>

#include "base/json_text.h"
#include "server_fixture.h"

namespace meridian::test {

class ToolsTest : public ServerFixture {
    CPPUNIT_TEST_SUITE(ToolsTest);
    CPPUNIT_TEST(bench_measures_every_workload_on_a_node_that_it_starts);
    CPPUNIT_TEST(bench_drives_a_running_node_with_a_token);
    CPPUNIT_TEST(bench_says_what_is_wrong_with_its_command_line);
    CPPUNIT_TEST_SUITE_END();

private:
    // Few and short.
    static ProgramResult bench(std::vector<std::string> arguments) {
        std::vector<std::string> command = {MERIDIAN_BENCH, "--rounds", "1", "--seconds", "1", "--subscribers", "20"};
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
        const ProgramResult result = bench(arguments);
        CPPUNIT_ASSERT_EQUAL(1, result.status);
        CPPUNIT_ASSERT_MESSAGE(result.output, result.output.find(why) != std::string::npos);
    }

    void bench_measures_every_workload_on_a_node_that_it_starts() {
        assert_json_with(bench({"--json", "--in-flight", "4", "all"}),
                         {"fan-out", "ops", "rest-read", "idle", "join-storm", "typing", "server_cpu_per_op_loopbacks",
                          "part_of_bare_server", "server_memory_per_connection_bytes", "p99_storm_by_calm"});
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
        refused({}, "expected a workload: fan-out,");
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(ToolsTest);

}  // namespace meridian::test
