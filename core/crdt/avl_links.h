// A height-balanced binary tree (Adelson-Velsky and Landis, 1962) over nodes that live in somebody else's arena and are
// named by 32-bit indexes. Intrusive: the policy says where a node keeps its links, its height and its summary of the
// subtree. In-order position is given by the caller ("after this node"), so a tree may be a sequence or be sorted.
//
// Insertion only: nodes never leave; a tree is emptied or built anew as a whole. Not thread-safe; a value of 4 bytes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace meridian::crdt {

inline constexpr uint32_t no_node = 0xffffffff;

struct AvlLinks {
    uint32_t left = no_node;
    uint32_t right = no_node;
    uint32_t parent = no_node;
};

// Policy: static AvlLinks& links(Arena&, uint32_t); static const AvlLinks& links(const Arena&, uint32_t);
//         static uint8_t& height(Arena&, uint32_t); static uint8_t height(const Arena&, uint32_t);
//         static bool summarize(Arena&, uint32_t): recomputes the summary from the node and its children; true if it
//         changed. static uint32_t summary(const Arena&, uint32_t)
template <class Arena, class Policy>
class AvlTree {
public:
    uint32_t root() const { return root_; }
    void clear() { root_ = no_node; }

    uint32_t first(const Arena& arena) const { return root_ == no_node ? no_node : leftmost(arena, root_); }
    uint32_t last(const Arena& arena) const {
        if (root_ == no_node) return no_node;
        uint32_t node = root_;
        while (links(arena, node).right != no_node) node = links(arena, node).right;
        return node;
    }
    uint32_t next(const Arena& arena, uint32_t node) const {
        if (links(arena, node).right != no_node) return leftmost(arena, links(arena, node).right);
        uint32_t parent = links(arena, node).parent;
        while (parent != no_node && links(arena, parent).right == node) {
            node = parent;
            parent = links(arena, node).parent;
        }
        return parent;
    }
    uint32_t previous(const Arena& arena, uint32_t node) const {
        if (links(arena, node).left != no_node) {
            node = links(arena, node).left;
            while (links(arena, node).right != no_node) node = links(arena, node).right;
            return node;
        }
        uint32_t parent = links(arena, node).parent;
        while (parent != no_node && links(arena, parent).left == node) {
            node = parent;
            parent = links(arena, node).parent;
        }
        return parent;
    }

    // `where` = no_node: becomes the first.
    void insert_after(Arena& arena, uint32_t where, uint32_t node) {
        if (where == no_node) {
            if (root_ == no_node) {
                attach(arena, no_node, false, node);
            } else {
                attach(arena, leftmost(arena, root_), true, node);
            }
        } else if (links(arena, where).right == no_node) {
            attach(arena, where, false, node);
        } else {
            attach(arena, leftmost(arena, links(arena, where).right), true, node);
        }
    }

    // The node's own key became different without changing places: corrects the summaries above it.
    void refresh(Arena& arena, uint32_t node) {
        for (; node != no_node; node = links(arena, node).parent) Policy::summarize(arena, node);
    }

    // Replaces the tree by a balanced one over `order[0..count)`. Recursion no deeper than log2(count) + 1.
    void build(Arena& arena, const uint32_t* order, size_t count) { root_ = subtree(arena, order, count, no_node); }

private:
    static const AvlLinks& links(const Arena& arena, uint32_t node) { return Policy::links(arena, node); }
    static AvlLinks& links(Arena& arena, uint32_t node) { return Policy::links(arena, node); }
    static uint8_t height_of(const Arena& arena, uint32_t node) {
        return node == no_node ? uint8_t{0} : Policy::height(arena, node);
    }
    static uint32_t leftmost(const Arena& arena, uint32_t node) {
        while (links(arena, node).left != no_node) node = links(arena, node).left;
        return node;
    }

    static void measure(Arena& arena, uint32_t node) {
        const AvlLinks& at = links(arena, node);
        Policy::height(arena, node) =
            static_cast<uint8_t>(1 + std::max(height_of(arena, at.left), height_of(arena, at.right)));
        Policy::summarize(arena, node);
    }

    uint32_t subtree(Arena& arena, const uint32_t* order, size_t count, uint32_t parent) {
        if (count == 0) return no_node;
        const size_t middle = count / 2;
        const uint32_t node = order[middle];
        const uint32_t left = subtree(arena, order, middle, node);
        const uint32_t right = subtree(arena, order + middle + 1, count - middle - 1, node);
        links(arena, node) = AvlLinks{left, right, parent};
        measure(arena, node);
        return node;
    }

    void attach(Arena& arena, uint32_t parent, bool as_left, uint32_t node) {
        links(arena, node) = AvlLinks{no_node, no_node, parent};
        measure(arena, node);
        if (parent == no_node) {
            root_ = node;
            return;
        }
        (as_left ? links(arena, parent).left : links(arena, parent).right) = node;
        settle(arena, parent);
    }

    // Restores heights, balance and summaries from `node` up to where nothing changes any more.
    void settle(Arena& arena, uint32_t node) {
        while (node != no_node) {
            const uint8_t old_height = Policy::height(arena, node);
            const uint32_t old_summary = Policy::summary(arena, node);
            measure(arena, node);
            const int balance =
                int{height_of(arena, links(arena, node).left)} - int{height_of(arena, links(arena, node).right)};
            if (balance > 1) {
                const uint32_t left = links(arena, node).left;
                if (height_of(arena, links(arena, left).left) < height_of(arena, links(arena, left).right)) {
                    rotate(arena, left, true);
                }
                node = rotate(arena, node, false);
            } else if (balance < -1) {
                const uint32_t right = links(arena, node).right;
                if (height_of(arena, links(arena, right).right) < height_of(arena, links(arena, right).left)) {
                    rotate(arena, right, false);
                }
                node = rotate(arena, node, true);
            }
            if (Policy::height(arena, node) == old_height && Policy::summary(arena, node) == old_summary) return;
            node = links(arena, node).parent;
        }
    }

    // Gives the node that takes the place of `node`.
    uint32_t rotate(Arena& arena, uint32_t node, bool to_left) {
        const uint32_t up = to_left ? links(arena, node).right : links(arena, node).left;
        const uint32_t inner = to_left ? links(arena, up).left : links(arena, up).right;
        const uint32_t parent = links(arena, node).parent;
        (to_left ? links(arena, node).right : links(arena, node).left) = inner;
        if (inner != no_node) links(arena, inner).parent = node;
        (to_left ? links(arena, up).left : links(arena, up).right) = node;
        links(arena, node).parent = up;
        links(arena, up).parent = parent;
        if (parent == no_node) {
            root_ = up;
        } else if (links(arena, parent).left == node) {
            links(arena, parent).left = up;
        } else {
            links(arena, parent).right = up;
        }
        measure(arena, node);
        measure(arena, up);
        return up;
    }

    uint32_t root_ = no_node;
};

}  // namespace meridian::crdt
