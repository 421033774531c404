// The rules that hold for every completion. Each check submits one call of every kind, lets the store finish, and looks
// at what its sinks have seen.
#include <functional>

#include "fixture.h"

namespace meridian::plugin_test {
namespace {

// One call of every kind that is accepted, and some that are refused.
void submit_everything(Fixture& fixture, Store& store) {
    for (uint64_t i = 1; i <= 10; ++i)
        store.submit_commit({{entry(i, "room", "k" + std::to_string(i), "x", i)}, {{"m" + std::to_string(i), "v"}}});
    store.submit_commit({{entry(99, "room", "gap", "x")}, {}});
    store.submit_commit({{entry(11, "", "refused", "x")}, {}});
    std::vector<Name> names;
    for (int i = 0; i < 12; ++i) names.push_back({"room", "k" + std::to_string(i)});
    // Commits have been accepted, not completed: the reads may find them or not.
    store.submit_read_keys(names);
    store.submit_read_keys({{"room", ""}});
    store.submit_read_log(1, 100, 1 << 20);
    store.submit_scan_keys("", std::nullopt, 100);
    store.submit_scan_due(1000, 100);
    store.submit_read_metadata({"m1", "m2", "none"});
    store.submit_scan_metadata("m", "", 100);
    store.submit_commit({{}, {{"last", "v"}}})->wait();
    store.submit_checkpoint({{{"room", "k1"}, 1, "state", 0}, {{"room", "k2"}, 2, std::nullopt, 0}});
    store.submit_checkpoint({{{"room", "k1"}, 1000, "ahead", 0}});
    store.submit_read_keys(names);
    store.submit_read_log(1, 100, 1 << 20);
    store.submit_scan_keys("", std::nullopt, 100);
    store.submit_scan_due(1000, 100);
    store.submit_read_metadata({"m1", "m2", "none"});
    store.submit_scan_metadata("m", "", 100)->wait();
    if (fixture.has(MERIDIAN_STORE_BACKUP)) store.submit_backup(fixture.missing_place().directory);
}

void every_call(Fixture& fixture, const std::function<std::string(const Call&)>& wrong) {
    auto store = fixture.open();
    submit_everything(fixture, store);
    store.close();
    for (const auto& call : all_calls()) {
        const std::string text = wrong(*call);
        require(text.empty(), call->function() + ": " + text);
    }
}

void a_completion_never_comes_inside_the_submit(Fixture& fixture) {
    every_call(fixture, completed_inside_submit);
}

void completions_come_on_threads_of_the_plugin(Fixture& fixture) {
    every_call(fixture, completed_on_host_thread);
}

void every_accepted_call_completes_once(Fixture& fixture) {
    every_call(fixture, completed_other_than_once);
}

void nothing_comes_after_done(Fixture& fixture) {
    every_call(fixture, [](const Call& call) {
        const SinkFaults faults = call.faults();
        // A second `done` is a fault of its own.
        return std::string(faults.after_done && faults.done_count == 1 ? "its sink was called after done" : "");
    });
}

void a_refused_call_never_calls_its_sink(Fixture& fixture) {
    every_call(fixture, completed_though_refused);
}

void calls_to_one_sink_do_not_overlap(Fixture& fixture) {
    // Longer than two threads that begin together are apart, also on a busy machine.
    Call::event_us = 10'000;
    every_call(fixture, [](const Call& call) {
        return std::string(call.faults().overlapping ? "its sink was called while another call to it had not returned"
                                                     : "");
    });
}

void a_failed_commit_says_why(Fixture& fixture) {
    auto store = fixture.open();
    const auto call = store.submit_commit({{entry(7, "room", "a", "x")}, {}});
    if (call->submitted() != MERIDIAN_OK) throw Skipped("the store refuses before it takes the group");
    const auto result = call->wait();
    require(result.status != MERIDIAN_OK && !result.message.empty(),
            "a group that does not follow: found " + status_name(result.status) + " and the message " +
                shown(result.message) + ", expected a failure with a message");
}

void the_host_is_used_as_declared(Fixture& fixture) {
    auto store = fixture.open();
    submit_everything(fixture, store);
    store.close();
    for (const std::string& wrong : store.host().misuse()) throw Failed(wrong);
}

}  // namespace

std::vector<Check> completion_checks() {
    return {
        {"a completion never comes inside the submit", a_completion_never_comes_inside_the_submit},
        {"completions come on threads of the plug-in", completions_come_on_threads_of_the_plugin},
        {"every accepted call completes once", every_accepted_call_completes_once},
        {"nothing comes after done", nothing_comes_after_done},
        {"a refused call never calls its sink", a_refused_call_never_calls_its_sink},
        {"calls to one sink do not overlap", calls_to_one_sink_do_not_overlap},
        {"a failed commit says why", a_failed_commit_says_why},
        {"the host is used as declared", the_host_is_used_as_declared},
    };
}

}  // namespace meridian::plugin_test
