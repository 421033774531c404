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
    std::vector<Check> all = plugin_checks();
    if (kind != MERIDIAN_KIND_STORE) return all;
    for (const auto& area :
         {opening_checks(), commit_checks(), value_checks(), read_checks(), scan_checks(), snapshot_checks(),
          completion_checks(), concurrency_checks(), stop_checks(), backup_checks(), shared_checks()}) {
        all.insert(all.end(), area.begin(), area.end());
    }
    return all;
}

}  // namespace meridian::plugin_test
