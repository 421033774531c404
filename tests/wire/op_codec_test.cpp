// What the op decoder accepts and refuses beyond the published vectors (crdts.md section 2.2, client-api.md
// section 2.2).
#include "wire/op_codec.h"

#include <cppunit/extensions/HelperMacros.h>

#include "base/msgpack.h"
#include "wire/vectors.h"

namespace meridian::test {

namespace {

using crdt::Hlc;

// {"<type>": <content given in hex>}
std::string tagged(const char* type, const std::string& content_hex) {
    std::string bytes;
    MsgpackWriter writer(bytes);
    writer.map(1);
    writer.string(type);
    writer.raw(from_hex(content_hex));
    return bytes;
}
// A map of fields; values in hex.
std::string fields(const std::vector<std::pair<const char*, std::string>>& entries) {
    std::string bytes;
    MsgpackWriter writer(bytes);
    writer.map(entries.size());
    for (const auto& [name, value_hex] : entries) {
        writer.string(name);
        writer.raw(from_hex(value_hex));
    }
    return to_hex(bytes);
}
std::string gcounter(const std::string& client_id_hex, const std::string& amount_hex) {
    return tagged("GCounter", fields({{"client_id", client_id_hex}, {"amount", amount_hex}}));
}
std::string error_of(const std::string& bytes) {
    const Result<crdt::Op> op = wire::decode_op(bytes);
    return op ? "accepted: " + wire::op_to_json(*op) : op.error().message;
}
const crdt::GCounterOp& as_gcounter(const Result<crdt::Op>& op) {
    CPPUNIT_ASSERT_MESSAGE(op ? "" : op.error().message, op.ok());
    return std::get<crdt::GCounterOp>(*op);
}

std::string text(const char* expected) {
    return expected;
}

constexpr const char* hlc_1_0_1 = "83a777616c6c5f6d7301a76c6f676963616c00a76e6f64655f696401";
// node_id is the float64 12345678901234567168
constexpr const char* hlc_rounded = "83a777616c6c5f6d7301a76c6f676963616c00a76e6f64655f6964cb43e56a95319d63e1";

}  // namespace

class OpCodecTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(OpCodecTest);
    CPPUNIT_TEST(accepts_fields_in_any_order_and_skips_unknown_ones);
    CPPUNIT_TEST(accepts_structs_as_arrays);
    CPPUNIT_TEST(refuses_arrays_of_the_wrong_length);
    CPPUNIT_TEST(refuses_a_field_given_twice);
    CPPUNIT_TEST(refuses_a_missing_field);
    CPPUNIT_TEST(refuses_nil_for_a_field_that_is_not_optional);
    CPPUNIT_TEST(accepts_integral_floats_as_integers);
    CPPUNIT_TEST(refuses_floats_that_are_no_unsigned_integer);
    CPPUNIT_TEST(refuses_integers_out_of_range);
    CPPUNIT_TEST(refuses_an_enum_with_other_than_one_entry);
    CPPUNIT_TEST(refuses_unknown_types_and_variants);
    CPPUNIT_TEST(unwraps_envelopes_of_version_0_and_1);
    CPPUNIT_TEST(refuses_newer_envelopes_with_the_documented_text);
    CPPUNIT_TEST(ignores_bytes_after_the_op);
    CPPUNIT_TEST(fills_in_the_defaults_of_an_orset_add);
    CPPUNIT_TEST(sorts_tags_and_drops_repeated_ones);
    CPPUNIT_TEST(refuses_tags_that_are_not_16_bytes);
    CPPUNIT_TEST(refuses_content_other_than_one_character);
    CPPUNIT_TEST(marks_ids_that_came_as_floats_and_keeps_the_mark_when_encoding);
    CPPUNIT_TEST(limits_the_depth_of_json_values);
    CPPUNIT_TEST(survives_deep_nesting_in_unknown_fields);
    CPPUNIT_TEST(decodes_a_nested_map_type_but_no_nested_map_op);
    CPPUNIT_TEST(names_the_field_what_was_found_and_what_was_expected);
    CPPUNIT_TEST(error_texts_are_short_and_valid_utf8_whatever_the_input);
    CPPUNIT_TEST(decodes_stamps_and_undo_values);
    CPPUNIT_TEST(checks_vector_clocks);
    CPPUNIT_TEST_SUITE_END();

    void accepts_fields_in_any_order_and_skips_unknown_ones() {
        const std::string bytes =
            tagged("GCounter",
                   fields({{"extra", "92c4020102d6ff00000000"}, {"amount", "05"}, {"x", "c0"}, {"client_id", "2a"}}));
        const crdt::GCounterOp expected{42, 5};
        CPPUNIT_ASSERT(expected == as_gcounter(wire::decode_op(bytes)));
    }

    void accepts_structs_as_arrays() {
        const crdt::GCounterOp expected{42, 5};
        CPPUNIT_ASSERT(expected == as_gcounter(wire::decode_op(from_hex("81a847436f756e746572922a05"))));
        // ["x", tag] without the trailing optional node_id and seq; stamps as arrays, too.
        const Result<crdt::Op> add =
            wire::decode_op(tagged("ORSet", fields({{"Add", "92a178c41000112233445566778899aabbccddeeff"}})));
        CPPUNIT_ASSERT_MESSAGE(add ? "" : add.error().message, add.ok());
        const Result<crdt::Op> removal = wire::decode_op(tagged("RGA", fields({{"Delete", "91930a0bcd0100"}})));
        CPPUNIT_ASSERT_MESSAGE(removal ? "" : removal.error().message, removal.ok());
        const auto& id = std::get<crdt::RgaDelete>(std::get<crdt::RgaOp>(*removal)).id;
        CPPUNIT_ASSERT((Hlc{10, 11, 256} == id));
    }

    void refuses_arrays_of_the_wrong_length() {
        CPPUNIT_ASSERT_EQUAL(text("field GCounter: found an array of 3 elements, expected at most 2 fields"),
                             error_of(tagged("GCounter", "932a0506")));
        CPPUNIT_ASSERT_EQUAL(text("field GCounter: found no field \"amount\", which is required"),
                             error_of(tagged("GCounter", "912a")));
        CPPUNIT_ASSERT_EQUAL(text("field GCounter: found no field \"client_id\", which is required"),
                             error_of(tagged("GCounter", "90")));
    }

    void refuses_a_field_given_twice() {
        CPPUNIT_ASSERT_EQUAL(
            text("field GCounter: found the field \"amount\" twice, expected it once"),
            error_of(tagged("GCounter", fields({{"client_id", "01"}, {"amount", "01"}, {"amount", "01"}}))));
    }

    void refuses_a_missing_field() {
        CPPUNIT_ASSERT_EQUAL(text("field GCounter: found no field \"amount\", which is required"),
                             error_of(tagged("GCounter", fields({{"client_id", "01"}}))));
        CPPUNIT_ASSERT_EQUAL(text("field GCounter: found no field \"client_id\", which is required"),
                             error_of(tagged("GCounter", "80")));
        CPPUNIT_ASSERT_EQUAL(text("field LwwRegister: found no field \"value\", which is required"),
                             error_of(tagged("LwwRegister", fields({{"hlc", hlc_1_0_1}, {"author", "01"}}))));
    }

    void refuses_nil_for_a_field_that_is_not_optional() {
        CPPUNIT_ASSERT_EQUAL(text("field GCounter.amount: found nil, expected an unsigned 64-bit integer"),
                             error_of(gcounter("01", "c0")));
        CPPUNIT_ASSERT_EQUAL(
            text("field ORSet.Add.seq: found nil, expected an unsigned 32-bit integer"),
            error_of(tagged("ORSet", fields({{"Add", fields({{"element", "01"},
                                                             {"tag", "c41000112233445566778899aabbccddeeff"},
                                                             {"seq", "c0"}})}}))));
    }

    void accepts_integral_floats_as_integers() {
        // 2^53 and 12345678901234567168 as float64, 3 as float32
        CPPUNIT_ASSERT((crdt::GCounterOp{9007199254740992, 3} ==
                        as_gcounter(wire::decode_op(gcounter("cb4340000000000000", "ca40400000")))));
        CPPUNIT_ASSERT((crdt::GCounterOp{12345678901234567168ULL, 0} ==
                        as_gcounter(wire::decode_op(gcounter("cb43e56a95319d63e1", "cb8000000000000000")))));
    }

    void refuses_floats_that_are_no_unsigned_integer() {
        for (const char* value :
             {"cb3ff8000000000000", "cbbff0000000000000", "cb43f0000000000000", "cb7ff8000000000000",
              "cb7ff0000000000000", "cb7fefffffffffffff", "cb0000000000000001"}) {
            const std::string error = error_of(gcounter(value, "01"));
            CPPUNIT_ASSERT_MESSAGE(error, error.find("expected an unsigned 64-bit integer") != std::string::npos);
        }
    }

    void refuses_integers_out_of_range() {
        CPPUNIT_ASSERT_EQUAL(text("field GCounter.amount: found the integer -1, expected an unsigned 64-bit integer"),
                             error_of(gcounter("01", "ff")));
        const std::string stamp = fields({{"wall_ms", "01"}, {"logical", "ce00010000"}, {"node_id", "01"}});
        CPPUNIT_ASSERT_EQUAL(
            text("field RGA.Delete.id.logical: found the integer 65536, expected an unsigned 16-bit integer"),
            error_of(tagged("RGA", fields({{"Delete", fields({{"id", stamp}})}}))));
        CPPUNIT_ASSERT_EQUAL(text("field GCounter.amount: found the string \"5\", expected an unsigned 64-bit integer"),
                             error_of(gcounter("01", "a135")));
    }

    void refuses_an_enum_with_other_than_one_entry() {
        CPPUNIT_ASSERT_EQUAL(text("field PNCounter: found a map of 2 entries, expected Increment or Decrement: a map "
                                  "of exactly one entry, "
                                  "variant name to content"),
                             error_of(tagged("PNCounter", fields({{"client_id", "01"}, {"amount", "ff"}}))));
        CPPUNIT_ASSERT(!wire::decode_op(from_hex("80")).ok());
        CPPUNIT_ASSERT(!wire::decode_op(from_hex("a847436f756e746572")).ok());
        CPPUNIT_ASSERT(!wire::decode_op(from_hex("c0")).ok());
        CPPUNIT_ASSERT(!wire::decode_op("").ok());
    }

    void refuses_unknown_types_and_variants() {
        CPPUNIT_ASSERT_EQUAL(text("found the variant \"Counter\", expected an op, tagged with the name of its type"),
                             error_of(tagged("Counter", "80")));
        CPPUNIT_ASSERT_EQUAL(text("field RGA: found the variant \"Move\", expected Insert or Delete"),
                             error_of(tagged("RGA", fields({{"Move", "80"}}))));
        CPPUNIT_ASSERT(!wire::decode_op(tagged("Rga", fields({{"Delete", fields({{"id", hlc_1_0_1}})}}))).ok());
    }

    void unwraps_envelopes_of_version_0_and_1() {
        const std::string op = to_hex(gcounter("2a", "05"));
        const crdt::GCounterOp expected{42, 5};
        for (const std::string& envelope :
             {fields({{"version", "01"}, {"op", op}}), fields({{"op", op}, {"version", "00"}}), fields({{"op", op}}),
              fields({{"future", "90"}, {"op", op}, {"version", "cc01"}})}) {
            CPPUNIT_ASSERT(expected == as_gcounter(wire::decode_op(from_hex(envelope))));
        }
        CPPUNIT_ASSERT(!wire::decode_op(from_hex(fields({{"version", "c0"}, {"op", op}}))).ok());
        CPPUNIT_ASSERT(!wire::decode_op(from_hex(fields({{"op", op}, {"op", op}}))).ok());
        // An envelope inside an envelope is none.
        CPPUNIT_ASSERT(!wire::decode_op(from_hex(fields({{"op", fields({{"op", op}})}}))).ok());
    }

    void refuses_newer_envelopes_with_the_documented_text() {
        const std::string op = to_hex(gcounter("2a", "05"));
        CPPUNIT_ASSERT_EQUAL(
            text("invalid operation: op version 2 is newer than supported version 1; upgrade the server"),
            error_of(from_hex(fields({{"version", "02"}, {"op", op}}))));
        // What a newer version put into `op` need not be readable.
        CPPUNIT_ASSERT_EQUAL(
            text("invalid operation: op version 255 is newer than supported version 1; upgrade the server"),
            error_of(from_hex(fields({{"op", "93010203"}, {"version", "ccff"}}))));
    }

    void ignores_bytes_after_the_op() { CPPUNIT_ASSERT(wire::decode_op(gcounter("01", "01") + from_hex("c1ff")).ok()); }

    void fills_in_the_defaults_of_an_orset_add() {
        const Result<crdt::Op> op = wire::decode_op(
            tagged("ORSet",
                   fields({{"Add", fields({{"element", "a161"}, {"tag", "c41000112233445566778899aabbccddeeff"}})}})));
        CPPUNIT_ASSERT(op.ok());
        CPPUNIT_ASSERT_EQUAL(
            text(
                R"({"ORSet":{"Add":{"element":"a","node_id":0,"seq":0,"tag":"00112233-4455-6677-8899-aabbccddeeff"}}})"),
            wire::op_to_json(*op));
    }

    void sorts_tags_and_drops_repeated_ones() {
        const std::string low = "c41000000000000000000000000000000001";
        const std::string high = "c410ff000000000000000000000000000000";
        const Result<crdt::Op> op = wire::decode_op(tagged(
            "ORSet",
            fields({{"Remove", fields({{"element", "a161"}, {"known_tags", "94" + high + low + high + low}})}})));
        CPPUNIT_ASSERT(op.ok());
        const auto& tags = std::get<crdt::OrSetRemove>(std::get<crdt::OrSetOp>(*op)).known_tags;
        CPPUNIT_ASSERT_EQUAL(size_t{2}, tags.size());
        CPPUNIT_ASSERT_EQUAL(uint8_t{1}, tags[0][15]);
        CPPUNIT_ASSERT_EQUAL(uint8_t{0xff}, tags[1][0]);
    }

    void refuses_tags_that_are_not_16_bytes() {
        for (const char* tag : {"c40f00112233445566778899aabbccddee", "b000112233445566778899aabbccddeeff", "c400",
                                "c0", "c41100112233445566778899aabbccddeeff00"}) {
            const std::string error =
                error_of(tagged("ORSet", fields({{"Add", fields({{"element", "a161"}, {"tag", tag}})}})));
            CPPUNIT_ASSERT_MESSAGE(error, error.rfind("field ORSet.Add.tag: found ", 0) == 0);
        }
        const std::string error =
            error_of(tagged("ORSet", fields({{"Remove", fields({{"element", "01"}, {"known_tags", "91c40100"}})}})));
        CPPUNIT_ASSERT_EQUAL(
            text("field ORSet.Remove.known_tags.0: found a byte string of 1 bytes, expected a UUID, which is "
                 "a byte string of 16 bytes"),
            error);
    }

    void refuses_content_other_than_one_character() {
        for (const char* content : {"a0", "a26162", "a3eda080", "a1ff", "01", "c40161"}) {
            const std::string bytes =
                tagged("RGA", fields({{"Insert", fields({{"id", hlc_1_0_1}, {"content", content}})}}));
            CPPUNIT_ASSERT_MESSAGE(content, !wire::decode_op(bytes).ok());
        }
    }

    void marks_ids_that_came_as_floats_and_keeps_the_mark_when_encoding() {
        const std::string move = fields(
            {{"op_id", hlc_1_0_1}, {"node_id", hlc_rounded}, {"new_parent_id", hlc_rounded}, {"new_position", "a161"}});
        const std::string bytes = tagged("Tree", fields({{"MoveNode", move}}));
        const Result<crdt::Op> op = wire::decode_op(bytes);
        CPPUNIT_ASSERT_MESSAGE(op ? "" : op.error().message, op.ok());
        const auto& decoded = std::get<crdt::TreeMoveNode>(std::get<crdt::TreeOp>(*op));
        CPPUNIT_ASSERT(decoded.node_rounded && decoded.parent_rounded);
        CPPUNIT_ASSERT_EQUAL(uint64_t{12345678901234567168ULL}, decoded.node_id.node_id);
        CPPUNIT_ASSERT_EQUAL(to_hex(bytes), to_hex(wire::encode_op(*op)));

        const auto rounded = [](const char* type, const char* variant, std::string content) {
            const Result<crdt::Op> other = wire::decode_op(tagged(type, fields({{variant, content}})));
            CPPUNIT_ASSERT_MESSAGE(other ? "" : other.error().message, other.ok());
            const Result<crdt::Op> again = wire::decode_op(wire::encode_op(*other));
            CPPUNIT_ASSERT(again.ok() && *again == *other);
            return *other;
        };
        const crdt::Op insert =
            rounded("RGA", "Insert", fields({{"id", hlc_1_0_1}, {"origin_id", hlc_rounded}, {"content", "a161"}}));
        CPPUNIT_ASSERT(std::get<crdt::RgaInsert>(std::get<crdt::RgaOp>(insert)).origin_rounded);
        const crdt::Op removal = rounded("RGA", "Delete", fields({{"id", hlc_rounded}}));
        CPPUNIT_ASSERT(std::get<crdt::RgaDelete>(std::get<crdt::RgaOp>(removal)).id_rounded);
        const crdt::Op exact = rounded("RGA", "Delete", fields({{"id", hlc_1_0_1}}));
        CPPUNIT_ASSERT(!std::get<crdt::RgaDelete>(std::get<crdt::RgaOp>(exact)).id_rounded);
        const crdt::Op update =
            rounded("Tree", "UpdateNode", fields({{"id", hlc_rounded}, {"value", "a0"}, {"updated_at", hlc_1_0_1}}));
        CPPUNIT_ASSERT(std::get<crdt::TreeUpdateNode>(std::get<crdt::TreeOp>(update)).id_rounded);
        const crdt::Op add =
            rounded("Tree", "AddNode",
                    fields({{"id", hlc_1_0_1}, {"parent_id", hlc_rounded}, {"position", "a0"}, {"value", "a0"}}));
        CPPUNIT_ASSERT(std::get<crdt::TreeAddNode>(std::get<crdt::TreeOp>(add)).parent_rounded);
        const crdt::Op node_removal = rounded("Tree", "DeleteNode", fields({{"id", hlc_rounded}}));
        CPPUNIT_ASSERT(std::get<crdt::TreeDeleteNode>(std::get<crdt::TreeOp>(node_removal)).id_rounded);
    }

    void limits_the_depth_of_json_values() {
        const auto nested = [](size_t depth) {
            return tagged(
                "LwwRegister",
                fields({{"value", to_hex(std::string(depth, '\x91')) + "01"}, {"hlc", hlc_1_0_1}, {"author", "01"}}));
        };
        CPPUNIT_ASSERT(wire::decode_op(nested(128)).ok());
        CPPUNIT_ASSERT_EQUAL(
            text("field LwwRegister.value: found a JSON value nested more than 128 levels deep, expected at "
                 "most that"),
            error_of(nested(129)));
    }

    void survives_deep_nesting_in_unknown_fields() {
        const auto nested = [](size_t depth) {
            return tagged(
                "GCounter",
                fields({{"x", to_hex(std::string(depth, '\x91')) + "01"}, {"client_id", "01"}, {"amount", "01"}}));
        };
        CPPUNIT_ASSERT(wire::decode_op(nested(1000)).ok());
        CPPUNIT_ASSERT(!wire::decode_op(nested(100'000)).ok());
    }

    void decodes_a_nested_map_type_but_no_nested_map_op() {
        const std::string inner = to_hex(gcounter("01", "01"));
        const Result<crdt::Op> op = wire::decode_op(
            tagged("CRDTMap", fields({{"key", "a16b"}, {"crdt_type", "a7435244544d6170"}, {"op", inner}})));
        CPPUNIT_ASSERT(op.ok());  // the type refuses it with its own text
        CPPUNIT_ASSERT(std::get<crdt::CrdtMapOp>(*op).crdt_type == crdt::Type::crdt_map);
        const std::string map_op =
            to_hex(tagged("CRDTMap", fields({{"key", "a16b"}, {"crdt_type", "a847436f756e746572"}, {"op", inner}})));
        CPPUNIT_ASSERT_EQUAL(
            text("field CRDTMap.op.CRDTMap: found a CRDTMap op inside a CRDTMap op, expected an op of another type"),
            error_of(tagged("CRDTMap", fields({{"key", "a16b"}, {"crdt_type", "a7435244544d6170"}, {"op", map_op}}))));
    }

    void names_the_field_what_was_found_and_what_was_expected() {
        CPPUNIT_ASSERT_EQUAL(text("field GCounter.client_id: found the float 1.5, expected an unsigned 64-bit integer"),
                             error_of(gcounter("cb3ff8000000000000", "01")));
        CPPUNIT_ASSERT_EQUAL(text("field GCounter: found the integer 5, expected a map of fields"),
                             error_of(tagged("GCounter", "05")));
        CPPUNIT_ASSERT_EQUAL(text("field GCounter: found the integer 1, expected a field name, which is a string"),
                             error_of(tagged("GCounter", "8101c0")));
        CPPUNIT_ASSERT_EQUAL(text("found the end of the input after 2 bytes, expected more of a MessagePack value"),
                             error_of(from_hex("81a8")));
        CPPUNIT_ASSERT_EQUAL(text("found no bytes, expected a MessagePack value"), error_of(""));
    }

    void error_texts_are_short_and_valid_utf8_whatever_the_input() {
        std::string long_string;
        MsgpackWriter(long_string).string(std::string(100'000, 'x'));
        for (const std::string& value : {to_hex(long_string), text("a2ff22"), text("a3220a5c")}) {
            for (const std::string& bytes :
                 {gcounter(value, "01"), tagged("GCounter", fields({{"client_id", value}, {"amount", "01"}})),
                  from_hex("81" + value + "80")}) {
                const Result<crdt::Op> op = wire::decode_op(bytes);
                CPPUNIT_ASSERT(!op.ok());
                CPPUNIT_ASSERT_MESSAGE(op.error().message, op.error().message.size() < 300);
                for (const char c : op.error().message) CPPUNIT_ASSERT(static_cast<unsigned char>(c) < 0x80);
            }
        }
    }

    void decodes_stamps_and_undo_values() {
        const Result<Hlc> stamp = wire::decode_hlc(from_hex(hlc_1_0_1));
        CPPUNIT_ASSERT(stamp.ok());
        CPPUNIT_ASSERT((Hlc{1, 0, 1} == *stamp));
        CPPUNIT_ASSERT(!wire::decode_hlc(from_hex("c0")).ok());
        CPPUNIT_ASSERT(!wire::decode_hlc("").ok());
        const Result<JsonValue> nothing = wire::decode_json_value(from_hex("c0"));
        CPPUNIT_ASSERT(nothing.ok() && nothing->is_null());
        CPPUNIT_ASSERT(!wire::decode_json_value(from_hex("c400")).ok());
    }

    void checks_vector_clocks() {
        // Empty; integer keys; decimal-string keys; both.
        for (const char* clock : {"81a7656e747269657380", "81a7656e7472696573812a07", "81a7656e747269657381a2343207",
                                  "81a7656e7472696573822a07a131ceffffffff", "82a178c0a7656e747269657380"}) {
            const Result<void> checked = wire::check_vector_clock(from_hex(clock));
            CPPUNIT_ASSERT_MESSAGE(clock, checked.ok());
        }
        // No entries; a key that is no number; a version beyond 32 bits; not a map.
        for (const char* clock :
             {"80", "81a7656e747269657381a17807", "81a7656e747269657381a007", "81a7656e7472696573c0",
              "81a7656e7472696573812acf0000000100000000", "c0", "", "81a7656e747269657381ff07",
              "81a7656e747269657381a22d3107", "81a7656e7472696573812aa137"}) {
            CPPUNIT_ASSERT_MESSAGE(clock, !wire::check_vector_clock(from_hex(clock)).ok());
        }
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(OpCodecTest);

}  // namespace meridian::test
