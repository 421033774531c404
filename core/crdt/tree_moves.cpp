// Undo and redo of moves: see the head of tree.h.
//
// While moves are redone, a node is a "difference" if its edge is, or has been, another than in the old tree at the
// same moment of the log. An old move was effective because no path led from its new parent up to its node. In the new
// tree such a path exists only if it passes a difference, so its node lies above one. Hence everything above a
// difference is marked ("above"), and only moves of marked nodes are checked again. The marks are closed upwards: a
// marked node's parent is marked; when a marked node gets another parent, the new path is marked too. Above a
// difference without children marking waits until a move puts something under it.
#include "crdt/tree.h"
#include "crdt/tree_internal.h"

namespace meridian::crdt {

namespace {

constexpr uint8_t above = 1;
constexpr uint8_t difference = 2;
constexpr uint8_t childless_difference = 4;

}  // namespace

// The path up from `node`, itself included, has `ancestor` in it. Creation edges can form cycles without it: Brent's
// algorithm ends the walk there.
bool Tree::is_under(uint32_t node, uint32_t ancestor) const {
    if (node == ancestor) return true;
    if (child_counts_[ancestor] == 0) return false;
    uint32_t tortoise = none;
    size_t steps = 0;
    size_t next_power = 64;
    for (; node != top && node != tortoise; node = parents_[node]) {
        if (node == ancestor) return true;
        if (++steps == next_power) {
            tortoise = node;
            next_power *= 2;
        }
    }
    return false;
}

void Tree::undo_from(const Hlc& op_id) {
    auto place = moves_by_op_id_.end();
    while (place != moves_by_op_id_.begin()) {
        const auto earlier = moves_by_op_id_.previous(place);
        const uint32_t handle = moves_by_op_id_.at(earlier);
        if (move_names_[handle].op_id < op_id) break;
        const Move& move = moves_[handle];
        if (move.effective) {
            set_parent(move.node, move.previous_parent);
            placements_[move.node] = move.previous;
        }
        place = earlier;
    }
}

void Tree::redo_from(Integration& work) {
    const Hlc first = *work.redo_from;
    auto place = moves_by_op_id_.lower_bound([&](uint32_t move) { return move_names_[move].op_id < first; });
    const auto end = moves_by_op_id_.end();
    for (; place != end && (work.fresh_left > 0 || work.differing > 0); place = moves_by_op_id_.next(place)) {
        redo_checked(moves_by_op_id_.at(place), moves_by_op_id_.next(place) == end, work);
    }
    if (place != end) work.differences.clear();  // old and new tree are the same from here on
    for (; place != end; place = moves_by_op_id_.next(place)) {
        const uint32_t move = moves_by_op_id_.at(place);
        if (moves_[move].effective) place_by_move(move);
    }
    for (const uint32_t node : work.marked) marks_[node] = 0;
}

void Tree::place_by_move(uint32_t handle) {
    Move& move = moves_[handle];
    move.previous = placements_[move.node];
    move.previous_parent = parents_[move.node];
    set_parent(move.node, move.parent);
    placements_[move.node] = handle;
}

// `last`: no move follows that marks could matter to.
void Tree::redo_checked(uint32_t handle, bool last, Integration& work) {
    Move& move = moves_[handle];
    const uint32_t node = move.node;
    const bool was_effective = move.effective && !move.fresh;
    if (move.fresh) {
        move.fresh = 0;
        --work.fresh_left;
        if (!work.replaced_moves.empty() && work.track_differences) {
            const auto old = work.replaced_moves.find(handle);
            if (old != work.replaced_moves.end() && old->second.was_effective) {
                set_old_placement(old->second.node, handle | replaced_move_bit, work);
                note_edge(old->second.node, work);
            }
        }
    }
    if (!nodes_[node].added) return;

    if (marks_[move.parent] & childless_difference) {
        marks_[move.parent] &= static_cast<uint8_t>(~childless_difference);
        mark_path(parents_[move.parent], work);
    }
    const bool effective = (was_effective && (marks_[node] & above) == 0) || !is_under(move.parent, node);
    move.effective = effective ? 1 : 0;
    if (!work.track_differences || (effective == was_effective && (marks_[node] & difference) == 0)) {
        if (effective) {
            place_by_move(handle);
            if (marks_[node] & above) mark_path(move.parent, work);
        }
        return;
    }
    const uint32_t placement_before = placements_[node];
    if (was_effective) {
        set_old_placement(node, handle, work);
    } else {
        set_old_placement(node, std::nullopt, work);
    }
    if (effective) {
        const uint32_t old = work.differences[work.difference_of.at(node)].old_placement;
        if (old != placement_before) --work.differing;
        place_by_move(handle);
        if (old != handle) ++work.differing;
    }
    if (!last) note_edge(node, work);
}

// Makes the node a difference if it is none yet; what it is in the old tree is given, or as it is here so far.
void Tree::set_old_placement(uint32_t node, std::optional<uint32_t> old_placement, Integration& work) {
    const auto found = work.difference_of.find(node);
    if (found == work.difference_of.end()) {
        work.difference_of.emplace(node, work.differences.size());
        work.differences.push_back({node, old_placement.value_or(placements_[node])});
        if (work.differences.back().old_placement != placements_[node]) ++work.differing;
        return;
    }
    uint32_t& old = work.differences[found->second].old_placement;
    if (!old_placement) return;
    if (old != placements_[node]) --work.differing;
    old = *old_placement;
    if (old != placements_[node]) ++work.differing;
}

// The edge of a difference may now be another than the old one.
void Tree::note_edge(uint32_t node, Integration& work) {
    if (marks_[node] == 0) work.marked.push_back(node);
    marks_[node] |= difference;
    if (child_counts_[node] == 0 && (marks_[node] & above) == 0) {
        marks_[node] |= childless_difference;
        return;
    }
    marks_[node] &= static_cast<uint8_t>(~childless_difference);
    mark_path(parents_[node], work);
}

void Tree::mark_path(uint32_t node, Integration& work) {
    for (; node != top && (marks_[node] & above) == 0; node = parents_[node]) {
        if (marks_[node] == 0) work.marked.push_back(node);
        marks_[node] |= above;
    }
}

}  // namespace meridian::crdt
