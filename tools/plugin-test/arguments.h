// The command line of meridian-plugin-test.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace meridian::plugin_test {

struct Arguments {
    enum class Action { check, power_loss, list, help };
    Action action = Action::check;
    std::string file;                        // as given; empty for help, and for a list of all checks
    std::vector<std::string> configuration;  // KEY=VALUE, as given
    std::vector<std::string> unreachable;    // the same
    std::vector<std::string> only;           // names of checks; empty: all
    uint64_t timeout_s = 60;
    uint64_t kills = 200;
    uint64_t seed = 0;
};

// `arguments` without the program's name. An error names the argument.
Result<Arguments> parse_arguments(const std::vector<std::string>& arguments);
// REQUIRES: KEY=VALUE from parse_arguments, which has checked the form. Later values of a key replace earlier ones.
std::map<std::string, std::string> values_of(const std::vector<std::string>& items);
std::string help();

}  // namespace meridian::plugin_test
