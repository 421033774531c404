// Rules of counters, sets, registers, presences and maps, one by one (crdts.md sections 4.1 to 4.6).
#include <cppunit/extensions/HelperMacros.h>

#include "base/json_writer.h"
#include "crdt/key_history.h"

using namespace meridian::crdt;

namespace meridian::test {

namespace {

constexpr uint64_t now = 1'000'000;

struct At {
    explicit At(uint64_t node_id = 1, uint64_t wall_ms = now, uint64_t incarnation = 1)
        : stamps(node_id), context{{{wall_ms, 0, node_id}, incarnation}, stamps} {}
    CountingStamps stamps;
    ApplyContext context;
    JoinContext join() { return {context.entry.hlc.wall_ms, stamps}; }
};

template <class T>
std::string value_of(const T& value, uint64_t now_ms = now) {
    JsonWriter out;
    value.write_value(out, now_ms);
    return out.take();
}

Tag tag(uint8_t byte) {
    Tag made{};
    made.fill(byte);
    return made;
}
JsonValue text(const char* utf8) {
    return JsonValue::string(utf8);
}
OrSetOp add(const char* element, uint8_t t) {
    return OrSetAdd{text(element), tag(t), 0, 0};
}
OrSetOp remove(const char* element, std::vector<Tag> tags) {
    return OrSetRemove{text(element), std::move(tags)};
}
PresenceOp heartbeat(uint64_t id, const char* data, uint64_t wall_ms, uint64_t ttl_ms) {
    return PresenceHeartbeat{id, text(data), {wall_ms, 0, id}, ttl_ms};
}
PresenceOp leave(uint64_t id, uint64_t wall_ms) {
    return PresenceLeave{id, {wall_ms, 0, id}};
}

std::string refusal(const std::optional<Rejection>& rejection) {
    return rejection ? rejection->text : "accepted";
}

}  // namespace

class SimpleTypesTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(SimpleTypesTest);
    CPPUNIT_TEST(increments_of_one_client_through_two_nodes_add_up);
    CPPUNIT_TEST(increment_of_zero_changes_nothing);
    CPPUNIT_TEST(counter_sums_saturate);
    CPPUNIT_TEST(counter_ids_are_sorted_as_strings);
    CPPUNIT_TEST(counter_state_is_cut_into_frames);
    CPPUNIT_TEST(counter_refuses_more_slots_than_the_limit);
    CPPUNIT_TEST(removed_tag_stays_removed);
    CPPUNIT_TEST(remove_of_unseen_tags_is_remembered_and_told);
    CPPUNIT_TEST(set_element_may_be_one_level_deep);
    CPPUNIT_TEST(set_sync_tells_live_tags_and_tombstones);
    CPPUNIT_TEST(tombstone_goes_only_when_covered_and_old);
    CPPUNIT_TEST(second_write_of_a_millisecond_is_the_later);
    CPPUNIT_TEST(restamping_carries_into_the_wall_time);
    CPPUNIT_TEST(losing_write_reports_the_other_author);
    CPPUNIT_TEST(presence_departure_is_told_twice);
    CPPUNIT_TEST(leave_of_an_unknown_client_is_kept_and_not_told);
    CPPUNIT_TEST(presence_expires_once_at_its_deadline);
    CPPUNIT_TEST(peer_from_the_future_does_not_live_long);
    CPPUNIT_TEST(restored_presence_from_the_future_is_clamped_at_first_expire);
    CPPUNIT_TEST(dead_presence_is_dropped_after_its_longest_ttl);
    CPPUNIT_TEST(dead_presence_is_kept_until_every_member_holds_it);
    CPPUNIT_TEST(map_refuses_with_exact_texts);
    CPPUNIT_TEST(map_tells_removes_before_surviving_tags);
    CPPUNIT_TEST(map_key_of_lower_type_replaces_and_empties);
    CPPUNIT_TEST(map_presence_expires);
    CPPUNIT_TEST_SUITE_END();

    void increments_of_one_client_through_two_nodes_add_up() {
        At one(1), two(2);
        GCounter a, b;
        const auto first = a.apply({7, 5}, one.context);
        const auto second = b.apply({7, 3}, two.context);
        CPPUNIT_ASSERT((a.join(second.delta, one.join()) == std::vector<GCounterClientDelta>{{{{7, 8}}}}));
        b.join(first.delta, two.join());
        CPPUNIT_ASSERT_EQUAL(std::string(R"({"counters":{"7":8},"total":8})"), value_of(a));
        CPPUNIT_ASSERT(a == b);
        CPPUNIT_ASSERT(a.join(second.delta, one.join()).empty());
    }
    void increment_of_zero_changes_nothing() {
        At at;
        PnCounter counter;
        CPPUNIT_ASSERT(!counter.apply({PnCounterOp::Side::decrement, 1, 0}, at.context).changed);
        CPPUNIT_ASSERT(counter.empty());
    }
    void counter_sums_saturate() {
        At at;
        GCounter counter;
        counter.apply({1, UINT64_MAX}, at.context);
        const auto again = counter.apply({1, 1}, at.context);
        CPPUNIT_ASSERT(again.changed && again.delta.slots[0].second == UINT64_MAX);
        counter.apply({2, 1}, at.context);
        CPPUNIT_ASSERT_EQUAL(UINT64_MAX, counter.total());
        PnCounter pn;
        pn.apply({PnCounterOp::Side::decrement, 1, UINT64_MAX}, at.context);
        CPPUNIT_ASSERT_EQUAL(INT64_MIN, pn.value());
        pn.apply({PnCounterOp::Side::increment, 1, UINT64_MAX}, at.context);
        CPPUNIT_ASSERT_EQUAL(int64_t(0), pn.value());
        PnCounter up;
        up.apply({PnCounterOp::Side::increment, 1, UINT64_MAX}, at.context);
        CPPUNIT_ASSERT_EQUAL(INT64_MAX, up.value());
    }
    void counter_ids_are_sorted_as_strings() {
        At at;
        GCounter counter;
        counter.apply({2, 1}, at.context);
        counter.apply({10, 1}, at.context);
        CPPUNIT_ASSERT_EQUAL(std::string(R"({"counters":{"10":1,"2":1},"total":2})"), value_of(counter));
    }
    void counter_state_is_cut_into_frames() {
        At at;
        GCounter counter;
        constexpr uint64_t clients = 120'001;
        for (uint64_t id = clients; id > 0; --id) counter.apply({id * 7919 % 1'000'003, 1}, at.context);
        uint64_t told = 0;
        const auto pieces = counter.sync({now, SequenceForm::ascending_siblings});
        for (const auto& piece : pieces) told += piece.counters.size();
        CPPUNIT_ASSERT_EQUAL(clients, told);
        CPPUNIT_ASSERT_EQUAL(size_t(3), pieces.size());
        CPPUNIT_ASSERT(GCounter::from_delta(counter.full_delta()) == counter);
    }
    void counter_refuses_more_slots_than_the_limit() {
        At at;
        GCounter counter;
        Limits limits;
        limits.counter_slots_max = 1;
        counter.apply({1, 1}, at.context);
        CPPUNIT_ASSERT_EQUAL(std::string("accepted"), refusal(counter.check({1, 1}, limits)));
        CPPUNIT_ASSERT_EQUAL(std::string("invalid operation: counter slots: found 2, allowed 1"),
                             refusal(counter.check({2, 1}, limits)));
    }

    void removed_tag_stays_removed() {
        At at;
        OrSet set;
        const auto added = set.apply(add("x", 1), at.context);
        set.apply(remove("x", {tag(1)}), at.context);
        CPPUNIT_ASSERT(!set.apply(add("x", 1), at.context).changed);
        CPPUNIT_ASSERT(set.join(added.delta, at.join()).empty());
        CPPUNIT_ASSERT_EQUAL(std::string(R"({"elements":[]})"), value_of(set));
        CPPUNIT_ASSERT(!set.empty());
    }
    void remove_of_unseen_tags_is_remembered_and_told() {
        At at;
        OrSet set;
        const auto removed = set.apply(remove("x", {tag(1)}), at.context);
        CPPUNIT_ASSERT((removed.views == std::vector<OrSetClientDelta>{{{}, {{"\"x\"", {tag(1)}}}}}));
        CPPUNIT_ASSERT(!set.apply(add("x", 1), at.context).changed);
        CPPUNIT_ASSERT(!set.apply(remove("x", {tag(1)}), at.context).changed);
        CPPUNIT_ASSERT(!OrSet().apply(remove("x", {}), at.context).changed);
    }
    void set_element_may_be_one_level_deep() {
        const auto deep = JsonValue::from_canonical_msgpack("\x91\x90");  // [[]]
        const auto flat = JsonValue::from_canonical_msgpack("\x91\x01");  // [1]
        CPPUNIT_ASSERT_EQUAL(std::string("invalid operation: ORSet element nesting depth 2 exceeds maximum 1"),
                             refusal(OrSet().check(OrSetAdd{deep, tag(1), 0, 0}, {})));
        CPPUNIT_ASSERT_EQUAL(std::string("accepted"), refusal(OrSet().check(OrSetAdd{flat, tag(1), 0, 0}, {})));
        CPPUNIT_ASSERT_EQUAL(std::string("accepted"), refusal(OrSet().check(OrSetRemove{deep, {tag(1)}}, {})));
    }
    void set_sync_tells_live_tags_and_tombstones() {
        At at;
        OrSet set;
        set.apply(add("x", 1), at.context);
        set.apply(add("x", 2), at.context);
        set.apply(remove("x", {tag(1)}), at.context);
        const auto told = set.sync({now, SequenceForm::ascending_siblings});
        CPPUNIT_ASSERT((told == std::vector<OrSetClientDelta>{{{{"\"x\"", {tag(2)}}}, {{"\"x\"", {tag(1)}}}}}));
    }
    void tombstone_goes_only_when_covered_and_old() {
        At at;
        OrSet set;
        set.apply(add("x", 1), at.context);
        set.apply(remove("x", {tag(1)}), at.context);
        const uint64_t grace = 1000;
        CPPUNIT_ASSERT(!set.compact({now + 5000, 0, grace}).changed);
        CPPUNIT_ASSERT(!set.compact({now + 5000, now, grace}).changed);
        CPPUNIT_ASSERT(!set.compact({now + grace, now + 1, grace}).changed);
        CPPUNIT_ASSERT(set.compact({now + grace + 1, now + 1, grace}).changed);
        CPPUNIT_ASSERT(set.empty());
        CPPUNIT_ASSERT_EQUAL(size_t(0), set.tag_count());
    }

    void second_write_of_a_millisecond_is_the_later() {
        At at;
        LwwRegister reg;
        const Hlc stamp{100, 0, 1};
        reg.apply({text("b"), stamp, 1}, at.context);
        const auto second = reg.apply({text("a"), stamp, 1}, at.context);
        CPPUNIT_ASSERT((second.views == std::vector<LwwRegisterClientDelta>{{LwwEntry{text("a"), {100, 1, 1}, 1}}}));
        CPPUNIT_ASSERT(!reg.apply({text("a"), stamp, 1}, at.context).changed);
        const auto third = reg.apply({text("c"), stamp, 1}, at.context);
        CPPUNIT_ASSERT((third.delta.entry->entry.hlc == Hlc{100, 2, 1} && third.delta.entry->original == stamp));
        CPPUNIT_ASSERT(reg.matches(stamp) && reg.matches({100, 2, 1}) && !reg.matches({100, 1, 1}));
        // Another author's write with that stamp is another matter.
        CPPUNIT_ASSERT(!reg.apply({text("z"), stamp, 9}, at.context).changed);
    }
    void restamping_carries_into_the_wall_time() {
        At at;
        LwwRegister reg;
        reg.apply({text("b"), {100, UINT16_MAX, 1}, 1}, at.context);
        const auto second = reg.apply({text("a"), {100, UINT16_MAX, 1}, 1}, at.context);
        CPPUNIT_ASSERT((second.delta.entry->entry.hlc == Hlc{101, 0, 1}));
        LwwRegister last;
        last.apply({text("b"), {UINT64_MAX, UINT16_MAX, 1}, 1}, at.context);
        CPPUNIT_ASSERT(!last.apply({text("a"), {UINT64_MAX, UINT16_MAX, 1}, 1}, at.context).changed);
    }
    void losing_write_reports_the_other_author() {
        At at;
        LwwRegister reg;
        reg.apply({text("a"), {100, 0, 1}, 1}, at.context);
        const auto lost = reg.apply({text("b"), {99, 0, 2}, 2}, at.context);
        CPPUNIT_ASSERT(!lost.changed && lost.conflict == Conflict(LwwOverwritten{1, 100}));
        CPPUNIT_ASSERT(!reg.apply({text("b"), {99, 0, 1}, 1}, at.context).conflict);
    }

    void presence_departure_is_told_twice() {
        At at;
        Presence presence;
        presence.apply(heartbeat(1, "a", now, 1000), at.context);
        const auto left = presence.apply(leave(1, now), at.context);  // the same millisecond
        const PresenceClientDelta nil{{{1, std::nullopt}}};
        const PresenceClientDelta tombstone{{{1, PresenceClientEntry{JsonValue(), {now, 0, 1}, 0}}}};
        CPPUNIT_ASSERT((left.views == std::vector<PresenceClientDelta>{nil, tombstone}));
        CPPUNIT_ASSERT((presence.sync({now, {}}) == std::vector<PresenceClientDelta>{nil, tombstone}));
        CPPUNIT_ASSERT_EQUAL(std::string(R"({"entries":{}})"), value_of(presence));
    }
    void leave_of_an_unknown_client_is_kept_and_not_told() {
        At at;
        Presence presence;
        const auto left = presence.apply(leave(1, now), at.context);
        CPPUNIT_ASSERT(left.changed && left.views.empty());
        CPPUNIT_ASSERT(!presence.apply(heartbeat(1, "a", now - 1, 1000), at.context).changed);
    }
    void presence_expires_once_at_its_deadline() {
        At at;
        Presence presence;
        presence.apply(heartbeat(1, "a", now - 400'000, 1000), at.context);  // a slow clock: the receipt counts
        CPPUNIT_ASSERT_EQUAL(now + 1000, presence.next_deadline_ms());
        CPPUNIT_ASSERT_EQUAL(std::string(R"({"entries":{"1":{"data":"a","expires_at_ms":1001000}}})"),
                             value_of(presence, now + 999));
        CPPUNIT_ASSERT(presence.expire(now + 999).empty());
        CPPUNIT_ASSERT_EQUAL(size_t(2), presence.expire(now + 1000).size());
        CPPUNIT_ASSERT(presence.expire(now + 2000).empty());
        CPPUNIT_ASSERT_EQUAL(uint64_t(0), presence.next_deadline_ms());
        CPPUNIT_ASSERT_EQUAL(std::string(R"({"entries":{}})"), value_of(presence, now + 1000));
    }
    void peer_from_the_future_does_not_live_long() {
        At ahead(2, now + 3'600'000), here;
        Presence theirs, ours;
        const auto applied = theirs.apply(heartbeat(1, "a", now, 1000), ahead.context);
        ours.join(applied.delta, here.join());
        CPPUNIT_ASSERT_EQUAL(now + 31'000, ours.next_deadline_ms());
        CPPUNIT_ASSERT(ours == theirs);
    }
    void restored_presence_from_the_future_is_clamped_at_first_expire() {
        At ahead(2, now + 3'600'000);
        Presence theirs;
        theirs.apply(heartbeat(1, "a", now, 1000), ahead.context);
        Presence ours = Presence::from_delta(theirs.full_delta());
        CPPUNIT_ASSERT_EQUAL(uint64_t(1), ours.next_deadline_ms());
        CPPUNIT_ASSERT(ours.expire(now).empty());
        CPPUNIT_ASSERT_EQUAL(now + 31'000, ours.next_deadline_ms());
    }
    void dead_presence_is_dropped_after_its_longest_ttl() {
        At at;
        Presence presence;
        presence.apply(heartbeat(1, "a", now, 600'000), at.context);
        presence.apply(leave(1, now + 1), at.context);
        presence.apply(heartbeat(2, "b", now, 1000), at.context);
        presence.expire(now + 1000);
        CPPUNIT_ASSERT(!presence.compact({now + 300'000, now + 1000, 0}).changed);
        CPPUNIT_ASSERT(presence.compact({now + 300'001, now + 1000, 0}).changed);
        CPPUNIT_ASSERT_EQUAL(size_t(1), presence.full_delta().entries.size());
        CPPUNIT_ASSERT(!presence.compact({now + 600'001, now + 1000, 0}).changed);
        CPPUNIT_ASSERT(presence.compact({now + 600'002, now + 1000, 0}).changed);
        CPPUNIT_ASSERT(presence.empty());
    }

    // A member that was cut off shows the heartbeat until it hears of the departure.
    void dead_presence_is_kept_until_every_member_holds_it() {
        At at;
        Presence presence;
        presence.apply(leave(1, now), at.context);
        constexpr uint64_t life_ms = presence_ttl_ms_max + presence_skew_ms_max;
        const uint64_t received_ms = presence.full_delta().entries[0].second.received.hlc.wall_ms;
        CPPUNIT_ASSERT(!presence.compact({now + 3'600'000, received_ms, 0}).changed);
        CPPUNIT_ASSERT(!presence.compact({now + life_ms, 0, 0}).changed);
        Presence covered = presence;
        CPPUNIT_ASSERT(covered.compact({now + 3'600'000, received_ms + 1, 0}).changed);
        CPPUNIT_ASSERT(covered.empty());
        CPPUNIT_ASSERT(presence.compact({now + life_ms + 1, 0, 0}).changed);
        CPPUNIT_ASSERT(presence.empty());
    }

    void map_refuses_with_exact_texts() {
        At at;
        CrdtMap map;
        CPPUNIT_ASSERT_EQUAL(std::string("invalid operation: CRDTMap cannot be nested"),
                             refusal(map.check({"k", Type::crdt_map, GCounterOp{1, 1}}, {})));
        CPPUNIT_ASSERT(!map.apply({"k", Type::gcounter, GCounterOp{1, 0}}, at.context).changed);
        CPPUNIT_ASSERT(map.empty());
        map.apply({"k", Type::gcounter, GCounterOp{1, 1}}, at.context);
        CPPUNIT_ASSERT_EQUAL(std::string("invalid operation: key 'k' is type GCounter, op is type Rga"),
                             refusal(map.check({"k", Type::rga, GCounterOp{1, 1}}, {})));
        CPPUNIT_ASSERT_EQUAL(std::string("invalid operation: inner op type does not match inner crdt type"),
                             refusal(map.check({"k", Type::gcounter, add("x", 1)}, {})));
    }
    void map_tells_removes_before_surviving_tags() {
        At at;
        CrdtMap map;
        map.apply({"s", Type::orset, add("x", 1)}, at.context);
        map.apply({"s", Type::orset, add("x", 2)}, at.context);
        const auto removed = map.apply({"s", Type::orset, remove("x", {tag(1)})}, at.context);
        CPPUNIT_ASSERT(
            (removed.views == std::vector<CrdtMapClientDelta>{{{{"s", OrSetClientDelta{{}, {{"\"x\"", {tag(1)}}}}}}},
                                                              {{{"s", OrSetClientDelta{{{"\"x\"", {tag(2)}}}, {}}}}}}));
        map.apply({"s", Type::orset, remove("y", {tag(3)})}, at.context);
        CPPUNIT_ASSERT((map.sync({now, {}}) ==
                        std::vector<CrdtMapClientDelta>{{{{"s", OrSetClientDelta{{}, {{"\"y\"", {tag(3)}}}}}}},
                                                        {{{"s", OrSetClientDelta{{{"\"x\"", {tag(2)}}}, {}}}}}}));
    }
    void map_key_of_lower_type_replaces_and_empties() {
        At one(1), two(2);
        CrdtMap a, b;
        const auto set = a.apply({"k", Type::orset, add("x", 1)}, one.context);
        const auto counter = b.apply({"k", Type::gcounter, GCounterOp{1, 1}}, two.context);
        const auto told = a.join(counter.delta, one.join());
        CPPUNIT_ASSERT((told == std::vector<CrdtMapClientDelta>{{{{"k", OrSetClientDelta{{}, {{"\"x\"", {tag(1)}}}}}}},
                                                                {{{"k", GCounterClientDelta{{{1, 1}}}}}}}));
        CPPUNIT_ASSERT(b.join(set.delta, two.join()).empty());
        CPPUNIT_ASSERT(a == b);
    }
    void map_presence_expires() {
        At at;
        CrdtMap map;
        map.apply({"p", Type::presence, heartbeat(1, "a", now, 1000)}, at.context);
        map.apply({"q", Type::presence, heartbeat(1, "a", now, 2000)}, at.context);
        CPPUNIT_ASSERT_EQUAL(now + 1000, map.next_deadline_ms());
        CPPUNIT_ASSERT_EQUAL(size_t(2), map.expire(now + 1000).size());
        CPPUNIT_ASSERT_EQUAL(now + 2000, map.next_deadline_ms());
        CPPUNIT_ASSERT_EQUAL(size_t(2), map.expire(now + 3000).size());
        CPPUNIT_ASSERT_EQUAL(uint64_t(0), map.next_deadline_ms());
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(SimpleTypesTest);

}  // namespace meridian::test
