// The keys that have entries newer than their state, oldest first, as far as memory may hold them: the first so many
// are known, and the rest is in the database (an index leads there).
//
// Threads: any; no function blocks for longer than a short lock.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "meridian/store.hpp"

namespace meridian::store_pg {

class StaleSet {
public:
    using Page = std::vector<std::pair<uint64_t, abi::Name>>;  // ascending positions of each key's oldest such entry

    // A page that begins after the position that begin_page() gave; `more`: the database has further ones. Between the
    // two, others may add and cover.
    uint64_t begin_page();
    void add_page(const Page& page, bool more);
    // A committed group has entries of this key, from the first position to the last.
    void add(const abi::Name& name, uint64_t first, uint64_t last);
    // A checkpoint has written this key. `oldest`: of its entries that are newer, as the database said; 0: none.
    void cover(const abi::Name& name, uint64_t covered, uint64_t oldest);

    void list(uint64_t count_max, const std::function<void(std::string_view, std::string_view)>& name) const;
    // True if a page should be read from the database.
    bool wants_page() const;

private:
    struct Range {
        uint64_t oldest = 0;
        uint64_t newest = 0;
    };
    void insert(const abi::Name& name, Range range);
    void erase(const abi::Name& name);

    mutable std::mutex mutex_;
    std::set<std::pair<uint64_t, abi::Name>> by_position_;
    std::map<abi::Name, Range> by_name_;
    // Keys whose oldest entry is at or below this are all here; UINT64_MAX: all that there are.
    uint64_t known_to_ = 0;
    bool reading_page_ = false;
    bool passed_over_ = false;           // a key beyond known_to_ was not kept while a page was being read
    std::set<abi::Name> covered_since_;  // while a page was being read
};

}  // namespace meridian::store_pg
