// Requests per second of each client of a namespace, counted over a sliding window of one second (client-api.md
// section 5.2). Only accepted requests count. One per event loop, which holds the clients of its namespaces; not
// thread-safe. Memory: eight to 32 bytes for each request accepted within the last second, and an entry for each client
// seen since the last sweep.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

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
            found = accepted_.emplace(std::move(name), Times()).first;
        }
        Times& times = found->second;
        times.drop_before(now_us);
        if (times.count() >= limit) return false;
        times.us.push_back(now_us);
        return true;
    }

    // Forgets clients without an accepted request in the last second. To be called now and then.
    void sweep(uint64_t now_us) {
        for (auto client = accepted_.begin(); client != accepted_.end();) {
            client->second.drop_before(now_us);
            client = client->second.count() == 0 ? accepted_.erase(client) : std::next(client);
        }
    }

    size_t clients() const { return accepted_.size(); }

private:
    static constexpr uint64_t window_us = 1'000'000;

    // Times of accepted requests, ascending. Not a deque: an empty one takes more than half a kilobyte, which thousands
    // of clients that connect within a second would leave behind.
    struct Times {
        std::vector<uint64_t> us;
        size_t first = 0;  // those before it are too old

        size_t count() const { return us.size() - first; }
        void drop_before(uint64_t now_us) {
            while (first < us.size() && us[first] + window_us <= now_us) ++first;
            if (first < us.size() - first) return;  // few enough to stay
            us.erase(us.begin(), us.begin() + static_cast<std::ptrdiff_t>(first));
            first = 0;
        }
    };

    std::unordered_map<std::string, Times> accepted_;
};

}  // namespace meridian::server
