// The RGA against the model that recomputes everything from the op set: random histories in any order with duplicates,
// all interleavings of small sets, and wrong rules, each of which the same comparison must find.
#include <cppunit/extensions/HelperMacros.h>

#include <algorithm>
#include <random>
#include <string>

#include "rga_history.h"
#include "rga_model.h"

namespace meridian::crdt::test {

namespace {

constexpr unsigned histories = 300;

bool agrees(const Rga& rga, const RgaModel& model) {
    return shown(rga) == model.shown();
}

std::vector<RgaDelta> disordered(std::vector<RgaDelta> deltas, std::mt19937_64& random) {
    const size_t count = deltas.size();
    for (size_t i = 0; i < count / 4; ++i) deltas.push_back(deltas[random() % count]);
    std::shuffle(deltas.begin(), deltas.end(), random);
    return deltas;
}

HistoryShape shape_for(unsigned seed) {
    HistoryShape shape;
    shape.ops = 5 + seed % 90;
    shape.authors = 1 + seed % 4;
    shape.skew_ms = seed % 3 == 0 ? 0 : 20;
    shape.typing_percent = seed % 5 * 24;
    shape.delete_percent = seed % 7 * 9;
    shape.conflict_percent = seed % 4 == 1 ? 15 : 0;
    shape.unknown_percent = seed % 4 >= 2 ? 8 : 0;
    return shape;
}

// Ops whose order of arrival matters to wrong rules; each set's interleavings are all tried.
struct SmallSet {
    const char* name;
    std::vector<RgaOp> ops;
};

std::vector<SmallSet> small_sets() {
    const Hlc a{10, 0, 1}, b{11, 0, 1}, x{5, 0, 2}, y{12, 0, 2}, c{13, 0, 3}, lost{0, 4, 0};
    return {
        {"two runs at the head",
         {make_insert(a, {}, U'A'), make_insert(b, a, U'B'), make_insert(x, {}, U'X'), make_insert(y, {}, U'Y'),
          RgaDelete{b, false}}},
        {"typing in the middle",
         {make_insert(a, {}, U'A'), make_insert(b, a, U'C'), make_insert(y, a, U'B'), make_insert(c, y, U'x'),
          make_insert(x, y, U'w')}},
        {"delete before insert",
         {RgaDelete{a, false}, make_insert(a, {}, U'A'), make_insert(b, a, U'B'), RgaDelete{b, false},
          make_insert(c, b, U'C')}},
        {"orphans that stay",
         {make_insert(a, lost, U'A'), make_insert(b, a, U'B'), make_insert(x, lost, U'X'),
          make_insert(y, Hlc{1, 1, 1}, U'Y'), make_insert(c, {}, U'C')}},
        {"one id thrice",
         {make_insert(a, {}, U'A'), make_insert(a, x, U'B'), make_insert(a, {}, U'C'), make_insert(b, a, U'D'),
          make_insert(x, {}, U'X')}},
        {"one id, origins unknown",
         {make_insert(a, lost, U'A'), make_insert(a, x, U'B'), make_insert(b, a, U'D'), make_insert(x, b, U'X'),
          RgaDelete{a, false}}},
        {"a ring",
         {make_insert(a, b, U'A'), make_insert(b, c, U'B'), make_insert(c, a, U'C'), make_insert(x, b, U'X'),
          make_insert(y, {}, U'Y')}},
        {"a ring by conflict",
         {make_insert(a, {}, U'A'), make_insert(b, y, U'B'), make_insert(b, a, U'b'), make_insert(y, b, U'Y'),
          make_insert(c, b, U'C')}},
    };
}

// Whether some order of some set shows that the model's rule is not the RGA's, or not a function of the set.
std::string first_difference(Mutation mutation) {
    for (const SmallSet& set : small_sets()) {
        std::vector<size_t> order(set.ops.size());
        for (size_t i = 0; i < order.size(); ++i) order[i] = i;
        do {
            Rga rga;
            RgaModel model(mutation);
            for (const size_t i : order) {
                join(rga, delta_of(set.ops[i]));
                model.take(delta_of(set.ops[i]));
            }
            if (!agrees(rga, model)) return set.name;
        } while (std::next_permutation(order.begin(), order.end()));
    }
    for (unsigned seed = 1; seed <= histories; ++seed) {
        std::mt19937_64 random(seed);
        const auto deltas = disordered(random_history(random, shape_for(seed)), random);
        Rga rga;
        RgaModel model(mutation);
        for (const RgaDelta& delta : deltas) {
            join(rga, delta);
            model.take(delta);
        }
        if (!agrees(rga, model)) return "seed " + std::to_string(seed);
    }
    return {};
}

class RgaReferenceTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(RgaReferenceTest);
    CPPUNIT_TEST(shows_what_the_op_set_says_after_every_op);
    CPPUNIT_TEST(small_sets_agree_in_every_order);
    CPPUNIT_TEST(replicas_with_different_orders_are_equal);
    CPPUNIT_TEST(ops_that_are_applied_equal_their_deltas_joined);
    CPPUNIT_TEST(full_delta_carries_the_whole_state);
    CPPUNIT_TEST(joining_full_deltas_is_commutative_associative_and_idempotent);
    CPPUNIT_TEST(compaction_changes_nothing_that_is_shown_or_known);
    CPPUNIT_TEST(long_texts_with_many_runs_agree);
    CPPUNIT_TEST(typing_where_stretches_were_deleted_agrees);
    CPPUNIT_TEST(late_children_of_deleted_stretches_agree);
    CPPUNIT_TEST(every_wrong_rule_is_found);
    CPPUNIT_TEST_SUITE_END();

public:
    void shows_what_the_op_set_says_after_every_op() {
        for (unsigned seed = 1; seed <= histories; ++seed) {
            std::mt19937_64 random(seed);
            Rga rga;
            RgaModel model;
            for (const RgaDelta& delta : disordered(random_history(random, shape_for(seed)), random)) {
                join(rga, delta);
                model.take(delta);
                CPPUNIT_ASSERT_MESSAGE("seed " + std::to_string(seed), agrees(rga, model));
            }
            const std::string value = text(rga);
            const std::string expected = "\"text\":\"" + model.text() + "\"}";
            CPPUNIT_ASSERT_EQUAL_MESSAGE("seed " + std::to_string(seed), expected,
                                         value.substr(value.size() - expected.size()));
        }
    }

    void small_sets_agree_in_every_order() { CPPUNIT_ASSERT_EQUAL(std::string(), first_difference(Mutation::none)); }

    void replicas_with_different_orders_are_equal() {
        for (unsigned seed = 1; seed <= histories; ++seed) {
            std::mt19937_64 random(seed);
            const auto history = random_history(random, shape_for(seed));
            Rga first;
            Rga second;
            for (const RgaDelta& delta : disordered(history, random)) join(first, delta);
            RgaDelta at_once;  // the same as one delta, in yet another order
            for (const RgaDelta& delta : disordered(history, random)) {
                delta.for_each([&](const RgaElement& element) { at_once.add(element); });
                for (const Hlc& id : delta.deletes()) at_once.add_delete(id);
            }
            join(second, at_once);
            CPPUNIT_ASSERT_MESSAGE("seed " + std::to_string(seed), first == second);
        }
    }

    void ops_that_are_applied_equal_their_deltas_joined() {
        const Limits limits;
        size_t rejected = 0;
        for (unsigned seed = 1; seed <= histories; ++seed) {
            std::mt19937_64 random(seed);
            Rga by_op;
            Rga by_delta;
            for (const RgaDelta& delta : disordered(random_history(random, shape_for(seed)), random)) {
                RgaOp op;
                delta.for_each([&](const RgaElement& e) { op = make_insert(e.id, e.origin_id, e.content); });
                for (const Hlc& id : delta.deletes()) op = RgaDelete{id, false};
                if (by_op.check(op, limits)) {
                    ++rejected;
                    continue;
                }
                const Rga before = by_op;
                const auto applied = apply_op(by_op, op);
                join(by_delta, applied.delta);
                const std::string message = "seed " + std::to_string(seed);
                CPPUNIT_ASSERT_MESSAGE(message, by_op == by_delta);
                CPPUNIT_ASSERT_EQUAL_MESSAGE(message, !applied.changed, before == by_op);
                CPPUNIT_ASSERT_EQUAL_MESSAGE(message, !applied.changed, applied.delta.empty());
            }
        }
        CPPUNIT_ASSERT(rejected > 0);
    }

    void full_delta_carries_the_whole_state() {
        for (unsigned seed = 1; seed <= histories; ++seed) {
            std::mt19937_64 random(seed);
            Rga rga;
            for (const RgaDelta& delta : disordered(random_history(random, shape_for(seed)), random)) join(rga, delta);
            Rga copy;
            join(copy, rga.full_delta());
            CPPUNIT_ASSERT_MESSAGE("seed " + std::to_string(seed), copy == rga);
        }
    }

    void joining_full_deltas_is_commutative_associative_and_idempotent() {
        for (unsigned seed = 1; seed <= histories; ++seed) {
            std::mt19937_64 random(seed);
            Rga parts[3];
            for (const RgaDelta& delta : disordered(random_history(random, shape_for(seed)), random)) {
                for (Rga& part : parts) {
                    if (random() % 2 == 0) join(part, delta);
                }
            }
            const auto joined = [](const Rga& left, const Rga& right) {
                Rga result = left;
                join(result, right.full_delta());
                return result;
            };
            const std::string message = "seed " + std::to_string(seed);
            CPPUNIT_ASSERT_MESSAGE(message, joined(parts[0], parts[1]) == joined(parts[1], parts[0]));
            CPPUNIT_ASSERT_MESSAGE(
                message, joined(joined(parts[0], parts[1]), parts[2]) == joined(parts[0], joined(parts[1], parts[2])));
            CPPUNIT_ASSERT_MESSAGE(message, joined(parts[0], parts[0]) == parts[0]);
        }
    }

    void compaction_changes_nothing_that_is_shown_or_known() {
        for (unsigned seed = 1; seed <= histories; ++seed) {
            std::mt19937_64 random(seed);
            HistoryShape shape = shape_for(seed);
            shape.ops = 300;
            const auto history = disordered(random_history(random, shape), random);
            Rga compacted;
            Rga plain;
            for (size_t i = 0; i < history.size(); ++i) {
                join(compacted, history[i]);
                join(plain, history[i]);
                if (i % 50 == 49) compacted.compact({});
            }
            CPPUNIT_ASSERT_MESSAGE("seed " + std::to_string(seed), compacted == plain);
            CPPUNIT_ASSERT_MESSAGE("seed " + std::to_string(seed), shown(compacted) == shown(plain));
        }
    }

    // Runs beyond the length where storage cuts them, split and eaten up from both ends.
    void long_texts_with_many_runs_agree() {
        for (unsigned seed = 1; seed <= 6; ++seed) {
            std::mt19937_64 random(seed);
            Rga rga;
            RgaModel model;
            std::vector<Hlc> ids;
            uint64_t now = 1000;
            const auto both = [&](const RgaDelta& delta) {
                join(rga, delta);
                model.take(delta);
            };
            for (unsigned burst = 0; burst < 60; ++burst) {
                std::optional<Hlc> origin;
                if (!ids.empty()) origin = ids[random() % ids.size()];
                const uint64_t author = 1 + random() % 2;
                RgaDelta delta;
                const size_t from = ids.size();
                for (unsigned i = 0; i < 100; ++i) {
                    const Hlc id{now += 1 + random() % 3, 0, author};
                    delta.add(RgaElement{id, origin, U'a' + static_cast<char32_t>(random() % 26), false});
                    ids.push_back(id);
                    origin = id;
                }
                both(delta);
                const size_t first = from + random() % 100;
                RgaDelta deletes;
                for (size_t i = first; i < ids.size() && i < first + 30; ++i) {
                    deletes.add_delete(seed % 2 == 0 ? ids[i] : ids[ids.size() - 1 - (i - first)]);
                }
                both(deletes);
            }
            CPPUNIT_ASSERT_MESSAGE("seed " + std::to_string(seed), agrees(rga, model));
            rga.compact({});
            CPPUNIT_ASSERT_MESSAGE("seed " + std::to_string(seed), agrees(rga, model));
        }
    }

    // Backspace and forward delete move characters between runs; what is then typed there must still find its place.
    void typing_where_stretches_were_deleted_agrees() {
        for (unsigned seed = 1; seed <= histories; ++seed) {
            std::mt19937_64 random(seed);
            Rga rga;
            RgaModel model;
            uint64_t now = 1000;
            const auto both = [&](const RgaDelta& delta) {
                join(rga, delta);
                model.take(delta);
            };
            for (unsigned burst = 0; burst < 40; ++burst) {
                std::vector<Hlc> visible;
                for (const RgaElement& element : shown(rga)) {
                    if (!element.deleted) visible.push_back(element.id);
                }
                size_t cursor = random() % (visible.size() + 1);
                const size_t length = 1 + random() % 6;
                const unsigned action = static_cast<unsigned>(random() % 4);
                std::optional<Hlc> origin;
                if (cursor > 0) origin = visible[cursor - 1];
                for (size_t i = 0; i < length; ++i) {
                    RgaDelta delta;
                    if (action < 2) {
                        // A slow clock makes some characters come behind their elder siblings.
                        const Hlc id{now += 3, 0, 1 + random() % 2};
                        const Hlc late{id.wall_ms - (action == 1 ? 500 : 0), 1, id.node_id};
                        delta.add(RgaElement{late, origin, U'a' + static_cast<char32_t>(random() % 26), false});
                        origin = late;
                    } else if (action == 2 && cursor > 0) {
                        delta.add_delete(visible[--cursor]);
                    } else if (cursor < visible.size()) {
                        delta.add_delete(visible[cursor++]);
                    }
                    both(delta);
                }
                CPPUNIT_ASSERT_MESSAGE("seed " + std::to_string(seed), agrees(rga, model));
            }
        }
    }

    // A typed chain with late children, a stretch of it deleted from one end, then more late children: where the first
    // id of a stored run has changed, the search for a place must know.
    void late_children_of_deleted_stretches_agree() {
        for (unsigned seed = 1; seed <= 5 * histories; ++seed) {
            std::mt19937_64 random(seed);
            Rga rga;
            RgaModel model;
            std::vector<Hlc> chain;
            const auto both = [&](const RgaDelta& delta) {
                join(rga, delta);
                model.take(delta);
            };
            const auto late_child = [&] {
                RgaElement element;
                element.id = Hlc{1 + random() % 1000, static_cast<uint16_t>(random()), 2};
                element.origin_id = chain[random() % chain.size()];
                element.content = U'c';
                RgaDelta delta;
                delta.add(element);
                both(delta);
            };
            RgaDelta typed;
            for (uint64_t i = 1; i <= 7; ++i) {
                const Hlc id{i * 100, 0, 1};
                typed.add(RgaElement{id, chain.empty() ? std::optional<Hlc>() : chain.back(), U'a', false});
                chain.push_back(id);
            }
            both(typed);
            for (unsigned i = 0; i < seed % 8; ++i) late_child();
            const size_t from = random() % chain.size();
            const size_t count = random() % (chain.size() - from) + 1;
            for (size_t i = 0; i < count; ++i) {
                RgaDelta delta;
                delta.add_delete(chain[seed % 2 == 0 ? from + i : from + count - 1 - i]);
                both(delta);
            }
            for (unsigned i = 0; i < 6; ++i) {
                late_child();
                CPPUNIT_ASSERT_MESSAGE("seed " + std::to_string(seed), agrees(rga, model));
            }
        }
    }

    void every_wrong_rule_is_found() {
        for (const Mutation mutation :
             {Mutation::ascending_siblings, Mutation::no_subtree_skip, Mutation::forgotten_early_delete,
              Mutation::dropped_orphans, Mutation::orphans_by_descending_id, Mutation::greater_conflict_wins,
              Mutation::first_conflict_wins}) {
            CPPUNIT_ASSERT_MESSAGE("mutation " + std::to_string(static_cast<int>(mutation)) + " was not found",
                                   !first_difference(mutation).empty());
        }
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(RgaReferenceTest);

}  // namespace

}  // namespace meridian::crdt::test
