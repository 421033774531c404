// meridiand --list-plugins and --check-plugin, through the real binary.
#include <cppunit/extensions/HelperMacros.h>

#include <filesystem>
#include <fstream>

#include "plugin_report.h"
#include "server_process.h"

namespace meridian::test {
namespace {

namespace fs = std::filesystem;

class PluginReportTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(PluginReportTest);
    CPPUNIT_TEST(check_prints_the_descriptor_and_every_key);
    CPPUNIT_TEST(check_finds_a_plugin_by_its_name);
    CPPUNIT_TEST(check_says_why_a_plugin_is_refused);
    CPPUNIT_TEST(check_outlives_a_plugin_that_crashes_when_it_is_loaded);
    CPPUNIT_TEST(check_gives_up_on_a_plugin_that_hangs_when_it_is_loaded);
    CPPUNIT_TEST(list_has_a_line_for_each_file);
    CPPUNIT_TEST(list_says_where_it_looked_if_it_found_nothing);
    CPPUNIT_TEST_SUITE_END();

    static ProgramResult check(const std::string& file) { return run_program({MERIDIAND, "--check-plugin", file}); }
    static void must_have(const ProgramResult& result, int status, const std::vector<std::string>& parts) {
        CPPUNIT_ASSERT_EQUAL_MESSAGE(result.output, status, result.status);
        for (const std::string& part : parts) {
            CPPUNIT_ASSERT_MESSAGE("'" + result.output + "' lacks '" + part + "'",
                                   result.output.find(part) != std::string::npos);
        }
    }

public:
    void check_prints_the_descriptor_and_every_key() {
        must_have(check(STRANGE_PLAIN_PATH), 0,
                  {"file:         " STRANGE_PLAIN_PATH "\n", "name:         strange\n", "kind:         store\n",
                   "version:      1.0\n", "ABI:          0.2\n", "licence:      MIT\n", "summary:      Does nothing\n",
                   "capabilities: volatile\n", "keys of its section, [store]:\n",
                   "  room = 1MiB\n      size (64KiB, 16MiB, ...), 1024 to 1073741824 bytes; variable STRANGE_ROOM\n"
                   "      A size.\n",
                   "  password (required)\n      text; or password_file; secret\n      A secret.\n",
                   "  mode = fast\n      one of fast|safe; can be reloaded\n      A choice.\n"});
    }

    void check_finds_a_plugin_by_its_name() { must_have(check("store-kv"), 0, {"name:         store-kv\n"}); }

    void check_says_why_a_plugin_is_refused() {
        must_have(check(STRANGE_NO_COMMIT_PATH), 1,
                  {"meridiand: plug-in " STRANGE_NO_COMMIT_PATH ": its descriptor lacks 'store.commit'"});
        must_have(check("/no/such.so"), 1, {"plug-in /no/such.so: cannot be opened: No such file or directory"});
        must_have(run_program({MERIDIAND, "--check-plugin"}), 1, {"--check-plugin: expected a value"});
    }

    void check_outlives_a_plugin_that_crashes_when_it_is_loaded() {
        must_have(check(STRANGE_CRASHING_LOAD_PATH), 1,
                  {"plug-in " STRANGE_CRASHING_LOAD_PATH ": loading it ended the process by signal 6 (Aborted)"});
    }

    void check_gives_up_on_a_plugin_that_hangs_when_it_is_loaded() {
        const auto described = server::describe_plugin(STRANGE_HANGING_LOAD_PATH, {}, std::chrono::milliseconds(300));
        CPPUNIT_ASSERT(!described.ok());
        CPPUNIT_ASSERT_EQUAL(
            std::string("plug-in " STRANGE_HANGING_LOAD_PATH ": loading it took more than 300 ms, it was given up"),
            described.error().message);
    }

    void list_has_a_line_for_each_file() {
        const TemporaryDirectory temporary;
        for (const char* name : {"/a", "/b"}) fs::create_directory(temporary.path() + name);
        fs::copy_file(STRANGE_PLAIN_PATH, temporary.path() + "/a/plain.so");
        fs::copy_file(STRANGE_CRASHING_LOAD_PATH, temporary.path() + "/a/crashing.so");
        fs::copy_file(STRANGE_NO_COMMIT_PATH, temporary.path() + "/b/incomplete.so");
        std::ofstream(temporary.path() + "/b/text.so") << "not an object";
        std::ofstream(temporary.path() + "/b/text") << "not of the name of one";
        const std::string path = temporary.path();
        const auto listed =
            run_program({MERIDIAND, "--set", "plugins.path=" + path + "/a:" + path + "/b", "--list-plugins"});
        CPPUNIT_ASSERT_EQUAL(0, listed.status);
        CPPUNIT_ASSERT_EQUAL("refused: plug-in " + path + "/a/crashing.so: loading it ended the process by signal 6 " +
                                 "(Aborted)\n" + "strange           store      1.0       ABI 0.2  " + path +
                                 "/a/plain.so\n" + "refused: plug-in " + path +
                                 "/b/incomplete.so: its descriptor lacks 'store.commit'\n" + "refused: plug-in " +
                                 path + "/b/text.so: not a shared object: it has 13 bytes\n",
                             listed.output);
    }

    void list_says_where_it_looked_if_it_found_nothing() {
        const TemporaryDirectory temporary;
        must_have(run_program({MERIDIAND, "--set", "plugins.path=" + temporary.path(), "--list-plugins"}), 0,
                  {"no plug-in in " + temporary.path() + "\n"});
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(PluginReportTest);

}  // namespace
}  // namespace meridian::test
