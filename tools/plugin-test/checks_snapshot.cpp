// checkpoint and stale_keys.
#include "fixture.h"

namespace meridian::plugin_test {
namespace {

void a_key_is_its_snapshot_and_the_entries_after_it(Fixture& fixture) {
    auto store = fixture.open();
    store.put("room", "a", "1");
    store.put("room", "b", "of b");
    store.put("room", "a", "3");
    store.put("room", "a", "4");
    store.snapshot("room", "a", 3, "state 3");
    const auto record = store.read("room", "a");
    require_equal(record.snapshot.value_or("(none)"), "state 3", "snapshot");
    require_equal(record.snapshot_position, uint64_t{3}, "snapshot_position");
    require(record.tail == std::vector<std::string>{"4"}, "the tail is not the entries after the snapshot's position");
    require_equal(record.tail_position, uint64_t{4}, "tail_position");
    store.snapshot("room", "a", 4, "");
    const auto covered = store.read("room", "a");
    require(covered.snapshot == "" && covered.tail.empty(),
            "an empty state at the last position is not all of the key");
    require_equal(covered.tail_position, uint64_t{0}, "tail_position of an empty tail");
}

void a_snapshot_ahead_of_the_log_is_refused(Fixture& fixture) {
    auto store = fixture.open();
    store.put("room", "a", "1");
    const auto result = store.checkpoint({{{"room", "a"}, 2, "state", 0}});
    require(result.status == MERIDIAN_INVALID, "a snapshot at position 2 where 1 is the last: found " +
                                                   status_name(result.status) + ", expected MERIDIAN_INVALID");
    require(!store.read("room", "a").snapshot, "a snapshot that was refused can be read");
    store.snapshot("room", "a", 1, "state");
}

void an_older_snapshot_does_not_replace_a_newer_one(Fixture& fixture) {
    auto store = fixture.open();
    store.put("room", "a", "1");
    store.put("room", "a", "2");
    store.snapshot("room", "a", 2, "new", 70);
    store.snapshot("room", "a", 1, "old", 60);
    const auto record = store.read("room", "a");
    require_equal(record.snapshot.value_or("(none)"), "new", "snapshot");
    require_equal(record.snapshot_position, uint64_t{2}, "snapshot_position");
    require(store.due(100) == std::vector<DueName>{{{"room", "a"}, 70}},
            "the deadline of the older snapshot has replaced that of the newer one");
}

void a_newer_snapshot_replaces_an_older_one(Fixture& fixture) {
    auto store = fixture.open();
    store.put("room", "a", "1", 50);
    store.snapshot("room", "a", 1, "old", 50);
    store.put("room", "b", "2");
    // Also at a position at which the key has no entry.
    store.snapshot("room", "a", 2, "new", 0);
    const auto record = store.read("room", "a");
    require_equal(record.snapshot.value_or("(none)"), "new", "snapshot");
    require_equal(record.snapshot_position, uint64_t{2}, "snapshot_position");
    require(store.due(100).empty(), "the deadline of the older snapshot is still there");
}

void a_snapshot_needs_no_entry(Fixture& fixture) {
    auto store = fixture.open();
    store.snapshot("room", "restored", 0, "state", 30);
    require(store.read("room", "restored").snapshot == "state", "a snapshot at position 0 cannot be read");
    require(store.all_keys() == std::vector<Name>{{"room", "restored"}}, "a key with a snapshot alone is not listed");
    require_equal(store.due(30).size(), size_t{1}, "deadlines of snapshots");
    require(store.stale().empty(), "a key with a snapshot alone is among the stale keys");
}

void a_removed_row_is_gone(Fixture& fixture) {
    auto store = fixture.open();
    store.put("room", "a", "1", 50);
    store.put("room", "b", "2");
    store.snapshot("room", "a", 1, "state", 50);
    store.put("room", "a", "3", 60);
    store.snapshot("room", "a", 3, std::nullopt);
    const auto record = store.read("room", "a");
    require(!record.snapshot && record.tail.empty(), "a key that was removed can still be read");
    require(store.all_keys() == std::vector<Name>{{"room", "b"}}, "a key that was removed is still listed");
    require(store.due(100).empty(), "the deadline of a key that was removed is still there");
    require(store.stale() == std::vector<Name>{{"room", "b"}}, "a key that was removed is among the stale keys");
    store.put("room", "a", "again");
    const auto again = store.read("room", "a");
    require(!again.snapshot && again.tail == std::vector<std::string>{"again"},
            "a key that was removed and written again has more than its new entry");
    require_equal(store.all_keys().size(), size_t{2}, "keys after one that was removed is written again");
}

void a_removal_keeps_newer_entries(Fixture& fixture) {
    auto store = fixture.open();
    store.put("room", "a", "1");
    store.put("room", "a", "2");
    store.snapshot("room", "a", 1, std::nullopt);
    const auto record = store.read("room", "a");
    require(!record.snapshot && record.tail == std::vector<std::string>{"2"},
            "after removing the row at position 1 the entry at position 2 is not all of the key");
}

void many_snapshots_are_written_in_one_call(Fixture& fixture) {
    auto store = fixture.open();
    constexpr int count = 1500;
    Group group;
    std::vector<Snapshot> snapshots;
    for (int i = 0; i < count; ++i) {
        const std::string key = "k" + std::to_string(i);
        group.entries.push_back(entry(static_cast<uint64_t>(i) + 1, "room", key, "x"));
        snapshots.push_back({{"room", key}, static_cast<uint64_t>(i) + 1, "state of " + key, 0});
    }
    store.put_group(std::move(group));
    const auto result = store.checkpoint(std::move(snapshots));
    require_equal(status_name(result.status), "MERIDIAN_OK", "a checkpoint of 1500 rows");
    require(store.stale(1).empty(), "a key whose entries are all covered is among the stale keys");
    require(
        store.read("room", "k0").snapshot == "state of k0" && store.read("room", "k1499").snapshot == "state of k1499",
        "not all rows of a checkpoint were written");
}

void stale_keys_are_given_oldest_first(Fixture& fixture) {
    auto store = fixture.open();
    store.put("room", "a", "1");
    store.put("room", "b", "2");
    store.put("room", "c", "3");
    store.put("room", "a", "4");
    require(store.stale() == std::vector<Name>{{"room", "a"}, {"room", "b"}, {"room", "c"}},
            "stale_keys of three keys without snapshots are not in the order of their first entries");
    store.snapshot("room", "a", 1, "A");
    store.snapshot("room", "c", 4, "C");
    require(store.stale() == std::vector<Name>{{"room", "b"}, {"room", "a"}},
            "stale_keys are not 'b', whose oldest uncovered entry is 2, and 'a', whose is 4");
    require(store.stale(1) == std::vector<Name>{{"room", "b"}}, "stale_keys of at most 1 is not the oldest");
}

void usage_follows_what_is_written(Fixture& fixture) {
    auto store = fixture.open();
    require_equal(store.usage().failed, 0u, "failed, of a new store");
    require(store.usage().log_bytes_available > 0, "log_bytes_available is 0, but writes are not refused");
    for (int i = 0; i < 10; ++i) store.put("room", "a", std::string(10'000, 'x'));
    if (fixture.has(MERIDIAN_STORE_VOLATILE)) return;  // it has no log on disk
    const auto written = store.usage();
    require(written.log_bytes >= 100'000, "log_bytes: found " + std::to_string(written.log_bytes) +
                                              " after payloads of 100000 bytes, expected at least as many");
    require(written.log_bytes_since_checkpoint >= 100'000,
            "log_bytes_since_checkpoint: found " + std::to_string(written.log_bytes_since_checkpoint) +
                " after payloads of 100000 bytes that no snapshot covers, expected at least as many");
    store.snapshot("room", "a", 10, "state");
    const auto covered = store.usage();
    require(covered.log_bytes_since_checkpoint < 100'000,
            "log_bytes_since_checkpoint: found " + std::to_string(covered.log_bytes_since_checkpoint) +
                " although a snapshot covers all entries, expected less than before");
    require_equal(covered.failed, 0u, "failed");
}

}  // namespace

std::vector<Check> snapshot_checks() {
    return {
        {"a key is its snapshot and the entries after it", a_key_is_its_snapshot_and_the_entries_after_it},
        {"a snapshot ahead of the log is refused", a_snapshot_ahead_of_the_log_is_refused},
        {"an older snapshot does not replace a newer one", an_older_snapshot_does_not_replace_a_newer_one},
        {"a newer snapshot replaces an older one", a_newer_snapshot_replaces_an_older_one},
        {"a snapshot needs no entry", a_snapshot_needs_no_entry},
        {"a removed row is gone", a_removed_row_is_gone},
        {"a removal keeps newer entries", a_removal_keeps_newer_entries},
        {"many snapshots are written in one call", many_snapshots_are_written_in_one_call},
        {"stale keys are given oldest first", stale_keys_are_given_oldest_first},
        {"usage follows what is written", usage_follows_what_is_written},
    };
}

}  // namespace meridian::plugin_test
