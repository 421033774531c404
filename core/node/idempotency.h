// Idempotency keys of HTTP writes: a request repeated under the same key gets the first one's answer and is not applied
// again.
//
// A record is written with the request's log entries, in the same group, as metadata "idem/<namespace>/<client>/<key>",
// and kept for NodeLimits::idempotency_retention_ms. This table holds those that are not durable yet; older ones are
// read from the store.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

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

class IdempotencyTable {
public:
    struct Pending {
        std::string record;
        uint64_t ticket = 0;
    };
    const Pending* find(const std::string& name) const {
        const auto found = pending_.find(name);
        return found == pending_.end() ? nullptr : &found->second;
    }
    void add(std::string name, Pending pending) { pending_[std::move(name)] = std::move(pending); }
    // The store has what is durable; what failed never happened.
    void erase(const std::string& name) { pending_.erase(name); }

private:
    std::unordered_map<std::string, Pending> pending_;
};

}  // namespace meridian::node
