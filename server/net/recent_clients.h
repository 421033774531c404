// Which clients have been connected lately: one that comes back probably still holds a part of a text and is given the
// form of its state that suits that (crdts.md section 4.7, "Emission"). A guess that only costs accuracy of display
// when wrong. Not thread-safe. Memory: two sets of at most `clients_max` hashes; the older set is dropped when the
// newer is full.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_set>

namespace meridian::server {

class RecentClients {
public:
    static constexpr size_t clients_max = 50'000;

    // Whether the client was here before; it is remembered from now on.
    bool note(const std::string& namespace_name, uint64_t client_id) {
        const size_t name = std::hash<std::string>()(namespace_name) * 1099511628211ULL ^ client_id;
        const bool known = newer_.count(name) != 0 || older_.count(name) != 0;
        if (newer_.size() >= clients_max) {
            older_.swap(newer_);
            newer_.clear();
        }
        newer_.insert(name);
        return known;
    }

private:
    std::unordered_set<size_t> newer_;
    std::unordered_set<size_t> older_;
};

}  // namespace meridian::server
