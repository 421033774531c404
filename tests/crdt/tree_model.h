// What the tree is compared with: a model that recomputes everything from the set of ops, with rules that can be made
// wrong on purpose; a client as naive as the TypeScript one; and random histories.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "base/json_writer.h"
#include "crdt/tree.h"

namespace meridian::crdt::tree_testing {

inline Hlc stamp(uint64_t wall_ms, uint16_t logical = 0, uint64_t node_id = 1) {
    return {wall_ms, logical, node_id};
}

class CountingStamps : public StampSource {
public:
    Hlc next_stamp() override { return {9'000'000, 0, ++count_}; }
    uint64_t count() const { return count_; }

private:
    uint64_t count_ = 1000;
};

inline std::string value_of(const Tree& tree) {
    JsonWriter writer;
    tree.write_value(writer, 0);
    return writer.take();
}

struct PlainNode {
    std::optional<Hlc> parent_id;
    std::string position;
    std::string value;
    Hlc updated_at;
    bool deleted = false;
};
using PlainNodes = std::map<Hlc, PlainNode>;

// Renders by the rules of crdts.md section 4.8. Recursive: for shallow test trees.
inline std::string render(const PlainNodes& nodes, bool with_values = true) {
    std::map<std::optional<Hlc>, std::vector<Hlc>> children;
    for (const auto& [id, node] : nodes) {
        if (!node.deleted) children[node.parent_id].push_back(id);
    }
    for (auto& entry : children) {
        std::sort(entry.second.begin(), entry.second.end(), [&](const Hlc& a, const Hlc& b) {
            const std::string& left = nodes.at(a).position;
            const std::string& right = nodes.at(b).position;
            return left != right ? left < right : b < a;
        });
    }
    const std::function<std::string(const std::optional<Hlc>&)> list = [&](const std::optional<Hlc>& parent) {
        std::string text = "[";
        const auto found = children.find(parent);
        if (found == children.end()) return text + "]";
        for (const Hlc& id : found->second) {
            if (text.size() > 1) text += ",";
            text += "{\"children\":" + list(id) + ",\"id\":\"" + to_text(id) + "\",\"position\":\"" +
                    nodes.at(id).position + "\",\"value\":\"" + (with_values ? nodes.at(id).value : "") + "\"}";
        }
        return text + "]";
    };
    return "{\"roots\":" + list(std::nullopt) + "}";
}

// Rules that are wrong if set; none is set in the model.
struct WrongRules {
    bool moves_in_arrival_order = false;
    bool no_cycle_check = false;
    bool delete_before_add_is_forgotten = false;
    bool move_before_add_is_forgotten = false;
    bool update_before_add_is_forgotten = false;
    bool first_of_equal_ids_wins = false;
    bool creation_is_subject_to_moves = false;  // the tree at arrival decides, not creation first
    bool first_of_equal_updates_wins = false;
    bool add_undeletes = false;
};

class TreeModel {
public:
    explicit TreeModel(WrongRules wrong = {}) : wrong_(wrong) {}

    void take(const TreeOp& op) {
        if (const auto* add = std::get_if<TreeAddNode>(&op)) take_add(*add);
        if (const auto* move = std::get_if<TreeMoveNode>(&op)) take_move(*move);
        if (const auto* update = std::get_if<TreeUpdateNode>(&op)) {
            if (wrong_.update_before_add_is_forgotten && adds_.count(update->id) == 0) return;
            auto& best = updates_[update->id];
            const auto offered = std::make_pair(update->updated_at, update->value);
            if (!best || best->first < offered.first || (!wrong_.first_of_equal_updates_wins && *best < offered)) {
                best = offered;
            }
        }
        if (const auto* erase = std::get_if<TreeDeleteNode>(&op)) {
            if (wrong_.delete_before_add_is_forgotten && adds_.count(erase->id) == 0) return;
            deletes_.insert(erase->id);
        }
    }

    PlainNodes nodes() const {
        PlainNodes nodes;
        for (const auto& [id, add] : adds_) {
            PlainNode node{add.parent_id, add.position, add.value, id, deletes_.count(id) > 0};
            const auto update = updates_.find(id);
            if (update != updates_.end() && *update->second > std::make_pair(id, add.value)) {
                node.value = update->second->second;
                node.updated_at = update->second->first;
            }
            nodes[id] = node;
        }
        const auto run = [&](const TreeMoveNode& move) {
            const auto node = nodes.find(move.node_id);
            if (node == nodes.end()) return;
            if (!wrong_.no_cycle_check && is_under(nodes, move.new_parent_id, move.node_id)) return;
            node->second.parent_id = move.new_parent_id;
            node->second.position = move.new_position;
        };
        if (wrong_.moves_in_arrival_order || wrong_.creation_is_subject_to_moves) {
            for (const Hlc& op_id : arrival_) run(moves_.at(op_id));
        } else {
            for (const auto& entry : moves_) run(entry.second);
        }
        return nodes;
    }

    std::string value() const { return render(nodes()); }

private:
    static bool is_under(const PlainNodes& nodes, std::optional<Hlc> from, const Hlc& ancestor) {
        std::set<Hlc> seen;
        while (from && seen.insert(*from).second) {
            if (*from == ancestor) return true;
            const auto node = nodes.find(*from);
            from = node == nodes.end() ? std::nullopt : node->second.parent_id;
        }
        return false;
    }

    void take_add(const TreeAddNode& add) {
        const auto known = adds_.find(add.id);
        if (wrong_.add_undeletes) deletes_.erase(add.id);
        if (known == adds_.end()) {
            adds_.emplace(add.id, add);
        } else if (!wrong_.first_of_equal_ids_wins &&
                   std::tie(add.parent_id, add.position, add.value) <
                       std::tie(known->second.parent_id, known->second.position, known->second.value)) {
            known->second = add;
        }
    }

    void take_move(const TreeMoveNode& move) {
        if (wrong_.move_before_add_is_forgotten && adds_.count(move.node_id) == 0) return;
        // Wrong on purpose: what is a cycle is decided before the creation of the parent is known.
        if (wrong_.creation_is_subject_to_moves && move.new_parent_id && adds_.count(*move.new_parent_id) == 0) return;
        const auto known = moves_.find(move.op_id);
        if (known == moves_.end()) {
            moves_.emplace(move.op_id, move);
            arrival_.push_back(move.op_id);
        } else if (!wrong_.first_of_equal_ids_wins &&
                   std::tie(move.node_id, move.new_parent_id, move.new_position) <
                       std::tie(known->second.node_id, known->second.new_parent_id, known->second.new_position)) {
            known->second = move;
        }
    }

    WrongRules wrong_;
    std::map<Hlc, TreeAddNode> adds_;
    std::map<Hlc, TreeMoveNode> moves_;
    std::vector<Hlc> arrival_;
    std::map<Hlc, std::optional<std::pair<Hlc, std::string>>> updates_;
    std::set<Hlc> deletes_;
};

// crdts.md section 8.1: AddNode if unknown, MoveNode always, UpdateNode if the text of the stamp is greater, DeleteNode
// always; no cycle check.
class NaiveClient {
public:
    void take(const TreeOp& op) {
        if (const auto* add = std::get_if<TreeAddNode>(&op)) {
            nodes_.emplace(add->id, PlainNode{add->parent_id, add->position, add->value, add->id, false});
        } else if (const auto* move = std::get_if<TreeMoveNode>(&op)) {
            if (PlainNode* node = find(move->node_id)) {
                node->parent_id = move->new_parent_id;
                node->position = move->new_position;
            }
        } else if (const auto* update = std::get_if<TreeUpdateNode>(&op)) {
            PlainNode* node = find(update->id);
            if (node != nullptr && to_text(update->updated_at) > to_text(node->updated_at)) {
                node->value = update->value;
                node->updated_at = update->updated_at;
            }
        } else if (const auto* erase = std::get_if<TreeDeleteNode>(&op)) {
            if (PlainNode* node = find(erase->id)) node->deleted = true;
        }
        if (has_cycle()) ++cycles_seen_;
    }
    void take(const std::vector<TreeClientDelta>& views) {
        for (const auto& view : views) {
            for (const auto& op : view.ops) take(op);
        }
    }
    const PlainNodes& nodes() const { return nodes_; }
    std::string value() const { return render(nodes_); }
    size_t cycles_seen() const { return cycles_seen_; }

private:
    PlainNode* find(const Hlc& id) {
        const auto node = nodes_.find(id);
        return node == nodes_.end() ? nullptr : &node->second;
    }
    bool has_cycle() const {
        for (const auto& entry : nodes_) {
            std::optional<Hlc> up = entry.second.parent_id;
            for (size_t steps = 0; up && nodes_.count(*up) > 0; ++steps) {
                if (steps > nodes_.size()) return true;
                up = nodes_.at(*up).parent_id;
            }
        }
        return false;
    }
    PlainNodes nodes_;
    size_t cycles_seen_ = 0;
};

// Current placements of all nodes, visible or not, as sync() tells them.
inline std::map<Hlc, std::pair<std::optional<Hlc>, std::string>> placements(const Tree& tree) {
    std::map<Hlc, std::pair<std::optional<Hlc>, std::string>> result;
    for (const auto& view : tree.sync({})) {
        for (const auto& op : view.ops) {
            if (const auto* add = std::get_if<TreeAddNode>(&op)) result[add->id] = {add->parent_id, add->position};
        }
    }
    return result;
}
inline std::map<Hlc, std::pair<std::optional<Hlc>, std::string>> placements(const PlainNodes& nodes) {
    std::map<Hlc, std::pair<std::optional<Hlc>, std::string>> result;
    for (const auto& [id, node] : nodes) result[id] = {node.parent_id, node.position};
    return result;
}

inline Tree::Delta delta_of(const TreeOp& op) {
    Tree::Delta delta;
    if (const auto* add = std::get_if<TreeAddNode>(&op)) delta.adds.push_back(*add);
    if (const auto* move = std::get_if<TreeMoveNode>(&op)) delta.moves.push_back(*move);
    if (const auto* update = std::get_if<TreeUpdateNode>(&op)) delta.updates.push_back(*update);
    if (const auto* erase = std::get_if<TreeDeleteNode>(&op)) delta.deletes.push_back(erase->id);
    return delta;
}

// What a history may contain. Stamps have a fixed number of digits, so that their text orders as they do.
struct HistoryShape {
    uint64_t nodes = 8;
    size_t ops = 30;
    bool conflicting_ids = true;  // same id or op id with other content
    bool creation_cycles = true;  // else the parent of a new node is an older one
    bool updates_at_id = true;    // updates stamped with exactly the id of the node
};

// `draw(n)` gives a number below n: from a random generator, or from choices that RapidCheck shrinks.
template <class Draw>
TreeOp draw_op(const HistoryShape& shape, Draw draw) {
    const auto node_id = [&](uint64_t index) { return stamp(1000 + index, 0, 1 + index % 3); };
    const auto parent_of = [&](uint64_t bound) -> std::optional<Hlc> {
        const uint64_t parent = draw(bound + 1);
        if (parent == bound) return std::nullopt;
        return node_id(parent);
    };
    const uint64_t index = draw(shape.nodes);
    const std::string position(1, static_cast<char>('a' + draw(3)));
    const std::string value(1, static_cast<char>('p' + draw(5)));
    const uint64_t kind = draw(10);
    if (kind < 3) {
        TreeAddNode add{node_id(index), std::nullopt, position, value, false};
        if (shape.conflicting_ids) {
            add.parent_id = parent_of(shape.creation_cycles ? shape.nodes : index);
        } else {
            // Always the same content for one id.
            const uint64_t parent = shape.creation_cycles ? (index * 5 + 3) % shape.nodes : index / 2;
            if (index % 3 != 0) add.parent_id = node_id(parent);
            add.position = std::string(1, static_cast<char>('a' + index % 3));
            add.value = "c";
        }
        return add;
    }
    if (kind < 8) {
        // Two op ids in a hundred are equal, and then mostly with other content.
        const uint64_t number = shape.conflicting_ids ? draw(100) : draw(1'000'000);
        const Hlc op_id = stamp(2'000'000 + number, static_cast<uint16_t>(draw(10)), 1 + draw(3));
        return TreeMoveNode{op_id, node_id(index), parent_of(shape.nodes), position, false, false};
    }
    if (kind == 8) {
        const uint64_t wall_ms = shape.updates_at_id && draw(4) == 0 ? node_id(index).wall_ms : 1000 + draw(5000);
        const Hlc updated_at = shape.updates_at_id && draw(3) == 0
                                   ? node_id(index)
                                   : stamp(wall_ms, static_cast<uint16_t>(draw(10)), 1 + draw(3));
        return TreeUpdateNode{node_id(index), value, updated_at, false};
    }
    if (draw(3) == 0) return TreeDeleteNode{node_id(index), false};
    return TreeMoveNode{
        stamp(3'000'000 + draw(1'000'000)), node_id(index), parent_of(shape.nodes), position, false, false};
}

}  // namespace meridian::crdt::tree_testing
