// Rules of a key: generations, types, expiry, undo; and of batches on one key.
#include <cppunit/extensions/HelperMacros.h>

#include "crdt/key_history.h"
#include "wire/key_codec.h"

using namespace meridian::crdt;

namespace meridian::test {

namespace {

constexpr uint64_t now = 1'000'000;

struct At {
    explicit At(uint64_t node_id = 1, uint64_t wall_ms = now) : stamps(node_id), entry{{wall_ms, 0, node_id}, 1} {}
    CountingStamps stamps;
    EntryStamp entry;
    ApplyContext apply() { return {entry, stamps}; }
    JoinContext join() { return {entry.hlc.wall_ms, stamps}; }
};

Tag tag(uint8_t byte) {
    Tag made{};
    made.fill(byte);
    return made;
}
Op set_add(uint8_t t) {
    return OrSetOp(OrSetAdd{JsonValue::string("x"), tag(t), 0, 0});
}
Op write(const char* value, uint64_t wall_ms) {
    return LwwRegisterOp{JsonValue::string(value), {wall_ms, 0, 1}, 1};
}
ClientDelta set_removed(uint8_t t) {
    return OrSetClientDelta{{}, {{"\"x\"", {tag(t)}}}};
}
ClientDelta set_added(uint8_t t) {
    return OrSetClientDelta{{{"\"x\"", {tag(t)}}}, {}};
}

std::string refusal(const std::optional<Rejection>& rejection) {
    return rejection ? rejection->text : "accepted";
}
std::string to_hex(const std::string& bytes) {
    std::string hex;
    for (const char c : bytes) {
        hex += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
        hex += "0123456789abcdef"[static_cast<unsigned char>(c) & 15];
    }
    return hex;
}

const std::string type_mismatch = "invalid operation: op type does not match crdt type";

}  // namespace

class KeyTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(KeyTest);
    CPPUNIT_TEST(first_change_fixes_the_type);
    CPPUNIT_TEST(every_op_rewrites_the_expiry);
    CPPUNIT_TEST(expiry_alone_is_a_change);
    CPPUNIT_TEST(expired_key_is_emptied_once_and_begins_anew);
    CPPUNIT_TEST(next_generation_elsewhere_empties_the_old_one_here);
    CPPUNIT_TEST(later_write_gives_back_what_had_expired);
    CPPUNIT_TEST(delta_of_an_older_generation_is_nothing);
    CPPUNIT_TEST(lower_type_replaces_and_empties);
    CPPUNIT_TEST(undo_restores_over_a_restamped_write);
    CPPUNIT_TEST(undo_of_an_overwritten_entry_is_refused);
    CPPUNIT_TEST(overlay_sees_earlier_items);
    CPPUNIT_TEST(overlay_finds_two_inserts_with_one_id);
    CPPUNIT_TEST(overlay_counts_towards_limits);
    CPPUNIT_TEST(worked_examples_of_the_format_pages);
    CPPUNIT_TEST(decoder_says_what_is_wrong);
    CPPUNIT_TEST_SUITE_END();

    void first_change_fixes_the_type() {
        At at;
        Key key;
        CPPUNIT_ASSERT(!key.apply(GCounterOp{1, 0}, 5000, at.apply()).changed);
        CPPUNIT_ASSERT_EQUAL(uint64_t(0), key.generation());
        CPPUNIT_ASSERT_EQUAL(std::string("accepted"), refusal(key.check(set_add(1), {}, now)));
        key.apply(set_add(1), {}, at.apply());
        CPPUNIT_ASSERT_EQUAL(uint64_t(1), key.generation());
        CPPUNIT_ASSERT_EQUAL(type_mismatch, refusal(key.check(GCounterOp{1, 1}, {}, now)));
    }
    void every_op_rewrites_the_expiry() {
        At first, second(1, now + 10);
        Key key;
        key.apply(GCounterOp{1, 1}, 500, first.apply());
        CPPUNIT_ASSERT_EQUAL(now + 500, key.expiry().deadline_ms);
        CPPUNIT_ASSERT_EQUAL(now + 500, key.next_deadline_ms());
        key.apply(GCounterOp{1, 1}, {}, second.apply());
        CPPUNIT_ASSERT_EQUAL(uint64_t(0), key.expiry().deadline_ms);
        key.apply(GCounterOp{1, 1}, UINT64_MAX, At(1, now + 20).apply());
        CPPUNIT_ASSERT_EQUAL(UINT64_MAX, key.expiry().deadline_ms);
    }
    void expiry_alone_is_a_change() {
        At first, second(1, now + 10), third(1, now + 20);
        Key key, other;
        other.join(key.apply(set_add(1), {}, first.apply()).delta, first.join());
        const auto applied = key.apply(set_add(1), 500, second.apply());  // the tag is known
        CPPUNIT_ASSERT(applied.changed && applied.views.empty());
        CPPUNIT_ASSERT_EQUAL(size_t(2), applied.delta.delta.index());
        other.join(applied.delta, second.join());
        CPPUNIT_ASSERT(other == key && key.expiry().deadline_ms == now + 510);
        Key fresh;
        fresh.join(applied.delta, second.join());
        CPPUNIT_ASSERT(fresh.type() == Type::orset);
        key.apply(set_add(1), {}, third.apply());
        CPPUNIT_ASSERT(!key.apply(set_add(1), {}, At(1, now + 30).apply()).changed);
    }
    void expired_key_is_emptied_once_and_begins_anew() {
        At at, later(1, now + 500);
        Key key;
        key.apply(set_add(1), 500, at.apply());
        CPPUNIT_ASSERT(key.expire(now + 499).empty() && key.visible(now + 499));
        CPPUNIT_ASSERT(key.expire(now + 500) == std::vector<ClientDelta>{set_removed(1)});
        CPPUNIT_ASSERT(key.expire(now + 500).empty() && !key.visible(now + 500));
        CPPUNIT_ASSERT_EQUAL(uint64_t(0), key.next_deadline_ms());
        CPPUNIT_ASSERT(key.sync({now + 500, {}}).empty());
        CPPUNIT_ASSERT_EQUAL(std::string("accepted"), refusal(key.check(GCounterOp{1, 1}, {}, now + 500)));
        const auto anew = key.apply(GCounterOp{1, 1}, {}, later.apply());
        CPPUNIT_ASSERT_EQUAL(uint64_t(2), anew.delta.generation);
        CPPUNIT_ASSERT_EQUAL(size_t(1), anew.views.size());
        CPPUNIT_ASSERT(key.type() == Type::gcounter);
    }
    void next_generation_elsewhere_empties_the_old_one_here() {
        At at, later(2, now + 500);
        Key here, there;
        there.join(here.apply(set_add(1), 500, at.apply()).delta, at.join());
        const auto anew = there.apply(set_add(2), {}, later.apply());
        // Nobody here has been told of the expiry yet.
        CPPUNIT_ASSERT((here.join(anew.delta, later.join()) == std::vector<ClientDelta>{set_removed(1), set_added(2)}));
        CPPUNIT_ASSERT((anew.views == std::vector<ClientDelta>{set_removed(1), set_added(2)}));
        CPPUNIT_ASSERT(here == there);
    }
    void later_write_gives_back_what_had_expired() {
        At at, before(2, now + 400), after(1, now + 600);
        Key here, there;
        there.join(here.apply(set_add(1), 500, at.apply()).delta, at.join());
        const auto kept = there.apply(set_add(2), {}, before.apply());
        CPPUNIT_ASSERT(here.expire(now + 600) == std::vector<ClientDelta>{set_removed(1)});
        const auto told = here.join(kept.delta, after.join());
        const ClientDelta all = OrSetClientDelta{{{"\"x\"", {tag(1), tag(2)}}}, {}};
        CPPUNIT_ASSERT(told == std::vector<ClientDelta>{all});
        CPPUNIT_ASSERT(here == there && here.visible(now + 600));
    }
    void delta_of_an_older_generation_is_nothing() {
        At at, late(2, now + 100), later(1, now + 500);
        Key here, there;
        there.join(here.apply(set_add(1), 500, at.apply()).delta, at.join());
        const auto lost = there.apply(set_add(3), 400, late.apply());
        here.apply(set_add(2), {}, later.apply());
        const Key before = here;
        CPPUNIT_ASSERT(here.join(lost.delta, later.join()).empty());
        CPPUNIT_ASSERT(here == before);
        there.join(here.full_delta(), later.join());
        CPPUNIT_ASSERT(there == here);
    }
    void lower_type_replaces_and_empties() {
        At one(1), two(2, now + 1);
        Key a, b;
        const auto set = a.apply(set_add(1), {}, one.apply());
        const auto counter = b.apply(GCounterOp{1, 1}, {}, two.apply());
        const ClientDelta total = GCounterClientDelta{{{1, 1}}};
        CPPUNIT_ASSERT((a.join(counter.delta, two.join()) == std::vector<ClientDelta>{set_removed(1), total}));
        CPPUNIT_ASSERT(b.join(set.delta, two.join()).empty());
        CPPUNIT_ASSERT(a == b);
    }

    void undo_restores_over_a_restamped_write() {
        At at, undo(1, 50);
        Key key;
        key.apply(write("a", 100), {}, at.apply());
        key.apply(write("b", 100), {}, At(1, now + 1).apply());
        CPPUNIT_ASSERT(key.check_undo({100, 0, 1}, now) == Key::UndoCheck::possible);
        const auto undone = key.apply_undo({100, 0, 1}, JsonValue(), 9, undo.apply());
        const ClientDelta told = LwwRegisterClientDelta{LwwEntry{JsonValue(), {101, 0, 9}, 9}};
        CPPUNIT_ASSERT(undone.changed && undone.views == std::vector<ClientDelta>{told});
        // The restamp carried into the wall time: the undo must still win.
        Key full;
        full.apply(LwwRegisterOp{JsonValue::string("a"), {100, UINT16_MAX, 7}, 1}, {}, at.apply());
        full.apply(LwwRegisterOp{JsonValue::string("b"), {100, UINT16_MAX, 7}, 1}, {}, at.apply());
        CPPUNIT_ASSERT(full.apply_undo({100, UINT16_MAX, 7}, JsonValue::string("a"), 2, undo.apply()).changed);
        CPPUNIT_ASSERT_EQUAL(std::string(R"({"author":2,"updated_at_ms":101,"value":"a"})"), full.value_json(now));
    }
    void undo_of_an_overwritten_entry_is_refused() {
        At at;
        Key key, counter;
        CPPUNIT_ASSERT(key.check_undo({100, 0, 1}, now) == Key::UndoCheck::overwritten);
        key.apply(write("a", 100), {}, at.apply());
        CPPUNIT_ASSERT(key.check_undo({99, 0, 1}, now) == Key::UndoCheck::overwritten);
        counter.apply(GCounterOp{1, 1}, {}, at.apply());
        CPPUNIT_ASSERT(counter.check_undo({100, 0, 1}, now) == Key::UndoCheck::wrong_type);
        Key last;
        last.apply(LwwRegisterOp{JsonValue(), {UINT64_MAX, UINT16_MAX, 9}, 1}, {}, at.apply());
        CPPUNIT_ASSERT(!last.apply_undo({UINT64_MAX, UINT16_MAX, 9}, JsonValue(), 2, at.apply()).changed);
    }

    void overlay_sees_earlier_items() {
        const Key none;
        KeyOverlay batch(none, now);
        CPPUNIT_ASSERT_EQUAL(std::string("accepted"), refusal(batch.check_next(GCounterOp{1, 0}, {})));
        CPPUNIT_ASSERT_EQUAL(std::string("accepted"), refusal(batch.check_next(set_add(1), {})));
        CPPUNIT_ASSERT_EQUAL(type_mismatch, refusal(batch.check_next(GCounterOp{1, 1}, {})));

        At at;
        Key map;
        map.apply(CrdtMapOp{"a", Type::gcounter, GCounterOp{1, 1}}, {}, at.apply());
        const Key before = map;
        KeyOverlay items(map, now);
        CPPUNIT_ASSERT_EQUAL(type_mismatch, refusal(items.check_next(set_add(1), {})));
        const Op counter = CrdtMapOp{"b", Type::gcounter, GCounterOp{1, 1}};
        const Op set = CrdtMapOp{"b", Type::orset, std::get<OrSetOp>(set_add(1))};
        CPPUNIT_ASSERT_EQUAL(std::string("accepted"), refusal(items.check_next(counter, {})));
        CPPUNIT_ASSERT_EQUAL(std::string("invalid operation: key 'b' is type GCounter, op is type ORSet"),
                             refusal(items.check_next(set, {})));
        CPPUNIT_ASSERT(map == before);
    }
    void overlay_finds_two_inserts_with_one_id() {
        At at;
        Key text;
        text.apply(RgaOp(RgaInsert{{1, 0, 1}, {}, U'a', false}), {}, at.apply());
        KeyOverlay batch(text, now);
        const RgaOp insert = RgaInsert{{2, 0, 1}, Hlc{1, 0, 1}, U'b', false};
        const RgaOp other = RgaInsert{{2, 0, 1}, Hlc{1, 0, 1}, U'c', false};
        CPPUNIT_ASSERT(!batch.check_next(insert, {}));
        CPPUNIT_ASSERT(!batch.check_next(insert, {}));
        CPPUNIT_ASSERT(batch.check_next(other, {}));
        const Key none;
        KeyOverlay nodes(none, now);
        CPPUNIT_ASSERT(!nodes.check_next(TreeOp(TreeAddNode{{1, 0, 1}, {}, "a", "v", false}), {}));
        CPPUNIT_ASSERT(nodes.check_next(TreeOp(TreeAddNode{{1, 0, 1}, {}, "b", "v", false}), {}));
    }
    void overlay_counts_towards_limits() {
        At at;
        Limits limits;
        limits.orset_tags_max = 3;
        Key key;
        key.apply(set_add(1), {}, at.apply());
        KeyOverlay batch(key, now);
        CPPUNIT_ASSERT(!batch.check_next(set_add(2), limits));
        CPPUNIT_ASSERT(!batch.check_next(set_add(3), limits));
        CPPUNIT_ASSERT(batch.check_next(set_add(4), limits));
    }

    // docs/CORE-DELTA.md and docs/SNAPSHOT.md show these bytes.
    void worked_examples_of_the_format_pages() {
        Key key;
        CountingStamps stamps(1);
        const EntryStamp entry{{1'700'000'000'000, 0, 1}, 2};
        const auto applied = key.apply(GCounterOp{7, 5}, 60'000, {entry, stamps});
        const std::string bytes = "0101e0a499ffbc3180d095ffbc310001020101010201070005";
        CPPUNIT_ASSERT_EQUAL(bytes, to_hex(wire::encode_key_delta(applied.delta)));
        CPPUNIT_ASSERT_EQUAL(bytes, to_hex(wire::encode_snapshot(key)));
    }
    void decoder_says_what_is_wrong() {
        At at;
        Key key;
        std::string bytes = wire::encode_key_delta(key.apply(GCounterOp{7, 5}, {}, at.apply()).delta);
        CPPUNIT_ASSERT_EQUAL(std::string("core delta: 1 bytes after the end"),
                             wire::decode_key_delta(bytes + "x").error().message);
        CPPUNIT_ASSERT_EQUAL(
            std::string("core delta: counter slots: ends early, or holds a number or value that is not "
                        "in canonical form"),
            wire::decode_key_delta(bytes.substr(0, bytes.size() - 1)).error().message);
        bytes.back() = '\0';
        CPPUNIT_ASSERT_EQUAL(std::string("core delta: counter slots: expected totals above 0"),
                             wire::decode_key_delta(bytes).error().message);
        bytes[0] = 9;
        CPPUNIT_ASSERT_EQUAL(std::string("core delta: version 9, expected 1"),
                             wire::decode_key_delta(bytes).error().message);
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(KeyTest);

}  // namespace meridian::test
