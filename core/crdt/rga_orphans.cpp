#include "crdt/rga_orphans.h"

#include <algorithm>
#include <cassert>

namespace meridian::crdt {

const RgaOrphans::Orphan* RgaOrphans::find(const Hlc& id) const {
    const auto it = orphans_.find(id);
    return it == orphans_.end() ? nullptr : &it->second;
}

std::optional<Hlc> RgaOrphans::find_rounded(const Hlc& id) const {
    if (find(id) != nullptr) return id;
    const auto rounded = static_cast<double>(id.node_id);
    const uint64_t lowest = id.node_id < 1024 ? 0 : id.node_id - 1024;
    const auto it = orphans_.lower_bound(Hlc{id.wall_ms, id.logical, lowest});
    for (auto at = it; at != orphans_.end(); ++at) {
        const Hlc& candidate = at->first;
        if (candidate.wall_ms != id.wall_ms || candidate.logical != id.logical) break;
        if (static_cast<double>(candidate.node_id) > rounded) break;
        if (static_cast<double>(candidate.node_id) == rounded) return candidate;
    }
    return std::nullopt;
}

void RgaOrphans::add(const RgaElement& element, bool told) {
    assert(element.origin_id && find(element.id) == nullptr);
    orphans_.emplace(element.id, Orphan{*element.origin_id, element.content, element.deleted, told});
    by_origin_.emplace(*element.origin_id, element.id);
    if (!element.deleted) ++visible_;
}

void RgaOrphans::erase(const Hlc& id) {
    Orphan& orphan = orphans_.find(id)->second;
    assert(!orphan.deleted);
    orphan.deleted = true;
    orphan.content = 0;
    --visible_;
}

void RgaOrphans::replace_content(const Hlc& id, char32_t content) {
    orphans_.find(id)->second.content = content;
}

void RgaOrphans::set_told(const Hlc& id) {
    orphans_.find(id)->second.told = true;
}

bool RgaOrphans::awaited(const Hlc& origin) const {
    const auto it = by_origin_.lower_bound({origin, Hlc{}});
    return it != by_origin_.end() && it->first == origin;
}

std::vector<Hlc> RgaOrphans::waiting_for(const Hlc& origin) const {
    std::vector<Hlc> ids;
    for (auto it = by_origin_.lower_bound({origin, Hlc{}}); it != by_origin_.end() && it->first == origin; ++it) {
        ids.push_back(it->second);
    }
    return ids;
}

std::pair<RgaElement, bool> RgaOrphans::take(const Hlc& id) {
    const auto it = orphans_.find(id);
    const Orphan orphan = it->second;
    orphans_.erase(it);
    by_origin_.erase({orphan.origin_id, id});
    if (!orphan.deleted) --visible_;
    return {RgaElement{id, orphan.origin_id, orphan.content, orphan.deleted}, orphan.told};
}

std::vector<RgaOrphans::Shown> RgaOrphans::shown() const {
    std::vector<Hlc> roots;
    for (const auto& [id, orphan] : orphans_) {
        if (find(orphan.origin_id) == nullptr) roots.push_back(id);
    }
    // Every orphan that is not below such a root hangs on a ring of origins.
    std::set<Hlc> seen;
    const auto walk_down = [&](const Hlc& root) {
        std::vector<Hlc> open{root};
        while (!open.empty()) {
            const Hlc id = open.back();
            open.pop_back();
            if (!seen.insert(id).second) continue;
            for (const Hlc& child : waiting_for(id)) open.push_back(child);
        }
    };
    for (const Hlc& root : roots) walk_down(root);
    if (seen.size() != orphans_.size()) {
        for (const auto& entry : orphans_) {
            if (seen.count(entry.first) != 0) continue;
            // Going up from here leads into the ring; once around it finds its least id.
            std::set<Hlc> on_the_way;
            Hlc at = entry.first;
            while (on_the_way.insert(at).second) at = find(at)->origin_id;
            Hlc least = at;
            for (Hlc ring = find(at)->origin_id; ring != at; ring = find(ring)->origin_id)
                least = std::min(least, ring);
            roots.push_back(least);
            walk_down(least);
        }
        std::sort(roots.begin(), roots.end());
    }
    const std::set<Hlc> root_ids(roots.begin(), roots.end());
    std::vector<Shown> result;
    result.reserve(orphans_.size());
    std::vector<std::pair<Hlc, uint32_t>> open;
    for (auto root = roots.rbegin(); root != roots.rend(); ++root) open.emplace_back(*root, 0);
    while (!open.empty()) {
        const auto [id, depth] = open.back();
        open.pop_back();
        const Orphan& orphan = *find(id);
        result.push_back(Shown{RgaElement{id, orphan.origin_id, orphan.content, orphan.deleted}, depth});
        // Children by descending id: pushed ascending, the greatest comes out first.
        for (const Hlc& child : waiting_for(id)) {
            if (root_ids.count(child) == 0) open.emplace_back(child, depth + 1);
        }
    }
    return result;
}

size_t RgaOrphans::memory_bytes() const {
    return orphans_.size() * (sizeof(std::pair<Hlc, Orphan>) + tree_node_overhead_bytes) +
           by_origin_.size() * (2 * sizeof(Hlc) + tree_node_overhead_bytes) +
           deletes_.size() * (sizeof(Hlc) + tree_node_overhead_bytes);
}

bool operator==(const RgaOrphans& left, const RgaOrphans& right) {
    if (left.deletes_ != right.deletes_ || left.orphans_.size() != right.orphans_.size()) return false;
    return std::equal(left.orphans_.begin(), left.orphans_.end(), right.orphans_.begin(),
                      [](const auto& a, const auto& b) {
                          return a.first == b.first && a.second.origin_id == b.second.origin_id &&
                                 a.second.content == b.second.content && a.second.deleted == b.second.deleted;
                      });
}

}  // namespace meridian::crdt
