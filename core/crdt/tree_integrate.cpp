// Takes ops into the state: values and deletes, creation edges, and the log of moves.
#include <tuple>
#include <utility>

#include "crdt/tree.h"
#include "crdt/tree_internal.h"

namespace meridian::crdt {

namespace {

constexpr Hlc lowest_stamp{};

}  // namespace

uint32_t Tree::intern(const Hlc& id) {
    const auto place = nodes_by_id_.lower_bound([&](uint32_t node) { return nodes_[node].id < id; });
    if (place != nodes_by_id_.end() && nodes_[nodes_by_id_.at(place)].id == id) return nodes_by_id_.at(place);
    const auto node = static_cast<uint32_t>(nodes_.size());
    nodes_by_id_.insert(place, node);
    nodes_.emplace_back();
    nodes_.back().id = id;
    parents_.push_back(top);
    placements_.push_back(by_creation);
    child_counts_.push_back(0);
    marks_.push_back(0);
    ++child_counts_[top];
    return node;
}

void Tree::integrate(const Delta& delta, Integration& work) {
    for (const Hlc& id : delta.deletes) integrate_delete(id, work);
    for (const TreeUpdateNode& op : delta.updates) integrate_update(op, work);

    std::vector<const TreeAddNode*> replacements;
    for (const TreeAddNode& op : delta.adds) {
        const uint32_t node = find_node(op.id);
        if (node == none || !nodes_[node].added) {
            integrate_add(op, work);
        } else if (compare_add(node, op) > 0) {
            replacements.push_back(&op);
            need_redo_from(lowest_stamp, work);
        }
    }
    std::vector<const TreeMoveNode*> moves;
    for (const TreeMoveNode& op : delta.moves) {
        const uint32_t move = find_move(op.op_id);
        if (move != none && compare_move(move, op) <= 0) continue;
        moves.push_back(&op);
        need_redo_from(op.op_id, work);
    }
    if (!work.redo_from) return;

    undo_from(*work.redo_from);
    for (const TreeAddNode* op : replacements) replace_creation(*op, work);
    for (const uint32_t node : work.added_late) {
        if (!work.track_differences) break;
        if (!work.difference_of.emplace(node, work.differences.size()).second) continue;
        work.differences.push_back({node, not_placed});
        ++work.differing;
        note_edge(node, work);
    }
    for (const TreeMoveNode* op : moves) integrate_move(*op, work);
    redo_from(work);
}

// ---- Values and deletes

void Tree::set_value(uint32_t node, std::string_view value) {
    std::string& stored = nodes_[node].value;
    value_bytes_ -= stored.capacity();
    // A shorter value does not keep the room of a longer one.
    if (value.size() < stored.capacity() / 2) stored = std::string();
    stored = value;
    value_bytes_ += stored.capacity();
}

void Tree::forget_tied_value(uint32_t node) {
    const auto tied = tied_creation_values_.find(node);
    if (tied == tied_creation_values_.end()) return;
    value_bytes_ -= tied->second.size();
    tied_creation_values_.erase(tied);
}

void Tree::set_tied_value(uint32_t node, std::string value) {
    forget_tied_value(node);
    value_bytes_ += value.size();
    tied_creation_values_[node] = std::move(value);
}

// Before an update or delete is stored for a node that may not have arrived.
void Tree::count_waiting_value(uint32_t node) {
    const Node& stored = nodes_[node];
    if (stored.added || stored.deleted || stored.has_update) return;
    ++waiting_values_;
    ++kept_nodes_;
}

void Tree::integrate_delete(const Hlc& id, Integration& work) {
    const uint32_t node = intern(id);
    if (nodes_[node].deleted) return;
    count_waiting_value(node);
    nodes_[node].deleted = true;
    nodes_[node].has_update = false;
    nodes_[node].updated_at = {};
    set_value(node, {});
    forget_tied_value(node);
    work.changed = true;
    if (nodes_[node].added) work.deleted.push_back(node);
}

void Tree::integrate_update(const TreeUpdateNode& op, Integration& work) {
    // The creation value, known or not, has the stamp `id` and wins.
    if (op.updated_at < op.id) return;
    const uint32_t node = intern(op.id);
    Node& stored = nodes_[node];
    if (stored.deleted) return;
    if (stored.has_update && std::tie(op.updated_at, op.value) <= std::tie(stored.updated_at, stored.value)) return;
    count_waiting_value(node);
    const bool tie = op.updated_at == op.id;
    bool shows = stored.added;
    if (stored.added && tie) {
        if (!stored.has_update) set_tied_value(node, stored.value);
        shows = op.value > tied_creation_values_.at(node);
    } else {
        forget_tied_value(node);
    }
    stored.has_update = true;
    stored.updated_at = op.updated_at;
    set_value(node, op.value);
    work.changed = true;
    if (shows) work.updated.push_back(node);
}

// ---- Creation edges

void Tree::integrate_add(const TreeAddNode& op, Integration& work) {
    const bool was_mentioned = find_node(op.id) != none;
    const uint32_t node = intern(op.id);
    const uint32_t parent = op.parent_id ? intern(*op.parent_id) : top;
    Node& stored = nodes_[node];
    if (stored.has_update || stored.deleted) {
        --waiting_values_;
    } else {
        ++kept_nodes_;
    }
    if (const auto waiting = waiting_moves_of_.find(node); waiting != waiting_moves_of_.end()) {
        waiting_moves_ -= waiting->second;
        waiting_moves_of_.erase(waiting);
    }
    stored.added = true;
    stored.position = texts_.add(op.position);
    set_creation_value(node, op.value);
    work.changed = true;
    work.added.push_back(node);
    stored.parent = parent;
    set_parent(node, parent);
    if (was_mentioned) {
        work.added_late.push_back(node);
        need_redo_for_add(node, work);
    }
    nodes_[parent].has_creation_child = true;
}

void Tree::set_creation_value(uint32_t node, const std::string& value) {
    const Node& stored = nodes_[node];
    if (stored.deleted) return;
    if (!stored.has_update) {
        set_value(node, value);
    } else if (stored.updated_at == stored.id) {
        set_tied_value(node, value);
    }
}

// REQUIRES: everything is undone.
void Tree::replace_creation(const TreeAddNode& op, Integration& work) {
    const uint32_t node = find_node(op.id);
    // The delta may hold an id twice.
    if (compare_add(node, op) <= 0) return;
    const uint32_t parent = op.parent_id ? intern(*op.parent_id) : top;
    Node& stored = nodes_[node];
    const std::string shown_before(shown_value(node));
    set_creation_value(node, op.value);
    work.changed = true;
    if (shown_value(node) != shown_before) work.updated.push_back(node);
    if (stored.parent == parent && text(stored.position) == op.position) return;

    if (work.replaced_creations.emplace(node, Placement{stored.parent, stored.position}).second &&
        work.track_differences) {
        work.difference_of.emplace(node, work.differences.size());
        work.differences.push_back({node, by_replaced_creation});
        ++work.differing;
    }
    stored.parent = parent;
    stored.position = texts_.add(op.position);
    nodes_[parent].has_creation_child = true;
    set_parent(node, parent);
    if (work.track_differences) note_edge(node, work);
}

// Which moves can have another result once a node that something already mentioned has got its creation edge.
void Tree::need_redo_for_add(uint32_t node, Integration& work) const {
    const Node& stored = nodes_[node];
    // Walk up from the new parent. If no node up there ever moved, that path has been the same all the time, so no move
    // has put the node under itself through it; only the node's own moves, which have waited, take part now.
    bool path_is_constant = true;
    uint32_t tortoise = none;
    size_t steps = 0;
    size_t next_power = 1;
    for (uint32_t up = stored.parent; up != top && up != tortoise; up = parents_[up]) {
        if (up == node || nodes_[up].has_moves) {
            path_is_constant = false;
            break;
        }
        if (++steps == next_power) {
            tortoise = up;
            next_power *= 2;
        }
    }
    if (path_is_constant) {
        if (stored.has_moves) need_redo_from(move_names_[stored.first_mention].op_id, work);
    } else if (stored.has_creation_child) {
        need_redo_from(lowest_stamp, work);
    } else if (stored.first_mention != none) {
        need_redo_from(move_names_[stored.first_mention].op_id, work);
    }
}

// ---- Moves

void Tree::need_redo_from(const Hlc& op_id, Integration& work) const {
    if (!work.redo_from || op_id < *work.redo_from) work.redo_from = op_id;
}

void Tree::mention(uint32_t node, uint32_t move) {
    if (node == top) return;
    uint32_t& first = nodes_[node].first_mention;
    if (first == none || move_names_[move].op_id < move_names_[first].op_id) first = move;
}

// REQUIRES: this and all later moves are undone.
void Tree::integrate_move(const TreeMoveNode& op, Integration& work) {
    const uint32_t node = intern(op.node_id);
    const uint32_t parent = op.new_parent_id ? intern(*op.new_parent_id) : top;
    const auto place = moves_by_op_id_.lower_bound([&](uint32_t m) { return move_names_[m].op_id < op.op_id; });
    const bool known = place != moves_by_op_id_.end() && move_names_[moves_by_op_id_.at(place)].op_id == op.op_id;
    uint32_t move;
    if (!known) {
        move = static_cast<uint32_t>(moves_.size());
        moves_.emplace_back();
        move_names_.emplace_back();
        moves_by_op_id_.insert(place, move);
    } else {
        move = moves_by_op_id_.at(place);
        // The delta may hold an op id twice.
        if (compare_move(move, op) <= 0) return;
        const Move& old = moves_[move];
        if (!old.fresh) {
            work.replaced_moves.emplace(
                move,
                Integration::ReplacedMove{old.node, {old.parent, move_names_[move].position}, old.effective == 1});
        }
        if (!nodes_[old.node].added) count_waiting_move(old.node, -1);
    }
    Move& stored = moves_[move];
    if (!known || !stored.fresh) {
        ++work.fresh_left;
        work.fresh_moves.push_back(move);
    }
    stored.node = node & node_handle_max;
    stored.parent = parent;
    stored.effective = 0;
    stored.fresh = 1;
    move_names_[move] = {op.op_id, texts_.add(op.new_position)};
    mention(node, move);
    mention(parent, move);
    nodes_[node].has_moves = true;
    if (!nodes_[node].added) count_waiting_move(node, 1);
    work.changed = true;
}

void Tree::count_waiting_move(uint32_t node, int by) {
    waiting_moves_ += static_cast<size_t>(by);
    uint32_t& count = waiting_moves_of_[node];
    count += static_cast<uint32_t>(by);
    if (count == 0) waiting_moves_of_.erase(node);
}

}  // namespace meridian::crdt
