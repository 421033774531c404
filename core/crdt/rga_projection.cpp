// What clients are told of an RGA (crdts.md section 4.7, "Emission"), and its value.
#include <algorithm>

#include "base/utf8.h"
#include "crdt/rga.h"

namespace meridian::crdt {

namespace {

// How many characters between an origin and the new character are looked at before the true origin is given up.
constexpr unsigned siblings_looked_at = 64;

// The wire cannot send a tombstone without content, and its content is gone; the Delete that follows hides it. A space
// is one byte and harmless if it were ever seen.
constexpr char32_t tombstone_content = U' ';

}  // namespace

std::vector<RgaOp>& Rga::ViewWriter::room_for(size_t ops) {
    if (cut_ || messages_.back().ops.size() + ops > view_ops_max) messages_.emplace_back();
    cut_ = false;
    return messages_.back().ops;
}

void Rga::ViewWriter::insert(const Hlc& id, const std::optional<Hlc>& origin, char32_t content, bool deleted) {
    std::vector<RgaOp>& ops = room_for(deleted ? 2 : 1);
    ops.emplace_back(RgaInsert{id, origin, deleted ? tombstone_content : content, false});
    if (deleted) ops.emplace_back(RgaDelete{id, false});
}

void Rga::ViewWriter::erase(const Hlc& id) {
    room_for(1).emplace_back(RgaDelete{id, false});
}

const Hlc* Rga::sent_origin(const Hlc& id) const {
    const auto it = sent_origins_.find(id);
    return it == sent_origins_.end() ? nullptr : &it->second;
}

// Whether a client that starts behind the true origin skips exactly what stands between it and the character.
bool Rga::naive_rule_reaches(const RgaElement& element, RgaSequence::Position at) const {
    const uint32_t depth = sequence_.depth_at(at);
    RgaSequence::Position between = sequence_.previous(at);
    for (unsigned i = 0; between.run != no_node; ++i, between = sequence_.previous(between)) {
        if (i == siblings_looked_at) return false;
        const uint32_t between_depth = sequence_.depth_at(between);
        if (between_depth < depth) return true;  // the origin itself
        const Hlc id = sequence_.id_at(between);
        const Hlc* sent = sent_origin(id);
        const bool as_sibling = sent == nullptr ? between_depth == depth : element.origin_id == *sent;
        if (!as_sibling || !(id > element.id)) return false;
    }
    return true;
}

std::optional<Hlc> Rga::origin_to_send(const RgaElement& element, const RgaSequence::Placed& placed) {
    // The rule also skips what stands behind the right place if that was sent with the same origin and has a greater
    // id. By true origins it never does: a sibling behind has a lesser id.
    const RgaSequence::Position behind = sent_origins_.empty() ? RgaSequence::Position{} : sequence_.next(placed.at);
    const auto stops_behind = [&](const std::optional<Hlc>& origin) {
        if (behind.run == no_node) return true;
        const Hlc id = sequence_.id_at(behind);
        const Hlc* sent = sent_origin(id);
        return sent == nullptr || origin != *sent || id < element.id;
    };
    if ((placed.after_origin || naive_rule_reaches(element, placed.at)) && stops_behind(element.origin_id)) {
        return element.origin_id;
    }
    const RgaSequence::Position left = sequence_.previous(placed.at);
    if (left.run == no_node) return element.origin_id;
    const Hlc neighbour = sequence_.id_at(left);
    if (neighbour == element.origin_id || !stops_behind(neighbour)) return element.origin_id;
    if (sent_origins_.size() >= 1024 + sequence_.elements() / 8) sent_origins_.clear();
    sent_origins_.emplace(element.id, neighbour);
    return neighbour;
}

uint64_t Rga::next_deadline_ms() const {
    return held_.empty() ? 0 : std::max<uint64_t>(held_.front().first, 1);
}

std::vector<Rga::ClientDelta> Rga::expire(uint64_t now_ms) {
    ViewWriter views;
    for (; !held_.empty() && held_.front().first <= now_ms; held_.pop_front()) {
        const Hlc& id = held_.front().second;
        const RgaOrphans::Orphan* orphan = orphans_.find(id);
        if (orphan == nullptr || orphan->told) continue;
        views.insert(id, orphan->origin_id, orphan->content, orphan->deleted);
        orphans_.set_told(id);
    }
    return views.take();
}

Rga::Delta Rga::full_delta() const {
    Delta delta;
    sequence_.for_each_stretch([&](const RgaSequence::Stretch& stretch, const std::optional<Hlc>& origin,
                                   std::string_view steps, std::string_view text) {
        delta.begin_run(
            Delta::Run{stretch.first_id, origin.value_or(Hlc{}), stretch.count, origin.has_value(), stretch.deleted},
            steps, text);
    });
    for (const auto& entry : orphans_.all()) {
        const RgaOrphans::Orphan& orphan = entry.second;
        delta.add(RgaElement{entry.first, orphan.origin_id, orphan.content, orphan.deleted});
    }
    for (const Hlc& id : orphans_.all_deletes()) delta.add_delete(id);
    return delta;
}

// Parents before children, siblings ascending: level by level, each level in reverse document order. Every insert lands
// directly behind its origin, so a client that holds nothing rebuilds the exact document. Orphans come behind it, first
// those without a known origin in the order in which they are shown: a client appends them.
void Rga::sync_ascending(ViewWriter& views) const {
    std::vector<size_t> level_ends;  // per depth: first the number of characters, then the end of its part in `order`
    sequence_.for_each([&](const RgaElement&, uint32_t depth) {
        if (level_ends.size() <= depth) level_ends.resize(depth + 1, 0);
        ++level_ends[depth];
    });
    size_t sum = 0;
    for (size_t& end : level_ends) end = sum += end;
    std::vector<RgaElement> order(sequence_.elements());
    std::vector<Hlc> path(level_ends.size());
    sequence_.for_each([&](const RgaElement& element, uint32_t depth) {
        path[depth] = element.id;
        RgaElement& slot = order[--level_ends[depth]];
        slot = element;
        if (depth > 0) slot.origin_id = path[depth - 1];
    });
    for (const RgaElement& element : order) {
        views.insert(element.id, element.origin_id, element.content, element.deleted);
    }
    if (orphans_.inserts() == 0) return;
    const std::vector<RgaOrphans::Shown> shown = orphans_.shown();
    std::map<uint32_t, std::vector<const RgaElement*>> levels;
    for (const RgaOrphans::Shown& orphan : shown) levels[orphan.depth].push_back(&orphan.element);
    for (auto& [depth, elements] : levels) {
        if (depth > 0) std::reverse(elements.begin(), elements.end());
        for (const RgaElement* element : elements) {
            views.insert(element->id, element->origin_id, element->content, element->deleted);
        }
    }
}

void Rga::sync_chain(ViewWriter& views) const {
    std::optional<Hlc> left;
    const auto append = [&](const RgaElement& element) {
        views.insert(element.id, left, element.content, element.deleted);
        left = element.id;
    };
    sequence_.for_each([&](const RgaElement& element, uint32_t) { append(element); });
    for (const RgaOrphans::Shown& orphan : orphans_.shown()) append(orphan.element);
}

std::vector<Rga::ClientDelta> Rga::sync(const SyncContext& context) const {
    ViewWriter views;
    if (context.form == SequenceForm::left_neighbour_chain) {
        sync_chain(views);
    } else {
        sync_ascending(views);
    }
    // A client that has typed the character and not sent it yet learns that it is gone; others ignore this.
    for (const Hlc& id : orphans_.all_deletes()) views.erase(id);
    return views.take();
}

std::vector<Rga::ClientDelta> Rga::emptying() const {
    ViewWriter views;
    sequence_.for_each([&](const RgaElement& element, uint32_t) {
        if (!element.deleted) views.erase(element.id);
    });
    for (const auto& entry : orphans_.all()) {
        if (!entry.second.deleted) views.erase(entry.first);
    }
    return views.take();
}

void Rga::write_value(JsonWriter& out, uint64_t) const {
    out.begin_object();
    out.key("len");
    out.number(static_cast<uint64_t>(visible()));
    out.key("text");
    out.begin_string();
    sequence_.for_each_stretch([&](const RgaSequence::Stretch&, const std::optional<Hlc>&, std::string_view,
                                   std::string_view text) { out.string_part(text); });
    if (orphans_.visible() > 0) {
        std::string text;
        for (const RgaOrphans::Shown& orphan : orphans_.shown()) {
            if (!orphan.element.deleted) append_utf8(text, orphan.element.content);
        }
        out.string_part(text);
    }
    out.end_string();
    out.end_object();
}

}  // namespace meridian::crdt
