// The hash tree by which two nodes find the keys that they hold differently (Merkle, "A Digital Signature Based on a
// Conventional Encryption Function", 1987; docs/CLUSTER-PROTOCOL.md). A key has a path of 16 hexadecimal digits
// (node/key_digest.h); a node of the tree is a prefix of paths, and tells how many keys are under it and the sum modulo
// 2^64 of their digests. Equal numbers and sums: equal keys. The requester asks for the children of nodes that differ,
// and where the other side has at most keys_asked_max keys under a differing node, for those keys. So the tree is as
// deep as the number of keys makes it, and what is sent grows with what differs.
//
// The tree is a sorted array: 16 bytes a key, all nodes in O(log keys) each. It holds no names: to answer which keys
// are under a path, scan the keys again and take those in a PathSet.
//
// Not thread-safe; once finished, immutable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "replication/message.h"

namespace meridian::replication {

inline constexpr size_t path_depth_max = 16;
inline constexpr uint64_t keys_asked_max = 16;

// The paths that begin with `prefix`; nothing if it is longer than path_depth_max or not lower-case hexadecimal.
struct PathRange {
    uint64_t first = 0, last = 0;  // both included
};
std::optional<PathRange> range_of_path(std::string_view prefix);

class HashTree {
public:
    // A scan gives pages in any order. REQUIRES: not finished; each key once.
    void add(uint64_t path, uint64_t digest) { entries_.push_back({path, digest}); }
    // Sorts, once. What follows REQUIRES it.
    void finish();

    size_t keys() const { return entries_.size(); }

    struct Summary {
        uint64_t keys = 0;
        uint64_t digest = 0;
        friend bool operator==(const Summary&, const Summary&) = default;
    };
    // Of what is under `path`, which may be empty: the whole tree. A path that is none has nothing under it.
    Summary summary(std::string_view path) const;
    uint64_t keys_under(std::string_view path) const { return summary(path).keys; }
    // Those with keys under them, ascending: at most 16. None of a path of full length.
    std::vector<TreeNode> children(std::string_view path) const;
    // Whether a key with this path and this digest is in the tree.
    bool holds(uint64_t path, uint64_t digest) const;

private:
    struct Entry {
        uint64_t path;
        uint64_t digest;  // finished: the sum of the digests up to this one
    };
    size_t lower_bound(uint64_t path) const;
    uint64_t sum_before(size_t index) const { return index == 0 ? 0 : entries_[index - 1].digest; }

    std::vector<Entry> entries_;
};

// A set of paths of nodes, to pick the keys under them from a scan. Paths that are none are left out.
class PathSet {
public:
    explicit PathSet(const std::vector<std::string>& prefixes);
    bool contains(uint64_t path) const;

private:
    std::vector<PathRange> ranges_;  // ascending, disjoint
};

// What the requester does about the children that it was told. Keys that only the requester holds are not its concern.
struct TreeDifference {
    std::vector<std::string> descend;    // their children are to be asked for
    std::vector<std::string> with_keys;  // the keys under them are to be asked for
};
// `asked`: the paths of the request. Children of other paths, and those that are told twice, are ignored, so that a
// peer can make the requester ask no more than its own request allowed, and no deeper than path_depth_max.
TreeDifference compare_children(const HashTree& own, const std::vector<std::string>& asked,
                                const std::vector<TreeNode>& children);

// Those of a peer's keys that this node lacks or holds otherwise.
std::vector<node::KeyName> differing_keys(const HashTree& own, const node::DigestKey& key,
                                          const std::vector<node::KeyDigest>& of_peer);

}  // namespace meridian::replication
