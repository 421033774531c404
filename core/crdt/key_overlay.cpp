#include <algorithm>
#include <cstdint>
#include <limits>

#include "crdt/key.h"

namespace meridian::crdt {

namespace {

constexpr size_t no_limit = std::numeric_limits<size_t>::max();

// Stamps that nobody will see.
class ScratchStamps : public StampSource {
public:
    explicit ScratchStamps(uint64_t wall_ms) : next_{wall_ms, 0, 0} {}
    Hlc next_stamp() override {
        ++next_.wall_ms;
        return next_;
    }

private:
    Hlc next_;
};

// Every earlier item may have added one of each thing that is counted.
Limits reduced(Limits limits, size_t items) {
    for (size_t* count :
         {&limits.rga_elements_max, &limits.tree_nodes_max, &limits.tree_moves_max, &limits.orset_tags_max,
          &limits.counter_slots_max, &limits.presence_entries_max, &limits.map_keys_max}) {
        *count -= std::min(*count, items);
    }
    return limits;
}

// The base's check has looked at sizes and counts.
Limits without_counts(Limits limits) {
    for (size_t* count :
         {&limits.rga_elements_max, &limits.tree_nodes_max, &limits.tree_moves_max, &limits.orset_tags_max,
          &limits.counter_slots_max, &limits.presence_entries_max, &limits.map_keys_max, &limits.pending_ops_max}) {
        *count = no_limit;
    }
    return limits;
}

}  // namespace

struct KeyOverlay::State {
    State(const Key& key, uint64_t now) : base(key), now_ms(now), stamps(now) {}

    const Key& base;
    uint64_t now_ms;
    ScratchStamps stamps;
    // The earlier items applied to nothing: a small key that knows their types, ids and contents.
    Key items;
    size_t changed_items = 0;
};

KeyOverlay::KeyOverlay(const Key& base, uint64_t now_ms) : state_(std::make_unique<State>(base, now_ms)) {}
KeyOverlay::~KeyOverlay() = default;
KeyOverlay::KeyOverlay(KeyOverlay&&) noexcept = default;

std::optional<Rejection> KeyOverlay::check_next(const Op& op, const Limits& limits) {
    State& state = *state_;
    if (state.base.visible(state.now_ms)) {
        if (auto refused = state.base.check(op, reduced(limits, state.changed_items), state.now_ms)) return refused;
        if (auto refused = state.items.check(op, without_counts(limits), state.now_ms)) return refused;
    } else if (auto refused = state.items.check(op, limits, state.now_ms)) {
        return refused;
    }
    const EntryStamp entry{{state.now_ms, 0, 0}, 0};
    if (state.items.apply(op, std::nullopt, {entry, state.stamps}).changed) ++state.changed_items;
    return std::nullopt;
}

}  // namespace meridian::crdt
