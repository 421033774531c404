// Which entries of other origins the log holds: the committer's own account, kept group by group. What is staged counts
// once its group is durable. Plain data of the commit lane.
//
// Entries come in order as a rule. What is ahead of a gap is remembered, so that the vector moves on when the gap
// closes; of these at most `ahead_max` for each origin: the others are asked for and joined again, which does no harm.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>

#include "node/version_vector.h"

namespace meridian::node {

class ReceivedVector {
public:
    static constexpr size_t ahead_max = 100'000;

    ReceivedVector() = default;
    explicit ReceivedVector(const VersionVector& durable);

    // This entry goes into the group that is being closed.
    void stage(const Origin& origin, uint64_t sequence);
    // The effect of all entries up to this one is in the group, or was before.
    void stage_raise(const Origin& origin, uint64_t sequence);

    // So much of an origin is durable that was counted elsewhere until now. REQUIRES: nothing is staged.
    void keep(const Origin& origin, uint64_t sequence);

    // What of an origin is held once the group is durable.
    uint64_t held_with_staged(const Origin& origin) const;
    // The origins whose number the group advances, with the new number.
    VersionVector staged() const;
    // As it is once the group is durable.
    VersionVector vector_with_staged() const;
    // False while entries ahead of a gap are held, the staged ones included.
    bool without_gaps() const;

    void commit();
    void abandon() { staged_.clear(); }

private:
    struct Progress {
        uint64_t held = 0;
        std::set<uint64_t> ahead;
        void advance();
    };
    Progress& touch(const Origin& origin);

    std::map<Origin, Progress> durable_;
    std::map<Origin, Progress> staged_;  // replaces that of durable_ if the group becomes durable
};

}  // namespace meridian::node
