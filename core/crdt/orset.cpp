#include "crdt/orset.h"

#include <algorithm>

#include "base/json_writer.h"
#include "crdt/rejection.h"

namespace meridian::crdt {

namespace {

constexpr unsigned element_depth_max = 1;
// Of an element that keeps many tags, a reader that counts none needs only a few.
constexpr size_t repeated_tags_max = 100;
constexpr size_t tag_bytes_in_frame = sizeof(Tag) + 2;
// What a tag and an element cost in memory beside the bytes of its text; estimates.
constexpr size_t tag_memory_bytes = 48;
constexpr size_t element_memory_bytes = 192;

// Fills client deltas in ascending order of elements, starting a new one when the last is full.
class Pieces {
public:
    using List = OrSetClientDelta::Elements OrSetClientDelta::*;

    void add(List list, const std::string& element, const Tag& tag) {
        if (pieces_.empty() || bytes_ >= client_delta_bytes_target) start();
        auto& elements = pieces_.back().*list;
        if (elements.empty() || elements.back().first != element) {
            elements.emplace_back(element, std::vector<Tag>{});
            bytes_ += element.size() + 8;
        }
        elements.back().second.push_back(tag);
        bytes_ += tag_bytes_in_frame;
    }
    void start() {
        pieces_.emplace_back();
        bytes_ = 0;
    }
    std::vector<OrSetClientDelta> take() { return std::move(pieces_); }

private:
    std::vector<OrSetClientDelta> pieces_;
    size_t bytes_ = 0;
};

}  // namespace

std::optional<Rejection> OrSet::check(const Op& op, const Limits& limits) const {
    const auto* add = std::get_if<OrSetAdd>(&op);
    const auto* remove = std::get_if<OrSetRemove>(&op);
    if (add != nullptr) {
        if (const unsigned depth = add->element.depth(); depth > element_depth_max) {
            return Rejection{"invalid operation: ORSet element nesting depth " + std::to_string(depth) +
                             " exceeds maximum " + std::to_string(element_depth_max)};
        }
    }
    const std::string text = (add != nullptr ? add->element : remove->element).to_text();
    if (text.size() > limits.orset_element_bytes_max) {
        return over_limit("ORSet element bytes", text.size(), limits.orset_element_bytes_max);
    }
    const auto found = elements_.find(text);
    const Element* element = found == elements_.end() ? nullptr : &found->second;
    const auto known = [element](const Tag& tag) {
        return element != nullptr && (element->live.contains(tag) || element->removed.contains(tag));
    };
    size_t more = 0;
    if (add != nullptr) {
        more = known(add->tag) ? 0 : 1;
    } else {
        for (const Tag& tag : remove->known_tags) more += known(tag) ? 0 : 1;
    }
    if (more > 0 && tag_count_ + more > limits.orset_tags_max) {
        return over_limit("ORSet tags", tag_count_ + more, limits.orset_tags_max);
    }
    return std::nullopt;
}

OrSet::Element& OrSet::find_or_insert(const std::string& element) {
    const auto [position, inserted] = elements_.try_emplace(element);
    if (inserted) memory_bytes_ += element_memory_bytes + element.size();
    return position->second;
}

bool OrSet::add(Element& element, const Tag& tag, const Version& version, bool& visible) {
    visible = false;
    if (element.removed.contains(tag)) return false;
    const auto [known, inserted] = element.live.find_or_insert(tag);
    if (!inserted && version <= *known) return false;
    *known = version;
    if (inserted) {
        visible = true;
        ++tag_count_;
        memory_bytes_ += tag_memory_bytes;
    }
    return true;
}

bool OrSet::remove(Element& element, const Tag& tag, const EntryStamp& stamp, bool& visible) {
    const auto [known, inserted] = element.removed.find_or_insert(tag);
    visible = inserted;
    if (!inserted && stamp <= *known) return false;
    *known = stamp;
    if (inserted && !element.live.erase(tag)) {
        ++tag_count_;
        memory_bytes_ += tag_memory_bytes;
    }
    return true;
}

Applied<OrSet::Delta, OrSetClientDelta> OrSet::apply(const Op& op, const ApplyContext& context) {
    Applied<Delta, ClientDelta> applied;
    ElementDelta change;
    OrSetClientDelta view;
    if (const auto* add_op = std::get_if<OrSetAdd>(&op)) {
        change.element = add_op->element.to_text();
        Element& element = find_or_insert(change.element);
        // A known tag is a repeat, whatever version it names.
        if (element.live.contains(add_op->tag) || element.removed.contains(add_op->tag)) return applied;
        const Version version{add_op->node_id, add_op->seq};
        bool visible = false;
        add(element, add_op->tag, version, visible);
        change.adds.emplace_back(add_op->tag, version);
        view.adds.emplace_back(change.element, std::vector<Tag>{add_op->tag});
    } else {
        const auto& remove_op = std::get<OrSetRemove>(op);
        if (remove_op.known_tags.empty()) return applied;
        change.element = remove_op.element.to_text();
        Element& element = find_or_insert(change.element);
        std::vector<Tag> removed;
        for (const Tag& tag : remove_op.known_tags) {
            if (element.removed.contains(tag)) continue;
            bool visible = false;
            remove(element, tag, context.entry, visible);
            change.removes.emplace_back(tag, context.entry);
            removed.push_back(tag);
        }
        if (removed.empty()) return applied;
        view.removes.emplace_back(change.element, std::move(removed));
    }
    applied.changed = true;
    applied.delta.elements.push_back(std::move(change));
    applied.views.push_back(std::move(view));
    return applied;
}

std::vector<OrSetClientDelta> OrSet::join(const Delta& delta, const JoinContext&) {
    Pieces views;
    for (const ElementDelta& change : delta.elements) {
        if (change.adds.empty() && change.removes.empty()) continue;
        Element& element = find_or_insert(change.element);
        bool visible = false;
        for (const auto& [tag, version] : change.adds) {
            add(element, tag, version, visible);
            if (visible) views.add(&OrSetClientDelta::adds, change.element, tag);
        }
        for (const auto& [tag, stamp] : change.removes) {
            remove(element, tag, stamp, visible);
            if (visible) views.add(&OrSetClientDelta::removes, change.element, tag);
        }
    }
    return views.take();
}

OrSet OrSet::from_delta(const Delta& delta) {
    OrSet set;
    for (const ElementDelta& change : delta.elements) {
        if (change.adds.empty() && change.removes.empty()) continue;
        Element& element = set.find_or_insert(change.element);
        bool visible = false;
        for (const auto& [tag, version] : change.adds) set.add(element, tag, version, visible);
        for (const auto& [tag, stamp] : change.removes) set.remove(element, tag, stamp, visible);
    }
    return set;
}

OrSet::Delta OrSet::full_delta() const {
    Delta delta;
    delta.elements.reserve(elements_.size());
    for (const auto& [text, element] : elements_) {
        ElementDelta& all = delta.elements.emplace_back();
        all.element = text;
        all.adds.reserve(element.live.size());
        all.removes.reserve(element.removed.size());
        for (const auto& tag : element.live) all.adds.emplace_back(tag.key, tag.value);
        for (const auto& tag : element.removed) all.removes.emplace_back(tag.key, tag.value);
    }
    return delta;
}

std::vector<OrSetClientDelta> OrSet::sync(const SyncContext&) const {
    Pieces pieces;
    for (const auto& [text, element] : elements_) {
        for (const auto& tag : element.live) pieces.add(&OrSetClientDelta::adds, text, tag.key);
        for (const auto& tag : element.removed) pieces.add(&OrSetClientDelta::removes, text, tag.key);
    }
    return pieces.take();
}

std::vector<OrSetClientDelta> OrSet::sync_without_tags() const {
    Pieces absent;
    Pieces present;
    for (const auto& [text, element] : elements_) {
        if (element.live.empty()) {
            for (const auto& tag : element.removed) absent.add(&OrSetClientDelta::removes, text, tag.key);
        }
        for (const auto& tag : element.live) present.add(&OrSetClientDelta::adds, text, tag.key);
    }
    auto pieces = absent.take();
    for (auto& piece : present.take()) pieces.push_back(std::move(piece));
    return pieces;
}

std::vector<OrSetClientDelta> OrSet::without_tags(const ClientDelta& view) const {
    if (view.removes.empty()) return {view};
    // Elements to show as present: those added, and those that lost a tag and have another.
    std::map<std::string_view, std::vector<Tag>> present;
    for (const auto& [text, tags] : view.adds) present[text] = tags;
    for (const auto& [text, tags] : view.removes) {
        const auto found = elements_.find(text);
        if (found == elements_.end() || found->second.live.empty()) continue;
        auto& live = present[text];
        for (const auto& tag : found->second.live) {
            if (live.size() >= repeated_tags_max) break;
            live.push_back(tag.key);
        }
        std::sort(live.begin(), live.end());
        live.erase(std::unique(live.begin(), live.end()), live.end());
    }
    std::vector<ClientDelta> deltas{{{}, view.removes}};
    Pieces adds;
    for (const auto& [text, tags] : present) {
        const std::string element(text);
        for (const Tag& tag : tags) adds.add(&OrSetClientDelta::adds, element, tag);
    }
    for (auto& piece : adds.take()) deltas.push_back(std::move(piece));
    return deltas;
}

std::vector<OrSetClientDelta> OrSet::emptying() const {
    Pieces pieces;
    for (const auto& [text, element] : elements_) {
        for (const auto& tag : element.live) pieces.add(&OrSetClientDelta::removes, text, tag.key);
    }
    return pieces.take();
}

void OrSet::write_value(JsonWriter& out, uint64_t) const {
    out.begin_object();
    out.key("elements");
    out.begin_array();
    for (const auto& [text, element] : elements_) {
        if (!element.live.empty()) out.raw(text);
    }
    out.end_array();
    out.end_object();
}

CompactionResult OrSet::compact(const CompactionContext& context) {
    const auto droppable = [&context](const ChunkedMap<Tag, EntryStamp>::Entry& tag) {
        const uint64_t wall_ms = tag.value.hlc.wall_ms;
        return wall_ms < context.covered_before_ms && wall_ms < context.now_ms &&
               context.now_ms - wall_ms > context.tombstone_grace_ms;
    };
    size_t dropped = 0;
    for (auto element = elements_.begin(); element != elements_.end();) {
        dropped += element->second.removed.erase_if(droppable);
        if (element->second.live.empty() && element->second.removed.empty()) {
            memory_bytes_ -= element_memory_bytes + element->first.size();
            element = elements_.erase(element);
        } else {
            ++element;
        }
    }
    tag_count_ -= dropped;
    memory_bytes_ -= dropped * tag_memory_bytes;
    return {dropped > 0};
}

}  // namespace meridian::crdt
