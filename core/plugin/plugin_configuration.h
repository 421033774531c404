// The keys of a plug-in's section, checked against what its descriptor declares: unknown keys, types, ranges,
// required keys, defaults, environment variables, `<key>_file`.
//
// Threads: values and pure functions, apart from reading `<key>_file`.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "plugin/loader.h"

namespace meridian::plugin {

// Checked values in normal form (sizes in bytes, durations in milliseconds, "true" or "false").
struct Configuration {
    std::vector<std::pair<std::string, std::string>> values;
};

// Reads an environment variable; tests pass their own.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
Environment process_environment();

// `section_name` ("[store]") is for messages; `section` are its keys as written, without `plugin`; `sources` says where
// keys were read ("a.ini:3"), and messages begin with that. Precedence: the section's key or `<key>_file` (both:
// error), then the environment variable, then the default. Secret values never appear in messages.
Result<Configuration> check_configuration(const LoadedPlugin& plugin, const std::string& section_name,
                                          const std::map<std::string, std::string>& section,
                                          const Environment& environment,
                                          const std::map<std::string, std::string>& sources = {});

// The declaration of a key, or null.
const meridian_config_key* find_declared_key(const meridian_plugin_descriptor& descriptor, std::string_view name);

// Whether the keys that a descriptor declares make sense: names, types, ranges, defaults. For the loader.
Result<void> check_declared_keys(const meridian_plugin_descriptor& descriptor);

// "64MiB" -> 67108864, "4096" -> 4096; units KiB, MiB, GiB, TiB.
std::optional<int64_t> parse_size(std::string_view text);
// "250ms", "10s", "5m", "2h", "7d" -> milliseconds; a unit is needed unless the value is 0.
std::optional<int64_t> parse_duration_ms(std::string_view text);

}  // namespace meridian::plugin
