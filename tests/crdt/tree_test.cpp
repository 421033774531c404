// Rules of the tree one by one, the shared scenarios, every order of up to four ops, and the encoding.
#include <cppunit/extensions/HelperMacros.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "base/binary.h"
#include "crdt/tree_model.h"
#include "wire/tree_codec.h"

namespace meridian::crdt::tree_testing {

namespace {

TreeOp add(Hlc id, std::optional<Hlc> parent = std::nullopt, std::string position = "a", std::string value = "v") {
    return TreeAddNode{id, parent, std::move(position), std::move(value), false};
}
TreeOp move(uint64_t op, Hlc node, std::optional<Hlc> parent, std::string position = "m") {
    return TreeMoveNode{stamp(op), node, parent, std::move(position), false, false};
}
TreeOp update(Hlc id, std::string value, Hlc updated_at) {
    return TreeUpdateNode{id, std::move(value), updated_at, false};
}
TreeOp erase(Hlc id) {
    return TreeDeleteNode{id, false};
}

const Hlc a = stamp(1, 1), b = stamp(1, 2), c = stamp(1, 3), d = stamp(1, 4);

class Fixture {
public:
    Applied<Tree::Delta, TreeClientDelta> apply(const TreeOp& op) {
        CPPUNIT_ASSERT(!tree.check(op, Limits{}));
        return tree.apply(op, {EntryStamp{}, stamps});
    }
    std::string refusal(const TreeOp& op, const Limits& limits = {}) const {
        const auto rejection = tree.check(op, limits);
        return rejection ? rejection->text : "";
    }
    Tree tree;
    CountingStamps stamps;
};

std::string encode(const Tree::Delta& delta) {
    BinaryWriter out;
    wire::encode_tree_delta(out, delta);
    return out.take();
}

}  // namespace

class TreeTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(TreeTest);
    CPPUNIT_TEST(scenarios_end_with_the_required_value_in_any_order);
    CPPUNIT_TEST(every_order_of_four_ops_agrees_with_the_model);
    CPPUNIT_TEST(cyclic_move_is_reported_and_corrected);
    CPPUNIT_TEST(superseded_move_is_corrected_without_conflict);
    CPPUNIT_TEST(late_move_makes_a_later_one_cyclic);
    CPPUNIT_TEST(repeats_and_stale_updates_change_nothing);
    CPPUNIT_TEST(known_id_with_other_content_is_refused);
    CPPUNIT_TEST(limits_refuse_only_what_grows);
    CPPUNIT_TEST(rounded_ids_find_the_stored_ones);
    CPPUNIT_TEST(deep_chain_is_written_moved_and_encoded);
    CPPUNIT_TEST(large_state_is_sent_in_bounded_pieces);
    CPPUNIT_TEST(sync_of_a_returning_client_repairs_a_discarded_move);
    CPPUNIT_TEST(emptying_removes_all_and_roots_first);
    CPPUNIT_TEST(compaction_changes_no_state);
    CPPUNIT_TEST(delta_survives_the_codec);
    CPPUNIT_TEST(damaged_bytes_are_refused_or_decode_to_what_they_encode);
    CPPUNIT_TEST(values_that_cannot_show_are_refused_in_a_state);
    CPPUNIT_TEST_SUITE_END();

public:
    void scenarios_end_with_the_required_value_in_any_order() {
        const auto node = [](const std::string& id, const std::string& position, const std::string& value,
                             const std::string& children = "") {
            return "{\"children\":[" + children + "],\"id\":\"" + id + "\",\"position\":\"" + position +
                   "\",\"value\":\"" + value + "\"}";
        };
        const TreeOp r1 = add(a, {}, "a0", "R1"), r2 = add(b, {}, "b0", "R2"), third = add(c, {}, "c0", "C");
        const std::string n1 = node("1:1:1", "a0", "R1"), n2 = node("1:2:1", "b0", "R2");
        const Hlc p = stamp(99, 0, 9), n9 = stamp(2000, 9), n10 = stamp(2000, 10);
        const std::vector<std::pair<std::vector<TreeOp>, std::string>> scenarios = {
            {{r1, r2, third, move(10, c, a, "a0"), move(11, c, b, "a0")},
             n1 + "," + node("1:2:1", "b0", "R2", node("1:3:1", "a0", "C"))},
            {{r1, r2, third, move(10, a, b, "a0"), move(11, b, a, "a0")},
             node("1:2:1", "b0", "R2", node("1:1:1", "a0", "R1")) + "," + node("1:3:1", "c0", "C")},
            {{r1, r2, third, erase(c)}, n1 + "," + n2},
            {{r1, r2, third, update(c, "new", stamp(5, 0, 2))}, n1 + "," + n2 + "," + node("1:3:1", "c0", "new")},
            {{add(n9, {}, "a0", "n9"), add(n10, {}, "a0", "n10")},
             node("2000:10:1", "a0", "n10") + "," + node("2000:9:1", "a0", "n9")},
            {{r1, r2, third, move(10, c, p, "a0"), add(p, c, "a0", "P")},
             n1 + "," + n2 + "," + node("1:3:1", "c0", "C", node("99:0:9", "a0", "P"))},
        };
        for (const auto& [ops, roots] : scenarios) {
            std::vector<size_t> order(ops.size());
            std::iota(order.begin(), order.end(), size_t{0});
            do {
                Fixture f;
                for (const size_t i : order) f.apply(ops[i]);
                CPPUNIT_ASSERT_EQUAL("{\"roots\":[" + roots + "]}", value_of(f.tree));
            } while (std::next_permutation(order.begin(), order.end()));
        }
    }

    // Three nodes differ only in the order of arrival and in what they accepted themselves: every order of every four
    // ops of the pool, each op applied or joined, must give the state of the model, and its follower the same tree.
    void every_order_of_four_ops_agrees_with_the_model() {
        const std::vector<TreeOp> pool = {add(a, {}, "a"), add(b, a, "b"),           add(b, {}, "c"),
                                          add(c, b, "a"),  move(10, a, b),           move(11, b, a),
                                          move(11, c, a),  move(12, b, c),           move(13, a, {}),
                                          erase(b),        update(b, "x", stamp(5)), update(b, "y", stamp(5))};
        for (uint32_t chosen = 1; chosen < (1U << pool.size()); ++chosen) {
            std::vector<size_t> order;
            for (size_t i = 0; i < pool.size(); ++i) {
                if (chosen & (1U << i)) order.push_back(i);
            }
            if (order.size() > 4) continue;
            TreeModel model;
            for (const size_t i : order) model.take(pool[i]);
            const std::string expected = model.value();
            const bool two_updates_of_one_stamp = (chosen >> 10) == 3;
            const auto expected_placements = placements(model.nodes());
            std::optional<Tree> first;
            do {
                for (uint32_t applied = 0; applied < (1U << order.size()); ++applied) {
                    Fixture f;
                    NaiveClient follower;
                    for (size_t i = 0; i < order.size(); ++i) {
                        const TreeOp& op = pool[order[i]];
                        const bool own = (applied & (1U << i)) != 0 && !f.tree.check(op, Limits{});
                        follower.take(own ? f.tree.apply(op, {EntryStamp{}, f.stamps}).views
                                          : f.tree.join(delta_of(op), {0, f.stamps}));
                    }
                    CPPUNIT_ASSERT_EQUAL(expected, value_of(f.tree));
                    CPPUNIT_ASSERT(placements(f.tree) == expected_placements);
                    CPPUNIT_ASSERT_EQUAL(render(model.nodes(), false), render(follower.nodes(), false));
                    // Clients take no update whose stamp they have: two with one stamp cannot be told apart.
                    if (!two_updates_of_one_stamp) CPPUNIT_ASSERT_EQUAL(expected, follower.value());
                    if (!first) first = f.tree;
                    CPPUNIT_ASSERT(*first == f.tree);
                }
            } while (std::next_permutation(order.begin(), order.end()));
        }
    }

    void cyclic_move_is_reported_and_corrected() {
        Fixture f;
        f.apply(add(a, {}, "p"));
        f.apply(add(b, a, "q"));
        const auto applied = f.apply(move(10, a, b, "z"));
        CPPUNIT_ASSERT(applied.changed);
        CPPUNIT_ASSERT(applied.conflict == Conflict(TreeMoveCycle{a, b}));
        const TreeMoveNode corrective{{9'000'000, 0, 1001}, a, std::nullopt, "p", false, false};
        const TreeClientDelta expected{{corrective}, {{a, b, "z", std::nullopt, "p"}}};
        CPPUNIT_ASSERT(applied.views == std::vector<TreeClientDelta>{expected});
        CPPUNIT_ASSERT(applied.delta == delta_of(move(10, a, b, "z")));
        CPPUNIT_ASSERT_EQUAL(size_t{1}, f.tree.full_delta().moves.size());
    }

    void superseded_move_is_corrected_without_conflict() {
        Fixture f;
        for (const Hlc& id : {a, b, c}) f.apply(add(id));
        const auto in_order = f.apply(move(11, c, b));
        CPPUNIT_ASSERT(in_order.views == std::vector<TreeClientDelta>({{{move(11, c, b)}, {}}}));
        const auto late = f.apply(move(10, c, a));
        CPPUNIT_ASSERT(late.changed && !late.conflict);
        CPPUNIT_ASSERT(late.views[0].ops[0] == TreeOp(TreeMoveNode{{9'000'000, 0, 1001}, c, b, "m", false, false}));
        CPPUNIT_ASSERT(f.tree.join(delta_of(move(9, c, a)), {0, f.stamps}).empty());
    }

    void late_move_makes_a_later_one_cyclic() {
        Fixture f;
        for (const Hlc& id : {a, b}) f.apply(add(id));
        f.apply(move(11, b, a));
        const auto late = f.apply(move(10, a, b));
        // b goes back to the top before a goes under it.
        CPPUNIT_ASSERT_EQUAL(size_t{2}, late.views[0].ops.size());
        CPPUNIT_ASSERT(std::get<TreeMoveNode>(late.views[0].ops[0]).node_id == b);
        CPPUNIT_ASSERT(late.views[0].ops[1] == move(10, a, b));
        CPPUNIT_ASSERT(!late.conflict);
    }

    void repeats_and_stale_updates_change_nothing() {
        Fixture f;
        f.apply(add(a));
        f.apply(move(10, a, {}));
        f.apply(update(a, "new", stamp(5)));
        for (const TreeOp& op : {add(a), move(10, a, {}), update(a, "new", stamp(5)), update(a, "zzz", stamp(4)),
                                 update(b, "v", stamp(0))}) {
            const auto applied = f.apply(op);
            CPPUNIT_ASSERT(!applied.changed && applied.delta.empty() && applied.views.empty());
        }
        f.apply(erase(a));
        CPPUNIT_ASSERT(!f.apply(update(a, "later", stamp(6))).changed);
        CPPUNIT_ASSERT(!f.apply(add(a)).changed);
    }

    void known_id_with_other_content_is_refused() {
        Fixture f;
        f.apply(add(a, {}, "p", "v"));
        f.apply(move(10, a, {}, "p"));
        CPPUNIT_ASSERT_EQUAL(std::string("invalid operation: "), f.refusal(add(a, b, "p", "v")).substr(0, 19));
        CPPUNIT_ASSERT(f.refusal(add(a, {}, "q", "v")).find("1:1:1") != std::string::npos);
        CPPUNIT_ASSERT(!f.refusal(add(a, {}, "p", "w")).empty());
        CPPUNIT_ASSERT(f.refusal(move(10, a, b, "p")).find("10:0:1") != std::string::npos);
        CPPUNIT_ASSERT(!f.refusal(move(10, b, {}, "p")).empty());
    }

    void limits_refuse_only_what_grows() {
        Fixture f;
        Limits limits;
        limits.tree_nodes_max = 2;
        limits.tree_moves_max = 1;
        limits.tree_position_bytes_max = 3;
        limits.tree_value_bytes_max = 4;
        limits.pending_ops_max = 1;
        f.apply(add(a, b));
        CPPUNIT_ASSERT_EQUAL(std::string("invalid operation: tree has 2 nodes, at most 2 are allowed"),
                             f.refusal(add(c), limits));
        CPPUNIT_ASSERT(f.refusal(add(b), limits).empty());
        CPPUNIT_ASSERT(!f.refusal(add(b, {}, "four"), limits).empty());
        CPPUNIT_ASSERT(!f.refusal(update(a, "five5", stamp(9)), limits).empty());
        CPPUNIT_ASSERT(f.refusal(erase(b), limits).empty());
        f.apply(erase(b));
        CPPUNIT_ASSERT(!f.refusal(move(10, b, {}), limits).empty());
        f.apply(move(11, a, {}));
        CPPUNIT_ASSERT(!f.refusal(move(12, a, {}), limits).empty());
        CPPUNIT_ASSERT(f.refusal(move(11, a, {}), limits).empty());
    }

    void rounded_ids_find_the_stored_ones() {
        const Hlc exact = stamp(7, 0, 9007199254740993), rounded = stamp(7, 0, 9007199254740992);
        Fixture f;
        f.apply(add(exact));
        f.apply(TreeAddNode{a, rounded, "a", "v", true});
        CPPUNIT_ASSERT(placements(f.tree).at(a).first == std::optional<Hlc>(exact));
        const auto moved = f.apply(TreeMoveNode{stamp(10), a, rounded, "z", false, true});
        CPPUNIT_ASSERT(moved.delta == delta_of(move(10, a, exact, "z")));
        const auto deleted = f.apply(TreeDeleteNode{rounded, true});
        CPPUNIT_ASSERT(deleted.delta.deletes == std::vector<Hlc>{exact});
        CPPUNIT_ASSERT(f.apply(TreeDeleteNode{rounded, false}).delta.deletes == std::vector<Hlc>{rounded});
    }

    void deep_chain_is_written_moved_and_encoded() {
        constexpr uint64_t depth = 100'000;
        Tree::Delta delta;
        delta.adds.push_back(std::get<TreeAddNode>(add(stamp(1))));
        for (uint64_t i = 2; i <= depth; ++i) delta.adds.push_back(std::get<TreeAddNode>(add(stamp(i), stamp(i - 1))));
        Fixture f;
        f.tree.join(delta, {0, f.stamps});
        CPPUNIT_ASSERT(f.apply(move(depth + 1, stamp(1), stamp(depth))).conflict);
        const std::string value = value_of(f.tree);
        CPPUNIT_ASSERT(value.find("\"id\":\"100000:0:1\"") != std::string::npos);
        BinaryWriter out;
        wire::encode_tree_state(out, f.tree);
        BinaryReader in(out.data());
        const auto decoded = wire::decode_tree_state(in);
        CPPUNIT_ASSERT(decoded.ok() && *decoded == f.tree);
    }

    void large_state_is_sent_in_bounded_pieces() {
        Fixture f;
        for (uint64_t i = 1; i <= 5000; ++i) f.apply(add(stamp(i), {}, "a", std::string(i % 10 == 0 ? 5000 : 10, 'v')));
        NaiveClient client;
        const auto pieces = f.tree.sync({});
        CPPUNIT_ASSERT(pieces.size() > 2);
        for (const auto& piece : pieces) {
            size_t bytes = 0;
            for (const auto& op : piece.ops) bytes += std::get<TreeAddNode>(op).value.size() + 1;
            CPPUNIT_ASSERT(piece.ops.size() <= Tree::piece_ops_max && bytes <= Tree::piece_text_bytes_max);
        }
    }

    void sync_of_a_returning_client_repairs_a_discarded_move() {
        Fixture f;
        NaiveClient author;
        author.take(f.apply(add(a)).views);
        author.take(f.apply(add(b, a)).views);
        author.take(move(10, a, b));
        f.apply(move(10, a, b));  // the author is gone before it is told
        author.take(f.tree.sync({}));
        CPPUNIT_ASSERT_EQUAL(value_of(f.tree), author.value());
    }

    void emptying_removes_all_and_roots_first() {
        Fixture f;
        NaiveClient client;
        for (const TreeOp& op : {add(a), add(b, a), add(d, c), add(c, b)}) client.take(f.apply(op).views);
        const auto views = f.tree.emptying();
        client.take(views[0].ops[0]);
        CPPUNIT_ASSERT_EQUAL(std::string("{\"roots\":[]}"), client.value());
        CPPUNIT_ASSERT_EQUAL(size_t{4}, views[0].ops.size());
        CPPUNIT_ASSERT(Tree().emptying().empty() && Tree().sync({}).empty() && Tree().empty());
    }

    void compaction_changes_no_state() {
        Fixture f;
        for (const TreeOp& op : {add(a), add(b, a), move(10, b, {}), move(11, b, a), erase(b)}) f.apply(op);
        const Tree before = f.tree;
        CPPUNIT_ASSERT(!f.tree.compact({1'000'000'000, 1'000'000'000, 0}).changed);
        CPPUNIT_ASSERT(before == f.tree);
        CPPUNIT_ASSERT(!f.apply(move(10, b, {})).changed);
        CPPUNIT_ASSERT(!f.apply(add(b, a)).changed);
    }

    void delta_survives_the_codec() {
        for (const TreeOp& op :
             {add(a, b, "p", "v"), move(10, a, {}), update(a, "x", stamp(3, 65535, ~0ULL)), erase(c)}) {
            const std::string bytes = encode(delta_of(op));
            BinaryReader in(bytes);
            const auto decoded = wire::decode_tree_delta(in);
            CPPUNIT_ASSERT(decoded.ok() && in.at_end());
            CPPUNIT_ASSERT(*decoded == delta_of(op));
        }
    }

    void damaged_bytes_are_refused_or_decode_to_what_they_encode() {
        const uint64_t seed = 7;
        std::mt19937_64 random(seed);
        Fixture f;
        for (size_t i = 0; i < 60; ++i) {
            const TreeOp op = draw_op(HistoryShape{}, [&](uint64_t bound) { return random() % bound; });
            f.tree.join(delta_of(op), {0, f.stamps});
        }
        const std::string bytes = encode(f.tree.full_delta());
        for (size_t size = 0; size < bytes.size(); ++size) {
            BinaryReader in(std::string_view(bytes).substr(0, size));
            CPPUNIT_ASSERT(!wire::decode_tree_state(in).ok());
        }
        for (size_t i = 0; i < 20'000; ++i) {
            std::string damaged = bytes;
            damaged[random() % damaged.size()] = static_cast<char>(random());
            BinaryReader in(damaged);
            const auto decoded = wire::decode_tree_state(in);
            if (!decoded.ok()) continue;
            BinaryWriter again;
            wire::encode_tree_state(again, *decoded);
            CPPUNIT_ASSERT(again.data() == std::string_view(damaged).substr(0, damaged.size() - in.remaining()));
        }
    }

    void values_that_cannot_show_are_refused_in_a_state() {
        Tree::Delta delta = delta_of(add(a, {}, "p", "v"));
        const auto decodes = [](const Tree::Delta& state) {
            const std::string bytes = encode(state);
            BinaryReader in(bytes);
            return wire::decode_tree_state(in).ok();
        };
        CPPUNIT_ASSERT(decodes(delta));
        delta.deletes.push_back(a);
        CPPUNIT_ASSERT(!decodes(delta));
        delta.adds[0].value.clear();
        CPPUNIT_ASSERT(decodes(delta));
        delta.updates.push_back({a, "x", stamp(5), false});
        CPPUNIT_ASSERT(!decodes(delta));
        delta.deletes.clear();
        CPPUNIT_ASSERT(decodes(delta));
        delta.adds[0].value = "v";
        CPPUNIT_ASSERT(!decodes(delta));
        delta.adds[0].position = "\xff";
        delta.adds[0].value.clear();
        CPPUNIT_ASSERT(!decodes(delta));
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(TreeTest);

}  // namespace meridian::crdt::tree_testing
