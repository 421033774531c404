// The command line of a tool: options anywhere, everything else in order. Pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace meridian::client {

// Names of options, without the dashes.
struct OptionNames {
    std::vector<std::string> with_value;
    std::vector<std::string> without_value;
};

struct Arguments {
    std::vector<std::string> words;                           // the command and its operands
    std::map<std::string, std::vector<std::string>> options;  // without the dashes

    bool has(const std::string& name) const { return options.count(name) != 0; }
    std::string get(const std::string& name, const std::string& otherwise) const {
        const auto found = options.find(name);
        return found == options.end() ? otherwise : found->second.back();
    }
    std::vector<std::string> all(const std::string& name) const {
        const auto found = options.find(name);
        return found == options.end() ? std::vector<std::string>() : found->second;
    }
};

// Options are written --name VALUE or --name=VALUE; behind "--" everything is a word. An error names the option, and
// for an unknown one the nearest that exists.
Result<Arguments> parse_arguments(int argc, char** argv, const OptionNames& names);

// "FOUND: unknown WHAT; did you mean 'x'?", without the question if no candidate is near.
std::string unknown_name(const std::string& what, const std::string& found, const std::vector<std::string>& candidates);

// "90s", "15m", "24h", "30d", or a plain number of milliseconds.
Result<uint64_t> parse_duration_ms(const std::string& text);
Result<uint64_t> parse_number(const std::string& name, const std::string& text);

// The value of an environment variable; one that is set but empty counts as unset.
std::string environment(const char* name, const std::string& otherwise);

}  // namespace meridian::client
