// A check: one clause of the contract in meridian/plugin.h, with a function that tries it on a plug-in. It ends by
// returning (the clause holds), by throwing Failed (it does not; the text says what was found and what was expected) or
// by throwing Skipped (it does not concern this plug-in).
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace meridian::plugin_test {

class Fixture;

// The text is noted in the report at once: the way out may hang in a plug-in that is broken.
class Failed : public std::runtime_error {
public:
    explicit Failed(const std::string& text);
};

class Skipped : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

struct Check {
    std::string name;  // a statement; unique
    void (*run)(Fixture& fixture);
};

// The checks of each area. Those of the plug-in as such are for every kind, the others for stores or for transports.
std::vector<Check> plugin_checks();
std::vector<Check> opening_checks();
std::vector<Check> commit_checks();
std::vector<Check> value_checks();
std::vector<Check> read_checks();
std::vector<Check> scan_checks();
std::vector<Check> snapshot_checks();
std::vector<Check> completion_checks();
std::vector<Check> concurrency_checks();
std::vector<Check> stop_checks();
std::vector<Check> backup_checks();
std::vector<Check> shared_checks();
std::vector<Check> transport_life_checks();
std::vector<Check> transport_message_checks();
std::vector<Check> transport_request_checks();
std::vector<Check> transport_flow_checks();
std::vector<Check> transport_completion_checks();
std::vector<Check> transport_stop_checks();

// All of them that concern a plug-in of this kind (MERIDIAN_KIND_*), in the order in which they are run.
std::vector<Check> checks_for(uint32_t kind);

inline void require(bool holds, const std::string& expected) {
    if (!holds) throw Failed(expected);
}

// Long or binary values are shortened and made printable.
std::string shown(const std::string& text);
template <class T>
std::string shown(const T& value) {
    std::ostringstream out;
    out << std::boolalpha << value;
    return out.str();
}

template <class Found, class Expected>
void require_equal(const Found& found, const Expected& expected, const std::string& what) {
    if (!(found == static_cast<Found>(expected)))
        throw Failed(what + ": found " + shown(found) + ", expected " + shown(static_cast<Found>(expected)));
}

}  // namespace meridian::plugin_test
