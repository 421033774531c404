// The contract of node/store.h, through the loaded store-kv.so.
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
    CPPUNIT_TEST(a_new_store_says_that_it_was_created);
    CPPUNIT_TEST(an_acknowledged_entry_is_read_back_after_reopening);
    CPPUNIT_TEST(a_group_is_all_or_nothing);
    CPPUNIT_TEST(commits_complete_in_the_order_of_submission);
    CPPUNIT_TEST(a_completion_never_runs_inside_the_submitting_call);
    CPPUNIT_TEST(a_group_that_leaves_a_gap_is_not_committed);
    CPPUNIT_TEST(a_key_is_its_snapshot_and_the_entries_after_it);
    CPPUNIT_TEST(a_snapshot_ahead_of_the_log_is_refused);
    CPPUNIT_TEST(an_older_snapshot_does_not_replace_a_newer_one);
    CPPUNIT_TEST(a_deleted_key_stays_deleted_after_reopening);
    CPPUNIT_TEST(stale_keys_are_given_oldest_first);
    CPPUNIT_TEST(log_pages_respect_their_limits);
    CPPUNIT_TEST(a_log_page_holds_one_entry_larger_than_the_limit);
    CPPUNIT_TEST(segments_are_deleted_only_when_covered_and_not_retained);
    CPPUNIT_TEST(an_old_log_can_be_paged_after_reopening);
    CPPUNIT_TEST(keys_are_listed_in_byte_order_in_pages);
    CPPUNIT_TEST(long_names_keep_their_order);
    CPPUNIT_TEST(due_keys_come_in_order_of_deadline);
    CPPUNIT_TEST(metadata_is_written_with_its_group_and_survives);
    CPPUNIT_TEST(metadata_is_listed_by_prefix_in_pages);
    CPPUNIT_TEST(metadata_alone_does_not_keep_old_segments);
    CPPUNIT_TEST(many_deleted_keys_leave_nothing_behind);
    CPPUNIT_TEST(large_values_are_kept);
    CPPUNIT_TEST(a_full_log_refuses_and_recovers_when_segments_can_go);
    CPPUNIT_TEST(one_process_at_a_time_may_open_a_directory);
    CPPUNIT_TEST(files_are_closed_to_other_users);
    CPPUNIT_TEST(close_completes_what_is_outstanding);
    CPPUNIT_TEST(a_backup_made_under_writes_is_a_whole_store);
    CPPUNIT_TEST(readers_see_whole_groups_while_commits_and_checkpoints_go_on);
    CPPUNIT_TEST_SUITE_END();

    TemporaryDirectory temporary_;
    TestHost host_;
    Section section_{{"directory", temporary_.path() + "/store"}};

    TestStore open() { return open_store(host_, section_); }

public:
    void a_new_store_says_that_it_was_created() {
        std::string id;
        {
            auto store = open();
            CPPUNIT_ASSERT(store->opening().created);
            CPPUNIT_ASSERT_EQUAL(uint64_t{1}, store->opening().next_position);
            CPPUNIT_ASSERT_EQUAL(uint64_t{1}, store->opening().floor);
            id = store->opening().store_id;
            CPPUNIT_ASSERT_EQUAL(size_t{16}, id.size());
        }
        auto store = open();
        CPPUNIT_ASSERT(!store->opening().created);
        CPPUNIT_ASSERT_EQUAL(id, store->opening().store_id);
    }

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

    void a_group_is_all_or_nothing() {
        auto store = open();
        // The second position does not follow: nothing of the group may appear.
        const auto refused = store.commit({{entry(1, "room", "a", "x"), entry(3, "room", "b", "y")}, {{"m", "v"}}});
        CPPUNIT_ASSERT(refused.status == CommitStatus::not_committed);
        CPPUNIT_ASSERT(store.read("room", "a").tail.empty());
        CPPUNIT_ASSERT(!store.metadata("m"));
        const auto taken = store.commit({{entry(1, "room", "a", "x"), entry(2, "room", "b", "y")}, {{"m", "v"}}});
        CPPUNIT_ASSERT(taken.status == CommitStatus::durable);
        CPPUNIT_ASSERT_EQUAL(size_t{1}, store.read("room", "a").tail.size());
        CPPUNIT_ASSERT_EQUAL(size_t{1}, store.read("room", "b").tail.size());
        CPPUNIT_ASSERT_EQUAL(std::string("v"), store.metadata("m").value_or(""));
    }

    void commits_complete_in_the_order_of_submission() {
        auto store = open();
        constexpr size_t count = 500;
        std::mutex mutex;
        std::vector<size_t> order;
        Awaited<int> all;
        const auto finished = all.completion();
        for (size_t i = 0; i < count; ++i) {
            store->commit({{entry(i + 1, "room", "k" + std::to_string(i % 7), std::string(i, 'x'))}, {}},
                          [&, i](node::CommitResult result) {
                              const std::lock_guard lock(mutex);
                              if (result.status == CommitStatus::durable) order.push_back(i);
                              if (i + 1 == count) finished(0);
                          });
        }
        all.get();
        const std::lock_guard lock(mutex);
        CPPUNIT_ASSERT_EQUAL(count, order.size());
        CPPUNIT_ASSERT(std::is_sorted(order.begin(), order.end()));
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

    void a_key_is_its_snapshot_and_the_entries_after_it() {
        const auto check = [](TestStore& store) {
            const auto record = store.read("room", "a");
            CPPUNIT_ASSERT_EQUAL(std::string("state 2"), record.snapshot.value_or("none"));
            CPPUNIT_ASSERT_EQUAL(uint64_t{2}, record.snapshot_position);
            CPPUNIT_ASSERT((record.tail == std::vector<std::string>{"3"}));
            CPPUNIT_ASSERT_EQUAL(uint64_t{3}, record.tail_position);
        };
        {
            auto store = open();
            store.put("room", "a", "1");
            store.put("room", "a", "2");
            store.put("room", "a", "3");
            CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", "a", 2, "state 2"));
            check(store);
        }
        auto store = open();
        check(store);
    }

    void a_snapshot_ahead_of_the_log_is_refused() {
        auto store = open();
        store.put("room", "a", "1");
        CPPUNIT_ASSERT(store.snapshot("room", "a", 2, "state") != "");
        CPPUNIT_ASSERT(!store.read("room", "a").snapshot);
    }

    void an_older_snapshot_does_not_replace_a_newer_one() {
        auto store = open();
        store.put("room", "a", "1");
        store.put("room", "a", "2");
        CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", "a", 2, "new"));
        CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", "a", 1, "old"));
        CPPUNIT_ASSERT_EQUAL(std::string("new"), store.read("room", "a").snapshot.value_or("none"));
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

    void stale_keys_are_given_oldest_first() {
        const auto check = [](TestStore& store) {
            const auto stale = store->stale_keys(10);
            CPPUNIT_ASSERT_EQUAL(size_t{2}, stale.size());
            CPPUNIT_ASSERT_EQUAL(std::string("b"), stale[0].key);
            CPPUNIT_ASSERT_EQUAL(std::string("a"), stale[1].key);
            CPPUNIT_ASSERT_EQUAL(size_t{1}, store->stale_keys(1).size());
        };
        {
            auto store = open();
            store.put("room", "a", "1");
            store.put("room", "b", "2");
            store.put("room", "c", "3");
            store.put("room", "a", "4");
            CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", "a", 1, "a"));
            CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", "c", 4, "c"));
            check(store);
        }
        auto store = open();
        check(store);
    }

    void log_pages_respect_their_limits() {
        auto store = open();
        for (int i = 0; i < 20; ++i) {
            store.commit({{entry(store.next_position(), "room", "a", std::string(100, 'x')),
                           entry(store.next_position() + 1, "room", "b", std::string(100, 'y'))},
                          {}});
        }
        auto page = store.log(1, 7);
        CPPUNIT_ASSERT_EQUAL(size_t{7}, page.entries.size());
        CPPUNIT_ASSERT_EQUAL(uint64_t{8}, page.next_position);
        page = store.log(8, 1000, 350);
        CPPUNIT_ASSERT_EQUAL(size_t{3}, page.entries.size());
        CPPUNIT_ASSERT_EQUAL(uint64_t{8}, page.entries[0].position);
        CPPUNIT_ASSERT_EQUAL(uint64_t{11}, page.next_position);
        page = store.log(41);
        CPPUNIT_ASSERT(page.entries.empty());
        CPPUNIT_ASSERT_EQUAL(uint64_t{41}, page.next_position);
        CPPUNIT_ASSERT(!page.gone);
    }

    void a_log_page_holds_one_entry_larger_than_the_limit() {
        auto store = open();
        store.put("room", "a", std::string(5000, 'x'));
        const auto page = store.log(1, 10, 100);
        CPPUNIT_ASSERT_EQUAL(size_t{1}, page.entries.size());
        CPPUNIT_ASSERT_EQUAL(uint64_t{2}, page.next_position);
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

    void keys_are_listed_in_byte_order_in_pages() {
        auto store = open();
        // Half of them in snapshots, half in the log only; one namespace is a prefix of another.
        const std::vector<node::KeyName> names = {{"a", "x"},   {"a", "y"},  {"a", "\xff"},
                                                  {"a-b", "x"}, {"ab", "x"}, {"b", "a"}};
        for (size_t i = 0; i < names.size(); ++i) {
            const uint64_t position = store.put(names[i].namespace_name, names[i].key, "v");
            if (i % 2 == 0)
                CPPUNIT_ASSERT_EQUAL(std::string(),
                                     store.snapshot(names[i].namespace_name, names[i].key, position, "s"));
        }
        std::vector<node::KeyName> seen;
        std::optional<node::KeyName> after;
        for (bool more = true; more;) {
            const auto page = store.keys("", after, 2);
            CPPUNIT_ASSERT_EQUAL(std::string(), page.error);
            CPPUNIT_ASSERT(page.names.size() <= 2);
            seen.insert(seen.end(), page.names.begin(), page.names.end());
            if (!page.names.empty()) after = page.names.back();
            more = page.more;
        }
        CPPUNIT_ASSERT(seen == names);
        const auto one = store.keys("a");
        CPPUNIT_ASSERT_EQUAL(size_t{3}, one.names.size());
        CPPUNIT_ASSERT(!one.more);
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

    void due_keys_come_in_order_of_deadline() {
        auto store = open();
        store.put("room", "late", "v", 300);
        store.put("room", "early", "v", 100);
        store.put("room", "never", "v", 0);
        store.put("room", "middle", "v", 200);
        store.put("room", "stored", "v", 150);
        CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", "stored", 5, "s", 150));
        CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", "middle", 5, "s", 200));
        auto due = store.due(250);
        CPPUNIT_ASSERT_EQUAL(size_t{3}, due.size());
        CPPUNIT_ASSERT_EQUAL(std::string("early"), due[0].name.key);
        CPPUNIT_ASSERT_EQUAL(std::string("stored"), due[1].name.key);
        CPPUNIT_ASSERT_EQUAL(uint64_t{200}, due[2].deadline_ms);
        CPPUNIT_ASSERT_EQUAL(size_t{2}, store.due(250, 2).size());
        // The newest deadline of a key counts, in the log and in the database.
        store.put("room", "stored", "v", 0);
        store.put("room", "early", "v", 260);
        CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", "middle", 7, "s", 400));
        CPPUNIT_ASSERT(store.due(250).empty());
        store->close();
        auto again = open();
        due = again.due(1000);
        CPPUNIT_ASSERT_EQUAL(size_t{3}, due.size());
        CPPUNIT_ASSERT_EQUAL(std::string("early"), due[0].name.key);
        CPPUNIT_ASSERT_EQUAL(std::string("late"), due[1].name.key);
        CPPUNIT_ASSERT_EQUAL(std::string("middle"), due[2].name.key);
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

    void large_values_are_kept() {
        const std::string payload(3 << 20, 'p');
        const std::string state(5 << 20, 's');
        {
            auto store = open();
            store.put("room", "big", payload);
            store.put("room", "small", "x");
            store.put("room", "big", payload + "2");
            CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", "big", 1, state));
        }
        auto store = open();
        const auto record = store.read("room", "big");
        CPPUNIT_ASSERT(record.snapshot == state);
        CPPUNIT_ASSERT_EQUAL(size_t{1}, record.tail.size());
        CPPUNIT_ASSERT(record.tail[0] == payload + "2");
        CPPUNIT_ASSERT(store.log(1, 1).entries.at(0).payload == payload);
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

    void one_process_at_a_time_may_open_a_directory() {
        auto store = open();
        const auto second = try_open(host_, section_);
        CPPUNIT_ASSERT(!second);
        CPPUNIT_ASSERT(second.error().message.find("in use by process " + std::to_string(::getpid())) !=
                       std::string::npos);
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

    void readers_see_whole_groups_while_commits_and_checkpoints_go_on() {
        auto store = open();
        std::atomic<bool> stop{false};
        std::atomic<uint64_t> durable{0};
        std::vector<std::thread> readers;
        std::atomic<int> wrong{0};
        for (int r = 0; r < 2; ++r) {
            readers.emplace_back([&] {
                while (!stop) {
                    const uint64_t known = durable;
                    Awaited<std::vector<node::KeyRecord>> result;
                    store->read_keys({{"room", "a"}}, result.completion());
                    const auto record = result.get().front();
                    // The state is the count of entries that it covers: none may be missing, none counted twice.
                    const uint64_t covered = record.snapshot ? std::stoull(*record.snapshot) : 0;
                    if (!record.error.empty() || covered + record.tail.size() < known ||
                        (!record.tail.empty() &&
                         record.tail.size() + record.snapshot_position != record.tail_position)) {
                        wrong += 1;
                    }
                }
            });
        }
        for (uint64_t i = 1; i <= 400; ++i) {
            store.put("room", "a", std::string(1500, 'x'));
            durable = i;
            if (i % 10 == 0) {
                store->retain_from(i);
                CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", "a", i, std::to_string(i)));
            }
        }
        stop = true;
        for (auto& reader : readers) reader.join();
        CPPUNIT_ASSERT_EQUAL(0, wrong.load());
        CPPUNIT_ASSERT(store.log(1).gone);
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(StoreContractTest);

}  // namespace
}  // namespace meridian::test
