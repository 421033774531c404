// apply() and join(), and what clients are told of them.
//
// Clients execute moves as they come, the TypeScript client without any cycle check. So the moves of one view are
// ordered parents first in the new tree: when a node gets its new parent, the path above that parent is already final,
// and a final path does not lead back to the node. Hence no order of a client's tree in between has a cycle that the
// final tree has not. For the same reason a node that arrives is added where it is now, not where it was created.
#include <algorithm>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "crdt/tree.h"
#include "crdt/tree_internal.h"
#include "crdt/tree_pieces.h"

namespace meridian::crdt {

class Tree::Projection {
public:
    Projection(const Tree& tree, Integration& work, StampSource& stamps) : tree_(tree), work_(work), stamps_(stamps) {
        std::sort(work_.fresh_moves.begin(), work_.fresh_moves.end());
        for (const uint32_t node : work_.added) changes_.push_back({node, true, 0});
        for (const auto& difference : work_.differences) {
            if (!tree_.nodes_[difference.node].added || !placement_changed(difference)) continue;
            changes_.push_back({difference.node, false, 0});
        }
    }

    // The node is told of even if it is where it was.
    void include(uint32_t node) {
        for (const Change& change : changes_) {
            if (change.node == node) return;
        }
        changes_.push_back({node, false, 0});
    }

    std::vector<TreeClientDelta> views() {
        order_changes();
        for (const Change& change : changes_) {
            if (change.added) {
                tell_added(change.node);
            } else {
                tell_moved(change.node);
            }
        }
        for (const uint32_t node : work_.updated) tell_updated(node);
        for (const uint32_t node : work_.deleted) pieces_.add(TreeDeleteNode{tree_.nodes_[node].id});
        return pieces_.take();
    }

private:
    struct Change {
        uint32_t node;
        bool added;
        size_t depth;
    };

    bool placement_changed(const Integration::Difference& difference) const {
        const auto old = old_placement(difference);
        if (!old) return false;  // was added now: in work_.added
        const Placement now = tree_.placement(difference.node);
        return old->parent != now.parent || tree_.text(old->position) != tree_.text(now.position);
    }

    std::optional<Placement> old_placement(const Integration::Difference& difference) const {
        const uint32_t old = difference.old_placement;
        if (old == not_placed) return std::nullopt;
        if (old == by_replaced_creation) return work_.replaced_creations.at(difference.node);
        if (old == by_creation)
            return Placement{tree_.nodes_[difference.node].parent, tree_.nodes_[difference.node].position};
        if (old & replaced_move_bit) return work_.replaced_moves.at(old & ~replaced_move_bit).placement;
        return Placement{tree_.moves_[old].parent, tree_.move_names_[old].position};
    }

    // Parents first, each node once, then by id.
    void order_changes() {
        if (changes_.size() < 2) return;
        std::unordered_map<uint32_t, size_t> depths{{top, 0}};
        for (Change& change : changes_) change.depth = depth_of(change.node, depths);
        std::sort(changes_.begin(), changes_.end(), [&](const Change& left, const Change& right) {
            if (left.depth != right.depth) return left.depth < right.depth;
            if (left.node != right.node) return tree_.nodes_[left.node].id < tree_.nodes_[right.node].id;
            return left.added > right.added;
        });
        const auto same = [](const Change& left, const Change& right) { return left.node == right.node; };
        changes_.erase(std::unique(changes_.begin(), changes_.end(), same), changes_.end());
    }

    // Distance from the top; on and below a cycle of creation edges some number that grows downwards, except once on
    // the cycle.
    size_t depth_of(uint32_t node, std::unordered_map<uint32_t, size_t>& depths) const {
        std::vector<uint32_t> path;
        for (; depths.emplace(node, 0).second; node = tree_.parents_[node]) path.push_back(node);
        size_t depth = depths.at(node);
        for (auto up = path.rbegin(); up != path.rend(); ++up) depths[*up] = ++depth;
        return depth;
    }

    void tell_added(uint32_t node) {
        const Node& stored = tree_.nodes_[node];
        const Placement now = tree_.placement(node);
        pieces_.add(TreeAddNode{stored.id, tree_.id_of(now.parent), std::string(tree_.text(now.position)),
                                std::string(tree_.shown_value(node)), false});
        // For a client that has the node already, elsewhere: its author.
        if (tree_.placements_[node] != by_creation) tell_moved(node);
        if (stored.has_update && stored.updated_at != stored.id) tell_updated(node);
        if (stored.deleted) pieces_.add(TreeDeleteNode{stored.id});
    }

    void tell_moved(uint32_t node) {
        const Placement now = tree_.placement(node);
        const uint32_t move = tree_.placements_[node];
        const bool is_op = std::binary_search(work_.fresh_moves.begin(), work_.fresh_moves.end(), move);
        pieces_.add(TreeMoveNode{is_op ? tree_.move_names_[move].op_id : stamps_.next_stamp(), tree_.nodes_[node].id,
                                 tree_.id_of(now.parent), std::string(tree_.text(now.position)), false, false});
    }

    void tell_updated(uint32_t node) {
        const Node& stored = tree_.nodes_[node];
        pieces_.add(TreeUpdateNode{stored.id, std::string(tree_.shown_value(node)),
                                   stored.has_update ? stored.updated_at : stored.id, false});
    }

    const Tree& tree_;
    Integration& work_;
    StampSource& stamps_;
    std::vector<Change> changes_;
    TreePieces pieces_;
};

Applied<Tree::Delta, TreeClientDelta> Tree::apply(const TreeOp& op, const ApplyContext& context) {
    Applied<Delta, TreeClientDelta> result;
    const TreeOp resolved = resolve(op);
    Delta delta;
    if (const auto* add = std::get_if<TreeAddNode>(&resolved)) {
        delta.adds.push_back(*add);
    } else if (const auto* move = std::get_if<TreeMoveNode>(&resolved)) {
        delta.moves.push_back(*move);
    } else if (const auto* update = std::get_if<TreeUpdateNode>(&resolved)) {
        delta.updates.push_back(*update);
    } else {
        delta.deletes.push_back(std::get<TreeDeleteNode>(resolved).id);
    }
    Integration work;
    integrate(delta, work);
    if (!work.changed) return result;
    result.changed = true;
    result.delta = std::move(delta);

    Projection projection(*this, work, context.stamps);
    const auto* move = std::get_if<TreeMoveNode>(&resolved);
    const uint32_t moved = move == nullptr ? none : find_node(move->node_id);
    if (moved == none || !nodes_[moved].added) {
        result.views = projection.views();
        return result;
    }
    projection.include(moved);
    result.views = projection.views();
    if (moves_[find_move(move->op_id)].effective == 0) {
        const Placement actual = placement(moved);
        result.views.back().discarded_moves.push_back({move->node_id, move->new_parent_id, move->new_position,
                                                       id_of(actual.parent), std::string(text(actual.position))});
        result.conflict = TreeMoveCycle{move->node_id, move->new_parent_id};
    }
    return result;
}

std::vector<TreeClientDelta> Tree::join(const Delta& delta, const JoinContext& context) {
    Integration work;
    integrate(delta, work);
    if (!work.changed) return {};
    return Projection(*this, work, context.stamps).views();
}

}  // namespace meridian::crdt
