// The extension of shared stores: several instances (nodes) on one place lock rows, get what has changed, and commit or
// abort.
#include <atomic>
#include <chrono>
#include <thread>

#include "fixture.h"
#include "report.h"

namespace meridian::plugin_test {
namespace {

// How long a lock is held if nobody comes back: longer than a check may take.
constexpr uint64_t long_us = 3'600'000'000;

struct Want {
    Name name;
    std::optional<uint64_t> cached_version;
};

// The wants as the store is given them. Points into itself.
class CWants {
public:
    explicit CWants(std::vector<Want> wants) : wants_(std::move(wants)) {
        for (const Want& want : wants_) {
            meridian_row_want out{};
            out.has_cached_version = want.cached_version ? 1 : 0;
            out.name = c_name(want.name);
            out.cached_version = want.cached_version.value_or(0);
            rows_.add(out);
        }
    }
    CWants(const CWants&) = delete;
    CWants& operator=(const CWants&) = delete;
    const meridian_row_want* get() const { return rows_.data(); }
    uint64_t size() const { return rows_.size(); }

private:
    std::vector<Want> wants_;
    ElementArray<meridian_row_want> rows_;
};

// The functions of the extension with values.
class Shared {
public:
    explicit Shared(Fixture& fixture) {
        if (!fixture.has(MERIDIAN_STORE_SHARED)) throw Skipped("the store is not shared");
        functions_ = static_cast<const meridian_shared_store_functions*>(
            fixture.descriptor().get_extension(MERIDIAN_SHARED_STORE_EXTENSION));
        require(functions_ != nullptr, "the extension '" MERIDIAN_SHARED_STORE_EXTENSION "' is missing");
    }

    std::shared_ptr<RowsCall> submit_lock(Store& store, std::vector<Want> wants,
                                          uint64_t deadline_us = monotonic_us() + long_us) {
        auto call = make_rows_call("lock_group");
        auto inputs = std::make_shared<CWants>(std::move(wants));
        call->inputs = inputs;
        return store.submit(call, [&] {
            return functions_->lock_group(store.instance(), inputs->get(), inputs->size(), deadline_us, &call->sink);
        });
    }
    RowsResult lock(Store& store, std::vector<Want> wants) {
        auto result = submit_lock(store, std::move(wants))->wait();
        require(result.ok(), "lock_group failed: " + status_name(result.status) + ", " + result.message);
        return result;
    }
    StatusResult commit(Store& store, Group group, std::vector<Snapshot> rows) {
        auto call = make_status_call("commit_locked");
        struct Inputs {
            Inputs(Group of_group, std::vector<Snapshot> of_rows)
                : group(std::move(of_group)), rows(std::move(of_rows)) {}
            CGroup group;
            CSnapshots rows;
        };
        auto inputs = std::make_shared<Inputs>(std::move(group), std::move(rows));
        call->inputs = inputs;
        return store
            .submit(call,
                    [&] {
                        return functions_->commit_locked(store.instance(), inputs->group.get(), inputs->rows.get(),
                                                         inputs->rows.size(), &call->sink);
                    })
            ->wait();
    }
    void must_commit(Store& store, Group group, std::vector<Snapshot> rows) {
        const auto result = commit(store, std::move(group), std::move(rows));
        require(result.ok(), "commit_locked failed: " + status_name(result.status) + ", " + result.message);
    }
    void abort(Store& store) {
        auto call = make_status_call("abort_locked");
        const auto result =
            store.submit(call, [&] { return functions_->abort_locked(store.instance(), &call->sink); })->wait();
        require(result.ok(), "abort_locked failed: " + status_name(result.status) + ", " + result.message);
    }
    void watch(Store& store, std::atomic<uint64_t>& last_position) {
        functions_->watch(store.instance(), &last_position, [](void* context, uint64_t position) {
            *static_cast<std::atomic<uint64_t>*>(context) = position;
        });
    }

private:
    const meridian_shared_store_functions* functions_ = nullptr;
};

const Name a{"room", "a"};
const Name b{"room", "b"};

const RowsResult::Row& row_of(const RowsResult& result, const Name& name) {
    for (const auto& row : result.rows) {
        if (row.record.name == name) return row;
    }
    throw Failed("lock_group did not give the row of " + to_string(name));
}

void a_lock_gives_the_rows_that_changed(Fixture& fixture) {
    Shared shared(fixture);
    auto store = fixture.open();
    const auto first = shared.lock(store, {{a, {}}, {b, {}}});
    require_equal(first.rows.size(), size_t{2}, "rows given of two that are not cached");
    require_equal(first.next_position, uint64_t{1}, "next_position");
    const auto& new_row = row_of(first, a);
    require(!new_row.record.snapshot && new_row.record.tail.empty(), "a row that was missing is not empty");
    const uint64_t version_a = new_row.version;
    const uint64_t version_b = row_of(first, b).version;
    // The row of b is not named: it keeps its state, and has a new version because of its entry.
    shared.must_commit(store, {{entry(1, "room", "a", "1"), entry(2, "room", "b", "2")}, {{"m", "v"}}},
                       {{a, 1, "state of a", 0}});
    const auto record = store.read("room", "a");
    require(record.snapshot == "state of a" && record.tail.empty(), "a row written by commit_locked cannot be read");
    require(store.read("room", "b").tail == std::vector<std::string>{"2"}, "an entry of commit_locked cannot be read");
    require(store.metadata_value("m") == "v", "metadata of commit_locked cannot be read");

    const auto cached = shared.lock(store, {{a, version_a + 1}, {b, version_b + 1}});
    require(cached.rows.empty(), "lock_group gave a row whose cached version, one more than before, is right");
    require_equal(cached.next_position, uint64_t{3}, "next_position");
    shared.abort(store);
    const auto stale = shared.lock(store, {{a, version_a}, {b, version_b + 1}});
    require_equal(stale.rows.size(), size_t{1}, "rows given, of two of which one has changed");
    require(row_of(stale, a).record.snapshot == "state of a", "the row given is not the one that was committed");
    require_equal(row_of(stale, a).version, version_a + 1, "its version");
    shared.abort(store);
}

void an_aborted_group_has_written_nothing(Fixture& fixture) {
    Shared shared(fixture);
    auto store = fixture.open();
    const auto first = shared.lock(store, {{a, {}}});
    shared.abort(store);
    const auto again = shared.lock(store, {{a, row_of(first, a).version}});
    require(again.rows.empty(), "a row has a new version after abort_locked");
    require_equal(again.next_position, first.next_position, "next_position after abort_locked");
    require_equal(again.next_sequence, first.next_sequence, "next_sequence after abort_locked");
    shared.abort(store);
    require(store.log(1).entries.empty(), "abort_locked has left an entry");
}

void a_locked_row_makes_others_wait(Fixture& fixture) {
    Shared shared(fixture);
    const Place place = fixture.new_place();
    auto one = fixture.open(place);
    auto two = fixture.open(place);
    const auto held = shared.lock(one, {{a, {}}});
    const auto waiting = shared.submit_lock(two, {{a, row_of(held, a).version}});
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    require(!waiting->is_done(), "a second node has locked a row that the first one holds");
    shared.must_commit(one, {{entry(1, "room", "a", "1")}, {}}, {{a, 1, "of one", 0}});
    const auto got = waiting->wait();
    require(got.ok(), "lock_group after the row was free: " + status_name(got.status) + ", " + got.message);
    require(row_of(got, a).record.snapshot == "of one", "the second node was not given what the first has committed");
    require_equal(got.next_position, uint64_t{2}, "next_position of the second node");
    shared.must_commit(two, {{entry(2, "room", "a", "2")}, {}}, {{a, 2, "of two", 0}});
    require(one.read("room", "a").snapshot == "of two", "the first node does not read what the second has committed");
    require_equal(one.log(1).entries.size(), size_t{2}, "entries in the log that both share");
}

void a_lock_ends_at_its_deadline(Fixture& fixture) {
    Shared shared(fixture);
    const Place place = fixture.new_place();
    auto one = fixture.open(place);
    auto two = fixture.open(place);
    const auto held = shared.submit_lock(one, {{a, {}}}, monotonic_us() + 500'000)->wait();
    require(held.ok(), "lock_group failed: " + status_name(held.status) + ", " + held.message);
    const auto got = shared.lock(two, {{a, {}}});  // waits for the deadline
    const auto late = shared.commit(one, {{entry(1, "room", "a", "late")}, {}}, {{a, 1, "late", 0}});
    require(!late.ok(), "commit_locked succeeded after the lock had ended");
    shared.must_commit(two, {{entry(got.next_position, "room", "a", "in time")}, {}}, {});
    require(two.read("room", "a").tail == std::vector<std::string>{"in time"},
            "something of the group whose lock had ended was written");
}

void others_are_told_of_a_commit(Fixture& fixture) {
    Shared shared(fixture);
    const Place place = fixture.new_place();
    static std::atomic<uint64_t> last_position{0};  // may be written until the process ends
    auto one = fixture.open(place);
    auto two = fixture.open(place);
    shared.watch(two, last_position);
    shared.lock(one, {{a, {}}});
    shared.must_commit(one, {{entry(1, "room", "a", "1"), entry(2, "room", "a", "2")}, {}}, {});
    doing("waiting for word of another node's commit");
    while (last_position == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    require_equal(last_position.load(), uint64_t{2}, "last_position");
    require_equal(two.log(1).entries.size(), size_t{2}, "entries that the other node reads");
}

}  // namespace

std::vector<Check> shared_checks() {
    return {
        {"a lock gives the rows that changed", a_lock_gives_the_rows_that_changed},
        {"an aborted group has written nothing", an_aborted_group_has_written_nothing},
        {"a locked row makes others wait", a_locked_row_makes_others_wait},
        {"a lock ends at its deadline", a_lock_ends_at_its_deadline},
        {"others are told of a commit", others_are_told_of_a_commit},
    };
}

}  // namespace meridian::plugin_test
