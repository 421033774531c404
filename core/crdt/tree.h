// The replicated tree (crdts.md section 4.8), after Kleppmann et al., "A highly-available move operation for replicated
// trees" (2021).
//
// The state is a function of the set of ops. Every AddNode gives its node a creation edge; creation edges are never
// rejected and all count before any move. On top, all moves run in the order of their op ids; a move that would put a
// node under itself or a descendant is skipped, and so is one whose node is not known (yet). The parent of a node may
// be unknown; the node is invisible then. Cycles can consist of creation edges only; their nodes are invisible. The
// value of a node is the greatest (stamp, bytes) of (id, creation value) and all updates. A deleted node stays deleted;
// its value is forgotten, its id, edges and moves are not. When two ops share an id but not their content (two nodes
// accepted them), the smaller (parent, position, value), or (node, parent, position) for moves, counts.
//
// How it stays fast. The log is ordered by op id. An op that is late by k places undoes the k later moves, takes its
// place and redoes them; undo and redo are a few array writes each. The check for a cycle walks up from the new parent.
// A redone move is checked again only if its result can differ: it was skipped before, or its node lies above a node
// whose edge differs from before (such nodes are marked). When no edge differs any more, the rest is redone unchecked.
// A node without children needs no walk.
//
// Cost, with n nodes, k places late, depth d: lookup O(log n); a move in order O(d); a late move O(k), plus O(d) for
// each redone move that must be checked again, in the worst case (inner nodes of one deep path move back and forth, or
// most moves are skipped) all k. An AddNode is O(log n); if something mentioned the node before, moves from the first
// mention on may have to be redone, and if the node has older children and its new ancestors have moved, all.
//
// Nothing is forgotten that a late or repeated op could contradict: ids, creation edges, deletes and moves are kept for
// good, and compact() only returns spare memory. So nothing can be resurrected (section 6.3 prefers this).
//
// Contract: crdt/contract.h. Plain data, copyable; not thread-safe; no recursion on the shape of the tree.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "crdt/client_delta.h"
#include "crdt/contract.h"
#include "crdt/hlc.h"
#include "crdt/op.h"
#include "crdt/tree_order.h"
#include "crdt/tree_text.h"

namespace meridian {
class JsonWriter;
}

namespace meridian::crdt {

class Tree {
public:
    using Op = TreeOp;
    using ClientDelta = TreeClientDelta;

    // Original ops only, never corrective moves; ids are resolved (no `rounded` flag is set). The four lists are
    // ascending: by id, op_id, id, id, each at most once. An AddNode whose node is also deleted or updated (with a
    // stamp after its id) by the same delta may carry an empty value: it cannot show.
    struct Delta {
        std::vector<TreeAddNode> adds;
        std::vector<TreeMoveNode> moves;
        std::vector<TreeUpdateNode> updates;
        std::vector<Hlc> deletes;

        bool empty() const { return adds.empty() && moves.empty() && updates.empty() && deletes.empty(); }
        friend bool operator==(const Delta&, const Delta&) = default;
    };

    // A piece of sync(), emptying() or a large join holds at most so much; a single op may exceed the bytes.
    static constexpr size_t piece_ops_max = 2048;
    static constexpr size_t piece_text_bytes_max = 1 << 20;

    Tree();
    // From full_delta(): the state with no views. O(n log n).
    static Tree restore(const Delta& whole_state);

    // Refuses: an id or op id known with other content; positions and values over the limits; more nodes (mentioned
    // ones included), moves or waiting ops than the limits. What would change nothing is never refused.
    std::optional<Rejection> check(const TreeOp& op, const Limits& limits) const;
    // REQUIRES: check() passed. Views: the op if it took effect; a MoveNode with a fresh op id for each other node
    // whose placement changed, and for the moved node if its move was skipped or is older than the one in effect
    // (repairs the author). Nothing for an op that waits for its node. Moves come parents first in the new tree, so
    // that a client that executes them without a cycle check has no cycle at any time that this tree has not.
    Applied<Delta, TreeClientDelta> apply(const TreeOp& op, const ApplyContext& context);
    // Views as for apply(), but only what changes the tree at a client that has followed.
    std::vector<TreeClientDelta> join(const Delta& delta, const JoinContext& context);

    Delta full_delta() const;
    // Order of crdts.md section 4.8, "Sync". A node all of whose moves were skipped is sent with the op id of the last
    // one, since a client that returns may still have executed it.
    std::vector<TreeClientDelta> sync(const SyncContext& context) const;
    // DeleteNode of every node that is not deleted, parents first: a client hides what is below a deleted node, so the
    // view is empty as soon as the roots are gone, whatever piece follows later. Invisible nodes are included: their
    // parents could arrive at the client in the next generation of the key.
    std::vector<TreeClientDelta> emptying() const;
    void write_value(JsonWriter& writer, uint64_t now_ms) const;
    // No op has ever been kept.
    bool empty() const;
    // Returns spare memory. The state, and so its snapshot, does not change.
    CompactionResult compact(const CompactionContext& context);
    size_t memory_bytes() const;

    friend bool operator==(const Tree& left, const Tree& right);

private:
    // Node and move handles index arrays. Node 0 is the top: the parent of roots and of nodes not added yet.
    static constexpr uint32_t top = 0;
    static constexpr uint32_t none = 0xFFFFFFFF;
    static constexpr uint32_t node_handle_max = (1U << 30) - 1;
    // Placements: a move handle, or one of these.
    static constexpr uint32_t by_creation = 0xFFFFFFFF;
    static constexpr uint32_t by_replaced_creation = 0xFFFFFFFE;
    static constexpr uint32_t not_placed = 0xFFFFFFFD;
    static constexpr uint32_t replaced_move_bit = 0x80000000;

    struct Node {
        Hlc id;
        Hlc updated_at;                 // of the update in `value`; counts if has_update
        PooledText position;            // at creation
        std::string value;              // of the greatest update, else of the creation; empty if deleted
        uint32_t parent = top;          // at creation
        uint32_t first_mention = none;  // a move at or before the first that names this node
        bool added : 1;
        bool deleted : 1;
        bool has_update : 1;
        bool has_moves : 1;           // some move moves it
        bool has_creation_child : 1;  // some creation edge leads to it
        Node() : added(false), deleted(false), has_update(false), has_moves(false), has_creation_child(false) {}
    };
    // What undo and redo touch, apart from the rest of a move.
    struct Move {
        uint32_t node : 30;
        uint32_t effective : 1;  // not skipped
        uint32_t fresh : 1;      // not executed yet
        uint32_t parent;
        uint32_t previous;  // the node's placement and parent before this move
        uint32_t previous_parent;
    };
    struct MoveName {
        Hlc op_id;
        PooledText position;
    };
    struct Placement {
        uint32_t parent = top;
        PooledText position;
    };

    struct Integration;  // one join in progress, and what it changed; see tree_internal.h
    class Projection;    // makes views from an Integration; see tree_projection.cpp
    class Outline;       // the children of every node; see tree_view.cpp

    // Lookups: none when unknown.
    uint32_t find_node(const Hlc& id) const;
    uint32_t find_move(const Hlc& op_id) const;
    Hlc resolve(const Hlc& id, bool rounded) const;
    TreeOp resolve(const TreeOp& op) const;
    std::optional<Hlc> id_of(uint32_t node) const;
    std::string_view text(const PooledText& pooled) const { return texts_.get(pooled); }
    Placement placement(uint32_t node) const;
    std::string_view shown_value(uint32_t node) const;
    int compare_add(uint32_t node,
                    const TreeAddNode& op) const;  // stored against op; values only where they still count
    int compare_move(uint32_t move, const TreeMoveNode& op) const;

    std::optional<Rejection> check_add(const TreeAddNode& op, const Limits& limits) const;
    std::optional<Rejection> check_move(const TreeMoveNode& op, const Limits& limits) const;
    std::optional<Rejection> check_room(size_t new_nodes, size_t waiting, const Limits& limits) const;
    size_t waiting_ops() const { return waiting_moves_ + waiting_values_; }

    // Changes: see tree_integrate.cpp.
    uint32_t intern(const Hlc& id);
    void integrate(const Delta& delta, Integration& work);
    void integrate_delete(const Hlc& id, Integration& work);
    void integrate_update(const TreeUpdateNode& op, Integration& work);
    void integrate_add(const TreeAddNode& op, Integration& work);
    void integrate_move(const TreeMoveNode& op, Integration& work);
    void replace_creation(const TreeAddNode& op, Integration& work);
    void need_redo_from(const Hlc& op_id, Integration& work) const;
    void need_redo_for_add(uint32_t node, Integration& work) const;
    void set_value(uint32_t node, std::string_view value);
    void set_creation_value(uint32_t node, const std::string& value);
    void set_tied_value(uint32_t node, std::string value);
    void forget_tied_value(uint32_t node);
    void count_waiting_value(uint32_t node);
    void count_waiting_move(uint32_t node, int by);
    void mention(uint32_t node, uint32_t move);

    // Undo and redo: see tree_moves.cpp.
    void set_parent(uint32_t node, uint32_t parent) {
        --child_counts_[parents_[node]];
        parents_[node] = parent;
        ++child_counts_[parent];
    }
    bool is_under(uint32_t node, uint32_t ancestor) const;
    void undo_from(const Hlc& op_id);
    void redo_from(Integration& work);
    void redo_checked(uint32_t handle, bool last, Integration& work);
    void place_by_move(uint32_t handle);
    void set_old_placement(uint32_t node, std::optional<uint32_t> old_placement, Integration& work);
    void note_edge(uint32_t node, Integration& work);
    void mark_path(uint32_t node, Integration& work);

    std::vector<Node> nodes_;
    std::vector<uint32_t> parents_;       // current
    std::vector<uint32_t> placements_;    // current: the last effective move, or by_creation
    std::vector<uint32_t> child_counts_;  // current, by parents_
    std::vector<uint8_t> marks_;          // all 0 between integrations
    std::vector<Move> moves_;
    std::vector<MoveName> move_names_;
    HandleOrder nodes_by_id_;
    HandleOrder moves_by_op_id_;
    TextPool texts_;
    // Creation values of nodes that also have an update stamped with exactly their id: both still count.
    std::map<uint32_t, std::string> tied_creation_values_;
    std::map<uint32_t, uint32_t> waiting_moves_of_;  // node not added -> moves that wait for it
    size_t waiting_moves_ = 0;
    size_t waiting_values_ = 0;  // nodes not added that have an update or a delete
    size_t kept_nodes_ = 0;      // nodes added, updated or deleted; the others are only mentioned
    size_t value_bytes_ = 0;
};

}  // namespace meridian::crdt
