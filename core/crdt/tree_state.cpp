// The state as a whole: as a delta, compared, measured.
#include <string>
#include <vector>

#include "crdt/tree.h"

namespace meridian::crdt {

Tree::Delta Tree::full_delta() const {
    Delta delta;
    nodes_by_id_.for_each([&](uint32_t node) {
        const Node& stored = nodes_[node];
        if (stored.added) {
            std::string creation_value;
            if (!stored.has_update) {
                creation_value = stored.value;
            } else if (const auto tied = tied_creation_values_.find(node); tied != tied_creation_values_.end()) {
                creation_value = tied->second;
            }
            delta.adds.push_back({stored.id, id_of(stored.parent), std::string(text(stored.position)),
                                  std::move(creation_value), false});
        }
        if (stored.has_update) delta.updates.push_back({stored.id, stored.value, stored.updated_at, false});
        if (stored.deleted) delta.deletes.push_back(stored.id);
    });
    delta.moves.reserve(moves_.size());
    moves_by_op_id_.for_each([&](uint32_t move) {
        const Move& stored = moves_[move];
        delta.moves.push_back({move_names_[move].op_id, nodes_[stored.node].id, id_of(stored.parent),
                               std::string(text(move_names_[move].position)), false, false});
    });
    return delta;
}

bool Tree::empty() const {
    return kept_nodes_ == 0 && moves_.empty();
}

bool operator==(const Tree& left, const Tree& right) {
    if (left.kept_nodes_ != right.kept_nodes_ || left.moves_.size() != right.moves_.size()) return false;
    // Nodes that are only mentioned follow from the rest.
    const auto skip_mentioned = [](const Tree& tree, HandleOrder::Cursor place) {
        for (; place != tree.nodes_by_id_.end(); place = tree.nodes_by_id_.next(place)) {
            const Tree::Node& node = tree.nodes_[tree.nodes_by_id_.at(place)];
            if (node.added || node.deleted || node.has_update) break;
        }
        return place;
    };
    auto left_place = skip_mentioned(left, left.nodes_by_id_.begin());
    auto right_place = skip_mentioned(right, right.nodes_by_id_.begin());
    while (left_place != left.nodes_by_id_.end()) {
        const uint32_t left_node = left.nodes_by_id_.at(left_place);
        const uint32_t right_node = right.nodes_by_id_.at(right_place);
        const Tree::Node& a = left.nodes_[left_node];
        const Tree::Node& b = right.nodes_[right_node];
        if (a.id != b.id || a.added != b.added || a.deleted != b.deleted || a.has_update != b.has_update ||
            a.updated_at != b.updated_at || a.value != b.value || left.id_of(a.parent) != right.id_of(b.parent) ||
            left.text(a.position) != right.text(b.position)) {
            return false;
        }
        const auto left_tied = left.tied_creation_values_.find(left_node);
        const auto right_tied = right.tied_creation_values_.find(right_node);
        const bool left_has_tied = left_tied != left.tied_creation_values_.end();
        const bool right_has_tied = right_tied != right.tied_creation_values_.end();
        if (left_has_tied != right_has_tied || (left_has_tied && left_tied->second != right_tied->second)) return false;
        left_place = skip_mentioned(left, left.nodes_by_id_.next(left_place));
        right_place = skip_mentioned(right, right.nodes_by_id_.next(right_place));
    }
    auto right_move = right.moves_by_op_id_.begin();
    for (auto left_move = left.moves_by_op_id_.begin(); left_move != left.moves_by_op_id_.end();
         left_move = left.moves_by_op_id_.next(left_move), right_move = right.moves_by_op_id_.next(right_move)) {
        const uint32_t a = left.moves_by_op_id_.at(left_move);
        const uint32_t b = right.moves_by_op_id_.at(right_move);
        if (left.move_names_[a].op_id != right.move_names_[b].op_id ||
            left.nodes_[left.moves_[a].node].id != right.nodes_[right.moves_[b].node].id ||
            left.id_of(left.moves_[a].parent) != right.id_of(right.moves_[b].parent) ||
            left.text(left.move_names_[a].position) != right.text(right.move_names_[b].position)) {
            return false;
        }
    }
    return true;
}

CompactionResult Tree::compact(const CompactionContext&) {
    nodes_.shrink_to_fit();
    parents_.shrink_to_fit();
    placements_.shrink_to_fit();
    child_counts_.shrink_to_fit();
    marks_.shrink_to_fit();
    moves_.shrink_to_fit();
    move_names_.shrink_to_fit();
    nodes_by_id_.shrink_to_fit();
    moves_by_op_id_.shrink_to_fit();
    return {};
}

size_t Tree::memory_bytes() const {
    constexpr size_t map_entry_bytes = 64;
    return sizeof(Tree) + nodes_.capacity() * sizeof(Node) +
           (parents_.capacity() + placements_.capacity() + child_counts_.capacity()) * sizeof(uint32_t) +
           marks_.capacity() + moves_.capacity() * sizeof(Move) + move_names_.capacity() * sizeof(MoveName) +
           nodes_by_id_.memory_bytes() + moves_by_op_id_.memory_bytes() + texts_.memory_bytes() + value_bytes_ +
           (tied_creation_values_.size() + waiting_moves_of_.size()) * map_entry_bytes;
}

}  // namespace meridian::crdt
