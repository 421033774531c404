// Connections of one namespace on several loops: what a guest sees and does is what it would at home.
#include <cppunit/extensions/HelperMacros.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <map>

#include "held_loop.h"
#include "server_fixture.h"

namespace {

using namespace meridian;
using namespace meridian::test;

class RoomSpreadTest : public ServerFixture {
    CPPUNIT_TEST_SUITE(RoomSpreadTest);
    CPPUNIT_TEST(members_beyond_the_limit_live_on_other_loops);
    CPPUNIT_TEST(every_member_gets_every_delta_in_one_order);
    CPPUNIT_TEST(an_answer_follows_the_deltas_made_before_it);
    CPPUNIT_TEST(a_state_holds_what_was_sent_before_it_and_nothing_that_follows);
    CPPUNIT_TEST(the_requests_of_a_guest_run_in_order_though_the_first_key_is_cold);
    CPPUNIT_TEST(awareness_reaches_every_member);
    CPPUNIT_TEST(guests_with_different_permissions_see_exactly_what_they_may);
    CPPUNIT_TEST(a_slow_guest_is_sent_the_state_of_what_it_missed);
    CPPUNIT_TEST(guests_of_a_slow_loop_are_sent_the_state_of_what_they_missed);
    CPPUNIT_TEST(guests_that_missed_too_many_keys_are_closed_with_1013);
    CPPUNIT_TEST(a_guest_is_not_read_while_its_requests_at_home_are_too_large);
    CPPUNIT_TEST(a_guest_that_leaves_with_requests_held_leaves_nothing_behind);
    CPPUNIT_TEST(an_admin_ends_the_sessions_of_guests);
    CPPUNIT_TEST(guests_are_answered_and_closed_with_1012_on_stop);
    CPPUNIT_TEST_SUITE_END();

private:
    static constexpr size_t member_count = 4;  // every other one is a guest

    ServerProcess& start_spread() { return start({"server.room_spread_members=1"}); }

    static std::vector<client::WebSocketClient> members(const ServerProcess& server) {
        std::vector<client::WebSocketClient> out;
        for (uint64_t i = 0; i < member_count; ++i)
            out.push_back(websocket(server, token({.client_id = i + 1}), "&keys=string"));
        return out;
    }

    static std::string gauge(const ServerProcess& server, const std::string& name) {
        const std::string page = http(server, "GET", "/metrics", "").body;
        const size_t at = page.find("\n" + name + " ") + name.size() + 2;
        return page.substr(at, page.find('\n', at) - at);
    }

    static void await_gauge(const ServerProcess& server, const std::string& name, const std::string& wanted) {
        const uint64_t deadline_ms = now_ms() + 20'000;
        while (gauge(server, name) != wanted) {
            CPPUNIT_ASSERT_MESSAGE(name + " does not become " + wanted, now_ms() < deadline_ms);
            ::usleep(10'000);
        }
    }

    void members_beyond_the_limit_live_on_other_loops() {
        ServerProcess& server = start_spread();
        {
            const auto sockets = members(server);
            CPPUNIT_ASSERT_EQUAL(std::string("2"), gauge(server, "meridian_ws_guest_connections"));
        }
        // A room is kept while it has guests, and goes with the last of them.
        await_gauge(server, "meridian_ws_connections_active", "0");
        CPPUNIT_ASSERT_EQUAL(std::string("0"), gauge(server, "meridian_ws_guest_connections"));
        auto sockets = members(server);
        CPPUNIT_ASSERT_EQUAL(std::string("2"), gauge(server, "meridian_ws_guest_connections"));
        for (const size_t at_home : {2, 0}) sockets.erase(sockets.begin() + static_cast<std::ptrdiff_t>(at_home));
        await_gauge(server, "meridian_ws_connections_active", "2");
        CPPUNIT_ASSERT_EQUAL(200,
                             http(server, "POST", "/v1/namespaces/room/crdts/gc:a/ops", token(), counter_op(1)).status);
        for (auto& guest : sockets) expect<wire::DeltaMessage>(guest);
    }

    void every_member_gets_every_delta_in_one_order() {
        ServerProcess& server = start_spread();
        auto sockets = members(server);
        constexpr uint64_t rounds = 50;
        for (uint64_t round = 0; round < rounds; ++round)
            for (size_t i = 0; i < member_count; ++i)
                sockets[i].send(wire::OpMessage{"gc:" + std::to_string(i), counter_op(1, i + 1), {}, {}, {}});
        std::vector<std::string> orders;
        for (auto& socket : sockets) {
            std::string order;
            uint64_t acks = 0;
            uint64_t deltas = 0;
            while (acks < rounds || deltas < rounds * member_count) {
                auto message = socket.receive_message(20'000);
                CPPUNIT_ASSERT(message && *message);
                if (std::holds_alternative<wire::Ack>(**message)) {
                    CPPUNIT_ASSERT_EQUAL(++acks, std::get<wire::Ack>(**message).seq);
                } else {
                    order += std::get<wire::DeltaMessage>(**message).crdt_id.back();
                    ++deltas;
                }
            }
            expect_nothing_more(socket);
            orders.push_back(order);
        }
        for (const std::string& order : orders) CPPUNIT_ASSERT_EQUAL(orders.front(), order);
    }

    void an_answer_follows_the_deltas_made_before_it() {
        ServerProcess& server = start_spread();
        auto sockets = members(server);
        for (auto& socket : sockets) {
            for (int i = 0; i < 20; ++i) {
                socket.send(wire::OpMessage{"gc:a", counter_op(1), {}, {}, {}});
                expect<wire::DeltaMessage>(socket);
                expect<wire::Ack>(socket);
            }
            for (auto& other : sockets) {
                if (&other == &socket) continue;
                for (int i = 0; i < 20; ++i) expect<wire::DeltaMessage>(other);
            }
        }
    }

    // A writer and subscribers run at once. Whatever a subscriber is sent for the key, the register's value never goes
    // back: a delta before the state is older than it, and one behind it newer.
    void a_state_holds_what_was_sent_before_it_and_nothing_that_follows() {
        ServerProcess& server = start_spread();
        auto sockets = members(server);
        const uint64_t begin_ms = now_ms();
        constexpr uint64_t writes = 300;
        constexpr uint64_t in_flight = 20;
        uint64_t written = 0;
        std::map<size_t, std::string> newest;
        const auto value_of = [](const std::string& delta) {
            const size_t at = delta.find("value-");
            CPPUNIT_ASSERT(at != std::string::npos);
            return delta.substr(at, 10);
        };
        const auto take = [&](size_t index, const wire::DeltaMessage& delta) {
            const std::string value = value_of(delta.delta_bytes);
            CPPUNIT_ASSERT_MESSAGE("after " + newest[index] + " came " + value, newest[index] < value);
            newest[index] = value;
        };
        while (written < writes) {
            for (uint64_t i = 0; i < in_flight; ++i, ++written) {
                const std::string value = "value-" + std::to_string(1000 + written);
                sockets[0].send(wire::OpMessage{"lw:a", register_op(value, begin_ms + written), {}, {}, {}});
                if (i == in_flight / 2)
                    for (size_t reader = 1; reader < member_count; ++reader)
                        sockets[reader].send(wire::Subscribe{"lw:a"});
            }
            for (uint64_t acks = 0; acks < in_flight;) {
                auto message = sockets[0].receive_message(20'000);
                CPPUNIT_ASSERT(message && *message);
                if (std::holds_alternative<wire::Ack>(**message)) ++acks;
            }
            const std::string last = "value-" + std::to_string(1000 + written - 1);
            for (size_t reader = 1; reader < member_count; ++reader) {
                bool subscribed = false;
                while (!subscribed || newest[reader] != last) {
                    auto message = sockets[reader].receive_message(20'000);
                    CPPUNIT_ASSERT(message && *message);
                    if (std::holds_alternative<wire::Ack>(**message)) {
                        subscribed = true;
                    } else {
                        const auto& delta = std::get<wire::DeltaMessage>(**message);
                        // The state itself may repeat what was known.
                        if (value_of(delta.delta_bytes) != newest[reader]) take(reader, delta);
                    }
                }
            }
        }
    }

    void the_requests_of_a_guest_run_in_order_though_the_first_key_is_cold() {
        constexpr int keys = 20;
        {
            auto writer = websocket(start_spread(), token(), "&keys=string");
            for (int i = 0; i < keys; ++i) {
                writer.send(wire::OpMessage{"gc:cold" + std::to_string(i), counter_op(1), {}, {}, {}});
                expect<wire::DeltaMessage>(writer);
                expect<wire::Ack>(writer);
            }
        }
        server_->signal(SIGTERM);
        server_->wait();
        auto sockets = members(start_spread());
        for (int i = 0; i < keys; ++i) {
            auto& writer = sockets[static_cast<size_t>(i) % member_count];
            writer.send(wire::OpMessage{"gc:cold" + std::to_string(i), counter_op(1), {}, {}, {}});
            writer.send(wire::OpMessage{"gc:hot", counter_op(1), {}, {}, {}});
            writer.send(wire::OpMessage{"gc:hot", counter_op(1), {}, {}, {}});
            for (auto& socket : sockets) {
                const std::vector<std::string> order = {"gc:cold" + std::to_string(i), "gc:hot", "gc:hot"};
                for (const std::string& key : order) {
                    auto message = socket.receive_message(20'000);
                    while (message && *message && !std::holds_alternative<wire::DeltaMessage>(**message))
                        message = socket.receive_message(20'000);
                    CPPUNIT_ASSERT(message && *message);
                    CPPUNIT_ASSERT_EQUAL(key, std::get<wire::DeltaMessage>(**message).crdt_id);
                }
            }
        }
    }

    void awareness_reaches_every_member() {
        ServerProcess& server = start_spread();
        auto sockets = members(server);
        for (size_t i = 0; i < member_count; ++i) {
            sockets[i].send(wire::AwarenessUpdate{"cursor", std::string(1, static_cast<char>('a' + i))});
            for (auto& socket : sockets) {
                const auto broadcast = expect<wire::AwarenessBroadcast>(socket);
                CPPUNIT_ASSERT_EQUAL(uint64_t{i + 1}, broadcast.client_id);
                CPPUNIT_ASSERT_EQUAL(std::string(1, static_cast<char>('a' + i)), broadcast.data);
            }
        }
    }

    void guests_with_different_permissions_see_exactly_what_they_may() {
        ServerProcess& server = start_spread();
        // At home, guest, at home, guest: each pair has one that may read everything and one that may not.
        std::vector<client::WebSocketClient> sockets;
        sockets.push_back(websocket(server, token({.client_id = 1}), "&keys=string"));
        const std::vector<TokenOptions> options = {
            {.client_id = 2, .read = {"gc:*"}, .write = {}}, {.client_id = 3, .read = {"lw:*"}}, {.client_id = 4}};
        for (const TokenOptions& each : options) sockets.push_back(websocket(server, token(each), "&keys=string"));
        CPPUNIT_ASSERT_EQUAL(std::string("2"), gauge(server, "meridian_ws_guest_connections"));
        const std::vector<std::vector<std::string>> visible = {
            {"gc:a", "lw:a", "gc:b"}, {"gc:a", "gc:b"}, {"lw:a"}, {"gc:a", "lw:a", "gc:b"}};
        for (const char* key : {"gc:a", "lw:a", "gc:b"}) {
            const std::string op = key[0] == 'g' ? counter_op(1) : register_op("x", now_ms());
            CPPUNIT_ASSERT_EQUAL(
                200,
                http(server, "POST", "/v1/namespaces/room/crdts/" + std::string(key) + "/ops", token(), op).status);
        }
        for (size_t i = 0; i < sockets.size(); ++i) {
            for (const std::string& key : visible[i])
                CPPUNIT_ASSERT_EQUAL(key, expect<wire::DeltaMessage>(sockets[i]).crdt_id);
            expect_nothing_more(sockets[i]);
        }
        for (const size_t refused : {1, 2}) {
            sockets[refused].send(wire::Subscribe{refused == 1 ? "lw:a" : "gc:a"});
            CPPUNIT_ASSERT_EQUAL(uint16_t{403}, expect<wire::ErrorMessage>(sockets[refused]).code);
        }
        sockets[1].send(wire::OpMessage{"gc:a", counter_op(1), {}, {}, {}});
        CPPUNIT_ASSERT_EQUAL(uint16_t{403}, expect<wire::ErrorMessage>(sockets[1]).code);
        sockets[1].send(wire::AwarenessUpdate{"cursor", "x"});
        CPPUNIT_ASSERT_EQUAL(uint16_t{403}, expect<wire::ErrorMessage>(sockets[1]).code);
    }

    // Reads until the last of `writes` values of ten registers are there; returns how many deltas that took.
    static int read_registers(client::WebSocketClient& socket, int writes) {
        std::map<std::string, std::string> last;
        int deltas = 0;
        const auto complete = [&] {
            for (int i = writes - 9; i <= writes; ++i) {
                if (last["lw:" + std::to_string(i % 10)].find(std::to_string(i) + "xxx") == std::string::npos)
                    return false;
            }
            return true;
        };
        while (!complete()) {
            auto delta = expect<wire::DeltaMessage>(socket);
            last[delta.crdt_id] = std::move(delta.delta_bytes);
            ++deltas;
        }
        return deltas;
    }
    static void write_registers(client::WebSocketClient& writer, int writes, size_t bytes) {
        for (int i = 1; i <= writes; ++i) {
            writer.send(wire::OpMessage{"lw:" + std::to_string(i % 10),
                                        register_op(std::to_string(i) + std::string(bytes, 'x'), now_ms()),
                                        {},
                                        {},
                                        {}});
            expect<wire::DeltaMessage>(writer);
            expect<wire::Ack>(writer);
        }
    }

    void a_slow_guest_is_sent_the_state_of_what_it_missed() {
        ServerProcess& server = start(
            {"server.room_spread_members=1", "limits.connection_queue_bytes=16384", "limits.write_timeout_ms=600000"});
        auto sockets = members(server);
        constexpr int writes = 60;
        write_registers(sockets[0], writes, 200'000);
        // Neither is read meanwhile; one is a guest, the other at home.
        for (const size_t slow : {1, 2}) CPPUNIT_ASSERT(read_registers(sockets[slow], writes) < writes);
    }

    void guests_of_a_slow_loop_are_sent_the_state_of_what_they_missed() {
        ServerProcess& server = start({"server.room_spread_members=1", "limits.loop_queue_bytes=20000"});
        auto sockets = members(server);
        constexpr int writes = 60;
        {
            const HeldLoop guests(server, 1 - home_loop("room"));
            // Those at home do not notice.
            write_registers(sockets[0], writes, 5'000);
            CPPUNIT_ASSERT_EQUAL(writes, read_registers(sockets[2], writes));
        }
        for (const size_t guest : {1, 3}) {
            const int deltas = read_registers(sockets[guest], writes);
            CPPUNIT_ASSERT_MESSAGE(std::to_string(deltas), deltas < writes);
            const std::string key = "gc:" + std::to_string(guest);
            sockets[guest].send(wire::OpMessage{key, counter_op(1), {}, {}, {}});
            while (expect<wire::DeltaMessage>(sockets[guest]).crdt_id != key) {}
            expect<wire::Ack>(sockets[guest]);
        }
    }

    void guests_that_missed_too_many_keys_are_closed_with_1013() {
        ServerProcess& server =
            start({"server.room_spread_members=1", "limits.loop_queue_bytes=20000", "limits.missed_keys=5"});
        auto sockets = members(server);
        {
            const HeldLoop guests(server, 1 - home_loop("room"));
            write_registers(sockets[0], 30, 5'000);
        }
        for (const size_t guest : {1, 3}) CPPUNIT_ASSERT_EQUAL(uint16_t{1013}, expect_close(sockets[guest]));
        CPPUNIT_ASSERT_EQUAL(30, read_registers(sockets[2], 30));
    }

    // Its home stands still: it may ask for so many bytes, and then its own sending does not get on.
    void a_guest_is_not_read_while_its_requests_at_home_are_too_large() {
        ServerProcess& server = start({"server.room_spread_members=1", "limits.connection_queue_bytes=65536"});
        auto sockets = members(server);
        constexpr int messages = 200;
        std::string frames;
        for (int i = 0; i < messages; ++i) {
            const std::string op = register_op(std::to_string(i) + std::string(100'000, 'x'), now_ms());
            server::append_masked_message(
                frames, server::Opcode::binary,
                wire::encode_client_message(wire::OpMessage{"lw:" + std::to_string(i % 10), op, {}, {}, {}}),
                {1, 2, 3, 4});
        }
        HeldLoop home(server, home_loop("room"));
        const int fd = sockets[1].socket().impl()->sockfd();
        size_t sent = 0;
        while (sent < frames.size()) {
            const ssize_t taken = ::send(fd, frames.data() + sent, frames.size() - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (taken > 0) {
                sent += static_cast<size_t>(taken);
                continue;
            }
            pollfd ready{fd, POLLOUT, 0};
            if (::poll(&ready, 1, 2000) != 1) break;
        }
        CPPUNIT_ASSERT_MESSAGE("20 MB were read and kept", sent < frames.size());
        home.release();
        sockets[1].send_raw(std::string_view(frames).substr(sent));
        for (int acks = 0; acks < messages;) {
            auto message = sockets[1].receive_message(20'000);
            CPPUNIT_ASSERT(message && *message);
            if (std::holds_alternative<wire::Ack>(**message)) ++acks;
        }
    }

    void a_guest_that_leaves_with_requests_held_leaves_nothing_behind() {
        constexpr int keys = 30;
        {
            auto writer = websocket(start_spread(), token(), "&keys=string");
            for (int i = 0; i < keys; ++i) {
                writer.send(wire::OpMessage{"gc:cold" + std::to_string(i), counter_op(1), {}, {}, {}});
                expect<wire::DeltaMessage>(writer);
                expect<wire::Ack>(writer);
            }
        }
        server_->signal(SIGTERM);
        server_->wait();
        ServerProcess& server = start_spread();
        auto sockets = members(server);
        for (int i = 0; i < keys; ++i) {
            auto leaving = websocket(server, token({.client_id = 9}), "&keys=string");
            auto guest = websocket(server, token({.client_id = 10}), "&keys=string");
            for (client::WebSocketClient* each : {&leaving, &guest}) {
                std::string frames;
                for (int n = 0; n < 100; ++n)
                    server::append_masked_message(
                        frames, server::Opcode::binary,
                        wire::encode_client_message(wire::OpMessage{
                            n == 0 ? "gc:cold" + std::to_string(i) : std::string("gc:hot"), counter_op(1), {}, {}, {}}),
                        {1, 2, 3, 4});
                each->send_raw(frames);
            }
        }
        await_gauge(server, "meridian_ws_connections_active", std::to_string(member_count));
        await_gauge(server, "meridian_ws_guest_connections", "2");
        for (size_t i = 0; i < member_count; ++i) {
            const std::string key = "gc:after" + std::to_string(i);
            sockets[i].send(wire::OpMessage{key, counter_op(1), {}, {}, {}});
            while (expect<wire::DeltaMessage>(sockets[i]).crdt_id != key) {}
            expect<wire::Ack>(sockets[i]);
        }
        // Nobody is counted who is not there: the room goes with the last.
        sockets.clear();
        await_gauge(server, "meridian_rooms", "0");
    }

    void an_admin_ends_the_sessions_of_guests() {
        ServerProcess& server = start_spread();
        auto sockets = members(server);
        for (size_t i = 0; i < member_count; ++i) {
            const std::string path = "/v1/namespaces/room/sessions/" + std::to_string(i + 1);
            CPPUNIT_ASSERT_EQUAL(200, http(server, "DELETE", path, token({.admin = true})).status);
            CPPUNIT_ASSERT_EQUAL(uint16_t{4401}, expect<wire::ErrorMessage>(sockets[i]).code);
            CPPUNIT_ASSERT_EQUAL(uint16_t{1008}, expect_close(sockets[i]));
        }
    }

    void guests_are_answered_and_closed_with_1012_on_stop() {
        ServerProcess& server = start_spread();
        auto sockets = members(server);
        for (auto& socket : sockets) socket.send(wire::OpMessage{"gc:a", counter_op(1), {}, {}, {}});
        for (auto& socket : sockets) {
            size_t acks = 0;
            for (size_t i = 0; i < member_count + 1; ++i) {
                auto message = socket.receive_message(20'000);
                CPPUNIT_ASSERT(message && *message);
                if (std::holds_alternative<wire::Ack>(**message)) ++acks;
            }
            CPPUNIT_ASSERT_EQUAL(size_t{1}, acks);
        }
        server.signal(SIGTERM);
        for (auto& socket : sockets) CPPUNIT_ASSERT_EQUAL(uint16_t{1012}, expect_close(socket));
        sockets.clear();
        CPPUNIT_ASSERT_EQUAL(0, server.wait());
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(RoomSpreadTest);

}  // namespace
