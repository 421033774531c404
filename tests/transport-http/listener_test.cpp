// The listener, spoken to in raw bytes: the status of every route and error, limits, back-pressure.
#include <cppunit/extensions/HelperMacros.h>

#include <string>

#include "fixture.h"

using namespace meridian::test;

namespace {

std::string prefixed(const std::string& envelope) {
    const auto size = static_cast<uint32_t>(envelope.size());
    std::string out(1, '\0');
    for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(size >> shift));
    return out + envelope;
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

// All byte values.
std::string odd_bytes() {
    std::string out;
    for (int i = 0; i < 256; ++i) out.push_back(static_cast<char>(i));
    return out;
}

}  // namespace

class ListenerTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(ListenerTest);
    CPPUNIT_TEST(answers_a_delta_with_200_and_an_empty_body);
    CPPUNIT_TEST(answers_what_is_no_envelope_with_400_and_an_empty_body);
    CPPUNIT_TEST(delivers_the_envelopes_of_a_batch_in_order);
    CPPUNIT_TEST(refuses_a_batch_with_a_wrong_size_whole);
    CPPUNIT_TEST(answers_a_control_message_with_the_reply);
    CPPUNIT_TEST(answers_204_without_a_reply);
    CPPUNIT_TEST(answers_a_pull_with_the_reply);
    CPPUNIT_TEST(answers_the_log_of_older_nodes);
    CPPUNIT_TEST(refuses_malformed_log_queries);
    CPPUNIT_TEST(answers_404_and_405);
    CPPUNIT_TEST(refuses_large_bodies_with_413);
    CPPUNIT_TEST(takes_a_body_of_exactly_the_limit);
    CPPUNIT_TEST(takes_chunked_bodies);
    CPPUNIT_TEST(answers_expect_continue);
    CPPUNIT_TEST(answers_pipelined_requests_in_order);
    CPPUNIT_TEST(refuses_malformed_heads);
    CPPUNIT_TEST(refuses_heads_larger_than_the_limit);
    CPPUNIT_TEST(takes_requests_byte_by_byte);
    CPPUNIT_TEST(ends_connections_that_are_slow_or_idle);
    CPPUNIT_TEST(ends_connections_above_the_limit);
    CPPUNIT_TEST(refuses_bodies_above_the_limit_of_all);
    CPPUNIT_TEST(holds_a_message_until_the_host_resumes);
    CPPUNIT_TEST(gives_up_on_a_busy_host_with_503_and_a_gap);
    CPPUNIT_TEST(says_how_much_of_a_batch_a_busy_host_took);
    CPPUNIT_TEST(refuses_late_and_unknown_replies);
    CPPUNIT_TEST(listens_on_ipv6);
    CPPUNIT_TEST(names_an_address_that_is_in_use);
    CPPUNIT_TEST(warns_of_unsigned_messages_at_all_addresses);
    CPPUNIT_TEST_SUITE_END();

public:
    void answers_a_delta_with_200_and_an_empty_body() {
        Node node;
        RawClient client(node.port());
        const HttpAnswer answer = client.exchange(post("delta", odd_bytes(), "Content-Type: text/anything\r\n"));
        CPPUNIT_ASSERT_EQUAL(std::string("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), answer.head);
        CPPUNIT_ASSERT(node.delivered(MERIDIAN_CHANNEL_DELTA) == std::vector<std::string>{odd_bytes()});
        CPPUNIT_ASSERT_EQUAL(std::string(), node.host().seen().deliveries[0].namespace_name);
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, node.host().seen().deliveries[0].reply_id);
        CPPUNIT_ASSERT_EQUAL(200, client.exchange(post("delta", "next")).status);
    }
    void answers_what_is_no_envelope_with_400_and_an_empty_body() {
        Node node;
        node.set_status(MERIDIAN_INVALID);
        RawClient client(node.port());
        for (const char* route : {"delta", "osp1"}) {
            const HttpAnswer answer = client.exchange(post(route, "x"));
            CPPUNIT_ASSERT_EQUAL(400, answer.status);
            CPPUNIT_ASSERT_EQUAL(std::string(), answer.body);
        }
        CPPUNIT_ASSERT_EQUAL(400, client.exchange(get("/internal/cluster/wal?want=eA")).status);
    }
    void delivers_the_envelopes_of_a_batch_in_order() {
        Node node;
        RawClient client(node.port());
        CPPUNIT_ASSERT_EQUAL(200, client.exchange(post("deltas", prefixed("a") + prefixed("") + prefixed("c"))).status);
        CPPUNIT_ASSERT(node.delivered(MERIDIAN_CHANNEL_DELTA) == (std::vector<std::string>{"a", "", "c"}));
        CPPUNIT_ASSERT_EQUAL(200, client.exchange(post("deltas", "")).status);
        // One that is refused keeps back no other.
        node.set_status(MERIDIAN_INVALID);
        CPPUNIT_ASSERT_EQUAL(200, client.exchange(post("deltas", prefixed("d") + prefixed("e"))).status);
    }
    void refuses_a_batch_with_a_wrong_size_whole() {
        Node node;
        RawClient client(node.port());
        CPPUNIT_ASSERT_EQUAL(400,
                             client.exchange(post("deltas", prefixed("a") + std::string("\0\0\0\0\2b", 6))).status);
        CPPUNIT_ASSERT(node.delivered(MERIDIAN_CHANNEL_DELTA).empty());
    }
    void answers_a_control_message_with_the_reply() {
        Node node;
        node.set_answers([](const Delivery& delivery) { return "re:" + delivery.bytes; });
        RawClient client(node.port());
        const HttpAnswer answer = client.exchange(post("osp1", odd_bytes()));
        CPPUNIT_ASSERT_EQUAL(200, answer.status);
        CPPUNIT_ASSERT(contains(answer.head, "Content-Type: application/msgpack\r\n"));
        CPPUNIT_ASSERT_EQUAL("re:" + odd_bytes(), answer.body);
        CPPUNIT_ASSERT(node.delivered(MERIDIAN_CHANNEL_CONTROL) == std::vector<std::string>{odd_bytes()});
    }
    void answers_204_without_a_reply() {
        Node node{{"reply_timeout", "50ms"}, {"pull_timeout", "50ms"}};
        RawClient client(node.port());
        const HttpAnswer silent = client.exchange(post("osp1", "nobody answers"));
        CPPUNIT_ASSERT_EQUAL(204, silent.status);
        CPPUNIT_ASSERT(!contains(silent.head, "Content-Length"));
        CPPUNIT_ASSERT_EQUAL(503, client.exchange(get("/internal/cluster/wal?want=eA")).status);
        Node empty;
        empty.set_answers([](const Delivery&) { return ""; });
        RawClient other(empty.port());
        CPPUNIT_ASSERT_EQUAL(204, other.exchange(post("osp1", "x")).status);
        CPPUNIT_ASSERT_EQUAL(204, other.exchange(get("/internal/cluster/wal?want=eA")).status);
    }
    void answers_a_pull_with_the_reply() {
        Node node;
        node.set_answers([](const Delivery& delivery) { return "log for " + delivery.bytes; });
        RawClient client(node.port());
        const HttpAnswer answer = client.exchange(get("/internal/cluster/wal?other=1&want=Zm9vYg"));
        CPPUNIT_ASSERT_EQUAL(200, answer.status);
        CPPUNIT_ASSERT(contains(answer.head, "Content-Type: application/msgpack\r\n"));
        CPPUNIT_ASSERT_EQUAL(std::string("log for foob"), answer.body);
        CPPUNIT_ASSERT(node.delivered(MERIDIAN_CHANNEL_PULL) == std::vector<std::string>{"foob"});
    }
    void answers_the_log_of_older_nodes() {
        Node node;
        node.set_answers([](const Delivery& delivery) { return delivery.bytes == "0" ? "\x90" : ""; });
        RawClient client(node.port());
        const HttpAnswer answer = client.exchange(get("/internal/cluster/wal?from_seq=0"));
        CPPUNIT_ASSERT_EQUAL(200, answer.status);
        CPPUNIT_ASSERT(contains(answer.head, "Content-Type: application/octet-stream\r\n"));
        CPPUNIT_ASSERT_EQUAL(std::string("\x90"), answer.body);
        const HttpAnswer unread = client.exchange(get("/internal/cluster/wal?from_seq=18446744073709551615"));
        CPPUNIT_ASSERT_EQUAL(500, unread.status);
        CPPUNIT_ASSERT_EQUAL(std::string(), unread.body);
        CPPUNIT_ASSERT(node.delivered(MERIDIAN_CHANNEL_LEGACY_LOG) ==
                       (std::vector<std::string>{"0", "18446744073709551615"}));
    }
    void refuses_malformed_log_queries() {
        Node node;
        RawClient client(node.port());
        for (const char* query : {"", "?", "?from_seq=", "?from_seq=x", "?from_seq=-1", "?from_seq=1x",
                                  "?from_seq=18446744073709551616", "?want=!", "?want=eA==", "?want=eB", "?want=e"}) {
            const HttpAnswer answer = client.exchange(get("/internal/cluster/wal" + std::string(query)));
            CPPUNIT_ASSERT_EQUAL_MESSAGE(query, 400, answer.status);
            CPPUNIT_ASSERT_MESSAGE(query, !answer.body.empty() && contains(answer.head, "Content-Type: text/plain"));
        }
        CPPUNIT_ASSERT(node.host().seen().deliveries.empty());
    }
    void answers_404_and_405() {
        Node node;
        RawClient client(node.port());
        for (const char* path : {"/", "/internal/cluster", "/internal/cluster/", "/internal/cluster/deltax",
                                 "/internal/cluster/delta/", "/internal/cluster/%64elta", "/v1/health"})
            CPPUNIT_ASSERT_EQUAL_MESSAGE(path, 404, client.exchange(get(path)).status);
        CPPUNIT_ASSERT_EQUAL(404, client.exchange(post("other", "body")).status);
        const HttpAnswer answer = client.exchange(get("/internal/cluster/delta"));
        CPPUNIT_ASSERT_EQUAL(405, answer.status);
        CPPUNIT_ASSERT(contains(answer.head, "Allow: POST\r\n"));
        CPPUNIT_ASSERT_EQUAL(405, client.exchange(get("/internal/cluster/osp1")).status);
        CPPUNIT_ASSERT_EQUAL(405, client.exchange(get("/internal/cluster/deltas")).status);
        const HttpAnswer log = client.exchange(post("wal?from_seq=1", "body"));
        CPPUNIT_ASSERT_EQUAL(405, log.status);
        CPPUNIT_ASSERT(contains(log.head, "Allow: GET\r\n"));
        // And the connection is of use after all of them.
        CPPUNIT_ASSERT_EQUAL(200, client.exchange(post("delta", "x")).status);
        CPPUNIT_ASSERT_EQUAL(size_t{1}, node.host().seen().deliveries.size());
    }
    void refuses_large_bodies_with_413() {
        Node node{{"message_bytes", "1024"}};
        const std::string large(1025, 'x');
        for (const char* route : {"delta", "deltas", "osp1"}) {
            RawClient client(node.port());
            const HttpAnswer answer = client.exchange(post(route, large));
            CPPUNIT_ASSERT_EQUAL(413, answer.status);
            CPPUNIT_ASSERT(contains(answer.head, "Connection: close\r\n"));
            CPPUNIT_ASSERT(client.ends());
        }
        RawClient chunked(node.port());
        CPPUNIT_ASSERT_EQUAL(
            413, chunked
                     .exchange("POST /internal/cluster/delta HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "401\r\n" +
                               large + "\r\n0\r\n\r\n")
                     .status);
        // Before the body is sent.
        RawClient patient(node.port());
        CPPUNIT_ASSERT_EQUAL(413, patient
                                      .exchange("POST /internal/cluster/delta HTTP/1.1\r\nHost: a\r\nContent-Length: "
                                                "18446744073709551615\r\nExpect: 100-continue\r\n\r\n")
                                      .status);
        CPPUNIT_ASSERT(node.host().seen().deliveries.empty());
    }
    void takes_a_body_of_exactly_the_limit() {
        Node node{{"message_bytes", "1024"}};
        RawClient client(node.port());
        CPPUNIT_ASSERT_EQUAL(200, client.exchange(post("delta", std::string(1024, 'x'))).status);
        CPPUNIT_ASSERT_EQUAL(size_t{1024}, node.delivered(MERIDIAN_CHANNEL_DELTA)[0].size());
        CPPUNIT_ASSERT_EQUAL(uint64_t{1024}, node->functions().message_bytes_max(node->instance()));
    }
    void takes_chunked_bodies() {
        Node node;
        RawClient client(node.port());
        const std::string head =
            "POST /internal/cluster/delta HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        CPPUNIT_ASSERT_EQUAL(200, client.exchange(head + "3\r\none\r\n2;x=y\r\n, \r\n3\r\ntwo\r\n0\r\n\r\n").status);
        CPPUNIT_ASSERT(node.delivered(MERIDIAN_CHANNEL_DELTA) == std::vector<std::string>{"one, two"});
        CPPUNIT_ASSERT_EQUAL(400, client.exchange(head + "x\r\n").status);
        CPPUNIT_ASSERT(client.ends());
    }
    void answers_expect_continue() {
        Node node;
        RawClient client(node.port());
        CPPUNIT_ASSERT_EQUAL(100, client
                                      .exchange("POST /internal/cluster/delta HTTP/1.1\r\nHost: a\r\nContent-Length: "
                                                "3\r\nExpect: 100-continue\r\n\r\n")
                                      .status);
        CPPUNIT_ASSERT_EQUAL(200, client.exchange("abc").status);
        CPPUNIT_ASSERT_EQUAL(417, client
                                      .exchange("POST /internal/cluster/delta HTTP/1.1\r\nHost: a\r\nContent-Length: "
                                                "3\r\nExpect: tea\r\n\r\n")
                                      .status);
    }
    void answers_pipelined_requests_in_order() {
        Node node;
        node.set_answers([](const Delivery& delivery) { return delivery.bytes; });
        RawClient client(node.port());
        client.send(post("osp1", "first") + post("delta", "second") + get("/nothing") + post("osp1", "third") +
                    post("delta", "last", "Connection: close\r\n"));
        CPPUNIT_ASSERT_EQUAL(std::string("first"), client.answer().body);
        CPPUNIT_ASSERT_EQUAL(200, client.answer().status);
        CPPUNIT_ASSERT_EQUAL(404, client.answer().status);
        CPPUNIT_ASSERT_EQUAL(std::string("third"), client.answer().body);
        CPPUNIT_ASSERT(contains(client.answer().head, "Connection: close\r\n"));
        CPPUNIT_ASSERT(client.ends());
        CPPUNIT_ASSERT(node.delivered(MERIDIAN_CHANNEL_DELTA) == (std::vector<std::string>{"second", "last"}));
    }
    void refuses_malformed_heads() {
        Node node;
        const std::string line = "POST /internal/cluster/delta HTTP/1.1\r\n";
        const std::pair<std::string, int> heads[] = {
            {"nonsense\r\n\r\n", 400},
            {"POST /internal/cluster/delta\r\n\r\n", 400},
            {"POST  /internal/cluster/delta HTTP/1.1\r\n\r\n", 400},
            {line + "\r\n", 400},  // no Host
            {line + "Host: a\r\nHost: b\r\n\r\n", 400},
            {line + "Host: a\n\n", 400},
            {line + "Host : a\r\n\r\n", 400},
            {line + "Host: a\r\n folded\r\n\r\n", 400},
            {line + "Host: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400},
            {line + "Host: a\r\nContent-Length: +1\r\n\r\n", 400},
            {line + "Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
            {line + "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
            {"POST /internal/cluster/delta HTTP/2.0\r\nHost: a\r\n\r\n", 505},
            {std::string("\x16\x03\x01\x02\x00\x01\n", 7), 400},
        };
        for (const auto& [head, status] : heads) {
            RawClient client(node.port());
            const HttpAnswer answer = client.exchange(head);
            CPPUNIT_ASSERT_EQUAL_MESSAGE(head, status, answer.status);
            CPPUNIT_ASSERT(contains(answer.head, "Connection: close\r\n"));
            CPPUNIT_ASSERT(client.ends());
        }
        CPPUNIT_ASSERT(node.host().seen().deliveries.empty());
    }
    void refuses_heads_larger_than_the_limit() {
        Node node;
        RawClient client(node.port());
        CPPUNIT_ASSERT_EQUAL(431, client.exchange(get("/" + std::string(80 << 10, 'a'))).status);
        RawClient many(node.port());
        std::string headers;
        for (int i = 0; i < 120; ++i) headers += "A" + std::to_string(i) + ": b\r\n";
        CPPUNIT_ASSERT_EQUAL(431, many.exchange(post("delta", "x", headers)).status);
    }
    void takes_requests_byte_by_byte() {
        Node node;
        RawClient client(node.port());
        for (const char byte : post("deltas", prefixed("slow") + prefixed("but whole"))) client.send({byte});
        CPPUNIT_ASSERT_EQUAL(200, client.answer().status);
        CPPUNIT_ASSERT(node.delivered(MERIDIAN_CHANNEL_DELTA) == (std::vector<std::string>{"slow", "but whole"}));
    }
    void ends_connections_that_are_slow_or_idle() {
        Node node{{"receive_timeout", "50ms"}, {"idle_timeout", "50ms"}};
        RawClient idle(node.port());
        CPPUNIT_ASSERT(idle.ends());
        RawClient half_head(node.port());
        half_head.send("POST /internal/cluster/delta HTT");
        CPPUNIT_ASSERT(half_head.ends());
        RawClient half_body(node.port());
        half_body.send("POST /internal/cluster/delta HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
        CPPUNIT_ASSERT(half_body.ends());
        CPPUNIT_ASSERT(node.host().seen().deliveries.empty());
    }
    void ends_connections_above_the_limit() {
        Node node{{"connections_max", "2"}};
        auto first = std::make_unique<RawClient>(node.port());
        RawClient second(node.port());
        CPPUNIT_ASSERT_EQUAL(200, first->exchange(post("delta", "x")).status);
        CPPUNIT_ASSERT_EQUAL(200, second.exchange(post("delta", "x")).status);
        for (int i = 0; i < 3; ++i) {
            RawClient third(node.port());
            CPPUNIT_ASSERT(third.ends());
        }
        CPPUNIT_ASSERT_EQUAL(size_t{1}, node.host().seen().logged("connections_max"));
        CPPUNIT_ASSERT_EQUAL(200, second.exchange(post("delta", "x")).status);
        first.reset();
        CPPUNIT_ASSERT(node.host().wait_until([](const Seen& seen) {
            const auto found = seen.metrics.find("connections");
            return found != seen.metrics.end() && found->second == 1;
        }));
        RawClient next(node.port());
        CPPUNIT_ASSERT_EQUAL(200, next.exchange(post("delta", "x")).status);
    }
    void refuses_bodies_above_the_limit_of_all() {
        Node node{{"message_bytes", "1024"}, {"receive_bytes", "1024"}};
        const std::string body(1024, 'x');
        auto first = std::make_unique<RawClient>(node.port());
        // It is certainly at the body once the listener asks for it.
        CPPUNIT_ASSERT_EQUAL(100, first
                                      ->exchange("POST /internal/cluster/delta HTTP/1.1\r\nHost: a\r\nContent-Length: "
                                                 "1024\r\nExpect: 100-continue\r\n\r\n")
                                      .status);
        RawClient second(node.port());
        CPPUNIT_ASSERT_EQUAL(503, second.exchange(post("delta", body)).status);
        CPPUNIT_ASSERT_EQUAL(200, first->exchange(body).status);
        RawClient third(node.port());
        CPPUNIT_ASSERT_EQUAL(200, third.exchange(post("delta", body)).status);
    }
    void holds_a_message_until_the_host_resumes() {
        Node node{{"busy_timeout", "60s"}};
        node.set_answers([](const Delivery&) { return "reply"; });
        node.set_status(MERIDIAN_BUSY);
        RawClient batch(node.port()), single(node.port()), control(node.port());
        batch.send(post("deltas", prefixed("1") + prefixed("2")) + post("delta", "3"));
        single.send(post("delta", "other"));
        control.send(post("osp1", "message"));
        CPPUNIT_ASSERT(node.host().wait_until([](const Seen& seen) { return seen.refused == 3; }));
        // Still busy: nothing is lost.
        node->resume();
        CPPUNIT_ASSERT(node.host().wait_until([](const Seen& seen) { return seen.refused == 6; }));
        CPPUNIT_ASSERT(batch.is_quiet() && single.is_quiet() && control.is_quiet());
        CPPUNIT_ASSERT(node.host().seen().deliveries.empty());
        node.set_status(MERIDIAN_OK);
        node->resume();
        CPPUNIT_ASSERT_EQUAL(200, batch.answer().status);
        CPPUNIT_ASSERT_EQUAL(200, batch.answer().status);
        CPPUNIT_ASSERT_EQUAL(200, single.answer().status);
        CPPUNIT_ASSERT_EQUAL(std::string("reply"), control.answer().body);
        std::vector<std::string> of_batch;
        for (const std::string& bytes : node.delivered(MERIDIAN_CHANNEL_DELTA)) {
            if (bytes != "other") of_batch.push_back(bytes);
        }
        CPPUNIT_ASSERT(of_batch == (std::vector<std::string>{"1", "2", "3"}));
        CPPUNIT_ASSERT(node.host().seen().gaps.empty());
    }
    void gives_up_on_a_busy_host_with_503_and_a_gap() {
        Node node{{"busy_timeout", "20ms"}};
        node.set_status(MERIDIAN_BUSY);
        RawClient client(node.port());
        CPPUNIT_ASSERT_EQUAL(503, client.exchange(post("delta", "x")).status);
        CPPUNIT_ASSERT_EQUAL(503, client.exchange(post("osp1", "x")).status);
        CPPUNIT_ASSERT_EQUAL(503, client.exchange(get("/internal/cluster/wal?want=eA")).status);
        CPPUNIT_ASSERT(node.host().seen().gaps ==
                       (std::vector<uint32_t>{MERIDIAN_CHANNEL_DELTA, MERIDIAN_CHANNEL_CONTROL}));
        node.set_status(MERIDIAN_OK);
        CPPUNIT_ASSERT_EQUAL(200, client.exchange(post("delta", "y")).status);
        CPPUNIT_ASSERT(node.delivered(MERIDIAN_CHANNEL_DELTA) == std::vector<std::string>{"y"});
    }
    void says_how_much_of_a_batch_a_busy_host_took() {
        Node node{{"busy_timeout", "20ms"}};
        node.host().answer([](const Delivery& delivery) { return delivery.bytes < "3" ? MERIDIAN_OK : MERIDIAN_BUSY; });
        RawClient client(node.port());
        const HttpAnswer answer =
            client.exchange(post("deltas", prefixed("1") + prefixed("2") + prefixed("3") + prefixed("4")));
        CPPUNIT_ASSERT_EQUAL(503, answer.status);
        CPPUNIT_ASSERT_EQUAL(std::string("2"), answer.body);
    }
    void refuses_late_and_unknown_replies() {
        Node node{{"reply_timeout", "20ms"}};
        RawClient client(node.port());
        CPPUNIT_ASSERT_EQUAL(204, client.exchange(post("osp1", "x")).status);
        const uint64_t late = node.host().seen().deliveries[0].reply_id;
        CPPUNIT_ASSERT(late != 0);
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_INVALID}, node.reply(late, "late"));
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_INVALID}, node.reply(late + 1, "unknown"));
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_INVALID}, node.reply(0, "none"));
        CPPUNIT_ASSERT_EQUAL(200, client.exchange(post("delta", "x")).status);
    }
    void listens_on_ipv6() {
        Node node{{"bind", "[::1]:0"}};
        const std::string address = node->address();
        CPPUNIT_ASSERT_EQUAL(std::string("http://[::1]:"), address.substr(0, 13));
        RawClient client(node.port(), "::1");
        CPPUNIT_ASSERT_EQUAL(200, client.exchange(post("delta", "x")).status);
        Node peer{{"peers", address}};
        peer.wait_for_ups(1);
    }
    void names_an_address_that_is_in_use() {
        Node node;
        TransportHost host;
        TransportInstance second(transport_http(), host, {{"bind", "127.0.0.1:" + std::to_string(node.port())}});
        try {
            second.start("2");
            CPPUNIT_FAIL("it started");
        } catch (const std::runtime_error& error) {
            CPPUNIT_ASSERT_EQUAL(
                "bind: cannot listen at 127.0.0.1 port " + std::to_string(node.port()) + ": Address already in use",
                std::string(error.what()));
        }
    }
    void warns_of_unsigned_messages_at_all_addresses() {
        Node unsigned_messages{{"bind", "0.0.0.0:0"}, {"authenticated", "false"}};
        CPPUNIT_ASSERT_EQUAL(size_t{1}, unsigned_messages.host().seen().logged("warning: bind:"));
        CPPUNIT_ASSERT_EQUAL(std::string(), unsigned_messages->address());
        Node signed_messages{{"bind", "0.0.0.0:0"}};
        Node one_address{{"authenticated", "false"}};
        CPPUNIT_ASSERT_EQUAL(size_t{0}, signed_messages.host().seen().logged("warning:"));
        CPPUNIT_ASSERT_EQUAL(size_t{0}, one_address.host().seen().logged("warning:"));
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(ListenerTest);
