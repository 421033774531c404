// The client contract by tables: every HTTP route and WebSocket message with each of its answers, as the client API
// documents them, and what browsers are told. `*` in an expected text stands for what differs from run to run.
#include <functional>

#include "auth/glob.h"
#include "server_fixture.h"
#include "wire/op_codec.h"

namespace {

using namespace meridian;
using namespace meridian::test;

const std::string space = "/v1/namespaces/room";
const std::string counter = space + "/crdts/gc:a";
const std::string json_type = "Content-Type: application/json\r\n";
const std::string old_register = register_op("x", 1'700'000'000'000);
const std::string decrement = wire::encode_op(crdt::PnCounterOp{crdt::PnCounterOp::Side::decrement, 42, 3});
const std::string empty_clock = std::string("\x81\xa7") + "entries\x80";

std::string error(const std::string& code, const std::string& message) {
    return R"({"detail":")" + message + R"(","error":")" + code + R"(","message":")" + message + R"("})";
}
const std::string forbidden = error("forbidden", "the token does not allow this");
const std::string other_namespace = error("forbidden", "the token is for another namespace");
const std::string no_crdt = error("not_found", "no such crdt");
const std::string no_path = error("not_found", "no such path");
const std::string format_error = error("invalid_format", "token format invalid: expected '<claims_b64>.<sig_b64>'");
const std::string drift_text =
    "invalid operation: clock drift too large: client_wall_ms=* server_now_ms=* drift=*ms (max 30000ms)";

void assert_matches(const std::string& where, const std::string& pattern, const std::string& text) {
    CPPUNIT_ASSERT_MESSAGE(where + ": expected '" + pattern + "', found '" + text + "'",
                           server::glob_matches(pattern, text));
}

struct Exchange {
    std::string method;
    std::string target;
    std::string bearer;
    std::string body;
    std::string headers;
    int status;
    std::string answer;     // the whole body
    std::string head = {};  // a part of the head
};

std::string signed_claims(const std::string& payload) {
    const std::string claims = server::base64url_encode(payload);
    const auto signature = server::SigningKey::from_hex(signing_key_hex).value().sign(claims);
    return claims + "." + server::base64url_encode({reinterpret_cast<const char*>(signature.data()), signature.size()});
}

std::array<uint8_t, 32> client_seed() {
    std::array<uint8_t, 32> seed{};
    seed.fill(7);
    return seed;
}

class ContractTest : public ServerFixture {
    CPPUNIT_TEST_SUITE(ContractTest);
    CPPUNIT_TEST(tokens_are_looked_for_and_refused_as_documented);
    CPPUNIT_TEST(routes_of_a_crdt_give_the_documented_answers);
    CPPUNIT_TEST(routes_of_tokens_and_sessions_give_the_documented_answers);
    CPPUNIT_TEST(an_upgrade_is_granted_or_refused_with_the_documented_answers);
    CPPUNIT_TEST(open_routes_and_unknown_paths_give_the_documented_answers);
    CPPUNIT_TEST(every_route_says_what_methods_it_takes);
    CPPUNIT_TEST(get_routes_answer_head_without_a_body);
    CPPUNIT_TEST(websocket_messages_are_refused_with_the_documented_errors);
    CPPUNIT_TEST(browsers_are_told_nothing_unless_it_is_configured);
    CPPUNIT_TEST(pages_of_configured_origins_may_read_answers_and_ask_ahead);
    CPPUNIT_TEST(every_origin_may_if_that_is_configured);
    CPPUNIT_TEST(an_upgrade_of_a_page_of_another_origin_is_refused);
    CPPUNIT_TEST_SUITE_END();

    void expect_all(const std::vector<Exchange>& exchanges) const {
        for (const Exchange& each : exchanges) {
            const HttpReply reply = http(*server_, each.method, each.target, each.bearer, each.body, each.headers);
            const std::string where = each.method + " " + each.target;
            CPPUNIT_ASSERT_EQUAL_MESSAGE(where + ": " + reply.body, each.status, reply.status);
            assert_matches(where, each.answer, reply.body);
            if (!each.head.empty()) assert_matches(where, "*" + each.head + "*", reply.head);
            const bool has_body = !reply.body.empty() && each.method != "HEAD";
            const bool is_json = has_body && (reply.body.front() == '{' || reply.body.front() == '[');
            if (is_json) assert_matches(where, "*content-type: application/json\r\n*", reply.head);
        }
    }

    // client-api.md sections 4.5 and 4.6.
    void tokens_are_looked_for_and_refused_as_documented() {
        start();
        const std::string missing = error("missing_token", "missing or malformed Authorization header");
        const std::string good = token();
        const std::string claims = good.substr(0, good.find('.'));
        const std::string signature = good.substr(good.find('.') + 1);
        std::string flipped = good;
        flipped[5] = flipped[5] == 'A' ? 'B' : 'A';
        expect_all({
            {"GET", counter, "", "", "", 401, missing},
            {"GET", counter, "", "", "Authorization: Basic " + good + "\r\n", 401, missing},
            {"GET", counter, "", "", "Authorization: bearer " + good + "\r\n", 401, missing},
            {"GET", counter + "?token=", "", "", "", 401, missing},
            {"GET", counter, "nodot", "", "", 401, format_error},
            {"GET", counter, claims + ".!!", "", "", 401, error("auth_error", "token base64 decode failed: *")},
            {"GET", counter, claims + "." + signature + "=", "", "", 401,
             error("auth_error", "token base64 decode failed: *")},
            {"GET", counter, claims + ".AAAA", "", "", 401, format_error},
            {"GET", counter, flipped, "", "", 401, error("invalid_signature", "signature invalid")},
            {"GET", counter, signed_claims("\xc1"), "", "", 401,
             error("auth_error", "token claims deserialization failed: *")},
            {"GET", counter, signed_claims("\x80"), "", "", 401,
             error("auth_error", "token claims deserialization failed: *")},
            {"GET", counter, token({.ttl_ms = 0}), "", "", 401,
             error("token_expired", "token expired at *ms (now: *ms)")},
            // Found in the query, percent-encoded or not; the header goes first.
            {"GET", counter + "?x=1&token=" + good, "", "", "", 404, no_crdt},
            {"GET", counter + "?token=" + claims + "%2E" + signature, "", "", "", 404, no_crdt},
            {"GET", counter + "?token=nodot", good, "", "", 404, no_crdt},
            {"GET", counter + "?token=" + good, "", "", "Authorization: Basic x\r\n", 404, no_crdt},
        });
    }

    // Sections 5.4, 5.5, 5.6 and 3.5.
    void routes_of_a_crdt_give_the_documented_answers() {
        start({"node.key_bytes=64"});
        const std::string good = token();
        const std::string reads_registers = token({.read = {"lw:*"}});
        const std::string writes_registers = token({.write = {"lw:*"}});
        const std::string elsewhere = token({.namespace_name = "other"});
        const std::string ops = counter + "/ops";
        const std::string sync = counter + "/sync";
        const std::string set = space + "/crdts/or:a/ops";
        const std::string map = space + "/crdts/cm:a/ops";
        const std::string nested = wire::encode_op(
            crdt::OrSetOp(crdt::OrSetAdd{JsonValue::from_canonical_msgpack("\x91\x91\x01"), crdt::Tag{1}, 0, 0}));
        const auto in_map = [](crdt::Type type, crdt::InnerOp op) {
            return wire::encode_op(crdt::CrdtMapOp{"k", type, std::move(op)});
        };
        const crdt::GCounterOp one{42, 1};
        const crdt::PnCounterOp plus{crdt::PnCounterOp::Side::increment, 42, 1};
        const auto key = server::SigningKey::from_seed(client_seed());
        TokenOptions signing;
        signing.client_key = key.public_key();
        const std::string envelope = std::string("\x82\xa7") + "version\x01\xa2op" + counter_op(2, 7);
        expect_all({
            {"GET", counter, elsewhere, "", "", 403, other_namespace},
            {"GET", counter, reads_registers, "", "", 403, forbidden},
            {"GET", counter, good, "", "", 404, no_crdt},
            {"GET", sync, good, "", "", 404, no_crdt},
            {"POST", ops, elsewhere, counter_op(1), "", 403, other_namespace},
            {"POST", ops, good, "\xc1", "", 400, error("malformed op", "*")},
            {"POST", ops, good, "", "", 400, error("malformed op", "*")},
            // PNCounter in the shape that one library sends; a negative amount.
            {"POST", ops, good, counter_op(1).substr(0, counter_op(1).size() - 1) + "\xff", "", 400,
             error("malformed op", "*")},
            {"POST", ops, writes_registers, counter_op(1), "", 403,
             error("op_not_permitted", "token does not allow this operation on this key")},
            {"POST", space + "/crdts/lw:a/ops", good, old_register, "", 400, error("clock_drift", drift_text)},
            {"POST", space + "/crdts/lw:a/ops", good, register_op("x", now_ms() + 60'000), "", 400,
             error("clock_drift", drift_text)},
            {"POST", ops + "?ttl_ms=x", good, counter_op(1), "", 400,
             error("bad_query", "Failed to deserialize query string: ttl_ms: expected an unsigned number")},
            {"POST", ops, good, counter_op(1), "Idempotency-Key: " + std::string(256, 'k') + "\r\n", 400,
             error("bad_idempotency_key", "Idempotency-Key: expected at most 255 bytes")},
            {"POST", ops, good, std::string((2 << 20) + 1, 'x'), "", 413,
             error("body_too_large", "Failed to buffer the request body: length limit exceeded")},
            {"POST", space + "/crdts/" + std::string(65, 'k') + "/ops", good, counter_op(1), "", 400,
             error("apply_failed", "*")},
            {"POST", ops, token(signing), counter_op(1), "", 401,
             error("op_signature_required", "op signature required: expected the header X-Meridian-Op-Signature")},
            {"POST", ops, token(signing), counter_op(1), "X-Meridian-Op-Signature: AAAA\r\n", 401,
             error("invalid_op_signature", "invalid op signature")},
            // Nothing of all this has made the key.
            {"GET", counter, good, "", "", 404, no_crdt},
            {"POST", ops, good, counter_op(5), "", 200,
             "\x81\xa8"
             "counters\x81\x2a\x05",
             "content-type: application/msgpack\r\n"},
            {"POST", ops, good, counter_op(0), "", 204, ""},
            {"POST", ops, good, envelope, "", 200,
             "\x81\xa8"
             "counters\x81\x07\x02"},
            {"POST", ops, good, decrement, "", 400,
             error("apply_failed", "invalid operation: op type does not match crdt type")},
            {"POST", ops, good, counter_op(1), "Idempotency-Key: once\r\n", 200, "*"},
            {"POST", ops, good, counter_op(2), "Idempotency-Key: once\r\n", 422, error("idempotency_key_reused", "*")},
            {"GET", counter, good, "", "", 200, R"({"counters":{"42":6,"7":2},"total":8})"},
            {"GET", "/" + counter, good, "", "", 200, R"({"counters":{"42":6,"7":2},"total":8})"},
            {"GET", space + "/crdts/gc%3Aa", good, "", "Accept: application/msgpack\r\n", 200,
             R"({"counters":{"42":6,"7":2},"total":8})"},
            {"POST", space + "/crdts/a%2Fb/ops", good, counter_op(1), "", 200, "*"},
            {"GET", space + "/crdts/a%2Fb", good, "", "", 200, R"({"counters":{"42":1},"total":1})"},
            {"GET", space + "/crdts/a/b", good, "", "", 404, no_path},
            {"GET", space + "/crdts/%ff", good, "", "", 400,
             error("bad_path", "the path is not percent-encoded UTF-8")},
            {"GET", sync + "?since=!", good, "", "", 400, error("invalid since parameter", "invalid since parameter")},
            {"GET", sync + "?since=AQ", good, "", "", 400, error("malformed vector clock", "malformed vector clock")},
            {"GET", sync, reads_registers, "", "", 403, forbidden},
            {"GET", sync, elsewhere, "", "", 403, other_namespace},
            // Absent, empty, with integer keys, with string keys.
            {"GET", sync, good, "", "", 200,
             "\x81\xa8"
             "counters\x82\x07\x02\x2a\x06",
             "content-type: application/msgpack\r\n"},
            {"GET", sync + "?since=gadlbnRyaWVzgA", good, "", "", 200,
             "\x81\xa8"
             "counters\x82*"},
            {"GET", sync + "?since=gadlbnRyaWVzgSoH", good, "", "", 200,
             "\x81\xa8"
             "counters\x82*"},
            {"GET", sync + "?since=gadlbnRyaWVzgaI0Mgc", good, "", "", 200,
             "\x81\xa8"
             "counters\x82*"},
            {"POST", set, good, nested, "", 400,
             error("apply_failed", "invalid operation: ORSet element nesting depth 2 exceeds maximum 1")},
            // A refused op does not fix the type of the key.
            {"POST", set, good, counter_op(1), "", 200, "*"},
            {"POST", map, good, in_map(crdt::Type::gcounter, one), "", 200, "*"},
            {"POST", map, good, in_map(crdt::Type::pncounter, plus), "", 400,
             error("apply_failed", "invalid operation: key 'k' is type GCounter, op is type PNCounter")},
            {"POST", map, good, in_map(crdt::Type::gcounter, plus), "", 400,
             error("apply_failed", "invalid operation: inner op type does not match inner crdt type")},
            {"GET", space + "/crdts/cm:a", good, "", "", 200, R"({"k":{"counters":{"42":1},"total":1}})"},
        });
    }

    // Sections 5.2, 5.10, 5.11 and 5.12.
    void routes_of_tokens_and_sessions_give_the_documented_answers() {
        start();
        const std::string admin = token({.admin = true});
        const std::string tokens = space + "/tokens";
        const auto same = [](const std::string& text) { return error(text, text); };
        const std::string shape = "Failed to deserialize the JSON body into the target type: ";
        const std::string media =
            error("unsupported_media_type", "Expected request with `Content-Type: application/json`");
        const auto issue = [&](const std::string& bearer, const std::string& body, int status,
                               const std::string& answer, const std::string& headers = json_type) {
            return Exchange{"POST", tokens, bearer, body, headers, status, answer};
        };
        expect_all({
            issue(admin, R"({"client_id":9})", 415, media, ""),
            issue(admin, R"({"client_id":9})", 415, media, "Content-Type: text/plain\r\n"),
            issue(admin, R"({"client_id":)", 400,
                  error("malformed_json", "Failed to parse the request body as JSON: *")),
            issue(admin, "{}", 422, error("invalid_body", shape + "missing field `client_id`")),
            issue(admin, R"({"client_id":"9"})", 422, error("invalid_body", shape + "client_id: expected an integer*")),
            issue(admin, R"({"client_id":9,"permissions":{"r":[]}})", 422,
                  error("invalid_body", shape + "permissions: fields `r` and `w` belong under `rules`")),
            // What is wrong with the body is said before what is wrong with the token.
            issue(token(), "{}", 422, error("invalid_body", "*")),
            issue(token(), R"({"client_id":9})", 403, same("admin permission required")),
            issue(admin, R"({"client_id":9,"client_pubkey":"AAAA"})", 400,
                  same("client_pubkey must be 32 bytes (Ed25519)")),
            issue(admin, R"({"client_id":9,"client_pubkey":"!"})", 400, same("client_pubkey: invalid base64url")),
            issue(admin, R"({"client_id":9,"unknown":1})", 200, R"({"token":"*.*"})"),
            issue(admin, R"({"client_id":9})", 200, R"({"token":"*"})",
                  "Content-Type: application/vnd.x+json; charset=utf-8\r\n"),
            {"POST", "/v1/namespaces/other/tokens", admin, R"({"client_id":9})", json_type, 403,
             same("token namespace mismatch")},
            {"GET", "/v1/namespaces/other/tokens/me", admin, "", "", 403, same("token namespace mismatch")},
            // No client_pubkey: absent, not null.
            {"GET", tokens + "/me", token(), "", "", 200,
             R"({"client_id":42,"expires_at":*,"namespace":"room","permissions":{"admin":false,"r":[{"p":"*"}],)"
             R"("rl":1000000,"v":2,"w":[{"p":"*"}]}})"},
            {"DELETE", space + "/sessions/9", token(), "", "", 403, forbidden},
            {"DELETE", "/v1/namespaces/other/sessions/9", admin, "", "", 403, forbidden},
            {"DELETE", space + "/sessions/nine", admin, "", "", 400, same("invalid client_id")},
            {"DELETE", space + "/sessions/99", admin, "", "", 404,
             R"({"client_id":99,"error":"session not found","message":"session not found"})"},
            {"POST", "/v1/backup", token(), "", "", 403,
             error("forbidden", "expected an admin token and a client on the node's machine")},
        });
        const HttpReply issued =
            http(*server_, "POST", tokens, admin,
                 R"({"client_id":5,"ttl_ms":60000,"rules":{"r":[{"p":"gc:*"}],"w":[{"p":"gc:*","o":1,"e":1}],"rl":1}})",
                 json_type);
        const std::string limited = issued.body.substr(10, issued.body.size() - 12);
        expect_all({{"GET", tokens + "/me", limited, "", "", 200,
                     R"({"client_id":5,"expires_at":*,"namespace":"room","permissions":{"admin":false,)"
                     R"("r":[{"p":"gc:*"}],"rl":1,"v":2,"w":[{"e":1,"o":1,"p":"gc:*"}]}})"}});
        // Its one request of this second is spent, unless the second has passed meanwhile.
        HttpReply second;
        for (int i = 0; i < 100 && second.status != 429; ++i) second = http(*server_, "GET", tokens + "/me", limited);
        CPPUNIT_ASSERT_EQUAL(error("rate_limited", "too many requests"), second.body);
    }

    static std::string upgrade(const std::string& version = "13", const std::string& key = "x") {
        return "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: " + version +
               "\r\nSec-WebSocket-Key: " + key + "\r\n";
    }

    // Section 6.1.
    void an_upgrade_is_granted_or_refused_with_the_documented_answers() {
        start();
        const std::string connect = space + "/connect";
        const auto bad = [](const std::string& text) { return error("bad_upgrade", text); };
        expect_all({
            {"GET", connect, "", "", upgrade(), 401,
             error("missing_token", "missing or malformed Authorization header")},
            {"GET", connect, token(), "", "", 400, bad("Connection header did not include 'upgrade'")},
            {"GET", connect, token(), "", "Connection: upgrade\r\n", 400,
             bad("`Upgrade` header did not include 'websocket'")},
            {"GET", connect, token(), "", upgrade("8"), 400, bad("`Sec-WebSocket-Version` header did not include '13'"),
             "sec-websocket-version: 13\r\n"},
            {"GET", connect, token(), "", upgrade("13", ""), 400, bad("`Sec-WebSocket-Key` header missing")},
            {"GET", connect, token({.namespace_name = "other"}), "", upgrade(), 403, other_namespace},
            {"GET", connect, token({.read = {}}), "", upgrade(), 403, forbidden},
            {"GET", "/v1/namespaces/R/connect", token({.namespace_name = "R"}), "", upgrade(), 400,
             error("invalid_namespace", "namespace: expected [a-z0-9_-]{1,64}")},
            // RFC 6455 section 1.3; neither protocol nor extension is chosen.
            {"GET", connect + "?token=" + token(), "", "",
             upgrade("13", "dGhlIHNhbXBsZSBub25jZQ==") +
                 "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: x\r\n",
             101, "", "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"},
        });
        const HttpReply granted = http(*server_, "GET", connect, token(), "", upgrade());
        for (const char* header : {"sec-websocket-extensions", "sec-websocket-protocol"})
            CPPUNIT_ASSERT(granted.head.find(header) == std::string::npos);
        // Nothing is sent before the client's first frame.
        CPPUNIT_ASSERT_EQUAL(std::string(), granted.body);
    }

    // Sections 5.1 and 10.
    void open_routes_and_unknown_paths_give_the_documented_answers() {
        start();
        expect_all({
            {"GET", "/health/live", "", "", "", 200, R"({"status":"ok"})"},
            {"GET", "/health/ready", "", "", "", 200, R"({"status":"ready","wal_last_seq":0})"},
            {"GET", "/metrics", "", "", "", 200, "*# TYPE *", "content-type: text/plain; version=0.0.4"},
            {"GET", "/", "", "", "", 404, no_path},
            {"POST", "/nowhere", "", "x", "", 404, no_path},
            {"GET", space + "/crdts", token(), "", "", 404, no_path},
            {"GET", counter + "/", token(), "", "", 404, no_path},
        });
    }

    struct RouteMethods {
        std::string target;
        std::string allowed;
    };
    static const std::vector<RouteMethods>& routes() {
        static const std::vector<RouteMethods> all = {
            {"/health/live", "GET, HEAD, OPTIONS"},
            {"/health/ready", "GET, HEAD, OPTIONS"},
            {"/metrics", "GET, HEAD, OPTIONS"},
            {"/v1/backup", "POST, OPTIONS"},
            {counter, "GET, HEAD, OPTIONS"},
            {counter + "/ops", "POST, OPTIONS"},
            {counter + "/sync", "GET, HEAD, OPTIONS"},
            {space + "/tokens", "POST, OPTIONS"},
            {space + "/tokens/me", "GET, HEAD, OPTIONS"},
            {space + "/connect", "GET, OPTIONS"},
            {space + "/sessions/9", "DELETE, OPTIONS"},
        };
        return all;
    }

    void every_route_says_what_methods_it_takes() {
        start();
        std::vector<Exchange> exchanges = {
            {"OPTIONS", "*", "", "", "", 204, "", "allow: GET, HEAD, POST, DELETE, OPTIONS\r\n"},
            {"OPTIONS", "/nowhere", "", "", "", 404, no_path}};
        for (const RouteMethods& route : routes()) {
            const std::string allow = "allow: " + route.allowed + "\r\n";
            exchanges.push_back({"OPTIONS", route.target, "", "", "", 204, "", allow});
            exchanges.push_back({"PATCH", route.target, token({.admin = true}), "", "", 405,
                                 error("method_not_allowed", "expected " + route.allowed), allow});
            const bool open = route.target.front() == '/' && route.target.rfind("/v1/", 0) != 0;
            if (!open) exchanges.push_back({"PATCH", route.target, "", "", "", 401, "*missing_token*"});
        }
        expect_all(exchanges);
    }

    void get_routes_answer_head_without_a_body() {
        start();
        http(*server_, "POST", counter + "/ops", token(), counter_op(1));
        for (const RouteMethods& route : routes()) {
            if (route.allowed != "GET, HEAD, OPTIONS" || route.target == "/metrics") continue;
            const HttpReply get = http(*server_, "GET", route.target, token());
            const HttpReply head = http(*server_, "HEAD", route.target, token());
            CPPUNIT_ASSERT_EQUAL_MESSAGE(route.target, 200, head.status);
            CPPUNIT_ASSERT_EQUAL_MESSAGE(route.target, std::string(), head.body);
            assert_matches(route.target, "*content-length: " + std::to_string(get.body.size()) + "\r\n*", head.head);
        }
    }

    // Section 6.5.
    void websocket_messages_are_refused_with_the_documented_errors() {
        start({"limits.awareness_bytes=20", "limits.awareness_per_second=1", "node.batch_items=2"});
        const std::string register_bytes = register_op("x", now_ms());
        const std::string nil = "\xc0";
        const std::string hlc = wire::encode_op(crdt::RgaOp(crdt::RgaDelete{{1, 1, 1}})).substr(17);
        const std::string forbidden_key = "insufficient permissions for key";
        struct Refusal {
            wire::ClientMessage message;
            uint16_t code;
            std::string text;
        };
        const auto expect_refusals = [this](const std::string& bearer, const std::vector<Refusal>& refusals) {
            auto socket = websocket(*server_, bearer);
            for (size_t i = 0; i < refusals.size(); ++i) {
                socket.send(refusals[i].message);
                const auto refusal = expect<wire::ErrorMessage>(socket);
                const std::string where = "message " + std::to_string(i) + " (" + refusal.message + ")";
                CPPUNIT_ASSERT_EQUAL_MESSAGE(where, refusals[i].code, refusal.code);
                assert_matches(where, refusals[i].text, refusal.message);
            }
        };
        http(*server_, "POST", counter + "/ops", token(), counter_op(1));
        const auto op = [](const std::string& key, const std::string& bytes) {
            return wire::OpMessage{key, bytes, {}, {}, {}};
        };
        const auto batch = [](const std::string& key, const std::string& bytes,
                              std::optional<std::string> signature = {}) {
            return wire::BatchOp{{{key, bytes, {}, std::move(signature)}}, {}};
        };
        expect_refusals(
            token(),
            {{op("gc:a", "\xc1"), 400, "malformed op"},
             {op("gc:a", decrement), 400, "invalid operation: op type does not match crdt type"},
             {op("lw:a", register_op("x", now_ms() + 60'000)), 400, drift_text},
             {wire::BatchOp{{}, {}}, 400, "batch must not be empty"},
             {wire::BatchOp{{3, {"gc:a", counter_op(1), {}, {}}}, {}}, 400, "batch of 3 items: at most 2 are accepted"},
             {batch("gc:a", "\xc1"), 400, "batch: malformed op for gc:a"},
             {batch("lw:a", old_register), 400, "batch: lw:a: " + drift_text},
             {batch("gc:a", decrement), 400, "invalid operation: op type does not match crdt type"},
             {wire::Sync{"gc:a", "\xc1"}, 400, "malformed vector clock"},
             {wire::Sync{"gc:none", empty_clock}, 404, "crdt not found"},
             {wire::UndoLww{"lw:a", "\xc1", nil}, 400, "malformed target_hlc"},
             {wire::UndoLww{"lw:a", hlc, "\xc1"}, 400, "malformed restore_entry"},
             {wire::UndoLww{"gc:a", hlc, nil}, 400, "invalid operation: crdt is not a lwwregister"},
             {wire::AwarenessUpdate{"key", std::string(18, 'x')}, 400, "awareness larger than 20 bytes"}});
        expect_refusals(token({.read = {"gc:*"}, .write = {"or:*"}}),
                        {{op("gc:a", counter_op(1)), 403, "op not permitted by token"},
                         {batch("gc:a", counter_op(1)), 403, "batch: op not permitted on gc:a"},
                         {wire::UndoLww{"lw:a", hlc, nil}, 403, forbidden_key},
                         {wire::Subscribe{"lw:a"}, 403, forbidden_key},
                         {wire::Sync{"lw:a", empty_clock}, 403, forbidden_key}});
        expect_refusals(token({.write = {}}),
                        {{wire::AwarenessUpdate{"k", nil}, 403, "awareness needs write permission"}});
        TokenOptions signing;
        signing.client_key = server::SigningKey::from_seed(client_seed()).public_key();
        expect_refusals(
            token(signing),
            {{op("gc:a", counter_op(1)), 401, "op signature required"},
             {wire::OpMessage{"gc:a", counter_op(1), {}, {}, std::string(64, 's')}, 401, "invalid op signature"},
             {batch("gc:a", counter_op(1)), 401, "batch: op signature required for gc:a"},
             {batch("gc:a", counter_op(1), std::string(64, 's')), 401, "batch: invalid op signature for gc:a"}});
        // An undo has no field for a signature, so none is asked for.
        auto signer = websocket(*server_, token(signing));
        signer.send(wire::UndoLww{"lw:none", hlc, nil});
        CPPUNIT_ASSERT_EQUAL(std::string("entry has been overwritten by a concurrent write"),
                             expect<wire::UndoSkipped>(signer).reason);
        CPPUNIT_ASSERT_EQUAL(404, http(*server_, "GET", space + "/crdts/lw:none", token()).status);
        // More awareness than the limit allows in a second; how much got through is not told.
        auto socket = websocket(*server_, token());
        std::string updates;  // in one go, so that most of them fall into one second
        for (int i = 0; i < 50; ++i)
            server::append_masked_message(updates, server::Opcode::binary,
                                          wire::encode_client_message(wire::AwarenessUpdate{"k", nil}), {1, 2, 3, 4});
        socket.send_raw(updates);
        for (;;) {
            auto message = socket.receive_message(20'000);
            CPPUNIT_ASSERT(message.ok() && message->has_value());
            const auto* refusal = std::get_if<wire::ErrorMessage>(&**message);
            if (refusal == nullptr) continue;
            CPPUNIT_ASSERT_EQUAL(std::string("too many requests"), refusal->message);
            CPPUNIT_ASSERT_EQUAL(uint16_t{429}, refusal->code);
            return;
        }
    }

    static std::string origin(const std::string& name) { return "Origin: " + name + "\r\n"; }
    static std::string preflight(const std::string& name) {
        return origin(name) +
               "Access-Control-Request-Method: POST\r\n"
               "Access-Control-Request-Headers: authorization,content-type,x-meridian-op-signature,x-meridian-new\r\n";
    }
    static void assert_no_cors(const HttpReply& reply) {
        CPPUNIT_ASSERT_MESSAGE(reply.head, reply.head.find("access-control") == std::string::npos);
    }

    // Defect 23, with the three tests that follow.
    void browsers_are_told_nothing_unless_it_is_configured() {
        start();
        assert_no_cors(http(*server_, "GET", "/health/live", "", "", origin("https://app.example")));
        assert_no_cors(http(*server_, "OPTIONS", counter + "/ops", "", "", preflight("https://app.example")));
        const HttpReply upgraded =
            http(*server_, "GET", space + "/connect", token(), "", upgrade() + origin("https://anywhere.example"));
        CPPUNIT_ASSERT_EQUAL(101, upgraded.status);
        assert_no_cors(upgraded);
    }

    void pages_of_configured_origins_may_read_answers_and_ask_ahead() {
        start({"server.cors_origins=http://localhost:5173, https://app.example"});
        const std::string allowed = "access-control-allow-origin: https://app.example\r\n";
        const std::string mine = origin("https://app.example");
        // Errors too: otherwise the page would not learn what was wrong.
        expect_all({{"GET", "/health/live", "", "", mine, 200, "*",
                     "vary: origin\r\n" + allowed +
                         "access-control-expose-headers: allow, "
                         "retry-after\r\n"},
                    {"GET", counter, "", "", mine, 401, "*", allowed},
                    {"GET", counter, token(), "", mine, 404, "*", allowed},
                    {"GET", counter, token(), "", origin("http://localhost:5173"), 404, "*",
                     "access-control-allow-origin: http://localhost:5173\r\n"},
                    {"OPTIONS", counter + "/ops", "", "", preflight("https://app.example"), 204, "",
                     "access-control-allow-methods: POST, OPTIONS\r\n"
                     "access-control-allow-headers: authorization, content-type, idempotency-key, "
                     "x-meridian-op-signature, x-meridian-new\r\n"
                     "access-control-max-age: 600\r\n*" +
                         allowed}});
        for (const char* other : {"https://app.example.evil.example", "http://app.example", "null"}) {
            assert_no_cors(http(*server_, "GET", "/health/live", "", "", origin(other)));
            assert_no_cors(http(*server_, "OPTIONS", counter + "/ops", "", "", preflight(other)));
        }
        assert_no_cors(http(*server_, "GET", "/health/live", ""));
    }

    void every_origin_may_if_that_is_configured() {
        start({"server.cors_origins=*"});
        const std::string any = "access-control-allow-origin: *\r\n";
        expect_all({{"GET", "/health/live", "", "", origin("null"), 200, "*", any},
                    {"OPTIONS", counter, "", "", preflight("https://x.example"), 204, "",
                     "access-control-allow-methods: GET, HEAD, OPTIONS\r\n"},
                    {"GET", space + "/connect", token(), "", upgrade() + origin("https://x.example"), 101, ""}});
    }

    void an_upgrade_of_a_page_of_another_origin_is_refused() {
        start({"server.cors_origins=https://app.example"});
        const std::string connect = space + "/connect";
        expect_all({{"GET", connect, token(), "", upgrade() + origin("https://evil.example"), 403,
                     error("origin_not_allowed", "the Origin is not among server.cors_origins")},
                    {"GET", connect, token(), "", upgrade() + origin("https://app.example"), 101, ""},
                    {"GET", connect, token(), "", upgrade(), 101, ""}});
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(ContractTest);

}  // namespace
