#include "stale_set.h"

#include <algorithm>
#include <iterator>

namespace meridian::store_pg {
namespace {

constexpr size_t names_max = 100'000;
// With fewer names than this, and more in the database, it is time for a page.
constexpr size_t names_low = 5'000;

}  // namespace

void StaleSet::insert(const abi::Name& name, Range range) {
    if (range.oldest > known_to_) {
        passed_over_ = passed_over_ || reading_page_;
        return;
    }
    by_name_[name] = range;
    by_position_.emplace(range.oldest, name);
    if (by_name_.size() <= names_max) return;
    const auto last = std::prev(by_position_.end());
    known_to_ = last->first - 1;
    by_name_.erase(last->second);
    by_position_.erase(last);
}

void StaleSet::erase(const abi::Name& name) {
    const auto found = by_name_.find(name);
    if (found == by_name_.end()) return;
    by_position_.erase({found->second.oldest, name});
    by_name_.erase(found);
}

uint64_t StaleSet::begin_page() {
    const std::lock_guard lock(mutex_);
    reading_page_ = true;
    passed_over_ = false;
    covered_since_.clear();
    return known_to_;
}

void StaleSet::add_page(const Page& page, bool more) {
    const std::lock_guard lock(mutex_);
    reading_page_ = false;
    if (!more && !passed_over_) {
        known_to_ = UINT64_MAX;
    } else if (!page.empty()) {
        known_to_ = page.back().first;
    }
    for (const auto& [position, name] : page) {
        if (by_name_.count(name) == 0 && covered_since_.count(name) == 0) insert(name, {position, position});
    }
    covered_since_.clear();
}

void StaleSet::add(const abi::Name& name, uint64_t first, uint64_t last) {
    const std::lock_guard lock(mutex_);
    if (const auto found = by_name_.find(name); found != by_name_.end()) {
        found->second.newest = last;
    } else {
        insert(name, {first, last});
    }
}

void StaleSet::cover(const abi::Name& name, uint64_t covered, uint64_t oldest) {
    const std::lock_guard lock(mutex_);
    if (reading_page_) covered_since_.insert(name);
    const auto found = by_name_.find(name);
    const uint64_t newest = found == by_name_.end() ? 0 : found->second.newest;
    erase(name);
    // A group may have been committed since the database was asked.
    if (oldest == 0 && newest > covered) oldest = newest;
    if (oldest != 0) insert(name, {oldest, std::max(oldest, newest)});
}

void StaleSet::list(uint64_t count_max, const std::function<void(std::string_view, std::string_view)>& name) const {
    std::vector<abi::Name> names;
    {
        const std::lock_guard lock(mutex_);
        for (auto at = by_position_.begin(); at != by_position_.end() && names.size() < count_max; ++at)
            names.push_back(at->second);
    }
    for (const abi::Name& each : names) name(each.namespace_name, each.key);
}

bool StaleSet::wants_page() const {
    const std::lock_guard lock(mutex_);
    return known_to_ != UINT64_MAX && by_name_.size() < names_low;
}

}  // namespace meridian::store_pg
