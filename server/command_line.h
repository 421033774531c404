// meridiand's command line.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace meridian::server {

struct CommandLine {
    enum class Action : unsigned char { run, check, dump_config, list_plugins, check_plugin, version, help };
    Action action = Action::run;
    std::vector<std::string> files;                            // --config, in order
    std::vector<std::pair<std::string, std::string>> options;  // "section.key", value
    std::string plugin;                                        // of check_plugin: a file or a name
};

// `arguments` without the program's name. An error names the argument.
Result<CommandLine> parse_command_line(const std::vector<std::string>& arguments);
std::string command_line_help();

}  // namespace meridian::server
