// What an RGA knows but cannot place yet: inserts whose origin is unknown or waits itself (orphans), and deletes of ids
// that were never inserted here. A value; not thread-safe. O(log n) per change.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "crdt/hlc.h"
#include "crdt/rga_delta.h"

namespace meridian::crdt {

// What the usual heap and a red-black node add to an entry of a map or set.
inline constexpr size_t tree_node_overhead_bytes = 40;

class RgaOrphans {
public:
    struct Orphan {
        Hlc origin_id;
        char32_t content = 0;  // 0 if deleted
        bool deleted = false;
        bool told = false;  // clients were sent this insert; not part of the lattice state
    };

    size_t inserts() const { return orphans_.size(); }
    size_t deletes() const { return deletes_.size(); }
    size_t visible() const { return visible_; }
    bool empty() const { return orphans_.empty() && deletes_.empty(); }

    const Orphan* find(const Hlc& id) const;
    std::optional<Hlc> find_rounded(const Hlc& id) const;
    // REQUIRES: the id is not here; the element has an origin.
    void add(const RgaElement& element, bool told);
    // REQUIRES: the id is here, not deleted.
    void erase(const Hlc& id);
    void replace_content(const Hlc& id, char32_t content);
    void set_told(const Hlc& id);
    // The ids that wait for `origin`, ascending.
    std::vector<Hlc> waiting_for(const Hlc& origin) const;
    bool awaited(const Hlc& origin) const;
    // REQUIRES: the id is here.
    std::pair<RgaElement, bool> take(const Hlc& id);  // and whether clients were told

    bool has_delete(const Hlc& id) const { return deletes_.count(id) != 0; }
    void add_delete(const Hlc& id) { deletes_.insert(id); }
    // Whether there was one.
    bool take_delete(const Hlc& id) { return deletes_.erase(id) != 0; }

    // All orphans as they are shown behind the document, with their depth: those whose origin is unknown in ascending
    // id order, each followed by its subtree. Where origins form a ring (only a faulty client does that) the least id
    // of the ring stands in as one with unknown origin.
    struct Shown {
        RgaElement element;
        uint32_t depth = 0;
    };
    std::vector<Shown> shown() const;

    const std::map<Hlc, Orphan>& all() const { return orphans_; }
    const std::set<Hlc>& all_deletes() const { return deletes_; }

    size_t memory_bytes() const;

    friend bool operator==(const RgaOrphans& left, const RgaOrphans& right);

private:
    std::map<Hlc, Orphan> orphans_;
    std::set<std::pair<Hlc, Hlc>> by_origin_;  // (origin, id)
    std::set<Hlc> deletes_;
    size_t visible_ = 0;
};

}  // namespace meridian::crdt
