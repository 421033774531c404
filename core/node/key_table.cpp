#include "node/key_table.h"

#include <iterator>

namespace meridian::node {

namespace {

// What a slot costs besides its value: the slot, its map node, names, list node.
constexpr size_t slot_overhead_bytes = 400;
// What cached frames may come to: the deltas, and their encodings in one key form or both, which come later.
constexpr size_t frames_per_value = 2;

}  // namespace

KeySlot* KeyTable::find(std::string_view namespace_name, std::string_view key) {
    const auto in_namespace = namespaces_.find(namespace_name);
    if (in_namespace == namespaces_.end()) return nullptr;
    const auto found = in_namespace->second.find(key);
    if (found == in_namespace->second.end()) return nullptr;
    KeySlot& slot = *found->second;
    recency_.splice(recency_.end(), recency_, slot.recency);
    return &slot;
}

KeySlot& KeyTable::insert(const KeyName& name) {
    auto owned = std::make_unique<KeySlot>(name);
    KeySlot& slot = *owned;
    slot.recency = recency_.insert(recency_.end(), &slot);
    namespaces_[name.namespace_name][name.key] = std::move(owned);
    recharge(slot);
    return slot;
}

void KeyTable::erase(KeySlot& slot) {
    bytes_ -= slot.charged_bytes;
    schedule(slot, 0);
    recency_.erase(slot.recency);
    const auto in_namespace = namespaces_.find(slot.name.namespace_name);
    TextMap<std::unique_ptr<KeySlot>>& slots = in_namespace->second;
    slots.erase(slots.find(slot.name.key));
    if (slots.empty()) namespaces_.erase(in_namespace);
}

void KeyTable::changed(KeySlot& slot) {
    slot.drop_frames();
    recharge(slot);
    schedule(slot, slot.key.generation() == 0 ? 0 : slot.key.next_deadline_ms());
}

// Many keys can share a deadline, so an entry is not searched for among its equals.
void KeyTable::schedule(KeySlot& slot, uint64_t deadline_ms) {
    if (deadline_ms == slot.scheduled_deadline_ms) return;
    if (slot.scheduled_deadline_ms != 0) deadlines_.erase(slot.scheduled);
    slot.scheduled_deadline_ms = deadline_ms;
    if (deadline_ms != 0) slot.scheduled = deadlines_.emplace(deadline_ms, &slot);
}

void KeyTable::recharge(KeySlot& slot) {
    bytes_ -= slot.charged_bytes;
    slot.charged_bytes = slot_overhead_bytes + 2 * (slot.name.key.size() + slot.name.namespace_name.size());
    if (slot.phase == KeySlot::Phase::resident) {
        const size_t value_bytes = slot.key.memory_bytes();
        slot.charged_bytes += value_bytes;
        for (const auto* frames : {&slot.state_frames[0], &slot.state_frames[1], &slot.emptying_frames}) {
            if (*frames) slot.charged_bytes += frames_per_value * value_bytes;
        }
    }
    slot.charged_bytes += slot.unread.size();
    bytes_ += slot.charged_bytes;
}

void KeyTable::visit_oldest(const std::function<bool(KeySlot&)>& visit) {
    for (auto it = recency_.begin(); it != recency_.end();) {
        KeySlot& slot = **it;
        ++it;
        if (!visit(slot)) return;
    }
}

KeySlot* KeyTable::take_due(uint64_t now_ms) {
    if (deadlines_.empty() || deadlines_.begin()->first > now_ms) return nullptr;
    KeySlot* slot = deadlines_.begin()->second;
    deadlines_.erase(deadlines_.begin());
    slot->scheduled_deadline_ms = 0;
    return slot;
}

}  // namespace meridian::node
