#include "crdt/tree.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "crdt/tree_internal.h"

namespace meridian::crdt {

namespace {

int compare_text(std::string_view left, std::string_view right) {
    const int order = left.compare(right);
    return order < 0 ? -1 : (order > 0 ? 1 : 0);
}

template <class T>
int compare_three_way(const T& left, const T& right) {
    return left < right ? -1 : (right < left ? 1 : 0);
}

std::string invalid(const std::string& what) {
    return "invalid operation: " + what;
}

std::optional<Rejection> check_bytes(const char* what, size_t found, size_t bytes_max) {
    if (found <= bytes_max) return std::nullopt;
    return Rejection{invalid("tree " + std::string(what) + " has " + std::to_string(found) + " bytes, at most " +
                             std::to_string(bytes_max) + " are allowed")};
}

}  // namespace

Tree::Tree() : nodes_(1), parents_(1, top), placements_(1, by_creation), child_counts_(1, 0), marks_(1, 0) {}

Tree Tree::restore(const Delta& whole_state) {
    Tree tree;
    Integration work;
    work.track_differences = false;
    tree.integrate(whole_state, work);
    return tree;
}

// ---- Lookups

uint32_t Tree::find_node(const Hlc& id) const {
    const auto place = nodes_by_id_.lower_bound([&](uint32_t node) { return nodes_[node].id < id; });
    if (place == nodes_by_id_.end()) return none;
    const uint32_t node = nodes_by_id_.at(place);
    return nodes_[node].id == id ? node : none;
}

uint32_t Tree::find_move(const Hlc& op_id) const {
    const auto place = moves_by_op_id_.lower_bound([&](uint32_t move) { return move_names_[move].op_id < op_id; });
    if (place == moves_by_op_id_.end()) return none;
    const uint32_t move = moves_by_op_id_.at(place);
    return move_names_[move].op_id == op_id ? move : none;
}

// Rule A3. Prefers, in this order: an added node of exactly this id, another added node, a node of exactly this id that
// is only mentioned, another one. Stored ids that round to one double are neighbours in the order; at most 2048 do.
Hlc Tree::resolve(const Hlc& id, bool rounded) const {
    if (!rounded) return id;
    const auto exact = find_node(id);
    if (exact != none && nodes_[exact].added) return id;
    const double wanted = static_cast<double>(id.node_id);
    auto place = nodes_by_id_.lower_bound([&](uint32_t node) {
        const Hlc& found = nodes_[node].id;
        return std::tuple(found.wall_ms, found.logical, static_cast<double>(found.node_id)) <
               std::tuple(id.wall_ms, id.logical, wanted);
    });
    uint32_t mentioned = exact;
    for (; place != nodes_by_id_.end(); place = nodes_by_id_.next(place)) {
        const uint32_t node = nodes_by_id_.at(place);
        const Hlc& found = nodes_[node].id;
        if (found.wall_ms != id.wall_ms || found.logical != id.logical) break;
        if (static_cast<double>(found.node_id) != wanted) break;
        if (nodes_[node].added) return found;
        if (mentioned == none) mentioned = node;
    }
    return mentioned == none ? id : nodes_[mentioned].id;
}

TreeOp Tree::resolve(const TreeOp& op) const {
    TreeOp resolved = op;
    if (auto* add = std::get_if<TreeAddNode>(&resolved)) {
        if (add->parent_id) add->parent_id = resolve(*add->parent_id, add->parent_rounded);
        add->parent_rounded = false;
    } else if (auto* move = std::get_if<TreeMoveNode>(&resolved)) {
        move->node_id = resolve(move->node_id, move->node_rounded);
        if (move->new_parent_id) move->new_parent_id = resolve(*move->new_parent_id, move->parent_rounded);
        move->node_rounded = false;
        move->parent_rounded = false;
    } else if (auto* update = std::get_if<TreeUpdateNode>(&resolved)) {
        update->id = resolve(update->id, update->id_rounded);
        update->id_rounded = false;
    } else if (auto* erase = std::get_if<TreeDeleteNode>(&resolved)) {
        erase->id = resolve(erase->id, erase->id_rounded);
        erase->id_rounded = false;
    }
    return resolved;
}

std::optional<Hlc> Tree::id_of(uint32_t node) const {
    if (node == top) return std::nullopt;
    return nodes_[node].id;
}

Tree::Placement Tree::placement(uint32_t node) const {
    const uint32_t move = placements_[node];
    if (move == by_creation) return {nodes_[node].parent, nodes_[node].position};
    return {moves_[move].parent, move_names_[move].position};
}

std::string_view Tree::shown_value(uint32_t node) const {
    const std::string_view value = nodes_[node].value;
    if (tied_creation_values_.empty()) return value;
    const auto tied = tied_creation_values_.find(node);
    return tied == tied_creation_values_.end() ? value : std::max(value, std::string_view(tied->second));
}

int Tree::compare_add(uint32_t node, const TreeAddNode& op) const {
    const Node& stored = nodes_[node];
    if (const int order = compare_three_way(id_of(stored.parent), op.parent_id)) return order;
    if (const int order = compare_text(text(stored.position), op.position)) return order;
    if (stored.deleted || (stored.has_update && stored.updated_at > stored.id)) return 0;
    const auto tied = tied_creation_values_.find(node);
    return compare_text(tied == tied_creation_values_.end() ? stored.value : tied->second, op.value);
}

int Tree::compare_move(uint32_t move, const TreeMoveNode& op) const {
    const Move& stored = moves_[move];
    if (const int order = compare_three_way(nodes_[stored.node].id, op.node_id)) return order;
    if (const int order = compare_three_way(id_of(stored.parent), op.new_parent_id)) return order;
    return compare_text(text(move_names_[move].position), op.new_position);
}

// ---- Checks

std::optional<Rejection> Tree::check(const TreeOp& op, const Limits& limits) const {
    const TreeOp resolved = resolve(op);
    if (const auto* add = std::get_if<TreeAddNode>(&resolved)) return check_add(*add, limits);
    if (const auto* move = std::get_if<TreeMoveNode>(&resolved)) return check_move(*move, limits);
    if (const auto* update = std::get_if<TreeUpdateNode>(&resolved)) {
        const uint32_t node = find_node(update->id);
        if (update->updated_at < update->id || (node != none && nodes_[node].deleted)) return std::nullopt;
        if (auto refused = check_bytes("value", update->value.size(), limits.tree_value_bytes_max)) return refused;
        const bool waits = node == none || (!nodes_[node].added && !nodes_[node].has_update);
        return check_room(node == none ? 1 : 0, waits ? 1 : 0, limits);
    }
    const uint32_t node = find_node(std::get<TreeDeleteNode>(resolved).id);
    const bool waits = node == none || (!nodes_[node].added && !nodes_[node].has_update && !nodes_[node].deleted);
    return check_room(node == none ? 1 : 0, waits ? 1 : 0, limits);
}

std::optional<Rejection> Tree::check_add(const TreeAddNode& op, const Limits& limits) const {
    const uint32_t node = find_node(op.id);
    if (node != none && nodes_[node].added) {
        if (compare_add(node, op) == 0) return std::nullopt;
        return Rejection{invalid("tree node " + to_text(op.id) +
                                 " already exists with another parent, position or value, expected a new id")};
    }
    if (auto refused = check_bytes("position", op.position.size(), limits.tree_position_bytes_max)) return refused;
    if (auto refused = check_bytes("value", op.value.size(), limits.tree_value_bytes_max)) return refused;
    const bool new_parent = op.parent_id && *op.parent_id != op.id && find_node(*op.parent_id) == none;
    return check_room((node == none ? 1 : 0) + (new_parent ? 1 : 0), 0, limits);
}

std::optional<Rejection> Tree::check_move(const TreeMoveNode& op, const Limits& limits) const {
    const uint32_t move = find_move(op.op_id);
    if (move != none) {
        if (compare_move(move, op) == 0) return std::nullopt;
        return Rejection{invalid("tree move " + to_text(op.op_id) +
                                 " already exists with another node, parent or position, expected a new op_id")};
    }
    if (auto refused = check_bytes("position", op.new_position.size(), limits.tree_position_bytes_max)) return refused;
    if (moves_.size() >= limits.tree_moves_max) {
        return Rejection{invalid("tree has " + std::to_string(moves_.size()) + " moves, at most " +
                                 std::to_string(limits.tree_moves_max) + " are allowed")};
    }
    const uint32_t node = find_node(op.node_id);
    const bool new_parent = op.new_parent_id && *op.new_parent_id != op.node_id && find_node(*op.new_parent_id) == none;
    return check_room((node == none ? 1 : 0) + (new_parent ? 1 : 0), node == none || !nodes_[node].added ? 1 : 0,
                      limits);
}

std::optional<Rejection> Tree::check_room(size_t new_nodes, size_t waiting, const Limits& limits) const {
    const size_t nodes = nodes_.size() - 1;
    if (new_nodes > 0 && nodes + new_nodes > limits.tree_nodes_max) {
        return Rejection{invalid("tree has " + std::to_string(nodes) + " nodes, at most " +
                                 std::to_string(limits.tree_nodes_max) + " are allowed")};
    }
    if (waiting > 0 && waiting_ops() + waiting > limits.pending_ops_max) {
        return Rejection{invalid("tree has " + std::to_string(waiting_ops()) +
                                 " operations that wait for their node, at most " +
                                 std::to_string(limits.pending_ops_max) + " are allowed")};
    }
    return std::nullopt;
}

}  // namespace meridian::crdt
