// The table behind config/settings.h: each setting's names, where it is kept, how a value of it is checked. For the
// files of core/config only. Threads: any; nothing here changes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/settings.h"

namespace meridian::config {

using TextMember = std::string Settings::*;
using NumberMember = uint64_t Settings::*;

// Says what is wrong with a text value ("expected ..."), or is empty.
using Check = std::string (*)(const std::string&);

struct Field {
    const char* section;
    const char* key;
    const char* variable;  // environment variable, or null
    TextMember text = nullptr;
    NumberMember number = nullptr;
    uint64_t min = 0;
    uint64_t max = 0;
    Check check = nullptr;
    bool secret = false;
    bool reloadable = false;       // a running node can take over a new value
    uint64_t variable_scale = 1;   // an environment variable in other units: value x scale
    bool variable_raised = false;  // an environment variable below `min` counts as `min`
};

inline constexpr uint64_t unbounded = UINT64_MAX;

// In the order of the documentation; the settings of a section follow each other.
const std::vector<Field>& fields();
// Null if there is none.
const Field* find_field(std::string_view section, std::string_view key);

// Checks a value and takes it over. `where` names its origin and the key for messages ("a.ini:3: [server] bind"); a
// number is in units of `scale`.
Result<void> assign(Settings& settings, const Field& field, const std::string& value, const std::string& where,
                    uint64_t scale);
// As it would be written in a file.
std::string text_of(const Settings& settings, const Field& field);

// A variable of a feature that this server does not have, recognised so that nobody believes that it works.
struct IgnoredVariable {
    const char* name;
    const char* hint = "";  // what to use instead, after "; "
};
const std::vector<IgnoredVariable>& ignored_variables();

}  // namespace meridian::config
