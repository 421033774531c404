#include "wire/client_message.h"

#include <cppunit/extensions/HelperMacros.h>

#include "base/msgpack.h"
#include "wire/vectors.h"

namespace meridian::test {

namespace {

template <class Message>
Message decoded(const std::string& bytes) {
    Result<wire::ClientMessage> message = wire::decode_client_message(bytes);
    CPPUNIT_ASSERT_MESSAGE(message ? "" : message.error().message, message.ok());
    return std::get<Message>(*std::move(message));
}
template <class Message>
Message again(const Message& message) {
    return decoded<Message>(wire::encode_client_message(message));
}
std::string refusal(const std::string& bytes) {
    const Result<wire::ClientMessage> message = wire::decode_client_message(bytes);
    return message ? "accepted" : message.error().message;
}

// {"<variant>": <content in hex>}
std::string tagged(const char* variant, const char* content_hex) {
    std::string bytes;
    MsgpackWriter writer(bytes);
    writer.map(1);
    writer.string(variant);
    writer.raw(from_hex(content_hex));
    return bytes;
}

}  // namespace

class ClientMessageTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(ClientMessageTest);
    CPPUNIT_TEST(absent_and_nil_optionals_are_the_same);
    CPPUNIT_TEST(byte_fields_may_be_strings_or_arrays);
    CPPUNIT_TEST(every_client_message_comes_back);
    CPPUNIT_TEST(live_queries_accept_both_spellings_of_updated_after);
    CPPUNIT_TEST(a_query_for_null_is_a_query_without_the_filter);
    CPPUNIT_TEST(server_messages_omit_absent_fields);
    CPPUNIT_TEST(a_cycle_conflict_always_names_the_attempted_parent);
    CPPUNIT_TEST(server_messages_come_back_from_their_own_decoder);
    CPPUNIT_TEST(delta_messages_are_appended_in_place);
    CPPUNIT_TEST(malformed_messages_are_refused_with_a_reason);
    CPPUNIT_TEST_SUITE_END();

    void absent_and_nil_optionals_are_the_same() {
        const auto with_nil = decoded<wire::OpMessage>(tagged(
            "Op", "85a7637264745f6964a178a86f705f6279746573c40100a674746c5f6d73c0aa636c69656e745f736571c0a3736967c0"));
        CPPUNIT_ASSERT(!with_nil.ttl_ms && !with_nil.client_seq && !with_nil.sig);
        const auto absent = decoded<wire::OpMessage>(tagged("Op", "82a86f705f6279746573c40100a7637264745f6964a178"));
        CPPUNIT_ASSERT_EQUAL(std::string("x"), absent.crdt_id);
        CPPUNIT_ASSERT_EQUAL(std::string(1, '\0'), absent.op_bytes);
        CPPUNIT_ASSERT(!absent.ttl_ms && !absent.client_seq && !absent.sig);
    }

    void byte_fields_may_be_strings_or_arrays() {
        for (const char* content : {"82a36b6579a16ba464617461c4026162", "82a36b6579a16ba464617461a26162",
                                    "82a36b6579a16ba464617461926162", "92a16bc4026162"}) {
            const auto message = decoded<wire::AwarenessUpdate>(tagged("AwarenessUpdate", content));
            CPPUNIT_ASSERT_EQUAL_MESSAGE(content, std::string("ab"), message.data);
        }
        CPPUNIT_ASSERT_EQUAL(
            std::string("field AwarenessUpdate.data.1: found the integer 256, expected an unsigned 8-bit integer"),
            refusal(tagged("AwarenessUpdate", "82a36b6579a16ba4646174619201cd0100")));
        CPPUNIT_ASSERT_EQUAL(std::string("field AwarenessUpdate.data: found nil, expected a byte string"),
                             refusal(tagged("AwarenessUpdate", "82a36b6579a16ba464617461c0")));
    }

    void every_client_message_comes_back() {
        CPPUNIT_ASSERT_EQUAL(std::string("gc:a"), again(wire::Subscribe{"gc:a"}).crdt_id);
        const auto op = again(wire::OpMessage{"k", std::string("\0\xff", 2), 60000, 0, std::string(64, 's')});
        CPPUNIT_ASSERT_EQUAL(std::string("\0\xff", 2), op.op_bytes);
        CPPUNIT_ASSERT_EQUAL(uint64_t{60000}, *op.ttl_ms);
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, *op.client_seq);
        CPPUNIT_ASSERT_EQUAL(std::string(64, 's'), *op.sig);
        const auto batch = again(wire::BatchOp{{{"a", "1", std::nullopt, "s"}, {"b", "2", 5, std::nullopt}}, 9});
        CPPUNIT_ASSERT_EQUAL(size_t{2}, batch.ops.size());
        CPPUNIT_ASSERT_EQUAL(std::string("s"), *batch.ops[0].sig);
        CPPUNIT_ASSERT(!batch.ops[0].ttl_ms);
        CPPUNIT_ASSERT_EQUAL(uint64_t{5}, *batch.ops[1].ttl_ms);
        CPPUNIT_ASSERT_EQUAL(uint64_t{9}, *batch.client_seq);
        CPPUNIT_ASSERT_EQUAL(std::string("\x80"), again(wire::Sync{"a", "\x80"}).since_vc);
        CPPUNIT_ASSERT_EQUAL(std::string("q"), again(wire::UnsubscribeQuery{"q"}).query_id);
        const auto undo = again(wire::UndoLww{"lw:a", "target", "value"});
        CPPUNIT_ASSERT_EQUAL(std::string("target"), undo.target_hlc);
        CPPUNIT_ASSERT_EQUAL(std::string("value"), undo.restore_entry);
        wire::LiveQuery query{"gc:*", "gcounter", "sum", JsonValue::integer(1), 77, true};
        const auto subscription = again(wire::SubscribeQuery{"q", query});
        CPPUNIT_ASSERT_EQUAL(std::string("gc:*"), subscription.query.from);
        CPPUNIT_ASSERT_EQUAL(std::string("gcounter"), *subscription.query.type);
        CPPUNIT_ASSERT_EQUAL(std::string("sum"), subscription.query.aggregate);
        CPPUNIT_ASSERT(JsonValue::integer(1) == *subscription.query.contains);
        CPPUNIT_ASSERT_EQUAL(uint64_t{77}, *subscription.query.updated_after);
        CPPUNIT_ASSERT(subscription.query.has_where);
        query = wire::LiveQuery{"*", std::nullopt, "count", std::nullopt, std::nullopt, true};
        CPPUNIT_ASSERT(again(wire::SubscribeQuery{"q", query}).query.has_where);
        query.has_where = false;
        CPPUNIT_ASSERT(!again(wire::SubscribeQuery{"q", query}).query.has_where);
    }

    void live_queries_accept_both_spellings_of_updated_after() {
        // {"query_id":"q","query":{"from":"*","aggregate":"count","where":{"<spelling>":5}}}
        for (const char* content : {"82a871756572795f6964a171a5717565727983a466726f6da12aa9616767726567617465a5636f756e"
                                    "74a5776865726581ad757064617465"
                                    "645f616674657205",
                                    "82a871756572795f6964a171a5717565727983a466726f6da12aa9616767726567617465a5636f756e"
                                    "74a5776865726581ac757064617465"
                                    "64416674657205"}) {
            const auto message = decoded<wire::SubscribeQuery>(tagged("SubscribeQuery", content));
            CPPUNIT_ASSERT_EQUAL(uint64_t{5}, message.query.updated_after.value());
        }
    }

    void a_query_for_null_is_a_query_without_the_filter() {
        // where: {"contains": nil}, then where: nil
        const auto filter =
            decoded<wire::SubscribeQuery>(tagged("SubscribeQuery",
                                                 "82a871756572795f6964a171a5717565727983a466726f6da12aa9616767726567617"
                                                 "465a5636f756e74a5776865726581a8636f6e7461696e73c0"));
        CPPUNIT_ASSERT(!filter.query.contains && filter.query.has_where);
        const auto none = decoded<wire::SubscribeQuery>(tagged(
            "SubscribeQuery",
            "82a871756572795f6964a171a5717565727983a466726f6da12aa9616767726567617465a5636f756e74a57768657265c0"));
        CPPUNIT_ASSERT(!none.query.has_where);
    }

    void server_messages_omit_absent_fields() {
        CPPUNIT_ASSERT_EQUAL(std::string("81a341636b81a373657101"),
                             to_hex(wire::encode_server_message(wire::Ack{1, {}})));
        CPPUNIT_ASSERT_EQUAL(std::string("81a8426174636841636b82a373657101a5636f756e7402"),
                             to_hex(wire::encode_server_message(wire::BatchAck{1, 2, {}})));
    }

    void a_cycle_conflict_always_names_the_attempted_parent() {
        const wire::ConflictMessage to_root{"t", crdt::TreeMoveCycle{crdt::Hlc{1, 1, 42}, std::nullopt}};
        const std::string bytes = wire::encode_server_message(to_root);
        CPPUNIT_ASSERT(bytes.find("\xb3"
                                  "attempted_parent_id\xc0") != std::string::npos);
        const wire::ConflictMessage to_node{"t", crdt::TreeMoveCycle{crdt::Hlc{1, 1, 42}, crdt::Hlc{2, 65535, 7}}};
        const Result<wire::ServerMessage> message = wire::decode_server_message(wire::encode_server_message(to_node));
        CPPUNIT_ASSERT(message.ok());
        CPPUNIT_ASSERT(to_node.kind == std::get<wire::ConflictMessage>(*message).kind);
        for (const char* stamp : {"1:1", "1:1:", "1:1:1:1", "a:1:1", "1:65536:1", "-1:1:1", "1: 1:1", ""}) {
            std::string malformed;
            MsgpackWriter writer(malformed);
            writer.map(1);
            writer.string("Conflict");
            writer.array(2);
            writer.string("t");
            writer.map(1);
            writer.string("TreeMoveCycle");
            writer.array(2);
            writer.string(stamp);
            writer.nil();
            CPPUNIT_ASSERT_MESSAGE(stamp, !wire::decode_server_message(malformed).ok());
        }
    }

    void server_messages_come_back_from_their_own_decoder() {
        const std::vector<wire::ServerMessage> messages = {
            wire::DeltaMessage{"k", std::string(70000, '\x01')},
            wire::Ack{18446744073709551615ULL, 0},
            wire::BatchAck{1, 2, 3},
            wire::ErrorMessage{4401, "session revoked"},
            wire::AwarenessBroadcast{7, "cursors", "\xc0"},
            wire::QueryResult{"q", JsonValue::integer(-3), 2},
            wire::ConflictMessage{"k", crdt::LwwOverwritten{1, 2}},
            wire::UndoAck{"k"},
            wire::UndoSkipped{"k", "why"},
        };
        size_t index = 0;
        for (const wire::ServerMessage& message : messages) {
            const std::string bytes = wire::encode_server_message(message);
            const Result<wire::ServerMessage> again_message = wire::decode_server_message(bytes);
            CPPUNIT_ASSERT(again_message.ok());
            CPPUNIT_ASSERT_EQUAL(index++, again_message->index());
            CPPUNIT_ASSERT_EQUAL(to_hex(bytes), to_hex(wire::encode_server_message(*again_message)));
        }
    }

    void delta_messages_are_appended_in_place() {
        std::string frame = "header";
        wire::append_delta_message(frame, "gc:a", "\x01\x02");
        CPPUNIT_ASSERT_EQUAL("header" + wire::encode_server_message(wire::DeltaMessage{"gc:a", "\x01\x02"}), frame);
        const std::string first = frame;
        wire::append_delta_message(frame, "b", "");
        CPPUNIT_ASSERT_EQUAL(first + wire::encode_server_message(wire::DeltaMessage{"b", ""}), frame);
    }

    void malformed_messages_are_refused_with_a_reason() {
        CPPUNIT_ASSERT_EQUAL(std::string("found the variant \"Nope\", expected a client message"),
                             refusal(tagged("Nope", "80")));
        CPPUNIT_ASSERT_EQUAL(std::string("field Subscribe: found no field \"crdt_id\", which is required"),
                             refusal(tagged("Subscribe", "80")));
        CPPUNIT_ASSERT_EQUAL(std::string("field BatchOp.ops.1.crdt_id: found the integer 1, expected a string"),
                             refusal(tagged("BatchOp",
                                            "81a36f70739292a161c40092"
                                            "01c400")));
        CPPUNIT_ASSERT_EQUAL(
            std::string("field Subscribe.crdt_id: found a string of 1 bytes that are not UTF-8, expected UTF-8"),
            refusal(tagged("Subscribe", "91a1ff")));
        CPPUNIT_ASSERT(refusal("") != "accepted");
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(ClientMessageTest);

}  // namespace meridian::test
