// Idempotency keys of HTTP writes: a request repeated under the same key gets the first one's answer and is not applied
// again.
//
// A record is written with the request's log entries, in the same group, as metadata "idem/<namespace>/<client>/<key>",
// and kept for NodeLimits::idempotency_retention_ms.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/environment.h"
#include "node/node.h"

namespace meridian::node {

inline constexpr std::string_view idempotency_prefix = "idem/";

struct IdempotencyRecord {
    std::array<uint8_t, 16> digest{};  // of the request: the same key with another request is an error
    uint64_t wall_ms = 0;
    struct Item {
        bool changed = false;
        uint8_t type_code = 0;    // 0: no client delta
        std::string delta_bytes;  // integer keys
    };
    std::vector<Item> items;
};

std::string idempotency_name(const WriteRequest& request);
std::array<uint8_t, 16> digest_of(const WriteRequest& request);
std::string encode_idempotency(const IdempotencyRecord& record);
std::optional<IdempotencyRecord> decode_idempotency(std::string_view bytes);
IdempotencyRecord make_idempotency(const WriteRequest& request, const WriteOutcome& outcome, uint64_t wall_ms);
// The answer that the record holds for this request: its first outcome, or idempotency_mismatch.
WriteOutcome replay(const IdempotencyRecord& record, const WriteRequest& request);

// The requests that are under way, by the name of their record. At most one of each name is executed at a time: a twin
// waits until the one before it has been answered. Plain data of one lane.
class IdempotencyTable {
public:
    // Runs `request` at once, or when it is its turn. REQUIRES: finish() is called when it has been answered.
    void begin(const std::string& name, Task request) {
        const auto [twins, first] = under_way_.try_emplace(name);
        if (!first) return twins->second.push_back(std::move(request));
        request();
    }
    // The twin whose turn it is now, for the caller to run; empty if there is none.
    Task finish(const std::string& name) {
        const auto twins = under_way_.find(name);
        if (twins->second.empty()) {
            under_way_.erase(twins);
            return {};
        }
        Task next = std::move(twins->second.front());
        twins->second.pop_front();
        return next;
    }

private:
    std::unordered_map<std::string, std::deque<Task>> under_way_;
};

}  // namespace meridian::node
