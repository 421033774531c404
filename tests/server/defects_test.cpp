// Section 14 of client-api.md lists defects of an earlier server; this one must not have them. Here are the tests of
// those that no other test shows, and rule C12. The comments of the other tests name the defects that they are about.
#include <Poco/Net/StreamSocket.h>

#include "server_fixture.h"
#include "wire/op_codec.h"

namespace {

using namespace meridian;
using namespace meridian::test;

class DefectsTest : public ServerFixture {
    CPPUNIT_TEST_SUITE(DefectsTest);
    CPPUNIT_TEST(an_op_in_the_versioned_envelope_is_taken_on_every_path);
    CPPUNIT_TEST(clocks_with_string_keys_are_taken);
    CPPUNIT_TEST(what_changes_nothing_makes_no_key);
    CPPUNIT_TEST(an_op_inside_a_map_obeys_the_rules_for_ops);
    CPPUNIT_TEST(nothing_is_sent_before_the_first_frame_or_a_second);
    CPPUNIT_TEST(a_connection_without_frames_is_sent_deltas_after_a_second);
    CPPUNIT_TEST(a_connection_with_string_keys_is_sent_deltas_at_once);
    CPPUNIT_TEST_SUITE_END();

    inline static const std::string crdts = "/v1/namespaces/room/crdts/";

    HttpReply post(const std::string& key, const std::string& op, const std::string& bearer = token()) const {
        return http(*server_, "POST", crdts + key + "/ops", bearer, op);
    }
    int status_of(const std::string& key) const { return http(*server_, "GET", crdts + key, token()).status; }

    // Defect 1.
    void an_op_in_the_versioned_envelope_is_taken_on_every_path() {
        start();
        const auto wrapped = [](const std::string& op) { return std::string("\x82\xa7") + "version\x01\xa2op" + op; };
        auto socket = websocket(*server_, token());
        CPPUNIT_ASSERT_EQUAL(200, post("gc:a", wrapped(counter_op(1))).status);
        socket.send(wire::OpMessage{"gc:a", wrapped(counter_op(2)), {}, 1, {}});
        CPPUNIT_ASSERT_EQUAL(std::string("gc:a"), expect<wire::DeltaMessage>(socket).crdt_id);
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, *expect<wire::Ack>(socket).client_seq);
        socket.send(wire::BatchOp{{{"gc:a", wrapped(counter_op(4)), {}, {}}}, 2});
        expect<wire::DeltaMessage>(socket);
        CPPUNIT_ASSERT_EQUAL(uint64_t{2}, *expect<wire::BatchAck>(socket).client_seq);
        CPPUNIT_ASSERT_EQUAL(std::string(R"({"counters":{"42":7},"total":7})"),
                             http(*server_, "GET", crdts + "gc:a", token()).body);
    }

    // Defect 3, over WebSocket; routes_of_a_crdt_give_the_documented_answers has it over HTTP.
    void clocks_with_string_keys_are_taken() {
        start();
        CPPUNIT_ASSERT_EQUAL(200, post("gc:a", counter_op(7)).status);
        const std::string head = "\x81\xa7" + std::string("entries");
        for (const std::string& entries :
             {std::string("\x80"), std::string("\x81\x2a\x01"), std::string("\x81\xa2") + "42\x01",
              std::string("\x82\xa2") + "42\x01\xb0" + "9007199254740991\x05"}) {
            auto socket = websocket(*server_, token());
            socket.send(wire::Sync{"gc:a", head + entries});
            CPPUNIT_ASSERT_EQUAL(std::string("gc:a"), expect<wire::DeltaMessage>(socket).crdt_id);
        }
    }

    // Defect 7.
    void what_changes_nothing_makes_no_key() {
        start();
        auto socket = websocket(*server_, token());
        const crdt::Hlc unknown{now_ms(), 1, 42};
        socket.send(wire::UndoLww{"k:undo", wire::encode_hlc(unknown), "\xc0"});
        expect<wire::UndoSkipped>(socket);
        CPPUNIT_ASSERT_EQUAL(404, status_of("k:undo"));
        const std::string nested("\x91\x91\x01");
        const std::string deep = wire::encode_op(
            crdt::OrSetOp(crdt::OrSetAdd{JsonValue::from_canonical_msgpack(nested), crdt::Tag{1}, 0, 0}));
        CPPUNIT_ASSERT_EQUAL(400, post("k:deep", deep).status);
        CPPUNIT_ASSERT_EQUAL(404, status_of("k:deep"));
        CPPUNIT_ASSERT_EQUAL(204, post("k:zero", counter_op(0)).status);
        CPPUNIT_ASSERT_EQUAL(404, status_of("k:zero"));
        // Each is still free for any type.
        for (const char* key : {"k:undo", "k:deep", "k:zero"})
            CPPUNIT_ASSERT_EQUAL_MESSAGE(key, 200, post(key, register_op("x", now_ms())).status);
    }

    // Defect 18: signatures have signed_tokens_need_signatures_on_every_path, single ops have
    // old_and_future_clocks_are_refused_where_the_rules_say.
    void an_op_inside_a_map_obeys_the_rules_for_ops() {
        start();
        const crdt::LwwRegisterOp future{JsonValue::string("x"), {now_ms() + 60'000, 0, 42}, 42};
        const std::string op = wire::encode_op(crdt::CrdtMapOp{"k", crdt::Type::lww_register, future});
        const HttpReply refused = post("cm:a", op);
        CPPUNIT_ASSERT_EQUAL(400, refused.status);
        CPPUNIT_ASSERT(refused.body.find("clock drift too large") != std::string::npos);
        auto socket = websocket(*server_, token());
        socket.send(wire::OpMessage{"cm:a", op, {}, {}, {}});
        CPPUNIT_ASSERT_EQUAL(uint16_t{400}, expect<wire::ErrorMessage>(socket).code);
        socket.send(wire::BatchOp{{{"cm:a", op, {}, {}}}, {}});
        CPPUNIT_ASSERT_EQUAL(uint16_t{400}, expect<wire::ErrorMessage>(socket).code);
        CPPUNIT_ASSERT_EQUAL(404, status_of("cm:a"));
        // An undo is a write, and needs the right to one.
        auto reader = websocket(*server_, token({.write = {"gc:*"}}));
        reader.send(wire::UndoLww{"lw:a", wire::encode_hlc({now_ms(), 0, 42}), "\xc0"});
        CPPUNIT_ASSERT_EQUAL(uint16_t{403}, expect<wire::ErrorMessage>(reader).code);
    }

    // Rule C12: a page that attaches its listener a little late misses nothing that it was sent.
    void nothing_is_sent_before_the_first_frame_or_a_second() {
        start();
        for (int attempt = 0; attempt < 20; ++attempt) {
            const uint64_t begin_ms = now_ms();
            auto quiet = websocket(*server_, token({.client_id = 7}));
            // Awareness too is not for those who cannot hear it yet.
            auto other = websocket(*server_, token());
            other.send(wire::AwarenessUpdate{"cursor", "\xc0"});
            expect<wire::AwarenessBroadcast>(other);
            CPPUNIT_ASSERT_EQUAL(200, post("gc:early", counter_op(1)).status);
            expect<wire::DeltaMessage>(other);
            const bool came = quiet.socket().poll(Poco::Timespan(0, 100'000), Poco::Net::Socket::SELECT_READ);
            if (now_ms() - begin_ms >= 1000) continue;  // a second may have passed: it shows nothing
            CPPUNIT_ASSERT_MESSAGE("something came unasked", !came);
            // From its first frame on it is sent everything, and what it missed was not kept for it.
            expect_nothing_more(quiet);
            CPPUNIT_ASSERT_EQUAL(200, post("gc:late", counter_op(1)).status);
            CPPUNIT_ASSERT_EQUAL(std::string("gc:late"), expect<wire::DeltaMessage>(quiet).crdt_id);
            return;
        }
        CPPUNIT_FAIL("the machine is too busy");
    }

    void a_connection_without_frames_is_sent_deltas_after_a_second() {
        start();
        auto quiet = websocket(*server_, token({.client_id = 7}));
        const uint64_t deadline_ms = now_ms() + 20'000;
        while (!quiet.socket().poll(Poco::Timespan(0, 50'000), Poco::Net::Socket::SELECT_READ)) {
            CPPUNIT_ASSERT_MESSAGE("it is sent nothing", now_ms() < deadline_ms);
            CPPUNIT_ASSERT_EQUAL(200, post("gc:a", counter_op(1)).status);
        }
        CPPUNIT_ASSERT_EQUAL(std::string("gc:a"), expect<wire::DeltaMessage>(quiet).crdt_id);
    }

    void a_connection_with_string_keys_is_sent_deltas_at_once() {
        start();
        auto quiet = websocket(*server_, token({.client_id = 7}), "&keys=string");
        CPPUNIT_ASSERT_EQUAL(200, post("gc:a", counter_op(1)).status);
        CPPUNIT_ASSERT_EQUAL(std::string("gc:a"), expect<wire::DeltaMessage>(quiet).crdt_id);
        CPPUNIT_ASSERT_EQUAL(200, post("gc:b", counter_op(1)).status);
        CPPUNIT_ASSERT_EQUAL(std::string("gc:b"), expect<wire::DeltaMessage>(quiet).crdt_id);
        expect_nothing_more(quiet);
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(DefectsTest);

}  // namespace
