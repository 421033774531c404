// The table of keys in memory: deadlines, recency, charge.
#include <cppunit/extensions/HelperMacros.h>

#include <set>

#include "node/key_table.h"
#include "node/node_clock.h"
#include "simulation/world.h"

namespace meridian::node {

class KeyTableTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(KeyTableTest);
    CPPUNIT_TEST(of_keys_that_share_a_deadline_each_is_rescheduled_alone);
    CPPUNIT_TEST(an_erased_key_is_not_due);
    CPPUNIT_TEST(what_is_found_becomes_the_most_recently_used);
    CPPUNIT_TEST(an_empty_table_weighs_nothing);
    CPPUNIT_TEST_SUITE_END();

    // A key of the table that expires at 1000 ms.
    KeySlot& expiring(KeyTable& table, const std::string& key) {
        KeySlot& slot = table.insert({"room", key});
        slot.phase = KeySlot::Phase::resident;
        set_expiry(table, slot, 1000);
        return slot;
    }
    void set_expiry(KeyTable& table, KeySlot& slot, uint64_t deadline_ms) {
        const crdt::EntryStamp stamp{{++now_ms_, 0, 7}, 1};
        slot.key.apply(crdt::GCounterOp{1, 1}, deadline_ms - now_ms_, {stamp, stamps_});
        table.changed(slot);
    }

    simulation::World world_{1};
    NodeClock stamps_{world_, 7};
    uint64_t now_ms_ = 0;

public:
    void of_keys_that_share_a_deadline_each_is_rescheduled_alone() {
        KeyTable table(1 << 20);
        for (int i = 0; i < 5; ++i) expiring(table, "gc:" + std::to_string(i));
        set_expiry(table, *table.find("room", "gc:3"), 2000);
        std::set<std::string> due;
        while (KeySlot* slot = table.take_due(1000)) due.insert(slot->name.key);
        CPPUNIT_ASSERT(due == (std::set<std::string>{"gc:0", "gc:1", "gc:2", "gc:4"}));
        CPPUNIT_ASSERT_EQUAL(uint64_t{2000}, table.next_deadline_ms());
        CPPUNIT_ASSERT_EQUAL(std::string("gc:3"), table.take_due(2000)->name.key);
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, table.next_deadline_ms());
    }

    void an_erased_key_is_not_due() {
        KeyTable table(1 << 20);
        expiring(table, "gc:a");
        table.erase(expiring(table, "gc:b"));
        CPPUNIT_ASSERT_EQUAL(std::string("gc:a"), table.take_due(1000)->name.key);
        CPPUNIT_ASSERT(table.take_due(1000) == nullptr);
        CPPUNIT_ASSERT(table.find("room", "gc:b") == nullptr);
    }

    void what_is_found_becomes_the_most_recently_used() {
        KeyTable table(1 << 20);
        for (const char* key : {"a", "b", "c"}) table.insert({"room", key});
        table.find("room", "a");
        std::string order;
        table.visit_oldest([&](KeySlot& slot) {
            order += slot.name.key;
            return true;
        });
        CPPUNIT_ASSERT_EQUAL(std::string("bca"), order);
    }

    void an_empty_table_weighs_nothing() {
        KeyTable table(1 << 20);
        KeySlot& slot = expiring(table, "gc:a");
        CPPUNIT_ASSERT_GREATER(size_t{0}, table.bytes());
        table.erase(slot);
        CPPUNIT_ASSERT_EQUAL(size_t{0}, table.bytes());
        CPPUNIT_ASSERT_EQUAL(size_t{0}, table.count());
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(KeyTableTest);

}  // namespace meridian::node
