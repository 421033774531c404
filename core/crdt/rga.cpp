#include "crdt/rga.h"

#include <algorithm>
#include <cassert>
#include <string>

#include "crdt/rejection.h"

namespace meridian::crdt {

namespace {

// Orders two different inserts of one id: absent origin first, then by origin, then by content.
bool lesser_origin(const std::optional<Hlc>& left, const std::optional<Hlc>& right) {
    if (!left || !right) return !left && right.has_value();
    return *left < *right;
}

bool stands_never_resolved(const Hlc& origin) {
    return origin.wall_ms == 0 && origin.node_id == 0;
}

}  // namespace

RgaOp Rga::resolve(const Op& op) const {
    const auto stored = [this](const Hlc& id) {
        if (const auto placed = sequence_.find_rounded(id)) return *placed;
        return orphans_.find_rounded(id).value_or(id);
    };
    Op resolved = op;
    if (auto* insert = std::get_if<RgaInsert>(&resolved)) {
        if (insert->origin_rounded && insert->origin_id) insert->origin_id = stored(*insert->origin_id);
        insert->origin_rounded = false;
    } else if (auto* deletion = std::get_if<RgaDelete>(&resolved)) {
        if (deletion->id_rounded) deletion->id = stored(deletion->id);
        deletion->id_rounded = false;
    }
    return resolved;
}

std::optional<Rejection> Rga::check(const Op& op, const Limits& limits) const {
    const Op resolved = resolve(op);
    if (const auto* insert = std::get_if<RgaInsert>(&resolved)) return check_insert(*insert, limits);
    return check_delete(std::get<RgaDelete>(resolved), limits);
}

std::optional<Rejection> Rga::check_insert(const RgaInsert& insert, const Limits& limits) const {
    if (!is_unicode_scalar(insert.content)) {
        return Rejection{"invalid operation: RGA content is " + std::to_string(static_cast<uint32_t>(insert.content)) +
                         ", expected a Unicode scalar value"};
    }
    if (insert.origin_id == insert.id) {
        return Rejection{"invalid operation: RGA insert " + to_text(insert.id) + " names itself as its origin"};
    }
    std::optional<Hlc> known_origin;
    char32_t known_content = 0;
    bool deleted = false;
    if (const auto at = sequence_.find(insert.id)) {
        known_origin = sequence_.origin_at(*at);
        known_content = sequence_.content_at(*at);
        deleted = sequence_.deleted_at(*at);
    } else if (const RgaOrphans::Orphan* orphan = orphans_.find(insert.id)) {
        known_origin = orphan->origin_id;
        known_content = orphan->content;
        deleted = orphan->deleted;
    } else {
        const size_t elements = sequence_.elements() + orphans_.inserts();
        if (elements >= limits.rga_elements_max) {
            return over_limit("RGA characters, tombstones included", elements + 1, limits.rga_elements_max);
        }
        const bool waits = insert.origin_id && !sequence_.find(*insert.origin_id);
        if (waits && pending_ops() >= limits.pending_ops_max) {
            return over_limit("RGA ops that wait for an unknown id", pending_ops() + 1, limits.pending_ops_max);
        }
        return std::nullopt;
    }
    if (known_origin != insert.origin_id || (!deleted && known_content != insert.content)) {
        return Rejection{"invalid operation: RGA id " + to_text(insert.id) +
                         " was already inserted with another origin or content"};
    }
    return std::nullopt;
}

std::optional<Rejection> Rga::check_delete(const RgaDelete& deletion, const Limits& limits) const {
    if (sequence_.find(deletion.id) || orphans_.find(deletion.id) != nullptr || orphans_.has_delete(deletion.id)) {
        return std::nullopt;
    }
    if (pending_ops() < limits.pending_ops_max) return std::nullopt;
    return over_limit("RGA ops that wait for an unknown id", pending_ops() + 1, limits.pending_ops_max);
}

Applied<Rga::Delta, Rga::ClientDelta> Rga::apply(const Op& op, const ApplyContext& context) {
    const Op resolved = resolve(op);
    Applied<Delta, ClientDelta> applied;
    ViewWriter views;
    if (const auto* insert = std::get_if<RgaInsert>(&resolved)) {
        const RgaElement element{insert->id, insert->origin_id, insert->content, false};
        std::vector<RgaElement> conflicts;
        applied.changed = add(element, Source::client, context.entry.hlc.wall_ms, views, conflicts);
        assert(conflicts.empty());
        if (applied.changed) applied.delta.add(element);
    } else {
        const Hlc& id = std::get<RgaDelete>(resolved).id;
        applied.changed = remove(id, views);
        if (applied.changed) applied.delta.add_delete(id);
    }
    applied.views = views.take();
    return applied;
}

std::vector<Rga::ClientDelta> Rga::join(const Delta& delta, const JoinContext& context) {
    ViewWriter views;
    std::vector<RgaElement> conflicts;
    delta.for_each([&](const RgaElement& element) {
        if (element.origin_id == element.id) return;  // no node makes one; nothing could ever place it
        add(element, Source::peer, context.now_ms, views, conflicts);
    });
    if (!conflicts.empty()) rebuild(conflicts);
    for (const Hlc& id : delta.deletes()) remove(id, views);
    return views.take();
}

bool Rga::add(const RgaElement& element, Source source, uint64_t now_ms, ViewWriter& views,
              std::vector<RgaElement>& conflicts) {
    const auto at = sequence_.find(element.id);
    const RgaOrphans::Orphan* orphan = at ? nullptr : orphans_.find(element.id);
    if (!at && orphan == nullptr) {
        RgaElement fresh = element;
        if (orphans_.take_delete(element.id)) fresh.deleted = true;
        if (fresh.deleted) fresh.content = 0;
        if (!fresh.origin_id || sequence_.find(*fresh.origin_id)) {
            place(fresh, false, views);
            place_waiting(fresh.id, views);
            return true;
        }
        const bool tell = source == Source::client || stands_never_resolved(*fresh.origin_id);
        orphans_.add(fresh, tell);
        if (tell) {
            views.insert(fresh.id, fresh.origin_id, fresh.content, fresh.deleted);
        } else {
            hold(fresh.id, now_ms);
        }
        return true;
    }
    const std::optional<Hlc> origin = at ? sequence_.origin_at(*at) : std::optional<Hlc>(orphan->origin_id);
    const bool deleted = at ? sequence_.deleted_at(*at) : orphan->deleted;
    bool changed = false;
    if (lesser_origin(element.origin_id, origin)) {
        conflicts.push_back(element);
        changed = true;
    } else if (origin == element.origin_id && !deleted && !element.deleted) {
        const char32_t content = at ? sequence_.content_at(*at) : orphan->content;
        if (element.content < content) {
            if (at) {
                sequence_.replace_content(*at, element.content);
            } else {
                orphans_.replace_content(element.id, element.content);
            }
            changed = true;
        }
    }
    if (element.deleted && !deleted) changed |= remove(element.id, views);
    return changed;
}

void Rga::hold(const Hlc& id, uint64_t now_ms) {
    // Most of those held find their place soon; their entries go when they are the greater part.
    if (held_.size() >= 2 * orphans_.inserts() + 64) {
        const auto settled = [this](const std::pair<uint64_t, Hlc>& entry) {
            const RgaOrphans::Orphan* orphan = orphans_.find(entry.second);
            return orphan == nullptr || orphan->told;
        };
        held_.erase(std::remove_if(held_.begin(), held_.end(), settled), held_.end());
    }
    held_.emplace_back(now_ms > UINT64_MAX - hold_ms ? UINT64_MAX : now_ms + hold_ms, id);
}

bool Rga::remove(const Hlc& id, ViewWriter& views) {
    if (const auto at = sequence_.find(id)) {
        if (sequence_.deleted_at(*at)) return false;
        sequence_.erase(*at);
        views.erase(id);
        return true;
    }
    if (const RgaOrphans::Orphan* orphan = orphans_.find(id)) {
        if (orphan->deleted) return false;
        const bool told = orphan->told;
        orphans_.erase(id);
        if (told) views.erase(id);
        return true;
    }
    if (orphans_.has_delete(id)) return false;
    orphans_.add_delete(id);  // clients ignore a delete of what they do not know
    return true;
}

void Rga::place(const RgaElement& element, bool told, ViewWriter& views) {
    const RgaSequence::Placed placed = sequence_.insert(element);
    if (told) return;
    views.insert(element.id, origin_to_send(element, placed), element.content, element.deleted);
}

// Parents before children and children ascending: at a client, each lands directly behind its origin.
void Rga::place_waiting(const Hlc& origin, ViewWriter& views) {
    if (!orphans_.awaited(origin)) return;
    views.cut();  // they were ops of their own
    std::deque<Hlc> origins{origin};
    for (; !origins.empty(); origins.pop_front()) {
        for (const Hlc& id : orphans_.waiting_for(origins.front())) {
            const auto taken = orphans_.take(id);
            place(taken.first, taken.second, views);
            origins.push_back(id);
        }
    }
    if (orphans_.inserts() == 0) held_.clear();
}

std::vector<RgaElement> Rga::all_elements() const {
    std::vector<RgaElement> elements;
    elements.reserve(sequence_.elements() + orphans_.inserts());
    full_delta().for_each([&](const RgaElement& element) { elements.push_back(element); });
    return elements;
}

void Rga::rebuild(const std::vector<RgaElement>& conflicts) {
    std::vector<RgaElement> elements = all_elements();
    std::map<Hlc, RgaElement> winners;
    for (const RgaElement& conflict : conflicts) {
        RgaElement& winner = winners.emplace(conflict.id, conflict).first->second;
        if (lesser_origin(conflict.origin_id, winner.origin_id) ||
            (conflict.origin_id == winner.origin_id && conflict.content < winner.content)) {
            winner = conflict;
        }
    }
    std::map<Hlc, bool> told;
    for (const auto& entry : orphans_.all()) told.emplace(entry.first, entry.second.told);
    std::vector<Hlc> deletes(orphans_.all_deletes().begin(), orphans_.all_deletes().end());
    sequence_ = RgaSequence();
    orphans_ = RgaOrphans();
    for (const Hlc& id : deletes) orphans_.add_delete(id);
    for (RgaElement& element : elements) {
        const auto winner = winners.find(element.id);
        if (winner != winners.end()) {
            element.origin_id = winner->second.origin_id;
            element.content = element.deleted ? 0 : winner->second.content;
        }
        // Everything is an orphan first; the heads then draw all after them that can be placed.
        if (element.origin_id) orphans_.add(element, told.count(element.id) == 0 || told[element.id]);
    }
    ViewWriter untold;  // what moved cannot be told
    for (const RgaElement& element : elements) {
        if (element.origin_id) continue;
        sequence_.insert(element);
        place_waiting(element.id, untold);
    }
}

std::optional<Rga> Rga::restore(RgaSequence sequence, RgaOrphans orphans) {
    for (const auto& entry : orphans.all()) {
        if (sequence.find(entry.first) || sequence.find(entry.second.origin_id)) return std::nullopt;
        if (entry.first == entry.second.origin_id) return std::nullopt;
    }
    for (const Hlc& id : orphans.all_deletes()) {
        if (sequence.find(id) || orphans.find(id) != nullptr) return std::nullopt;
    }
    Rga rga;
    rga.sequence_ = std::move(sequence);
    rga.orphans_ = std::move(orphans);
    return rga;
}

CompactionResult Rga::compact(const CompactionContext&) {
    sequence_.compact();
    return {};
}

size_t Rga::memory_bytes() const {
    return sizeof *this + sequence_.memory_bytes() + orphans_.memory_bytes() +
           sent_origins_.size() * (2 * sizeof(Hlc) + tree_node_overhead_bytes) + held_.size() * sizeof held_[0];
}

}  // namespace meridian::crdt
