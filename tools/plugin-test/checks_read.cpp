// read_keys, read_metadata and read_log.
#include "fixture.h"

namespace meridian::plugin_test {
namespace {

void records_come_in_the_order_asked(Fixture& fixture) {
    auto store = fixture.open();
    std::vector<Name> names;
    for (int i = 0; i < 200; ++i) {
        const std::string key = "k" + std::to_string(i);
        names.push_back({"room", key});
        if (i % 3 != 0) store.put("room", key, "of " + key);
    }
    std::reverse(names.begin(), names.end());
    names.push_back(names.front());  // twice
    const auto records = store.read(names);
    for (size_t i = 0; i < names.size(); ++i) {
        const std::string what = "record " + std::to_string(i);
        require_equal(to_string(records[i].name), to_string(names[i]), what + " is of");
        require_equal(records[i].status, MERIDIAN_OK, what + ", status");
        const bool exists = std::stoi(names[i].key.substr(1)) % 3 != 0;
        require(
            records[i].tail == (exists ? std::vector<std::string>{"of " + names[i].key} : std::vector<std::string>()),
            what + " does not have the entries of its key");
    }
}

void a_key_that_does_not_exist_is_empty(Fixture& fixture) {
    auto store = fixture.open();
    store.put("room", "a", "x");
    for (const Name& name : {Name{"room", "b"}, Name{"hall", "a"}, Name{"room", "aa"}, Name{"roo", "ma"}}) {
        const auto record = store.read(name.namespace_name, name.key);
        require(!record.snapshot && record.tail.empty(), to_string(name) + " does not exist, but has a record");
        require_equal(record.tail_position, uint64_t{0}, "tail_position without a tail");
        require_equal(record.snapshot_position, uint64_t{0}, "snapshot_position of a key that does not exist");
    }
}

void values_come_in_the_order_asked(Fixture& fixture) {
    auto store = fixture.open();
    store.put_group({{}, {{"a", "1"}, {"b", "2"}, {"c", ""}}});
    const auto values = store.metadata({"c", "none", "a", "b", "a"});
    require(values == std::vector<Value>{{"c", ""}, {"none", std::nullopt}, {"a", "1"}, {"b", "2"}, {"a", "1"}},
            "read_metadata does not give one value for each name, in the order asked");
}

void log_pages_respect_their_limits(Fixture& fixture) {
    auto store = fixture.open();
    for (uint64_t i = 0; i < 20; ++i) {
        store.put_group({{entry(2 * i + 1, "room", "a", std::string(100, 'x')),
                          entry(2 * i + 2, "room", "b", std::string(100, 'y'))},
                         {}});
    }
    const auto check = [&](uint64_t from, uint64_t entries_max, uint64_t bytes_max, uint64_t expected) {
        const auto page = store.log(from, entries_max, bytes_max);
        const std::string what = "read_log(" + std::to_string(from) + ", " + std::to_string(entries_max) + ", " +
                                 std::to_string(bytes_max) + "), ";
        require(!page.gone, what + "gone: found 1, expected 0");
        require_equal(page.entries.size(), size_t{expected}, what + "entries");
        for (size_t i = 0; i < page.entries.size(); ++i)
            require_equal(page.entries[i].position, from + i, what + "position of entry " + std::to_string(i));
        require_equal(page.next_position, from + expected, what + "next_position");
    };
    constexpr uint64_t many = 1 << 20;
    check(1, 7, many, 7);
    check(1, 1, many, 1);
    check(8, 1000, 350, 3);
    check(8, 1000, 300, 3);
    check(8, 1000, 299, 2);
    check(40, 10, many, 1);
    check(41, 10, many, 0);
    check(1, many, many, 40);
}

void a_log_page_holds_at_least_one_entry(Fixture& fixture) {
    auto store = fixture.open();
    store.put("room", "a", std::string(5000, 'x'));
    store.put("room", "a", "y");
    for (const uint64_t bytes_max : {uint64_t{100}, uint64_t{0}}) {
        const auto page = store.log(1, 10, bytes_max);
        require_equal(page.entries.size(), size_t{1},
                      "entries of a page whose bytes_max is " + std::to_string(bytes_max) + ", smaller than an entry");
        require_equal(page.next_position, uint64_t{2}, "next_position");
    }
}

void a_page_of_nothing_is_refused(Fixture& fixture) {
    auto store = fixture.open();
    store.put_group({{entry(1, "room", "a", "x", 5)}, {{"m", "v"}}});
    const auto invalid = [](const StatusResult& result, const std::string& what) {
        require(result.status == MERIDIAN_INVALID,
                what + " of at most 0: found " + status_name(result.status) + ", expected MERIDIAN_INVALID");
    };
    invalid(store.submit_read_log(1, 0, 1000)->wait(), "read_log");
    invalid(store.submit_scan_keys("", std::nullopt, 0)->wait(), "scan_keys");
    invalid(store.submit_scan_due(1000, 0)->wait(), "scan_due");
    invalid(store.submit_scan_metadata("", "", 0)->wait(), "scan_metadata");
    require(store.stale(0).empty(), "stale_keys of at most 0 gave a name");
}

// Entries are gone only from the floor down, only if retain_from has released them and snapshots cover them.
void check_log(Store& store, uint64_t released, uint64_t last) {
    const auto first = store.log(1, 1);
    const uint64_t floor = first.gone ? first.floor : 1;
    require(floor <= released, "the floor is " + std::to_string(floor) + ", but retain_from(" +
                                   std::to_string(released) + ") keeps what is from there on");
    for (uint64_t position = 1; position <= last; ++position) {
        const auto page = store.log(position, 1);
        const std::string what = "read_log from position " + std::to_string(position) + ", ";
        if (!page.gone) {
            require(page.entries.size() == 1 && page.entries[0].position == position,
                    what + "neither its entry nor that it is gone");
            continue;
        }
        require(page.entries.empty(), what + "gone, but with entries");
        require(page.floor > position && page.floor <= released,
                what + "gone, but the floor is " + std::to_string(page.floor));
    }
}

void the_log_is_kept_until_covered_and_released(Fixture& fixture) {
    const Place place = fixture.new_place();
    constexpr uint64_t last = 60;
    {
        auto store = fixture.open(place);
        for (uint64_t i = 1; i <= last; ++i)
            store.put("room", "k" + std::to_string(i % 3), std::string(4000, static_cast<char>('a' + i % 26)));
        check_log(store, 1, last);
        store.retain_from(40);
        // Not covered by any snapshot: nothing may go.
        check_log(store, 1, last);
        for (int k = 0; k < 3; ++k) store.snapshot("room", "k" + std::to_string(k), last, "state");
        check_log(store, 40, last);
        store.retain_from(10);  // never lowered
        check_log(store, 40, last);
        for (int k = 0; k < 3; ++k) {
            const auto record = store.read("room", "k" + std::to_string(k));
            require(record.snapshot == "state" && record.tail.empty(), "a covered key is not its snapshot alone");
        }
        store.put("room", "k0", "new");
        check_log(store, 40, last + 1);
    }
    if (fixture.has(MERIDIAN_STORE_VOLATILE)) return;
    auto store = fixture.open(place);
    check_log(store, 40, last + 1);
    const auto first = store.log(1, 1);
    require_equal(store.opening().floor, first.gone ? first.floor : 1, "floor after reopening");
    require_equal(store.opening().next_position, last + 2, "next_position after reopening");
    require(store.read("room", "k0").tail == std::vector<std::string>{"new"}, "a key has not kept its tail");
}

}  // namespace

std::vector<Check> read_checks() {
    return {
        {"records come in the order asked", records_come_in_the_order_asked},
        {"a key that does not exist is empty", a_key_that_does_not_exist_is_empty},
        {"metadata values come in the order asked", values_come_in_the_order_asked},
        {"log pages respect their limits", log_pages_respect_their_limits},
        {"a log page holds at least one entry", a_log_page_holds_at_least_one_entry},
        {"a page of nothing is refused", a_page_of_nothing_is_refused},
        {"the log is kept until it is covered and released", the_log_is_kept_until_covered_and_released},
    };
}

}  // namespace meridian::plugin_test
