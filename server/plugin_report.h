// What `meridiand --list-plugins` and `--check-plugin` print.
//
// A plug-in is loaded to be looked at, in a child process with a deadline: one that crashes or hangs is a finding, not
// the end of the report. REQUIRES: no other thread runs.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/result.h"

namespace meridian::server {

// Where plug-ins named without a path are looked for: `plugin_path` (directories separated by ':'), or if it is empty
// the directory of the program, then the one where plug-ins are installed.
std::vector<std::string> plugin_directories(const std::string& plugin_path);

constexpr std::chrono::milliseconds plugin_check_time_max(10'000);

// The descriptor of a plug-in, its configuration keys included, or why it is refused. `file_or_name`: a file if it has
// a '/' or ends with ".so", else a name to be found. `time_max`: one that takes longer to load is refused.
Result<std::string> describe_plugin(const std::string& file_or_name, const std::vector<std::string>& directories,
                                    std::chrono::milliseconds time_max = plugin_check_time_max);

// A line for each .so in the directories: name, kind, version, ABI and path, or why it is refused.
std::string list_plugins(const std::vector<std::string>& directories);

}  // namespace meridian::server
