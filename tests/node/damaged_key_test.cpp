// Keys that the node cannot decode, or that the store cannot write: they keep neither the log nor other keys, and
// nothing of them is lost.
#include "harness.h"
#include "wire/unread_key.h"

namespace meridian::node {

class DamagedKeyTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(DamagedKeyTest);
    CPPUNIT_TEST(a_key_that_is_not_understood_does_not_keep_the_log);
    CPPUNIT_TEST(a_key_that_is_understood_again_is_whole);
    CPPUNIT_TEST(what_comes_after_a_key_was_put_away_is_put_to_it);
    CPPUNIT_TEST(a_due_key_that_is_not_understood_is_looked_at_again_later);
    CPPUNIT_TEST(a_row_that_is_not_what_it_says_is_kept_as_it_is);
    CPPUNIT_TEST(a_key_that_cannot_be_written_is_left_out_alone);
    CPPUNIT_TEST(a_store_that_writes_nothing_is_not_asked_for_every_key);
    CPPUNIT_TEST_SUITE_END();

    const KeyName bad_{"room", "gc:bad"};
    static constexpr const char* one = "{\"counters\":{\"1\":1},\"total\":1}";
    static constexpr const char* two = "{\"counters\":{\"1\":2},\"total\":2}";
    static constexpr uint64_t hour_us = 3'600'000'000;

    static NodeLimits limits() {
        NodeLimits limits;
        limits.checkpoint_interval_ms = 50;
        return limits;
    }

    static std::string garbled(std::string bytes) {
        for (char& c : bytes) c = static_cast<char>(c ^ 0x55);
        return bytes;
    }

    // The entries of the bad key, changed into what no node understands, or back.
    void garble_log(Harness& h) const {
        for (LogEntry& entry : h.disk.log)
            if (entry.name == bad_) entry.payload = garbled(entry.payload);
    }

    static void write(Harness& h, const std::string& key) {
        CPPUNIT_ASSERT(h.write(request("room", {increment(key, 1, 1)})).status == Status::ok);
    }

    // A snapshot and an entry behind it; the node has been started again, and the entry is not understood.
    void make_bad(Harness& h) const {
        write(h, bad_.key);
        h.world.run_for(2'000'000);
        CPPUNIT_ASSERT(h.disk.rows.at(bad_).state);
        write(h, bad_.key);
        h.world.drop_all_tasks();
        garble_log(h);
        h.restart(false);
    }

    wire::UnreadKey put_away(Harness& h) const {
        const auto& state = h.disk.rows.at(bad_).state;
        CPPUNIT_ASSERT(state && wire::is_unread_key(*state));
        auto key = wire::decode_unread_key(*state);
        CPPUNIT_ASSERT(key.ok());
        return *key;
    }

    static void mend(Harness& h, const KeyName& name, wire::UnreadKey key) {
        for (std::string& entry : key.entries) entry = garbled(entry);
        h.disk.rows.at(name).state = wire::encode_unread_key(key);
        h.restart(false);
    }

public:
    void a_key_that_is_not_understood_does_not_keep_the_log() {
        Harness h(base_seed(), limits());
        make_bad(h);
        const std::string snapshot = *h.disk.rows.at(bad_).state;
        const std::string entry = h.disk.log.back().payload;
        write(h, "gc:good");
        h.world.run_for(2'000'000);
        CPPUNIT_ASSERT(h.store->stale_keys(100).empty());
        const wire::UnreadKey kept = put_away(h);
        CPPUNIT_ASSERT(kept.snapshot == snapshot);
        CPPUNIT_ASSERT_EQUAL(size_t{1}, kept.entries.size());
        CPPUNIT_ASSERT_EQUAL(entry, kept.entries[0]);
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, h.node->statistics().keys_set_aside);
        CPPUNIT_ASSERT_EQUAL(size_t{1}, h.damage.size());
        CPPUNIT_ASSERT_MESSAGE(h.damage[0], h.damage[0].find("key 'gc:bad' of namespace 'room' cannot be read: ") == 0);
        // It stays an error, and the others go on.
        CPPUNIT_ASSERT_EQUAL(std::string("<corrupt>"), h.value("room", bad_.key));
        CPPUNIT_ASSERT(h.write(request("room", {increment(bad_.key, 1, 1)})).status == Status::corrupt);
        CPPUNIT_ASSERT_EQUAL(std::string(one), h.value("room", "gc:good"));
        CPPUNIT_ASSERT(h.node->statistics().unreadable_loads > 0);
        h.restart(true);
        CPPUNIT_ASSERT_EQUAL(std::string("<corrupt>"), h.value("room", bad_.key));
        CPPUNIT_ASSERT_EQUAL(std::string(), h.store->violation());
    }

    void a_key_that_is_understood_again_is_whole() {
        Harness h(base_seed(), limits());
        make_bad(h);
        h.world.run_for(2'000'000);
        mend(h, bad_, put_away(h));
        CPPUNIT_ASSERT_EQUAL(std::string(two), h.value("room", bad_.key));
        // Its row is brought up once more, and is then that of any other key.
        h.world.run_for(25 * hour_us);
        CPPUNIT_ASSERT(!wire::is_unread_key(*h.disk.rows.at(bad_).state));
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, h.disk.rows.at(bad_).deadline_ms);
        h.restart(false);
        CPPUNIT_ASSERT_EQUAL(std::string(two), h.value("room", bad_.key));
    }

    void what_comes_after_a_key_was_put_away_is_put_to_it() {
        Harness h(base_seed(), limits());
        make_bad(h);
        h.world.run_for(2'000'000);
        const wire::UnreadKey before = put_away(h);
        // Another version understood it, took a write, and stopped.
        LogEntry later = h.disk.log.back();
        later.position = h.disk.last_position() + 1;
        later.origin_sequence += 1;
        later.payload = garbled("later");
        h.disk.log.push_back(later);
        h.restart(false);
        h.world.run_for(2'000'000);
        const wire::UnreadKey after = put_away(h);
        CPPUNIT_ASSERT(after.snapshot == before.snapshot);
        CPPUNIT_ASSERT_EQUAL(size_t{2}, after.entries.size());
        CPPUNIT_ASSERT_EQUAL(before.entries[0], after.entries[0]);
        CPPUNIT_ASSERT_EQUAL(later.payload, after.entries[1]);
        CPPUNIT_ASSERT_EQUAL(later.position, h.disk.rows.at(bad_).position);
    }

    void a_due_key_that_is_not_understood_is_looked_at_again_later() {
        Harness h(base_seed(), limits());
        CPPUNIT_ASSERT(h.write(request("room", {increment(bad_.key, 1, 1, 3'600'000)})).status == Status::ok);
        h.restart(true);
        simulation::Disk::Row& row = h.disk.rows.at(bad_);
        const std::string good = *row.state;
        row.state = garbled(good);
        h.restart(false);
        h.world.run_for(2 * hour_us);
        CPPUNIT_ASSERT(put_away(h).snapshot == garbled(good));
        CPPUNIT_ASSERT(h.disk.rows.at(bad_).deadline_ms > h.world.wall_ms());
        // Mended, it expires at the next look.
        h.disk.rows.at(bad_).state = wire::encode_unread_key({good, {}});
        h.restart(false);
        h.world.run_for(26 * hour_us);
        CPPUNIT_ASSERT_EQUAL(std::string("<not found>"), h.value("room", bad_.key));
        CPPUNIT_ASSERT(!wire::is_unread_key(h.disk.rows.at(bad_).state.value_or("deleted")));
    }

    void a_row_that_is_not_what_it_says_is_kept_as_it_is() {
        Harness h(base_seed(), limits());
        make_bad(h);
        const std::string broken("\0\7broken", 8);
        h.disk.rows.at(bad_).state = broken;
        h.restart(false);
        h.world.run_for(2'000'000);
        CPPUNIT_ASSERT(h.store->stale_keys(100).empty());
        CPPUNIT_ASSERT(put_away(h).snapshot == broken);
        CPPUNIT_ASSERT_EQUAL(std::string("<corrupt>"), h.value("room", bad_.key));
    }

    void a_key_that_cannot_be_written_is_left_out_alone() {
        Harness h(base_seed(), limits());
        const std::set<KeyName> unwritable = {{"room", "gc:3"}, {"room", "gc:17"}, {"room", "gc:39"}};
        h.store->fail_checkpoints_of(unwritable);
        std::vector<WriteItem> items;
        for (int i = 0; i < 40; ++i) items.push_back(increment("gc:" + std::to_string(i), 1, 1));
        CPPUNIT_ASSERT(h.write(request("room", std::move(items))).status == Status::ok);
        h.world.run_for(2'000'000);
        const std::vector<KeyName> stale = h.store->stale_keys(100);
        CPPUNIT_ASSERT(std::set<KeyName>(stale.begin(), stale.end()) == unwritable);
        CPPUNIT_ASSERT(!h.damage.empty());
        CPPUNIT_ASSERT_MESSAGE(h.damage[0], h.damage[0].find("key 'gc:3' of namespace 'room' cannot be written") == 0);
        h.store->fail_checkpoints_of({});
        h.world.run_for(2'000'000);
        CPPUNIT_ASSERT(h.store->stale_keys(100).empty());
    }

    void a_store_that_writes_nothing_is_not_asked_for_every_key() {
        NodeLimits few = limits();
        few.checkpoint_interval_ms = 3'600'000;
        Harness h(base_seed(), few);
        std::vector<WriteItem> items;
        for (int i = 0; i < 64; ++i) items.push_back(increment("gc:" + std::to_string(i), 1, 1));
        CPPUNIT_ASSERT(h.write(request("room", std::move(items))).status == Status::ok);
        constexpr uint64_t many = 1'000'000;
        h.store->fail_next_checkpoints(many);
        h.world.run_for(hour_us + 2'000'000);
        const uint64_t asked = many - h.store->failing_checkpoints();
        CPPUNIT_ASSERT_MESSAGE(std::to_string(asked), asked > 0 && asked < 20);
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(DamagedKeyTest);

}  // namespace meridian::node
