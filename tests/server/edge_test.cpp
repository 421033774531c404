// The edge against the real server: permissions, malformed input, HTTP and WebSocket behaviour, stopping.
#include <cppunit/extensions/HelperMacros.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>

#include "server_fixture.h"

namespace {

using namespace meridian;
using namespace meridian::test;
using server::Opcode;

class EdgeTest : public ServerFixture {
    CPPUNIT_TEST_SUITE(EdgeTest);
    CPPUNIT_TEST(readers_with_different_permissions_see_exactly_what_they_may);
    CPPUNIT_TEST(http_refuses_with_the_documented_answers);
    CPPUNIT_TEST(signed_tokens_need_signatures_on_every_path);
    CPPUNIT_TEST(tokens_are_issued_and_described);
    CPPUNIT_TEST(an_omitted_permission_list_grants_nothing);
    CPPUNIT_TEST(an_admin_ends_every_session_of_a_client);
    CPPUNIT_TEST(pipelined_requests_are_answered_in_order);
    CPPUNIT_TEST(malformed_input_keeps_the_server_alive);
    CPPUNIT_TEST(a_websocket_that_breaks_the_protocol_is_closed_with_the_right_code);
    CPPUNIT_TEST(a_slow_reader_is_sent_the_state_of_what_it_missed);
    CPPUNIT_TEST(the_close_handshake_is_answered);
    CPPUNIT_TEST(a_token_that_expires_closes_the_connection_with_1008);
    CPPUNIT_TEST(start_errors_go_to_standard_error_with_status_1);
    CPPUNIT_TEST(the_signing_key_is_made_once_and_kept_private);
    CPPUNIT_TEST_SUITE_END();

private:
    static HttpReply post(const ServerProcess& server, const std::string& key, const std::string& op,
                          const std::string& bearer) {
        return http(server, "POST", "/v1/namespaces/room/crdts/" + key + "/ops", bearer, op);
    }

    static void assert_contains(const std::string& text, const std::string& part) {
        CPPUNIT_ASSERT_MESSAGE("expected '" + part + "' in: " + text, text.find(part) != std::string::npos);
    }

    // Defect 15.
    void readers_with_different_permissions_see_exactly_what_they_may() {
        ServerProcess& server = start();
        auto everything = websocket(server, token({.client_id = 1}), "&keys=string");
        auto counters = websocket(server, token({.client_id = 2, .read = {"gc:*"}, .write = {}}), "&keys=string");
        auto registers = websocket(server, token({.client_id = 3, .read = {"lw:*"}}), "&keys=string");
        for (const char* key : {"gc:a", "lw:a", "gc:b"}) {
            const std::string op = key[0] == 'g' ? counter_op(1) : register_op("x", now_ms());
            CPPUNIT_ASSERT_EQUAL(200, post(server, key, op, token()).status);
        }
        for (const char* key : {"gc:a", "lw:a", "gc:b"})
            CPPUNIT_ASSERT_EQUAL(std::string(key), expect<wire::DeltaMessage>(everything).crdt_id);
        for (const char* key : {"gc:a", "gc:b"})
            CPPUNIT_ASSERT_EQUAL(std::string(key), expect<wire::DeltaMessage>(counters).crdt_id);
        CPPUNIT_ASSERT_EQUAL(std::string("lw:a"), expect<wire::DeltaMessage>(registers).crdt_id);
        expect_nothing_more(everything);
        expect_nothing_more(counters);
        expect_nothing_more(registers);
        registers.send(wire::Subscribe{"gc:a"});
        CPPUNIT_ASSERT_EQUAL(std::string("insufficient permissions for key"),
                             expect<wire::ErrorMessage>(registers).message);
        counters.send(wire::OpMessage{"gc:a", counter_op(1), {}, {}, {}});
        CPPUNIT_ASSERT_EQUAL(std::string("op not permitted by token"), expect<wire::ErrorMessage>(counters).message);
        // A writer that may not read is told nothing of the content, not even by the answer to its own write.
        CPPUNIT_ASSERT_EQUAL(204, post(server, "gc:a", counter_op(1), token({.read = {"lw:*"}})).status);
    }

    void http_refuses_with_the_documented_answers() {
        ServerProcess& server = start();
        const std::string crdt = "/v1/namespaces/room/crdts/gc:a";
        const auto check = [](const HttpReply& reply, int status, const std::string& part) {
            CPPUNIT_ASSERT_EQUAL_MESSAGE(reply.body, status, reply.status);
            assert_contains(reply.body, part);
        };
        check(http(server, "GET", crdt, ""), 401,
              R"("error":"missing_token","message":"missing or malformed Authorization header")");
        check(http(server, "GET", crdt, "x"), 401, "invalid_format");
        check(http(server, "GET", crdt, token({.ttl_ms = 0})), 401, "token expired at ");
        check(http(server, "GET", crdt, token({.namespace_name = "other"})), 403, "forbidden");
        check(http(server, "GET", crdt, token({.read = {"lw:*"}})), 403, "forbidden");
        check(http(server, "GET", crdt, token()), 404, "not_found");
        check(http(server, "GET", "/nowhere", ""), 404, "not_found");
        check(http(server, "GET", "/v1/namespaces/room/crdts/%ff", token()), 400, "bad_path");
        check(http(server, "POST", crdt + "/ops", token(), "\xc1"), 400, R"("error":"malformed op")");
        check(http(server, "POST", crdt + "/ops", token({.write = {"lw:*"}}), counter_op(1)), 403,
              R"("detail":"token does not allow this operation on this key","error":"op_not_permitted")");
        check(http(server, "POST", crdt + "/ops?ttl_ms=x", token(), counter_op(1)), 400,
              "Failed to deserialize query string");
        check(http(server, "POST", crdt + "/ops", token(), std::string(3 << 20, 'x')), 413, "length limit exceeded");
        check(http(server, "GET", crdt + "/sync?since=!", token()), 400, "invalid since parameter");
        check(http(server, "GET", crdt + "/sync?since=AQ", token()), 400, "malformed vector clock");
        check(http(server, "GET", crdt + "/sync?since=gadlbnRyaWVzgaI0Mgc", token()), 404, "not_found");
        const HttpReply wrong_method = http(server, "PUT", crdt, token());
        CPPUNIT_ASSERT_EQUAL(405, wrong_method.status);
        assert_contains(wrong_method.head, "allow: GET, HEAD");
        CPPUNIT_ASSERT_EQUAL(200, http(server, "POST", crdt + "/ops", token(), counter_op(1)).status);
        CPPUNIT_ASSERT_EQUAL(400, http(server, "POST", crdt + "/ops", token(), register_op("x", now_ms())).status);
        const HttpReply head = http(server, "HEAD", crdt, token());
        CPPUNIT_ASSERT_EQUAL(200, head.status);
        assert_contains(head.head, "content-length: 31");
        CPPUNIT_ASSERT_EQUAL(std::string(), head.body);
        CPPUNIT_ASSERT_EQUAL(200,
                             http(server, "GET", "//v1//namespaces/room/crdts/gc%3Aa?token=" + token(), "").status);
        check(http(server, "DELETE", "/v1/namespaces/room/sessions/9", token({.admin = true})), 404,
              "session not found");
        check(http(server, "DELETE", "/v1/namespaces/room/sessions/x", token({.admin = true})), 400,
              "invalid client_id");
        check(http(server, "DELETE", "/v1/namespaces/room/sessions/9", token()), 403, "forbidden");
        check(http(server, "GET", "/health/live", ""), 200, R"({"status":"ok"})");
        check(http(server, "GET", "/health/ready", ""), 200, R"("status":"ready")");
    }

    // Defect 18.
    void signed_tokens_need_signatures_on_every_path() {
        ServerProcess& server = start();
        std::array<uint8_t, 32> seed{};
        seed.fill(7);
        const auto key = server::SigningKey::from_seed(seed);
        TokenOptions options;
        options.client_key = key.public_key();
        const std::string bearer = token(options);
        const auto bytes = key.sign(counter_op(1));
        const std::string signature(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        auto socket = websocket(server, bearer);
        socket.send(wire::OpMessage{"gc:a", counter_op(1), {}, {}, {}});
        CPPUNIT_ASSERT_EQUAL(std::string("op signature required"), expect<wire::ErrorMessage>(socket).message);
        socket.send(wire::OpMessage{"gc:a", counter_op(2), {}, {}, signature});
        CPPUNIT_ASSERT_EQUAL(std::string("invalid op signature"), expect<wire::ErrorMessage>(socket).message);
        socket.send(wire::BatchOp{{{"gc:a", counter_op(1), {}, {}}}, {}});
        CPPUNIT_ASSERT_EQUAL(std::string("batch: op signature required for gc:a"),
                             expect<wire::ErrorMessage>(socket).message);
        socket.send(wire::OpMessage{"gc:a", counter_op(1), {}, {}, signature});
        expect<wire::DeltaMessage>(socket);
        const std::string path = "/v1/namespaces/room/crdts/gc:a/ops";
        CPPUNIT_ASSERT_EQUAL(401, http(server, "POST", path, bearer, counter_op(1)).status);
        const std::string header = "X-Meridian-Op-Signature: " + server::base64url_encode(signature) + "\r\n";
        CPPUNIT_ASSERT_EQUAL(200, http(server, "POST", path, bearer, counter_op(1), header).status);
        CPPUNIT_ASSERT_EQUAL(401, http(server, "POST", path, bearer, counter_op(2), header).status);
    }

    void tokens_are_issued_and_described() {
        ServerProcess& server = start();
        const std::string path = "/v1/namespaces/room/tokens";
        const std::string json = "Content-Type: application/json\r\n";
        const std::string admin = token({.admin = true});
        const HttpReply issued =
            http(server, "POST", path, admin,
                 R"({"client_id":9,"rules":{"r":[{"p":"gc:*"}],"w":[{"p":"gc:*","o":1}],"rl":50}})", json);
        CPPUNIT_ASSERT_EQUAL_MESSAGE(issued.body, 200, issued.status);
        const std::string bearer = issued.body.substr(10, issued.body.size() - 12);
        const HttpReply me = http(server, "GET", path + "/me", bearer);
        assert_contains(me.body, R"("client_id":9)");
        assert_contains(me.body,
                        R"("permissions":{"admin":false,"r":[{"p":"gc:*"}],"rl":50,"v":2,"w":[{"o":1,"p":"gc:*"}]})");
        CPPUNIT_ASSERT(me.body.find("client_pubkey") == std::string::npos);
        CPPUNIT_ASSERT_EQUAL(403, http(server, "POST", path, token(), R"({"client_id":9})", json).status);
        CPPUNIT_ASSERT_EQUAL(
            403, http(server, "POST", "/v1/namespaces/other/tokens", admin, R"({"client_id":9})", json).status);
        CPPUNIT_ASSERT_EQUAL(415, http(server, "POST", path, admin, R"({"client_id":9})").status);
        CPPUNIT_ASSERT_EQUAL(400, http(server, "POST", path, admin, R"({"client_id":)", json).status);
        CPPUNIT_ASSERT_EQUAL(422, http(server, "POST", path, admin, R"({"client_id":-1})", json).status);
        CPPUNIT_ASSERT_EQUAL(
            422, http(server, "POST", path, admin, R"({"client_id":9,"permissions":{"r":[]}})", json).status);
        CPPUNIT_ASSERT_EQUAL(
            400, http(server, "POST", path, admin, R"({"client_id":9,"client_pubkey":"AAAA"})", json).status);
        CPPUNIT_ASSERT_EQUAL(400, http(server, "POST", path, admin, std::string(100, '[') + "}", json).status);
    }

    // Defect 17; rules sent under `permissions` are refused in
    // routes_of_tokens_and_sessions_give_the_documented_answers.
    void an_omitted_permission_list_grants_nothing() {
        ServerProcess& server = start();
        const HttpReply issued = http(server, "POST", "/v1/namespaces/room/tokens", token({.admin = true}),
                                      R"({"client_id":9})", "Content-Type: application/json; charset=utf-8\r\n");
        const std::string bearer = issued.body.substr(10, issued.body.size() - 12);
        CPPUNIT_ASSERT_EQUAL(403, http(server, "GET", "/v1/namespaces/room/crdts/gc:a", bearer).status);
        CPPUNIT_ASSERT_EQUAL(403, post(server, "gc:a", counter_op(1), bearer).status);
        const auto refused =
            client::WebSocketClient::connect(server.address(), "/v1/namespaces/room/connect?token=" + bearer);
        CPPUNIT_ASSERT(!refused.ok());
        assert_contains(refused.error().message, "403");
    }

    // Defects 21 and 29.
    void an_admin_ends_every_session_of_a_client() {
        ServerProcess& server = start();
        auto first = websocket(server, token());
        auto second = websocket(server, token());
        auto other = websocket(server, token({.client_id = 7}));
        const HttpReply reply = http(server, "DELETE", "/v1/namespaces/room/sessions/42", token({.admin = true}));
        CPPUNIT_ASSERT_EQUAL(std::string(R"({"client_id":42,"revoked":true})"), reply.body);
        for (client::WebSocketClient* socket : {&first, &second}) {
            CPPUNIT_ASSERT_EQUAL(uint16_t{4401}, expect<wire::ErrorMessage>(*socket).code);
            CPPUNIT_ASSERT_EQUAL(uint16_t{1008}, expect_close(*socket));
        }
        expect_nothing_more(other);
    }

    void pipelined_requests_are_answered_in_order() {
        ServerProcess& server = start();
        std::string requests;
        for (int i = 0; i < 100; ++i) {
            const std::string op = counter_op(1);
            requests += "POST /v1/namespaces/room/crdts/gc:" + std::to_string(i) + "/ops?token=" + token() +
                        " HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(op.size()) + "\r\n\r\n" + op;
            requests += "GET /health/live HTTP/1.1\r\nHost: h\r\n\r\n";
        }
        const std::string answers = raw_exchange(server, requests);
        size_t at = 0;
        for (int i = 0; i < 200; ++i) {
            at = answers.find("HTTP/1.1 200 OK\r\ncontent-type: ", at);
            CPPUNIT_ASSERT_MESSAGE(std::to_string(i), at != std::string::npos);
            at += 31;
            CPPUNIT_ASSERT_EQUAL(std::string(i % 2 == 0 ? "application/msgpack" : "application/json\r\nc"),
                                 answers.substr(at, 19));
        }
    }

    void malformed_input_keeps_the_server_alive() {
        ServerProcess& server = start();
        assert_contains(raw_exchange(server, "nonsense\r\n\r\n"), "HTTP/1.1 400 ");
        assert_contains(raw_exchange(server, "GET / HTTP/1.1\nHost: x\n\n"), "HTTP/1.1 400 ");
        assert_contains(
            raw_exchange(server, "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
            "HTTP/1.1 400 ");
        assert_contains(raw_exchange(server, "GET /" + std::string(100'000, 'a')), "HTTP/1.1 431 ");
        std::string noise(50'000, '\0');
        randombytes_buf(noise.data(), noise.size());
        raw_exchange(server, "GET /" + noise);
        // A head that never ends has its test among those of limits.
        auto socket = websocket(server, token());
        socket.send_frame(Opcode::binary, "");
        CPPUNIT_ASSERT_EQUAL(std::string("malformed message"), expect<wire::ErrorMessage>(socket).message);
        socket.send_frame(Opcode::binary, std::string(2000, '\x91'));
        CPPUNIT_ASSERT_EQUAL(std::string("malformed message"), expect<wire::ErrorMessage>(socket).message);
        socket.send_frame(Opcode::text, "ignored");
        socket.send(wire::OpMessage{"gc:a", "\xc1", {}, {}, {}});
        CPPUNIT_ASSERT_EQUAL(std::string("malformed op"), expect<wire::ErrorMessage>(socket).message);
        socket.send(wire::SubscribeQuery{"q", {"gc:*", {}, "sum", {}, {}, false}});
        CPPUNIT_ASSERT_EQUAL(std::string("live queries are not available yet"),
                             expect<wire::ErrorMessage>(socket).message);
        // Still well.
        socket.send(wire::OpMessage{"gc:a", counter_op(1), {}, {}, {}});
        expect<wire::DeltaMessage>(socket);
        CPPUNIT_ASSERT(server.is_running());
    }

    void a_websocket_that_breaks_the_protocol_is_closed_with_the_right_code() {
        ServerProcess& server = start({"limits.websocket_message_bytes=2000"});
        auto unmasked = websocket(server, token());
        unmasked.send_raw(std::string("\x82\x01x", 3));
        CPPUNIT_ASSERT_EQUAL(uint16_t{1002}, expect_close(unmasked));
        auto large = websocket(server, token());
        large.send_frame(Opcode::binary, std::string(2001, 'x'));
        CPPUNIT_ASSERT_EQUAL(uint16_t{1009}, expect_close(large));
        auto text = websocket(server, token());
        text.send_frame(Opcode::text, "\xff");
        CPPUNIT_ASSERT_EQUAL(uint16_t{1007}, expect_close(text));
    }

    void a_slow_reader_is_sent_the_state_of_what_it_missed() {
        ServerProcess& server = start({"limits.connection_queue_bytes=16384", "limits.write_timeout_ms=600000"});
        auto slow = websocket(server, token({.client_id = 7}), "&keys=string");
        auto writer = websocket(server, token(), "&keys=string");
        slow.socket().setReceiveBufferSize(64 << 10);
        // More than all buffers between the server and the reader hold, without it reading anything.
        constexpr int writes = 60;
        for (int i = 1; i <= writes; ++i) {
            writer.send(wire::OpMessage{"lw:" + std::to_string(i % 10),
                                        register_op(std::to_string(i) + std::string(200'000, 'x'), now_ms()),
                                        {},
                                        {},
                                        {}});
            expect<wire::DeltaMessage>(writer);
            expect<wire::Ack>(writer);
        }
        writer.send(wire::OpMessage{"gc:end", counter_op(1), {}, {}, {}});
        // What it reads in the end holds the last value of every register, although most deltas were left out.
        std::array<std::string, 10> last;
        int deltas = 0;
        bool ended = false;
        const auto complete = [&last] {
            for (int i = writes - 9; i <= writes; ++i) {
                if (last[static_cast<size_t>(i) % 10].find(std::to_string(i) + "xxx") == std::string::npos)
                    return false;
            }
            return true;
        };
        while (!ended || !complete()) {
            const auto delta = expect<wire::DeltaMessage>(slow);
            ++deltas;
            if (delta.crdt_id == "gc:end") {
                ended = true;
            } else {
                last[static_cast<size_t>(delta.crdt_id[3] - '0')] = delta.delta_bytes;
            }
        }
        CPPUNIT_ASSERT_MESSAGE("the reader was not slow enough to miss anything", deltas < writes);
    }

    // Defect 39.
    void the_close_handshake_is_answered() {
        ServerProcess& server = start();
        auto socket = websocket(server, token());
        socket.send_frame(Opcode::close, server::close_payload(1000, "bye"));
        CPPUNIT_ASSERT_EQUAL(uint16_t{1000}, expect_close(socket));
        auto empty = websocket(server, token());
        empty.send_frame(Opcode::close, "");
        CPPUNIT_ASSERT_EQUAL(uint16_t{1005}, expect_close(empty));
        auto pinged = websocket(server, token());
        pinged.send_frame(Opcode::ping, "x");
        const auto pong = pinged.receive(20'000);
        CPPUNIT_ASSERT(pong.ok() && pong->has_value());
        CPPUNIT_ASSERT((*pong)->kind == server::WebSocketEvent::Kind::pong);
        CPPUNIT_ASSERT_EQUAL(std::string("x"), (*pong)->payload);
    }

    // Defect 21.
    void a_token_that_expires_closes_the_connection_with_1008() {
        ServerProcess& server = start();
        // Long enough to be let in with it, however busy the machine is.
        for (uint64_t ttl_ms = 1500;; ttl_ms *= 2) {
            try {
                auto socket = websocket(server, token({.ttl_ms = ttl_ms}));
                CPPUNIT_ASSERT_EQUAL(uint16_t{1008}, expect_close(socket));
                return;
            } catch (const std::runtime_error& refused) {
                assert_contains(refused.what(), "token expired at");
                CPPUNIT_ASSERT_MESSAGE(refused.what(), ttl_ms < 15'000);
            }
        }
    }

    void start_errors_go_to_standard_error_with_status_1() {
        const auto fails = [](const std::vector<std::string>& options, const std::string& part,
                              const std::vector<std::string>& environment = {}) {
            std::vector<std::string> command = {MERIDIAND};
            command.insert(command.end(), options.begin(), options.end());
            const ProgramResult result = run_program(command, environment);
            CPPUNIT_ASSERT_EQUAL_MESSAGE(result.output, 1, result.status);
            assert_contains(result.output, part);
        };
        fails({"--bnid", "x"}, "--bnid: unknown option; did you mean '--bind'?");
        fails({"--set", "server.bnid=x"}, "did you mean 'server.bind'?");
        fails({"-t"}, "expected 64 hexadecimal digits", {"MERIDIAN_SIGNING_KEY=42"});
        fails({"--config", "/nonexistent.ini"}, "/nonexistent.ini: No such file or directory");
        fails({"--data-dir", data_->path() + "/a/b"}, "No such file or directory");
        fails({"--data-dir", data_->path(), "--bind", "127.0.0.1:0", "--set", "store.plugin=store-none"}, "store-none");
        ServerProcess& server = start();
        fails({"--data-dir", data_->path(), "--bind", server.address()}, "cannot listen on " + server.address());
        CPPUNIT_ASSERT_EQUAL(0, run_program({MERIDIAND, "-t"}).status);
        CPPUNIT_ASSERT_EQUAL(0, run_program({MERIDIAND, "--version"}).status);
    }

    void the_signing_key_is_made_once_and_kept_private() {
        const std::string file = data_->path() + "/signing.key";
        std::string first;
        for (int round = 0; round < 2; ++round) {
            ServerProcess server(data_->path());
            struct stat status {};
            CPPUNIT_ASSERT_EQUAL(0, ::stat(file.c_str(), &status));
            CPPUNIT_ASSERT_EQUAL(mode_t{0600}, status.st_mode & 07777);
            std::string key;
            std::ifstream(file) >> key;
            CPPUNIT_ASSERT_EQUAL(size_t{64}, key.size());
            if (round == 0) first = key;
            CPPUNIT_ASSERT_EQUAL(first, key);
            server.signal(SIGTERM);
            CPPUNIT_ASSERT_EQUAL(0, server.wait());
        }
        CPPUNIT_ASSERT_EQUAL(0, ::chmod(file.c_str(), 0644));
        const ProgramResult refused = run_program({MERIDIAND, "--bind", "127.0.0.1:0", "--data-dir", data_->path()});
        CPPUNIT_ASSERT_EQUAL(1, refused.status);
        assert_contains(refused.output, "expected mode 0600");
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(EdgeTest);

}  // namespace
