// The pages that the list of free pages has, as a set: LMDB writes on these next, so nothing that is in use may be one.
//
// Threads: one.
#pragma once

#include <algorithm>
#include <vector>

#include "lmdb_page.h"

namespace meridian::store_kv {

class FreePages {
public:
    explicit FreePages(PageNumber last) : present_(static_cast<size_t>(last) + 1, false) {}

    // False: it is there already. REQUIRES: not behind the last page.
    bool insert(PageNumber page) {
        if (present_[static_cast<size_t>(page)]) return false;
        present_[static_cast<size_t>(page)] = true;
        count_ += 1;
        return true;
    }
    // For pages that are in use; false if one of them is free, which is remembered.
    bool claim(PageNumber first, uint64_t count = 1) {
        const PageNumber end = std::min<PageNumber>(first + count, present_.size());
        for (PageNumber page = first; count_ != 0 && page < end; ++page)
            conflict_ = conflict_ || present_[static_cast<size_t>(page)];
        return !conflict_;
    }
    bool has(PageNumber page) const { return page < present_.size() && present_[static_cast<size_t>(page)]; }
    bool conflict() const { return conflict_; }
    uint64_t count() const { return count_; }

private:
    std::vector<bool> present_;
    uint64_t count_ = 0;
    bool conflict_ = false;
};

}  // namespace meridian::store_kv
