// Every small history of every type: four different ops, in every order, on every replica of three (the first op on
// replica 0: the replicas are alike), each either seeing nothing but its own replica's writes or everything so far; all
// 24 orders of delivery. And deliberately wrong joins, each of which the properties must catch.
#include <cppunit/extensions/HelperMacros.h>

#include <algorithm>
#include <array>
#include <set>

#include "crdt/key_history.h"

using namespace meridian::crdt;

namespace meridian::test {

namespace {

struct Count {
    size_t histories = 0;
    size_t deliveries = 0;
    std::string problem;
};

std::string check_all_orders(const Run& run, Join join, size_t& deliveries) {
    if (!run.problem.empty()) return run.problem;
    if (run.deltas.empty()) return {};
    std::vector<size_t> order(run.deltas.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    const Key expected = joined(run.deltas, order, join);
    do {
        ++deliveries;
        if (!(joined(run.deltas, order, join) == expected)) return "the order of delivery changes the state";
    } while (std::next_permutation(order.begin(), order.end()));
    order.insert(order.end(), order.begin(), order.end());  // everything twice
    if (!(joined(run.deltas, order, join) == expected)) return "a repeat changes the state";
    for (const Key& replica : run.replicas) {
        Key key = replica;
        CountingStamps stamps(97);
        for (const KeyDelta& delta : run.deltas) join(key, delta, {end_ms, stamps});
        if (!(key == expected)) return "a replica that has everything differs from the join of all deltas";
    }
    return {};
}

// Stops at the first problem.
Count search(const std::vector<Op>& pool, Join join, unsigned ttl = 0) {
    Count count;
    std::vector<unsigned> ops(pool.size());
    for (unsigned i = 0; i < ops.size(); ++i) ops[i] = i;
    std::set<std::array<unsigned, 4>> seen;  // permutations of a longer pool repeat their first four
    do {
        if (!seen.insert({ops[0], ops[1], ops[2], ops[3]}).second) continue;
        for (unsigned where = 0; where < 27; ++where) {
            for (unsigned sees = 0; sees < 8; ++sees) {
                const std::vector<Step> steps{{0, ops[0], 0, ttl},
                                              {where % 3, ops[1], (sees & 1U) != 0 ? ~0U : 0, 0},
                                              {where / 3 % 3, ops[2], (sees & 2U) != 0 ? ~0U : 0, 2 * ttl},
                                              {where / 9, ops[3], (sees & 4U) != 0 ? ~0U : 0, 0}};
                ++count.histories;
                count.problem = check_all_orders(run_history(pool, steps, join), join, count.deliveries);
                if (!count.problem.empty()) return count;
            }
        }
    } while (std::next_permutation(ops.begin(), ops.end()));
    return count;
}

std::vector<Op> first_ops(Type type, size_t count) {
    const auto& pool = op_pool(type);
    return {pool.begin(), pool.begin() + static_cast<std::ptrdiff_t>(std::min(count, pool.size()))};
}

// Puts a changed full delta in place of the key's state.
void rewrite(Key& key, KeyDelta full) {
    CountingStamps stamps(96);
    Key other;
    other.join(full, {end_ms, stamps});
    key = std::move(other);
}

// Slots are added up.
void sum_instead_of_maximum(Key& key, const KeyDelta& delta, const JoinContext& context) {
    KeyDelta changed = delta;
    if (key.generation() != 0) {
        const auto known = key.full_delta();
        for (auto& [slot, total] : std::get<GCounter::Delta>(changed.delta).slots) {
            for (const auto& [other, other_total] : std::get<GCounter::Delta>(known.delta).slots) {
                if (other == slot) total += other_total;
            }
        }
    }
    key.join(changed, context);
}

// Slots belong to clients, whatever node they wrote through: D-04.
void slots_by_client_only(Key& key, const KeyDelta& delta, const JoinContext& context) {
    KeyDelta changed = delta;
    for (auto& [slot, total] : std::get<GCounter::Delta>(changed.delta).slots) slot.node_id = slot.incarnation = 0;
    key.join(changed, context);
}

// Removes take effect and are then forgotten: D-05.
void tombstones_forgotten(Key& key, const KeyDelta& delta, const JoinContext& context) {
    key.join(delta, context);
    KeyDelta full = key.full_delta();
    auto& elements = std::get<OrSet::Delta>(full.delta).elements;
    for (auto& element : elements) element.removes.clear();
    std::erase_if(elements, [](const auto& element) { return element.adds.empty(); });
    rewrite(key, full);
}

const std::optional<LwwRegister::Entry>& entry_of(const Key& key) {
    return std::get<LwwRegister>(key.value()).entry();
}

// Equal stamps and authors: the lesser text wins.
void ascending_tie_break(Key& key, const KeyDelta& delta, const JoinContext& context) {
    const auto& theirs = std::get<LwwRegister::Delta>(delta.delta).entry;
    if (key.generation() != 0 && entry_of(key) && theirs && entry_of(key)->entry.hlc == theirs->entry.hlc &&
        entry_of(key)->entry.author == theirs->entry.author &&
        compare_text(theirs->entry.value, entry_of(key)->entry.value) < 0) {
        KeyDelta full = key.full_delta();
        full.delta = delta.delta;
        rewrite(key, full);
        return;
    }
    if (key.generation() != 0 && entry_of(key) && theirs && entry_of(key)->entry.hlc == theirs->entry.hlc &&
        entry_of(key)->entry.author == theirs->entry.author) {
        return;
    }
    key.join(delta, context);
}

// A delta without an entry clears the register.
void nil_clears(Key& key, const KeyDelta& delta, const JoinContext& context) {
    key.join(delta, context);
    if (std::get<LwwRegister::Delta>(delta.delta).entry) return;
    KeyDelta full = key.full_delta();
    full.delta = LwwRegister::Delta{};
    rewrite(key, full);
}

// The type that came first stays: D-17.
void local_type_wins(Key& key, const KeyDelta& delta, const JoinContext& context) {
    if (key.generation() != 0 && key.value().index() != delta.delta.index()) return;
    key.join(delta, context);
}

// The expiry that came last stays.
void expiry_by_arrival(Key& key, const KeyDelta& delta, const JoinContext& context) {
    key.join(delta, context);
    KeyDelta full = key.full_delta();
    full.expiry = delta.expiry;
    rewrite(key, full);
}

// A departure does not beat a heartbeat of the same stamp, whichever came first stays: D-13b.
void presence_keeps_first(Key& key, const KeyDelta& delta, const JoinContext& context) {
    KeyDelta changed = delta;
    if (key.generation() != 0) {
        const auto known = key.full_delta();
        auto& entries = std::get<Presence::Delta>(changed.delta).entries;
        for (const auto& [id, entry] : std::get<Presence::Delta>(known.delta).entries) {
            const auto client_id = id;
            const auto hlc = entry.hlc;
            std::erase_if(entries, [&](const auto& e) { return e.first == client_id && e.second.hlc == hlc; });
        }
    }
    key.join(changed, context);
}

// Tombstones of characters are not kept by those who have not seen the character.
void early_deletes_forgotten(Key& key, const KeyDelta& delta, const JoinContext& context) {
    const Key before = key;
    key.join(delta, context);
    const auto& deletes = std::get<Rga::Delta>(delta.delta).deletes();
    if (!deletes.empty() && (before.generation() == 0 || std::get<Rga>(before.value()).sequence().empty()))
        key = before;
}

// Moves that arrive late are dropped: D-16.
void late_moves_dropped(Key& key, const KeyDelta& delta, const JoinContext& context) {
    KeyDelta changed = delta;
    if (key.generation() != 0) {
        const auto known = key.full_delta();
        const auto& known_moves = std::get<Tree::Delta>(known.delta).moves;
        std::erase_if(std::get<Tree::Delta>(changed.delta).moves, [&](const TreeMoveNode& move) {
            return !known_moves.empty() && move.op_id < known_moves.back().op_id;
        });
    }
    key.join(changed, context);
}

}  // namespace

class KeyExhaustiveTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(KeyExhaustiveTest);
    CPPUNIT_TEST(every_small_history_of_every_type_converges);
    CPPUNIT_TEST(every_small_history_of_mixed_types_converges);
    CPPUNIT_TEST(every_small_history_with_expiry_converges);
    CPPUNIT_TEST(wrong_joins_are_caught);
    CPPUNIT_TEST_SUITE_END();

    void expect_all(const std::string& name, const std::vector<Op>& pool, unsigned ttl) {
        const Count count = search(pool, correct_join, ttl);
        CPPUNIT_ASSERT_EQUAL_MESSAGE(name, std::string(), count.problem);
        CPPUNIT_ASSERT_MESSAGE(name, count.histories >= 24 * 27 * 8 && count.deliveries > count.histories);
    }

    void every_small_history_of_every_type_converges() {
        for (unsigned code = 1; code <= type_code_max; ++code) {
            const Type type = static_cast<Type>(code);
            expect_all(std::string(variant_name(type)), first_ops(type, 4), 0);
        }
    }
    void every_small_history_of_mixed_types_converges() {
        expect_all("mixed", {mixed_pool().begin(), mixed_pool().begin() + 4}, 0);
    }
    void every_small_history_with_expiry_converges() { expect_all("expiry", first_ops(Type::lww_register, 4), 1); }

    void expect_caught(const std::string& name, const std::vector<Op>& pool, Join join, unsigned ttl = 0) {
        CPPUNIT_ASSERT_EQUAL_MESSAGE(name + ": the right join", std::string(), search(pool, correct_join, ttl).problem);
        CPPUNIT_ASSERT_MESSAGE(name + " was not caught", !search(pool, join, ttl).problem.empty());
    }
    void wrong_joins_are_caught() {
        expect_caught("sum instead of maximum", first_ops(Type::gcounter, 4), sum_instead_of_maximum);
        expect_caught("slots by client only", first_ops(Type::gcounter, 4), slots_by_client_only);
        expect_caught("tombstones forgotten", first_ops(Type::orset, 4), tombstones_forgotten);
        expect_caught("ascending tie-break", first_ops(Type::lww_register, 4), ascending_tie_break);
        expect_caught("nil clears", first_ops(Type::lww_register, 4), nil_clears, 1);
        expect_caught("local type wins", {mixed_pool().begin(), mixed_pool().begin() + 4}, local_type_wins);
        expect_caught("expiry by arrival", first_ops(Type::lww_register, 4), expiry_by_arrival, 1);
        expect_caught("presence keeps first", first_ops(Type::presence, 4), presence_keeps_first);
        expect_caught("early deletes forgotten", first_ops(Type::rga, 4), early_deletes_forgotten);
        expect_caught("late moves dropped", first_ops(Type::tree, 4), late_moves_dropped);
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(KeyExhaustiveTest);

}  // namespace meridian::test
