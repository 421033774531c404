// Runs of the conformance kit, and what they said.
#pragma once

#include <cppunit/TestAssert.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstring>
#include <set>
#include <string>
#include <vector>

namespace meridian::test {

struct KitRun {
    int exit_status = -1;
    std::set<std::string> passed;
    std::set<std::string> failed;
    std::set<std::string> skipped;
    std::string output;
};

inline std::string quoted(const std::string& word) {
    std::string out = "'";
    for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
}

// What follows "ok N - ", up to a directive.
inline std::string name_in(const std::string& line) {
    const size_t begin = line.find(" - ") + 3;
    return line.substr(begin, line.find(" # SKIP") - begin);
}

inline KitRun run_kit(const std::vector<std::string>& arguments) {
    std::string command = quoted(KIT);
    for (const std::string& argument : arguments) command += " " + quoted(argument);
    KitRun run;
    FILE* const pipe = ::popen((command + " 2>&1").c_str(), "r");
    CPPUNIT_ASSERT(pipe != nullptr);
    char line[4096];
    while (std::fgets(line, sizeof line, pipe) != nullptr) {
        run.output += line;
        line[std::strcspn(line, "\n")] = '\0';
        const std::string text = line;
        if (text.rfind("not ok ", 0) == 0) {
            run.failed.insert(name_in(text));
        } else if (text.rfind("ok ", 0) == 0) {
            (text.find(" # SKIP") == std::string::npos ? run.passed : run.skipped).insert(name_in(text));
        }
    }
    const int status = ::pclose(pipe);
    run.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
    return run;
}

// Of stores, or of the kind of this file.
inline std::vector<std::string> all_checks(const std::string& file = {}) {
    FILE* const pipe = ::popen((quoted(KIT) + " --list " + (file.empty() ? "" : quoted(file))).c_str(), "r");
    CPPUNIT_ASSERT(pipe != nullptr);
    std::vector<std::string> names;
    char line[512];
    while (std::fgets(line, sizeof line, pipe) != nullptr) names.emplace_back(line, std::strcspn(line, "\n"));
    CPPUNIT_ASSERT_EQUAL(0, ::pclose(pipe));
    CPPUNIT_ASSERT(!names.empty());
    return names;
}

inline std::string joined(const std::set<std::string>& names) {
    std::string out;
    for (const std::string& name : names) out += "\n  " + name;
    return out;
}

}  // namespace meridian::test
