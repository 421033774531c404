// What naive clients make of what the RGA tells them.
#include <cppunit/extensions/HelperMacros.h>

#include <algorithm>
#include <deque>
#include <random>
#include <string>

#include "rga_history.h"
#include "rga_model.h"

namespace meridian::crdt::test {

namespace {

constexpr unsigned runs = 400;

std::string plain_text(const Rga& rga) {
    RgaModel model;
    model.take(rga.full_delta());
    return model.text();
}

// Three authors type, each in its own naive view; messages in both directions are late but in order. A fourth client
// only listens.
struct Session {
    Rga server;
    NaiveClient listener;
};

Session simulate(std::mt19937_64& random, int64_t skew_max_ms) {
    constexpr size_t authors = 3;
    Session session;
    NaiveClient views[authors];
    std::deque<RgaOp> up[authors];
    std::deque<std::vector<RgaClientDelta>> down[authors];
    int64_t skew[authors];
    for (int64_t& each : skew) {
        each = skew_max_ms == 0
                   ? 0
                   : static_cast<int64_t>(random() % (2 * static_cast<uint64_t>(skew_max_ms))) - skew_max_ms;
    }
    const Limits limits;
    const auto deliver_up = [&](size_t author) {
        const RgaOp op = up[author].front();
        up[author].pop_front();
        if (session.server.check(op, limits)) return;
        const auto applied = apply_op(session.server, op);
        session.listener.take(applied.views);
        for (auto& queue : down) queue.push_back(applied.views);
    };
    int64_t now_ms = 100000;
    for (unsigned step = 0; step < 120; ++step) {
        now_ms += static_cast<int64_t>(random() % 60);
        const size_t author = random() % authors;
        switch (random() % 3) {
            case 0: {
                const std::vector<Hlc> visible = views[author].visible();
                if (!visible.empty() && random() % 5 == 0) {
                    const RgaOp op = RgaDelete{visible[random() % visible.size()], false};
                    views[author].take(op);
                    up[author].push_back(op);
                    break;
                }
                const size_t at = random() % (visible.size() + 1);
                std::optional<Hlc> origin;
                if (at > 0) origin = visible[at - 1];
                const size_t length = 1 + random() % 4;
                for (size_t i = 0; i < length; ++i) {
                    const Hlc id{static_cast<uint64_t>(now_ms + skew[author]), static_cast<uint16_t>(i), author + 1};
                    const RgaOp op = make_insert(id, origin, U'a' + static_cast<char32_t>(random() % 26));
                    views[author].take(op);
                    up[author].push_back(op);
                    origin = id;
                }
                now_ms += 1;
                break;
            }
            case 1:
                if (!up[author].empty()) deliver_up(author);
                break;
            default:
                if (!down[author].empty()) {
                    views[author].take(down[author].front());
                    down[author].pop_front();
                }
        }
    }
    for (size_t author = 0; author < authors; ++author) {
        while (!up[author].empty()) deliver_up(author);
    }
    return session;
}

unsigned listeners_that_agree(int64_t skew_max_ms) {
    unsigned agree = 0;
    for (unsigned seed = 1; seed <= runs; ++seed) {
        std::mt19937_64 random(seed);
        const Session session = simulate(random, skew_max_ms);
        if (session.listener.text() == plain_text(session.server)) ++agree;
    }
    return agree;
}

const Hlc a{10, 0, 1};
const Hlc b{11, 0, 1};
const Hlc c{12, 0, 1};
const Hlc x{5, 0, 2};

class RgaProjectionTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(RgaProjectionTest);
    CPPUNIT_TEST(a_listener_ends_with_the_servers_text_when_clocks_are_exact);
    CPPUNIT_TEST(a_listener_mostly_ends_with_the_servers_text_when_clocks_are_skewed);
    CPPUNIT_TEST(a_fresh_client_has_the_text_after_either_sync);
    CPPUNIT_TEST(a_client_with_part_of_the_document_mostly_has_the_text_after_the_chain);
    CPPUNIT_TEST(sends_the_left_neighbour_where_the_true_origin_fails);
    CPPUNIT_TEST(sends_orphans_of_its_own_clients_at_once);
    CPPUNIT_TEST(holds_back_orphans_of_peers_until_they_are_placed);
    CPPUNIT_TEST(tells_orphans_of_peers_when_their_origin_stays_away);
    CPPUNIT_TEST(tells_at_once_orphans_whose_origin_a_snapshot_invented);
    CPPUNIT_TEST(a_join_that_changes_nothing_tells_nothing);
    CPPUNIT_TEST(messages_are_bounded_and_keep_tombstones_whole);
    CPPUNIT_TEST(emptying_leaves_clients_with_nothing);
    CPPUNIT_TEST_SUITE_END();

public:
    void a_listener_ends_with_the_servers_text_when_clocks_are_exact() {
        CPPUNIT_ASSERT_EQUAL(runs, listeners_that_agree(0));
    }

    void a_listener_mostly_ends_with_the_servers_text_when_clocks_are_skewed() {
        const unsigned agree = listeners_that_agree(500);
        CPPUNIT_ASSERT_MESSAGE(std::to_string(agree) + " of " + std::to_string(runs), agree >= runs * 9 / 10);
    }

    void a_fresh_client_has_the_text_after_either_sync() {
        for (unsigned seed = 1; seed <= 200; ++seed) {
            std::mt19937_64 random(seed);
            HistoryShape shape;
            shape.ops = seed;
            shape.unknown_percent = seed % 3 * 5;
            shape.conflict_percent = seed % 2 * 10;
            auto history = random_history(random, shape);
            std::shuffle(history.begin(), history.end(), random);
            Rga rga;
            for (const RgaDelta& delta : history) join(rga, delta);
            for (const SequenceForm form : {SequenceForm::ascending_siblings, SequenceForm::left_neighbour_chain}) {
                NaiveClient client;
                client.take(rga.sync(SyncContext{0, form}));
                CPPUNIT_ASSERT_EQUAL_MESSAGE("seed " + std::to_string(seed), plain_text(rga), client.text());
            }
        }
    }

    // A client that went away in the middle and comes back.
    void a_client_with_part_of_the_document_mostly_has_the_text_after_the_chain() {
        unsigned agree = 0;
        for (unsigned seed = 1; seed <= runs; ++seed) {
            std::mt19937_64 random(seed);
            Session session = simulate(random, 0);
            NaiveClient client;
            // It holds the first half by id: what was typed before it left.
            Rga half;
            RgaDelta early;
            std::vector<RgaElement> all;
            session.server.full_delta().for_each([&](const RgaElement& element) { all.push_back(element); });
            std::vector<Hlc> ids;
            for (const RgaElement& element : all) ids.push_back(element.id);
            std::sort(ids.begin(), ids.end());
            for (const RgaElement& element : all) {
                if (element.id < ids[ids.size() / 2]) early.add(element);
            }
            join(half, early);
            client.take(half.sync(SyncContext{0, SequenceForm::ascending_siblings}));
            client.take(session.server.sync(SyncContext{0, SequenceForm::left_neighbour_chain}));
            if (client.text() == plain_text(session.server)) ++agree;
        }
        CPPUNIT_ASSERT_MESSAGE(std::to_string(agree) + " of " + std::to_string(runs), agree >= runs * 9 / 10);
    }

    void sends_the_left_neighbour_where_the_true_origin_fails() {
        Rga rga;
        NaiveClient client;
        client.take(apply_op(rga, make_insert(a, {}, U'A')).views);
        client.take(apply_op(rga, make_insert(b, a, U'B')).views);
        const auto applied = apply_op(rga, make_insert(x, {}, U'X'));
        CPPUNIT_ASSERT(applied.views[0].ops[0] == RgaOp(make_insert(x, b, U'X')));
        CPPUNIT_ASSERT(!applied.delta.runs()[0].has_origin);  // nodes exchange the true one
        client.take(applied.views);
        CPPUNIT_ASSERT_EQUAL(std::string("ABX"), client.text());
    }

    void sends_orphans_of_its_own_clients_at_once() {
        Rga rga;
        const auto orphan = apply_op(rga, make_insert(b, a, U'B'));
        CPPUNIT_ASSERT(orphan.views[0].ops[0] == RgaOp(make_insert(b, a, U'B')));
        // Its origin is told when it comes; the orphan is not told again.
        const auto origin = apply_op(rga, make_insert(a, {}, U'A'));
        CPPUNIT_ASSERT_EQUAL(size_t{1}, origin.views.size());
        CPPUNIT_ASSERT(origin.views[0].ops == std::vector<RgaOp>{make_insert(a, {}, U'A')});
    }

    void holds_back_orphans_of_peers_until_they_are_placed() {
        Rga rga;
        NaiveClient client;
        for (const RgaOp& op : {RgaOp(make_insert(c, b, U'C')), RgaOp(make_insert(x, a, U'X')),
                                RgaOp(make_insert(b, a, U'B')), RgaOp(RgaDelete{b, false})}) {
            CPPUNIT_ASSERT(join(rga, delta_of(op)).empty());
        }
        client.take(join(rga, delta_of(make_insert(a, {}, U'A'))));
        CPPUNIT_ASSERT_EQUAL(std::string("ACX"), client.text());
        CPPUNIT_ASSERT_EQUAL(plain_text(rga), client.text());
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, rga.next_deadline_ms());
    }

    void tells_orphans_of_peers_when_their_origin_stays_away() {
        Rga rga;
        NaiveClient client;
        CPPUNIT_ASSERT(join(rga, delta_of(make_insert(b, a, U'B')), 1000).empty());
        CPPUNIT_ASSERT_EQUAL(1000 + Rga::hold_ms, rga.next_deadline_ms());
        CPPUNIT_ASSERT(rga.expire(999 + Rga::hold_ms).empty());
        client.take(rga.expire(1000 + Rga::hold_ms));
        CPPUNIT_ASSERT_EQUAL(std::string("B"), client.text());
        CPPUNIT_ASSERT(rga.expire(2000 + Rga::hold_ms).empty());
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, rga.next_deadline_ms());
    }

    void tells_at_once_orphans_whose_origin_a_snapshot_invented() {
        Rga rga;
        CPPUNIT_ASSERT_EQUAL(size_t{1}, join(rga, delta_of(make_insert(b, Hlc{0, 4, 0}, U'B'))).size());
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, rga.next_deadline_ms());
    }

    void a_join_that_changes_nothing_tells_nothing() {
        for (unsigned seed = 1; seed <= 50; ++seed) {
            std::mt19937_64 random(seed);
            Rga rga;
            for (const RgaDelta& delta : random_history(random, HistoryShape{})) join(rga, delta);
            CPPUNIT_ASSERT_MESSAGE("seed " + std::to_string(seed), join(rga, rga.full_delta()).empty());
        }
    }

    void messages_are_bounded_and_keep_tombstones_whole() {
        Rga rga;
        std::optional<Hlc> origin;
        for (uint64_t i = 1; i <= 10001; ++i) {
            const Hlc id{i, 0, 1};
            apply_op(rga, make_insert(id, origin, U'x'));
            if (i % 3 == 0) apply_op(rga, RgaDelete{id, false});
            origin = id;
        }
        for (const SequenceForm form : {SequenceForm::ascending_siblings, SequenceForm::left_neighbour_chain}) {
            size_t ops = 0;
            for (const RgaClientDelta& delta : rga.sync(SyncContext{0, form})) {
                CPPUNIT_ASSERT(!delta.ops.empty() && delta.ops.size() <= Rga::view_ops_max);
                CPPUNIT_ASSERT(std::holds_alternative<RgaInsert>(delta.ops.front()));
                for (size_t i = 0; i < delta.ops.size(); ++i) {
                    const auto* deletion = std::get_if<RgaDelete>(&delta.ops[i]);
                    if (deletion != nullptr) CPPUNIT_ASSERT(std::get<RgaInsert>(delta.ops[i - 1]).id == deletion->id);
                }
                ops += delta.ops.size();
            }
            CPPUNIT_ASSERT_EQUAL(size_t{10001 + 3333}, ops);
        }
    }

    void emptying_leaves_clients_with_nothing() {
        std::mt19937_64 random(7);
        HistoryShape shape;
        shape.ops = 5000;
        shape.unknown_percent = 5;
        Rga rga;
        for (const RgaDelta& delta : random_history(random, shape)) join(rga, delta);
        NaiveClient client;
        client.take(rga.sync({}));
        CPPUNIT_ASSERT(!client.text().empty());
        for (const RgaClientDelta& delta : rga.emptying()) {
            CPPUNIT_ASSERT(delta.ops.size() <= Rga::view_ops_max);
            client.take(delta);
        }
        CPPUNIT_ASSERT_EQUAL(std::string(), client.text());
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(RgaProjectionTest);

}  // namespace

}  // namespace meridian::crdt::test
