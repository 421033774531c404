// The rules of the RGA, one by one.
#include <cppunit/extensions/HelperMacros.h>

#include <string>

#include "rga_model.h"

namespace meridian::crdt::test {

namespace {

const Hlc a{10, 0, 1};
const Hlc b{11, 0, 1};
const Hlc c{12, 0, 1};
const Hlc x{5, 0, 2};
const Limits limits;

std::string value(unsigned length, const std::string& content) {
    return "{\"len\":" + std::to_string(length) + ",\"text\":\"" + content + "\"}";
}

Rga with(const std::vector<RgaOp>& ops) {
    Rga rga;
    for (const RgaOp& op : ops) {
        CPPUNIT_ASSERT(!rga.check(op, limits));
        apply_op(rga, op);
    }
    return rga;
}

std::string rejection(const Rga& rga, const RgaOp& op, const Limits& with_limits = limits) {
    const auto refused = rga.check(op, with_limits);
    return refused ? refused->text : "";
}

class RgaTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(RgaTest);
    CPPUNIT_TEST(orders_siblings_by_descending_id_with_their_subtrees);
    CPPUNIT_TEST(places_an_orphan_when_its_origin_arrives);
    CPPUNIT_TEST(shows_orphans_behind_the_document_by_ascending_id);
    CPPUNIT_TEST(remembers_a_delete_that_came_first);
    CPPUNIT_TEST(takes_a_repeated_insert_as_no_change);
    CPPUNIT_TEST(refuses_an_id_with_other_origin_or_content);
    CPPUNIT_TEST(does_not_compare_the_content_of_deleted_characters);
    CPPUNIT_TEST(refuses_an_insert_that_names_itself);
    CPPUNIT_TEST(refuses_what_is_no_scalar_value);
    CPPUNIT_TEST(refuses_more_than_the_limits_allow);
    CPPUNIT_TEST(a_peer_is_never_refused_for_size);
    CPPUNIT_TEST(finds_ids_that_javascript_rounded);
    CPPUNIT_TEST(an_old_insert_after_compaction_stays_deleted);
    CPPUNIT_TEST(a_late_insert_behind_a_deleted_character_finds_its_place);
    CPPUNIT_TEST(counts_scalar_values_and_escapes_text);
    CPPUNIT_TEST(is_empty_only_without_tombstones);
    CPPUNIT_TEST(stamps_at_the_ends_of_their_ranges_are_ordered);
    CPPUNIT_TEST(deep_and_wide_orphans_are_placed_without_recursion);
    CPPUNIT_TEST(copies_are_independent);
    CPPUNIT_TEST_SUITE_END();

public:
    void orders_siblings_by_descending_id_with_their_subtrees() {
        const Rga rga = with({make_insert(x, {}, U'X'), make_insert(a, {}, U'A'), make_insert(b, a, U'B')});
        CPPUNIT_ASSERT_EQUAL(value(3, "ABX"), text(rga));
    }

    void places_an_orphan_when_its_origin_arrives() {
        Rga rga = with({make_insert(c, b, U'C'), make_insert(b, a, U'B'), make_insert(x, {}, U'X')});
        CPPUNIT_ASSERT_EQUAL(value(3, "XBC"), text(rga));
        apply_op(rga, make_insert(a, {}, U'A'));
        CPPUNIT_ASSERT_EQUAL(value(4, "ABCX"), text(rga));
        CPPUNIT_ASSERT(rga.orphans().empty());
    }

    void shows_orphans_behind_the_document_by_ascending_id() {
        const Hlc lost{0, 3, 0};
        const Rga rga = with({make_insert(c, lost, U'C'), make_insert(x, lost, U'X'), make_insert(b, x, U'B'),
                              make_insert(a, {}, U'A')});
        CPPUNIT_ASSERT_EQUAL(value(4, "AXBC"), text(rga));
    }

    void remembers_a_delete_that_came_first() {
        Rga rga = with({RgaDelete{a, false}});
        CPPUNIT_ASSERT(!rga.empty());
        const auto applied = apply_op(rga, make_insert(a, {}, U'A'));
        CPPUNIT_ASSERT(applied.changed);
        CPPUNIT_ASSERT_EQUAL(value(0, ""), text(rga));
        // The insert is told, because later characters may name it, and deleted at once.
        CPPUNIT_ASSERT_EQUAL(size_t{1}, applied.views.size());
        CPPUNIT_ASSERT_EQUAL(size_t{2}, applied.views[0].ops.size());
        CPPUNIT_ASSERT(applied.views[0].ops[1] == RgaOp(RgaDelete{a, false}));
    }

    void takes_a_repeated_insert_as_no_change() {
        Rga rga = with({make_insert(a, {}, U'A'), make_insert(b, x, U'B')});
        for (const RgaOp& op : {RgaOp(make_insert(a, {}, U'A')), RgaOp(make_insert(b, x, U'B'))}) {
            CPPUNIT_ASSERT(!rga.check(op, limits));
            const auto applied = apply_op(rga, op);
            CPPUNIT_ASSERT(!applied.changed && applied.views.empty() && applied.delta.empty());
        }
    }

    void refuses_an_id_with_other_origin_or_content() {
        const Rga rga = with({make_insert(a, {}, U'A'), make_insert(b, a, U'B'), make_insert(c, x, U'C')});
        for (const RgaOp& op : {RgaOp(make_insert(a, {}, U'Z')), RgaOp(make_insert(b, {}, U'B')),
                                RgaOp(make_insert(c, a, U'C')), RgaOp(make_insert(c, x, U'Z'))}) {
            CPPUNIT_ASSERT_EQUAL(std::string("invalid operation: "), rejection(rga, op).substr(0, 19));
        }
    }

    void does_not_compare_the_content_of_deleted_characters() {
        const Rga rga = with({make_insert(a, {}, U'A'), RgaDelete{a, false}});
        CPPUNIT_ASSERT_EQUAL(std::string(), rejection(rga, make_insert(a, {}, U'Z')));
        CPPUNIT_ASSERT(!rejection(rga, make_insert(a, x, U'A')).empty());
    }

    void refuses_an_insert_that_names_itself() {
        CPPUNIT_ASSERT_EQUAL(std::string("invalid operation: RGA insert 10:0:1 names itself as its origin"),
                             rejection(Rga(), make_insert(a, a, U'A')));
        Rga rga;  // a peer that sends one is not followed
        RgaDelta delta;
        delta.add(RgaElement{a, a, U'A', false});
        join(rga, delta);
        CPPUNIT_ASSERT(rga.empty());
    }

    void refuses_what_is_no_scalar_value() {
        for (const char32_t content : {char32_t{0xd800}, char32_t{0xdfff}, char32_t{0x110000}}) {
            CPPUNIT_ASSERT(!rejection(Rga(), make_insert(a, {}, content)).empty());
        }
        CPPUNIT_ASSERT(rejection(Rga(), make_insert(a, {}, 0x10ffff)).empty());
    }

    void refuses_more_than_the_limits_allow() {
        const Rga rga = with({make_insert(a, {}, U'A'), make_insert(c, x, U'C'), RgaDelete{Hlc{99, 0, 9}, false}});
        Limits small;
        small.rga_elements_max = 2;
        CPPUNIT_ASSERT(!rejection(rga, make_insert(b, a, U'B'), small).empty());
        CPPUNIT_ASSERT_EQUAL(std::string(), rejection(rga, make_insert(a, {}, U'A'), small));
        small.rga_elements_max = 10;
        small.pending_ops_max = 2;
        CPPUNIT_ASSERT_EQUAL(std::string(), rejection(rga, make_insert(b, a, U'B'), small));
        CPPUNIT_ASSERT(!rejection(rga, make_insert(b, Hlc{1, 1, 1}, U'B'), small).empty());
        CPPUNIT_ASSERT(!rejection(rga, RgaDelete{Hlc{98, 0, 9}, false}, small).empty());
        CPPUNIT_ASSERT_EQUAL(std::string(), rejection(rga, RgaDelete{Hlc{99, 0, 9}, false}, small));
        CPPUNIT_ASSERT_EQUAL(std::string(), rejection(rga, RgaDelete{c, false}, small));
    }

    void a_peer_is_never_refused_for_size() {
        Rga rga;
        RgaDelta delta;
        for (uint64_t i = 0; i < 1000; ++i) delta.add(RgaElement{Hlc{i, 0, 1}, Hlc{9999, 0, 1}, U'x', false});
        join(rga, delta);
        CPPUNIT_ASSERT_EQUAL(size_t{1000}, rga.orphans().inserts());
    }

    void finds_ids_that_javascript_rounded() {
        const uint64_t author = (1ULL << 60) + 77;
        const auto rounded = static_cast<uint64_t>(static_cast<double>(author));
        CPPUNIT_ASSERT(author != rounded);
        const Hlc stored{20, 1, author};
        const Hlc orphan{21, 1, author};
        Rga rga = with({make_insert(stored, {}, U'S'), make_insert(orphan, x, U'O')});
        RgaInsert behind = make_insert(Hlc{30, 0, 3}, Hlc{20, 1, rounded}, U'T');
        behind.origin_rounded = true;
        const auto applied = apply_op(rga, behind);
        CPPUNIT_ASSERT_EQUAL(value(3, "STO"), text(rga));
        CPPUNIT_ASSERT(applied.delta.runs()[0].origin_id == stored);
        apply_op(rga, RgaDelete{Hlc{20, 1, rounded}, true});
        apply_op(rga, RgaDelete{Hlc{21, 1, rounded}, true});
        CPPUNIT_ASSERT_EQUAL(value(1, "T"), text(rga));
        // Exact ids are taken as they are, and so is a rounded one that stands for nothing known.
        CPPUNIT_ASSERT(rga.resolve(RgaDelete{Hlc{20, 1, rounded}, false}) ==
                       RgaOp(RgaDelete{Hlc{20, 1, rounded}, false}));
        CPPUNIT_ASSERT(rga.resolve(RgaDelete{Hlc{20, 2, rounded}, true}) ==
                       RgaOp(RgaDelete{Hlc{20, 2, rounded}, false}));
        CPPUNIT_ASSERT(rga.resolve(RgaDelete{Hlc{20, 1, rounded + 4096}, true}) ==
                       RgaOp(RgaDelete{Hlc{20, 1, rounded + 4096}, false}));
    }

    void an_old_insert_after_compaction_stays_deleted() {
        Rga rga = with({make_insert(a, {}, U'A'), make_insert(b, a, U'B'), RgaDelete{a, false}, RgaDelete{b, false}});
        CPPUNIT_ASSERT(!rga.compact({}).changed);
        CPPUNIT_ASSERT(!apply_op(rga, make_insert(a, {}, U'A')).changed);
        CPPUNIT_ASSERT_EQUAL(value(0, ""), text(rga));
    }

    void a_late_insert_behind_a_deleted_character_finds_its_place() {
        Rga rga =
            with({make_insert(a, {}, U'A'), make_insert(b, a, U'B'), make_insert(c, b, U'C'), RgaDelete{b, false}});
        rga.compact({});
        apply_op(rga, make_insert(Hlc{40, 0, 7}, b, U'x'));
        CPPUNIT_ASSERT_EQUAL(value(3, "AxC"), text(rga));
    }

    void counts_scalar_values_and_escapes_text() {
        const Rga rga = with({make_insert(a, {}, U'\U0001f600'), make_insert(b, a, U'"'), make_insert(c, b, U'\n')});
        CPPUNIT_ASSERT_EQUAL(value(3, "\xf0\x9f\x98\x80\\\"\\n"), text(rga));
    }

    void is_empty_only_without_tombstones() {
        Rga rga;
        CPPUNIT_ASSERT(rga.empty() && rga.sync({}).empty());
        apply_op(rga, make_insert(a, {}, U'A'));
        apply_op(rga, RgaDelete{a, false});
        CPPUNIT_ASSERT(!rga.empty() && !rga.sync({}).empty() && rga.emptying().empty());
    }

    void stamps_at_the_ends_of_their_ranges_are_ordered() {
        const uint64_t top = UINT64_MAX;
        const Rga rga =
            with({make_insert(Hlc{0, 0, top}, {}, U'1'), make_insert(Hlc{top, 65535, top}, Hlc{0, 0, top}, U'2'),
                  make_insert(Hlc{top, 65534, top}, Hlc{0, 0, top}, U'3'),
                  make_insert(Hlc{0, 65535, 0}, Hlc{top, 65534, top}, U'4'), make_insert(Hlc{0, 0, 0}, {}, U'5')});
        CPPUNIT_ASSERT_EQUAL(value(5, "12345"), text(rga));
    }

    void deep_and_wide_orphans_are_placed_without_recursion() {
        constexpr uint64_t count = 20000;
        Rga deep;
        for (uint64_t i = count; i > 0; --i) apply_op(deep, make_insert(Hlc{i, 0, 1}, Hlc{i - 1, 0, 1}, U'd'));
        CPPUNIT_ASSERT_EQUAL(size_t{count}, deep.orphans().inserts());
        CPPUNIT_ASSERT_EQUAL(size_t{count}, deep.orphans().shown().size());
        apply_op(deep, make_insert(Hlc{0, 0, 1}, {}, U'd'));
        CPPUNIT_ASSERT_EQUAL(size_t{count + 1}, deep.sequence().visible());
        Rga wide;
        for (uint64_t i = count; i > 0; --i) apply_op(wide, make_insert(Hlc{i, 0, i % 3}, Hlc{0, 0, 1}, U'w'));
        apply_op(wide, make_insert(Hlc{0, 0, 1}, {}, U'w'));
        CPPUNIT_ASSERT_EQUAL(size_t{count + 1}, wide.sequence().visible());
    }

    void copies_are_independent() {
        Rga rga;
        std::optional<Hlc> origin;
        for (uint64_t i = 1; i <= 3000; ++i) {
            const Hlc id{i * 100, 0, 1};
            apply_op(rga, make_insert(id, origin, U'x'));
            origin = id;
        }
        const Rga copy = rga;
        for (uint64_t i = 1; i <= 3000; ++i) apply_op(rga, RgaDelete{Hlc{i * 100, 0, 1}, false});
        CPPUNIT_ASSERT_EQUAL(size_t{3000}, copy.visible());
        CPPUNIT_ASSERT_EQUAL(size_t{0}, rga.visible());
        rga = copy;
        CPPUNIT_ASSERT(rga == copy);
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(RgaTest);

}  // namespace

}  // namespace meridian::crdt::test
