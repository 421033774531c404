#include "replication/hash_tree.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "node/key_digest.h"

namespace meridian::replication {

namespace {

constexpr unsigned digit_bits = 4;
constexpr std::string_view digits = "0123456789abcdef";

}  // namespace

std::optional<PathRange> range_of_path(std::string_view prefix) {
    if (prefix.size() > path_depth_max) return std::nullopt;
    uint64_t first = 0, last = 0;
    for (size_t depth = 0; depth < path_depth_max; ++depth) {
        uint64_t low = 0, high = 15;
        if (depth < prefix.size()) {
            const size_t digit = digits.find(prefix[depth]);
            if (digit == std::string_view::npos) return std::nullopt;
            low = high = digit;
        }
        first = first << digit_bits | low;
        last = last << digit_bits | high;
    }
    return PathRange{first, last};
}

void HashTree::finish() {
    entries_.shrink_to_fit();
    // By digest too, so that equal contents make equal trees.
    std::sort(entries_.begin(), entries_.end(),
              [](const Entry& a, const Entry& b) { return a.path != b.path ? a.path < b.path : a.digest < b.digest; });
    uint64_t sum = 0;
    for (Entry& entry : entries_) entry.digest = sum += entry.digest;
}

size_t HashTree::lower_bound(uint64_t path) const {
    const auto found = std::partition_point(entries_.begin(), entries_.end(),
                                            [path](const Entry& entry) { return entry.path < path; });
    return static_cast<size_t>(found - entries_.begin());
}

HashTree::Summary HashTree::summary(std::string_view path) const {
    const std::optional<PathRange> range = range_of_path(path);
    if (!range) return {};
    const size_t begin = lower_bound(range->first);
    const size_t end = range->last == UINT64_MAX ? entries_.size() : lower_bound(range->last + 1);
    return {end - begin, sum_before(end) - sum_before(begin)};
}

std::vector<TreeNode> HashTree::children(std::string_view path) const {
    std::vector<TreeNode> nodes;
    if (path.size() >= path_depth_max) return nodes;
    std::string child = std::string(path) + digits.front();
    for (const char digit : digits) {
        child.back() = digit;
        const Summary of_child = summary(child);
        if (of_child.keys > 0) nodes.push_back({child, of_child.keys, of_child.digest});
    }
    return nodes;
}

bool HashTree::holds(uint64_t path, uint64_t digest) const {
    for (size_t i = lower_bound(path); i < entries_.size() && entries_[i].path == path; ++i) {
        if (entries_[i].digest - sum_before(i) == digest) return true;
    }
    return false;
}

PathSet::PathSet(const std::vector<std::string>& prefixes) {
    std::vector<PathRange> all;
    for (const std::string& prefix : prefixes) {
        if (const std::optional<PathRange> range = range_of_path(prefix)) all.push_back(*range);
    }
    // Of two ranges one is inside the other, or they are disjoint.
    std::sort(all.begin(), all.end(), [](const PathRange& a, const PathRange& b) {
        return a.first != b.first ? a.first < b.first : a.last > b.last;
    });
    for (const PathRange& range : all) {
        if (ranges_.empty() || range.first > ranges_.back().last) ranges_.push_back(range);
    }
}

bool PathSet::contains(uint64_t path) const {
    const auto after = std::partition_point(ranges_.begin(), ranges_.end(),
                                            [path](const PathRange& range) { return range.first <= path; });
    return after != ranges_.begin() && path <= std::prev(after)->last;
}

TreeDifference compare_children(const HashTree& own, const std::vector<std::string>& asked,
                                const std::vector<TreeNode>& children) {
    const std::set<std::string_view> parents(asked.begin(), asked.end());
    std::set<std::string_view> seen;
    TreeDifference difference;
    for (const TreeNode& child : children) {
        if (child.keys == 0 || child.path.empty() || !range_of_path(child.path)) continue;
        const std::string_view parent = std::string_view(child.path).substr(0, child.path.size() - 1);
        if (parents.count(parent) == 0 || !seen.insert(child.path).second) continue;
        if (own.summary(child.path) == HashTree::Summary{child.keys, child.digest}) continue;
        const bool few = child.keys <= keys_asked_max || child.path.size() == path_depth_max;
        (few ? difference.with_keys : difference.descend).push_back(child.path);
    }
    return difference;
}

std::vector<node::KeyName> differing_keys(const HashTree& own, const node::DigestKey& key,
                                          const std::vector<node::KeyDigest>& of_peer) {
    std::vector<node::KeyName> differing;
    for (const node::KeyDigest& theirs : of_peer) {
        if (!own.holds(node::key_path(key, theirs.name), theirs.digest)) differing.push_back(theirs.name);
    }
    return differing;
}

}  // namespace meridian::replication
