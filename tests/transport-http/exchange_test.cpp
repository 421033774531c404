// Nodes that publish and send to each other: bytes, order, batches, epochs, back-pressure, stop.
#include <cppunit/extensions/HelperMacros.h>

#include <algorithm>
#include <set>
#include <string>

#include "fixture.h"

using namespace meridian::test;

namespace {

std::string odd_bytes(size_t size) {
    std::string out;
    for (size_t i = 0; i < size; ++i) out.push_back(static_cast<char>(i * 7));
    return out;
}

}  // namespace

class ExchangeTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(ExchangeTest);
    CPPUNIT_TEST(says_what_it_can);
    CPPUNIT_TEST(carries_every_byte_to_every_node);
    CPPUNIT_TEST(carries_the_largest_message_and_refuses_a_larger_one);
    CPPUNIT_TEST(keeps_the_order_of_what_is_published);
    CPPUNIT_TEST(batches_what_has_gathered);
    CPPUNIT_TEST(delivers_what_comes_back_for_a_control_message);
    CPPUNIT_TEST(reports_a_gap_when_what_comes_back_is_not_taken);
    CPPUNIT_TEST(sends_to_one_node_only);
    CPPUNIT_TEST(sends_to_a_node_that_is_no_configured_peer);
    CPPUNIT_TEST(refuses_what_is_no_message_or_address);
    CPPUNIT_TEST(takes_itself_for_a_peer_like_any_other);
    CPPUNIT_TEST(completes_without_peers);
    CPPUNIT_TEST(looks_up_host_names);
    CPPUNIT_TEST(says_at_which_address_it_is_reached);
    CPPUNIT_TEST(reports_a_restart_as_down_and_a_new_epoch);
    CPPUNIT_TEST(passes_a_busy_node_on_to_the_sender);
    CPPUNIT_TEST(refuses_more_than_the_queue_and_says_when_there_is_room);
    CPPUNIT_TEST(names_a_malformed_peer_at_create);
    CPPUNIT_TEST(takes_peers_and_address_from_the_environment);
    CPPUNIT_TEST(completes_what_is_under_way_when_it_stops);
    CPPUNIT_TEST(stops_without_having_started);
    CPPUNIT_TEST_SUITE_END();

public:
    void says_what_it_can() {
        CPPUNIT_ASSERT_EQUAL(
            uint32_t{MERIDIAN_TRANSPORT_BROADCAST | MERIDIAN_TRANSPORT_UNICAST | MERIDIAN_TRANSPORT_REQUEST |
                     MERIDIAN_TRANSPORT_ORDERED | MERIDIAN_TRANSPORT_RECEIVER_COUNT},
            transport_http().descriptor->capabilities);
    }
    void carries_every_byte_to_every_node() {
        Node second, third;
        Node first{{"peers", second.url() + ", " + third.url()}};
        first.wait_for_ups(2);
        CPPUNIT_ASSERT(first.host().seen().ups == (std::vector<uint64_t>{1, 2}));
        const std::string bytes = odd_bytes(100'000);
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, first->publish(MERIDIAN_CHANNEL_DELTA, "room", bytes, 1));
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, first->publish(MERIDIAN_CHANNEL_DELTA, "room", "", 2));
        for (const uint64_t id : {1, 2}) {
            const Completion done = first.done(id);
            CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, done.status);
            CPPUNIT_ASSERT_EQUAL(uint64_t{2}, done.receivers);
        }
        for (Node* node : {&second, &third})
            CPPUNIT_ASSERT(node->delivered(MERIDIAN_CHANNEL_DELTA, 2) == (std::vector<std::string>{bytes, ""}));
        for (const Delivery& delivery : second.host().seen().deliveries)
            CPPUNIT_ASSERT_EQUAL(std::string("room"), delivery.namespace_name);
        CPPUNIT_ASSERT_EQUAL(uint32_t{MERIDIAN_LINK_UP}, first.link(second.url()).state);
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, first.link(second.url()).queued_messages);
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, first.link(second.url()).queued_bytes);
        CPPUNIT_ASSERT_EQUAL(size_t{2}, first->links().size());
    }
    void carries_the_largest_message_and_refuses_a_larger_one() {
        Node second;
        Node first{{"peers", second.url()}};
        const std::string largest = odd_bytes(2 << 20);
        CPPUNIT_ASSERT_EQUAL(uint64_t{2 << 20}, first->functions().message_bytes_max(first->instance()));
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, first->publish(MERIDIAN_CHANNEL_DELTA, "", largest, 1));
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_INVALID},
                             first->publish(MERIDIAN_CHANNEL_DELTA, "", largest + "x", 2));
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, first.done(1).receivers);
        CPPUNIT_ASSERT(second.delivered(MERIDIAN_CHANNEL_DELTA, 1) == std::vector<std::string>{largest});
    }
    void keeps_the_order_of_what_is_published() {
        Node second, third;
        Node first{{"peers", second.url() + "," + third.url()}, {"batch_bytes", "1024"}};
        std::vector<std::string> sent;
        for (uint64_t i = 0; i < 2000; ++i) {
            sent.push_back(std::to_string(i) + std::string(i % 50, '.'));
            CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK},
                                 first->publish(MERIDIAN_CHANNEL_DELTA, "", sent.back(), i));
        }
        for (Node* node : {&second, &third}) CPPUNIT_ASSERT(node->delivered(MERIDIAN_CHANNEL_DELTA, 2000) == sent);
        for (uint64_t i = 0; i < 2000; i += 499) CPPUNIT_ASSERT_EQUAL(uint64_t{2}, first.done(i).receivers);
    }
    void batches_what_has_gathered() {
        Node second{{"busy_timeout", "60s"}};
        Node first{{"peers", second.url()}};
        first.wait_for_ups(1);
        // The first is held, so the others gather.
        second.set_status(MERIDIAN_BUSY);
        std::vector<std::string> sent = {"0"};
        first->publish(MERIDIAN_CHANNEL_DELTA, "", "0", 0);
        CPPUNIT_ASSERT(second.host().wait_until([](const Seen& seen) { return seen.refused == 1; }));
        for (uint64_t i = 1; i < 100; ++i) {
            sent.push_back(std::to_string(i));
            first->publish(MERIDIAN_CHANNEL_DELTA, "", sent.back(), i);
        }
        CPPUNIT_ASSERT(eventually([&] { return first.link(second.url()).queued_messages == 100; }));
        second.set_status(MERIDIAN_OK);
        second->resume();
        CPPUNIT_ASSERT(second.delivered(MERIDIAN_CHANNEL_DELTA, 100) == sent);
        first.done(99);
        CPPUNIT_ASSERT_EQUAL(1.0, first.host().seen().metrics["batches_sent"]);
        CPPUNIT_ASSERT_EQUAL(100.0, first.host().seen().metrics["messages_sent"]);
        // The probe, the single one, the batch.
        CPPUNIT_ASSERT_EQUAL(3.0, second.host().seen().metrics["requests_received"]);
    }
    void delivers_what_comes_back_for_a_control_message() {
        Node second, third;
        second.set_answers([](const Delivery& delivery) { return "second:" + delivery.bytes; });
        third.set_answers([](const Delivery&) { return ""; });
        Node first{{"peers", second.url() + "," + third.url()}};
        first->publish(MERIDIAN_CHANNEL_CONTROL, "", "hello", 1);
        CPPUNIT_ASSERT_EQUAL(uint64_t{2}, first.done(1).receivers);
        CPPUNIT_ASSERT(first.delivered(MERIDIAN_CHANNEL_CONTROL, 1) == std::vector<std::string>{"second:hello"});
        CPPUNIT_ASSERT_EQUAL(second.url(), first.host().seen().deliveries[0].source);
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, first.host().seen().deliveries[0].reply_id);
        CPPUNIT_ASSERT(third.delivered(MERIDIAN_CHANNEL_CONTROL, 1) == std::vector<std::string>{"hello"});
    }
    void reports_a_gap_when_what_comes_back_is_not_taken() {
        Node second;
        second.set_answers([](const Delivery&) { return "reply"; });
        Node first{{"peers", second.url()}};
        first.set_status(MERIDIAN_BUSY);
        first->publish(MERIDIAN_CHANNEL_CONTROL, "", "hello", 1);
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, first.done(1).receivers);
        CPPUNIT_ASSERT(first.host().seen().gaps == std::vector<uint32_t>{MERIDIAN_CHANNEL_CONTROL});
    }
    void sends_to_one_node_only() {
        Node second, third;
        second.set_answers([](const Delivery&) { return "reply"; });
        third.set_answers([](const Delivery&) { return "reply"; });
        Node first{{"peers", second.url() + "," + third.url()}};
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, first->send(second.url(), "for you", 1));
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, first.done(1).status);
        CPPUNIT_ASSERT(first.delivered(MERIDIAN_CHANNEL_CONTROL, 1) == std::vector<std::string>{"reply"});
        CPPUNIT_ASSERT(second.delivered(MERIDIAN_CHANNEL_CONTROL) == std::vector<std::string>{"for you"});
        CPPUNIT_ASSERT(third.delivered(MERIDIAN_CHANNEL_CONTROL).empty());
    }
    void sends_to_a_node_that_is_no_configured_peer() {
        Node second;
        second.set_answers([](const Delivery&) { return ""; });
        Node first;
        first->send(second.url() + "/path", "for you", 1);
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, first.done(1).status);
        CPPUNIT_ASSERT(second.delivered(MERIDIAN_CHANNEL_CONTROL, 1) == std::vector<std::string>{"for you"});
        // It is no peer: nothing is published to it, and it brings no epoch.
        first->publish(MERIDIAN_CHANNEL_DELTA, "", "x", 2);
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, first.done(2).receivers);
        CPPUNIT_ASSERT(first.host().seen().ups.empty());
        // There may be many such nodes; those that are not used give way.
        const uint16_t nobody = free_port();
        for (uint64_t i = 0; i < 200; ++i) {
            first->send("http://127.0.0." + std::to_string(i % 200 + 2) + ":" + std::to_string(nobody), "x", 10 + i);
            CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_UNAVAILABLE}, first.done(10 + i).status);
        }
        CPPUNIT_ASSERT(first->links().size() <= 64);
    }
    void refuses_what_is_no_message_or_address() {
        Node node;
        for (const char* address : {"node-b:3001", "https://node-b", "x", "http://user:password@node-b"}) {
            CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_INVALID}, node->send(address, "x", 1));
            CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_INVALID},
                                 node.request(1, MERIDIAN_CHANNEL_PULL, address, "x", ~uint64_t{0}));
        }
        for (const uint32_t channel : {uint32_t{MERIDIAN_CHANNEL_PULL}, uint32_t{MERIDIAN_CHANNEL_LEGACY_LOG}, 0U, 9U})
            CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_INVALID}, node->publish(channel, "", "x", 1));
        for (const uint32_t channel : {uint32_t{MERIDIAN_CHANNEL_DELTA}, uint32_t{MERIDIAN_CHANNEL_LEGACY_LOG}, 0U})
            CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_INVALID},
                                 node.request(1, channel, "http://node-b", "x", ~uint64_t{0}));
        CPPUNIT_ASSERT_EQUAL(
            meridian_status{MERIDIAN_INVALID},
            node.request(1, MERIDIAN_CHANNEL_PULL, "http://node-b", std::string((48 << 10) + 1, 'x'), ~uint64_t{0}));
    }
    void takes_itself_for_a_peer_like_any_other() {
        const uint16_t port = free_port();
        Node node(TransportSection{{"peers", url_of(port)}}, port);
        node.wait_for_ups(1);
        node->publish(MERIDIAN_CHANNEL_DELTA, "", "mine", 1);
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, node.done(1).receivers);
        CPPUNIT_ASSERT(node.delivered(MERIDIAN_CHANNEL_DELTA, 1) == std::vector<std::string>{"mine"});
    }
    void completes_without_peers() {
        Node node;
        node->publish(MERIDIAN_CHANNEL_DELTA, "", "x", 1);
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, node.done(1).status);
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, node.done(1).receivers);
        CPPUNIT_ASSERT(node->links().empty());
    }
    void looks_up_host_names() {
        Node second;
        const std::string name = "http://localhost:" + std::to_string(second.port());
        Node first{{"peers", name + ",http://name.invalid:1"}};
        first.wait_for_ups(1);
        first->publish(MERIDIAN_CHANNEL_DELTA, "", "x", 1);
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, first.done(1).receivers);
        CPPUNIT_ASSERT_EQUAL(uint32_t{MERIDIAN_LINK_UP}, first.link(name).state);
        CPPUNIT_ASSERT(
            first.host().wait_until([](const Seen& seen) { return seen.logged("name.invalid:1 cannot be") != 0; }));
        CPPUNIT_ASSERT(first.link("http://name.invalid:1").error.find("'name.invalid' was not found") !=
                       std::string::npos);
    }
    void says_at_which_address_it_is_reached() {
        Node plain;
        CPPUNIT_ASSERT_EQUAL(plain.url(), plain->address());
        Node told{{"advertise_url", "http://Node-A:3001/"}};
        CPPUNIT_ASSERT_EQUAL(std::string("http://node-a:3001"), told->address());
    }
    void reports_a_restart_as_down_and_a_new_epoch() {
        const uint16_t port = free_port();
        auto second = std::make_unique<Node>(TransportSection{}, port);
        Node first{{"peers", url_of(port)}};
        first.wait_for_ups(1);
        first->publish(MERIDIAN_CHANNEL_DELTA, "", "1", 1);
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, first.done(1).receivers);
        second.reset();
        CPPUNIT_ASSERT(first.host().wait_until([](const Seen& seen) { return seen.downs.size() == 1; }));
        CPPUNIT_ASSERT_EQUAL(uint32_t{MERIDIAN_LINK_DOWN}, first.link(url_of(port)).state);
        CPPUNIT_ASSERT(!first.link(url_of(port)).error.empty());
        // What is published meanwhile fails at once.
        first->publish(MERIDIAN_CHANNEL_DELTA, "", "2", 2);
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_UNAVAILABLE}, first.done(2).status);
        CPPUNIT_ASSERT(first.done(2).message.find(url_of(port)) == 0);
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, first.done(2).receivers);
        second = std::make_unique<Node>(TransportSection{}, port);
        first.wait_for_ups(2);
        first->publish(MERIDIAN_CHANNEL_DELTA, "", "3", 3);
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, first.done(3).receivers);
        const auto seen = first.host().seen();
        CPPUNIT_ASSERT(seen.ups == (std::vector<uint64_t>{1, 2}));
        CPPUNIT_ASSERT_EQUAL(size_t{1}, seen.downs.size());
        CPPUNIT_ASSERT_EQUAL(size_t{1}, seen.logged("warning: peer"));
        CPPUNIT_ASSERT_EQUAL(size_t{2}, seen.logged("information: peer"));
        CPPUNIT_ASSERT(second->delivered(MERIDIAN_CHANNEL_DELTA, 1) == std::vector<std::string>{"3"});
    }
    void passes_a_busy_node_on_to_the_sender() {
        Node second{{"busy_timeout", "5ms"}};
        Node first{{"peers", second.url()}};
        first.wait_for_ups(1);
        second.set_status(MERIDIAN_BUSY);
        std::vector<std::string> sent;
        for (uint64_t i = 0; i < 20; ++i) {
            sent.push_back("message " + std::to_string(i));
            first->publish(MERIDIAN_CHANNEL_DELTA, "", sent.back(), i);
        }
        CPPUNIT_ASSERT(second.host().wait_until([](const Seen& seen) { return seen.gaps.size() >= 3; }));
        CPPUNIT_ASSERT_EQUAL(uint64_t{20}, first.link(second.url()).queued_messages);
        second.set_status(MERIDIAN_OK);
        CPPUNIT_ASSERT(second.delivered(MERIDIAN_CHANNEL_DELTA, 20) == sent);
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, first.done(19).receivers);
        CPPUNIT_ASSERT(first.host().seen().downs.empty());
    }
    void refuses_more_than_the_queue_and_says_when_there_is_room() {
        Node second;
        Node first{{"peers", second.url()}, {"queue_messages", "3"}};
        // The thread of the plug-in waits inside of `deliver`, so nothing leaves its mailbox.
        std::mutex hold;
        std::atomic<bool> is_held{false};
        first.host().answer([&](const Delivery&) {
            is_held = true;
            const std::lock_guard wait(hold);
            return meridian_status{MERIDIAN_OK};
        });
        RawClient client(first.port());
        size_t taken = 0;
        {
            const std::lock_guard lock(hold);
            client.send(post("delta", "x"));
            CPPUNIT_ASSERT(eventually([&] { return is_held.load(); }));
            while (first->publish(MERIDIAN_CHANNEL_DELTA, "", "x", taken) == MERIDIAN_OK) ++taken;
            CPPUNIT_ASSERT(first->send(second.url(), "x", 1000) == MERIDIAN_BUSY);
            CPPUNIT_ASSERT(first.request(1, MERIDIAN_CHANNEL_CONTROL, second.url(), "x", ~uint64_t{0}) ==
                           MERIDIAN_BUSY);
        }
        CPPUNIT_ASSERT(first.host().wait_until([](const Seen& seen) { return seen.writables == 1; }));
        first.done(taken - 1);
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, first->publish(MERIDIAN_CHANNEL_DELTA, "", "y", 2000));
        first.done(2000);
    }
    void names_a_malformed_peer_at_create() {
        const auto refusal = [](const TransportSection& section) -> std::string {
            TransportHost host;
            try {
                const TransportInstance instance(transport_http(), host, section);
            } catch (const std::runtime_error& error) { return error.what(); }
            return {};
        };
        CPPUNIT_ASSERT_EQUAL(std::string("peers: 'node-c:3001' is not the URL of a peer: expected http://host[:port]"),
                             refusal({{"peers", "http://node-b:3001,node-c:3001"}}));
        CPPUNIT_ASSERT(refusal({{"peers", "https://node-b"}}).find("'https://node-b'") != std::string::npos);
        CPPUNIT_ASSERT(refusal({{"bind", "nonsense"}}).find("bind: 'nonsense'") == 0);
        CPPUNIT_ASSERT(refusal({{"advertise_url", "nonsense"}}).find("advertise_url: 'nonsense'") == 0);
        CPPUNIT_ASSERT_EQUAL(std::string(), refusal({{"peers", ""}}));
    }
    void takes_peers_and_address_from_the_environment() {
        Node second;
        TransportHost host;
        TransportInstance first(transport_http(), host, {},
                                {{"MERIDIAN_INTERNAL_BIND", "127.0.0.1:0"}, {"MERIDIAN_PEERS", second.url()}});
        first.start("1");
        CPPUNIT_ASSERT(host.wait_until([](const Seen& seen) { return seen.ups.size() == 1; }));
        CPPUNIT_ASSERT_EQUAL(second.url(), first.links().at(0).address);
        CPPUNIT_ASSERT_EQUAL(std::string("http://127.0.0.1:"), first.address().substr(0, 17));
    }
    void completes_what_is_under_way_when_it_stops() {
        Node second{{"busy_timeout", "60s"}};
        Node first{{"peers", second.url()}};
        first.wait_for_ups(1);
        second.set_status(MERIDIAN_BUSY);
        for (uint64_t i = 0; i < 10; ++i) first->publish(MERIDIAN_CHANNEL_DELTA, "", "x", i);
        first->publish(MERIDIAN_CHANNEL_CONTROL, "", "x", 10);
        first.request(1, MERIDIAN_CHANNEL_PULL, second.url(), "x", ~uint64_t{0});
        CPPUNIT_ASSERT(second.host().wait_until([](const Seen& seen) { return seen.refused >= 3; }));
        RawClient asking(first.port());
        asking.send(post("osp1", "x"));
        first.delivered(MERIDIAN_CHANNEL_CONTROL, 1);
        first->stop(1000);
        // All of it is complete when stop returns.
        const auto seen = first.host().seen();
        CPPUNIT_ASSERT_EQUAL(size_t{11}, seen.completions.size());
        for (const Completion& completion : seen.completions)
            CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_CANCELLED}, completion.status);
        CPPUNIT_ASSERT(first.has_reply(1));
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_CANCELLED}, first.reply_of(1).status);
        CPPUNIT_ASSERT(asking.ends());
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_CANCELLED}, first->publish(MERIDIAN_CHANNEL_DELTA, "", "x", 20));
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_CANCELLED}, first->send(second.url(), "x", 20));
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_CANCELLED},
                             first.request(2, MERIDIAN_CHANNEL_PULL, second.url(), "x", ~uint64_t{0}));
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_CANCELLED}, first.reply(1, "x"));
        first.cancel(1);
        first->resume();
    }
    void stops_without_having_started() {
        TransportHost host;
        TransportInstance instance(transport_http(), host, {});
        instance.stop(0);
        TransportInstance other(transport_http(), host, {});
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(ExchangeTest);
