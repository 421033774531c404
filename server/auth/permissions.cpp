#include "auth/permissions.h"

#include "auth/glob.h"

namespace meridian::server {
namespace {

constexpr std::string_view client_id_mark = "{clientId}";

std::vector<Rule> prepared(const std::vector<Rule>& rules, int version, uint64_t client_id) {
    std::vector<Rule> out = rules;
    if (version == 1) return out;
    const std::string text = std::to_string(client_id);
    for (Rule& rule : out) {
        for (size_t at = rule.pattern.find(client_id_mark); at != std::string::npos;
             at = rule.pattern.find(client_id_mark, at + text.size())) {
            rule.pattern.replace(at, client_id_mark.size(), text);
        }
    }
    return out;
}

}  // namespace

Access::Access(const Permissions& permissions, uint64_t client_id)
    : read_(prepared(permissions.read, permissions.version, client_id)),
      write_(prepared(permissions.write, permissions.version, client_id)) {
    for (const Rule& rule : read_) {
        if (rule.pattern == "*" && !rule.expires_ms) reads_everything_ = true;
    }
}

bool Access::grants(const std::vector<Rule>& rules, std::string_view key, uint16_t op_mask, uint64_t now_ms) {
    for (const Rule& rule : rules) {
        if (rule.expires_ms && now_ms >= *rule.expires_ms) continue;
        if ((rule.op_mask & op_mask) == 0) continue;
        if (glob_matches(rule.pattern, key)) return true;
    }
    return false;
}

}  // namespace meridian::server
