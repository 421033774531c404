// What a token grants (client-api.md section 4.4). Both wire versions are held in one form; version 1 lists become
// rules without mask and expiry, in which "{clientId}" stands for itself. Values; checks are pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace meridian::server {

inline constexpr uint16_t op_mask_all = 0xffff;

struct Rule {
    std::string pattern;                 // as in the token
    uint16_t op_mask = op_mask_all;      // never 0: 0 on the wire means all
    std::optional<uint64_t> expires_ms;  // wall time from which the rule grants nothing
    friend bool operator==(const Rule&, const Rule&) = default;
};

struct Permissions {
    int version = 2;  // 1 or 2: how the token is written, and whether {clientId} is expanded
    std::vector<Rule> read;
    std::vector<Rule> write;
    bool admin = false;
    std::optional<uint32_t> requests_per_second;  // version 2 only
    friend bool operator==(const Permissions&, const Permissions&) = default;
};

inline constexpr size_t rules_max = 1000;
inline constexpr size_t pattern_bytes_max = 1024;

// Permissions made ready for one client id.
class Access {
public:
    Access(const Permissions& permissions, uint64_t client_id);

    bool can_read(std::string_view key, uint64_t now_ms) const { return grants(read_, key, op_mask_all, now_ms); }
    bool can_write(std::string_view key, uint16_t op_mask, uint64_t now_ms) const {
        return grants(write_, key, op_mask, now_ms);
    }
    // Every key, for ever: what is sent to such a reader needs no filter.
    bool reads_everything() const { return reads_everything_; }

private:
    static bool grants(const std::vector<Rule>& rules, std::string_view key, uint16_t op_mask, uint64_t now_ms);

    std::vector<Rule> read_;
    std::vector<Rule> write_;
    bool reads_everything_ = false;
};

}  // namespace meridian::server
