// What store-kv finds out by itself about damage to what it keeps.
#include <cppunit/extensions/HelperMacros.h>

#include "store_fixture.h"

namespace meridian::test {
namespace {

class StoreScrubTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(StoreScrubTest);
    CPPUNIT_TEST(nothing_is_found_in_a_sound_store);
    CPPUNIT_TEST(damage_is_found_and_reported_while_the_store_goes_on);
    CPPUNIT_TEST(new_options_take_effect_without_a_restart);
    CPPUNIT_TEST_SUITE_END();

    TemporaryDirectory temporary_;
    TestHost host_;
    const std::string directory_ = temporary_.path() + "/store";
    const Section section_{{"directory", directory_}, {"scrub_interval", "20ms"}, {"scrub_bytes_per_second", "1GiB"}};
    const std::string state_ = "a state that is easy to find in the file";
    const std::string value_ = "a value that is easy to find in the file";

    // Two log segments, the first of which is not read at open; a snapshot of each key; metadata in the database.
    void fill() {
        auto store = open_store(host_, {{"directory", directory_}, {"scrub_interval", "0"}});
        CPPUNIT_ASSERT(store.commit_metadata("name", value_).status == node::CommitStatus::durable);
        uint64_t last = 0;
        for (int i = 0; i < 30; ++i) last = store.put("room", i % 2 == 0 ? "a" : "b", std::string(3000, 'x'));
        CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", "a", last, state_));
        CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", "b", last, "fine"));
        store->close();
        CPPUNIT_ASSERT(segments(directory_).size() > 1);
    }
    static void damage(const std::string& path, const std::string& text) {
        std::string bytes = read_file(path);
        size_t found = 0;
        for (size_t at = bytes.find(text); at != std::string::npos; at = bytes.find(text, at + 1), ++found) {
            bytes[at + 3] = 'X';
        }
        CPPUNIT_ASSERT(found > 0);
        write_file(path, bytes);
    }
    bool warned(const std::string& text) const { return host_.warnings().find(text) != std::string::npos; }

public:
    void nothing_is_found_in_a_sound_store() {
        fill();
        auto store = open_store(host_, section_);
        CPPUNIT_ASSERT(TestStore::eventually([&] { return host_.metric("scrub_passes").has_value(); }));
        CPPUNIT_ASSERT_EQUAL(0.0, host_.metric("scrub_damage").value_or(-1));
        CPPUNIT_ASSERT_EQUAL(std::string(), host_.warnings());
    }

    void damage_is_found_and_reported_while_the_store_goes_on() {
        fill();
        damage(directory_ + "/snapshots/data.mdb", state_);
        damage(directory_ + "/snapshots/data.mdb", value_);
        const std::string segment = segments(directory_).front();
        damage(segment, std::string(3000, 'x'));
        auto store = open_store(host_, section_);
        CPPUNIT_ASSERT(TestStore::eventually([&] { return host_.metric("scrub_damage") == 3.0; }));
        CPPUNIT_ASSERT_MESSAGE(host_.warnings(),
                               warned("snapshot of key 'room\\x00a': the stored value fails its checksum"));
        CPPUNIT_ASSERT_MESSAGE(host_.warnings(), warned("metadata 'name': the stored value fails its checksum"));
        CPPUNIT_ASSERT_MESSAGE(host_.warnings(), warned(segment + ": log record 2 at offset "));
        CPPUNIT_ASSERT(!store->usage().failed);
        CPPUNIT_ASSERT(!store.read("room", "a").error.empty());
        CPPUNIT_ASSERT_EQUAL(std::string("fine"), store.read("room", "b").snapshot.value_or("none"));
        store.put("room", "b", "goes on");
    }

    void new_options_take_effect_without_a_restart() {
        fill();
        // From never, and from much later.
        for (const char* interval : {"0", "24h"}) {
            TestHost host;
            auto store = open_store(host, {{"directory", directory_}, {"scrub_interval", interval}});
            const auto given =
                store->reconfigure({{{"scrub_interval", "20"}, {"scrub_bytes_per_second", "1073741824"}}});
            CPPUNIT_ASSERT(given.ok());
            CPPUNIT_ASSERT(TestStore::eventually([&] { return host.metric("scrub_passes").has_value(); }));
            const auto refused = store->reconfigure({});
            CPPUNIT_ASSERT(!refused.ok());
            CPPUNIT_ASSERT_EQUAL(std::string("store store-kv: configuration key 'scrub_interval' has no value"),
                                 refused.error().message);
        }
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(StoreScrubTest);

}  // namespace
}  // namespace meridian::test
