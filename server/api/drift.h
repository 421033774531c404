// How far the stamps of an op may be from the server's clock (client-api.md section 3.5). Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "crdt/op.h"

namespace meridian::server {

inline constexpr uint64_t drift_max_ms = 30'000;

inline std::string drift_text(uint64_t client_ms, uint64_t now_ms) {
    const uint64_t drift = client_ms > now_ms ? client_ms - now_ms : now_ms - client_ms;
    return "invalid operation: clock drift too large: client_wall_ms=" + std::to_string(client_ms) +
           " server_now_ms=" + std::to_string(now_ms) + " drift=" + std::to_string(drift) + "ms (max " +
           std::to_string(drift_max_ms) + "ms)";
}

// What is wrong with the op's clock, or nothing. On every path nothing may lie in the future: it would win all merges
// until then. HTTP ops and batches (`both_ways`) may not carry old register and presence stamps either; a single
// WebSocket op may, since clients replay queues that they filled while offline.
inline std::optional<std::string> drift_problem(const crdt::Op& op, uint64_t now_ms, bool both_ways) {
    if (both_ways) {
        const auto wall_ms = crdt::drift_checked_wall_ms(op);
        if (wall_ms && *wall_ms < now_ms && now_ms - *wall_ms > drift_max_ms) return drift_text(*wall_ms, now_ms);
    }
    const auto newest_ms = crdt::newest_wall_ms(op);
    if (newest_ms && *newest_ms > now_ms && *newest_ms - now_ms > drift_max_ms) return drift_text(*newest_ms, now_ms);
    return std::nullopt;
}

}  // namespace meridian::server
