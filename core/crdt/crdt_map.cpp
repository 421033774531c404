#include "crdt/crdt_map.h"

#include <algorithm>

#include "base/json_writer.h"
#include "crdt/deadlines.h"
#include "crdt/rejection.h"

namespace meridian::crdt {

namespace {

// What a key costs in memory beside its bytes and its value; an estimate.
constexpr size_t entry_memory_bytes = 64;

template <class... Alternatives>
Type type_at(const std::variant<Alternatives...>& inner) {
    // The inner types in order of code, without the map.
    const auto code = inner.index() + 1;
    return static_cast<Type>(code < static_cast<size_t>(Type::crdt_map) ? code : code + 1);
}

// Client deltas of an inner value, each as a delta of the map. A reader of a map keeps no tags of inner sets.
template <class Value, class Views>
void append_wrapped(std::vector<CrdtMapClientDelta>& out, const std::string& key, const Value& value, Views&& views) {
    for (auto& view : views) {
        if constexpr (std::is_same_v<Value, OrSet>) {
            for (auto& tagless : value.without_tags(view)) out.push_back({{{key, std::move(tagless)}}});
        } else {
            out.push_back({{{key, std::move(view)}}});
        }
    }
}

void append_sync(std::vector<CrdtMapClientDelta>& out, const std::string& key, const InnerValue& inner,
                 const SyncContext& context) {
    std::visit(
        [&](const auto& value) {
            if constexpr (std::is_same_v<std::decay_t<decltype(value)>, OrSet>) {
                for (auto& piece : value.sync_without_tags()) out.push_back({{{key, std::move(piece)}}});
            } else {
                for (auto& piece : value.sync(context)) out.push_back({{{key, std::move(piece)}}});
            }
        },
        inner);
}

void append_emptying(std::vector<CrdtMapClientDelta>& out, const std::string& key, const InnerValue& inner) {
    std::visit(
        [&](const auto& value) {
            for (auto& piece : value.emptying()) out.push_back({{{key, std::move(piece)}}});
        },
        inner);
}

Rejection mismatched_variant() {
    return {"invalid operation: inner op type does not match inner crdt type"};
}

uint64_t deadline_of(const InnerValue& inner) {
    return std::visit([](const auto& value) { return next_deadline_of(value); }, inner);
}

// The inner check. REQUIRES: the op is of the value's type.
std::optional<Rejection> check_inner(const InnerValue& inner, const InnerOp& op, const Limits& limits) {
    return std::visit(
        [&](const auto& value) {
            return value.check(std::get<typename std::decay_t<decltype(value)>::Op>(op), limits);
        },
        inner);
}

}  // namespace

Type type_of(const InnerValue& value) {
    return type_at(value);
}
Type type_of(const InnerDelta& delta) {
    return type_at(delta);
}

InnerValue make_inner_value(Type type) {
    switch (type) {
        case Type::gcounter:
            return GCounter();
        case Type::pncounter:
            return PnCounter();
        case Type::orset:
            return OrSet();
        case Type::lww_register:
            return LwwRegister();
        case Type::presence:
            return Presence();
        case Type::rga:
            return Rga();
        case Type::tree:
        case Type::crdt_map:
            break;
    }
    return Tree();
}

std::optional<Rejection> CrdtMap::check(const Op& op, const Limits& limits) const {
    if (op.crdt_type == Type::crdt_map) return Rejection{"invalid operation: CRDTMap cannot be nested"};
    const auto found = entries_.find(op.key);
    if (found != entries_.end() && type_of(found->second) != op.crdt_type) {
        return Rejection{"invalid operation: key '" + op.key + "' is type " +
                         std::string(field_name(type_of(found->second))) + ", op is type " +
                         std::string(field_name(op.crdt_type))};
    }
    if (type_of(op.op) != op.crdt_type) return mismatched_variant();
    if (found != entries_.end()) return check_inner(found->second, op.op, limits);
    if (op.key.size() > limits.map_key_bytes_max) {
        return over_limit("CRDTMap key bytes", op.key.size(), limits.map_key_bytes_max);
    }
    if (entries_.size() >= limits.map_keys_max) {
        return over_limit("CRDTMap keys", entries_.size() + 1, limits.map_keys_max);
    }
    return check_inner(make_inner_value(op.crdt_type), op.op, limits);
}

void CrdtMap::count_in(const std::string& key, const InnerValue& inner) {
    memory_bytes_ +=
        entry_memory_bytes + key.size() + std::visit([](const auto& v) { return v.memory_bytes(); }, inner);
    if (const uint64_t deadline_ms = deadline_of(inner); deadline_ms != 0) due_.emplace(deadline_ms, key);
}

void CrdtMap::count_out(const std::string& key, const InnerValue& inner) {
    memory_bytes_ -=
        entry_memory_bytes + key.size() + std::visit([](const auto& v) { return v.memory_bytes(); }, inner);
    if (const uint64_t deadline_ms = deadline_of(inner); deadline_ms != 0) due_.erase({deadline_ms, key});
}

Applied<CrdtMap::Delta, CrdtMapClientDelta> CrdtMap::apply(const Op& op, const ApplyContext& context) {
    Applied<Delta, ClientDelta> applied;
    const auto found = entries_.find(op.key);
    InnerValue fresh;
    InnerValue* inner = &fresh;
    if (found == entries_.end()) {
        fresh = make_inner_value(op.crdt_type);
    } else {
        inner = &found->second;
        count_out(op.key, *inner);
    }
    std::visit(
        [&](auto& value) {
            auto result = value.apply(std::get<typename std::decay_t<decltype(value)>::Op>(op.op), context);
            if (!result.changed) return;
            applied.changed = true;
            applied.delta.entries.emplace_back(op.key, std::move(result.delta));
            applied.own_view = result.own_view;
            append_wrapped(applied.views, op.key, value, std::move(result.views));
        },
        *inner);
    if (found != entries_.end()) {
        count_in(op.key, *inner);
    } else if (applied.changed) {
        count_in(op.key, entries_.emplace(op.key, std::move(fresh)).first->second);
    }
    return applied;
}

std::vector<CrdtMapClientDelta> CrdtMap::join(const Delta& delta, const JoinContext& context) {
    std::vector<ClientDelta> views;
    for (const auto& [key, change] : delta.entries) {
        const Type type = type_of(change);
        auto found = entries_.find(key);
        if (found == entries_.end()) {
            found = entries_.emplace(key, make_inner_value(type)).first;
        } else if (type_of(found->second) < type) {
            continue;
        } else {
            count_out(key, found->second);
            if (type_of(found->second) > type) {
                append_emptying(views, key, found->second);
                found->second = make_inner_value(type);
            }
        }
        const InnerDelta& inner_delta = change;
        std::visit(
            [&](auto& value) {
                using Value = std::decay_t<decltype(value)>;
                append_wrapped(views, found->first, value,
                               value.join(std::get<typename Value::Delta>(inner_delta), context));
            },
            found->second);
        count_in(key, found->second);
    }
    return views;
}

CrdtMap::Delta CrdtMap::full_delta() const {
    Delta delta;
    delta.entries.reserve(entries_.size());
    for (const auto& entry : entries_) {
        std::visit([&](const auto& value) { delta.entries.emplace_back(entry.first, value.full_delta()); },
                   entry.second);
    }
    return delta;
}

std::vector<CrdtMapClientDelta> CrdtMap::sync(const SyncContext& context) const {
    std::vector<ClientDelta> pieces;
    for (const auto& [key, inner] : entries_) append_sync(pieces, key, inner, context);
    return pieces;
}

std::vector<CrdtMapClientDelta> CrdtMap::emptying() const {
    std::vector<ClientDelta> pieces;
    for (const auto& [key, inner] : entries_) append_emptying(pieces, key, inner);
    return pieces;
}

void CrdtMap::write_value(JsonWriter& out, uint64_t now_ms) const {
    out.begin_object();
    for (const auto& [key, inner] : entries_) {
        out.key(key);
        std::visit([&](const auto& value) { value.write_value(out, now_ms); }, inner);
    }
    out.end_object();
}

CompactionResult CrdtMap::compact(const CompactionContext& context) {
    CompactionResult result;
    for (auto& [key, inner] : entries_) {
        count_out(key, inner);
        if (std::visit([&](auto& value) { return value.compact(context).changed; }, inner)) result.changed = true;
        count_in(key, inner);
    }
    return result;
}

CrdtMap CrdtMap::restore(Entries entries) {
    CrdtMap map;
    map.entries_ = std::move(entries);
    for (const auto& [key, inner] : map.entries_) map.count_in(key, inner);
    return map;
}

void CrdtMap::assume_shown() {
    for (auto& [key, inner] : entries_) {
        count_out(key, inner);
        std::visit([](auto& value) { assume_value_shown(value); }, inner);
        count_in(key, inner);
    }
}

uint64_t CrdtMap::next_deadline_ms() const {
    return due_.empty() ? 0 : due_.begin()->first;
}

std::vector<CrdtMapClientDelta> CrdtMap::expire(uint64_t now_ms) {
    std::vector<ClientDelta> views;
    while (!due_.empty() && due_.begin()->first <= now_ms) {
        const std::string key = due_.begin()->second;
        InnerValue& inner = entries_.find(key)->second;
        count_out(key, inner);
        std::visit([&](auto& value) { append_wrapped(views, key, value, expire_value(value, now_ms)); }, inner);
        count_in(key, inner);
    }
    return views;
}

}  // namespace meridian::crdt
