// Runs every registered CppUnit test, or those whose names contain the first argument. Exit status 0 only if at least
// one test ran and all passed.
#include <cppunit/BriefTestProgressListener.h>
#include <cppunit/CompilerOutputter.h>
#include <cppunit/extensions/TestFactoryRegistry.h>
#include <cppunit/TestResult.h>
#include <cppunit/TestResultCollector.h>
#include <cppunit/TestRunner.h>

#include <iostream>
#include <string>

namespace {

void add_matching(CppUnit::TestRunner& runner, CppUnit::Test* test, const std::string& pattern) {
    if (pattern.empty() || (test->getChildTestCount() == 0 && test->getName().find(pattern) != std::string::npos)) {
        runner.addTest(test);
        return;
    }
    for (int i = 0; i < test->getChildTestCount(); ++i) add_matching(runner, test->getChildTestAt(i), pattern);
}

}  // namespace

int main(int argc, char** argv) {
    const std::string pattern = argc > 1 ? argv[1] : "";
    CppUnit::TestResult result;
    CppUnit::TestResultCollector collector;
    CppUnit::BriefTestProgressListener progress;
    result.addListener(&collector);
    result.addListener(&progress);
    CppUnit::TestRunner runner;
    add_matching(runner, CppUnit::TestFactoryRegistry::getRegistry().makeTest(), pattern);
    runner.run(result);
    CppUnit::CompilerOutputter(&collector, std::cerr).write();
    if (collector.runTests() == 0) {
        std::cerr << "no test matches '" << pattern << "'\n";
        return 1;
    }
    return collector.wasSuccessful() ? 0 : 1;
}
