#include "check.h"

#include "meridian/plugin.h"
#include "report.h"

namespace meridian::plugin_test {

Failed::Failed(const std::string& text) : std::runtime_error(text) {
    note_failure(text);
}

std::string shown(const std::string& text) {
    constexpr size_t shown_max = 120;
    std::string out = "'";
    for (const char c : text.substr(0, shown_max)) {
        if (c >= ' ' && c <= '~') {
            out += c;
            continue;
        }
        constexpr char digits[] = "0123456789abcdef";
        const auto byte = static_cast<unsigned char>(c);
        out += std::string("\\x") + digits[byte >> 4] + digits[byte & 15];
    }
    out += "'";
    if (text.size() > shown_max) out += "... (" + std::to_string(text.size()) + " bytes)";
    return out;
}

std::vector<Check> checks_for(uint32_t kind) {
    using Area = std::vector<Check> (*)();
    const std::vector<Area> of_stores = {opening_checks, commit_checks,   value_checks,      read_checks,
                                         scan_checks,    snapshot_checks, completion_checks, concurrency_checks,
                                         stop_checks,    backup_checks,   shared_checks};
    const std::vector<Area> of_transports = {transport_life_checks,       transport_message_checks,
                                             transport_request_checks,    transport_flow_checks,
                                             transport_completion_checks, transport_stop_checks};
    std::vector<Check> all = plugin_checks();
    for (const Area area : kind == MERIDIAN_KIND_STORE ? of_stores : of_transports) {
        for (Check& check : area()) all.push_back(std::move(check));
    }
    return all;
}

}  // namespace meridian::plugin_test
