// stop: what is outstanding completes, nothing is accepted or called any more.
#include <atomic>
#include <thread>

#include "fixture.h"

namespace meridian::plugin_test {
namespace {

struct Outstanding {
    std::vector<std::shared_ptr<StatusCall>> commits;
    uint64_t accepted_commits = 0;
};

Outstanding submit_load(Store& store, uint64_t commit_count) {
    Outstanding out;
    for (uint64_t i = 1; i <= commit_count; ++i) {
        if (out.accepted_commits + 1 == i) {
            out.commits.push_back(store.submit_commit({{entry(i, "room", "a", std::string(100, 'x'))}, {}}));
            if (out.commits.back()->submitted() == MERIDIAN_OK) out.accepted_commits = i;
        }
        store.submit_read_keys({{"room", "a"}});
        if (i % 20 == 0) store.submit_read_log(1, 100, 1 << 20);
        if (i % 50 == 0) store.submit_scan_keys("", std::nullopt, 10);
    }
    return out;
}

void require_commits_carried_out(const Outstanding& load) {
    for (const auto& call : load.commits) {
        if (call->submitted() != MERIDIAN_OK) continue;
        require_equal(status_name(call->wait().status), "MERIDIAN_OK", "a commit that was accepted before stop");
    }
}

void stop_completes_what_is_outstanding(Fixture& fixture) {
    auto store = fixture.open();
    submit_load(store, 300);
    store.stop();
    require_completed_by_stop();
    // Others may have been cancelled only after the deadline, which was ten seconds away.
    store.close();
}

void stop_carries_out_accepted_commits(Fixture& fixture) {
    const Place place = fixture.new_place();
    // Also when the deadline has passed: it is for other calls.
    for (const uint64_t timeout_us : {uint64_t{10'000'000}, uint64_t{0}}) {
        auto store = fixture.open(fixture.new_place());
        const auto load = submit_load(store, 200);
        store.stop(timeout_us);
        require_completed_by_stop();
        require_commits_carried_out(load);
    }
    if (fixture.has(MERIDIAN_STORE_VOLATILE)) return;
    uint64_t accepted = 0;
    {
        auto store = fixture.open(place);
        accepted = submit_load(store, 200).accepted_commits;
        store.stop(0);
    }
    auto store = fixture.open(place);
    require_equal(store.opening().next_position, accepted + 1, "next_position after the commits before stop");
    require_equal(store.read("room", "a").tail.size(), size_t{accepted}, "entries of the commits before stop");
}

void a_stopped_store_refuses_calls(Fixture& fixture) {
    auto store = fixture.open();
    store.put("room", "a", "x");
    store.stop();
    const std::vector<std::shared_ptr<Call>> calls = {
        store.submit_commit({{entry(2, "room", "a", "x")}, {}}),
        store.submit_read_keys({{"room", "a"}}),
        store.submit_checkpoint({{{"room", "a"}, 1, "state", 0}}),
        store.submit_read_log(1, 10, 1000),
        store.submit_scan_keys("", std::nullopt, 10),
        store.submit_scan_due(10, 10),
        store.submit_read_metadata({"m"}),
        store.submit_scan_metadata("", "", 10),
    };
    for (const auto& call : calls) {
        require_equal(status_name(call->submitted()), "MERIDIAN_CANCELLED", call->function() + " after stop");
        require_equal(call->faults().done_count, 0, "calls of done by " + call->function() + ", which was refused");
    }
    store.close();
}

void calls_may_come_while_it_stops(Fixture& fixture) {
    auto store = fixture.open();
    store.put("room", "a", "x");
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) {
        threads.emplace_back([&] {
            on_host_thread() = true;
            while (!stop) store.submit_read_keys({{"room", "a"}});
        });
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    store.stop();
    stop = true;
    for (std::thread& thread : threads) thread.join();
    // A call that was accepted at the last moment has completed before stop returned.
    require_completed_by_stop();
    for (const auto& call : all_calls()) {
        const auto status = call->submitted();
        require(status == MERIDIAN_OK || status == MERIDIAN_CANCELLED || status == MERIDIAN_BUSY,
                "read_keys while the store stops: found " + status_name(status) +
                    ", expected MERIDIAN_OK, MERIDIAN_BUSY or MERIDIAN_CANCELLED");
    }
    store.close();
}

void nothing_is_called_after_stop(Fixture& fixture) {
    auto store = fixture.open();
    submit_load(store, 100);
    store.snapshot("room", "a", 0, "state");
    store.stop();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    store.close();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    for (const auto& call : all_calls())
        require(!call->faults().after_stop, call->function() + ": its sink was called after stop had returned");
    const auto late = store.host().late_calls();
    require(late.empty(), "after stop had returned it called the host's '" + (late.empty() ? "" : late.front()) + "'");
}

void a_store_may_be_stopped_at_once(Fixture& fixture) {
    const Place place = fixture.new_place();
    for (int i = 0; i < 5; ++i) {
        auto store = fixture.open(place);
        require_equal(store.opening().next_position, uint64_t{1}, "next_position of a store that was never written");
    }
}

}  // namespace

std::vector<Check> stop_checks() {
    return {
        {"stop completes what is outstanding", stop_completes_what_is_outstanding},
        {"stop carries out accepted commits", stop_carries_out_accepted_commits},
        {"a stopped store refuses calls", a_stopped_store_refuses_calls},
        {"calls may come while it stops", calls_may_come_while_it_stops},
        {"nothing is called after stop", nothing_is_called_after_stop},
        {"a store may be stopped at once", a_store_may_be_stopped_at_once},
    };
}

}  // namespace meridian::plugin_test
