// Runs one check in a process of its own, so that whatever the plug-in does (a crash, an exit, a hang) is a result and
// nothing of one check is left over in the next.
//
// Threads: one; the process must have no others, because it forks.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "check.h"
#include "report.h"

namespace meridian::plugin_test {

struct RunOptions {
    std::string plugin_path;  // absolute
    uint32_t kind = 0;        // MERIDIAN_KIND_*, as the file's note says
    std::map<std::string, std::string> configuration;
    std::map<std::string, std::string> unreachable;
    uint64_t timeout_ms = 60'000;  // of one check
};

struct CheckResult {
    Outcome outcome = Outcome::none;  // passed, failed or skipped
    std::string detail;               // lines; empty if passed
};

CheckResult run_check(const Check& check, const RunOptions& options);

}  // namespace meridian::plugin_test
