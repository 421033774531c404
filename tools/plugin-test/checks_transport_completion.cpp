// The rules that hold for every call of a transport and for everything that it calls. Each check has a pair of nodes do
// one thing of every kind, and looks at what their sinks have seen.
#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "cluster.h"
#include "report.h"

namespace meridian::plugin_test {
namespace {

void every_call_of_a_pair(Fixture& fixture, std::string (*wrong)(const Call&)) {
    {
        Pair pair(fixture);
        submit_everything(pair);
    }
    for (const auto& call : all_calls()) {
        const std::string text = wrong(*call);
        require(text.empty(), call->function() + ": " + text);
    }
}

void every_callback(Fixture& fixture, const std::string& wrong) {
    Pair pair(fixture);
    submit_everything(pair);
    pair.a.close();
    pair.b.close();
    for (const Transport* each : {&pair.a, &pair.b}) {
        for (const std::string& fault : each->inbox().faults()) require(fault.find(wrong) == std::string::npos, fault);
    }
}

template <std::string (*wrong)(const Call&)>
void no_call_is(Fixture& fixture) {
    every_call_of_a_pair(fixture, wrong);
}

void nothing_is_delivered_inside_a_call(Fixture& fixture) {
    every_callback(fixture, "inside a call");
}

void deliveries_come_on_threads_of_the_plugin(Fixture& fixture) {
    every_callback(fixture, "on a thread of the host");
}

void a_pair_uses_the_host_as_declared(Fixture& fixture) {
    Pair pair(fixture);
    submit_everything(pair);
    pair.a.close();
    pair.b.close();
    for (Transport* each : {&pair.a, &pair.b}) {
        for (const std::string& wrong : each->host().misuse()) throw Failed(wrong);
    }
}

void receivers_are_counted(Fixture& fixture) {
    if (!fixture.has(MERIDIAN_TRANSPORT_RECEIVER_COUNT)) throw Skipped("it does not count receivers");
    Pair pair(fixture);
    // Whether the publisher itself counts is up to the transport.
    const auto count = [&] {
        const PublishResult result = publish(pair.a, control(unique_bytes()))->wait();
        if (result.status == MERIDIAN_UNAVAILABLE || result.status == MERIDIAN_TIMEOUT) {
            require(result.receivers == 0, "receivers of a publish that reached nobody: found " +
                                               std::to_string(result.receivers) + ", expected 0");
        } else {
            require_equal(status_name(result.status), "MERIDIAN_OK", "publish");
        }
        return result.receivers;
    };
    const uint64_t two = count();
    require(two == 1 || two == 2, "receivers with one other node: found " + std::to_string(two) + ", expected 1 or 2");
    pair.b.close();
    uint64_t one = two;
    doing("waiting for a lower count of receivers");
    while ((one = count()) != two - 1) {
        require(one == two,
                "receivers with no other node: found " + std::to_string(one) + ", expected " + std::to_string(two - 1));
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
}

void a_pair_may_be_called_at_once(Fixture& fixture) {
    Pair pair(fixture);
    const bool sends = fixture.has(MERIDIAN_TRANSPORT_UNICAST);
    const bool requests = fixture.has(MERIDIAN_TRANSPORT_REQUEST);
    const std::string to_b = sends || requests ? address_of(pair.a, pair.b) : "";
    const std::string to_a = sends || requests ? address_of(pair.b, pair.a) : "";
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    const auto run = [&](const std::function<void()>& call) {
        threads.emplace_back([&stop, call] {
            on_host_thread() = true;
            // Calls are kept until the end: not more of them than are needed.
            for (int i = 0; i < 2000 && !stop; ++i) call();
        });
    };
    std::atomic<meridian_status> unexpected{MERIDIAN_OK};
    const auto expect = [&unexpected](meridian_status status) {
        if (status != MERIDIAN_OK && status != MERIDIAN_BUSY && status != MERIDIAN_UNAVAILABLE) unexpected = status;
    };
    for (Transport* from : {&pair.a, &pair.b}) {
        const std::string target = from == &pair.a ? to_b : to_a;
        run([=] {
            expect(from->submit_publish(delta("room", "at once"))->submitted());
            if (sends) expect(from->submit_send(target, "at once")->submitted());
            if (!requests) return;
            uint64_t id = 0;
            from->submit_request(target, control("asked at once"), monotonic_us() + 1000, &id);
            from->cancel(id);
        });
        run([=] {
            from->links();
            from->addresses();
            from->message_bytes_max();
            from->resume();
        });
    }
    doing("calling functions on several threads");
    for (int i = 0; i < 50; ++i) {
        carry(pair.a, pair.b, control(unique_bytes()));
        carry(pair.b, pair.a, control(unique_bytes()));
    }
    stop = true;
    for (std::thread& thread : threads) thread.join();
    require(unexpected == MERIDIAN_OK, "a call on one of several threads: found " + status_name(unexpected) +
                                           ", expected MERIDIAN_OK, MERIDIAN_BUSY or MERIDIAN_UNAVAILABLE");
    pair.a.close();
    pair.b.close();
    for (const auto& call : all_calls()) {
        if (call->submitted() == MERIDIAN_OK)
            require_equal(call->faults().done_count, 1, "calls of done by " + call->function());
    }
}

}  // namespace

std::vector<Check> transport_completion_checks() {
    return {
        {"a completion never comes inside the submit", no_call_is<completed_inside_submit>},
        {"completions come on threads of the plug-in", no_call_is<completed_on_host_thread>},
        {"every accepted call completes once", no_call_is<completed_other_than_once>},
        {"a refused call never calls its sink", no_call_is<completed_though_refused>},
        {"nothing is delivered inside a call", nothing_is_delivered_inside_a_call},
        {"deliveries come on threads of the plug-in", deliveries_come_on_threads_of_the_plugin},
        {"the host is used as declared", a_pair_uses_the_host_as_declared},
        {"receivers are counted", receivers_are_counted},
        {"all functions may be called at once", a_pair_may_be_called_at_once},
    };
}

}  // namespace meridian::plugin_test
