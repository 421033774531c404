// The conformance kit over transports that are broken in one way each: every check must be able to fail, and a
// transport without a defect must pass.
#include <cppunit/extensions/HelperMacros.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "kit_run.h"
#include "transport_expectations.h"

namespace meridian::test {
namespace {

class TransportKitTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(TransportKitTest);
    CPPUNIT_TEST(passes_a_transport_that_keeps_the_contract);
    CPPUNIT_TEST(fails_each_defect_at_its_check);
    CPPUNIT_TEST(every_check_fails_for_some_defect);
    CPPUNIT_TEST(the_page_says_what_every_check_is_for);
    CPPUNIT_TEST_SUITE_END();

    static std::vector<std::string> with_unreachable(const std::vector<std::string>& more) {
        std::vector<std::string> out = {BROKEN_TRANSPORT_PATH, "--unreachable", "reachable=false"};
        out.insert(out.end(), more.begin(), more.end());
        return out;
    }

public:
    void passes_a_transport_that_keeps_the_contract() {
        // With two ports there is no third node.
        for (const char* port : {"0", "{port1}", "{port3}"}) {
            const auto run = run_kit(with_unreachable({"--config", std::string("port=") + port}));
            CPPUNIT_ASSERT_EQUAL_MESSAGE(run.output, 0, run.exit_status);
            CPPUNIT_ASSERT_MESSAGE(run.output, run.failed.empty());
            CPPUNIT_ASSERT_MESSAGE(run.output, run.passed.size() > 40);
        }
    }

    void fails_each_defect_at_its_check() {
        // All checks when asked for (it takes minutes): what else fails is printed.
        const bool all = std::getenv("MERIDIAN_KIT_MATRIX") != nullptr;
        for (const Expectation& expectation : transport_expectations) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
            // They keep memory of their own, and the kit looks at none.
            if (expectation.defect == std::string("keeps-everything")) continue;
#endif
            // A check that waits for what never comes fails when its time is up.
            std::vector<std::string> arguments =
                with_unreachable({"--timeout", "3", "--config", std::string("defect=") + expectation.defect});
            if (expectation.defect == std::string("ignores-a-taken-port"))
                arguments.insert(arguments.end(), {"--config", "port={port1}"});
            if (!all) arguments.insert(arguments.end(), {"--only", expectation.check});
            const auto run = run_kit(arguments);
            const std::string what = std::string(expectation.defect) + "\n" + run.output;
            CPPUNIT_ASSERT_EQUAL_MESSAGE(what, 1, run.exit_status);
            CPPUNIT_ASSERT_MESSAGE(what, run.failed.count(expectation.check) == 1);
        }
    }

    void every_check_fails_for_some_defect() {
        std::set<std::string> proven = {// For every kind of plug-in; by the tests with stores.
                                        "the loader accepts the file", "its descriptor is complete",
                                        "an unknown extension is null", "its configuration keys make sense"};
        for (const Expectation& expectation : transport_expectations) proven.insert(expectation.check);
        std::set<std::string> unproven;
        for (const std::string& name : all_checks(BROKEN_TRANSPORT_PATH)) {
            if (proven.count(name) == 0) unproven.insert(name);
        }
        CPPUNIT_ASSERT_EQUAL_MESSAGE("checks that no transport here fails:" + joined(unproven), size_t{0},
                                     unproven.size());
    }

    void the_page_says_what_every_check_is_for() {
        std::ifstream file(PAGE);
        const std::string page((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
        for (const std::string& name : all_checks(BROKEN_TRANSPORT_PATH))
            CPPUNIT_ASSERT_MESSAGE(name, page.find("\n- `" + name + "`") != std::string::npos);
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(TransportKitTest);

}  // namespace
}  // namespace meridian::test
