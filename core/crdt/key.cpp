#include "crdt/key.h"

#include <algorithm>

#include "base/json_writer.h"
#include "crdt/deadlines.h"
#include "crdt/saturating.h"

namespace meridian::crdt {

namespace {

template <size_t... Codes>
Value make_value_at(size_t index, std::index_sequence<Codes...>) {
    Value value;
    ((Codes == index ? void(value.template emplace<Codes>()) : void()), ...);
    return value;
}

Value make_value(size_t index) {
    return make_value_at(index, std::make_index_sequence<std::variant_size_v<Value>>());
}

// The delta that says nothing, of the type with this index.
template <size_t... Codes>
Delta make_delta_at(size_t index, std::index_sequence<Codes...>) {
    Delta delta;
    ((Codes == index ? void(delta.template emplace<Codes>()) : void()), ...);
    return delta;
}

Delta make_delta(size_t index) {
    return make_delta_at(index, std::make_index_sequence<std::variant_size_v<Delta>>());
}

template <class Views>
void append(std::vector<ClientDelta>& out, Views&& views) {
    for (auto& view : views) out.emplace_back(std::move(view));
}

std::vector<ClientDelta> emptying_of(const Value& value) {
    std::vector<ClientDelta> deltas;
    std::visit([&](const auto& v) { append(deltas, v.emptying()); }, value);
    return deltas;
}

std::vector<ClientDelta> sync_of(const Value& value, const SyncContext& context) {
    std::vector<ClientDelta> deltas;
    std::visit([&](const auto& v) { append(deltas, v.sync(context)); }, value);
    return deltas;
}

// REQUIRES: value and delta are of one type.
std::vector<ClientDelta> join_value(Value& value, const Delta& delta, const JoinContext& context) {
    std::vector<ClientDelta> views;
    std::visit(
        [&](auto& v) { append(views, v.join(std::get<typename std::decay_t<decltype(v)>::Delta>(delta), context)); },
        value);
    return views;
}

template <class Result>
KeyApplied to_key_applied(Result&& result) {
    KeyApplied applied;
    applied.changed = result.changed;
    applied.delta.delta = std::move(result.delta);
    append(applied.views, std::move(result.views));
    applied.own_view = result.own_view;
    applied.conflict = std::move(result.conflict);
    return applied;
}

// REQUIRES: value and op are of one type.
KeyApplied apply_value(Value& value, const Op& op, const ApplyContext& context) {
    return std::visit(
        [&](auto& v) { return to_key_applied(v.apply(std::get<typename std::decay_t<decltype(v)>::Op>(op), context)); },
        value);
}

Expiry expiry_of(std::optional<uint64_t> ttl_ms, const EntryStamp& entry) {
    return {ttl_ms ? saturating_add(entry.hlc.wall_ms, *ttl_ms) : 0, entry};
}

}  // namespace

std::optional<Rejection> Key::check(const Op& op, const Limits& limits, uint64_t now_ms) const {
    const auto check_on = [&](const Value& value) {
        return std::visit(
            [&](const auto& v) { return v.check(std::get<typename std::decay_t<decltype(v)>::Op>(op), limits); },
            value);
    };
    if (!visible(now_ms)) return check_on(make_value(op.index()));
    if (value_->index() != op.index()) return Rejection{"invalid operation: op type does not match crdt type"};
    return check_on(*value_);
}

KeyApplied Key::apply(const Op& op, std::optional<uint64_t> ttl_ms, const ApplyContext& context) {
    if (!visible(context.entry.hlc.wall_ms)) {
        Value fresh = make_value(op.index());
        auto applied = apply_value(fresh, op, context);
        if (applied.changed) begin_generation(std::move(fresh), expiry_of(ttl_ms, context.entry), applied);
        return applied;
    }
    return finish_write(apply_value(*value_, op, context), ttl_ms, context);
}

void Key::begin_generation(Value fresh, Expiry expiry, KeyApplied& applied) {
    // Clients may still show what has expired a moment ago.
    if (generation_ != 0 && !expiry_told_) {
        auto views = emptying_of(*value_);
        applied.own_view += views.size();
        append(views, std::move(applied.views));
        applied.views = std::move(views);
    }
    ++generation_;
    value_ = std::move(fresh);
    expiry_ = expiry;
    expiry_told_ = false;
    applied.delta.generation = generation_;
    applied.delta.expiry = expiry_;
}

KeyApplied Key::finish_write(KeyApplied applied, std::optional<uint64_t> ttl_ms, const ApplyContext& context) {
    const Expiry expiry = expiry_of(ttl_ms, context.entry);
    const bool later = expiry.set_by > expiry_.set_by;
    if (!applied.changed) {
        if (!later || expiry.deadline_ms == expiry_.deadline_ms) return applied;
        applied.changed = true;
        applied.delta.delta = make_delta(value_->index());
    }
    if (later) expiry_ = expiry;
    applied.delta.generation = generation_;
    applied.delta.expiry = expiry;
    return applied;
}

std::vector<ClientDelta> Key::join(const KeyDelta& delta, const JoinContext& context) {
    if (delta.generation < generation_) return {};
    const bool shown = generation_ != 0 && !expiry_told_;  // clients may show the old value
    std::vector<ClientDelta> views;
    const bool next_generation = delta.generation > generation_;
    const bool replaced = next_generation || delta.delta.index() < value_->index();
    if (replaced) {
        if (shown) views = emptying_of(*value_);
        value_ = make_value(delta.delta.index());
    }
    if (next_generation) {
        generation_ = delta.generation;
        expiry_ = delta.expiry;
    } else if (delta.expiry.set_by > expiry_.set_by) {
        expiry_ = delta.expiry;
    }
    const bool expired_now = expired(context.now_ms);
    if (expired_now && shown && !replaced) views = emptying_of(*value_);
    std::vector<ClientDelta> changes;
    if (delta.delta.index() == value_->index()) changes = join_value(*value_, delta.delta, context);
    if (expired_now) {
        expiry_told_ = true;
    } else if (expiry_told_ && !replaced) {
        // A later write gave back what had expired; clients were emptied and need all of it.
        expiry_told_ = false;
        append(views, sync_of(*value_, {context.now_ms, SequenceForm::ascending_siblings}));
    } else {
        expiry_told_ = false;
        append(views, std::move(changes));
    }
    return views;
}

KeyDelta Key::full_delta() const {
    KeyDelta all{generation_, expiry_, {}};
    std::visit([&](const auto& v) { all.delta = v.full_delta(); }, *value_);
    return all;
}

std::vector<ClientDelta> Key::sync(const SyncContext& context) const {
    if (!visible(context.now_ms)) return {};
    return sync_of(*value_, context);
}

std::vector<ClientDelta> Key::emptying() const {
    return generation_ == 0 ? std::vector<ClientDelta>{} : emptying_of(*value_);
}

std::string Key::value_json(uint64_t now_ms) const {
    JsonWriter out;
    std::visit([&](const auto& v) { v.write_value(out, now_ms); }, *value_);
    return out.take();
}

Key::UndoCheck Key::check_undo(const Hlc& target, uint64_t now_ms) const {
    if (!visible(now_ms)) return UndoCheck::overwritten;
    const auto* reg = std::get_if<LwwRegister>(&*value_);
    if (reg == nullptr) return UndoCheck::wrong_type;
    return reg->matches(target) ? UndoCheck::possible : UndoCheck::overwritten;
}

KeyApplied Key::apply_undo(const Hlc& target, const JsonValue& restore, uint64_t client_id,
                           const ApplyContext& context) {
    auto applied = to_key_applied(std::get<LwwRegister>(*value_).apply_undo(target, restore, client_id, context));
    if (!applied.changed) return applied;
    return finish_write(std::move(applied), std::nullopt, context);
}

uint64_t Key::next_deadline_ms() const {
    if (generation_ == 0 || expiry_told_) return 0;
    const uint64_t deadline_ms = std::visit([](const auto& v) { return next_deadline_of(v); }, *value_);
    if (deadline_ms == 0) return expiry_.deadline_ms;
    return expiry_.deadline_ms == 0 ? deadline_ms : std::min(deadline_ms, expiry_.deadline_ms);
}

std::vector<ClientDelta> Key::expire(uint64_t now_ms) {
    std::vector<ClientDelta> views;
    if (generation_ == 0 || expiry_told_) return views;
    if (expired(now_ms)) {
        expiry_told_ = true;
        return emptying_of(*value_);
    }
    std::visit([&](auto& v) { append(views, expire_value(v, now_ms)); }, *value_);
    return views;
}

void Key::assume_shown() {
    expiry_told_ = false;
    if (value_) std::visit([](auto& v) { assume_value_shown(v); }, *value_);
}

CompactionResult Key::compact(const CompactionContext& context) {
    if (generation_ == 0) return {};
    return std::visit([&](auto& v) { return v.compact(context); }, *value_);
}

size_t Key::memory_bytes() const {
    if (!value_) return sizeof *this;
    return sizeof *this + std::visit([](const auto& v) { return v.memory_bytes(); }, *value_);
}

Key Key::restore(uint64_t generation, Expiry expiry, Value value) {
    Key key;
    key.generation_ = generation;
    key.expiry_ = expiry;
    key.value_ = std::move(value);
    return key;
}

bool operator==(const Key& left, const Key& right) {
    return left.generation_ == right.generation_ && left.expiry_ == right.expiry_ && left.value_ == right.value_;
}

}  // namespace meridian::crdt
