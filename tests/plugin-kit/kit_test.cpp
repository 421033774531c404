// The conformance kit over stores that are broken in one way each: every check must be able to fail, and a store
// without a defect must pass.
#include <cppunit/extensions/HelperMacros.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "expectations.h"
#include "kit_run.h"

namespace meridian::test {
namespace {

// Those of the extension of shared stores, and the checks that they must fail.
const std::map<std::string, std::string> shared_defects = {
    {"gives-rows-that-are-cached", "a lock gives the rows that changed"},
    {"aborts-change-versions", "an aborted group has written nothing"},
    {"locks-without-waiting", "a locked row makes others wait"},
    {"locks-for-ever", "a lock ends at its deadline"},
    {"tells-nobody", "others are told of a commit"},
};

class KitTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(KitTest);
    CPPUNIT_TEST(passes_a_store_that_keeps_the_contract);
    CPPUNIT_TEST(passes_a_volatile_store_and_skips_what_it_cannot_keep);
    CPPUNIT_TEST(fails_each_defect_at_its_check);
    CPPUNIT_TEST(every_check_fails_for_some_defect);
    CPPUNIT_TEST(the_page_says_what_every_check_is_for);
    CPPUNIT_TEST(fails_defects_of_the_descriptor);
    CPPUNIT_TEST(fails_defects_of_shared_stores);
    CPPUNIT_TEST(survives_a_plugin_that_crashes_or_hangs);
    CPPUNIT_TEST(refuses_what_it_cannot_test);
    CPPUNIT_TEST_SUITE_END();

    static void must_fail(const char* path, const std::string& check) {
        const auto run = run_kit({path, "--only", check});
        CPPUNIT_ASSERT_EQUAL_MESSAGE(run.output, 1, run.exit_status);
        CPPUNIT_ASSERT_MESSAGE(run.output, run.failed == std::set<std::string>{check});
    }

public:
    void passes_a_store_that_keeps_the_contract() {
        const auto run = run_kit({BROKEN_PLAIN_PATH});
        CPPUNIT_ASSERT_EQUAL_MESSAGE(run.output, 0, run.exit_status);
        CPPUNIT_ASSERT_MESSAGE(run.output, run.failed.empty());
        CPPUNIT_ASSERT_MESSAGE(run.output, run.passed.size() > 70);
    }

    void passes_a_volatile_store_and_skips_what_it_cannot_keep() {
        const auto run = run_kit({BROKEN_VOLATILE_PATH});
        CPPUNIT_ASSERT_EQUAL_MESSAGE(run.output, 0, run.exit_status);
        CPPUNIT_ASSERT_MESSAGE(run.output, run.skipped.count("what was acknowledged is there after reopening") == 1);
        CPPUNIT_ASSERT_MESSAGE(run.output, run.passed.count("a missing backup is not supported") == 1);
    }

    void fails_each_defect_at_its_check() {
        // All checks when asked for (it takes minutes): none but those that the defect touches may fail.
        const bool all = std::getenv("MERIDIAN_KIT_MATRIX") != nullptr;
        for (const Expectation& expectation : expectations) {
            std::vector<std::string> arguments = {BROKEN_PLAIN_PATH, "--config",
                                                  std::string("defect=") + expectation.defect};
            if (!all) arguments.insert(arguments.end(), {"--only", expectation.check});
            const auto run = run_kit(arguments);
            const std::string what = std::string(expectation.defect) + "\n" + run.output;
            CPPUNIT_ASSERT_EQUAL_MESSAGE(what, 1, run.exit_status);
            CPPUNIT_ASSERT_MESSAGE(what, run.failed.count(expectation.check) == 1);
            for (const std::string& name : run.failed) {
                CPPUNIT_ASSERT_MESSAGE("also failed: " + name + "\n" + what,
                                       name == expectation.check || expectation.also.count(name) == 1);
            }
        }
    }

    void every_check_fails_for_some_defect() {
        std::set<std::string> proven = {// By fails_defects_of_the_descriptor.
                                        "the loader accepts the file",        "its descriptor is complete",
                                        "an unknown extension is null",       "its configuration keys make sense",
                                        "a struct without a size is refused", "a missing backup is not supported",
                                        "a page of nothing is refused",       "it can be given its values again"};
        for (const Expectation& expectation : expectations) proven.insert(expectation.check);
        for (const auto& [defect, check] : shared_defects) proven.insert(check);
        std::set<std::string> unproven;
        for (const std::string& name : all_checks()) {
            if (proven.count(name) == 0) unproven.insert(name);
        }
        CPPUNIT_ASSERT_EQUAL_MESSAGE("checks that no store here fails:" + joined(unproven), size_t{0}, unproven.size());
    }

    void the_page_says_what_every_check_is_for() {
        std::ifstream file(PAGE);
        const std::string page((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
        for (const std::string& name : all_checks())
            CPPUNIT_ASSERT_MESSAGE(name, page.find("\n- `" + name + "`") != std::string::npos);
    }

    void fails_defects_of_the_descriptor() {
        must_fail(BROKEN_NO_READ_LOG_PATH, "the loader accepts the file");
        must_fail(BROKEN_EXPORTS_PATH, "the loader accepts the file");
        must_fail(BROKEN_LICENCE_PATH, "its descriptor is complete");
        must_fail(BROKEN_RELOAD_PATH, "it can be given its values again");
        must_fail(BROKEN_EXTENSION_PATH, "an unknown extension is null");
        must_fail(BROKEN_KEY_PATH, "its configuration keys make sense");
        must_fail(BROKEN_ANY_SIZE_PATH, "a struct without a size is refused");
        must_fail(BROKEN_ANY_COUNT_PATH, "a page of nothing is refused");
        must_fail(BROKEN_BACKUP_PATH, "a missing backup is not supported");
        // A file that cannot be loaded ends the run.
        const auto run = run_kit({BROKEN_NO_READ_LOG_PATH});
        CPPUNIT_ASSERT_EQUAL_MESSAGE(run.output, 1, run.exit_status);
        CPPUNIT_ASSERT_MESSAGE(run.output, run.output.find("lacks 'store.read_log'") != std::string::npos);
        CPPUNIT_ASSERT_MESSAGE(run.output, run.output.find("Bail out!") != std::string::npos);
    }

    void fails_defects_of_shared_stores() {
        std::vector<std::string> passing = {BROKEN_SHARED_PATH};
        for (const auto& [defect, check] : shared_defects) {
            const auto run = run_kit({BROKEN_SHARED_PATH, "--config", "defect=" + defect, "--only", check, "--timeout",
                                      defect == "locks-for-ever" || defect == "tells-nobody" ? "2" : "60"});
            CPPUNIT_ASSERT_EQUAL_MESSAGE(run.output, 1, run.exit_status);
            passing.insert(passing.end(), {"--only", check});
        }
        const auto run = run_kit(passing);
        CPPUNIT_ASSERT_EQUAL_MESSAGE(run.output, 0, run.exit_status);
        CPPUNIT_ASSERT_EQUAL_MESSAGE(run.output, shared_defects.size(), run.passed.size());
    }

    void survives_a_plugin_that_crashes_or_hangs() {
        const std::string check = "due keys come in order of deadline";
        const auto crashed = run_kit({BROKEN_PLAIN_PATH, "--config", "defect=crashes", "--only", check});
        CPPUNIT_ASSERT_EQUAL_MESSAGE(crashed.output, 1, crashed.exit_status);
        CPPUNIT_ASSERT_MESSAGE(crashed.output, crashed.failed.count(check) == 1);
        CPPUNIT_ASSERT_MESSAGE(crashed.output,
                               crashed.output.find("SIGABRT while submitting scan_due") != std::string::npos);
        const auto hung = run_kit({BROKEN_PLAIN_PATH, "--config", "defect=hangs", "--only", check, "--timeout", "1"});
        CPPUNIT_ASSERT_EQUAL_MESSAGE(hung.output, 1, hung.exit_status);
        CPPUNIT_ASSERT_MESSAGE(
            hung.output, hung.output.find("no end within 1000 ms, while submitting scan_due") != std::string::npos);
    }

    void refuses_what_it_cannot_test() {
        const auto refused = [](const std::vector<std::string>& arguments, const std::string& text) {
            const auto run = run_kit(arguments);
            CPPUNIT_ASSERT_EQUAL_MESSAGE(run.output, 2, run.exit_status);
            CPPUNIT_ASSERT_MESSAGE(run.output, run.output.find(text) != std::string::npos);
        };
        refused({}, "expected the file of a plug-in");
        refused({"/nonexistent/store.so"}, "No such file");
        refused({KIT}, "no ELF note");
        refused({BROKEN_PLAIN_PATH, "--config", "defect"}, "expected KEY=VALUE");
        refused({BROKEN_PLAIN_PATH, "--only", "no such"}, "there is no such check");
        refused({BROKEN_PLAIN_PATH, "--kills", "5"}, "go with --power-loss");
        refused({BROKEN_PLAIN_PATH, "--timeout", "0"}, "expected a number from 1");
        refused({BROKEN_PLAIN_PATH, "--frob"}, "unknown option");
        refused({BROKEN_PLAIN_PATH, "--config", "nonsense=1"}, "--config nonsense: ");
        refused({BROKEN_VOLATILE_PATH, "--power-loss"}, "MERIDIAN_STORE_VOLATILE");
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(KitTest);

}  // namespace
}  // namespace meridian::test
