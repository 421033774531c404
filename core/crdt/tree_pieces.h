// Collects ops for clients into deltas of bounded size, so that no frame exceeds what clients read (client-api.md rule
// C15). Ops keep their order.
#pragma once

#include <cstddef>
#include <utility>
#include <variant>
#include <vector>

#include "crdt/client_delta.h"
#include "crdt/op.h"
#include "crdt/tree.h"

namespace meridian::crdt {

class TreePieces {
public:
    void add(TreeOp op) {
        const size_t bytes = text_bytes(op);
        if (pieces_.empty() || pieces_.back().ops.size() >= Tree::piece_ops_max ||
            (!pieces_.back().ops.empty() && piece_bytes_ + bytes > Tree::piece_text_bytes_max)) {
            pieces_.emplace_back();
            piece_bytes_ = 0;
        }
        piece_bytes_ += bytes;
        pieces_.back().ops.push_back(std::move(op));
    }
    // Into the last piece.
    void add_discarded(DiscardedMove move) {
        if (pieces_.empty()) pieces_.emplace_back();
        pieces_.back().discarded_moves.push_back(std::move(move));
    }
    bool empty() const { return pieces_.empty(); }
    std::vector<TreeClientDelta> take() { return std::move(pieces_); }

private:
    static size_t text_bytes(const TreeOp& op) {
        if (const auto* add = std::get_if<TreeAddNode>(&op)) return add->position.size() + add->value.size();
        if (const auto* move = std::get_if<TreeMoveNode>(&op)) return move->new_position.size();
        if (const auto* update = std::get_if<TreeUpdateNode>(&op)) return update->value.size();
        return 0;
    }

    std::vector<TreeClientDelta> pieces_;
    size_t piece_bytes_ = 0;
};

}  // namespace meridian::crdt
