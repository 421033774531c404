#include "crdt/lww_register.h"

#include <algorithm>
#include <compare>

#include "base/json_writer.h"
#include "crdt/rejection.h"
#include "crdt/saturating.h"

namespace meridian::crdt {

namespace {

std::strong_ordering compare(const LwwEntry& left, const LwwEntry& right) {
    if (const auto order = left.hlc <=> right.hlc; order != 0) return order;
    if (const auto order = left.author <=> right.author; order != 0) return order;
    return compare_text(left.value, right.value) <=> 0;
}

bool beats(const LwwRegister::Entry& challenger, const std::optional<LwwRegister::Entry>& holder) {
    if (!holder) return true;
    const auto order = compare(challenger.entry, holder->entry);
    return order != 0 ? order > 0 : challenger.original > holder->original;
}

// The least stamp of the same node above `stamp`; absent at the end of the clock.
std::optional<Hlc> next_after(Hlc stamp) {
    if (stamp.logical != UINT16_MAX) {
        ++stamp.logical;
    } else if (stamp.wall_ms != UINT64_MAX) {
        ++stamp.wall_ms;
        stamp.logical = 0;
    } else {
        return std::nullopt;
    }
    return stamp;
}

}  // namespace

std::optional<Rejection> LwwRegister::check(const Op& op, const Limits& limits) const {
    if (const size_t size = op.value.msgpack().size(); size > limits.register_value_bytes_max) {
        return over_limit("register value bytes", size, limits.register_value_bytes_max);
    }
    return std::nullopt;
}

bool LwwRegister::matches(const Hlc& target) const {
    return entry_ && (entry_->entry.hlc == target || entry_->original == target);
}

Applied<LwwRegister::Delta, LwwRegisterClientDelta> LwwRegister::replace(Entry entry) {
    Applied<Delta, ClientDelta> applied;
    applied.changed = true;
    applied.views.push_back({entry.entry});
    entry_ = std::move(entry);
    applied.delta.entry = entry_;
    return applied;
}

Applied<LwwRegister::Delta, LwwRegisterClientDelta> LwwRegister::apply(const Op& op, const ApplyContext&) {
    Entry entry{{op.value, op.hlc, op.author}, std::nullopt};
    // The author's next write within one millisecond; a third one meets the stamp that the second was moved to.
    if (matches(op.hlc) && entry_->entry.author == op.author && entry_->entry.value != op.value) {
        if (const auto stamp = next_after(entry_->entry.hlc)) {
            entry.entry.hlc = *stamp;
            entry.original = op.hlc;
        }
    }
    if (beats(entry, entry_)) return replace(std::move(entry));
    Applied<Delta, ClientDelta> lost;
    const LwwEntry& winner = entry_->entry;
    if (winner.author != op.author) lost.conflict = LwwOverwritten{winner.author, winner.hlc.wall_ms};
    return lost;
}

Applied<LwwRegister::Delta, LwwRegisterClientDelta> LwwRegister::apply_undo(const Hlc& target, const JsonValue& restore,
                                                                            uint64_t client_id,
                                                                            const ApplyContext& context) {
    const uint64_t wall_ms = saturating_add(std::max(context.entry.hlc.wall_ms, target.wall_ms), 1);
    Entry entry{{restore, {wall_ms, 0, client_id}, client_id}, std::nullopt};
    if (entry.entry.hlc <= entry_->entry.hlc) {
        // The entry was moved ahead of its target, or the clock is at its end.
        const auto stamp = next_after({entry_->entry.hlc.wall_ms, entry_->entry.hlc.logical, client_id});
        if (stamp) entry.entry.hlc = *stamp;
    }
    if (!beats(entry, entry_)) return {};
    return replace(std::move(entry));
}

std::vector<LwwRegisterClientDelta> LwwRegister::join(const Delta& delta, const JoinContext&) {
    if (!delta.entry || !beats(*delta.entry, entry_)) return {};
    const bool visible = !entry_ || entry_->entry != delta.entry->entry;  // clients know nothing of `original`
    entry_ = delta.entry;
    if (!visible) return {};
    return {{entry_->entry}};
}

LwwRegister LwwRegister::from_delta(const Delta& delta) {
    LwwRegister reg;
    reg.entry_ = delta.entry;
    return reg;
}

std::vector<LwwRegisterClientDelta> LwwRegister::sync(const SyncContext&) const {
    if (!entry_) return {};
    return {{entry_->entry}};
}

void LwwRegister::write_value(JsonWriter& out, uint64_t) const {
    out.begin_object();
    out.key("author");
    entry_ ? out.number(entry_->entry.author) : out.null();
    out.key("updated_at_ms");
    entry_ ? out.number(entry_->entry.hlc.wall_ms) : out.null();
    out.key("value");
    entry_ ? out.value(entry_->entry.value) : out.null();
    out.end_object();
}

size_t LwwRegister::memory_bytes() const {
    return sizeof *this + (entry_ ? entry_->entry.value.msgpack().capacity() : 0);
}

}  // namespace meridian::crdt
