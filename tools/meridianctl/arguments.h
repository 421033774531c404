// The command line of meridianctl: options anywhere, everything else in order.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace meridian::ctl {

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

Result<Arguments> parse_arguments(int argc, char** argv);

// "90s", "15m", "24h", "30d", or a plain number of milliseconds.
Result<uint64_t> parse_duration_ms(const std::string& text);
Result<uint64_t> parse_number(const std::string& name, const std::string& text);

}  // namespace meridian::ctl
