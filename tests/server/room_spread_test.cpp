// Connections of one namespace on several loops: what a guest sees and does is what it would at home.
#include <cppunit/extensions/HelperMacros.h>
#include <unistd.h>

#include <csignal>
#include <map>

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

    void members_beyond_the_limit_live_on_other_loops() {
        ServerProcess& server = start_spread();
        {
            const auto sockets = members(server);
            CPPUNIT_ASSERT_EQUAL(std::string("2"), gauge(server, "meridian_ws_guest_connections"));
        }
        // A room is kept while it has guests, and goes with the last of them.
        for (int i = 0; i < 200 && gauge(server, "meridian_ws_connections_active") != "0"; ++i) ::usleep(10'000);
        CPPUNIT_ASSERT_EQUAL(std::string("0"), gauge(server, "meridian_ws_guest_connections"));
        auto sockets = members(server);
        CPPUNIT_ASSERT_EQUAL(std::string("2"), gauge(server, "meridian_ws_guest_connections"));
        for (const size_t at_home : {2, 0}) sockets.erase(sockets.begin() + static_cast<std::ptrdiff_t>(at_home));
        for (int i = 0; i < 200 && gauge(server, "meridian_ws_connections_active") != "2"; ++i) ::usleep(10'000);
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
