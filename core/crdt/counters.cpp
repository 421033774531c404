#include "crdt/counters.h"

#include <algorithm>
#include <string>

#include "base/json_writer.h"
#include "crdt/rejection.h"
#include "crdt/saturating.h"

namespace meridian::crdt {

namespace {

// Client totals in one frame: at most 18 bytes each, so a frame stays below 1 MiB.
constexpr size_t totals_per_frame = 50'000;

CounterSlot slot_of(uint64_t client_id, const ApplyContext& context) {
    return {client_id, context.entry.hlc.node_id, context.entry.incarnation};
}

}  // namespace

uint64_t CounterSlots::add(const CounterSlot& slot, uint64_t amount) {
    uint64_t* total = slots_.find_or_insert(slot).first;
    *total = saturating_add(*total, amount);
    return *total;
}

GCounterClientDelta CounterSlots::join(const CounterTotals& totals) {
    GCounterClientDelta changed;
    for (size_t i = 0; i < totals.size();) {
        const uint64_t client_id = totals[i].first.client_id;
        const uint64_t before = client_total(client_id);
        for (; i < totals.size() && totals[i].first.client_id == client_id; ++i) {
            if (totals[i].second == 0) continue;  // the same as no slot
            uint64_t* total = slots_.find_or_insert(totals[i].first).first;
            *total = std::max(*total, totals[i].second);
        }
        const uint64_t after = client_total(client_id);
        if (after != before) changed.counters.emplace_back(client_id, after);
    }
    return changed;
}

bool CounterSlots::has_client(uint64_t client_id) const {
    const auto slot = slots_.lower_bound({client_id, 0, 0});
    return slot != slots_.end() && slot->key.client_id == client_id;
}

uint64_t CounterSlots::client_total(uint64_t client_id) const {
    uint64_t sum = 0;
    for (auto slot = slots_.lower_bound({client_id, 0, 0}); slot != slots_.end() && slot->key.client_id == client_id;
         ++slot) {
        sum = saturating_add(sum, slot->value);
    }
    return sum;
}

uint64_t CounterSlots::total() const {
    uint64_t sum = 0;
    for (const auto& slot : slots_) sum = saturating_add(sum, slot.value);
    return sum;
}

CounterTotals CounterSlots::totals() const {
    CounterTotals all;
    all.reserve(slots_.size());
    for (const auto& slot : slots_) all.emplace_back(slot.key, slot.value);
    return all;
}

std::vector<GCounterClientDelta> CounterSlots::client_totals() const {
    std::vector<GCounterClientDelta> pieces;
    for (const auto& slot : slots_) {
        const uint64_t client_id = slot.key.client_id;
        if (!pieces.empty() && pieces.back().counters.back().first == client_id) {
            uint64_t& sum = pieces.back().counters.back().second;
            sum = saturating_add(sum, slot.value);
            continue;
        }
        if (pieces.empty() || pieces.back().counters.size() == totals_per_frame) pieces.emplace_back();
        pieces.back().counters.emplace_back(client_id, slot.value);
    }
    return pieces;
}

size_t CounterSlots::memory_bytes() const {
    // Chunks are between half and completely full.
    return slots_.size() * (sizeof(CounterSlot) + sizeof(uint64_t)) * 4 / 3;
}

std::optional<Rejection> GCounter::check(const Op& op, const Limits& limits) const {
    if (op.amount != 0 && slots_.size() >= limits.counter_slots_max && !slots_.has_client(op.client_id)) {
        return over_limit("counter slots", slots_.size() + 1, limits.counter_slots_max);
    }
    return std::nullopt;
}

Applied<GCounter::Delta, GCounterClientDelta> GCounter::apply(const Op& op, const ApplyContext& context) {
    Applied<Delta, ClientDelta> applied;
    if (op.amount == 0) return applied;
    const CounterSlot slot = slot_of(op.client_id, context);
    applied.changed = true;
    applied.delta.slots.emplace_back(slot, slots_.add(slot, op.amount));
    applied.views.push_back({{{op.client_id, slots_.client_total(op.client_id)}}});
    return applied;
}

std::vector<GCounterClientDelta> GCounter::join(const Delta& delta, const JoinContext&) {
    auto changed = slots_.join(delta.slots);
    if (changed.counters.empty()) return {};
    return {std::move(changed)};
}

GCounter GCounter::from_delta(const Delta& delta) {
    GCounter counter;
    counter.slots_.join(delta.slots);
    return counter;
}

void GCounter::write_value(JsonWriter& out, uint64_t) const {
    std::vector<std::pair<std::string, uint64_t>> members;  // ids sorted as strings
    for (const auto& piece : slots_.client_totals()) {
        for (const auto& [client_id, total] : piece.counters) members.emplace_back(std::to_string(client_id), total);
    }
    std::sort(members.begin(), members.end());
    out.begin_object();
    out.key("counters");
    out.begin_object();
    for (const auto& [id, total] : members) {
        out.key(id);
        out.number(total);
    }
    out.end_object();
    out.key("total");
    out.number(slots_.total());
    out.end_object();
}

std::optional<Rejection> PnCounter::check(const Op& op, const Limits& limits) const {
    const auto& side = op.side == PnCounterOp::Side::increment ? pos_ : neg_;
    const size_t slots = pos_.size() + neg_.size();
    if (op.amount != 0 && slots >= limits.counter_slots_max && !side.has_client(op.client_id)) {
        return over_limit("counter slots", slots + 1, limits.counter_slots_max);
    }
    return std::nullopt;
}

Applied<PnCounter::Delta, PnCounterClientDelta> PnCounter::apply(const Op& op, const ApplyContext& context) {
    Applied<Delta, ClientDelta> applied;
    if (op.amount == 0) return applied;
    const bool increment = op.side == PnCounterOp::Side::increment;
    auto& slots = increment ? pos_ : neg_;
    const CounterSlot slot = slot_of(op.client_id, context);
    applied.changed = true;
    (increment ? applied.delta.pos : applied.delta.neg).emplace_back(slot, slots.add(slot, op.amount));
    auto& view = applied.views.emplace_back();
    (increment ? view.pos : view.neg) = GCounterClientDelta{{{op.client_id, slots.client_total(op.client_id)}}};
    return applied;
}

std::vector<PnCounterClientDelta> PnCounter::join(const Delta& delta, const JoinContext&) {
    auto pos = pos_.join(delta.pos);
    auto neg = neg_.join(delta.neg);
    PnCounterClientDelta view;
    if (!pos.counters.empty()) view.pos = std::move(pos);
    if (!neg.counters.empty()) view.neg = std::move(neg);
    if (!view.pos && !view.neg) return {};
    return {std::move(view)};
}

PnCounter PnCounter::from_delta(const Delta& delta) {
    PnCounter counter;
    counter.pos_.join(delta.pos);
    counter.neg_.join(delta.neg);
    return counter;
}

std::vector<PnCounterClientDelta> PnCounter::sync(const SyncContext&) const {
    auto pos = pos_.client_totals();
    auto neg = neg_.client_totals();
    std::vector<ClientDelta> pieces(std::max(pos.size(), neg.size()));
    for (size_t i = 0; i < pos.size(); ++i) pieces[i].pos = std::move(pos[i]);
    for (size_t i = 0; i < neg.size(); ++i) pieces[i].neg = std::move(neg[i]);
    return pieces;
}

int64_t PnCounter::value() const {
    const auto pos = pos_.total();
    const auto neg = neg_.total();
    // The difference of two unsigned 64-bit numbers, clamped; without a 128-bit type, which is not standard C++.
    if (pos >= neg) return static_cast<int64_t>(std::min<uint64_t>(pos - neg, INT64_MAX));
    const uint64_t below = neg - pos;
    return below > static_cast<uint64_t>(INT64_MAX) ? INT64_MIN : -static_cast<int64_t>(below);
}

void PnCounter::write_value(JsonWriter& out, uint64_t) const {
    out.begin_object();
    out.key("value");
    out.number(value());
    out.end_object();
}

}  // namespace meridian::crdt
