#include "crdt/key_history.h"

#include <algorithm>
#include <numeric>

#include "wire/key_codec.h"

namespace meridian::test {

using namespace crdt;

namespace {

Hlc stamp(uint64_t wall_ms, uint64_t node_id, uint16_t logical = 0) {
    return {wall_ms, logical, node_id};
}

Tag tag(uint8_t byte) {
    Tag made{};
    made.fill(byte);
    return made;
}

JsonValue text(const char* utf8) {
    return JsonValue::string(utf8);
}

std::vector<Op> make_pool(Type type) {
    switch (type) {
        case Type::gcounter:
            return {GCounterOp{1, 5}, GCounterOp{2, 1}, GCounterOp{1, 2}, GCounterOp{1, UINT64_MAX}};
        case Type::pncounter:
            return {PnCounterOp{PnCounterOp::Side::increment, 1, 5}, PnCounterOp{PnCounterOp::Side::decrement, 1, 3},
                    PnCounterOp{PnCounterOp::Side::increment, 2, 1}, PnCounterOp{PnCounterOp::Side::decrement, 2, 9}};
        case Type::orset:
            return {OrSetOp(OrSetAdd{text("x"), tag(1), 0, 0}), OrSetOp(OrSetRemove{text("x"), {tag(1)}}),
                    OrSetOp(OrSetAdd{text("x"), tag(2), 7, 3}), OrSetOp(OrSetRemove{text("x"), {tag(1), tag(2)}}),
                    OrSetOp(OrSetAdd{text("x"), tag(1), 7, 4}), OrSetOp(OrSetAdd{JsonValue::integer(3), tag(1), 0, 0})};
        case Type::lww_register:
            return {LwwRegisterOp{text("a"), stamp(10, 1), 1}, LwwRegisterOp{text("b"), stamp(10, 1), 1},
                    LwwRegisterOp{text("c"), stamp(10, 1), 2}, LwwRegisterOp{text("d"), stamp(11, 0), 2},
                    LwwRegisterOp{JsonValue(), stamp(10, 1), 1}};
        case Type::presence:
            return {PresenceOp(PresenceHeartbeat{1, text("a"), stamp(10, 1), 30000}),
                    PresenceOp(PresenceLeave{1, stamp(10, 1)}),
                    PresenceOp(PresenceHeartbeat{1, text("b"), stamp(10, 1), 30000}),
                    PresenceOp(PresenceHeartbeat{1, text("c"), stamp(11, 1), 20000}),
                    PresenceOp(PresenceHeartbeat{2, text("d"), stamp(9, 1), 0}),
                    PresenceOp(PresenceLeave{2, stamp(9, 2)})};
        case Type::rga: {
            const Hlc a = stamp(10, 1), b = stamp(11, 1), x = stamp(5, 2);
            return {RgaOp(RgaInsert{a, {}, U'a', false}), RgaOp(RgaInsert{b, a, U'b', false}),
                    RgaOp(RgaInsert{x, {}, U'x', false}), RgaOp(RgaDelete{a, false}),
                    RgaOp(RgaInsert{b, {}, U'c', false}), RgaOp(RgaInsert{stamp(12, 2), b, U'd', false})};
        }
        case Type::tree: {
            const Hlc r = stamp(1, 1), s = stamp(2, 1);
            return {TreeOp(TreeAddNode{r, {}, "a", "R", false}),
                    TreeOp(TreeAddNode{s, r, "b", "S", false}),
                    TreeOp(TreeMoveNode{stamp(10, 1), r, s, "c", false, false}),
                    TreeOp(TreeMoveNode{stamp(9, 2), s, {}, "d", false, false}),
                    TreeOp(TreeUpdateNode{r, "U", stamp(8, 1), false}),
                    TreeOp(TreeDeleteNode{s, false}),
                    TreeOp(TreeAddNode{s, {}, "b", "T", false})};
        }
        case Type::crdt_map:
            return {CrdtMapOp{"k", Type::gcounter, GCounterOp{1, 5}},
                    CrdtMapOp{"k", Type::lww_register, LwwRegisterOp{text("a"), stamp(10, 1), 1}},
                    CrdtMapOp{"s", Type::orset, OrSetOp(OrSetAdd{text("x"), tag(1), 0, 0})},
                    CrdtMapOp{"s", Type::orset, OrSetOp(OrSetRemove{text("x"), {tag(1)}})},
                    CrdtMapOp{"s", Type::rga, RgaOp(RgaInsert{stamp(10, 1), {}, U'a', false})},
                    CrdtMapOp{"", Type::tree, TreeOp(TreeAddNode{stamp(1, 1), {}, "a", "R", false})},
                    CrdtMapOp{"p", Type::presence, PresenceOp(PresenceHeartbeat{1, text("a"), stamp(10, 1), 30000})}};
    }
    return {};
}

// splitmix64 (Steele, Lea, Flood 2014).
uint64_t next_random(uint64_t& state) {
    uint64_t z = (state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

template <class Items>
void shuffle_items(Items& items, uint64_t& random) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[next_random(random) % i]);
}

bool equal(const KeyDelta& left, const KeyDelta& right) {
    return left.generation == right.generation && left.expiry == right.expiry && left.delta == right.delta;
}

void join_full(Key& key, const Key& other, Join join) {
    CountingStamps stamps(99);
    if (other.generation() != 0) join(key, other.full_delta(), {end_ms, stamps});
}

Key union_of(const Key& left, const Key& right) {
    Key both = left;
    join_full(both, right, correct_join);
    return both;
}

}  // namespace

const std::vector<Op>& op_pool(Type type) {
    static const std::vector<std::vector<Op>> pools = [] {
        std::vector<std::vector<Op>> made;
        for (unsigned code = 1; code <= type_code_max; ++code) made.push_back(make_pool(static_cast<Type>(code)));
        return made;
    }();
    return pools[static_cast<size_t>(type) - 1];
}

const std::vector<Op>& mixed_pool() {
    static const std::vector<Op> pool{op_pool(Type::lww_register)[0], op_pool(Type::gcounter)[0],
                                      op_pool(Type::orset)[0],        op_pool(Type::tree)[0],
                                      op_pool(Type::lww_register)[3], op_pool(Type::rga)[0]};
    return pool;
}

void correct_join(Key& key, const KeyDelta& delta, const JoinContext& context) {
    key.join(delta, context);
}

Run run_history(const std::vector<Op>& pool, const std::vector<Step>& steps, Join join) {
    Run run;
    run.replicas.resize(replica_count);
    uint64_t now_ms = start_ms;
    for (const Step& step : steps) {
        ++now_ms;
        const unsigned replica = step.replica % replica_count;
        Key& key = run.replicas[replica];
        CountingStamps stamps(100 + replica);
        for (size_t i = 0; i < run.deltas.size(); ++i) {
            if ((step.delivered >> (i % 32) & 1U) != 0) join(key, run.deltas[i], {now_ms, stamps});
        }
        const Op& op = pool[step.op % pool.size()];
        if (key.check(op, Limits{}, now_ms)) continue;
        const Key before = key;
        // Clocks of nodes differ: the entry's stamp is not always the greatest.
        const EntryStamp entry{{now_ms - replica * 2, 0, 100 + replica}, 1 + replica};
        std::optional<uint64_t> ttl_ms;
        if (step.ttl % 4 != 0) ttl_ms = end_ms * (step.ttl % 4);
        auto applied = key.apply(op, ttl_ms, {entry, stamps});
        if (!applied.changed) {
            if (!(key == before) && run.problem.empty()) run.problem = "an op that is not `changed` changed the state";
            continue;
        }
        Key other = before;
        join(other, applied.delta, {now_ms, stamps});
        if (!(other == key) && run.problem.empty()) run.problem = "the delta of an op joined is not the op applied";
        run.deltas.push_back(std::move(applied.delta));
    }
    return run;
}

Key joined(const std::vector<KeyDelta>& deltas, const std::vector<size_t>& order, Join join) {
    Key key;
    CountingStamps stamps(98);
    for (const size_t i : order) join(key, deltas[i], {end_ms, stamps});
    return key;
}

std::string check_convergence(const Run& run, uint64_t shuffle, Join join) {
    if (!run.problem.empty()) return run.problem;
    if (run.deltas.empty()) return {};
    std::vector<size_t> order(run.deltas.size());
    std::iota(order.begin(), order.end(), 0);
    const Key expected = joined(run.deltas, order, join);
    const std::string bytes = wire::encode_snapshot(expected);
    const std::string value = expected.value_json(end_ms);
    const auto differs = [&](const Key& key) {
        return !(key == expected) || wire::encode_snapshot(key) != bytes || key.value_json(end_ms) != value;
    };
    for (int i = 0; i < 4; ++i) {
        std::vector<size_t> other = order;
        shuffle_items(other, shuffle);
        other.push_back(other[next_random(shuffle) % other.size()]);
        if (differs(joined(run.deltas, other, join))) return "the order of delivery, or a repeat, changes the state";
    }
    for (const Key& replica : run.replicas) {
        Key key = replica;
        std::vector<size_t> other = order;
        shuffle_items(other, shuffle);
        CountingStamps stamps(97);
        for (const size_t i : other) join(key, run.deltas[i], {end_ms, stamps});
        if (differs(key)) return "a replica that has everything differs from the join of all deltas";
    }
    Key by_states;
    for (const Key& replica : run.replicas) join_full(by_states, replica, join);
    if (differs(by_states)) return "the replicas' states joined differ from the join of all deltas";
    return {};
}

std::string check_join_laws(const Run& run) {
    const Key &a = run.replicas[0], &b = run.replicas[1], &c = run.replicas[2];
    for (const Key& key : run.replicas) {
        if (key.generation() != 0 && !(union_of(Key(), key) == key)) return "a full delta does not rebuild its key";
        if (!(union_of(key, key) == key)) return "join is not idempotent";
    }
    if (!(union_of(a, b) == union_of(b, a))) return "join is not commutative";
    if (!(union_of(union_of(a, b), c) == union_of(a, union_of(b, c)))) return "join is not associative";
    return {};
}

std::string check_codecs(const Run& run) {
    for (const KeyDelta& delta : run.deltas) {
        const std::string bytes = wire::encode_key_delta(delta);
        const auto decoded = wire::decode_key_delta(bytes);
        if (!decoded) return "a delta is not decoded: " + decoded.error().message;
        if (!equal(*decoded, delta)) return "a delta comes back different";
        if (wire::encode_key_delta(*decoded) != bytes) return "a delta re-encodes to other bytes";
    }
    for (const Key& key : run.replicas) {
        if (key.generation() == 0) continue;
        const std::string bytes = wire::encode_snapshot(key);
        const auto decoded = wire::decode_snapshot(bytes);
        if (!decoded) return "a snapshot is not decoded: " + decoded.error().message;
        if (!(*decoded == key)) return "a snapshot comes back different";
        if (wire::encode_snapshot(*decoded) != bytes) return "a snapshot re-encodes to other bytes";
        const auto full = wire::decode_key_delta(wire::encode_key_delta(key.full_delta()));
        if (!full) return "a full delta is not decoded: " + full.error().message;
        if (!equal(*full, key.full_delta())) return "a full delta comes back different";
    }
    return {};
}

std::string check_decoders(const Run& run, uint64_t shuffle) {
    const auto mutate = [&shuffle](std::string bytes) {
        const uint64_t choice = next_random(shuffle);
        const size_t at = next_random(shuffle) % bytes.size();
        switch (choice % 4) {
            case 0:
                bytes.resize(at);
                break;
            case 1:
                bytes[at] = static_cast<char>(next_random(shuffle));
                break;
            case 2:
                bytes.insert(at, 1, static_cast<char>(next_random(shuffle)));
                break;
            default:
                bytes.erase(at, 1);
                break;
        }
        return bytes;
    };
    for (int i = 0; i < 20; ++i) {
        for (const KeyDelta& delta : run.deltas) {
            const std::string bytes = mutate(wire::encode_key_delta(delta));
            const auto decoded = wire::decode_key_delta(bytes);
            if (decoded.ok() && wire::encode_key_delta(*decoded) != bytes)
                return "a delta decoder takes what the encoder does not write";
        }
        for (const Key& key : run.replicas) {
            if (key.generation() == 0) continue;
            const std::string bytes = mutate(wire::encode_snapshot(key));
            const auto decoded = wire::decode_snapshot(bytes);
            if (decoded.ok() && wire::encode_snapshot(*decoded) != bytes)
                return "a snapshot decoder takes what the encoder does not write";
        }
    }
    return {};
}

}  // namespace meridian::test
