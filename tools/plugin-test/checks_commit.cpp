// Commits: whole or not at all, in order, with their metadata; what is refused.
#include <memory>
#include <mutex>

#include "fixture.h"

namespace meridian::plugin_test {
namespace {

// The store has refused: nothing of room/a, room/b and metadata "m" is there, and position 1 is still to be had.
void require_nothing_was_written(Store& store, const std::string& after) {
    for (const auto& record : store.read(std::vector<Name>{{"room", "a"}, {"room", "b"}}))
        require(!record.snapshot && record.tail.empty(), after + ": an entry of it can be read");
    require(!store.metadata_value("m"), after + ": its metadata can be read");
    require(store.log(1).entries.empty(), after + ": an entry of it is in the log");
    require(store.all_keys().empty(), after + ": a key of it is listed");
    require(store.stale().empty(), after + ": a key of it is among the stale keys");
    require(store.due(UINT64_MAX).empty(), after + ": a deadline of it is listed");
}

void require_refused(Store& store, Group group, const std::string& what) {
    const auto result = store.commit(std::move(group));
    require(result.status == MERIDIAN_INVALID,
            what + ": found " + status_name(result.status) + ", expected MERIDIAN_INVALID");
}

void a_group_is_visible_when_it_completes(Fixture& fixture) {
    auto store = fixture.open();
    store.put_group(
        {{entry(1, "room", "a", "1", 70), entry(2, "room", "b", "2"), entry(3, "room", "a", "3", 80)}, {{"m", "v"}}});
    const auto records = store.read(std::vector<Name>{{"room", "a"}, {"room", "b"}});
    require(records[0].tail == std::vector<std::string>{"1", "3"} && records[0].tail_position == 3,
            "room/a does not have both of its entries in order");
    require(records[1].tail == std::vector<std::string>{"2"} && records[1].tail_position == 2,
            "room/b does not have its entry");
    require_equal(store.log(1).entries.size(), size_t{3}, "entries in the log");
    require(store.metadata_value("m") == "v", "the metadata of the group cannot be read");
    require(store.all_keys() == std::vector<Name>{{"room", "a"}, {"room", "b"}}, "scan_keys does not list its keys");
    require(store.due(100) == std::vector<DueName>{{{"room", "a"}, 80}},
            "scan_due does not have the newest deadline of its key");
}

void a_group_is_all_or_nothing(Fixture& fixture) {
    auto store = fixture.open();
    const auto good = entry(1, "room", "a", "x", 5);
    require_refused(store, {{good, entry(3, "room", "b", "y")}, {{"m", "v"}}}, "a group with a gap inside");
    require_nothing_was_written(store, "after a group with a gap inside");
    require_refused(store, {{good, entry(2, "room", "", "y")}, {{"m", "v"}}}, "a group whose second key is empty");
    require_nothing_was_written(store, "after a group whose second key is empty");
    require_refused(store, {{good}, {{"m", "v"}, {"", "v"}}}, "a group whose second metadata name is empty");
    require_nothing_was_written(store, "after a group whose second metadata name is empty");
    store.put_group({{good, entry(2, "room", "b", "y")}, {{"m", "v"}}});
}

void a_group_that_does_not_follow_is_refused(Fixture& fixture) {
    auto store = fixture.open();
    require_refused(store, {{entry(0, "room", "b", "x")}, {}}, "position 0");
    require_refused(store, {{entry(2, "room", "b", "x")}, {}}, "position 2 of an empty log");
    store.put("room", "a", "1");
    store.put("room", "a", "2");
    require_refused(store, {{entry(7, "room", "b", "x")}, {{"m", "v"}}}, "position 7 where the next is 3");
    require_refused(store, {{entry(2, "room", "b", "x")}, {{"m", "v"}}}, "position 2, which is taken");
    require(store.read("room", "b").tail.empty() && !store.metadata_value("m"),
            "something of a group that was refused is visible");
    store.put("room", "a", "3");
    require(store.read("room", "a").tail == std::vector<std::string>{"1", "2", "3"},
            "room/a does not have the three entries that were committed");
}

void a_refused_group_uses_up_no_position(Fixture& fixture) {
    auto store = fixture.open();
    // Submitted together: those after the refused one do not follow either.
    const auto first = store.submit_commit({{entry(1, "room", "a", "1")}, {}});
    const auto refused = store.submit_commit({{entry(5, "room", "a", "5")}, {}});
    const auto after = store.submit_commit({{entry(6, "room", "a", "6")}, {}});
    const auto right = store.submit_commit({{entry(2, "room", "a", "2")}, {}});
    require_equal(status_name(first->wait().status), "MERIDIAN_OK", "position 1");
    require_equal(status_name(refused->wait().status), "MERIDIAN_INVALID", "position 5 where the next is 2");
    require_equal(status_name(after->wait().status), "MERIDIAN_INVALID", "position 6 where the next is 2");
    require_equal(status_name(right->wait().status), "MERIDIAN_OK", "position 2");
    require(store.read("room", "a").tail == std::vector<std::string>{"1", "2"}, "room/a is not what was committed");
}

void groups_complete_in_the_order_of_submission(Fixture& fixture) {
    auto store = fixture.open();
    constexpr uint64_t count = 300;
    // Each group's completion is looked at when the next ones' may already have come.
    struct Order {
        std::mutex mutex;
        std::vector<uint64_t> seen;
    };
    static Order order;  // outlives calls that come too late
    struct Context {
        uint64_t number;
    };
    static std::vector<Context> contexts;
    contexts.resize(count);
    std::vector<std::shared_ptr<CGroup>> groups;
    for (uint64_t i = 0; i < count; ++i) {
        contexts[i].number = i;
        auto group = std::make_shared<CGroup>(
            Group{{entry(i + 1, "room", "k" + std::to_string(i % 7), std::string(i % 50 * 100, 'x'))}, {}});
        const meridian_status_sink sink{sizeof sink, 0, &contexts[i],
                                        [](void* context, meridian_status, meridian_bytes) {
                                            const std::lock_guard lock(order.mutex);
                                            order.seen.push_back(static_cast<Context*>(context)->number);
                                        }};
        const meridian_status status = store.functions().commit(store.instance(), group->get(), &sink);
        require_equal(status_name(status), "MERIDIAN_OK", "commit " + std::to_string(i));
        groups.push_back(std::move(group));
    }
    store.stop();  // all have completed then
    const std::lock_guard lock(order.mutex);
    require_equal(order.seen.size(), size_t{count}, "completions");
    for (uint64_t i = 0; i < count; ++i)
        require_equal(order.seen[i], i, "number " + std::to_string(i) + " of the completions is of group");
}

void every_field_of_an_entry_is_kept(Fixture& fixture) {
    auto store = fixture.open();
    Entry full = entry(1, "room", "a", "payload");
    full.origin_node_id = UINT64_MAX;
    full.origin_incarnation = UINT64_MAX - 1;
    full.origin_sequence = UINT64_MAX - 2;
    full.wall_ms = 253'402'300'799'999;  // the end of the year 9999
    full.deadline_ms = 253'402'300'799'998;
    Entry empty;
    empty.position = 2;
    empty.name = {"room", "b"};
    store.put_group({{full, empty}, {}});
    const auto page = store.log(1);
    require_equal(page.entries.size(), size_t{2}, "entries in the log");
    for (const Entry* expected : {&full, &empty}) {
        const Entry& found = page.entries[expected->position - 1];
        const std::string what = "position " + std::to_string(expected->position) + ", ";
        require_equal(found.position, expected->position, what + "position");
        require_equal(found.origin_node_id, expected->origin_node_id, what + "origin_node_id");
        require_equal(found.origin_incarnation, expected->origin_incarnation, what + "origin_incarnation");
        require_equal(found.origin_sequence, expected->origin_sequence, what + "origin_sequence");
        require_equal(found.wall_ms, expected->wall_ms, what + "wall_ms");
        require_equal(found.deadline_ms, expected->deadline_ms, what + "deadline_ms");
        require_equal(to_string(found.name), to_string(expected->name), what + "name");
        require_equal(found.payload, expected->payload, what + "payload");
    }
    require(store.read("room", "b").tail == std::vector<std::string>{""}, "an entry with an empty payload is not read");
}

void metadata_alone_is_a_group(Fixture& fixture) {
    auto store = fixture.open();
    store.put("room", "a", "1");
    store.put_metadata("clock", "1");
    store.put_metadata("clock", "2");
    require_equal(store.metadata_value("clock").value_or("(none)"), "2", "metadata 'clock'");
    store.put("room", "a", "2");  // it has used up no position
    require_equal(store.log(1).entries.size(), size_t{2}, "entries in the log");
}

void metadata_can_be_removed(Fixture& fixture) {
    auto store = fixture.open();
    store.put_group({{}, {{"gone", "x"}, {"stays", "y"}, {"empty", ""}}});
    store.put_group({{}, {{"gone", std::nullopt}, {"never was", std::nullopt}}});
    require(!store.metadata_value("gone"), "metadata that was removed can be read");
    require(store.metadata_value("stays") == "y", "metadata beside what was removed is gone");
    require(store.metadata_value("empty") == "", "an empty value is not the same as none");
    require_equal(store.scan_metadata("").size(), size_t{2}, "names listed by scan_metadata");
    store.put_metadata("gone", "back");
    require(store.metadata_value("gone") == "back", "metadata that was removed cannot be written again");
}

void the_last_write_of_a_name_in_a_group_counts(Fixture& fixture) {
    auto store = fixture.open();
    store.put_group({{}, {{"m", "1"}, {"n", "1"}, {"m", "2"}, {"n", std::nullopt}}});
    require_equal(store.metadata_value("m").value_or("(none)"), "2", "metadata 'm', written twice in a group");
    require(!store.metadata_value("n"), "metadata that was written and then removed in one group can be read");
}

void an_empty_group_is_refused(Fixture& fixture) {
    auto store = fixture.open();
    require_refused(store, {}, "a group without entries and metadata");
}

}  // namespace

std::vector<Check> commit_checks() {
    return {
        {"a group is visible when it completes", a_group_is_visible_when_it_completes},
        {"a group is all or nothing", a_group_is_all_or_nothing},
        {"a group that does not follow is refused", a_group_that_does_not_follow_is_refused},
        {"a refused group uses up no position", a_refused_group_uses_up_no_position},
        {"groups complete in the order of submission", groups_complete_in_the_order_of_submission},
        {"every field of an entry is kept", every_field_of_an_entry_is_kept},
        {"metadata alone is a group", metadata_alone_is_a_group},
        {"metadata can be removed", metadata_can_be_removed},
        {"the last write of a name in a group counts", the_last_write_of_a_name_in_a_group_counts},
        {"an empty group is refused", an_empty_group_is_refused},
    };
}

}  // namespace meridian::plugin_test
