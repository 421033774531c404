// Random histories on several nodes, with duplicates and in any order, compared with the recomputing model after every
// step; clients that follow, return, or join late; and wrong rules, each of which the comparison must notice.
#include <cppunit/extensions/HelperMacros.h>

#include <cstdlib>
#include <random>
#include <sstream>

#include "base/binary.h"
#include "crdt/tree_model.h"
#include "wire/tree_codec.h"

namespace meridian::crdt::tree_testing {

namespace {

struct Replica {
    Tree tree;
    TreeModel model;
    NaiveClient follower;
    std::vector<size_t> to_come;  // indexes of ops, in order of arrival
};

std::string state_bytes(const Tree& tree) {
    BinaryWriter out;
    wire::encode_tree_state(out, tree);
    return out.take();
}

std::string structure(const PlainNodes& nodes) {
    return render(nodes, false);
}

// Runs one history; gives what differed, empty if nothing did.
std::string run_history(uint64_t seed, const HistoryShape& shape, const WrongRules& wrong) {
    std::mt19937_64 random(seed);
    const auto draw = [&](uint64_t bound) { return random() % bound; };
    std::vector<TreeOp> ops;
    for (size_t i = 0; i < shape.ops; ++i) ops.push_back(draw_op(shape, draw));
    const auto fail = [&](const std::string& what, const std::string& found, const std::string& expected) {
        std::ostringstream text;
        text << what << ", seed " << seed << "\nfound    " << found << "\nexpected " << expected;
        return text.str();
    };

    CountingStamps stamps;
    const bool values_show = !shape.conflicting_ids && !shape.updates_at_id;
    std::vector<Replica> replicas(3, Replica{Tree(), TreeModel(wrong), NaiveClient(), {}});
    for (Replica& replica : replicas) {
        for (size_t i = 0; i < ops.size(); ++i) {
            replica.to_come.push_back(i);
            if (draw(5) == 0) replica.to_come.push_back(i);
        }
        std::shuffle(replica.to_come.begin(), replica.to_come.end(), random);
        for (const size_t index : replica.to_come) {
            const TreeOp& op = ops[index];
            const bool was_known = replica.tree == [&] {
                Tree copy = replica.tree;
                copy.join(delta_of(op), {0, stamps});
                return copy;
            }();
            std::vector<TreeClientDelta> views;
            if (draw(2) == 0 && !replica.tree.check(op, Limits{})) {
                Tree joined = replica.tree;
                auto applied = replica.tree.apply(op, {EntryStamp{}, stamps});
                views = applied.views;
                joined.join(applied.delta, {0, stamps});
                if (!(joined == replica.tree))
                    return fail("apply is not join", value_of(joined), value_of(replica.tree));
                if (applied.changed == was_known) return fail("changed", applied.changed ? "yes" : "no", "otherwise");
            } else {
                views = replica.tree.join(delta_of(op), {0, stamps});
                if (was_known && !views.empty()) return fail("a known op is told", "views", "none");
            }
            replica.model.take(op);
            replica.follower.take(views);
            const std::string expected = replica.model.value();
            if (value_of(replica.tree) != expected) return fail("value", value_of(replica.tree), expected);
            if (placements(replica.tree) != placements(replica.model.nodes())) {
                return fail("placement of an invisible node", state_bytes(replica.tree), "as in the model");
            }
            if (structure(replica.follower.nodes()) != structure(replica.model.nodes())) {
                return fail("follower", structure(replica.follower.nodes()), structure(replica.model.nodes()));
            }
            if (values_show && replica.follower.value() != expected) {
                return fail("value at follower", replica.follower.value(), expected);
            }
            NaiveClient fresh;
            fresh.take(replica.tree.sync({}));
            if (fresh.value() != expected) return fail("fresh client", fresh.value(), expected);
            if (!shape.creation_cycles && replica.follower.cycles_seen() + fresh.cycles_seen() > 0) {
                return fail("cycle at a client", replica.follower.value(), "none at any time");
            }
        }
    }
    for (Replica& replica : replicas) {
        if (!(replica.tree == replicas[0].tree) || state_bytes(replica.tree) != state_bytes(replicas[0].tree)) {
            return fail("state after the same ops", value_of(replica.tree), value_of(replicas[0].tree));
        }
    }
    return {};
}

HistoryShape clean_shape() {
    HistoryShape shape;
    shape.conflicting_ids = false;
    shape.creation_cycles = false;
    shape.updates_at_id = false;
    return shape;
}

uint64_t first_seed() {
    const char* seed = std::getenv("MERIDIAN_TEST_SEED");
    return seed != nullptr ? std::strtoull(seed, nullptr, 10) : 1;
}
uint64_t history_count(uint64_t otherwise) {
    const char* count = std::getenv("MERIDIAN_TEST_HISTORIES");
    return count != nullptr ? std::strtoull(count, nullptr, 10) : otherwise;
}

void expect_agreement(const HistoryShape& shape, uint64_t histories) {
    const uint64_t first = first_seed();
    for (uint64_t seed = first; seed < first + history_count(histories); ++seed) {
        const std::string difference = run_history(seed, shape, WrongRules{});
        CPPUNIT_ASSERT_MESSAGE(difference, difference.empty());
    }
}

// Some history shows the difference.
void expect_caught(const WrongRules& wrong) {
    for (uint64_t seed = 1; seed <= 300; ++seed) {
        if (!run_history(seed, HistoryShape{}, wrong).empty()) return;
    }
    CPPUNIT_FAIL("300 histories do not notice a wrong rule");
}

}  // namespace

class TreeRandomTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(TreeRandomTest);
    CPPUNIT_TEST(agrees_with_model_and_clients_on_clean_histories);
    CPPUNIT_TEST(agrees_with_model_on_hostile_histories);
    CPPUNIT_TEST(agrees_with_model_on_crowded_histories);
    CPPUNIT_TEST(agrees_with_model_when_children_come_before_parents);
    CPPUNIT_TEST(large_joins_tell_a_follower_everything);
    CPPUNIT_TEST(notices_moves_in_arrival_order);
    CPPUNIT_TEST(notices_a_missing_cycle_check);
    CPPUNIT_TEST(notices_a_forgotten_delete);
    CPPUNIT_TEST(notices_a_forgotten_move);
    CPPUNIT_TEST(notices_a_forgotten_update);
    CPPUNIT_TEST(notices_that_the_first_of_equal_ids_wins);
    CPPUNIT_TEST(notices_that_the_first_of_equal_updates_wins);
    CPPUNIT_TEST(notices_that_creation_does_not_come_first);
    CPPUNIT_TEST(notices_that_an_add_undeletes);
    CPPUNIT_TEST_SUITE_END();

public:
    void agrees_with_model_and_clients_on_clean_histories() { expect_agreement(clean_shape(), 150); }
    void agrees_with_model_on_hostile_histories() { expect_agreement(HistoryShape{}, 150); }
    void agrees_with_model_on_crowded_histories() {
        HistoryShape shape;
        shape.nodes = 4;
        shape.ops = 40;
        expect_agreement(shape, 100);
    }
    void agrees_with_model_when_children_come_before_parents() {
        HistoryShape shape = clean_shape();
        shape.nodes = 14;
        shape.ops = 60;
        shape.creation_cycles = true;
        expect_agreement(shape, 60);
    }

    // Two nodes write apart and then exchange everything at once, in both forms.
    void large_joins_tell_a_follower_everything() {
        for (uint64_t seed = first_seed(); seed < first_seed() + history_count(150); ++seed) {
            std::mt19937_64 random(seed);
            const auto draw = [&](uint64_t bound) { return random() % bound; };
            HistoryShape shape = seed % 2 == 0 ? clean_shape() : HistoryShape{};
            shape.nodes = 10;
            CountingStamps stamps;
            Tree trees[2];
            TreeModel models[2];
            NaiveClient followers[2];
            for (size_t i = 0; i < 80; ++i) {
                const size_t side = draw(2);
                const TreeOp op = draw_op(shape, draw);
                followers[side].take(trees[side].join(delta_of(op), {0, stamps}));
                models[side].take(op);
                models[1 - side].take(op);
            }
            const Tree::Delta first = trees[0].full_delta();
            followers[0].take(trees[0].join(trees[1].full_delta(), {0, stamps}));
            followers[1].take(trees[1].join(first, {0, stamps}));
            const std::string message = "seed " + std::to_string(seed);
            CPPUNIT_ASSERT_MESSAGE(message, trees[0] == trees[1]);
            for (size_t side = 0; side < 2; ++side) {
                CPPUNIT_ASSERT_EQUAL_MESSAGE(message, models[side].value(), value_of(trees[side]));
                CPPUNIT_ASSERT_MESSAGE(message, placements(models[side].nodes()) == placements(trees[side]));
                CPPUNIT_ASSERT_EQUAL_MESSAGE(message, structure(models[side].nodes()),
                                             structure(followers[side].nodes()));
                if (seed % 2 == 0) {
                    CPPUNIT_ASSERT_EQUAL_MESSAGE(message, models[side].value(), followers[side].value());
                    CPPUNIT_ASSERT_EQUAL_MESSAGE(message, size_t{0}, followers[side].cycles_seen());
                }
                CPPUNIT_ASSERT_MESSAGE(message, trees[side].join(trees[1 - side].full_delta(), {0, stamps}).empty());
                CPPUNIT_ASSERT_MESSAGE(message, Tree::restore(trees[side].full_delta()) == trees[side]);
                CPPUNIT_ASSERT_EQUAL_MESSAGE(message, value_of(trees[side]),
                                             value_of(Tree::restore(trees[side].full_delta())));
            }
        }
    }

    void notices_moves_in_arrival_order() { caught(&WrongRules::moves_in_arrival_order); }
    void notices_a_missing_cycle_check() { caught(&WrongRules::no_cycle_check); }
    void notices_a_forgotten_delete() { caught(&WrongRules::delete_before_add_is_forgotten); }
    void notices_a_forgotten_move() { caught(&WrongRules::move_before_add_is_forgotten); }
    void notices_a_forgotten_update() { caught(&WrongRules::update_before_add_is_forgotten); }
    void notices_that_the_first_of_equal_ids_wins() { caught(&WrongRules::first_of_equal_ids_wins); }
    void notices_that_the_first_of_equal_updates_wins() { caught(&WrongRules::first_of_equal_updates_wins); }
    void notices_that_creation_does_not_come_first() { caught(&WrongRules::creation_is_subject_to_moves); }
    void notices_that_an_add_undeletes() { caught(&WrongRules::add_undeletes); }

private:
    static void caught(bool WrongRules::*rule) {
        WrongRules wrong;
        wrong.*rule = true;
        expect_caught(wrong);
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(TreeRandomTest);

}  // namespace meridian::crdt::tree_testing
