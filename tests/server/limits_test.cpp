// Every limit of a connection, reached: what the client is told, and that the node goes on.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "held_loop.h"
#include "server_fixture.h"

namespace {

using namespace meridian;
using namespace meridian::test;
using server::Opcode;

const std::string counter_path = "/v1/namespaces/room/crdts/gc:a";
const std::string live = "GET /health/live HTTP/1.1\r\nHost: h\r\n\r\n";
const std::string no_entries_clock = std::string("\x81\xa7") + "entries\x80";

std::string post_head(const std::string& headers) {
    return "POST " + counter_path + "/ops HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + token() + "\r\n" + headers +
           "\r\n";
}

void send(Poco::Net::StreamSocket& socket, std::string_view bytes) {
    while (!bytes.empty())
        bytes.remove_prefix(static_cast<size_t>(socket.sendBytes(bytes.data(), static_cast<int>(bytes.size()))));
}

class LimitsTest : public ServerFixture {
    CPPUNIT_TEST_SUITE(LimitsTest);
    CPPUNIT_TEST(a_head_that_does_not_end_is_answered_with_408);
    CPPUNIT_TEST(a_body_that_does_not_end_is_answered_with_408);
    CPPUNIT_TEST(an_idle_connection_is_closed);
    CPPUNIT_TEST(a_websocket_that_does_not_answer_pings_is_closed_and_one_that_does_is_not);
    CPPUNIT_TEST(a_connection_too_many_is_answered_with_503_and_closed);
    CPPUNIT_TEST(oversized_heads_and_bodies_are_answered_and_the_connection_closed);
    CPPUNIT_TEST(a_websocket_message_too_large_is_closed_with_1009);
    CPPUNIT_TEST(a_pipeline_beyond_its_limit_waits);
    CPPUNIT_TEST(a_client_that_does_not_read_its_answers_is_not_read_and_then_closed);
    CPPUNIT_TEST(websocket_messages_beyond_those_in_flight_wait);
    CPPUNIT_TEST(a_slow_reader_that_missed_too_many_keys_is_closed_with_1013);
    CPPUNIT_TEST(reads_of_a_large_value_are_answered_one_after_another);
    CPPUNIT_TEST(idle_time_begins_with_the_answer);
    CPPUNIT_TEST(a_websocket_message_that_does_not_end_is_closed_with_1008);
    CPPUNIT_TEST(who_holds_too_much_that_is_not_complete_is_refused_and_others_are_not);
    CPPUNIT_TEST(a_slow_reader_gets_its_close_frame_though_it_sends_meanwhile);
    CPPUNIT_TEST(a_slow_reader_gets_the_whole_answer_though_it_sends_meanwhile);
    CPPUNIT_TEST(a_client_without_a_rate_of_its_own_has_the_configured_one);
    CPPUNIT_TEST_SUITE_END();

    static void assert_contains(const std::string& text, const std::string& part) {
        CPPUNIT_ASSERT_MESSAGE("expected '" + part + "' in: " + text.substr(0, 2000),
                               text.find(part) != std::string::npos);
    }
    void assert_well() const { CPPUNIT_ASSERT_EQUAL(200, http(*server_, "GET", "/health/live", "").status); }

    // Sends a byte now and then until the server ends the connection; what it said.
    static std::string trickle(Poco::Net::StreamSocket& socket) {
        for (int i = 0; !socket.poll(Poco::Timespan(0, 50'000), Poco::Net::Socket::SELECT_READ); ++i) {
            CPPUNIT_ASSERT_MESSAGE("the server waits on", i < 400);
            send(socket, "x");
        }
        return read_all(socket);
    }

    void a_head_that_does_not_end_is_answered_with_408() {
        start({"limits.head_timeout_ms=300"});
        Poco::Net::StreamSocket slow = connect_to(server_->address());
        send(slow, "GET /");
        const std::string answer = trickle(slow);
        assert_contains(answer, "HTTP/1.1 408 Request Timeout\r\n");
        assert_contains(answer, R"("message":"the request head did not arrive in time"})");
        // The same after a request that was answered.
        Poco::Net::StreamSocket second = connect_to(server_->address());
        send(second, live + "GET");
        assert_contains(read_all(second), "HTTP/1.1 408 ");
        assert_well();
    }

    void a_body_that_does_not_end_is_answered_with_408() {
        start({"limits.body_timeout_ms=300"});
        for (const char* framing : {"Content-Length: 1000\r\n", "Transfer-Encoding: chunked\r\n"}) {
            Poco::Net::StreamSocket slow = connect_to(server_->address());
            send(slow, post_head(framing) + "1000\r\n");
            const std::string answer = trickle(slow);
            assert_contains(answer, "HTTP/1.1 408 Request Timeout\r\n");
            assert_contains(answer, R"("message":"the request body did not arrive in time"})");
        }
        assert_well();
    }

    // Defect 30, with the tests of heads, bodies and pings.
    void an_idle_connection_is_closed() {
        start({"limits.idle_timeout_ms=300"});
        Poco::Net::StreamSocket silent = connect_to(server_->address());
        CPPUNIT_ASSERT_EQUAL(std::string(), read_all(silent));
        // Again if this process was held up for so long that the connection was idle before its request.
        std::string answer;
        for (int i = 0; i < 10 && answer.empty(); ++i) {
            Poco::Net::StreamSocket kept = connect_to(server_->address());
            try {
                send(kept, live);
                answer = read_all(kept);
            } catch (const Poco::Exception&) { answer.clear(); }
        }
        assert_contains(answer, R"({"status":"ok"})");
        CPPUNIT_ASSERT_EQUAL_MESSAGE(answer, answer.find("HTTP/1.1"), answer.rfind("HTTP/1.1"));
    }

    // Longest pause of this process, while one connection is served and the other is only watched, until that is
    // closed.
    static uint64_t serve_one_until_the_other_is_closed(client::WebSocketClient& served,
                                                        client::WebSocketClient& silent, std::string& sent_to_silent) {
        const uint64_t deadline_ms = now_ms() + 60'000;
        uint64_t longest_ms = 0;
        uint64_t before_ms = now_ms();
        for (bool ended = false; !ended;) {
            const auto received = served.receive(50);
            const uint64_t now = now_ms();
            longest_ms = std::max(longest_ms, now - before_ms);
            before_ms = now;
            CPPUNIT_ASSERT_MESSAGE("the silent one is not closed", now < deadline_ms);
            if (!received) return longest_ms;
            if (!silent.socket().poll(Poco::Timespan(0), Poco::Net::Socket::SELECT_READ)) continue;
            char buffer[16];
            const int got = silent.socket().receiveBytes(buffer, sizeof buffer);
            sent_to_silent.append(buffer, static_cast<size_t>(got));
            ended = got == 0;
        }
        return longest_ms;
    }

    void a_websocket_that_does_not_answer_pings_is_closed_and_one_that_does_is_not() {
        constexpr uint64_t interval_ms = 1000;
        start({"limits.websocket_ping_interval_ms=" + std::to_string(interval_ms), "limits.idle_timeout_ms=900"});
        // Again while this process was held up for so long that it could not answer in time itself.
        for (int attempt = 0; attempt < 10; ++attempt) {
            auto answering = websocket(*server_, token());
            auto silent = websocket(*server_, token());
            std::string pings;
            if (serve_one_until_the_other_is_closed(answering, silent, pings) > interval_ms / 2) continue;
            CPPUNIT_ASSERT_EQUAL(std::string("\x89\x00", 2), pings);
            expect_nothing_more(answering);
            return;
        }
        CPPUNIT_FAIL("the machine is too busy");
    }

    void a_connection_too_many_is_answered_with_503_and_closed() {
        start({"limits.connections=3"});
        std::vector<Poco::Net::StreamSocket> open;
        for (int i = 0; i < 3; ++i) {
            open.push_back(connect_to(server_->address()));
            send(open.back(), live);
            char first = 0;
            CPPUNIT_ASSERT_EQUAL(1, open.back().receiveBytes(&first, 1));
        }
        Poco::Net::StreamSocket refused = connect_to(server_->address());
        const std::string answer = read_all(refused);
        assert_contains(answer, "HTTP/1.1 503 Service Unavailable\r\n");
        assert_contains(answer, "retry-after: 1\r\n");
        assert_contains(answer,
                        "\r\n\r\n"
                        R"({"detail":"too many connections","error":"overloaded","message":"too many connections"})");
        // The others do not notice, and one that ends makes room.
        send(open[1], live);
        open.pop_back();
        const uint64_t deadline_ms = now_ms() + 20'000;
        std::string admitted;
        while (admitted.find("HTTP/1.1 200 ") == std::string::npos) {
            CPPUNIT_ASSERT_MESSAGE("nobody is let in any more: " + admitted, now_ms() < deadline_ms);
            Poco::Net::StreamSocket next = connect_to(server_->address());
            // Refused ones may be gone before their request is out.
            try {
                send(next, "GET /health/live HTTP/1.0\r\n\r\n");
                admitted = read_all(next);
            } catch (const Poco::Exception&) { admitted.clear(); }
        }
    }

    void oversized_heads_and_bodies_are_answered_and_the_connection_closed() {
        start({"limits.http_head_bytes=2000", "limits.http_headers=8", "limits.http_body_bytes=3000"});
        std::string headers;
        for (int i = 0; i < 9; ++i) headers += "x-" + std::to_string(i) + ": 1\r\n";
        const auto answer = [this](const std::string& bytes) {
            const std::string all = raw_exchange(*server_, bytes + live);
            assert_contains(all, "connection: close\r\n");
            CPPUNIT_ASSERT_EQUAL_MESSAGE(all, size_t{0}, all.rfind("HTTP/1.1"));
            return all;
        };
        const std::string long_head = answer("GET /" + std::string(2000, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_contains(long_head, "HTTP/1.1 431 ");
        assert_contains(long_head, "request head larger than 2000 bytes");
        const std::string many_headers = answer("GET / HTTP/1.1\r\nHost: h\r\n" + headers + "\r\n");
        assert_contains(many_headers, "HTTP/1.1 431 ");
        assert_contains(many_headers, "more than 8 headers");
        for (const std::string& body :
             {"Content-Length: 3001\r\n\r\n" + std::string(3001, 'x'),
              "Transfer-Encoding: chunked\r\n\r\nbb9\r\n" + std::string(3001, 'x') + "\r\n0\r\n\r\n"}) {
            const std::string head = post_head("");
            const std::string large = answer(head.substr(0, head.size() - 2) + body);
            assert_contains(large, "HTTP/1.1 413 ");
            assert_contains(large, "Failed to buffer the request body: length limit exceeded");
        }
        CPPUNIT_ASSERT_EQUAL(400,
                             http(*server_, "POST", counter_path + "/ops", token(), std::string(3000, '\xc1')).status);
        assert_well();
    }

    void a_websocket_message_too_large_is_closed_with_1009() {
        start({"limits.websocket_message_bytes=2000"});
        auto whole = websocket(*server_, token());
        whole.send_frame(Opcode::binary, std::string(2001, 'x'));
        CPPUNIT_ASSERT_EQUAL(uint16_t{1009}, expect_close(whole));
        // It is enough to announce it.
        auto announced = websocket(*server_, token());
        announced.send_raw(std::string("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 14));
        CPPUNIT_ASSERT_EQUAL(uint16_t{1009}, expect_close(announced));
        assert_well();
    }

    void a_pipeline_beyond_its_limit_waits() {
        start({"limits.http_pipeline=1"});
        const std::string op = counter_op(1);
        std::string requests;
        for (int i = 0; i < 20; ++i)
            requests += post_head("Content-Length: " + std::to_string(op.size()) + "\r\n") + op + live;
        const std::string answers = raw_exchange(*server_, requests);
        size_t count = 0;
        for (size_t at = 0; (at = answers.find("HTTP/1.1 200 ", at)) != std::string::npos; ++at) ++count;
        CPPUNIT_ASSERT_EQUAL(size_t{40}, count);
        // A body that comes after its head, when the one place is taken by its own request.
        Poco::Net::StreamSocket split = connect_to(server_->address());
        send(split, post_head("Expect: 100-continue\r\nConnection: close\r\nContent-Length: " +
                              std::to_string(op.size()) + "\r\n"));
        char buffer[64];
        CPPUNIT_ASSERT(split.receiveBytes(buffer, sizeof buffer) > 0);
        send(split, op);
        assert_contains(read_all(split), "HTTP/1.1 200 ");
    }

    // Sends as much as the other side takes, without reading; the bytes sent when the connection has ended.
    static size_t push(Poco::Net::StreamSocket& socket, const std::string& bytes) {
        size_t sent = 0;
        while (sent < bytes.size()) {
            const ssize_t taken =
                ::send(socket.impl()->sockfd(), bytes.data() + sent, bytes.size() - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (taken > 0) {
                sent += static_cast<size_t>(taken);
                continue;
            }
            if (errno != EAGAIN) break;
            pollfd ready{socket.impl()->sockfd(), POLLOUT, 0};
            CPPUNIT_ASSERT_MESSAGE("neither read nor closed", ::poll(&ready, 1, 20'000) == 1);
        }
        return sent;
    }

    void a_client_that_does_not_read_its_answers_is_not_read_and_then_closed() {
        start({"limits.connection_queue_bytes=16384", "limits.write_timeout_ms=500"});
        const std::string key = "/v1/namespaces/room/crdts/lw:large";
        const std::string large = register_op(std::string(64 << 10, 'x'), now_ms());
        CPPUNIT_ASSERT_EQUAL(200, http(*server_, "POST", key + "/ops", token(), large).status);
        // Far more, both ways, than all buffers between the two hold.
        const std::string request =
            "GET " + key + "?token=" + token() + "&pad=" + std::string(30'000, 'p') + " HTTP/1.1\r\nHost: h\r\n\r\n";
        std::string requests;
        for (int i = 0; i < 1000; ++i) requests += request;
        Poco::Net::StreamSocket deaf = connect_to(server_->address());
        deaf.setReceiveBufferSize(64 << 10);
        CPPUNIT_ASSERT(push(deaf, requests) < requests.size());
        assert_well();
        // Who reads gets everything, however slow the limit makes it.
        std::string some;
        for (int i = 0; i < 100; ++i) some += request;
        CPPUNIT_ASSERT(raw_exchange(*server_, some).size() > size_t{100} * (64 << 10));
    }

    void websocket_messages_beyond_those_in_flight_wait() {
        start({"limits.websocket_frames_in_flight=1", "limits.connection_queue_bytes=16384"});
        auto socket = websocket(*server_, token({.read = {"x"}}));
        constexpr uint64_t count = 500;
        std::string frames;
        for (uint64_t i = 0; i < count; ++i)
            server::append_masked_message(
                frames, Opcode::binary, wire::encode_client_message(wire::OpMessage{"gc:a", counter_op(1), {}, i, {}}),
                {1, 2, 3, 4});
        socket.send_raw(frames);
        for (uint64_t i = 0; i < count; ++i)
            CPPUNIT_ASSERT_EQUAL(i, expect<wire::Ack>(socket).client_seq.value_or(count));
    }

    void a_slow_reader_that_missed_too_many_keys_is_closed_with_1013() {
        start({"limits.connection_queue_bytes=16384", "limits.missed_keys=5", "limits.write_timeout_ms=600000"});
        auto slow = websocket(*server_, token({.client_id = 7}), "&keys=string");
        slow.socket().setReceiveBufferSize(64 << 10);
        auto writer = websocket(*server_, token({.read = {"gc:*"}}));
        for (int i = 1; i <= 60; ++i) {
            writer.send(wire::OpMessage{
                "lw:" + std::to_string(i), register_op(std::string(200'000, 'x'), now_ms()), {}, {}, {}});
            expect<wire::Ack>(writer);
        }
        CPPUNIT_ASSERT_EQUAL(uint16_t{1013}, expect_close(slow));
        // Nothing of this reaches others.
        writer.send(wire::Sync{"gc:none", no_entries_clock});
        CPPUNIT_ASSERT_EQUAL(std::string("crdt not found"), expect<wire::ErrorMessage>(writer).message);
    }

    size_t answers_of_class_2xx() const {
        const std::string page = http(*server_, "GET", "/metrics", "").body;
        const std::string name = "\nmeridian_http_responses_total{class=\"2xx\"} ";
        const size_t at = page.find(name);
        CPPUNIT_ASSERT(at != std::string::npos);
        return std::stoul(page.substr(at + name.size()));
    }

    // Otherwise all of them would be in memory at once.
    void reads_of_a_large_value_are_answered_one_after_another() {
        start({"limits.write_timeout_ms=600000"});
        const std::string key = "/v1/namespaces/room/crdts/lw:large";
        const std::string op = register_op(std::string(2'000'000, 'x'), now_ms());
        CPPUNIT_ASSERT_EQUAL(200, http(*server_, "POST", key + "/ops", token(), op).status);
        const size_t before = answers_of_class_2xx();
        constexpr int reads = 20;
        std::string requests;
        for (int i = 0; i < reads; ++i) requests += "GET " + key + "?token=" + token() + " HTTP/1.1\r\nHost: h\r\n\r\n";
        Poco::Net::StreamSocket deaf = connect_to(server_->address());
        deaf.setReceiveBufferSize(64 << 10);
        send(deaf, requests);
        char first = 0;
        CPPUNIT_ASSERT_EQUAL(1, deaf.receiveBytes(&first, 1));
        // Those of this very question are counted too.
        size_t asked = 0;
        for (; asked < 20; ++asked) CPPUNIT_ASSERT(answers_of_class_2xx() <= before + asked + 3);
        deaf.shutdownSend();
        CPPUNIT_ASSERT(read_all(deaf).size() > size_t{reads} * 2'000'000);
    }

    // Whether both connections, of which one lives on another loop than the key, are still served after an answer that
    // took longer than idle time; nothing if this process was held up for so long that they were idle by its fault.
    std::optional<bool> outlives_a_slow_answer(uint64_t idle_ms) const {
        const auto answer = [](Poco::Net::StreamSocket& socket, const std::string& request) {
            send(socket, request);
            char buffer[1024];
            return socket.receiveBytes(buffer, sizeof buffer) > 0;
        };
        const std::string read = "GET " + counter_path + "?token=" + token() + " HTTP/1.1\r\nHost: h\r\n\r\n";
        std::vector<Poco::Net::StreamSocket> sockets = {connect_to(server_->address()), connect_to(server_->address())};
        uint64_t turn_ms = now_ms();
        uint64_t longest_ms = 0;
        const auto end_of_turn = [&] { longest_ms = std::max(longest_ms, now_ms() - turn_ms); };
        bool served = true;
        try {
            for (auto& socket : sockets) served = answer(socket, live) && served;
            HeldLoop home(*server_, home_loop("room"));
            for (auto& socket : sockets) send(socket, read);
            end_of_turn();
            ::usleep(static_cast<useconds_t>((idle_ms + 1500) * 1000));
            home.release();
            turn_ms = now_ms();
            for (auto& socket : sockets) {
                char buffer[1024];
                served = socket.receiveBytes(buffer, sizeof buffer) > 0 && served;
            }
            ::usleep(1'500'000);  // the clock that looks at connections ticks once a second
            for (auto& socket : sockets) served = answer(socket, live) && served;
        } catch (const Poco::Exception&) { served = false; }
        end_of_turn();
        if (!served && longest_ms > idle_ms - 1000) return std::nullopt;
        return served;
    }

    void idle_time_begins_with_the_answer() {
        constexpr uint64_t idle_ms = 5000;
        start({"limits.idle_timeout_ms=" + std::to_string(idle_ms)});
        std::optional<bool> served;
        for (int attempt = 0; attempt < 5 && !served; ++attempt) served = outlives_a_slow_answer(idle_ms);
        CPPUNIT_ASSERT_MESSAGE("the machine is too busy", served.has_value());
        CPPUNIT_ASSERT_MESSAGE("closed as idle", *served);
    }

    void a_websocket_message_that_does_not_end_is_closed_with_1008() {
        start({"limits.body_timeout_ms=1000"});
        const uint64_t begin_ms = now_ms();
        auto frame = websocket(*server_, token());
        frame.send_raw(std::string("\x82\xfe\x10\x00\0\0\0\0", 8));
        auto fragments = websocket(*server_, token());
        fragments.send_raw(std::string("\x02\x81\0\0\0\0x", 7));
        // What comes of it, and pings in between, do not make it complete.
        for (bool closed = false; !closed;) {
            CPPUNIT_ASSERT_MESSAGE("the server waits on", now_ms() < begin_ms + 20'000);
            frame.send_raw("x");
            fragments.send_raw(std::string("\x89\x80\0\0\0\0\x00\x81\0\0\0\0x", 13));
            closed = frame.socket().poll(Poco::Timespan(0, 50'000), Poco::Net::Socket::SELECT_READ);
        }
        CPPUNIT_ASSERT_EQUAL(uint16_t{1008}, expect_close(frame));
        CPPUNIT_ASSERT_EQUAL(uint16_t{1008}, expect_close(fragments));
        // One after another for longer than that is no long message.
        auto busy = websocket(*server_, token());
        for (const uint64_t end_ms = now_ms() + 3000; now_ms() < end_ms;) {
            busy.send(wire::OpMessage{"gc:a", counter_op(1), {}, {}, {}});
            expect<wire::DeltaMessage>(busy);
            expect<wire::Ack>(busy);
        }
    }

    void who_holds_too_much_that_is_not_complete_is_refused_and_others_are_not() {
        start({"limits.partial_input_bytes=65536"});
        auto small = websocket(*server_, token());
        std::string begun;
        server::append_masked_message(begun, Opcode::binary,
                                      wire::encode_client_message(wire::OpMessage{
                                          "lw:a", register_op(std::string(2'000, 'x'), now_ms()), {}, {}, {}}),
                                      {1, 2, 3, 4});
        small.send_raw(begun.substr(0, 1000));
        auto large = websocket(*server_, token());
        large.send_raw(std::string("\x82\xff\0\0\0\0\0\x10\0\0\0\0\0\0", 14) + std::string(100'000, 'x'));
        CPPUNIT_ASSERT_EQUAL(uint16_t{1013}, expect_close(large));
        for (const char* framing : {"Content-Length: 500000\r\n", "Transfer-Encoding: chunked\r\n"}) {
            Poco::Net::StreamSocket upload = connect_to(server_->address());
            send(upload, post_head(framing) + "7a120\r\n" + std::string(100'000, 'x'));
            const std::string answer = read_all(upload);
            assert_contains(answer, "HTTP/1.1 503 Service Unavailable\r\n");
            assert_contains(answer, R"("error":"overloaded","message":"too much is arriving at once")");
        }
        small.send_raw(begun.substr(1000));
        expect<wire::DeltaMessage>(small);
        expect<wire::Ack>(small);
    }

    // Longer than a connection that is told to go has for going, once it has been told.
    static constexpr useconds_t beyond_going_us = 4'500'000;

    void a_slow_reader_gets_its_close_frame_though_it_sends_meanwhile() {
        start({"limits.connection_queue_bytes=16384", "limits.missed_keys=5", "limits.write_timeout_ms=600000"});
        auto slow = websocket(*server_, token({.client_id = 7}), "&keys=string");
        auto writer = websocket(*server_, token({.read = {"gc:*"}}));
        for (int i = 1; i <= 60; ++i) {
            writer.send(wire::OpMessage{
                "lw:" + std::to_string(i), register_op(std::string(200'000, 'x'), now_ms()), {}, {}, {}});
            expect<wire::Ack>(writer);
        }
        ::usleep(beyond_going_us);
        slow.send_frame(Opcode::ping, "still here");
        CPPUNIT_ASSERT_EQUAL(uint16_t{1013}, expect_close(slow));
    }

    void a_slow_reader_gets_the_whole_answer_though_it_sends_meanwhile() {
        start({"limits.write_timeout_ms=600000"});
        const std::string key = "/v1/namespaces/room/crdts/lw:large";
        // Little enough for the server's system to take it all, and more than this one takes without a reader.
        const size_t size = 100'000;
        const std::string op = register_op(std::string(size, 'x'), now_ms());
        CPPUNIT_ASSERT_EQUAL(200, http(*server_, "POST", key + "/ops", token(), op).status);
        Poco::Net::StreamSocket slow(Poco::Net::SocketAddress::IPv4);
        slow.setReceiveBufferSize(8 << 10);
        slow.connect(Poco::Net::SocketAddress(server_->address()));
        slow.setReceiveTimeout(Poco::Timespan(20, 0));
        send(slow, "GET " + key + "?token=" + token() + " HTTP/1.1\r\nHost: h\r\n\r\nno request\r\n\r\n");
        ::usleep(beyond_going_us);
        send(slow, "more");
        const std::string answer = read_all(slow);
        assert_contains(answer.substr(std::min(size, answer.size())), "HTTP/1.1 400 Bad Request");
    }

    void a_client_without_a_rate_of_its_own_has_the_configured_one() {
        start({"limits.requests_per_second=2"});
        const HttpReply issued =
            http(*server_, "POST", "/v1/namespaces/room/tokens", token({.admin = true}),
                 R"({"client_id":9,"rules":{"r":[{"p":"*"}],"w":[]}})", "Content-Type: application/json\r\n");
        const std::string bearer = issued.body.substr(10, issued.body.size() - 12);
        // All in one go, so that they fall into one second.
        std::string requests;
        for (int i = 0; i < 50; ++i)
            requests += "GET " + counter_path + "?token=" + bearer + " HTTP/1.1\r\nHost: h\r\n\r\n";
        const std::string answers = raw_exchange(*server_, requests);
        assert_contains(answers, "HTTP/1.1 404 ");
        assert_contains(answers, "HTTP/1.1 429 Too Many Requests\r\n");
        CPPUNIT_ASSERT_EQUAL(404, http(*server_, "GET", counter_path, token()).status);
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(LimitsTest);

}  // namespace
