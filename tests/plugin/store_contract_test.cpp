// What store-kv promises beyond the contract of plugin.h, which meridian-plugin-test checks, and the adapter to
// node/store.h; through the loaded store-kv.so.
#include <cppunit/extensions/HelperMacros.h>

#include <sys/stat.h>
#include <algorithm>
#include <filesystem>

#include "store_fixture.h"

namespace meridian::test {
namespace {

using node::CommitStatus;

class StoreContractTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(StoreContractTest);
    CPPUNIT_TEST(an_acknowledged_entry_is_read_back_after_reopening);
    CPPUNIT_TEST(a_completion_never_runs_inside_the_submitting_call);
    CPPUNIT_TEST(a_group_that_leaves_a_gap_is_not_committed);
    CPPUNIT_TEST(a_deleted_key_stays_deleted_after_reopening);
    CPPUNIT_TEST(segments_are_deleted_only_when_covered_and_not_retained);
    CPPUNIT_TEST(an_old_log_can_be_paged_after_reopening);
    CPPUNIT_TEST(long_names_keep_their_order);
    CPPUNIT_TEST(metadata_is_written_with_its_group_and_survives);
    CPPUNIT_TEST(metadata_is_listed_by_prefix_in_pages);
    CPPUNIT_TEST(metadata_that_moves_to_the_database_is_listed_as_it_is);
    CPPUNIT_TEST(metadata_alone_does_not_keep_old_segments);
    CPPUNIT_TEST(many_deleted_keys_leave_nothing_behind);
    CPPUNIT_TEST(a_full_log_refuses_and_recovers_when_segments_can_go);
    CPPUNIT_TEST(files_are_closed_to_other_users);
    CPPUNIT_TEST(close_completes_what_is_outstanding);
    CPPUNIT_TEST(a_backup_made_under_writes_is_a_whole_store);
    CPPUNIT_TEST(a_failed_backup_leaves_nothing_behind);
    CPPUNIT_TEST_SUITE_END();

    TemporaryDirectory temporary_;
    TestHost host_;
    Section section_{{"directory", temporary_.path() + "/store"}};

    TestStore open() { return open_store(host_, section_); }

public:
    void an_acknowledged_entry_is_read_back_after_reopening() {
        {
            auto store = open();
            store.put("room", "a", "first");
            store.put("room", "b", "other");
            store.put("room", "a", "second");
        }
        auto store = open();
        CPPUNIT_ASSERT_EQUAL(uint64_t{4}, store->opening().next_position);
        const auto a = store.read("room", "a");
        CPPUNIT_ASSERT_EQUAL(std::string(), a.error);
        CPPUNIT_ASSERT(!a.snapshot);
        CPPUNIT_ASSERT((a.tail == std::vector<std::string>{"first", "second"}));
        CPPUNIT_ASSERT_EQUAL(uint64_t{3}, a.tail_position);
        const auto page = store.log(1);
        CPPUNIT_ASSERT_EQUAL(size_t{3}, page.entries.size());
        const auto expected = entry(2, "room", "b", "other");
        const auto& found = page.entries[1];
        CPPUNIT_ASSERT_EQUAL(expected.position, found.position);
        CPPUNIT_ASSERT_EQUAL(expected.origin_node_id, found.origin_node_id);
        CPPUNIT_ASSERT_EQUAL(expected.origin_incarnation, found.origin_incarnation);
        CPPUNIT_ASSERT_EQUAL(expected.origin_sequence, found.origin_sequence);
        CPPUNIT_ASSERT_EQUAL(expected.wall_ms, found.wall_ms);
        CPPUNIT_ASSERT(expected.name == found.name);
        CPPUNIT_ASSERT_EQUAL(expected.payload, found.payload);
    }

    void a_completion_never_runs_inside_the_submitting_call() {
        auto store = open();
        // A refused call takes another way to its completion than one that was carried out.
        for (const uint64_t position : {uint64_t{1}, uint64_t{0}}) {
            thread_local bool inside = false;
            inside = true;
            Awaited<int> was_inside;
            const auto finished = was_inside.completion();
            const std::string namespace_name = position == 0 ? std::string("a\0b", 3) : "room";
            store->commit({{entry(1, namespace_name, "k", "x")}, {}},
                          [finished](node::CommitResult) { finished(inside ? 1 : 0); });
            inside = false;
            CPPUNIT_ASSERT_EQUAL(0, was_inside.get());
        }
    }

    void a_group_that_leaves_a_gap_is_not_committed() {
        auto store = open();
        store.put("room", "a", "x");
        const auto refused = store.commit({{entry(7, "room", "a", "y")}, {}});
        CPPUNIT_ASSERT(refused.status == CommitStatus::not_committed);
        CPPUNIT_ASSERT(refused.message.find("position 7") != std::string::npos);
        store.put("room", "a", "z");
        CPPUNIT_ASSERT((store.read("room", "a").tail == std::vector<std::string>{"x", "z"}));
    }

    void a_deleted_key_stays_deleted_after_reopening() {
        {
            auto store = open();
            store.put("room", "a", "1", 50);
            store.put("room", "other", "keeps the segment");
            CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", "a", 2, std::nullopt));
            CPPUNIT_ASSERT_EQUAL(size_t{1}, store.keys().names.size());
            CPPUNIT_ASSERT(store.due(100).empty());
        }
        auto store = open();
        const auto record = store.read("room", "a");
        CPPUNIT_ASSERT(!record.snapshot);
        CPPUNIT_ASSERT(record.tail.empty());
        CPPUNIT_ASSERT_EQUAL(size_t{1}, store.keys().names.size());
        CPPUNIT_ASSERT(store.due(100).empty());
        store.put("room", "a", "again");
        CPPUNIT_ASSERT((store.read("room", "a").tail == std::vector<std::string>{"again"}));
        CPPUNIT_ASSERT_EQUAL(size_t{2}, store.keys().names.size());
    }

    void segments_are_deleted_only_when_covered_and_not_retained() {
        auto store = open();
        const auto fill = [&] {
            for (int i = 0; i < 100; ++i) store.put("room", "k" + std::to_string(i % 5), std::string(5000, 'x'));
        };
        fill();
        const size_t before = segments(section_["directory"]).size();
        CPPUNIT_ASSERT(before > 4);
        store->retain_from(60);
        // Not covered: nothing may go.
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        CPPUNIT_ASSERT_EQUAL(before, segments(section_["directory"]).size());
        for (int i = 0; i < 5; ++i) {
            CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", "k" + std::to_string(i), 100, "state"));
        }
        CPPUNIT_ASSERT(TestStore::eventually([&] { return store.log(1).gone; }));
        const auto gone = store.log(1);
        CPPUNIT_ASSERT(gone.floor > 1);
        CPPUNIT_ASSERT(gone.floor <= 60);
        CPPUNIT_ASSERT(gone.entries.empty());
        CPPUNIT_ASSERT_EQUAL(uint64_t{60}, store.log(60, 1).entries.at(0).position);
        // Files that were used before serve again, and what they held before does not come back.
        fill();
        for (int i = 0; i < 5; ++i)
            CPPUNIT_ASSERT_EQUAL(size_t{20}, store.read("room", "k" + std::to_string(i)).tail.size());
        store->close();
        auto again = open();
        CPPUNIT_ASSERT_EQUAL(uint64_t{201}, again->opening().next_position);
        CPPUNIT_ASSERT(again->opening().floor > 1);
        for (int i = 0; i < 5; ++i) {
            const auto record = again.read("room", "k" + std::to_string(i));
            CPPUNIT_ASSERT_EQUAL(std::string("state"), record.snapshot.value_or("none"));
            CPPUNIT_ASSERT_EQUAL(size_t{20}, record.tail.size());
        }
    }

    void an_old_log_can_be_paged_after_reopening() {
        {
            auto store = open();
            for (int i = 0; i < 100; ++i) store.put("room", "a", std::string(3000, 'x'));
            CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", "a", 100, "state"));
        }
        auto store = open();
        uint64_t next = 1;
        uint64_t seen = 0;
        while (next <= 100) {
            const auto page = store.log(next, 9);
            CPPUNIT_ASSERT_EQUAL(std::string(), page.error);
            CPPUNIT_ASSERT(!page.entries.empty());
            for (const auto& item : page.entries) CPPUNIT_ASSERT_EQUAL(++seen, item.position);
            next = page.next_position;
        }
        CPPUNIT_ASSERT_EQUAL(uint64_t{100}, seen);
        store.put("room", "a", "newest");
        CPPUNIT_ASSERT_EQUAL(std::string("newest"), store.log(101).entries.at(0).payload);
    }

    void long_names_keep_their_order() {
        auto store = open();
        std::vector<node::KeyName> names;
        const std::string common(600, 'k');
        for (const char* end : {"", "a", "ab", "b", "z"}) names.push_back({"room", common + end});
        names.push_back({"room", std::string(1000, 'l')});
        names.push_back({"room", "m"});
        for (size_t i = names.size(); i-- > 0;) {
            const uint64_t position = store.put("room", names[i].key, "v" + std::to_string(i), 1000 + i);
            CPPUNIT_ASSERT_EQUAL(std::string(),
                                 store.snapshot("room", names[i].key, position, "s" + std::to_string(i), 1000 + i));
        }
        std::vector<node::KeyName> seen;
        std::optional<node::KeyName> after;
        for (bool more = true; more;) {
            const auto page = store.keys("room", after, 2);
            seen.insert(seen.end(), page.names.begin(), page.names.end());
            after = page.names.back();
            more = page.more;
        }
        CPPUNIT_ASSERT(seen == names);
        for (size_t i = 0; i < names.size(); ++i) {
            CPPUNIT_ASSERT_EQUAL("s" + std::to_string(i), store.read("room", names[i].key).snapshot.value_or("none"));
        }
        const auto due = store.due(2000);
        CPPUNIT_ASSERT_EQUAL(names.size(), due.size());
        CPPUNIT_ASSERT(due[3].name == names[3]);
    }

    void metadata_is_written_with_its_group_and_survives() {
        {
            auto store = open();
            CPPUNIT_ASSERT(store.commit_metadata("clock", "1").status == CommitStatus::durable);
            CPPUNIT_ASSERT(store.commit_metadata("clock", "2").status == CommitStatus::durable);
            CPPUNIT_ASSERT(store.commit_metadata("gone", "x").status == CommitStatus::durable);
            CPPUNIT_ASSERT(store.commit_metadata("gone", std::nullopt).status == CommitStatus::durable);
            CPPUNIT_ASSERT(store.commit_metadata("empty", "").status == CommitStatus::durable);
            CPPUNIT_ASSERT_EQUAL(std::string("2"), store.metadata("clock").value_or("none"));
        }
        for (int i = 0; i < 2; ++i) {
            auto store = open();
            CPPUNIT_ASSERT_EQUAL(std::string("2"), store.metadata("clock").value_or("none"));
            CPPUNIT_ASSERT(!store.metadata("gone"));
            CPPUNIT_ASSERT_EQUAL(std::string(""), store.metadata("empty").value_or("none"));
            // Deleting what is in the database hides it at once.
            if (i == 0) store.commit_metadata("gone", "back");
            if (i == 0) store.commit_metadata("gone", std::nullopt);
        }
    }

    void metadata_is_listed_by_prefix_in_pages() {
        {
            auto store = open();
            for (const char* name : {"i/1", "i/2", "i/3", "i/4", "j/1"})
                store.commit_metadata(name, std::string("v") + name);
        }
        auto store = open();  // closed cleanly: all of it is in the database
        store.commit_metadata("i/2", std::nullopt);
        store.commit_metadata("i/3", "changed");
        store.commit_metadata("i/5", "new");
        using Values = std::vector<std::pair<std::string, std::string>>;
        CPPUNIT_ASSERT((store.scan_metadata("i/") ==
                        Values{{"i/1", "vi/1"}, {"i/3", "changed"}, {"i/4", "vi/4"}, {"i/5", "new"}}));
        CPPUNIT_ASSERT((store.scan_metadata("i/", "i/1", 2) == Values{{"i/3", "changed"}, {"i/4", "vi/4"}}));
    }

    // What a checkpoint moves while a list is made is neither missed nor given as it was before.
    void metadata_that_moves_to_the_database_is_listed_as_it_is() {
        auto store = open();
        node::CommitGroup group;
        for (int i = 0; i < 500; ++i) group.metadata.push_back({"m/" + std::to_string(1000 + i), "value"});
        CPPUNIT_ASSERT(store.commit(group).status == node::CommitStatus::durable);
        const uint64_t position = store.put("room", "key", "entry");
        for (int round = 0; round < 150; ++round) {
            store.commit_metadata("m/removed", "there");
            store.commit_metadata("m/set", std::to_string(round));
            CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", "key", position, "state"));
            store.commit_metadata("m/removed", std::nullopt);
            store.commit_metadata("m/set", std::to_string(round) + " again");
            Awaited<std::string> written;
            store->checkpoint({{{"room", "key"}, position, 0, "state"}}, written.completion());
            do {
                const auto listed = store.scan_metadata("m/");
                CPPUNIT_ASSERT_EQUAL(size_t{501}, listed.size());
                CPPUNIT_ASSERT_EQUAL(std::string("m/set"), listed.back().first);
                CPPUNIT_ASSERT_EQUAL(std::to_string(round) + " again", listed.back().second);
            } while (written.count() == 0);
        }
    }

    void metadata_alone_does_not_keep_old_segments() {
        auto store = open();
        store.commit_metadata("once", "kept");
        for (int i = 0; i < 300; ++i)
            store.commit_metadata("clock", std::string(2000, static_cast<char>('a' + i % 26)));
        store->retain_from(1000);
        CPPUNIT_ASSERT(TestStore::eventually([&] { return segments(section_["directory"]).size() <= 2; }));
        CPPUNIT_ASSERT_EQUAL(std::string("kept"), store.metadata("once").value_or("none"));
    }

    void many_deleted_keys_leave_nothing_behind() {
        auto store = open();
        std::vector<node::SnapshotWrite> removals;
        for (int i = 0; i < 1500; ++i) {
            node::SnapshotWrite removal;
            removal.name = {"room", "k" + std::to_string(i)};
            removal.position = store.put("room", removal.name.key, std::string(100, 'x'));
            removals.push_back(removal);
        }
        CPPUNIT_ASSERT_EQUAL(std::string(), store.checkpoint(removals));
        CPPUNIT_ASSERT(store->stale_keys(1).empty());
        CPPUNIT_ASSERT(store.keys().names.empty());
        store->close();
        auto again = open();
        CPPUNIT_ASSERT(again->stale_keys(1).empty());
        CPPUNIT_ASSERT(again.keys().names.empty());
        // The rows that remembered the deletions are gone too: a snapshot at an older position is taken again.
        CPPUNIT_ASSERT_EQUAL(std::string(), again.snapshot("room", "k0", 0, "new"));
        CPPUNIT_ASSERT_EQUAL(std::string("new"), again.read("room", "k0").snapshot.value_or("none"));
        CPPUNIT_ASSERT_EQUAL(std::string(), again.snapshot("room", "k1499", 0, "new"));
        CPPUNIT_ASSERT_EQUAL(std::string("new"), again.read("room", "k1499").snapshot.value_or("none"));
    }

    void a_full_log_refuses_and_recovers_when_segments_can_go() {
        section_["log_bytes_max"] = "256KiB";
        auto store = open();
        node::CommitResult result;
        uint64_t written = 0;
        for (int i = 0; i < 200; ++i) {
            result = store.commit({{entry(store.next_position(), "room", "a", std::string(5000, 'x'))}, {}});
            if (result.status != CommitStatus::durable) break;
            written += 1;
        }
        CPPUNIT_ASSERT(result.status == CommitStatus::not_committed);
        CPPUNIT_ASSERT(result.message.find("log_bytes_max") != std::string::npos);
        CPPUNIT_ASSERT(!store->usage().failed);
        CPPUNIT_ASSERT(store->usage().log_bytes <= 256 << 10);
        CPPUNIT_ASSERT_EQUAL(size_t(written), store.read("room", "a").tail.size());
        CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", "a", written, "state"));
        store->retain_from(written + 1);
        CPPUNIT_ASSERT(TestStore::eventually([&] {
            return store.commit({{entry(store.next_position(), "room", "a", std::string(5000, 'y'))}, {}}).status ==
                   CommitStatus::durable;
        }));
        CPPUNIT_ASSERT_EQUAL(size_t{1}, store.read("room", "a").tail.size());
    }

    void files_are_closed_to_other_users() {
        std::filesystem::create_directory(section_["directory"]);
        ::chmod(section_["directory"].c_str(), 0755);
        auto store = open();
        store.put("room", "a", "x");
        for (const auto& item : std::filesystem::recursive_directory_iterator(temporary_.path())) {
            struct stat status {};
            CPPUNIT_ASSERT_EQUAL(0, ::stat(item.path().c_str(), &status));
            CPPUNIT_ASSERT_EQUAL_MESSAGE(item.path().string(), mode_t{0}, status.st_mode & 0077);
        }
        CPPUNIT_ASSERT(host_.warnings().find("0700") != std::string::npos);
    }

    void close_completes_what_is_outstanding() {
        auto store = open();
        std::atomic<int> durable{0};
        std::atomic<int> completed{0};
        for (uint64_t i = 1; i <= 200; ++i) {
            store->commit({{entry(i, "room", "a", "x")}, {}}, [&](node::CommitResult result) {
                completed += 1;
                if (result.status == CommitStatus::durable) durable += 1;
            });
            store->read_keys({{"room", "a"}}, [&](std::vector<node::KeyRecord>) { completed += 1; });
        }
        store->close();
        CPPUNIT_ASSERT_EQUAL(200, durable.load());
        CPPUNIT_ASSERT_EQUAL(400, completed.load());
    }

    void a_failed_backup_leaves_nothing_behind() {
        const std::string target = temporary_.path() + "/backup";
        auto store = open();
        for (int i = 0; i < 60; ++i) store.put("room", "a", std::string(3000, 'x'));
        const std::string segment = segments(temporary_.path() + "/store").front();
        std::filesystem::resize_file(segment, 10'000);
        Awaited<std::string> result;
        store->backup(target, result.completion());
        const std::string error = result.get();
        CPPUNIT_ASSERT_MESSAGE(error, error.find(segment) != std::string::npos);
        CPPUNIT_ASSERT(!std::filesystem::exists(target));
        store.put("room", "a", "goes on");
    }

    void a_backup_made_under_writes_is_a_whole_store() {
        const std::string target = temporary_.path() + "/backup";
        auto store = open();
        for (int i = 0; i < 100; ++i) store.put("room", "k" + std::to_string(i % 4), std::string(3000, 'x'));
        CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", "k0", 100, "25"));
        store.commit_metadata("clock", "1");
        const uint64_t before = store.next_position() - 1;
        Awaited<std::string> result;
        store->backup(target, result.completion());
        // Commits, checkpoints and deletions of segments go on meanwhile.
        for (int i = 0; result.count() == 0 || i < 50; ++i) {
            const uint64_t position = store.put("room", "k" + std::to_string(i % 4), std::string(3000, 'y'));
            if (i % 20 != 0) continue;
            const auto record = store.read("room", "k1");
            const uint64_t counted = (record.snapshot ? std::stoull(*record.snapshot) : 0) + record.tail.size();
            CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", "k1", position, std::to_string(counted)));
            store->retain_from(position);
        }
        CPPUNIT_ASSERT_EQUAL(std::string(), result.get());
        const uint64_t after = store.next_position() - 1;
        Awaited<std::string> again;
        store->backup(target, again.completion());
        CPPUNIT_ASSERT(again.get().find("File exists") != std::string::npos);
        store->close();

        auto copy = open_store(host_, {{"directory", target}});
        const uint64_t last = copy->opening().next_position - 1;
        CPPUNIT_ASSERT(last >= before);
        CPPUNIT_ASSERT(last <= after);
        CPPUNIT_ASSERT_EQUAL(std::string("1"), copy.metadata("clock").value_or("none"));
        uint64_t counted = 0;
        for (int k = 0; k < 4; ++k) {
            const auto record = copy.read("room", "k" + std::to_string(k));
            CPPUNIT_ASSERT_EQUAL(std::string(), record.error);
            counted += (record.snapshot ? std::stoull(*record.snapshot) : 0) + record.tail.size();
        }
        CPPUNIT_ASSERT_EQUAL(last, counted);
        copy.put("room", "k0", "goes on");
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(StoreContractTest);

}  // namespace
}  // namespace meridian::test
