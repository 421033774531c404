// Requests per second of each client of a namespace, counted over a sliding window of one second (client-api.md
// section 5.2). Only accepted requests count. One per event loop, which holds the clients of its namespaces; not
// thread-safe. Memory: eight bytes for each request accepted within the last second, and an entry for each client seen
// since the last sweep.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>

namespace meridian::server {

class RateLimiter {
public:
    static constexpr size_t clients_max = 1'000'000;

    bool allow(std::string_view namespace_name, uint64_t client_id, uint64_t limit, uint64_t now_us) {
        if (limit == 0) return false;
        std::string name = std::string(namespace_name) + ':' + std::to_string(client_id);
        auto found = accepted_.find(name);
        if (found == accepted_.end()) {
            if (accepted_.size() >= clients_max) sweep(now_us);
            if (accepted_.size() >= clients_max) return false;
            found = accepted_.emplace(std::move(name), std::deque<uint64_t>()).first;
        }
        std::deque<uint64_t>& times = found->second;
        drop_old(times, now_us);
        if (times.size() >= limit) return false;
        times.push_back(now_us);
        return true;
    }

    // Forgets clients without an accepted request in the last second. To be called now and then.
    void sweep(uint64_t now_us) {
        for (auto client = accepted_.begin(); client != accepted_.end();) {
            drop_old(client->second, now_us);
            client = client->second.empty() ? accepted_.erase(client) : std::next(client);
        }
    }

    size_t clients() const { return accepted_.size(); }

private:
    static constexpr uint64_t window_us = 1'000'000;

    static void drop_old(std::deque<uint64_t>& times, uint64_t now_us) {
        while (!times.empty() && times.front() + window_us <= now_us) times.pop_front();
    }

    std::unordered_map<std::string, std::deque<uint64_t>> accepted_;
};

}  // namespace meridian::server
