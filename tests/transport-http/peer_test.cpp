// Peers that misbehave: what they cost, which is nothing to the others, and how they come back.
#include <cppunit/extensions/HelperMacros.h>

#include <algorithm>
#include <string>

#include "fake_peer.h"
#include "fixture.h"

using namespace meridian::test;

namespace {

constexpr uint64_t never = ~uint64_t{0};

// Answers probes, and everything else by `behaviour`.
FakePeer::Behaviour after_probe(FakePeer::Behaviour behaviour) {
    return [behaviour = std::move(behaviour)](const FakeRequest& request) -> std::optional<std::string> {
        return is_probe(request) ? http_answer(200) : behaviour(request);
    };
}

std::optional<std::string> silent(const FakeRequest&) {
    return std::nullopt;
}

std::vector<std::string> bodies(const std::vector<FakeRequest>& requests) {
    std::vector<std::string> out;
    for (const FakeRequest& request : requests) out.push_back(request.body);
    return out;
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

void publish(Node& node, const std::string& bytes, uint64_t id) {
    CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, node->publish(MERIDIAN_CHANNEL_DELTA, "room", bytes, id));
}

}  // namespace

class PeerTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(PeerTest);
    CPPUNIT_TEST(sends_what_every_http_server_understands);
    CPPUNIT_TEST(sends_deltas_one_by_one_to_older_nodes);
    CPPUNIT_TEST(finds_out_when_an_older_node_was_replaced);
    CPPUNIT_TEST(does_not_let_dead_peers_delay_the_others);
    CPPUNIT_TEST(drops_what_a_full_queue_cannot_hold);
    CPPUNIT_TEST(takes_a_peer_that_does_not_answer_for_down);
    CPPUNIT_TEST(takes_a_peer_that_stops_answering_for_down_and_comes_back);
    CPPUNIT_TEST(fails_at_once_while_a_peer_that_was_down_is_asked_again);
    CPPUNIT_TEST(finds_out_that_an_idle_peer_is_gone);
    CPPUNIT_TEST(survives_garbage);
    CPPUNIT_TEST(survives_answers_that_are_cut);
    CPPUNIT_TEST(refuses_answers_without_end);
    CPPUNIT_TEST(reads_answers_in_every_framing);
    CPPUNIT_TEST(connects_anew_when_the_peer_closes_after_each_answer);
    CPPUNIT_TEST(drops_a_message_that_the_peer_refuses);
    CPPUNIT_TEST(warns_of_a_peer_that_is_no_node);
    CPPUNIT_TEST(splits_batches_that_are_too_large_for_the_peer);
    CPPUNIT_TEST(falls_back_when_batches_become_unknown);
    CPPUNIT_TEST(sends_again_what_a_busy_peer_has_not_taken);
    CPPUNIT_TEST(gives_up_on_a_peer_that_stays_busy);
    CPPUNIT_TEST(says_down_when_the_last_peer_is_gone);
    CPPUNIT_TEST(warns_once_of_a_peer_that_never_was_there);
    CPPUNIT_TEST(stops_while_peers_do_not_answer);
    CPPUNIT_TEST_SUITE_END();

public:
    void sends_what_every_http_server_understands() {
        FakePeer peer([](const FakeRequest& request) {
            return contains(request.line, "wal") ? http_answer(200, "log") : http_answer(204);
        });
        Node node{{"peers", peer.url() + "/ignored/path"}};
        publish(node, "delta", 1);
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, node.done(1).receivers);
        node->publish(MERIDIAN_CHANNEL_CONTROL, "", "control", 2);
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, node.done(2).receivers);
        node.request(1, MERIDIAN_CHANNEL_PULL, peer.url(), "foobar", never);
        CPPUNIT_ASSERT_EQUAL(std::string("log"), node.reply_of(1).bytes);
        const auto requests = peer.requests();
        CPPUNIT_ASSERT_EQUAL(size_t{3}, requests.size());
        CPPUNIT_ASSERT_EQUAL(std::string("POST /internal/cluster/delta"), requests[0].line);
        CPPUNIT_ASSERT_EQUAL(std::string("delta"), requests[0].body);
        CPPUNIT_ASSERT_EQUAL(std::string("POST /internal/cluster/osp1"), requests[1].line);
        CPPUNIT_ASSERT_EQUAL(std::string("control"), requests[1].body);
        CPPUNIT_ASSERT_EQUAL(std::string("GET /internal/cluster/wal?want=Zm9vYmFy"), requests[2].line);
    }
    void sends_deltas_one_by_one_to_older_nodes() {
        FakePeer older(older_node);
        Node node{{"peers", older.url()}};
        node.wait_for_ups(1);
        std::vector<std::string> sent;
        for (uint64_t i = 0; i < 50; ++i) {
            sent.push_back("delta " + std::to_string(i));
            publish(node, sent.back(), i);
        }
        const auto requests = older.requests(50);
        CPPUNIT_ASSERT(bodies(requests) == sent);
        for (const FakeRequest& request : requests)
            CPPUNIT_ASSERT_EQUAL(std::string("POST /internal/cluster/delta"), request.line);
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, node.done(49).receivers);
    }
    void finds_out_when_an_older_node_was_replaced() {
        auto older = std::make_unique<FakePeer>(older_node);
        const uint16_t port = older->port();
        Node node{{"peers", older->url()}};
        node.wait_for_ups(1);
        node->publish(MERIDIAN_CHANNEL_CONTROL, "", "x", 1);
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_NOT_SUPPORTED}, node.done(1).status);
        older.reset();
        Node newer(TransportSection{}, port);
        newer.set_answers([](const Delivery&) { return "reply"; });
        node.wait_for_ups(2);
        node->publish(MERIDIAN_CHANNEL_CONTROL, "", "y", 2);
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, node.done(2).receivers);
    }
    void does_not_let_dead_peers_delay_the_others() {
        // One accepts and never answers, one does so after a while, one refuses, one is good.
        FakePeer black_hole(silent);
        FakePeer stuck(after_probe(silent));
        Node good;
        good.set_answers([](const Delivery&) { return "reply"; });
        Node node{{"peers", black_hole.url() + "," + stuck.url() + "," + url_of(free_port()) + "," + good.url()}};
        node.wait_for_ups(2);
        std::vector<std::string> sent;
        for (uint64_t i = 0; i < 1000; ++i) {
            sent.push_back(std::to_string(i));
            publish(node, sent.back(), i);
        }
        CPPUNIT_ASSERT(good.delivered(MERIDIAN_CHANNEL_DELTA, 1000) == sent);
        node->publish(MERIDIAN_CHANNEL_CONTROL, "", "hello", 1000);
        CPPUNIT_ASSERT(node.delivered(MERIDIAN_CHANNEL_CONTROL, 1) == std::vector<std::string>{"reply"});
        // The others still have what they were given, and nothing is complete.
        CPPUNIT_ASSERT(node.host().seen().completions.empty());
        CPPUNIT_ASSERT_EQUAL(uint64_t{1001}, node.link(black_hole.url()).queued_messages);
        CPPUNIT_ASSERT_EQUAL(uint64_t{1001}, node.link(stuck.url()).queued_messages);
        CPPUNIT_ASSERT(eventually([&] { return node.link(good.url()).queued_messages == 0; }));
        CPPUNIT_ASSERT_EQUAL(uint32_t{MERIDIAN_LINK_CONNECTING}, node.link(black_hole.url()).state);
    }
    void drops_what_a_full_queue_cannot_hold() {
        FakePeer black_hole(silent);
        Node good;
        Node node{{"peers", black_hole.url() + "," + good.url()}, {"queue_messages", "100"}, {"queue_bytes", "4096"}};
        node.wait_for_ups(1);
        const std::string message(100, 'x');
        for (uint64_t i = 0; i < 1000; ++i) {
            // Of the good one as well, only so many may wait.
            publish(node, message, i);
            good.delivered(MERIDIAN_CHANNEL_DELTA, i + 1);
        }
        // Forty wait for the dead one; the others are complete, with one receiver each.
        CPPUNIT_ASSERT_EQUAL(uint64_t{40}, node.link(black_hole.url()).queued_messages);
        CPPUNIT_ASSERT_EQUAL(uint64_t{4000}, node.link(black_hole.url()).queued_bytes);
        CPPUNIT_ASSERT(node.host().wait_until([](const Seen& seen) { return seen.completions.size() == 960; }));
        for (const Completion& completion : node.host().seen().completions) {
            CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, completion.status);
            CPPUNIT_ASSERT_EQUAL(uint64_t{1}, completion.receivers);
        }
        CPPUNIT_ASSERT_EQUAL(960.0, node.host().seen().metrics["messages_dropped"]);
        // When it answers, it gets what waited.
        black_hole.set_behaviour(good_node);
    }
    void takes_a_peer_that_does_not_answer_for_down() {
        FakePeer peer(silent);
        Node node{{"peers", peer.url()}, {"request_timeout", "50ms"}};
        publish(node, "1", 1);
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_UNAVAILABLE}, node.done(1).status);
        CPPUNIT_ASSERT_EQUAL(peer.url() + ": no answer in time", node.done(1).message);
        CPPUNIT_ASSERT_EQUAL(uint32_t{MERIDIAN_LINK_DOWN}, node.link(peer.url()).state);
        CPPUNIT_ASSERT_EQUAL(std::string("no answer in time"), node.link(peer.url()).error);
        CPPUNIT_ASSERT(node.host().seen().ups.empty());
        peer.set_behaviour(good_node);
        node.wait_for_ups(1);
    }
    void takes_a_peer_that_stops_answering_for_down_and_comes_back() {
        FakePeer peer(good_node);
        Node node{{"peers", peer.url()}, {"request_timeout", "200ms"}};
        node.wait_for_ups(1);
        peer.set_behaviour(silent);
        publish(node, "1", 1);
        publish(node, "2", 2);
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_UNAVAILABLE}, node.done(2).status);
        CPPUNIT_ASSERT(node.host().wait_until([](const Seen& seen) { return seen.downs.size() == 1; }));
        const size_t ups = node.host().seen().ups.size();
        peer.set_behaviour(good_node);
        node.wait_for_ups(ups + 1);
        const auto epochs = node.host().seen().ups;
        CPPUNIT_ASSERT(std::adjacent_find(epochs.begin(), epochs.end(), std::greater_equal<>()) == epochs.end());
    }
    void fails_at_once_while_a_peer_that_was_down_is_asked_again() {
        std::atomic<int> asked{0};
        FakePeer peer([](const FakeRequest&) { return std::string(); });
        Node node{{"peers", peer.url()}, {"reconnect_delay_max", "5ms"}};
        CPPUNIT_ASSERT(node.host().wait_until([](const Seen& seen) { return seen.downs.size() == 1; }));
        peer.set_behaviour([&](const FakeRequest&) -> std::optional<std::string> {
            ++asked;
            return std::nullopt;
        });
        CPPUNIT_ASSERT(eventually([&] { return asked != 0; }));
        publish(node, "x", 1);
        node.request(1, MERIDIAN_CHANNEL_PULL, peer.url(), "x", never);
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_UNAVAILABLE}, node.done(1).status);
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_UNAVAILABLE}, node.reply_of(1).status);
        CPPUNIT_ASSERT_EQUAL(uint32_t{MERIDIAN_LINK_DOWN}, node.link(peer.url()).state);
    }
    void finds_out_that_an_idle_peer_is_gone() {
        FakePeer peer(good_node);
        Node node{{"peers", peer.url()}, {"request_timeout", "100ms"}, {"probe_interval", "20ms"}};
        node.wait_for_ups(1);
        peer.set_behaviour(silent);
        CPPUNIT_ASSERT(node.host().wait_until([](const Seen& seen) { return !seen.downs.empty(); }));
        CPPUNIT_ASSERT(contains(node.host().seen().downs[0], peer.url() + ": no answer in time"));
    }
    void survives_garbage() {
        const std::string answers[] = {
            "garbage\r\n\r\n Content-Length: ",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n Content-Length: ",
            std::string("\0\1\2\3\r\n Content-Length: ", 22),
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: " + std::string(20'000, 'x'),
        };
        Node good;
        for (const std::string& answer : answers) {
            FakePeer peer([&](const FakeRequest&) { return answer; });
            Node node{{"peers", peer.url() + "," + good.url()}};
            CPPUNIT_ASSERT_MESSAGE(answer, node.host().wait_until([&](const Seen& seen) {
                return seen.logged("peer " + peer.url() + " cannot be reached") == 1;
            }));
            publish(node, "x", 1);
            CPPUNIT_ASSERT_EQUAL(uint64_t{1}, node.done(1).receivers);
            peer.set_behaviour(good_node);
            CPPUNIT_ASSERT(eventually([&] { return node.link(peer.url()).state == uint32_t{MERIDIAN_LINK_UP}; }));
        }
    }
    void survives_answers_that_are_cut() {
        // In the head, and in the body.
        for (const char* answer : {"HTTP/1.1 20", "HTTP/1.1 200 OK\r\nCut: 1\r\nContent-Length: 10\r\n\r\nabc",
                                   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"}) {
            FakePeer peer(after_probe([&](const FakeRequest&) { return std::string(answer); }));
            Node good;
            Node node{{"peers", peer.url() + "," + good.url()}};
            node.wait_for_ups(2);
            publish(node, "x", 1);
            CPPUNIT_ASSERT_EQUAL(uint64_t{1}, node.done(1).receivers);
            CPPUNIT_ASSERT_EQUAL(std::string("it closed the connection before its answer ended"),
                                 node.link(peer.url()).error);
            // It comes back, as a new epoch.
            peer.set_behaviour(good_node);
            node.wait_for_ups(3);
            publish(node, "y", 2);
            CPPUNIT_ASSERT_EQUAL(uint64_t{2}, node.done(2).receivers);
            CPPUNIT_ASSERT(node.host().seen().downs.empty());
        }
    }
    void refuses_answers_without_end() {
        const std::string chunk = "1000\r\n" + std::string(0x1000, 'x') + "\r\n";
        for (const std::string& answer :
             {"HTTP/1.1 200 OK\r\n\r\n" + std::string(5000, 'x'),
              "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk,
              std::string("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n")}) {
            FakePeer peer(after_probe([&](const FakeRequest&) { return answer; }));
            Node node{{"peers", peer.url()}, {"message_bytes", "1024"}};
            node.wait_for_ups(1);
            node.request(1, MERIDIAN_CHANNEL_CONTROL, peer.url(), "x", never);
            CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_UNAVAILABLE}, node.reply_of(1).status);
            CPPUNIT_ASSERT_MESSAGE(node.reply_of(1).message, contains(node.reply_of(1).message, "1024"));
        }
    }
    void reads_answers_in_every_framing() {
        const std::string answers[] = {
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nreply",
            "HTTP/1.1 200\r\ncontent-length: 5\r\nContent-Length-Not: Cut\r\n\r\nreply",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: "
            "Content-Length\r\n\r\n2\r\nre\r\n3\r\nply\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nreply",
            "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nreply",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nreply",
        };
        for (const std::string& answer : answers) {
            FakePeer peer(after_probe([&](const FakeRequest&) { return answer; }));
            Node node{{"peers", peer.url()}};
            for (uint64_t id = 1; id <= 3; ++id) {
                node.request(id, MERIDIAN_CHANNEL_CONTROL, peer.url(), "x", never);
                CPPUNIT_ASSERT_EQUAL_MESSAGE(answer + node.reply_of(id).message, std::string("reply"),
                                             node.reply_of(id).bytes);
            }
        }
    }
    void connects_anew_when_the_peer_closes_after_each_answer() {
        FakePeer peer([](const FakeRequest&) { return http_answer(200, "", "Connection: close\r\nCut: 1\r\n"); });
        Node node{{"peers", peer.url()}};
        node.wait_for_ups(1);
        for (uint64_t i = 0; i < 10; ++i) {
            publish(node, std::to_string(i), i);
            CPPUNIT_ASSERT_EQUAL(uint64_t{1}, node.done(i).receivers);
        }
        // As it said so, it is not taken for a restart.
        CPPUNIT_ASSERT_EQUAL(size_t{1}, node.host().seen().ups.size());
        CPPUNIT_ASSERT(node.host().seen().downs.empty());
        CPPUNIT_ASSERT_EQUAL(size_t{11}, peer.connections());
    }
    void drops_a_message_that_the_peer_refuses() {
        FakePeer peer(after_probe([](const FakeRequest& request) {
            return http_answer(request.body == "bad" ? 400 : request.body == "large" ? 413 : 200);
        }));
        Node node{{"peers", peer.url()}};
        node.wait_for_ups(1);
        uint64_t id = 0;
        for (const char* body : {"bad", "good", "large", "good"}) {
            publish(node, body, id);
            CPPUNIT_ASSERT_EQUAL(uint64_t{std::string(body) == "good" ? 1U : 0U}, node.done(id).receivers);
            ++id;
        }
        CPPUNIT_ASSERT_EQUAL(peer.url() + ": it answered 400", node.done(0).message);
        CPPUNIT_ASSERT_EQUAL(peer.url() + ": it answered 413", node.done(2).message);
        CPPUNIT_ASSERT_EQUAL(size_t{4}, peer.requests().size());
        CPPUNIT_ASSERT(node.host().seen().downs.empty());
    }
    void warns_of_a_peer_that_is_no_node() {
        FakePeer peer([](const FakeRequest&) { return http_answer(404); });
        Node node{{"peers", peer.url()}};
        node.wait_for_ups(1);
        for (uint64_t i = 0; i < 5; ++i) {
            publish(node, "x", i);
            CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_UNAVAILABLE}, node.done(i).status);
        }
        CPPUNIT_ASSERT_EQUAL(size_t{1}, node.host().seen().logged("takes no deltas: it answered 404"));
        CPPUNIT_ASSERT_EQUAL(std::string("it answered 404"), node.link(peer.url()).error);
    }
    void splits_batches_that_are_too_large_for_the_peer() {
        Node second{{"message_bytes", "2048"}, {"busy_timeout", "60s"}};
        Node first{{"peers", second.url()}};
        first.wait_for_ups(1);
        second.set_status(MERIDIAN_BUSY);
        std::vector<std::string> sent = {"first"};
        publish(first, "first", 0);
        CPPUNIT_ASSERT(second.host().wait_until([](const Seen& seen) { return seen.refused == 1; }));
        for (uint64_t i = 1; i < 200; ++i) {
            sent.push_back(std::to_string(i) + std::string(100, 'x'));
            publish(first, sent.back(), i);
        }
        publish(first, std::string(3000, 'y'), 200);  // alone too large
        CPPUNIT_ASSERT(eventually([&] { return first.link(second.url()).queued_messages == 201; }));
        second.set_status(MERIDIAN_OK);
        second->resume();
        CPPUNIT_ASSERT(second.delivered(MERIDIAN_CHANNEL_DELTA, 200) == sent);
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, first.done(200).receivers);
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, first.done(199).receivers);
    }
    void falls_back_when_batches_become_unknown() {
        std::mutex hold;
        FakePeer peer(after_probe([&](const FakeRequest& request) {
            const std::lock_guard wait(hold);
            return http_answer(request.line == "POST /internal/cluster/delta" ? 200 : 404);
        }));
        Node node{{"peers", peer.url()}};
        node.wait_for_ups(1);
        std::vector<std::string> sent;
        {
            const std::lock_guard lock(hold);
            publish(node, "0", 0);
            peer.requests(1);
            for (uint64_t i = 1; i < 5; ++i) publish(node, std::to_string(i), i);
            CPPUNIT_ASSERT(eventually([&] { return node.link(peer.url()).queued_messages == 5; }));
        }
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, node.done(4).receivers);
        const auto requests = peer.requests();
        CPPUNIT_ASSERT_EQUAL(size_t{6}, requests.size());
        CPPUNIT_ASSERT_EQUAL(std::string("POST /internal/cluster/deltas"), requests[1].line);
        for (size_t i = 2; i < 6; ++i) CPPUNIT_ASSERT_EQUAL(std::to_string(i - 1), requests[i].body);
    }
    void sends_again_what_a_busy_peer_has_not_taken() {
        std::atomic<int> refusals{2};
        std::mutex hold;
        FakePeer peer(after_probe([&](const FakeRequest& request) {
            const std::lock_guard wait(hold);
            if (request.line == "POST /internal/cluster/delta") return http_answer(200);
            return refusals-- > 0 ? http_answer(503, "1") : http_answer(200);
        }));
        Node node{{"peers", peer.url()}, {"reconnect_delay_max", "5ms"}};
        node.wait_for_ups(1);
        {
            const std::lock_guard lock(hold);
            publish(node, "0", 0);
            peer.requests(1);
            for (uint64_t i = 1; i < 6; ++i) publish(node, std::to_string(i), i);
            CPPUNIT_ASSERT(eventually([&] { return node.link(peer.url()).queued_messages == 6; }));
        }
        for (uint64_t i = 0; i < 6; ++i) CPPUNIT_ASSERT_EQUAL(uint64_t{1}, node.done(i).receivers);
        const auto requests = peer.requests();
        CPPUNIT_ASSERT_EQUAL(size_t{4}, requests.size());
        const auto framed = [](const std::string& digits) {
            std::string out;
            for (const char digit : digits) out += std::string("\4room\0\0\0\1", 9) + digit;
            return out;
        };
        CPPUNIT_ASSERT(bodies(requests) ==
                       (std::vector<std::string>{"0", framed("12345"), framed("2345"), framed("345")}));
    }
    void gives_up_on_a_peer_that_stays_busy() {
        FakePeer peer(after_probe([](const FakeRequest&) { return http_answer(503); }));
        Node node{{"peers", peer.url()}, {"reconnect_delay_max", "5ms"}, {"request_timeout", "3s"}};
        node.wait_for_ups(1);
        publish(node, "x", 1);
        CPPUNIT_ASSERT_EQUAL(peer.url() + ": it is busy", node.done(1).message);
        CPPUNIT_ASSERT(peer.requests().size() > 1);
    }
    void says_down_when_the_last_peer_is_gone() {
        auto second = std::make_unique<Node>();
        auto third = std::make_unique<Node>();
        Node first{{"peers", second->url() + "," + third->url()}};
        first.wait_for_ups(2);
        const std::string second_url = second->url();
        second.reset();
        CPPUNIT_ASSERT(eventually([&] { return first.link(second_url).state == uint32_t{MERIDIAN_LINK_DOWN}; }));
        CPPUNIT_ASSERT(first.host().seen().downs.empty());
        third.reset();
        CPPUNIT_ASSERT(first.host().wait_until([](const Seen& seen) { return seen.downs.size() == 1; }));
        CPPUNIT_ASSERT_EQUAL(0.0, first.host().seen().metrics["peers_up"]);
    }
    void warns_once_of_a_peer_that_never_was_there() {
        const uint16_t port = free_port();
        Node node{{"peers", url_of(port)}, {"reconnect_delay_max", "1ms"}};
        CPPUNIT_ASSERT(node.host().wait_until([](const Seen& seen) { return seen.downs.size() == 1; }));
        uint64_t id = 0;
        for (; id < 50; ++id) {
            publish(node, "x", id);
            node.done(id);
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        CPPUNIT_ASSERT_EQUAL(size_t{1}, node.host().seen().logged("cannot be reached"));
        CPPUNIT_ASSERT_EQUAL(size_t{1}, node.host().seen().downs.size());
        Node late(TransportSection{}, port);
        node.wait_for_ups(1);
    }
    void stops_while_peers_do_not_answer() {
        FakePeer black_hole(silent);
        Node node{{"peers", black_hole.url() + ",http://name.invalid:1"}};
        for (uint64_t i = 0; i < 100; ++i) publish(node, "x", i);
        node->stop(1000);
        CPPUNIT_ASSERT_EQUAL(size_t{100}, node.host().seen().completions.size());
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(PeerTest);
