// Starting, failing to start, being seen, stopping, coming back.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "cluster.h"
#include "report.h"

namespace meridian::plugin_test {
namespace {

void a_transport_may_be_stopped_at_once(Fixture& fixture) {
    const Place place = fixture.new_place();
    for (int i = 0; i < 3; ++i) {
        fixture.open_transport(place).close();  // not started
        Transport transport = fixture.open_transport(place);
        transport.start();
        transport.close();
    }
}

void a_struct_without_a_size_is_invalid(Fixture& fixture) {
    Transport transport = fixture.open_transport(fixture.new_place());
    require_equal(status_name(transport.try_start(0).status), "MERIDIAN_INVALID", "start with a node of size 0");
    require_equal(status_name(transport.try_start(sizeof(meridian_transport_node), 0).status), "MERIDIAN_INVALID",
                  "start with a sink of size 0");
    transport.start();
}

void a_backend_that_cannot_be_reached_is_a_down(Fixture& fixture) {
    if (fixture.unreachable().empty()) throw Skipped("no --unreachable");
    Transport transport = fixture.open_transport(fixture.new_place(), 1, fixture.unreachable());
    transport.start();
    transport.inbox().wait_until("down", [&] { return !transport.inbox().downs().empty(); });
    require(!transport.inbox().downs().front().empty(), "down was called without a reason");
    for (const TransportLink& link : transport.links())
        require(link.state != MERIDIAN_LINK_UP, "link " + shown(link.address) + " is up, although nobody is reached");
    const auto call = transport.submit_publish(control(unique_bytes()));
    transport.close();
    require(call->is_done(), "a publish that was accepted has not completed when stop has returned");
    require(transport.inbox().epochs().empty(), "up was called although nobody can be reached");
}

void a_port_that_is_taken_is_an_error(Fixture& fixture) {
    if (!fixture.configuration_has("{port1}")) throw Skipped("no value of --config has {port1}");
    const Place place = fixture.new_place();
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = ::htonl(INADDR_ANY);
    name.sin_port = ::htons(place.ports[0]);
    const int taken = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    require(::bind(taken, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0 && ::listen(taken, 1) == 0,
            "the kit cannot take a port");
    Transport transport = fixture.open_transport(place);
    const FailedOpen result = transport.try_start();
    require(result.status != MERIDIAN_OK, "start succeeded although its port was taken");
    require(!result.text.empty(), "start failed without a text");
    transport.close();
    ::close(taken);
}

void up_comes_with_growing_epochs(Fixture& fixture) {
    Pair pair(fixture);
    pair.b.close();
    pair.b = fixture.open_transport(pair.place, 2);
    pair.b.start();
    carry(pair.a, pair.b, control(unique_bytes()));
    carry(pair.b, pair.a, control(unique_bytes()));
    for (const Transport* each : {&pair.a, &pair.b}) {
        each->inbox().wait_until("up", [&] { return !each->inbox().epochs().empty(); });
        uint64_t last = 0;
        for (const uint64_t epoch : each->inbox().epochs()) {
            require(epoch > last, "up: found epoch " + std::to_string(epoch) + " after " + std::to_string(last) +
                                      ", expected a greater one each time");
            last = epoch;
        }
    }
}

void a_node_that_comes_back_is_reached_again(Fixture& fixture) {
    Pair pair(fixture);
    for (int i = 0; i < 3; ++i) {
        Transport& gone = i == 1 ? pair.a : pair.b;
        gone.close();
        gone = fixture.open_transport(pair.place, i == 1 ? 1 : 2);
        gone.start();
        carry(pair.a, pair.b, control(unique_bytes()));
        carry(pair.b, pair.a, control(unique_bytes()));
    }
    if (fixture.has(MERIDIAN_TRANSPORT_UNICAST)) carry_to(pair.a, address_of(pair.a, pair.b), pair.b, unique_bytes());
}

void a_node_is_not_disturbed_by_another(Fixture& fixture) {
    Pair pair(fixture);
    {
        Pair others(fixture);
        const Message theirs = control(unique_bytes());
        carry(others.a, others.b, theirs);
        carry(pair.a, pair.b, control(unique_bytes()));
        if (fixture.configuration_has("{dir}") || fixture.configuration_has("{id}") ||
            fixture.configuration_has("{port"))
            require(pair.a.inbox().count(theirs) + pair.b.inbox().count(theirs) == 0,
                    "a message of one cluster has reached a node of another");
    }
    carry(pair.a, pair.b, control(unique_bytes()));
    carry(pair.b, pair.a, control(unique_bytes()));
}

void links_show_the_connections(Fixture& fixture) {
    Pair pair(fixture);
    // A link may be shown as up a moment after the first message.
    bool up = false;
    while (!up) {
        doing("waiting for a link that is up");
        const auto links = pair.a.links();
        for (const TransportLink& link : links) {
            require(link.struct_size >= sizeof(meridian_transport_link),
                    "link: struct_size " + std::to_string(link.struct_size) + ", expected at least " +
                        std::to_string(sizeof(meridian_transport_link)));
            require(link.state >= MERIDIAN_LINK_CONNECTING && link.state <= MERIDIAN_LINK_DOWN,
                    "link: state " + std::to_string(link.state) + ", expected one of MERIDIAN_LINK_*");
            require(!link.address.empty(), "link: its address is empty");
            up = up || link.state == MERIDIAN_LINK_UP;
        }
        if (!up) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    pair.a.stop();
    pair.a.links();
    pair.a.addresses();
}

void the_address_is_given_once_and_stays(Fixture& fixture) {
    Pair pair(fixture);
    const auto addresses = pair.a.addresses();
    require_equal(addresses.size(), size_t{1}, "calls of `text` inside one call of address");
    require(addresses[0].size() <= 1024, "an address of " + std::to_string(addresses[0].size()) + " bytes");
    require(addresses == pair.a.addresses(), "a second call of address gave another one");
    if (fixture.has(MERIDIAN_TRANSPORT_NODE_NAMES)) require_equal(addresses[0], pair.a.node_name(), "the address");
    if (!addresses[0].empty())
        require(addresses != pair.b.addresses(), "two nodes have the address " + shown(addresses[0]));
    if (fixture.has(MERIDIAN_TRANSPORT_UNICAST) && !addresses[0].empty())
        carry_to(pair.b, addresses[0], pair.a, unique_bytes());
}

void new_values_are_taken_while_it_runs(Fixture& fixture) {
    if (fixture.descriptor().reconfigure == nullptr) throw Skipped("it has no reconfigure");
    Pair pair(fixture);
    const auto result = pair.a.reconfigure(fixture.reloadable_values_at(pair.place));
    require(result.status == MERIDIAN_OK,
            "reconfigure with the values that it has: found " + status_name(result.status) + ", " + result.text);
    carry(pair.a, pair.b, control(unique_bytes()));
    carry(pair.b, pair.a, control(unique_bytes()));
}

void stop_ends_what_is_outstanding(Fixture& fixture) {
    Pair pair(fixture);
    pair.b.inbox().answer_with([](const Delivery&) { return MERIDIAN_BUSY; });
    const std::string bytes = unique_bytes(static_cast<size_t>(std::min<uint64_t>(pair.a.message_bytes_max(), 10'000)));
    for (int i = 0; i < 300; ++i) pair.a.submit_publish(control(bytes));
    if (fixture.has(MERIDIAN_TRANSPORT_REQUEST)) {
        const std::string target =
            pair.a.has(MERIDIAN_TRANSPORT_NODE_NAMES) ? pair.b.node_name() : address_of(pair.a, pair.b);
        for (int i = 0; i < 20; ++i)
            pair.a.submit_request(target, control(unique_bytes()), monotonic_us() + 3'600'000'000);
    }
    pair.a.stop(100'000);
    require_completed_by_stop();
    pair.b.stop(0);
    require_completed_by_stop();
}

void a_stopped_transport_refuses_calls(Fixture& fixture) {
    Pair pair(fixture);
    const std::string target = fixture.has(MERIDIAN_TRANSPORT_UNICAST) || fixture.has(MERIDIAN_TRANSPORT_REQUEST)
                                   ? address_of(pair.a, pair.b)
                                   : std::string();
    pair.a.stop();
    std::vector<std::shared_ptr<Call>> calls = {pair.a.submit_publish(control(unique_bytes())),
                                                pair.a.submit_publish(delta("room", unique_bytes()))};
    if (fixture.has(MERIDIAN_TRANSPORT_UNICAST)) calls.push_back(pair.a.submit_send(target, unique_bytes()));
    if (fixture.has(MERIDIAN_TRANSPORT_REQUEST))
        calls.push_back(pair.a.submit_request(target, control(unique_bytes()), monotonic_us() + 1'000'000));
    for (const auto& call : calls) {
        require_equal(status_name(call->submitted()), "MERIDIAN_CANCELLED", call->function() + " after stop");
        require_equal(call->faults().done_count, 0, "calls of done by " + call->function() + ", which was refused");
    }
    pair.a.resume();
}

void pairs_may_be_called_while_they_stop(Fixture& fixture) {
    Pair pair(fixture);
    std::atomic<bool> stop{false};
    std::atomic<uint64_t> submits[2] = {0, 0};
    std::vector<std::thread> threads;
    for (std::atomic<uint64_t>& count : submits) {
        threads.emplace_back([&] {
            on_host_thread() = true;
            const std::string bytes = "while it stops";
            while (!stop) {
                pair.a.submit_publish(control(bytes));
                count += 1;
                pair.a.links();
                pair.a.resume();
                std::this_thread::sleep_for(std::chrono::microseconds(20));  // calls are kept until the end
            }
        });
    }
    // Calls before it, meanwhile and after it.
    const auto wait_for_calls = [&] {
        const uint64_t before[2] = {submits[0], submits[1]};
        doing("waiting for calls on other threads");
        while (submits[0] < before[0] + 2 || submits[1] < before[1] + 2)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
    };
    wait_for_calls();
    pair.a.stop();
    wait_for_calls();
    stop = true;
    for (std::thread& thread : threads) thread.join();
    require_completed_by_stop();
    for (const auto& call : all_calls()) {
        const auto status = call->submitted();
        require(status == MERIDIAN_OK || status == MERIDIAN_CANCELLED || status == MERIDIAN_BUSY ||
                    status == MERIDIAN_UNAVAILABLE,
                call->function() + " while the transport stops: found " + status_name(status) +
                    ", expected MERIDIAN_OK, MERIDIAN_BUSY, MERIDIAN_UNAVAILABLE or MERIDIAN_CANCELLED");
    }
}

void a_stopped_pair_calls_nothing(Fixture& fixture) {
    Pair pair(fixture);
    submit_everything(pair);
    pair.a.stop();
    // The other goes on talking to it.
    for (int i = 0; i < 10; ++i) publish(pair.b, control(unique_bytes()));
    pair.a.resume();
    pair.a.links();
    pair.a.addresses();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    pair.a.close();
    pair.b.close();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    for (const auto& call : all_calls())
        require(!call->faults().after_stop, call->function() + ": its sink was called after stop had returned");
    for (Transport* each : {&pair.a, &pair.b}) {
        for (const std::string& fault : each->inbox().faults())
            require(fault.find("after stop") == std::string::npos, fault);
        const auto late = each->host().late_calls();
        require(late.empty(),
                "after stop had returned it called the host's '" + (late.empty() ? "" : late.front()) + "'");
    }
}

void a_closed_transport_leaves_no_thread_and_no_file_open(Fixture& fixture) {
    const auto use = [&] {
        Pair pair(fixture);
        carry(pair.a, pair.b, control(unique_bytes()));
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

std::vector<Check> transport_life_checks() {
    return {
        {"a transport may be stopped at once", a_transport_may_be_stopped_at_once},
        {"a struct without a size is invalid", a_struct_without_a_size_is_invalid},
        {"a backend that cannot be reached is a down", a_backend_that_cannot_be_reached_is_a_down},
        {"a port that is taken is an error", a_port_that_is_taken_is_an_error},
        {"up comes with growing epochs", up_comes_with_growing_epochs},
        {"a node that comes back is reached again", a_node_that_comes_back_is_reached_again},
        {"a node is not disturbed by another", a_node_is_not_disturbed_by_another},
        {"links show the connections", links_show_the_connections},
        {"the address is given once and stays", the_address_is_given_once_and_stays},
        {"new values are taken while it runs", new_values_are_taken_while_it_runs},
    };
}

std::vector<Check> transport_stop_checks() {
    return {
        {"stop ends what is outstanding", stop_ends_what_is_outstanding},
        {"a stopped transport refuses calls", a_stopped_transport_refuses_calls},
        {"calls may come while it stops", pairs_may_be_called_while_they_stop},
        {"nothing is called after stop", a_stopped_pair_calls_nothing},
        {"a closed transport leaves no thread and no file open", a_closed_transport_leaves_no_thread_and_no_file_open},
    };
}

}  // namespace meridian::plugin_test
