// Shared by the parts of Tree; not for others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "crdt/tree.h"

namespace meridian::crdt {

// One join in progress, and what it changed. "Old" is the tree as it was before this join, at the moment of the log
// that is being redone.
struct Tree::Integration {
    struct Difference {
        uint32_t node = none;
        uint32_t old_placement = not_placed;
    };
    struct ReplacedMove {
        uint32_t node = none;
        Placement placement;
        bool was_effective = false;
    };

    bool track_differences = true;  // false: nobody asks for views
    bool changed = false;           // something that is kept
    std::vector<uint32_t> added;
    std::vector<uint32_t> deleted;      // added nodes only
    std::vector<uint32_t> updated;      // added nodes only: the shown value or its stamp changed
    std::vector<uint32_t> fresh_moves;  // new, or with new content
    // Nodes other than `added` whose placement differed from the old one at some moment of the redo.
    std::vector<Difference> differences;
    std::map<uint32_t, Placement> replaced_creations;  // node -> what it was
    std::map<uint32_t, ReplacedMove> replaced_moves;   // move -> what it was

    // The redo.
    std::optional<Hlc> redo_from;
    std::vector<uint32_t> added_late;  // added after something mentioned them
    size_t fresh_left = 0;
    size_t differing = 0;  // how many of `differences` differ at this moment
    std::vector<uint32_t> marked;
    std::unordered_map<uint32_t, size_t> difference_of;  // node -> index in differences
};

}  // namespace meridian::crdt
