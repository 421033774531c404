// The whole state as clients and readers see it: sync, emptying, the value.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/json_writer.h"
#include "crdt/tree.h"
#include "crdt/tree_pieces.h"

namespace meridian::crdt {

// The added nodes under each node, by id, in two flat arrays. Made in O(n); not kept.
class Tree::Outline {
public:
    Outline(const Tree& tree, bool with_deleted) : starts_(tree.nodes_.size() + 1, 0) {
        const auto counts = [&](uint32_t node) {
            return tree.nodes_[node].added && (with_deleted || !tree.nodes_[node].deleted);
        };
        for (uint32_t node = 1; node < tree.nodes_.size(); ++node) {
            if (counts(node)) ++starts_[tree.parents_[node] + 1];
        }
        for (size_t i = 1; i < starts_.size(); ++i) starts_[i] += starts_[i - 1];
        children_.resize(starts_.back());
        std::vector<uint32_t> next(starts_.begin(), starts_.end() - 1);
        tree.nodes_by_id_.for_each([&](uint32_t node) {
            if (counts(node)) children_[next[tree.parents_[node]]++] = node;
        });
    }

    uint32_t* begin(uint32_t node) { return children_.data() + starts_[node]; }
    uint32_t* end(uint32_t node) { return children_.data() + starts_[node + 1]; }

    // Every node of the outline; parents before children, except once on each cycle of creation edges.
    std::vector<uint32_t> parents_first(const Tree& tree) {
        std::vector<uint32_t> order;
        order.reserve(children_.size());
        std::vector<bool> seen(tree.nodes_.size(), false);
        size_t expanded = 0;
        const auto take_children = [&](uint32_t node) {
            for (const uint32_t* child = begin(node); child != end(node); ++child) {
                if (!seen[*child]) order.push_back(*child);
                seen[*child] = true;
            }
        };
        const auto expand = [&] {
            while (expanded < order.size()) take_children(order[expanded++]);
        };
        take_children(top);
        expand();
        // Then what hangs below nodes that are unknown or not in the outline, then cycles.
        std::vector<bool> in_outline(tree.nodes_.size(), false);
        for (const uint32_t node : children_) in_outline[node] = true;
        tree.nodes_by_id_.for_each([&](uint32_t node) {
            if (!in_outline[node]) take_children(node);
        });
        expand();
        tree.nodes_by_id_.for_each([&](uint32_t node) {
            if (!in_outline[node] || seen[node]) return;
            seen[node] = true;
            order.push_back(node);
            expand();
        });
        return order;
    }

private:
    std::vector<uint32_t> starts_;
    std::vector<uint32_t> children_;
};

std::vector<TreeClientDelta> Tree::sync(const SyncContext&) const {
    if (empty()) return {};
    const std::vector<uint32_t> order = Outline(*this, true).parents_first(*this);
    TreePieces pieces;
    for (const uint32_t node : order) {
        const Placement now = placement(node);
        pieces.add(TreeAddNode{nodes_[node].id, id_of(now.parent), std::string(text(now.position)),
                               std::string(shown_value(node)), false});
    }
    for (const uint32_t node : order) {
        const Node& stored = nodes_[node];
        if (!stored.has_update || stored.updated_at == stored.id) continue;
        pieces.add(TreeUpdateNode{stored.id, stored.value, stored.updated_at, false});
    }
    std::vector<uint32_t> last_moves(nodes_.size(), none);
    moves_by_op_id_.for_each([&](uint32_t move) { last_moves[moves_[move].node] = move; });
    for (const uint32_t node : order) {
        if (last_moves[node] == none) continue;
        const uint32_t move = placements_[node] == by_creation ? last_moves[node] : placements_[node];
        const Placement now = placement(node);
        pieces.add(TreeMoveNode{move_names_[move].op_id, nodes_[node].id, id_of(now.parent),
                                std::string(text(now.position)), false, false});
    }
    nodes_by_id_.for_each([&](uint32_t node) {
        if (nodes_[node].deleted) pieces.add(TreeDeleteNode{nodes_[node].id});
    });
    std::vector<TreeClientDelta> views = pieces.take();
    // Only ops that wait for their nodes: nothing to tell, but the key is not empty.
    if (views.empty()) views.emplace_back();
    return views;
}

std::vector<TreeClientDelta> Tree::emptying() const {
    TreePieces pieces;
    for (const uint32_t node : Outline(*this, false).parents_first(*this)) {
        pieces.add(TreeDeleteNode{nodes_[node].id});
    }
    return pieces.take();
}

void Tree::write_value(JsonWriter& writer, uint64_t) const {
    Outline outline(*this, false);
    const auto sort_children = [&](uint32_t node) {
        std::sort(outline.begin(node), outline.end(node), [&](uint32_t left, uint32_t right) {
            const Placement left_placement = placement(left);
            const Placement right_placement = placement(right);
            const int order = text(left_placement.position).compare(text(right_placement.position));
            return order != 0 ? order < 0 : nodes_[right].id < nodes_[left].id;
        });
    };
    struct Open {
        uint32_t node;
        const uint32_t* next;
        const uint32_t* end;
    };
    std::vector<Open> path;
    const auto open = [&](uint32_t node) {
        sort_children(node);
        path.push_back({node, outline.begin(node), outline.end(node)});
        writer.begin_object();
        writer.key(node == top ? "roots" : "children");
        writer.begin_array();
    };
    open(top);
    while (!path.empty()) {
        Open& current = path.back();
        if (current.next != current.end) {
            open(*current.next++);
            continue;
        }
        writer.end_array();
        if (current.node != top) {
            writer.key("id");
            writer.string(to_text(nodes_[current.node].id));
            writer.key("position");
            const Placement now = placement(current.node);
            writer.string(text(now.position));
            writer.key("value");
            writer.string(shown_value(current.node));
        }
        writer.end_object();
        path.pop_back();
    }
}

}  // namespace meridian::crdt
