// Opening, failing to open, opening again.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>

#include "fixture.h"

namespace meridian::plugin_test {
namespace {

std::string id_of(const meridian_store_opening& opening) {
    return std::string(reinterpret_cast<const char*>(opening.store_id), sizeof opening.store_id);
}

void require_places(const Fixture& fixture) {
    if (!fixture.has_places()) throw Skipped("no value of --config has {dir} or {id}: all stores are in one place");
}

void a_new_store_says_that_it_was_created(Fixture& fixture) {
    auto store = fixture.open();
    const auto opening = store.opening();
    require_equal(opening.created, 1u, "created");
    require_equal(opening.next_position, uint64_t{1}, "next_position");
    require_equal(opening.floor, uint64_t{1}, "floor");
    require(id_of(opening) != std::string(16, '\0'), "store_id is all zero, expected random bytes");
    store.put("room", "a", "x");
    const auto later = store.opening();
    require(later.next_position == 1 && later.created == 1 && id_of(later) == id_of(opening),
            "opening changed after a commit, expected what was known when the store was opened");
}

void two_stores_share_nothing(Fixture& fixture) {
    require_places(fixture);
    auto one = fixture.open();
    auto two = fixture.open();
    require(id_of(one.opening()) != id_of(two.opening()), "two new stores have the same store_id");
    one.put_group({{entry(1, "room", "a", "of one")}, {{"m", "of one"}}});
    two.put("room", "b", "of two");
    require(two.read("room", "a").tail.empty() && one.read("room", "b").tail.empty(),
            "an entry of one store is visible in another");
    require(!two.metadata_value("m"), "metadata of one store is visible in another");
    two.close();
    one.put("room", "a", "after the other was closed");
    require_equal(one.read("room", "a").tail.size(), size_t{2}, "entries after another instance was closed");
}

void an_open_that_fails_says_why(Fixture& fixture) {
    if (fixture.has(MERIDIAN_STORE_VOLATILE) || !fixture.has_places())
        throw Skipped("the kit knows no place where this store must fail");
    bool uses_directory = false;
    for (const auto& [key, value] : fixture.values_at(fixture.impossible_place()))
        uses_directory = uses_directory || value.find("/dev/null") != std::string::npos;
    if (!uses_directory) throw Skipped("no value of --config has {dir}");
    for (const uint32_t text_size : {1024u, 8u, 1u}) {
        FailedOpen failure;
        auto store = fixture.try_open(fixture.impossible_place(), failure, text_size);
        require(!store, "create succeeded with {dir} = /dev/null, which is not a directory");
        require(!failure.touched_instance, "create failed, but has set the instance");
        require(failure.status > MERIDIAN_OK && failure.status < MERIDIAN_INTERNAL,
                "found " + status_name(failure.status) + ", expected a status that says what is wrong");
        require(text_size < 8 || !failure.text.empty(), "create failed without a text");
    }
}

void a_store_in_use_is_refused_and_its_holder_named(Fixture& fixture) {
    fixture.require_durable();
    if (fixture.has(MERIDIAN_STORE_SHARED)) throw Skipped("several nodes may use the store at once");
    require_places(fixture);
    const Place place = fixture.new_place();
    const auto refused = [&](pid_t holder) {
        FailedOpen failure;
        const auto second = fixture.try_open(place, failure);
        require(!second, "a store that is open was opened a second time");
        require(failure.status == MERIDIAN_IN_USE,
                "found " + status_name(failure.status) + " (" + failure.text + "), expected MERIDIAN_IN_USE");
        require(
            failure.text.find(std::to_string(holder)) != std::string::npos,
            "found the text " + shown(failure.text) + ", expected one that names process " + std::to_string(holder));
    };
    // Another process holds it until this one has looked.
    int opened[2];
    int looked[2];
    require(::pipe(opened) == 0 && ::pipe(looked) == 0, "the kit cannot make a pipe");
    const pid_t self = ::getpid();
    const pid_t holder = ::fork();
    require(holder >= 0, "the kit cannot fork");
    char byte = 0;
    if (holder == 0) {
        ::close(looked[1]);
        {
            FailedOpen failure;
            const auto store = fixture.try_open(place, failure);
            byte = store ? 'y' : 'n';
            if (::write(opened[1], &byte, 1) == 1 && ::read(looked[0], &byte, 1) > 0) ::kill(self, SIGKILL);
        }
        ::_exit(0);
    }
    ::close(opened[1]);
    ::close(looked[0]);
    require(::read(opened[0], &byte, 1) == 1 && byte == 'y', "another process could not open the store");
    refused(holder);
    ::close(looked[1]);
    // Its end is noticed by the end of the pipe.
    require(::read(opened[0], &byte, 1) == 0, "the kit's other process misbehaved");
    auto store = fixture.open(place);
    refused(self);
    store.put("room", "a", "still usable");
}

void what_the_opening_says_survives_reopening(Fixture& fixture) {
    fixture.require_durable();
    const Place place = fixture.new_place();
    const std::string id = fixture.elsewhere([&] {
        auto store = fixture.open(place);
        store.put("room", "a", "1");
        store.put("room", "a", "2");
        const std::string first = id_of(store.opening());
        std::string digits;
        for (const char c : first) digits += std::to_string(static_cast<unsigned char>(c)) + " ";
        return digits;
    });
    const auto check = [&](uint64_t next_position) {
        auto store = fixture.open(place);
        const auto opening = store.opening();
        std::string digits;
        for (const char c : id_of(opening)) digits += std::to_string(static_cast<unsigned char>(c)) + " ";
        require_equal(opening.created, 0u, "created");
        require_equal(opening.next_position, next_position, "next_position");
        require(opening.floor >= 1 && opening.floor <= next_position,
                "floor: found " + std::to_string(opening.floor) + ", expected 1 to " + std::to_string(next_position));
        require_equal(digits, id, "store_id");
        store.put("room", "a", "more");
    };
    check(3);
    check(4);
}

// What fill() writes is known, so that it can be looked for elsewhere.
void fill(Store& store) {
    store.put_group(
        {{entry(1, "room", "a", "first", 500), entry(2, "room", "b", "other")}, {{"clock", "1"}, {"gone", "x"}}});
    store.put("hall", std::string("k\0\xff", 3), "binary");
    store.put("room", "a", "second", 600);
    store.put("room", "removed", "x", 700);
    store.put_group({{}, {{"clock", "2"}, {"gone", std::nullopt}}});
    store.snapshot("room", "a", 1, "state of a", 500);
    store.snapshot("room", "b", 2, "state of b", 400);
    store.snapshot("room", "removed", 5, std::nullopt);
}

void check_filled(Store& store) {
    require_equal(store.opening().next_position, uint64_t{6}, "next_position");
    const auto a = store.read("room", "a");
    require(a.snapshot == "state of a" && a.snapshot_position == 1, "the snapshot of room/a is not what was written");
    require(a.tail == std::vector<std::string>{"second"} && a.tail_position == 4,
            "the tail of room/a is not the entry after its snapshot");
    const auto b = store.read("room", "b");
    require(b.snapshot == "state of b" && b.tail.empty(), "room/b is not what was written");
    require(store.read("hall", std::string("k\0\xff", 3)).tail == std::vector<std::string>{"binary"},
            "an entry without a snapshot is not there");
    const auto removed = store.read("room", "removed");
    require(!removed.snapshot && removed.tail.empty(), "a key that was removed is back");
    require(store.metadata_value("clock") == "2" && !store.metadata_value("gone"),
            "metadata is not what was written last");
    const auto page = store.log(5);
    require(page.entries.size() == 1 && page.entries[0] == entry(5, "room", "removed", "x", 700),
            "read_log does not give the last entry as it was written");
    require(store.due(1000) == std::vector<DueName>{{{"room", "b"}, 400}, {{"room", "a"}, 600}},
            "the deadlines are not those that were written");
    require(store.stale() == std::vector<Name>{{"hall", std::string("k\0\xff", 3)}, {"room", "a"}},
            "stale_keys are not those with entries newer than their snapshot");
}

void what_was_acknowledged_is_there_after_reopening(Fixture& fixture) {
    fixture.require_durable();
    const Place place = fixture.new_place();
    fixture.elsewhere([&] {
        auto store = fixture.open(place);
        fill(store);
        return std::string();
    });
    fixture.elsewhere([&] {
        auto store = fixture.open(place);
        check_filled(store);
        return std::string();
    });
    auto store = fixture.open(place);
    check_filled(store);
}

void what_was_acknowledged_survives_a_killed_process(Fixture& fixture) {
    fixture.require_durable();
    const Place place = fixture.new_place();
    fixture.elsewhere_then_killed([&] {
        static std::unique_ptr<Store> store;  // not closed
        store = std::make_unique<Store>(fixture.open(place));
        fill(*store);
        return std::string();
    });
    auto store = fixture.open(place);
    check_filled(store);
}

void it_can_be_given_its_values_again(Fixture& fixture) {
    if (fixture.descriptor().reconfigure == nullptr) throw Skipped("it has no reconfigure");
    const Place place = fixture.new_place();
    auto store = fixture.open(place);
    store.put("room", "a", "1");
    const auto result = store.reconfigure(fixture.reloadable_values_at(place));
    require(result.status == MERIDIAN_OK,
            "reconfigure with the values that it has: found " + status_name(result.status) + ", " + result.text);
    store.put("room", "a", "2");
    require_equal(store.read("room", "a").tail.size(), size_t{2}, "entries after reconfigure");
}

void a_closed_store_leaves_no_thread_and_no_file_open(Fixture& fixture) {
    const auto use = [&] {
        auto store = fixture.open();
        store.put("room", "a", "x");
        store.read("room", "a");
        store.snapshot("room", "a", 1, "state");
    };
    use();  // libraries may keep something of their own from the first use on
    const size_t threads = settled_count("/proc/self/task", 1);
    const size_t files = settled_count("/proc/self/fd", SIZE_MAX);
    use();
    const size_t threads_after = settled_count("/proc/self/task", threads);
    require(threads_after <= threads,
            "threads after destroy: found " + std::to_string(threads_after) + ", expected " + std::to_string(threads));
    require_equal(settled_count("/proc/self/fd", files), files, "open files after destroy");
}

}  // namespace

std::vector<Check> opening_checks() {
    return {
        {"a new store says that it was created", a_new_store_says_that_it_was_created},
        {"two stores share nothing", two_stores_share_nothing},
        {"an open that fails says why", an_open_that_fails_says_why},
        {"a store in use is refused and its holder named", a_store_in_use_is_refused_and_its_holder_named},
        {"what the opening says survives reopening", what_the_opening_says_survives_reopening},
        {"what was acknowledged is there after reopening", what_was_acknowledged_is_there_after_reopening},
        {"what was acknowledged survives a killed process", what_was_acknowledged_survives_a_killed_process},
        {"it can be given its values again", it_can_be_given_its_values_again},
        {"a closed store leaves no thread and no file open", a_closed_store_leaves_no_thread_and_no_file_open},
    };
}

}  // namespace meridian::plugin_test
