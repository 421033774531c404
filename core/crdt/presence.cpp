#include "crdt/presence.h"

#include <algorithm>
#include <compare>
#include <string>

#include "base/json_writer.h"
#include "crdt/rejection.h"
#include "crdt/saturating.h"

namespace meridian::crdt {

namespace {

constexpr size_t entry_bytes_in_frame = 80;
constexpr uint64_t heartbeat_life_ms_max = presence_ttl_ms_max + presence_skew_ms_max;

uint64_t counted_ttl_ms(uint64_t ttl_ms) {
    return std::min(ttl_ms, presence_ttl_ms_max);
}

// Order of entries without the receipt, that is, of what clients can see.
std::strong_ordering compare_visible(const Presence::Entry& left, const Presence::Entry& right) {
    if (const auto order = left.hlc <=> right.hlc; order != 0) return order;
    if (const auto order = (left.ttl_ms == 0) <=> (right.ttl_ms == 0); order != 0) return order;
    if (const auto order = left.ttl_ms <=> right.ttl_ms; order != 0) return order;
    return compare_text(left.data, right.data) <=> 0;
}

bool beats(const Presence::Entry& challenger, const Presence::Entry& holder) {
    const auto order = compare_visible(challenger, holder);
    return order != 0 ? order > 0 : challenger.received < holder.received;
}

PresenceClientEntry shown_entry(const Presence::Entry& entry) {
    return {entry.data, entry.hlc, entry.ttl_ms};
}
PresenceClientEntry tombstone(const Presence::Entry& entry) {
    return {JsonValue(), entry.hlc, 0};
}

// When clients consider the entry over.
uint64_t end_at_clients_ms(const Presence::Entry& entry) {
    return saturating_add(entry.hlc.wall_ms, entry.ttl_ms);
}

using Change = std::pair<uint64_t, std::optional<PresenceClientEntry>>;

// Ascending ids, cut into deltas that fit a frame.
void append_pieces(std::vector<PresenceClientDelta>& deltas, std::vector<Change>&& changes) {
    std::sort(changes.begin(), changes.end(),
              [](const Change& left, const Change& right) { return left.first < right.first; });
    size_t bytes = client_delta_bytes_target;
    for (Change& change : changes) {
        if (bytes >= client_delta_bytes_target) {
            deltas.emplace_back();
            bytes = 0;
        }
        bytes += entry_bytes_in_frame + (change.second ? change.second->data.msgpack().size() : 0);
        deltas.back().changes.push_back(std::move(change));
    }
}

}  // namespace

struct Presence::Views {
    std::vector<Change> gone;
    std::vector<Change> entries;

    void depart(uint64_t client_id, const Entry& entry) {
        gone.emplace_back(client_id, std::nullopt);
        entries.emplace_back(client_id, tombstone(entry));
    }
    std::vector<PresenceClientDelta> take() {
        std::vector<PresenceClientDelta> deltas;
        append_pieces(deltas, std::move(gone));
        append_pieces(deltas, std::move(entries));
        return deltas;
    }
};

bool Presence::alive(const Slot& slot, uint64_t now_ms) const {
    return slot.entry.ttl_ms != 0 && now_ms < slot.deadline_ms;
}

void Presence::show(uint64_t client_id, Slot& slot) {
    slot.shown = true;
    due_.find_or_insert({slot.deadline_ms, client_id});
}

void Presence::hide(uint64_t client_id, Slot& slot) {
    if (!slot.shown) return;
    slot.shown = false;
    due_.erase({slot.deadline_ms, client_id});
}

std::optional<Rejection> Presence::check(const Op& op, const Limits& limits) const {
    uint64_t client_id = 0;
    if (const auto* heartbeat = std::get_if<PresenceHeartbeat>(&op)) {
        client_id = heartbeat->client_id;
        if (const size_t size = heartbeat->data.msgpack().size(); size > limits.presence_data_bytes_max) {
            return over_limit("presence data bytes", size, limits.presence_data_bytes_max);
        }
    } else {
        client_id = std::get<PresenceLeave>(op).client_id;
    }
    if (slots_.size() >= limits.presence_entries_max && !slots_.contains(client_id)) {
        return over_limit("presence entries", slots_.size() + 1, limits.presence_entries_max);
    }
    return std::nullopt;
}

bool Presence::take(uint64_t client_id, const Entry& entry, uint64_t now_ms, Views& views) {
    const auto [slot, inserted] = slots_.find_or_insert(client_id);
    const uint64_t longest_ttl_ms = std::max(slot->entry.longest_ttl_ms, entry.longest_ttl_ms);
    if (!inserted && !beats(entry, slot->entry)) {
        if (longest_ttl_ms == slot->entry.longest_ttl_ms) return false;
        slot->entry.longest_ttl_ms = longest_ttl_ms;
        return true;
    }
    const bool was_shown = slot->shown;
    const bool same_for_clients = !inserted && compare_visible(entry, slot->entry) == 0;
    const bool ends_no_later = end_at_clients_ms(entry) <= end_at_clients_ms(slot->entry);
    hide(client_id, *slot);
    data_bytes_ -= slot->entry.data.msgpack().size();
    slot->entry = entry;
    slot->entry.longest_ttl_ms = longest_ttl_ms;
    data_bytes_ += entry.data.msgpack().size();
    slot->deadline_ms =
        saturating_add(std::min(entry.received.hlc.wall_ms, saturating_add(now_ms, presence_skew_ms_max)),
                       counted_ttl_ms(entry.ttl_ms));
    if (alive(*slot, now_ms)) {
        show(client_id, *slot);
        if (was_shown && same_for_clients) return true;
        if (was_shown && ends_no_later) views.gone.emplace_back(client_id, std::nullopt);
        views.entries.emplace_back(client_id, shown_entry(entry));
    } else if (was_shown) {
        views.depart(client_id, entry);
    }
    return true;
}

Applied<Presence::Delta, PresenceClientDelta> Presence::apply(const Op& op, const ApplyContext& context) {
    uint64_t client_id = 0;
    Entry entry;
    if (const auto* heartbeat = std::get_if<PresenceHeartbeat>(&op)) {
        client_id = heartbeat->client_id;
        entry.hlc = heartbeat->hlc;
        entry.ttl_ms = heartbeat->ttl_ms;
        if (heartbeat->ttl_ms != 0) entry.data = heartbeat->data;
    } else {
        const auto& leave = std::get<PresenceLeave>(op);
        client_id = leave.client_id;
        entry.hlc = leave.hlc;
    }
    entry.longest_ttl_ms = entry.ttl_ms;
    entry.received = context.entry;
    Applied<Delta, ClientDelta> applied;
    const Slot* known = slots_.find(client_id);
    if (known != nullptr && compare_visible(entry, known->entry) <= 0) return applied;
    Views views;
    take(client_id, entry, context.entry.hlc.wall_ms, views);
    // A nil may go before an entry, only so that every client takes it.
    if (!views.gone.empty() && !views.entries.empty() && views.entries[0].second->ttl_ms != 0) applied.own_view = 1;
    applied.changed = true;
    applied.delta.entries.emplace_back(client_id, std::move(entry));
    applied.views = views.take();
    return applied;
}

std::vector<PresenceClientDelta> Presence::join(const Delta& delta, const JoinContext& context) {
    Views views;
    for (const auto& [client_id, entry] : delta.entries) take(client_id, entry, context.now_ms, views);
    return views.take();
}

Presence Presence::from_delta(const Delta& delta) {
    Presence presence;
    Views views;
    // Without a clock: deadlines as the origins' clocks say, and clients may have been shown everything with a ttl.
    for (const auto& [client_id, entry] : delta.entries) {
        presence.take(client_id, entry, UINT64_MAX, views);
        Slot* slot = presence.slots_.find(client_id);
        if (slot->entry.ttl_ms != 0 && !slot->shown) presence.show(client_id, *slot);
    }
    presence.clamped_ = false;
    return presence;
}

Presence::Delta Presence::full_delta() const {
    Delta delta;
    delta.entries.reserve(slots_.size());
    for (const auto& slot : slots_) delta.entries.emplace_back(slot.key, slot.value.entry);
    return delta;
}

std::vector<PresenceClientDelta> Presence::sync(const SyncContext& context) const {
    Views views;
    for (const auto& slot : slots_) {
        if (alive(slot.value, context.now_ms)) {
            views.entries.emplace_back(slot.key, shown_entry(slot.value.entry));
        } else {
            views.depart(slot.key, slot.value.entry);
        }
    }
    return views.take();
}

std::vector<PresenceClientDelta> Presence::emptying() const {
    Views views;
    for (const auto& slot : slots_) {
        if (slot.value.shown) views.depart(slot.key, slot.value.entry);
    }
    return views.take();
}

void Presence::write_value(JsonWriter& out, uint64_t now_ms) const {
    std::vector<std::pair<std::string, const Slot*>> members;  // ids sorted as strings
    for (const auto& slot : slots_) {
        if (alive(slot.value, now_ms)) members.emplace_back(std::to_string(slot.key), &slot.value);
    }
    std::sort(members.begin(), members.end());
    out.begin_object();
    out.key("entries");
    out.begin_object();
    for (const auto& [id, slot] : members) {
        out.key(id);
        out.begin_object();
        out.key("data");
        out.value(slot->entry.data);
        out.key("expires_at_ms");
        out.number(slot->deadline_ms);
        out.end_object();
    }
    out.end_object();
    out.end_object();
}

CompactionResult Presence::compact(const CompactionContext& context) {
    const size_t dropped = slots_.erase_if([this, &context](const ChunkedMap<uint64_t, Slot>::Entry& slot) {
        const Entry& entry = slot.value.entry;
        if (slot.value.shown || alive(slot.value, context.now_ms)) return false;
        const uint64_t from_ms = std::max(entry.hlc.wall_ms, entry.received.hlc.wall_ms);
        const uint64_t kept_ms = std::max(counted_ttl_ms(entry.longest_ttl_ms), presence_tombstone_ms_min);
        if (context.now_ms <= saturating_add(from_ms, kept_ms)) return false;
        // A member that has not received it may hold an older heartbeat, which lives for a day at most.
        const bool covered = entry.received.hlc.wall_ms < context.covered_before_ms;
        if (!covered && context.now_ms <= saturating_add(from_ms, heartbeat_life_ms_max)) return false;
        data_bytes_ -= entry.data.msgpack().size();
        return true;
    });
    return {dropped > 0};
}

size_t Presence::memory_bytes() const {
    constexpr size_t due_bytes = 2 * sizeof(uint64_t) + sizeof(uint64_t);
    return sizeof *this + (slots_.size() * (sizeof(uint64_t) + sizeof(Slot)) + due_.size() * due_bytes) * 4 / 3 +
           data_bytes_;
}

bool operator==(const Presence& left, const Presence& right) {
    return std::equal(left.slots_.begin(), left.slots_.end(), right.slots_.begin(), right.slots_.end(),
                      [](const auto& l, const auto& r) { return l.key == r.key && l.value.entry == r.value.entry; });
}

uint64_t Presence::next_deadline_ms() const {
    if (due_.empty()) return 0;
    return clamped_ ? due_.front().key.first : 1;
}

std::vector<PresenceClientDelta> Presence::expire(uint64_t now_ms) {
    if (!clamped_) {
        clamped_ = true;
        const uint64_t latest_ms = saturating_add(now_ms, presence_skew_ms_max);
        for (auto& slot : slots_) {
            if (!slot.value.shown) continue;
            const uint64_t deadline_ms = saturating_add(latest_ms, counted_ttl_ms(slot.value.entry.ttl_ms));
            if (deadline_ms >= slot.value.deadline_ms) continue;
            hide(slot.key, slot.value);
            slot.value.deadline_ms = deadline_ms;
            show(slot.key, slot.value);
        }
    }
    Views views;
    while (!due_.empty() && due_.front().key.first <= now_ms) {
        const uint64_t client_id = due_.front().key.second;
        Slot* slot = slots_.find(client_id);
        hide(client_id, *slot);
        views.depart(client_id, slot->entry);
    }
    return views.take();
}

}  // namespace meridian::crdt
